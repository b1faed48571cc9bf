import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { canContain, canContainBetween } from '../../src/parquet/bounds.ts';
import { compareKeys, type KeyValue } from '../../src/parquet/compare.ts';
import { FileIndex } from '../../src/parquet/file-index.ts';
import { type ColumnSpec, type FooterSpec, type StatisticsSpec, TYPE, writeFooter } from './support/footer-writer.ts';
import { property } from './support/property.ts';

const TYPE_ORDER = 1;
const IEEE_ORDER = 2;
const INT96_ORDER = 3;
const LATER_ORDER = 9;

type Column = Omit<ColumnSpec, 'name'>;

const INT32: Column = { type: TYPE.INT32 };
const UINT32: Column = { type: TYPE.INT32, convertedType: 13 };
const INT64: Column = { type: TYPE.INT64 };
const UINT64: Column = { type: TYPE.INT64, convertedType: 14 };
const STRING: Column = { type: TYPE.BYTE_ARRAY, convertedType: 0 };
const FLOAT: Column = { type: TYPE.FLOAT };
const DOUBLE: Column = { type: TYPE.DOUBLE };
const FLOAT16: Column = { type: TYPE.FIXED, typeLength: 2, logicalType: (writer) => writer.struct(15, () => {}) };
const DECIMAL: Column = { type: TYPE.BYTE_ARRAY, convertedType: 5, precision: 38, scale: 2 };
const FIXED_DECIMAL: Column = { type: TYPE.FIXED, typeLength: 4, convertedType: 5, precision: 9, scale: 2 };
const INT96: Column = { type: TYPE.INT96 };
const INTERVAL: Column = { type: TYPE.FIXED, typeLength: 12, convertedType: 21 };
const UUID: Column = { type: TYPE.FIXED, typeLength: 16, logicalType: (writer) => writer.struct(14, () => {}) };
const LATER_TYPE: Column = { type: TYPE.BYTE_ARRAY, logicalType: (writer) => writer.struct(99, () => {}) };

interface Options {
  readonly order?: number | undefined;
  readonly keyColumn?: boolean;
  readonly numValues?: number;
}

/** An index of one chunk of 100 rows with these statistics. */
function indexOf(column: Column, statistics: StatisticsSpec, options: Options = {}): FileIndex {
  const spec: FooterSpec = {
    columns: [{ name: 'c', ...column }],
    rowGroupRows: [100],
    chunk: () => ({ statistics }),
    columnOrder: 'order' in options ? options.order : TYPE_ORDER,
  };
  return FileIndex.parse(writeFooter(spec), 1e6, { keyColumns: new Set(options.keyColumn ? ['c'] : []) });
}

/** Whether the chunk may hold the key, by both ways there are to ask. */
function may(index: FileIndex, key: KeyValue): boolean {
  const leaf = index.schema.leaves[0]!;
  const packed = index.canContain(0, 0, key);
  assert.equal(canContain(leaf, index.chunkBounds(0, 0), key), packed, 'both ways to ask agree');
  assert.equal(index.nextRowGroup(0, key) === 0, packed, 'and so does the search');
  return packed;
}

function pair(minValue: Uint8Array, maxValue: Uint8Array): StatisticsSpec {
  return { minValue, maxValue };
}

function oldPair(min: Uint8Array, max: Uint8Array): StatisticsSpec {
  return { min, max };
}

function i32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
}

function i64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt.asIntN(64, value));
  return bytes;
}

function f32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function f64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

const utf8 = (value: string) => Buffer.from(value);

