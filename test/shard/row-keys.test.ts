import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RowKeys } from '../../src/shard/row-keys.ts';
import type { Key } from '../../src/table/index.ts';

const part = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.double({ min: -2, max: 2 }),
  fc.bigInt({ min: -3n, max: 3n }),
  fc.bigInt({ min: -(2n ** 90n), max: 2n ** 90n }),
  fc.boolean(),
  fc.uint8Array({ maxLength: 4 }),
);

/** A column has one class of key, so two keys of a table agree in the kinds of their parts. */
const kindOf = (value: Key[number]) => (value instanceof Uint8Array ? 'bytes' : typeof value);

function equal(a: Key, b: Key): boolean {
  return a.every((value, i) => {
    const other = b[i];
    if (value instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(value, other) === 0;
    return value === other || (Number.isNaN(value) && Number.isNaN(other));
  });
}

test('equal keys have equal bytes, and different ones of the same columns have different bytes', () => {
  const keys = new RowKeys();
  let same = 0;
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 3 }),
      fc.array(part, { minLength: 1, maxLength: 3 }),
      (a, b) => {
        for (const other of [b, [...a]]) {
          if (a.length !== other.length || a.some((value, i) => kindOf(value) !== kindOf(other[i] ?? 0))) continue;
          const first = Buffer.from(keys.bytesOf(a) ?? []);
          const second = Buffer.from(keys.bytesOf(other) ?? []);
          assert.equal(first.equals(second), equal(a, other));
          same += 1;
        }
      },
    ),
    { numRuns: 2000 },
  );
  assert.ok(same > 2000);
});

test('zeros of both signs are one key, and a key too long for the scratch has none', () => {
  const keys = new RowKeys();
  const zero = Buffer.from(keys.bytesOf([0]) ?? []);
  assert.deepEqual(Buffer.from(keys.bytesOf([-0]) ?? []), zero);
  assert.equal(keys.bytesOf([new Uint8Array(2000), 1]), undefined);
  assert.equal(keys.bytesOf([new Uint8Array(2000)])?.length, 2000);
});
