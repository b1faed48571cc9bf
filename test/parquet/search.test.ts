/** `findRow` beside a plain loop that compares every row with the key in the column's own order. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys, type KeyValue } from '../../src/parquet/compare.ts';
import type { LeafColumn } from '../../src/parquet/schema.ts';
import { findRow } from '../../src/parquet/search.ts';
import { twosComplement } from '../../src/parquet/searched-values.ts';
import { blocksOf, leafOf } from './support/blocks.ts';
import { property } from './support/property.ts';

interface Searched {
  readonly name: string;
  readonly leaf: LeafColumn;
  readonly width: number | undefined;
  readonly values: fc.Arbitrary<KeyValue>;
  readonly store: (value: KeyValue) => Uint8Array;
}

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Big-endian in exactly `width` bytes. */
function fixedDecimal(value: bigint, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, i) => Number((value >> BigInt(8 * (width - 1 - i))) & 0xffn));
}

const NUMBERS = [0, -0, 1, -1, 1.5, Number.NaN, Infinity, -Infinity, 1e-300, 7, 8];
const FLOAT16_BITS = [0x0000, 0x8000, 0x3c00, 0xbc00, 0x7e00, 0x7c00, 0xfc00, 0x3e00, 0x0001];
const FLOAT16_VALUES = [0, -0, 1, -1, Number.NaN, Infinity, -Infinity, 1.5, 2 ** -24];
const WIDE = [0n, -1n, 1n, 2n ** 32n, -(2n ** 32n), 2n ** 63n - 1n, -(2n ** 63n), 2n ** 31n, 5n];
const STRINGS = ['', 'a', 'ab', 'abc', 'b', 'é', 'z', '\u{10ffff}', 'aa', 'prefix-one', 'prefix-two'];
const DECIMALS = [0n, 1n, -1n, 127n, 128n, -128n, -129n, 255n, 256n, -256n, 2n ** 70n, -(2n ** 70n), 32767n, 32768n];

const signed: Searched = {
  name: 'INT32',
  leaf: leafOf('INT32'),
  width: 4,
  values: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(2 ** 31 - 1, -(2 ** 31))),
  store: (value) => bytesOf(Int32Array.of(value as number)),
};

const CASES: readonly Searched[] = [
  signed,
  {
    name: 'UINT32',
    leaf: leafOf('INT32', { kind: 'INTEGER', bitWidth: 32, isSigned: false }),
    width: 4,
    values: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom(2 ** 31, 2 ** 32 - 1)),
    store: (value) => bytesOf(Uint32Array.of(value as number)),
  },
  {
    name: 'INT64',
    leaf: leafOf('INT64'),
    width: 8,
    values: fc.constantFrom(...WIDE),
    store: (value) => bytesOf(BigInt64Array.of(value as bigint)),
  },
  {
    name: 'UINT64',
    leaf: leafOf('INT64', { kind: 'INTEGER', bitWidth: 64, isSigned: false }),
    width: 8,
    values: fc.constantFrom(0n, 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 32n, 2n ** 32n - 1n),
    store: (value) => bytesOf(BigUint64Array.of(value as bigint)),
  },
  {
    name: 'FLOAT',
    leaf: leafOf('FLOAT'),
    width: 4,
    values: fc.constantFrom(...NUMBERS.map(Math.fround)),
    store: (value) => bytesOf(Float32Array.of(value as number)),
  },
  {
    name: 'DOUBLE',
    leaf: leafOf('DOUBLE'),
    width: 8,
    values: fc.constantFrom(...NUMBERS),
    store: (value) => bytesOf(Float64Array.of(value as number)),
  },
  {
    name: 'FLOAT16',
    leaf: leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'FLOAT16' }, 2),
    width: 2,
    values: fc.constantFrom(...FLOAT16_VALUES),
    store: (value) => bytesOf(Uint16Array.of(FLOAT16_BITS[FLOAT16_VALUES.findIndex((v) => Object.is(v, value))]!)),
  },
  {
    name: 'BOOLEAN',
    leaf: leafOf('BOOLEAN'),
    width: 1,
    values: fc.boolean(),
    store: (value) => Uint8Array.of(value ? 1 : 0),
  },
  {
    name: 'BYTE_ARRAY',
    leaf: leafOf('BYTE_ARRAY', { kind: 'STRING' }),
    width: undefined,
    values: fc.constantFrom(...STRINGS).map((s) => bytesOf(Buffer.from(s))),
    store: (value) => value as Uint8Array,
  },
  {
    name: 'FIXED_LEN_BYTE_ARRAY',
    leaf: leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'UUID' }, 3),
    width: 3,
    values: fc.uint8Array({ minLength: 3, maxLength: 3, max: 2 }).map((v) => Uint8Array.from(v, (b) => b * 127)),
    store: (value) => value as Uint8Array,
  },
  {
    name: 'DECIMAL on BYTE_ARRAY',
    leaf: leafOf('BYTE_ARRAY', { kind: 'DECIMAL', precision: 30, scale: 2 }),
    width: undefined,
    values: fc.constantFrom(...DECIMALS),
    // Half of the values carry a sign byte more than they need.
    store: (value) => {
      const shortest = twosComplement(value as bigint);
      const padded = [(value as bigint) < 0n ? 0xff : 0, ...shortest];
      return (value as bigint) % 2n === 0n ? Uint8Array.from(padded) : shortest;
    },
  },
  {
    name: 'DECIMAL on FIXED_LEN_BYTE_ARRAY',
    leaf: leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'DECIMAL', precision: 30, scale: 2 }, 12),
    width: 12,
    values: fc.constantFrom(...DECIMALS),
    store: (value) => fixedDecimal(value as bigint, 12),
  },
];

