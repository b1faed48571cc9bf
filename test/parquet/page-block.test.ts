/** One block of a large page, against the same block of the page decoded whole; and pages that are broken. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../../src/core/index.ts';
import { blockCost, decodeBlockOf } from '../../src/parquet/page-block.ts';
import { decodeDataPage } from '../../src/parquet/page-decode.ts';
import { decodePageHeader } from '../../src/parquet/page-header.ts';
import { assertBlockOf, chunksOf } from './support/chunk-pages.ts';
import { codecs, columns, contextOf, ROWS, written } from './support/large-pages.ts';
import { FUZZ_SEED, randomFrom } from './support/property.ts';

const random = randomFrom(FUZZ_SEED);

test(`the block of any row is the block of the whole page, seed ${FUZZ_SEED}`, () => {
  const all = columns();
  for (const codec of codecs) {
    const alone = new Set<string>();
    for (const chunk of chunksOf(written(codec, all)).chunks) {
      for (const blockBytes of [32 * 1024, 3000]) {
        const context = contextOf(chunk, blockBytes);
        for (const page of chunk.pages) {
          const whole = decodeDataPage(page, context);
          const step = 2 ** whole.shift;
          const rows = [0, step - 1, step, whole.rows - 1, ...Array.from({ length: 5 }, () => random() * whole.rows)];
          for (const row of rows.map(Math.trunc).filter((row) => row < whole.rows)) {
            if (assertBlockOf(row, page, context, whole)) alone.add(chunk.leaf.name);
          }
        }
      }
    }
    // All but the column of nulls, whose page holds next to nothing.
    assert.equal(alone.size, all.length - 1, `${codec}: ${[...alone].join(', ')}`);
  }
});

test('a page in memory that threads share decodes to the same blocks, none of which are in it', () => {
  let blocks = 0;
  for (const codec of codecs) {
    for (const chunk of chunksOf(written(codec, columns())).chunks) {
      const context = contextOf(chunk, 32 * 1024);
      for (const page of chunk.pages) {
        const shared = new Uint8Array(new SharedArrayBuffer(page.length));
        shared.set(page);
        const decoded = decodeDataPage(shared, context);
        shared.fill(0xee);
        assert.deepEqual(decoded, decodeDataPage(page, context), `${codec} ${chunk.leaf.name}`);
        blocks += decoded.blocks.length;
      }
    }
  }
  assert.ok(blocks > 1000, `${blocks} blocks`);
});

test('a page of the second version, and what a block costs', () => {
  const rows = 50_000;
  const doubles = new Uint8Array(Float64Array.from({ length: rows }, () => random()).buffer);
  const [chunk] = chunksOf(written('SNAPPY', [{ name: 'x', data: [1.5], type: 'DOUBLE', nullable: false }])).chunks;
  assert.ok(chunk !== undefined);
  const context = contextOf(chunk, 32 * 1024);
  const [page] = chunksOf(
    written('SNAPPY', [{ name: 'x', data: [...new Float64Array(doubles.buffer)], type: 'DOUBLE', nullable: false }]),
  ).chunks[0]?.pages ?? [new Uint8Array(0)];
  assert.ok(page !== undefined);
  const whole = decodeDataPage(page, context);
  assert.ok(assertBlockOf(rows - 1, page, context, whole));
  const [first, last] = [blockCost(0, page, context), blockCost(rows - 1, page, context)];
  assert.ok(first !== undefined && last !== undefined && first <= last);
});

test('what is broken before the block is corrupt, what is broken behind it is not seen', () => {
  const text = { name: 'x', data: Array.from({ length: ROWS }, (_, row) => `value ${row}`), type: 'STRING' } as const;
  const [chunk] = chunksOf(written('UNCOMPRESSED', [{ ...text, encoding: 'PLAIN', nullable: false }])).chunks;
  const page = Uint8Array.from(chunk?.pages[0] ?? []);
  assert.ok(chunk !== undefined && page.length > 0);
  const context = { ...contextOf(chunk, 32 * 1024), verifyCrc: false };
  const header = decodePageHeader(page, 0);
  assert.ok(header !== 'needs_more');
  const isCorrupt = (error: unknown) =>
    error instanceof ServiceError && error.kind === 'corrupt' && error.context.column === 'x';
  const middle = header.headerLength + Math.trunc(header.compressedPageSize / 2);
  // Somewhere in there is a length, which then claims more than the page has.
  page.fill(0xff, middle, middle + 100);
  assert.equal(decodeBlockOf(0, page, context)?.firstBlock, 0);
  assert.throws(() => decodeBlockOf(ROWS - 1, page, context), isCorrupt);
  assert.throws(() => decodeBlockOf(ROWS, page, context), isCorrupt, 'a row that the page does not have');
  assert.throws(() => decodeBlockOf(0, page.subarray(0, page.length - 1), context), isCorrupt);
  assert.throws(() => decodeBlockOf(0, page, { ...context, expectedRows: ROWS - 1 }), isCorrupt);
});
