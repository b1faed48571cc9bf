import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import type { LeafColumn, TimeUnit } from '../../src/parquet/index.ts';
import { type JsonOptions, jsonWriter, valueWriter } from '../../src/table/json-format.ts';
import { blockOf, leafOf, type Stored } from './values.ts';

const plain: JsonOptions = { int64: 'number', nonfinite: 'null' };
const strings: JsonOptions = { int64: 'string', nonfinite: 'string' };

function json(leaf: LeafColumn, value: Stored, options: JsonOptions = plain): string {
  return jsonWriter(leaf, options)(blockOf(leaf, [null, value]), 1);
}

const int = (bitWidth: 8 | 16 | 32 | 64, isSigned: boolean) =>
  leafOf(bitWidth === 64 ? 'INT64' : 'INT32', { kind: 'INTEGER', bitWidth, isSigned });
const decimal = (physicalType: 'INT32' | 'INT64' | 'BYTE_ARRAY', precision: number, scale: number) =>
  leafOf(physicalType, { kind: 'DECIMAL', precision, scale });
const timestamp = (unit: TimeUnit, isAdjustedToUTC: boolean) =>
  leafOf('INT64', { kind: 'TIMESTAMP', unit, isAdjustedToUTC });

test('each type by example', () => {
  const examples: readonly (readonly [LeafColumn, Stored, string])[] = [
    [leafOf('BOOLEAN'), true, 'true'],
    [leafOf('BOOLEAN'), false, 'false'],
    [leafOf('INT32'), -2147483648, '-2147483648'],
    [int(32, false), 4294967295n, '4294967295'],
    [int(8, true), -128, '-128'],
    [leafOf('INT64'), -9223372036854775808n, '-9223372036854775808'],
    [leafOf('INT64'), 9007199254740993n, '9007199254740993'],
    [int(64, false), 18446744073709551615n, '18446744073709551615'],
    [leafOf('FLOAT'), 0.1, '0.1'],
    [leafOf('FLOAT'), 16777217, '16777216'],
    [leafOf('DOUBLE'), 0.1, '0.1'],
    [leafOf('DOUBLE'), 5e-324, '5e-324'],
    [leafOf('DOUBLE'), -0, '-0'],
    [leafOf('DOUBLE'), Number.NaN, 'null'],
    [leafOf('FLOAT'), Number.NEGATIVE_INFINITY, 'null'],
    [leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'FLOAT16' }, 2), Uint8Array.of(0x66, 0x2e), '0.1'],
    [leafOf('BYTE_ARRAY', { kind: 'STRING' }), 'a"\\\u0000\u{1f600}/', '"a\\"\\\\\\u0000\u{1f600}/"'],
    [leafOf('BYTE_ARRAY', { kind: 'STRING' }), Uint8Array.of(0x61, 0xff), '"a\ufffd"'],
    [leafOf('BYTE_ARRAY', { kind: 'ENUM' }), 'RED', '"RED"'],
    [leafOf('BYTE_ARRAY', { kind: 'JSON' }), '{"a":1}', '"{\\"a\\":1}"'],
    [leafOf('BYTE_ARRAY', { kind: 'BSON' }), Uint8Array.of(0, 1, 2), '"AAEC"'],
    [leafOf('BYTE_ARRAY'), 'text', '"dGV4dA=="'],
    [leafOf('BYTE_ARRAY', { kind: 'GEOMETRY' }), Uint8Array.of(1), '"AQ=="'],
    [leafOf('FIXED_LEN_BYTE_ARRAY', undefined, 3), Uint8Array.of(251, 255, 254), '"+//+"'],
    [leafOf('INT32', { kind: 'DATE' }), 20_484, '"2026-01-31"'],
    [leafOf('INT32', { kind: 'TIME', unit: 'MILLIS', isAdjustedToUTC: true }), 45_296_007, '"12:34:56.007"'],
    [leafOf('INT64', { kind: 'TIME', unit: 'NANOS', isAdjustedToUTC: false }), 1n, '"00:00:00.000000001"'],
    [timestamp('MILLIS', true), 1_769_862_896_123n, '"2026-01-31T12:34:56.123Z"'],
    [timestamp('MICROS', false), -1n, '"1969-12-31T23:59:59.999999"'],
    [timestamp('NANOS', true), 1_769_862_896_123_456_789n, '"2026-01-31T12:34:56.123456789Z"'],
    [timestamp('MICROS', true), 2n ** 63n - 1n, '"+294247-01-10T04:00:54.775807Z"'],
    [decimal('INT32', 9, 2), -5, '"-0.05"'],
    [decimal('INT64', 18, 18), 999999999999999999n, '"0.999999999999999999"'],
    [decimal('BYTE_ARRAY', 38, 3), Uint8Array.of(0xff, 0x85), '"-0.123"'],
    [decimal('BYTE_ARRAY', 38, 0), new Uint8Array(0), '"0"'],
    [leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'UNKNOWN' }, 1), null, 'null'],
  ];
  for (const [leaf, value, expected] of examples) {
    assert.equal(json(leaf, value), expected, `${leaf.physicalType} ${leaf.logicalType.kind}`);
    assert.equal(json(leaf, null), 'null');
    assert.doesNotThrow(() => JSON.parse(expected));
  }
});

