import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import { compareKeys, type KeyValue, type LeafColumn, type TimeUnit } from '../../src/parquet/index.ts';
import { jsonWriter } from '../../src/table/json-format.ts';
import { keyJson, keyPath, parseExactJson, parseKeyJson, parseKeyText } from '../../src/table/key.ts';
import { blockOf, leafOf, type Stored } from './values.ts';

const string = leafOf('BYTE_ARRAY', { kind: 'STRING' });
const binary = leafOf('BYTE_ARRAY');
const uuid = leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'UUID' }, 16);
const date = leafOf('INT32', { kind: 'DATE' });
const uint64 = leafOf('INT64', { kind: 'INTEGER', bitWidth: 64, isSigned: false });
const int8 = leafOf('INT32', { kind: 'INTEGER', bitWidth: 8, isSigned: true });
const uint32 = leafOf('INT32', { kind: 'INTEGER', bitWidth: 32, isSigned: false });
const float16 = leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'FLOAT16' }, 2);
const price = leafOf('INT32', { kind: 'DECIMAL', precision: 9, scale: 2 });
const money = leafOf('INT64', { kind: 'DECIMAL', precision: 18, scale: 4 });
const wide = leafOf('BYTE_ARRAY', { kind: 'DECIMAL', precision: 38, scale: 0 });
const time = (unit: TimeUnit) =>
  leafOf(unit === 'MILLIS' ? 'INT32' : 'INT64', { kind: 'TIME', unit, isAdjustedToUTC: true });
const timestamp = (unit: TimeUnit, isAdjustedToUTC = true) =>
  leafOf('INT64', { kind: 'TIMESTAMP', unit, isAdjustedToUTC });

function same(leaf: LeafColumn, a: KeyValue, b: KeyValue): void {
  assert.equal(typeof a, typeof b);
  assert.equal(compareKeys(leaf, a, b), 0, `${leaf.physicalType} ${leaf.logicalType.kind}: ${a} is not ${b}`);
}

/** What a column may store and the key value that it then has. */
type Case = readonly [leaf: LeafColumn, stored: fc.Arbitrary<Stored>, key: (stored: Stored) => KeyValue];

const asNumber = (stored: Stored) => Number(stored);
const asBigint = (stored: Stored) => BigInt(String(stored));
const asBytes = (stored: Stored) => (stored instanceof Uint8Array ? stored : Buffer.from(String(stored)));
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const fractions = fc.double().map((value) => value as Stored);

const cases: readonly Case[] = [
  [leafOf('BOOLEAN'), fc.boolean(), (stored) => stored === true],
  [leafOf('INT32'), int32, asNumber],
  [int8, fc.integer({ min: -128, max: 127 }), asNumber],
  [uint32, fc.nat(2 ** 32 - 1), asNumber],
  [leafOf('INT64'), int64, asBigint],
  [uint64, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), asBigint],
  [leafOf('DOUBLE'), fractions, asNumber],
  [leafOf('FLOAT'), fractions, (stored) => Math.fround(Number(stored))],
  [string, fc.string({ unit: 'binary' }), asBytes],
  [binary, fc.uint8Array(), asBytes],
  [uuid, fc.uint8Array({ minLength: 16, maxLength: 16 }), asBytes],
  [date, int32, asNumber],
  [price, fc.integer({ min: -999_999_999, max: 999_999_999 }), asNumber],
  [money, fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), asBigint],
  [time('MILLIS'), int32, asNumber],
  [time('MICROS'), int64, asBigint],
  [time('NANOS'), int64, asBigint],
  [timestamp('MILLIS'), int64, asBigint],
  [timestamp('MICROS', false), int64, asBigint],
  [timestamp('NANOS'), int64, asBigint],
];

test('what an answer shows is the key that finds it, in a URL and in a body', () => {
  for (const [leaf, arbitrary, key] of cases) {
    const write = jsonWriter(leaf, { int64: 'number', nonfinite: 'string' });
    fc.assert(
      fc.property(arbitrary, (stored) => {
        const text = write(blockOf(leaf, [stored]), 0);
        const expected = key(stored);
        same(leaf, parseKeyJson(leaf, parseExactJson(text)), expected);
        same(leaf, parseKeyText(leaf, text.startsWith('"') ? JSON.parse(text) : text), expected);
        assert.equal(keyJson(leaf, expected), text);
      }),
    );
  }
});

