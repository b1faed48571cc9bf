import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { KeyValue } from '../../src/parquet/compare.ts';
import type { ColumnOrder } from '../../src/parquet/file-format.ts';
import type { ColumnChunk } from '../../src/parquet/file-index.ts';
import { decodeColumnIndex } from '../../src/parquet/page-index.ts';
import type { LeafColumn } from '../../src/parquet/schema.ts';
import { leafOf } from './support/blocks.ts';
import { openIndex, readCorpus } from './support/metadata-files.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

const plain = openIndex(readCorpus('data/alltypes_tiny_pages.parquet')).chunk(0, 0);

function chunkOf(leaf: LeafColumn, columnOrder: ColumnOrder = 'TYPE_ORDER'): ColumnChunk {
  return { ...plain, leaf, columnOrder };
}

interface Page {
  readonly min: Uint8Array;
  readonly max: Uint8Array;
  readonly isNull?: boolean;
  readonly nullCount?: number;
  readonly nanCount?: number;
}

function columnIndex(pages: readonly Page[], boundaryOrder = 0): Uint8Array {
  const writer = new ThriftWriter();
  writer.structElement(() => {
    writer.list(1, 1, pages, ({ isNull }) => writer.raw([isNull ? 1 : 2]));
    writer.list(2, 8, pages, ({ min }) => writer.binaryElement(min));
    writer.list(3, 8, pages, ({ max }) => writer.binaryElement(max));
    writer.int32(4, boundaryOrder);
    if (pages.some((page) => page.nullCount !== undefined)) {
      writer.list(5, 6, pages, ({ nullCount }) => writer.intElement(nullCount ?? 0));
    }
    if (pages.some((page) => page.nanCount !== undefined)) {
      writer.list(8, 6, pages, ({ nanCount }) => writer.intElement(nanCount ?? 0));
    }
  });
  return writer.take();
}

const none = new Uint8Array(0);
const utf8 = (value: string) => new Uint8Array(Buffer.from(value));
const i32 = (value: number) => new Uint8Array(Int32Array.of(value).buffer);
const f64 = (value: number) => new Uint8Array(Float64Array.of(value).buffer);

function candidates(bytes: Uint8Array, chunk: ColumnChunk, pages: number, key: KeyValue): number[] {
  const bounds = decodeColumnIndex(bytes, chunk, pages);
  const scanned = Array.from({ length: pages }, (_, page) => page).filter((page) => bounds.canContain(page, key));
  const found: number[] = [];
  for (let page = bounds.next(key); page !== -1; page = bounds.next(key, page + 1)) found.push(page);
  assert.deepEqual(found, scanned, 'search and scan agree');
  return found;
}

