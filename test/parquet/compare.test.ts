import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { compareKeys, type KeyValue, keyClassOf } from '../../src/parquet/compare.ts';
import { leafOf } from './support/blocks.ts';
import { property } from './support/property.ts';

test("the order of values is total and DuckDB's: NaN last and equal to itself, zeros equal", () => {
  const leaf = leafOf('DOUBLE');
  const sorted = [Number.NaN, 1, -0, Number.POSITIVE_INFINITY, -1, 0].sort((a, b) => compareKeys(leaf, a, b));
  assert.deepEqual(sorted, [-1, -0, 0, 1, Number.POSITIVE_INFINITY, Number.NaN]);
  assert.equal(compareKeys(leaf, Number.NaN, Number.NaN), 0);
  assert.equal(compareKeys(leaf, -0, 0), 0);
  property(fc.tuple(fc.double(), fc.double(), fc.double()), ([a, b, c]) => {
    assert.equal(Math.sign(compareKeys(leaf, a, b)), -Math.sign(compareKeys(leaf, b, a)) + 0);
    if (compareKeys(leaf, a, b) <= 0 && compareKeys(leaf, b, c) <= 0) assert.ok(compareKeys(leaf, a, c) <= 0);
  });
});

test('bytes by unsigned value and then length, integers exactly, false before true', () => {
  const order = (a: KeyValue, b: KeyValue) => Math.sign(compareKeys(leafOf('BYTE_ARRAY'), a, b));
  assert.equal(order(Uint8Array.of(0x7f), Uint8Array.of(0x80)), -1);
  assert.equal(order(Uint8Array.of(1), Uint8Array.of(1, 0)), -1);
  assert.equal(order(2n ** 63n, 2n ** 63n - 1n), 1);
  assert.equal(order(false, true), -1);
});

test('key classes by physical and logical type', () => {
  const decimal = { kind: 'DECIMAL', precision: 9, scale: 2 } as const;
  const classes = [
    leafOf('INT32', decimal),
    leafOf('BYTE_ARRAY', decimal),
    leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'FLOAT16' }, 2),
    leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'UUID' }, 16),
    leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'INTERVAL' }, 12),
    leafOf('BYTE_ARRAY', { kind: 'GEOMETRY' }),
    leafOf('INT96'),
    leafOf('BYTE_ARRAY', { kind: 'UNRECOGNISED' }),
    { ...leafOf('INT64'), maxRepetitionLevel: 1 },
  ].map(keyClassOf);
  const unsearchable = 'unsearchable';
  assert.deepEqual(classes, [
    'int32',
    'decimal',
    'float',
    'bytes',
    unsearchable,
    unsearchable,
    unsearchable,
    'bytes',
    unsearchable,
  ]);
});
