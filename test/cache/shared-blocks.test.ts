/** Blocks read by other threads while they are admitted and evicted as fast as it goes: no reader sees half of one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Budget, MemoryTier, ReaderEpochs, type SlabReaders } from '../../src/cache/index.ts';
import { EpochReader } from '../../src/cache/reader-epochs.ts';
import { BufferViews } from '../../src/core/index.ts';
import type { SharedReaderData } from './shared-reader.ts';

const SLOTS = 8_000;
/** At least, and at most while readers are too slow for much to leave. */
const ADMITTED = 60_000;
const ADMITTED_MAX = 20 * ADMITTED;
const EVICTED = 10_000;

interface Counts {
  readonly read: number;
  readonly torn: number;
}

/** Two readers, and a writer that admits blocks of random length in random slots, far more than fit. */
async function run(isGuarded: boolean): Promise<Counts> {
  const epochs = new ReaderEpochs();
  const places = new Int32Array(new SharedArrayBuffer(4 * (SLOTS + 1)));
  const workers: Worker[] = [];
  const dropped = new Map<number, { left: number; done: () => void }>();
  let tickets = 0;
  const tell = (message: unknown) => {
    for (const worker of workers) worker.postMessage(message);
  };
  const readers: SlabReaders = {
    epochs,
    slabAdded: (slab, buffer) => tell({ kind: 'slab', slab, buffer }),
    slabDropped: (slab) =>
      new Promise((done) => {
        tickets += 1;
        dropped.set(tickets, { left: workers.length, done });
        tell({ kind: 'noSlab', slab, ticket: tickets });
      }),
  };
  const tier = new MemoryTier(new Budget(1.5 * 2 ** 20), readers);
  const outcome: Promise<Counts>[] = [];
  for (const reader of [0, 1]) {
    const { slabBytes } = tier.slabs;
    const data: SharedReaderData = { reader, epochs: epochs.words, places, slabBytes, isGuarded };
    const worker = new Worker(new URL('./shared-reader.ts', import.meta.url), { workerData: data });
    workers.push(worker);
    const counts = Promise.withResolvers<Counts>();
    outcome.push(counts.promise);
    worker.on('error', counts.reject);
    worker.on('message', (message) => {
      const asked = dropped.get(message.ticket);
      if (asked === undefined) return counts.resolve(message);
      asked.left -= 1;
      if (asked.left === 0) asked.done();
    });
  }
  const id = tier.register({
    locationOf: (slot) => places[slot] ?? 0,
    admitted: (slot, location) => void Atomics.store(places, slot, location),
    moved: (slot, location) => void Atomics.store(places, slot, location),
    evicted: (slot) => void Atomics.store(places, slot, 0),
    // Some stay and move.
    takeRead: (slot) => slot % 3 === 0,
  });
  let random = 7;
  for (let i = 0; i < ADMITTED || (tier.stats.evicted <= EVICTED && i < ADMITTED_MAX); i++) {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    const slot = 1 + (random % SLOTS);
    const words = new Int32Array(64 + (random % 400)).fill(slot);
    words[1] = words.length;
    tier.admit(id, slot, 0, { views: new BufferViews(words.buffer), byteOffset: 0, byteLength: words.byteLength });
    await tier.settled();
    if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  tell({ kind: 'over' });
  const [first, second] = (await Promise.all(outcome)) as [Counts, Counts];
  const { admitted, evicted, refused } = tier.stats;
  assert.ok(evicted > EVICTED, `${evicted} of ${admitted} blocks left, ${refused} were refused`);
  return { read: first.read + second.read, torn: first.torn + second.torn };
}

test('readers in other threads see whole blocks only, however fast they come and go', async (context) => {
  const { read, torn } = await run(true);
  context.diagnostic(`${read} blocks read by two threads, ${torn} torn`);
  assert.ok(read > 100, `${read} blocks were read`);
  assert.equal(torn, 0);
});

test('without the announcements the same readers see torn blocks: what guards them is needed', async (context) => {
  const { read, torn } = await run(false);
  context.diagnostic(`${read} blocks read by two threads, ${torn} torn`);
  assert.ok(torn > 0, `${torn} of ${read} were torn`);
});

test('what was put out of sight may be written when nobody can be in it any more', () => {
  const epochs = new ReaderEpochs();
  const early = new EpochReader(epochs.words, 0);
  const late = new EpochReader(epochs.words, 63);
  early.enter();
  const retired = epochs.retire();
  assert.equal(epochs.isPassed(retired), false, 'a reader began before');
  late.enter();
  early.leave();
  assert.equal(epochs.isPassed(retired), true, 'the one that is left began after');
  const again = epochs.retire();
  assert.equal(epochs.isPassed(again), false);
  epochs.end(63);
  assert.equal(epochs.isPassed(again), true, 'its thread is gone');
});

test('epochs may go round: none is idle, and order holds', () => {
  const epochs = new ReaderEpochs();
  epochs.words[0] = 2 ** 31 - 1;
  const reader = new EpochReader(epochs.words, 5);
  reader.enter();
  const retired = epochs.retire();
  assert.equal(epochs.isPassed(retired), false);
  reader.leave();
  reader.enter();
  assert.equal(epochs.isPassed(retired), true);
  epochs.words[0] = -1;
  reader.enter();
  assert.equal(epochs.isPassed(epochs.retire()), false, 'epoch -1 is followed by 1, and is not idle');
});
