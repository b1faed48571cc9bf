/**
 * The first bytes of a large page against all of it: they give the block of the whole page or none, whatever is in them and
 * wherever they end; and those that are guessed to be enough mostly are.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { compressSync } from 'snappy';
import { ServiceError } from '../../src/core/index.ts';
import { decodeBlockOf, decodeBlockOfPrefix } from '../../src/parquet/page-block.ts';
import { decodeDataPage, type PageContext } from '../../src/parquet/page-decode.ts';
import { decodePageHeader } from '../../src/parquet/page-header.ts';
import { prefixBytes, type UnreadPage } from '../../src/parquet/page-prefix.ts';
import { leafOf } from './support/blocks.ts';
import { assertBlockOfPrefix, type ChunkPages, CONTEXT_DEFAULTS, chunksOf } from './support/chunk-pages.ts';
import { rleBitPacked } from './support/encoders.ts';
import { codecs, columns, contextOf, ROWS, written } from './support/large-pages.ts';
import { v1Header, v2Header } from './support/pages.ts';
import { FUZZ_SEED, randomFrom } from './support/property.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

const random = randomFrom(FUZZ_SEED);
const below = (n: number) => Math.floor(random() * n);

/** All chunks by codec: to make them takes longer than to read them. */
const chunksBy = new Map(codecs.map((codec) => [codec, chunksOf(written(codec, columns())).chunks]));

function headerOf(page: Uint8Array) {
  const header = decodePageHeader(page, 0);
  assert.ok(header !== 'needs_more');
  return header;
}

function unreadOf(chunk: ChunkPages, page: Uint8Array): UnreadPage {
  const { uncompressedPageSize } = headerOf(page);
  return {
    leaf: chunk.leaf,
    codec: chunk.codec,
    hasDictionary: chunk.dictionary !== undefined,
    rows: ROWS,
    bytes: page.length,
    uncompressedBytes: uncompressedPageSize,
  };
}

test(`what a page begins with gives the block of the whole page or none, seed ${FUZZ_SEED}`, () => {
  for (const [codec, chunks] of chunksBy) {
    for (const chunk of chunks) {
      const context = contextOf(chunk, below(2) === 0 ? 32 * 1024 : 3000);
      const [page] = chunk.pages;
      assert.ok(page !== undefined);
      const whole = decodeDataPage(page, context);
      const isInOrder = codec !== 'ZSTD' && chunk.dictionary === undefined;
      let given = 0;
      for (let round = 0; round < 20; round++) {
        const bytes: number = round < 3 ? page.length - round : below(page.length);
        const isGiven = assertBlockOfPrefix(below(ROWS), bytes, page, context, whole);
        assert.ok(isInOrder || bytes === page.length || !isGiven, `${codec} ${chunk.leaf.name}`);
        if (isGiven) given += 1;
      }
      if (isInOrder && !chunk.leaf.name.endsWith('only nulls')) assert.ok(given > 0, `${codec} ${chunk.leaf.name}`);
    }
  }
});

test(`as much as is guessed to be enough mostly is, where rows are alike, and less than all, seed ${FUZZ_SEED}`, () => {
  // Runs of nulls are what the guess does not know of.
  const isAlike = ({ leaf }: ChunkPages) => /PLAIN (required|optional|nulls)$/.test(leaf.name);
  for (const codec of ['UNCOMPRESSED', 'SNAPPY'] as const) {
    for (const chunk of chunksBy.get(codec)?.filter(isAlike) ?? []) {
      const context = contextOf(chunk, 32 * 1024);
      const [page] = chunk.pages;
      assert.ok(page !== undefined);
      const whole = decodeDataPage(page, context);
      let before = 0;
      let guesses = 0;
      let misses = 0;
      for (let row = 0; row < ROWS; row += 1 + below(ROWS / 40)) {
        const bytes: number | undefined = prefixBytes(row, unreadOf(chunk, page), context.blockBytes);
        if (bytes === undefined) continue;
        assert.ok(bytes < page.length && bytes >= before);
        before = bytes;
        guesses += 1;
        if (!assertBlockOfPrefix(row, bytes, page, context, whole)) misses += 1;
      }
      assert.ok(before > 0 && misses <= guesses / 5, `${codec} ${chunk.leaf.name}: ${misses} of ${guesses} did not do`);
    }
  }
});

test('all is read of what is not decoded in order, or would not be read much less', () => {
  const chunk = chunksBy.get('SNAPPY')?.[0];
  const page = chunk?.pages[0];
  assert.ok(chunk !== undefined && page !== undefined);
  const unread = unreadOf(chunk, page);
  const guessed = (change: Partial<UnreadPage>, row = 10) => prefixBytes(row, { ...unread, ...change }, 32 * 1024);
  assert.ok(guessed({}) !== undefined);
  assert.equal(guessed({}, ROWS - 1), undefined);
  for (const codec of ['ZSTD', 'GZIP', 'BROTLI', 'LZ4', 'LZ4_RAW', 'LZO'] as const) {
    assert.equal(guessed({ codec }), undefined, codec);
  }
  assert.equal(guessed({ hasDictionary: true }), undefined);
  assert.equal(guessed({ leaf: { ...chunk.leaf, maxRepetitionLevel: 1 } }), undefined);
  assert.equal(guessed({ leaf: { ...chunk.leaf, physicalType: 'BOOLEAN' } }), undefined);
  assert.equal(guessed({ uncompressedBytes: 0 }), undefined, 'sizes that make no sense');
});