describe('bounds that may be believed', () => {
  test('signed and unsigned 32-bit integers', () => {
    const signed = indexOf(INT32, pair(i32(-5), i32(7)));
    assert.deepEqual(
      [-6, -5, 7, 8].map((key) => may(signed, key)),
      [false, true, true, false],
    );
    const unsigned = indexOf(UINT32, pair(i32(5), i32(-1)));
    assert.deepEqual(
      [4, 5, 2 ** 31, 2 ** 32 - 1].map((key) => may(unsigned, key)),
      [false, true, true, true],
    );
  });

  test('signed and unsigned 64-bit integers, beyond what a double holds', () => {
    const signed = indexOf(INT64, pair(i64(-(2n ** 60n)), i64(2n ** 53n + 1n)));
    assert.equal(may(signed, 2n ** 53n + 1n), true);
    assert.equal(may(signed, 2n ** 53n + 2n), false);
    assert.equal(may(signed, -(2n ** 60n) - 1n), false);
    const unsigned = indexOf(UINT64, pair(i64(1n), i64(2n ** 64n - 2n)));
    assert.equal(may(unsigned, 2n ** 64n - 2n), true);
    assert.equal(may(unsigned, 2n ** 64n - 1n), false);
    assert.equal(may(unsigned, 0n), false);
  });

  test('strings by unsigned bytes, not by UTF-16', () => {
    // U+FFFD sorts above U+1F600 by UTF-16 units and below it by bytes.
    const index = indexOf(STRING, pair(utf8('a'), utf8('\u{1f600}')));
    assert.equal(may(index, utf8('\u{fffd}')), true);
    assert.equal(may(index, utf8('\u{1f601}')), false);
    assert.equal(may(index, utf8('Z')), false);
  });

  test('UUIDs, decimals of both kinds, half floats, booleans', () => {
    const uuid = indexOf(UUID, pair(Buffer.alloc(16, 0x10), Buffer.alloc(16, 0xf0)));
    assert.equal(may(uuid, Buffer.alloc(16, 0x80)), true);
    assert.equal(may(uuid, Buffer.alloc(16, 0xf1)), false);
    const decimal = indexOf(DECIMAL, pair(Buffer.of(0xff, 0xff, 0x38), Buffer.of(0, 0, 200)));
    assert.deepEqual(
      [-201n, -200n, 0n, 200n, 201n].map((key) => may(decimal, key)),
      [false, true, true, true, false],
    );
    const fixed = indexOf(FIXED_DECIMAL, pair(Buffer.of(0xff, 0xff, 0xff, 0x9c), Buffer.of(0, 0, 0, 0)));
    assert.deepEqual(
      [-101n, -100n, 0n, 1n].map((key) => may(fixed, key)),
      [false, true, true, false],
    );
    const half = indexOf(FLOAT16, pair(Buffer.of(0, 0xbc), Buffer.of(0, 0x40)));
    assert.deepEqual(
      [-1.5, -1, 2, 2.5].map((key) => may(half, key)),
      [false, true, true, false],
    );
    const boolean = indexOf({ type: TYPE.BOOLEAN }, pair(Buffer.of(1), Buffer.of(1)));
    assert.deepEqual(
      [false, true].map((key) => may(boolean, key)),
      [false, true],
    );
  });

  test('one side alone', () => {
    assert.deepEqual(
      [1, 9].map((key) => may(indexOf(INT32, { minValue: i32(5) }), key)),
      [false, true],
    );
    assert.deepEqual(
      [1, 9].map((key) => may(indexOf(INT32, { maxValue: i32(5) }), key)),
      [true, false],
    );
  });

  test('nothing but nulls holds no key; an unknown null count is not zero', () => {
    assert.equal(may(indexOf(INT32, { nullCount: 100 }), 1), false);
    assert.equal(indexOf(INT32, { nullCount: 100 }).chunkBounds(0, 0)?.allNull, true);
    assert.equal(may(indexOf(INT32, { nullCount: 99 }), 1), true);
    assert.equal(indexOf(INT32, {}).nullCount(0, 0), undefined);
    assert.equal(indexOf(INT32, { nullCount: 0 }).nullCount(0, 0), 0);
  });

  test('bounds of nothing but nulls contradict themselves', () => {
    assert.equal(may(indexOf(INT32, { nullCount: 100, ...pair(i32(5), i32(6)) }), 1), true);
  });
});