describe('decodeColumnIndex', () => {
  const int32 = chunkOf(leafOf('INT32'));

  test('finds the pages that can hold a key, overlapping bounds among them', () => {
    const bytes = columnIndex([
      { min: i32(0), max: i32(10) },
      { min: i32(10), max: i32(20) },
      { min: i32(15), max: i32(30) },
    ]);
    const found = [-1, 5, 10, 17, 25, 31].map((key) => candidates(bytes, int32, 3, key));
    assert.deepEqual(found, [[], [0], [0, 1], [1, 2], [2], []]);
  });

  test('a boundary order that lies does no harm', () => {
    const bytes = columnIndex(
      [
        { min: i32(50), max: i32(60) },
        { min: i32(0), max: i32(10) },
      ],
      1,
    );
    assert.equal(decodeColumnIndex(bytes, int32, 2).boundaryOrder, 'ASCENDING');
    assert.deepEqual(candidates(bytes, int32, 2, 5), [1]);
    assert.deepEqual(candidates(bytes, int32, 2, 55), [0]);
  });

  test('a page of nulls holds no key', () => {
    const bytes = columnIndex([
      { min: none, max: none, isNull: true, nullCount: 10 },
      { min: i32(1), max: i32(2), nullCount: 3 },
    ]);
    const bounds = decodeColumnIndex(bytes, int32, 2);
    assert.deepEqual([bounds.nullPage(0), bounds.nullPage(1), bounds.nullCount(1)], [true, false, 3]);
    assert.deepEqual(candidates(bytes, int32, 2, 1), [1]);
  });

  test('a null page that counts no null is not believed, nor are its placeholders', () => {
    const text = chunkOf(leafOf('BYTE_ARRAY', { kind: 'STRING' }));
    const required = chunkOf({ ...leafOf('BYTE_ARRAY', { kind: 'STRING' }), maxDefinitionLevel: 0 });
    for (const [chunk, nullCount] of [
      [text, -1],
      [text, 0],
      [text, undefined],
      [required, 10],
    ] as const) {
      const page = { min: none, max: none, isNull: true, ...(nullCount === undefined ? {} : { nullCount }) };
      assert.deepEqual(candidates(columnIndex([page]), chunk, 1, utf8('abc')), [0]);
      assert.equal(decodeColumnIndex(columnIndex([page]), chunk, 1).nullPage(0), false);
    }
  });

  test('bounds of one page that say nothing leave the others their word', () => {
    const bytes = columnIndex([
      { min: f64(Number.NaN), max: f64(5) },
      { min: f64(1), max: f64(2) },
      { min: f64(9), max: f64(3) },
    ]);
    assert.deepEqual(candidates(bytes, chunkOf(leafOf('DOUBLE')), 3, 100), [0, 2]);
  });

  test('NaN is excluded only by a count of none', () => {
    const pages = [
      { min: f64(1), max: f64(2), nanCount: 0 },
      { min: f64(1), max: f64(2), nanCount: 1 },
    ];
    const double = chunkOf(leafOf('DOUBLE'));
    assert.deepEqual(candidates(columnIndex(pages), double, 2, Number.NaN), [1]);
    const uncounted = pages.map(({ min, max }) => ({ min, max }));
    assert.deepEqual(candidates(columnIndex(uncounted), double, 2, Number.NaN), [0, 1]);
  });

  test('an order that is not known prunes nothing', () => {
    const bytes = columnIndex([{ min: utf8('m'), max: utf8('n') }]);
    const leaf = leafOf('BYTE_ARRAY', { kind: 'STRING' });
    assert.deepEqual(candidates(bytes, chunkOf(leaf, 'UNDEFINED'), 1, utf8('a')), [0]);
    assert.deepEqual(candidates(bytes, chunkOf(leaf), 1, utf8('a')), []);
    const int96 = columnIndex([{ min: new Uint8Array(12), max: new Uint8Array(12) }]);
    assert.deepEqual(candidates(int96, chunkOf(leafOf('INT96'), 'INT96_TIMESTAMP_ORDER'), 1, 5n), [0]);
  });

  test('long bounds are kept at 64 bytes, rounded outward', () => {
    const long = (letter: string) => utf8(letter.repeat(1000));
    const chunk = chunkOf(leafOf('BYTE_ARRAY', { kind: 'STRING' }));
    const bytes = columnIndex([{ min: long('b'), max: long('c') }]);
    const bounds = decodeColumnIndex(bytes, chunk, 1);
    assert.ok(bounds.byteSize < 1500);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((letter) => bounds.canContain(0, long(letter))),
      [false, true, true, false],
    );
  });

  test('refuses lists of another length than the pages, and bytes that end early', () => {
    const bytes = columnIndex([
      { min: i32(1), max: i32(2) },
      { min: i32(1), max: i32(2) },
    ]);
    const refused = { kind: 'corrupt', context: { rowGroup: 0, column: 'c' } };
    for (const pages of [1, 3, 1_000_000_000]) {
      assert.throws(() => decodeColumnIndex(bytes, int32, pages), refused);
    }
    for (let length = 0; length < bytes.length; length += 1) {
      assert.throws(() => decodeColumnIndex(bytes.subarray(0, length), int32, 2), refused);
    }
  });
});