/** A page of the second version, with nulls, its values compressed or not. */
function secondVersion(codec: 'SNAPPY' | 'UNCOMPRESSED', isCompressed: boolean): [Uint8Array, PageContext] {
  const rows = 50_000;
  const isNull = Array.from({ length: rows }, () => random() < 0.2);
  const levels = rleBitPacked([{ packed: true, values: isNull.map((none) => (none ? 0 : 1)) }], 1);
  const valid = isNull.filter((none) => !none).length;
  const plain = new Uint8Array(Float64Array.from({ length: valid }, () => Math.trunc(random() * 1e6) / 100).buffer);
  const stored = codec === 'SNAPPY' && isCompressed ? compressSync(Buffer.from(plain)) : plain;
  const sizes = { size: levels.length + plain.length, stored: levels.length + stored.length, levels: levels.length };
  const header = v2Header(rows, rows - valid, 'PLAIN', { ...sizes, isCompressed });
  const leaf = leafOf('DOUBLE');
  return [Buffer.concat([header, levels, stored]), { ...CONTEXT_DEFAULTS, leaf, codec }];
}

test(`pages of the second version, whose levels may not all be there, seed ${FUZZ_SEED}`, () => {
  for (const codec of ['SNAPPY', 'UNCOMPRESSED'] as const) {
    for (const isCompressed of [true, false]) {
      const [page, context] = secondVersion(codec, isCompressed);
      const whole = decodeDataPage(page, context);
      assert.ok(assertBlockOfPrefix(100, page.length / 2, page, context, whole));
      const levelsEnd = page.length - headerOf(page).compressedPageSize + headerOf(page).definitionLevelsByteLength;
      for (let bytes = 0; bytes <= levelsEnd; bytes += 1 + below(200)) {
        assert.ok(!assertBlockOfPrefix(below(whole.rows), bytes, page, context, whole), `${bytes} bytes`);
      }
      for (let round = 0; round < 30; round++) {
        assertBlockOfPrefix(below(whole.rows), below(page.length), page, context, whole);
      }
    }
  }
});

test('a page with a CRC is read whole, unless none is verified', () => {
  const rows = 50_000;
  const body = new Uint8Array(Float64Array.from({ length: rows }, () => random()).buffer);
  const writer = new ThriftWriter();
  writer
    .int32(1, 0)
    .int32(2, body.length)
    .int32(3, body.length)
    .int32(4, crc32(body) | 0);
  writer.struct(5, () => writer.int32(1, rows).int32(2, 0).int32(3, 3).int32(4, 3));
  const page = Buffer.concat([writer.take(), Uint8Array.of(0), body]);
  const leaf = { ...leafOf('DOUBLE'), maxDefinitionLevel: 0 };
  const context: PageContext = { ...CONTEXT_DEFAULTS, leaf, codec: 'UNCOMPRESSED' };
  const prefix = page.subarray(0, page.length / 2);
  assert.equal(decodeBlockOfPrefix(5, prefix, page.length, context), undefined);
  const whole = decodeDataPage(page, context);
  assert.ok(assertBlockOfPrefix(5, prefix.length, page, { ...context, verifyCrc: false }, whole));
  // The header without its CRC is that of any page.
  const plain = Buffer.concat([v1Header(rows, 'PLAIN', 'data', body.length), body]);
  assert.ok(assertBlockOfPrefix(5, prefix.length, plain, context, whole));
});

test(`bytes that are broken give the block that the whole page would, or none, seed ${FUZZ_SEED}`, () => {
  const isPlain = ({ leaf }: ChunkPages) => leaf.name.includes('PLAIN');
  for (const codec of ['SNAPPY', 'UNCOMPRESSED'] as const) {
    for (const chunk of chunksBy.get(codec)?.filter(isPlain) ?? []) {
      const context = { ...contextOf(chunk, 32 * 1024), verifyCrc: false };
      for (let round = 0; round < 12; round++) {
        const page = Uint8Array.from(chunk.pages[0] ?? []);
        for (let i = below(6); i >= 0; i--) page[below(i % 2 === 0 ? 60 : page.length)] = below(256);
        const row = below(ROWS);
        const part = decodeBlockOfPrefix(row, page.slice(0, below(page.length)), page.length, context);
        if (part === undefined) continue;
        try {
          assert.deepEqual(part, decodeBlockOf(row, page, context), `${codec} ${chunk.leaf.name} row ${row}`);
        } catch (thrown) {
          // What is broken behind the block is seen only where all of the page is looked at.
          assert.ok(thrown instanceof ServiceError && thrown.kind === 'corrupt', String(thrown));
        }
      }
    }
  }
});