describe('bounds that say nothing', () => {
  const wide = pair(utf8('m'), utf8('n'));
  const cases: readonly (readonly [string, Column, StatisticsSpec, Options, KeyValue])[] = [
    ['strings without column_orders', STRING, wide, { order: undefined }, utf8('a')],
    ['an order of a later version', STRING, wide, { order: LATER_ORDER }, utf8('a')],
    ['integers of a later order do not know it either', UINT32, pair(i32(5), i32(6)), { order: LATER_ORDER }, 1],
    ['unsigned integers without column_orders', UINT32, pair(i32(5), i32(6)), { order: undefined }, 1],
    ['INT96', INT96, pair(Buffer.alloc(12, 1), Buffer.alloc(12, 1)), { order: INT96_ORDER }, utf8('a')],
    ['INTERVAL', INTERVAL, pair(Buffer.alloc(12, 1), Buffer.alloc(12, 1)), {}, utf8('a')],
    ['a logical type of a later version', LATER_TYPE, wide, {}, utf8('a')],
    ['IEEE order on an integer', INT32, pair(i32(5), i32(6)), { order: IEEE_ORDER }, 1],
    ['deprecated bounds of strings', STRING, oldPair(utf8('m'), utf8('n')), {}, utf8('a')],
    ['deprecated bounds of strings, even when equal', STRING, oldPair(utf8('m'), utf8('m')), {}, utf8('a')],
    ['deprecated bounds of decimals', FIXED_DECIMAL, oldPair(i32(1), i32(2)), {}, 9n],
    ['deprecated bounds of large unsigned integers', UINT32, oldPair(i32(-5), i32(7)), {}, 100],
    ['minimum above maximum', INT32, pair(i32(9), i32(3)), {}, 1],
    ['minimum above maximum, 64 bits', INT64, pair(i64(2n ** 33n), i64(5n)), {}, 1n],
    ['minimum above maximum, strings', STRING, pair(utf8('z'), utf8('b')), {}, utf8('a')],
    ['minimum above maximum, decimals', FIXED_DECIMAL, pair(i32(2), i32(1)), {}, 9n],
    ['bounds of the wrong length', INT32, pair(i64(5n), i64(6n)), {}, 1],
    ['an empty bound of an integer', INT32, pair(Buffer.alloc(0), Buffer.alloc(0)), {}, 1],
    ['a fixed decimal of another length', FIXED_DECIMAL, pair(Buffer.of(1), Buffer.of(2)), {}, 9n],
    ['NaN as minimum', DOUBLE, pair(f64(Number.NaN), f64(5)), {}, 9],
    ['NaN as maximum', FLOAT, pair(f32(5), f32(Number.NaN)), {}, 1],
    ['half-float NaN', FLOAT16, pair(Buffer.of(0, 0x3c), Buffer.of(0, 0x7e)), {}, -5],
  ];
  for (const [name, column, statistics, options, key] of cases) {
    test(name, () => {
      const index = indexOf(column, statistics, options);
      assert.equal(may(index, key), true);
      const bounds = index.chunkBounds(0, 0);
      assert.deepEqual([bounds?.min, bounds?.max], [undefined, undefined]);
    });
  }

  test('but where every order that could be meant is the signed one, it is used', () => {
    assert.equal(may(indexOf(INT32, pair(i32(5), i32(6)), { order: undefined }), 1), false);
    assert.equal(may(indexOf(INT64, oldPair(i64(5n), i64(6n)), { order: undefined }), 1n), false);
    assert.equal(may(indexOf(DOUBLE, oldPair(f64(5), f64(6))), 1), false);
    assert.equal(may(indexOf(UINT32, oldPair(i32(5), i32(6))), 1), false);
    assert.equal(may(indexOf(UINT64, oldPair(i64(5n), i64(6n))), 1n), false);
  });

  test('the newer pair wins over the deprecated one', () => {
    const index = indexOf(INT32, { ...pair(i32(5), i32(6)), ...oldPair(i32(-100), i32(100)) });
    assert.equal(may(index, 50), false);
  });
});

