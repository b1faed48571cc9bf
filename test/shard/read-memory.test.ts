/** Memory for reads: what two hold at once never overlaps, and what somebody may write to still is not used again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Lease, ReadMemory } from '../../src/shard/read-memory.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';

const SIZE = 1000;

function leased(memory: ReadMemory, bytes: number): Lease {
  const lease = memory.lease(bytes);
  assert.ok(lease !== undefined && lease.bytes.length === bytes);
  return lease;
}

test('what does not fit is not there, until all is given back', () => {
  const memory = new ReadMemory(SIZE);
  assert.equal(memory.lease(SIZE + 1), undefined);
  const [first, second] = [leased(memory, 600), leased(memory, 400)];
  assert.equal(memory.lease(1), undefined);
  first.giveBack();
  assert.equal(memory.lease(1), undefined);
  second.giveBack();
  const again = leased(memory, SIZE);
  assert.equal(again.bytes.buffer, first.bytes.buffer, 'the same memory');
  assert.throws(() => second.giveBack(), /a lease ends once/);
});

test('memory that is made ready is used by the leases, and not made ready under them', () => {
  const memory = new ReadMemory(SIZE);
  memory.prepare();
  const lease = leased(memory, 10);
  lease.bytes.fill(7);
  memory.prepare();
  assert.ok(lease.bytes.every((byte) => byte === 7));
});

test(`leases at once lie apart, also of what was abandoned, seed ${FUZZ_SEED}`, () => {
  const random = randomFrom(FUZZ_SEED);
  const memory = new ReadMemory(SIZE);
  const abandoned: Uint8Array[] = [];
  let held: { readonly lease: Lease; readonly mark: number }[] = [];
  for (let step = 1; step < 5000; step++) {
    const mark = 1 + (step % 250);
    const lease = random() < 0.6 ? memory.lease(1 + Math.floor(random() * 300)) : undefined;
    if (lease !== undefined) {
      lease.bytes.fill(mark);
      held.push({ lease, mark });
    }
    // Who was not waited for writes when it likes.
    for (const bytes of abandoned.slice(-10)) bytes.fill(255);
    for (const one of held) assert.ok(one.lease.bytes.every((byte) => byte === one.mark));
    const [ended] = random() < 0.5 ? held.splice(Math.floor(random() * held.length), 1) : [];
    if (ended === undefined) continue;
    if (random() < 0.1) {
      abandoned.push(ended.lease.bytes);
      ended.lease.abandon();
    } else ended.lease.giveBack();
    if (step % 500 === 0) {
      for (const { lease: left } of held) left.giveBack();
      held = [];
    }
  }
});