function plainFind(
  leaf: LeafColumn,
  rows: ReadonlyArray<KeyValue | null>,
  key: KeyValue,
  from: number,
  to: number,
): number {
  for (let row = from; row < Math.min(to, rows.length); row += 1) {
    const value = rows[row]!;
    if (value !== null && compareKeys(leaf, value, key) === 0) return row;
  }
  return -1;
}

for (const { name, leaf, width, values, store } of CASES) {
  test(`findRow on ${name} equals a plain search`, () => {
    const scenario = fc.record({
      rows: fc.array(fc.option(values, { freq: 4 }), { minLength: 1, maxLength: 60 }),
      nulls: fc.boolean(),
      sorted: fc.boolean(),
      dictionary: fc.boolean(),
      gap: fc.constantFrom(0 as const, 4 as const),
      keys: fc.array(values, { minLength: 1, maxLength: 6 }),
      from: fc.nat(61),
      to: fc.nat(70),
    });
    property(
      scenario,
      ({ rows, nulls, sorted, dictionary, gap, keys, from, to }) => {
        let searched = nulls ? rows : rows.filter((row) => row !== null);
        if (sorted) searched = searched.toSorted((a, b) => (a === null || b === null ? 0 : compareKeys(leaf, a, b)));
        if (searched.length === 0) return;
        const { blocks } = blocksOf(
          searched.map((row) => (row === null ? null : store(row))),
          width,
          { dictionary, gap },
        );
        assert.equal(blocks.length, 1);
        for (const key of keys) {
          const where = `${String(key)} in [${from}, ${to})`;
          assert.equal(findRow(blocks[0]!, leaf, key, from, to), plainFind(leaf, searched, key, from, to), where);
          assert.equal(
            findRow(blocks[0]!, leaf, key, 0, searched.length),
            plainFind(leaf, searched, key, 0, 99),
            where,
          );
        }
        const ascending = searched.every(
          (row, i) => row !== null && (i === 0 || compareKeys(leaf, searched[i - 1]!, row) <= 0),
        );
        if (!dictionary) assert.equal(blocks[0]!.order, ascending ? 'ascending' : 'unordered');
      },
      300,
    );
  });
}

test('a key that the type cannot hold is in no row', () => {
  const { blocks } = blocksOf([Buffer.alloc(8), Buffer.alloc(8, 0xff)], 8);
  assert.equal(findRow(blocks[0]!, leafOf('INT64'), 2n ** 64n, 0, 2), -1);
  assert.equal(findRow(blocks[0]!, leafOf('INT64'), 2n ** 64n - 1n, 0, 2), -1);
  assert.equal(findRow(blocks[0]!, leafOf('INT64'), -1n, 0, 2), 1);
  const narrow = blocksOf([Buffer.alloc(4), Buffer.alloc(4, 0xff)], 4).blocks[0]!;
  assert.equal(findRow(narrow, leafOf('INT32'), 2 ** 32 - 1, 0, 2), -1);
  assert.equal(findRow(narrow, leafOf('INT32'), 0.5, 0, 2), -1);
  assert.equal(findRow(narrow, leafOf('FLOAT'), 0.1, 0, 2), -1);
});

test('a column without an order of its own, or a key of another class, is refused', () => {
  const { blocks } = blocksOf([Buffer.alloc(12)], 12);
  assert.throws(() => findRow(blocks[0]!, leafOf('INT96'), 5n, 0, 1), { kind: 'unsupported' });
  assert.throws(() => findRow(blocksOf([Buffer.alloc(8)], 8).blocks[0]!, leafOf('INT64'), 5, 0, 1), {
    kind: 'internal',
  });
});

test('the key last found in a dictionary is remembered by value', () => {
  const leaf = leafOf('BYTE_ARRAY', { kind: 'STRING' });
  const rows = ['b', 'a', 'b', 'c'].map((text) => Buffer.from(text));
  const { blocks } = blocksOf(rows, undefined, { dictionary: true });
  const key = Buffer.from('b');
  assert.equal(findRow(blocks[0]!, leaf, key, 1, 4), 2);
  key[0] = 'c'.charCodeAt(0);
  assert.equal(findRow(blocks[0]!, leaf, key, 0, 4), 3);
  assert.equal(findRow(blocks[0]!, leaf, Buffer.from('d'), 0, 4), -1);
  assert.equal(findRow(blocks[0]!, leaf, Buffer.from('a'), 0, 4), 1);
});