test('UUID, INTERVAL and INT96', () => {
  const uuid = Buffer.from('123e4567e89b12d3a456426614174000', 'hex');
  const uuidLeaf = leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'UUID' }, 16);
  assert.equal(json(uuidLeaf, uuid), '"123e4567-e89b-12d3-a456-426614174000"');
  const interval = new DataView(new ArrayBuffer(12));
  interval.setUint32(0, 14, true);
  interval.setUint32(4, 3, true);
  interval.setUint32(8, 4_294_967_295, true);
  const intervalLeaf = leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'INTERVAL' }, 12);
  assert.equal(json(intervalLeaf, new Uint8Array(interval.buffer)), '"P14M3DT4294967.295S"');
  assert.equal(json(intervalLeaf, new Uint8Array(12)), '"P0M0DT0.000S"');
  const int96 = new DataView(new ArrayBuffer(12));
  int96.setBigInt64(0, 45_296_123_456_789n, true);
  int96.setUint32(8, 2_440_588 + 20_484, true);
  assert.equal(json(leafOf('INT96'), new Uint8Array(int96.buffer)), '"2026-01-31T12:34:56.123456789"');
  assert.doesNotThrow(() => json(leafOf('INT96'), new Uint8Array(12).fill(0xff)));
  // What Spark writes for 290000-12-31T01:00:00+02:00, a sum of microseconds that wrapped at 64 bits.
  int96.setBigInt64(0, -32_509_551_616_000n, true);
  int96.setInt32(8, -105_862_232, true);
  assert.equal(json(leafOf('INT96'), new Uint8Array(int96.buffer)), '"+290000-12-30T23:00:00.000000000"');
});

test('the options change 64-bit integers and non-finite numbers, and nothing else', () => {
  assert.equal(json(leafOf('INT64'), 5n, strings), '"5"');
  assert.equal(json(int(64, false), 2n ** 64n - 1n, strings), '"18446744073709551615"');
  assert.equal(json(leafOf('INT32'), 5, strings), '5');
  assert.equal(json(leafOf('DOUBLE'), Number.NaN, strings), '"NaN"');
  assert.equal(json(leafOf('DOUBLE'), Number.POSITIVE_INFINITY, strings), '"Infinity"');
  assert.equal(json(leafOf('FLOAT'), Number.NEGATIVE_INFINITY, strings), '"-Infinity"');
  assert.equal(json(leafOf('DOUBLE'), 1.5, strings), '1.5');
});

test('integers are exact over all 64 bits', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      assert.equal(json(leafOf('INT64'), value), value.toString());
      assert.equal(json(int(64, false), value), BigInt.asUintN(64, value).toString());
    }),
  );
  for (const value of [2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 32n, -(2n ** 32n), -1n, 2n ** 31n]) {
    assert.equal(json(leafOf('INT64'), value), value.toString());
  }
});

test('doubles, floats and strings read back as what was stored', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      assert.ok(Object.is(JSON.parse(json(leafOf('DOUBLE'), value)), value));
      const float = Math.fround(value);
      if (Number.isFinite(float)) assert.ok(Object.is(Math.fround(JSON.parse(json(leafOf('FLOAT'), float))), float));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      assert.equal(JSON.parse(json(leafOf('BYTE_ARRAY', { kind: 'STRING' }), value)), value);
    }),
  );
});

