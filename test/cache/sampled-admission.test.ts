import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SampledAdmission } from '../../src/cache/sampled-admission.ts';

/** Of the next 6,400 that come. */
function shareTaken(admission: SampledAdmission): number {
  let taken = 0;
  for (let i = 0; i < 6400; i++) if (admission.isSampled()) taken += 1;
  return taken / 6400;
}

function leave(admission: SampledAdmission, count: number, readOf100: number): void {
  for (let i = 0; i < count; i++) admission.judge(i % 100 < readOf100);
}

test('all are taken in until few of those that leave were read, then fewer and fewer, and more again when more are read', () => {
  const admission = new SampledAdmission(1 / 4, 1 / 2, 1 / 64);
  assert.equal(shareTaken(admission), 1);
  leave(admission, 256, 10);
  assert.equal(shareTaken(admission), 1 / 2);
  leave(admission, 20 * 256, 10);
  assert.equal(shareTaken(admission), 1 / 64);
  leave(admission, 256, 80);
  assert.equal(shareTaken(admission), 1 / 32);
  leave(admission, 20 * 256, 80);
  assert.equal(shareTaken(admission), 1);
});

test('in between nothing changes', () => {
  const admission = new SampledAdmission(1 / 4, 1 / 2, 1 / 64);
  leave(admission, 256, 10);
  leave(admission, 20 * 256, 40);
  assert.equal(shareTaken(admission), 1 / 2);
});