test('a path part is read back by percent-decoding it', () => {
  for (const [leaf, arbitrary, key] of cases) {
    fc.assert(
      fc.property(arbitrary, (stored) => {
        const path = keyPath([leaf, leaf], [key(stored), key(stored)]);
        if (path === undefined) return assert.ok(['', '.', '..'].includes(Buffer.from(asBytes(stored)).toString()));
        const url = new URL(`http://localhost/rows/${path}`);
        const parts = url.pathname.split('/').slice(2);
        assert.equal(parts.length, 2);
        for (const part of parts) same(leaf, parseKeyText(leaf, decodeURIComponent(part)), key(stored));
      }),
    );
  }
  assert.equal(keyPath([string, leafOf('INT32')], [Buffer.from('eu/west 1'), 7]), 'eu%2Fwest%201/7');
  for (const text of ['', '.', '..']) assert.equal(keyPath([string], [Buffer.from(text)]), undefined);
});

function refusal(work: () => unknown): ServiceError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ServiceError, String(error));
    return error;
  }
  throw new Error('nothing was thrown');
}

test('forms that are refused in a URL, each with the right form', () => {
  const refused: readonly (readonly [LeafColumn, readonly string[]])[] = [
    [
      leafOf('INT64'),
      ['007', '1.0', '1e3', '+5', '', ' 5', '5 ', '--5', '0x10', '٣', '9223372036854775808', '1'.repeat(8192)],
    ],
    [leafOf('INT32'), ['2147483648', '-2147483649', 'NaN', 'null', '1_000']],
    [int8, ['128', '-129']],
    [uint64, ['-1', '18446744073709551616']],
    [leafOf('BOOLEAN'), ['TRUE', '1', '']],
    [leafOf('DOUBLE'), ['.5', '5.', '+5', '0x1', '1e999', 'inf', 'nan', '', '1,5', '01']],
    [leafOf('FLOAT'), ['1e39']],
    [float16, ['65520']],
    [price, ['1.005', '10000000', '1e1', '.5', '01.5', '', '1.', '+1', '99999999.99']],
    [date, ['2026-1-31', '2026-02-30', '31.01.2026', '20484', '+9999999-01-01', '2026-01-31T00:00:00']],
    [
      timestamp('MILLIS'),
      ['2026-01-31T12:00:00', '2026-01-31 12:00:00Z', '1769862896123', '2026-01-31T12:00:00.0001Z'],
    ],
    [timestamp('NANOS'), ['2500-01-01T00:00:00Z', '+999999999-01-01T00:00:00Z']],
    [timestamp('MICROS', false), ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00+01:00']],
    [time('MILLIS'), ['12:34', '12:34:56.1234', '1:00:00', '999:00:00']],
    [uuid, ['123e4567e89b12d3a456426614174000', '{123e4567-e89b-12d3-a456-426614174000}', '123e4567', '']],
    [binary, ['AAE', 'AAEC=', 'AA EC', 'A', 'AAF=', '_-8=']],
    [leafOf('FIXED_LEN_BYTE_ARRAY', undefined, 4), ['AAEC']],
    [string, ['\ud800']],
  ];
  for (const [leaf, texts] of refused) {
    for (const text of texts) {
      const error = refusal(() => parseKeyText(leaf, text));
      assert.equal(error.kind, 'invalid', text);
      assert.equal(error.code, 'bad_key', text);
      assert.equal(error.context.column, 'c');
      assert.ok(String(error.context.expected).length > 3 && error.message.includes(String(error.context.expected)));
      assert.ok(error.message.length < 400 && error.message.isWellFormed());
    }
  }
});

test('the right form that an error shows is itself accepted', () => {
  for (const leaf of [
    date,
    uuid,
    binary,
    price,
    money,
    wide,
    time('MILLIS'),
    time('NANOS'),
    timestamp('MICROS'),
    timestamp('NANOS', false),
    leafOf('INT64'),
    leafOf('DOUBLE'),
  ]) {
    const { expected } = refusal(() => parseKeyText(leaf, 'wrong')).context;
    const shown = /(?:such as|written like) ([^ ,(]+)/.exec(String(expected))?.[1];
    assert.ok(shown, String(expected));
    assert.doesNotThrow(() => parseKeyText(leaf, shown));
  }
});

test('keys compare by value', () => {
  same(price, parseKeyText(price, '1.5'), 150);
  same(price, parseKeyText(price, '1.500000'), 150);
  same(money, parseKeyText(money, '-0'), 0n);
  same(wide, parseKeyText(wide, '99999999999999999999999999999999999999'), 10n ** 38n - 1n);
  same(leafOf('INT64'), parseKeyText(leafOf('INT64'), '-0'), 0n);
  assert.ok(Object.is(parseKeyText(leafOf('INT32'), '-0'), 0));
  same(
    uuid,
    parseKeyText(uuid, '123E4567-E89B-12D3-A456-426614174000'),
    Buffer.from('123e4567e89b12d3a456426614174000', 'hex'),
  );
  const noon = parseKeyText(timestamp('MICROS'), '2026-01-31T12:00:00Z');
  same(timestamp('MICROS'), parseKeyText(timestamp('MICROS'), '2026-01-31T13:00:00.000+01:00'), noon);
  same(leafOf('DOUBLE'), parseKeyText(leafOf('DOUBLE'), '1.50e1'), 15);
  same(leafOf('FLOAT'), parseKeyText(leafOf('FLOAT'), '0.1'), Math.fround(0.1));
  same(leafOf('DOUBLE'), parseKeyText(leafOf('DOUBLE'), 'NaN'), Number.NaN);
});

test('a body is read by its source text', () => {
  const key = (leaf: LeafColumn, text: string) => parseKeyJson(leaf, parseExactJson(text));
  assert.equal(key(leafOf('INT64'), '9007199254740993'), 9007199254740993n);
  assert.equal(key(leafOf('INT64'), '-9223372036854775808'), -(2n ** 63n));
  assert.equal(key(leafOf('INT64'), '"9007199254740993"'), 9007199254740993n);
  assert.equal(key(uint64, '18446744073709551615'), 2n ** 64n - 1n);
  assert.equal(key(leafOf('INT32'), '5'), 5);
  assert.equal(key(price, '1.50'), 150);
  assert.equal(key(price, '"1.50"'), 150);
  assert.equal(key(leafOf('DOUBLE'), '1.0'), 1);
  assert.equal(key(leafOf('DOUBLE'), '"Infinity"'), Number.POSITIVE_INFINITY);
  assert.equal(key(leafOf('BOOLEAN'), 'true'), true);
  const refused: readonly (readonly [LeafColumn, string])[] = [
    [leafOf('INT64'), '1.0'],
    [leafOf('INT64'), '1e3'],
    [leafOf('INT64'), '1.5'],
    [leafOf('INT64'), '"007"'],
    [leafOf('INT64'), 'true'],
    [leafOf('INT64'), '9223372036854775808'],
    [leafOf('INT32'), '[5]'],
    [leafOf('INT32'), '{}'],
    [string, '5'],
    [string, '9007199254740993'],
    [string, 'true'],
    [string, '"\\ud800"'],
    [date, '20484'],
    [leafOf('BOOLEAN'), '1'],
    [leafOf('DOUBLE'), '1e999'],
    [price, '1e1'],
  ];
  for (const [leaf, text] of refused) assert.equal(refusal(() => key(leaf, text)).code, 'bad_key', text);
  for (const leaf of [string, leafOf('INT64')]) assert.equal(refusal(() => key(leaf, 'null')).code, 'null_key');
});

test('columns that are no keys say so', () => {
  for (const leaf of [
    leafOf('INT96'),
    leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'INTERVAL' }, 12),
    leafOf('BYTE_ARRAY', { kind: 'DATE' }),
  ]) {
    assert.equal(refusal(() => parseKeyText(leaf, '1')).kind, 'unsupported');
  }
});
