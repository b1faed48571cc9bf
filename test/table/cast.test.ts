/** Casts are exact: there and back again is where one began, and what would lose is refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ServiceError } from '../../src/core/index.ts';
import type { KeyValue, LeafColumn } from '../../src/parquet/index.ts';
import { type Cast, castBetween } from '../../src/table/cast.ts';
import { CastValues } from '../../src/table/cast-values.ts';
import { parseColumnType } from '../../src/table/column-type.ts';
import { unscaledFromBytes } from '../../src/table/decimal.ts';
import { keyJson, parseKeyText } from '../../src/table/key.ts';
import { blocksOf } from '../parquet/support/blocks.ts';
import { property } from '../parquet/support/property.ts';

function leaf(name: string): LeafColumn {
  const type = parseColumnType(name);
  assert.ok(type !== undefined, name);
  return { ordinal: 0, path: ['c'], name: 'c', ...type, maxDefinitionLevel: 1, maxRepetitionLevel: 0 };
}

function cast(from: string, to: string): Cast {
  const between = castBetween(leaf(from), leaf(to));
  assert.ok(typeof between === 'object', `${from} to ${to} is ${String(between)}`);
  return between;
}

/** The JSON text of a value cast, or the code of its error. */
function forward(from: string, to: string, text: string): string {
  try {
    return keyJson(leaf(to), cast(from, to).forward(parseKeyText(leaf(from), text)));
  } catch (error) {
    return (error as ServiceError).code;
  }
}

/** The JSON text of the file's value that a key of the table is; `absent` where it is none. */
function backward(from: string, to: string, text: string): string {
  const value = cast(from, to).backward(parseKeyText(leaf(to), text));
  return value === undefined ? 'absent' : keyJson(leaf(from), value);
}

test('values as the table has them', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['int32', 'int64', '-5', '-5'],
    ['uint32', 'int64', '4294967295', '4294967295'],
    ['int64', 'int32', '2147483647', '2147483647'],
    ['int64', 'int32', '2147483648', 'inexact_cast'],
    ['int64', 'uint64', '-1', 'inexact_cast'],
    ['int32', 'uint8', '256', 'inexact_cast'],
    ['int32', 'double', '7', '7'],
    ['int64', 'double', '9007199254740993', 'inexact_cast'],
    ['int64', 'float', '16777217', 'inexact_cast'],
    ['double', 'int64', '3', '3'],
    ['double', 'int64', '3.5', 'inexact_cast'],
    ['double', 'int64', 'NaN', 'inexact_cast'],
    ['double', 'int32', 'Infinity', 'inexact_cast'],
    ['double', 'int64', '9223372036854775808', 'inexact_cast'],
    ['double', 'float', '0.5', '0.5'],
    ['double', 'float', '0.1', 'inexact_cast'],
    ['double', 'float', 'NaN', '"NaN"'],
    ['float', 'double', '0.1', '0.10000000149011612'],
    ['int32', 'decimal(12,2)', '7', '"7.00"'],
    ['int64', 'decimal(4,2)', '100', 'inexact_cast'],
    ['decimal(12,2)', 'int32', '7.00', '7'],
    ['decimal(12,2)', 'int32', '7.01', 'inexact_cast'],
    ['decimal(9,2)', 'decimal(38,4)', '-7.01', '"-7.0100"'],
    ['decimal(9,2)', 'decimal(9,1)', '7.10', '"7.1"'],
    ['decimal(9,2)', 'decimal(9,1)', '7.11', 'inexact_cast'],
    ['timestamp(ms)', 'timestamp(ns)', '2026-01-31T12:00:00.123', '"2026-01-31T12:00:00.123000000"'],
    ['timestamp(ms)', 'timestamp(ns)', '3026-01-31T12:00:00.123', 'overflow'],
    ['timestamp(us,utc)', 'timestamp(ms,utc)', '2026-01-31T12:00:00.123000Z', '"2026-01-31T12:00:00.123Z"'],
    ['timestamp(us,utc)', 'timestamp(ms,utc)', '2026-01-31T12:00:00.123001Z', 'inexact_cast'],
    ['time(ms)', 'time(us)', '12:00:00.5', '"12:00:00.500000"'],
    ['int64', 'string', '42', '"42"'],
    ['string', 'int64', '42', '42'],
    ['string', 'int64', '042', 'inexact_cast'],
    ['string', 'int8', '128', 'inexact_cast'],
    ['string', 'date', '2026-01-31', '"2026-01-31"'],
    ['date', 'string', '2026-01-31', '"2026-01-31"'],
    ['string', 'timestamp(ms,utc)', '2026-01-31T12:00:00.000+00:00', 'inexact_cast'],
    ['string', 'boolean', 'true', 'true'],
    ['string', 'decimal(9,2)', '1.5', 'inexact_cast'],
    ['string', 'uuid', '123e4567-e89b-12d3-a456-426614174000', '"123e4567-e89b-12d3-a456-426614174000"'],
    ['binary', 'string', 'w6k=', '"é"'],
    ['binary', 'string', '/w==', 'inexact_cast'],
    ['binary', 'uuid', 'AAEC', 'inexact_cast'],
  ];
  for (const [from, to, text, expected] of cases)
    assert.equal(forward(from, to, text), expected, `${from} ${text} as ${to}`);
});

