/** Pages that claim what is not so: each claim is compared with something before it is acted on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, zstdCompressSync } from 'node:zlib';
import { ServiceError } from '../../src/core/index.ts';
import { Block } from '../../src/parquet/block.ts';
import type { Encoding } from '../../src/parquet/file-format.ts';
import { decodeCost, decodeDataPage, decodeDictionaryPage, type PageContext } from '../../src/parquet/page-decode.ts';
import { leafOf } from './support/blocks.ts';
import { CONTEXT_DEFAULTS } from './support/chunk-pages.ts';
import { rleBitPacked } from './support/encoders.ts';
import { v1Header, v2Header } from './support/pages.ts';

const OPTIONAL = leafOf('INT32');
const REQUIRED = { ...OPTIONAL, maxDefinitionLevel: 0 };
const context: PageContext = { ...CONTEXT_DEFAULTS, leaf: REQUIRED, codec: 'UNCOMPRESSED' };
/** Corrupt, and naming the column. */
const corrupt = (error: unknown) =>
  error instanceof ServiceError && error.kind === 'corrupt' && error.context.column === 'c';

const ints = (...values: number[]) => new Uint8Array(Int32Array.from(values).buffer);

function page(values: number, encoding: Encoding, ...parts: Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  return Buffer.concat([v1Header(values, encoding, 'data', body.length), body]);
}

function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([new Uint8Array(Uint32Array.of(bytes.length).buffer), bytes]);
}

function valuesOf(bytes: Uint8Array, overrides: Partial<PageContext> = {}): Array<number | null> {
  return decodeDataPage(bytes, { ...context, ...overrides }).blocks.flatMap((buffer) => {
    const block = Block.open(buffer);
    return Array.from({ length: block.rows }, (_, row) => (block.isNull(row) ? null : block.int32At(row)));
  });
}

test('a plain page, with and without nulls', () => {
  assert.deepEqual(valuesOf(page(3, 'PLAIN', ints(7, 8, 9))), [7, 8, 9]);
  const levels = lengthPrefixed(rleBitPacked([{ packed: true, values: [1, 0, 1] }], 1));
  assert.deepEqual(valuesOf(page(3, 'PLAIN', levels, ints(7, 9)), { leaf: OPTIONAL }), [7, null, 9]);
  assert.deepEqual(valuesOf(page(0, 'PLAIN')), []);
});

test('rows are what the page locations promise', () => {
  const bytes = page(3, 'PLAIN', ints(7, 8, 9));
  assert.equal(valuesOf(bytes, { expectedRows: 3 }).length, 3);
  assert.throws(() => valuesOf(bytes, { expectedRows: 4 }), corrupt);
  assert.throws(() => valuesOf(page(4, 'PLAIN', ints(7, 8, 9))), corrupt, 'fewer values than rows');
});

test('the page ends where its header says, or is corrupt', () => {
  const bytes = page(3, 'PLAIN', ints(7, 8, 9));
  assert.deepEqual(valuesOf(Buffer.concat([bytes, Buffer.from('what follows')])), [7, 8, 9]);
  for (let length = 0; length < bytes.length; length += 1) {
    assert.throws(() => valuesOf(bytes.subarray(0, length)), { kind: 'corrupt' }, `cut to ${length}`);
  }
});

test('a page over the bound is refused before anything is allocated', () => {
  const levels = lengthPrefixed(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x08, 0));
  const nulls = page(2 ** 30, 'PLAIN', levels);
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(() => valuesOf(nulls, { leaf: OPTIONAL }), { kind: 'unsupported' }, 'a thousand million nulls');
  const huge = Buffer.concat([v1Header(1, 'PLAIN', 'data', 2 ** 31 - 1, 4), ints(1)]);
  assert.throws(() => valuesOf(huge, { codec: 'ZSTD' }), { kind: 'unsupported' }, 'two gigabytes');
  const lying = Buffer.concat([v1Header(1, 'PLAIN', 'data', 2 ** 27, 4), ints(1)]);
  for (const codec of ['SNAPPY', 'GZIP', 'ZSTD', 'BROTLI', 'LZ4', 'LZ4_RAW'] as const) {
    assert.throws(() => valuesOf(lying, { codec }), corrupt, codec);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20);
});

