import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from '../../src/cache/index.ts';

const MIB = 2 ** 20;

test('footers and key indexes have shares; blocks have what is left', () => {
  const budget = new Budget(1024 * MIB);
  budget.charge('rows', 128 * MIB);
  budget.charge('inFlight', 128 * MIB);
  assert.equal(budget.limitBytes('blocks'), 768 * MIB);
  assert.equal(budget.fits('metadata', 512 * MIB), true);
  assert.equal(budget.fits('metadata', 512 * MIB + 1), false);
  assert.equal(budget.fits('keys', 128 * MIB + 1), false);
  budget.charge('metadata', 512 * MIB);
  budget.charge('keys', 128 * MIB);
  assert.equal(budget.limitBytes('blocks'), 128 * MIB, 'with all shares used up blocks still have an eighth');
});

test('what lookups learn is metadata, but no snapshot is refused for it', () => {
  const budget = new Budget(64 * MIB);
  budget.charge('layouts', 30 * MIB);
  assert.equal(budget.usedBytes('metadata'), 30 * MIB);
  assert.equal(budget.fits('metadata', 32 * MIB), true);
  assert.equal(budget.limitBytes('blocks'), 34 * MIB);
});

test('ordinary footers fit however little a node was given', () => {
  assert.equal(new Budget(1).fits('metadata', MIB), true);
  assert.equal(new Budget(1).limitBytes('blocks'), 1);
});

test('answers on their way take from what blocks may have, and give it back', () => {
  const budget = new Budget(64 * MIB);
  budget.charge('replies', 20 * MIB);
  assert.equal(budget.limitBytes('blocks'), 44 * MIB);
  budget.release('replies', 20 * MIB);
  assert.equal(budget.limitBytes('blocks'), 64 * MIB);
});

test('what was not charged cannot be released', () => {
  const budget = new Budget(100);
  budget.charge('blocks', 5);
  assert.throws(() => budget.release('blocks', 6), { code: 'internal' });
});