test('keys as the file has them', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['int32', 'int64', '1099511627776', 'absent'],
    ['int32', 'int64', '-2147483648', '-2147483648'],
    ['uint8', 'int64', '-1', 'absent'],
    ['float', 'double', '0.1', 'absent'],
    ['float', 'double', '0.5', '0.5'],
    ['float', 'double', 'NaN', '"NaN"'],
    ['int64', 'double', '1.5', 'absent'],
    ['int32', 'double', '-0', '0'],
    ['double', 'int64', '9007199254740993', 'absent'],
    ['timestamp(ms)', 'timestamp(us)', '2026-01-31T12:00:00.123456', 'absent'],
    ['timestamp(ms)', 'timestamp(us)', '2026-01-31T12:00:00.123000', '"2026-01-31T12:00:00.123"'],
    ['timestamp(us,utc)', 'timestamp(ms,utc)', '+292000000-01-31T12:00:00.123Z', 'absent'],
    ['decimal(4,2)', 'decimal(38,2)', '12345678901.00', 'absent'],
    ['decimal(4,2)', 'decimal(38,2)', '1.5', '"1.50"'],
    ['string', 'int64', '42', '"42"'],
    ['int64', 'string', '42', '42'],
    ['int64', 'string', '042', 'absent'],
    ['int64', 'string', 'x', 'absent'],
    ['binary', 'string', 'é', '"w6k="'],
  ];
  for (const [from, to, text, expected] of cases)
    assert.equal(backward(from, to, text), expected, `${to} ${text} in ${from}`);
});

test('what reads as it is, and what nothing casts', () => {
  const same = [
    ['int32', 'int32'],
    ['int8', 'int32'],
    ['uint8', 'uint32'],
    ['decimal(4,2)', 'decimal(9,2)'],
    ['string', 'binary'],
  ];
  for (const [from = '', to = ''] of same) assert.equal(castBetween(leaf(from), leaf(to)), 'same', `${from} to ${to}`);
  const none = [
    ['date', 'timestamp(us)'],
    ['timestamp(us)', 'timestamp(us,utc)'],
    ['double', 'decimal(9,2)'],
    ['double', 'string'],
    ['string', 'float'],
    ['boolean', 'int32'],
    ['date', 'int32'],
    ['uuid', 'date'],
    ['time(us)', 'timestamp(us)'],
  ];
  for (const [from = '', to = ''] of none) assert.equal(castBetween(leaf(from), leaf(to)), 'none', `${from} to ${to}`);
});

const TYPES = [
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'float',
  'double',
  'decimal(4,2)',
  'decimal(9,0)',
  'decimal(18,2)',
  'decimal(38,3)',
  'string',
  'binary',
  'uuid',
  'boolean',
  'date',
  'time(ms)',
  'time(us)',
  'timestamp(ms)',
  'timestamp(us)',
  'timestamp(ns)',
];