describe('floats', () => {
  test('zeros of both signs are one value', () => {
    for (const [min, max] of [
      [0, 0],
      [-0, -0],
      [0, -0],
      [-0, 0],
    ] as const) {
      const index = indexOf(DOUBLE, pair(f64(min), f64(max)));
      assert.deepEqual(
        [0, -0, 1e-300].map((key) => may(index, key)),
        [true, true, false],
      );
    }
  });

  test('NaN may hide behind any bounds unless it is counted to be none', () => {
    assert.equal(may(indexOf(DOUBLE, pair(f64(1), f64(2))), Number.NaN), true);
    assert.equal(may(indexOf(DOUBLE, { ...pair(f64(1), f64(2)), nanCount: 3 }), Number.NaN), true);
    assert.equal(may(indexOf(DOUBLE, { ...pair(f64(1), f64(2)), nanCount: 0 }), Number.NaN), false);
    assert.equal(may(indexOf(FLOAT, { nanCount: 0 }), Number.NaN), false);
  });

  test('NaN is the greatest value, so a range without end reaches it', () => {
    const index = indexOf(DOUBLE, pair(f64(1), f64(2)));
    assert.equal(index.canContainBetween(0, 0, 5, undefined), true);
    assert.equal(index.canContainBetween(0, 0, 5, Number.NaN), true);
    assert.equal(index.canContainBetween(0, 0, 5, 6), false);
    assert.equal(index.canContainBetween(0, 0, undefined, 0.5), false);
    const counted = indexOf(DOUBLE, { ...pair(f64(1), f64(2)), nanCount: 0 });
    assert.equal(counted.canContainBetween(0, 0, 5, undefined), false);
  });

  test('bounds in IEEE total order', () => {
    const index = indexOf(DOUBLE, pair(f64(-0), f64(2)), { order: IEEE_ORDER });
    assert.deepEqual(
      [-1, 0, 3].map((key) => may(index, key)),
      [false, true, false],
    );
  });
});

describe('long strings', () => {
  const long = 'x'.repeat(100);

  test('are cut outward to 16 bytes, to 64 for key columns', () => {
    for (const [keyColumn, kept] of [
      [false, 16],
      [true, 64],
    ] as const) {
      const index = indexOf(STRING, { ...pair(utf8(long), utf8(long)), minExact: true, maxExact: true }, { keyColumn });
      const bounds = index.chunkBounds(0, 0)!;
      assert.equal((bounds.min as Uint8Array).length, kept);
      assert.deepEqual(Buffer.from(bounds.max as Uint8Array).toString(), `${'x'.repeat(kept - 1)}y`);
      assert.deepEqual([bounds.minExact, bounds.maxExact], [false, false]);
      assert.equal(may(index, utf8(long)), true);
      assert.equal(may(index, utf8(`${'x'.repeat(kept - 1)}z`)), false);
    }
  });

  test('have no upper bound when nothing above can be written', () => {
    const top = Buffer.alloc(100, 0xff);
    const bounds = indexOf(STRING, pair(utf8('a'), top)).chunkBounds(0, 0)!;
    assert.deepEqual([bounds.max, Buffer.from(bounds.min as Uint8Array).toString()], [undefined, 'a']);
    const mixed = Buffer.concat([utf8('ab'), Buffer.alloc(50, 0xff)]);
    assert.deepEqual(indexOf(STRING, pair(utf8('a'), mixed)).chunkBounds(0, 0)!.max, Uint8Array.from(utf8('ac')));
  });

  test('exactness is kept where nothing was cut', () => {
    const bounds = indexOf(STRING, { ...pair(utf8('a'), utf8('b')), minExact: true }).chunkBounds(0, 0)!;
    assert.deepEqual([bounds.minExact, bounds.maxExact], [true, false]);
  });

  test('empty strings are bounds like others', () => {
    const index = indexOf(STRING, pair(utf8(''), utf8('')));
    assert.deepEqual(
      ['', 'a'].map((key) => may(index, utf8(key))),
      [true, false],
    );
  });
});

