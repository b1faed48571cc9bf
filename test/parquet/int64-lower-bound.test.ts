import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { int64LowerBound } from '../../src/parquet/searched-values.ts';
import { property } from './support/property.ts';

/** Evenly spread, in clumps, with outliers, all equal: whatever makes the first guess a bad one. */
const ascending = fc
  .oneof(
    fc.array(fc.maxSafeInteger(), { minLength: 1, maxLength: 300, size: 'max' }),
    fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 300, size: 'max' }),
    fc
      .tuple(fc.integer(), fc.integer({ min: 0, max: 7 }), fc.integer({ min: 1, max: 300 }))
      .map(([first, step, rows]) => Array.from({ length: rows }, (_, row) => first + step * row)),
    fc
      .integer({ min: 1, max: 300 })
      .map((rows) => Array.from({ length: rows }, (_, row) => (row === rows - 1 ? 2 ** 53 - 1 : row))),
    fc.integer({ min: 1, max: 52 }).map((rows) => Array.from({ length: rows }, (_, row) => 2 ** row)),
  )
  .map((values) => values.sort((a, b) => a - b));

test('the first row that is not less, as a walk over all rows finds it', () => {
  let compared = 0;
  property(fc.record({ values: ascending, before: fc.nat(3), cut: fc.nat(299) }), ({ values, before, cut }) => {
    const words = new Int32Array(BigInt64Array.from([...new Array(before).fill(7), ...values], BigInt).buffer);
    const from = Math.min(cut, values.length - 1);
    const to = values.length;
    const keys = new Set(values.slice(from).flatMap((value) => [value - 1, value, value + 1]));
    for (const key of keys) {
      if (!Number.isSafeInteger(key) || key < values[from]! || key > values[to - 1]!) continue;
      const expected = values.findIndex((value, row) => row >= from && value >= key);
      assert.equal(int64LowerBound(words, 2 * before, key, from, to), expected);
      compared += 1;
    }
  });
  assert.ok(compared > 1000, `${compared} keys were looked for`);
});