/** Texts that are a value of some type; those that are none of the type at hand are passed over. */
const anyText = fc.oneof(
  fc.bigInt({ min: -(2n ** 64n), max: 2n ** 64n }).map(String),
  fc.integer({ min: -300, max: 300 }).map(String),
  fc.double({ noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer(), fc.nat(999)).map(([whole, fraction]) => `${whole}.${fraction}`),
  fc.constantFrom(
    '0',
    '-0',
    '1.50',
    '007',
    'NaN',
    'true',
    '',
    'é',
    'AAEC',
    '2026-01-31',
    '12:00:00',
    '12:00:00.123456',
  ),
  fc.constantFrom(
    '2026-01-31T12:00:00.123',
    '2026-01-31T12:00:00.123456789',
    '9026-01-31T12:00:00',
    '123e4567-e89b-12d3-a456-426614174000',
  ),
);

function parsed(column: LeafColumn, text: string): KeyValue | undefined {
  try {
    return parseKeyText(column, text);
  } catch {
    return undefined;
  }
}

test('there and back again', (context) => {
  let there = 0;
  let back = 0;
  const equal = (column: LeafColumn, a: KeyValue, b: KeyValue | undefined) =>
    b !== undefined && keyJson(column, a).replace(/^-0$/, '0') === keyJson(column, b).replace(/^-0$/, '0');
  property(
    fc.tuple(fc.constantFrom(...TYPES), fc.constantFrom(...TYPES), anyText),
    ([fromName, toName, text]) => {
      const [from, to] = [leaf(fromName), leaf(toName)];
      const between = castBetween(from, to);
      if (typeof between === 'string') return;
      const value = parsed(from, text);
      if (value !== undefined) {
        try {
          const inTable = between.forward(value);
          assert.ok(equal(from, value, between.backward(inTable)), `${fromName} ${text} as ${toName}`);
          there += 1;
        } catch (error) {
          assert.match((error as ServiceError).code, /^(overflow|inexact_cast)$/, String(error));
        }
      }
      const key = parsed(to, text);
      const inFile = key === undefined ? undefined : between.backward(key);
      if (key === undefined || inFile === undefined) return;
      // A file may hold what its annotation does not allow, so that a key may be looked for that no cast gives.
      assert.ok(equal(to, key, between.forward(inFile)), `${toName} ${text} in ${fromName}`);
      back += 1;
    },
    40_000,
  );
  context.diagnostic(`${there} values there and back, ${back} keys back and there`);
  assert.ok(there > 500 && back > 500);
});

test('a block read as another type answers every reader', () => {
  const column = leaf('int32');
  const rows = [Uint8Array.of(0xfb, 0xff, 0xff, 0xff), null, Uint8Array.of(42, 0, 0, 0)];
  const [block] = blocksOf(rows, 4).blocks;
  assert.ok(block !== undefined);
  const as = (to: string) => new CastValues(block, castBetween(column, leaf(to)) as Cast);
  const int64 = as('int64');
  assert.deepEqual([int64.isNull(0), int64.isNull(1)], [false, true]);
  assert.deepEqual([int64.int64At(0), int64.int64LowAt(0), int64.int64HighAt(0)], [-5n, 0xffff_fffb, -1]);
  assert.deepEqual([int64.int64At(2), int64.uint64At(2), int64.int64LowAt(2), int64.int64HighAt(2)], [42n, 42n, 42, 0]);
  assert.deepEqual([as('double').float64At(0), as('float').float32At(2)], [-5, 42]);
  assert.equal(as('string').utf8At(0), '-5');
  const unscaled = (text: string) => unscaledFromBytes(as('decimal(38,2)').bytesAt(Number(text)));
  assert.deepEqual([unscaled('0'), unscaled('2')], [-500n, 4200n]);
  assert.throws(() => as('uint64').uint64At(0), /the value -5 of INT32 column c cannot be cast to INT64 UINT\(64\)/);
});