describe('properties', () => {
  test('a key between the bounds of any strings is never pruned, and the search finds what a scan finds', () => {
    const bytes = fc.uint8Array({ maxLength: 24 });
    const rowGroup = fc.tuple(bytes, bytes);
    property(
      fc.tuple(fc.array(rowGroup, { minLength: 1, maxLength: 8 }), bytes, fc.boolean()),
      ([pairs, key, sorted]) => {
        const ordered = pairs.map(
          ([a, b]) => (Buffer.compare(a, b) <= 0 ? [a, b] : [b, a]) as [Uint8Array, Uint8Array],
        );
        if (sorted) ordered.sort((a, b) => Buffer.compare(a[0], b[0]) || Buffer.compare(a[1], b[1]));
        checkSearch(STRING, ordered, key, (value) => value);
      },
    );
  });

  test('the same for 64-bit integers and decimals', () => {
    const number = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    const pairs = fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 8 });
    property(fc.tuple(pairs, number, fc.boolean()), ([all, key, sorted]) => {
      const ordered = all.map(([a, b]) => (a <= b ? [a, b] : [b, a]) as [bigint, bigint]);
      if (sorted) ordered.sort((a, b) => (a[0] < b[0] ? -1 : 1));
      checkSearch(INT64, ordered, key, i64);
      checkSearch({ ...DECIMAL }, ordered, key, (value) => Buffer.from(i64(value)).reverse());
    });
  });

  test('the same for ascending integers, dense and sparse, and where some are safe and some are not', () => {
    const step = fc.oneof(fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: 2n ** 40n }));
    const first = fc.constantFrom(-20n, 0n, 2n ** 53n - 40n, -(2n ** 53n) - 20n, 2n ** 32n - 9n, -(2n ** 40n));
    const entries = fc.array(fc.tuple(step, step), { minLength: 1, maxLength: 40 });
    property(fc.tuple(first, entries, fc.nat(39), fc.bigInt({ min: -2n, max: 2n })), ([start, steps, near, off]) => {
      let last = start;
      const pairs = steps.map(([apart, wide]) => {
        const min = last + apart;
        last = min + wide;
        return [min, last] as [bigint, bigint];
      });
      const [min, max] = pairs[near % pairs.length] as [bigint, bigint];
      for (const key of [min + off, max + off, (min + max) / 2n]) checkSearch(INT64, pairs, key, i64);
    });
  });

  test('the same for doubles, NaN and infinities among them', () => {
    const pairs = fc.array(fc.tuple(fc.double(), fc.double()), { minLength: 1, maxLength: 8 });
    property(fc.tuple(pairs, fc.double(), fc.boolean()), ([all, key, sorted]) => {
      const numbers = all.map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as [number, number]);
      if (sorted) numbers.sort((a, b) => a[0] - b[0]);
      checkSearch(DOUBLE, numbers, key, f64);
    });
  });
});

/** Row groups with these bounds: none that could hold the key is passed over, and every way to ask agrees. */
function checkSearch<T extends KeyValue>(
  column: Column,
  pairs: readonly (readonly [T, T])[],
  key: T,
  encode: (value: T) => Uint8Array,
): void {
  const index = FileIndex.parse(
    writeFooter({
      columns: [{ name: 'c', ...column }],
      rowGroupRows: pairs.map(() => 10),
      chunk: (rowGroup) => ({ statistics: pair(encode(pairs[rowGroup]![0]), encode(pairs[rowGroup]![1])) }),
    }),
    1e6,
  );
  const leaf = index.schema.leaves[0]!;
  const scanned: number[] = [];
  pairs.forEach(([min, max], rowGroup) => {
    const isInside = compareKeys(leaf, min, key) <= 0 && compareKeys(leaf, key, max) <= 0;
    const isCandidate = index.canContain(rowGroup, 0, key);
    assert.ok(isCandidate || !isInside, 'a key inside the bounds was pruned');
    assert.equal(canContain(leaf, index.chunkBounds(rowGroup, 0), key), isCandidate);
    for (const [low, high] of [
      [undefined, key],
      [key, undefined],
      [min, key],
      [key, max],
    ] as const) {
      const between = index.canContainBetween(rowGroup, 0, low, high);
      assert.equal(canContainBetween(leaf, index.chunkBounds(rowGroup, 0), low, high), between);
    }
    if (isCandidate) scanned.push(rowGroup);
  });
  const found: number[] = [];
  for (let at = index.nextRowGroup(0, key); at !== -1; at = index.nextRowGroup(0, key, at + 1)) found.push(at);
  assert.deepEqual(found, scanned);
}