test('decimals of bytes are the integer that the bytes spell', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 38n), max: 10n ** 38n }), fc.nat(4), (unscaled, padding) => {
      const width = 17 + padding;
      const hex = BigInt.asUintN(width * 8, unscaled)
        .toString(16)
        .padStart(width * 2, '0');
      const text = JSON.parse(json(decimal('BYTE_ARRAY', 38, 10), Buffer.from(hex, 'hex')));
      assert.equal(BigInt(text.replace('.', '').replace(/^(-?)0*(?=\d)/, '$1')), unscaled);
      assert.match(text, /^-?(0|[1-9]\d*)\.\d{10}$/);
    }),
  );
  const padded = Buffer.concat([Buffer.alloc(5000, 0xff), Buffer.of(0x85)]);
  assert.equal(json(decimal('BYTE_ARRAY', 38, 0), padded), '"-123"');
});

function refusal(work: () => unknown): ServiceError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    return error;
  }
  throw new Error('nothing was thrown');
}

test('what has no JSON form names the column and the feature', () => {
  const nested = { ...leafOf('INT32'), path: ['a', 'list', 'element'], name: 'a.list.element', maxRepetitionLevel: 1 };
  for (const leaf of [
    nested,
    leafOf('BYTE_ARRAY', { kind: 'VARIANT' }),
    leafOf('BYTE_ARRAY', { kind: 'DATE' }),
    leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'UUID' }, 5),
    decimal('INT32', 9, 2_000_000_000),
    decimal('INT32', 9, -1),
  ]) {
    const error = refusal(() => jsonWriter(leaf, plain));
    assert.equal(error.kind, 'unsupported');
    assert.equal(error.context.column, leaf.name);
    assert.ok(error.context.feature);
  }
});

test('a decimal of too many bytes is a corrupt file', () => {
  const huge = Buffer.alloc(1_000_000, 0x55);
  assert.equal(refusal(() => json(decimal('BYTE_ARRAY', 38, 0), huge)).kind, 'corrupt');
});

test('bare values', () => {
  const value = (leaf: LeafColumn, stored: Stored) => {
    const raw = valueWriter(leaf, plain)(blockOf(leaf, [stored]), 0);
    return raw && { ...raw, body: typeof raw.body === 'string' ? raw.body : Buffer.from(raw.body).toString() };
  };
  const text = 'text/plain; charset=utf-8';
  assert.deepEqual(value(leafOf('BYTE_ARRAY', { kind: 'STRING' }), 'a"b'), { contentType: text, body: 'a"b' });
  assert.deepEqual(value(leafOf('BYTE_ARRAY', { kind: 'ENUM' }), 'X'), { contentType: text, body: 'X' });
  const object = { contentType: 'application/json', body: '{"a":1}' };
  assert.deepEqual(value(leafOf('BYTE_ARRAY', { kind: 'JSON' }), '{"a":1}'), object);
  const block = blockOf(leafOf('BYTE_ARRAY'), [Uint8Array.of(1, 2, 255)]);
  const binary = valueWriter(leafOf('BYTE_ARRAY'), plain)(block, 0);
  assert.deepEqual(binary, { contentType: 'application/octet-stream', body: Uint8Array.of(1, 2, 255) });
  assert.deepEqual(value(leafOf('INT64'), 2n ** 60n), { contentType: 'application/json', body: '1152921504606846976' });
  const uuid = leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'UUID' }, 16);
  assert.equal(value(uuid, new Uint8Array(16))?.body, '"00000000-0000-0000-0000-000000000000"');
  for (const leaf of [uuid, leafOf('INT64'), leafOf('BYTE_ARRAY'), leafOf('BYTE_ARRAY', { kind: 'STRING' })]) {
    assert.equal(value(leaf, null), undefined);
  }
});

test('a value above the limit is refused before its text is made, by the bytes that it has in the file', () => {
  const limited: JsonOptions = { ...plain, valueBytesMax: 6 };
  const text = leafOf('BYTE_ARRAY', { kind: 'STRING' });
  for (const leaf of [text, leafOf('BYTE_ARRAY'), leafOf('BYTE_ARRAY', { kind: 'JSON' })]) {
    const stored = (bytes: string): Stored => (leaf.logicalType.kind === 'NONE' ? Buffer.from(bytes) : bytes);
    const block = blockOf(leaf, [null, stored('üüü'), stored('üüü.')]);
    for (const write of [jsonWriter(leaf, limited), valueWriter(leaf, limited)]) {
      assert.notEqual(write(block, 1), undefined);
      const { kind, code, context } = refusal(() => write(block, 2));
      assert.deepEqual(
        [kind, code, context],
        ['tooLarge', 'value_too_large', { column: leaf.name, bytes: 7, limit: 6 }],
      );
    }
    assert.equal(jsonWriter(leaf, limited)(block, 0), 'null');
  }
});