test('codes point into the dictionary or are corrupt', () => {
  const dictionaryBody = ints(100, 200, 300);
  const dictionary = Buffer.concat([v1Header(3, 'PLAIN', 'dictionary', 12), dictionaryBody]);
  const block = Block.open(decodeDictionaryPage(dictionary, context));
  assert.equal(block.int32At(2), 300);
  const coded = (...codes: number[]) =>
    page(codes.length, 'RLE_DICTIONARY', Uint8Array.of(2), rleBitPacked([{ packed: true, values: codes }], 2));
  const decoded = decodeDataPage(coded(2, 0, 1), { ...context, dictionaryRows: 3 });
  assert.equal(Block.open(decoded.blocks[0]!).codeAt(0), 2);
  assert.throws(() => valuesOf(coded(2, 3), { dictionaryRows: 3 }), corrupt, 'a code of 3 among 3');
  assert.throws(() => valuesOf(coded(0), { dictionaryRows: 0 }), corrupt, 'an empty dictionary');
  assert.throws(() => valuesOf(coded(0)), corrupt, 'no dictionary');
  assert.throws(() => valuesOf(page(1, 'RLE_DICTIONARY'), { dictionaryRows: 3 }), corrupt, 'no bit width');
  const short = Buffer.concat([v1Header(4, 'PLAIN', 'dictionary', 12), dictionaryBody]);
  assert.throws(() => decodeDictionaryPage(short, context), corrupt, 'fewer entries than declared');
});

test('pages of another kind, or of an encoding the type does not have, are corrupt', () => {
  const dictionary = Buffer.concat([v1Header(1, 'PLAIN', 'dictionary', 4), ints(1)]);
  assert.throws(() => valuesOf(dictionary), corrupt);
  assert.throws(() => decodeDictionaryPage(page(1, 'PLAIN', ints(1)), context), corrupt);
  for (const encoding of ['RLE', 'BIT_PACKED', 'DELTA_LENGTH_BYTE_ARRAY', 'DELTA_BYTE_ARRAY'] as const) {
    assert.throws(() => valuesOf(page(1, encoding, ints(1))), corrupt, encoding);
  }
  for (const encoding of ['DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'] as const) {
    assert.throws(() => valuesOf(page(1, encoding, ints(1)), { leaf: leafOf('BOOLEAN') }), corrupt, encoding);
  }
});

test('the CRC of a page is of its stored bytes, and checked when asked for', () => {
  const body = ints(7, 8);
  const plainHeader = v1Header(2, 'PLAIN', 'data', body.length);
  // Field 4 stands between the sizes (seven bytes of three small fields) and the data page header.
  const crc = zigzagOf(crc32(body) | 0);
  const headerWith = (value: readonly number[]) => {
    const sizes = plainHeader.subarray(0, 6);
    // The data page header is field 5: one after the CRC instead of two after the sizes.
    return Buffer.concat([sizes, Uint8Array.from([0x15, ...value, 0x1c]), plainHeader.subarray(7)]);
  };
  assert.deepEqual(valuesOf(Buffer.concat([headerWith(crc), body])), [7, 8]);
  const wrong = Buffer.concat([headerWith(zigzagOf((crc32(body) ^ 1) | 0)), body]);
  assert.throws(() => valuesOf(wrong), { kind: 'corrupt', message: /CRC/ });
  assert.deepEqual(valuesOf(wrong, { verifyCrc: false }), [7, 8]);
});

function zigzagOf(value: number): number[] {
  const bytes: number[] = [];
  let rest = ((value << 1) ^ (value >> 31)) >>> 0;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

test('v2: levels beside compressed, uncompressed and missing values', () => {
  const levels = rleBitPacked([{ packed: true, values: [1, 0, 1] }], 1);
  const values = ints(7, 9);
  const sizes = { size: levels.length + values.length, levels: levels.length };
  const compressed = zstdCompressSync(values);
  const leaf = OPTIONAL;
  const codec = 'ZSTD';
  const stored = levels.length + compressed.length;
  const whole = Buffer.concat([v2Header(3, 1, 'PLAIN', { ...sizes, stored }), levels, compressed]);
  assert.deepEqual(valuesOf(whole, { leaf, codec }), [7, null, 9]);
  const raw = v2Header(3, 1, 'PLAIN', { ...sizes, stored: sizes.size, isCompressed: false });
  assert.deepEqual(valuesOf(Buffer.concat([raw, levels, values]), { leaf, codec }), [7, null, 9]);
  const noLevels = rleBitPacked([{ packed: false, values: [0, 0] }], 1);
  const empty = v2Header(2, 2, 'PLAIN', { size: noLevels.length, stored: noLevels.length, levels: noLevels.length });
  assert.deepEqual(valuesOf(Buffer.concat([empty, noLevels]), { leaf, codec }), [null, null]);
  const missing = v2Header(3, 1, 'PLAIN', { ...sizes, stored: levels.length });
  assert.throws(() => valuesOf(Buffer.concat([missing, levels]), { leaf, codec }), corrupt, 'values left out');
});

test('the cost of a page grows with its bytes and values', () => {
  const small = decodeCost(page(3, 'PLAIN', ints(7, 8, 9)), context);
  const large = decodeCost(page(30_000, 'PLAIN', new Uint8Array(120_000)), context);
  assert.ok(small > 0 && small < 10 && large > 10 * small);
});
