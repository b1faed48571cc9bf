/** Runs whose pages are had one by one, against the same runs in memory: whatever repeats, is slow, evicted or damaged. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyRun, PageCache, RunBuilder, type RunReader } from '../../src/keyindex/index.ts';
import { PAGE_BYTES, PAGE_ENTRIES } from '../../src/keyindex/run-layout.ts';
import { randomOf, seedOf } from './seed.ts';

interface Bytes extends RunReader {
  reads: number;
  isSlow: boolean;
}

function readerOf(run: Uint8Array): Bytes {
  const fill = (at: number, bytes: Uint8Array) => {
    const part = run.subarray(at, at + bytes.length);
    bytes.set(part);
    return part.length === bytes.length;
  };
  const reader: Bytes = {
    byteLength: run.length,
    reads: 0,
    isSlow: false,
    readSync: fill,
    readNow: (at, bytes) => {
      if (reader.isSlow) return false;
      reader.reads += 1;
      return fill(at, bytes);
    },
    read: async (at, bytes) => {
      reader.reads += 1;
      if (!fill(at, bytes)) throw new Error('cut short');
    },
    close: () => undefined,
  };
  return reader;
}

function cacheOf(pagesMax: number) {
  let bytesMax = pagesMax * (PAGE_BYTES + 256);
  let charged = 0;
  const cache = new PageCache({
    bytesMax: () => bytesMax,
    onBytes: (change) => {
      charged += change;
    },
  });
  return {
    cache,
    charged: () => charged,
    shrinkTo: (pages: number) => {
      bytesMax = pages * (PAGE_BYTES + 256);
      cache.trim();
    },
  };
}

function randomRun(random: () => number, count: number): Uint8Array {
  const builder = new RunBuilder(count);
  // Few fingerprints for some, so that one has entries over several pages.
  const spread = 2 ** Math.ceil(random() * 32);
  for (let row = 0; row < count; row += 1) builder.add(Math.floor(random() * spread), Math.floor(random() * 2), row);
  const parts: Uint8Array[] = [];
  builder.finish([{ id: 'a', firstRow: 0, rows: count }], (bytes) => parts.push(bytes));
  return Uint8Array.from(Buffer.concat(parts));
}

test('a run on disk answers as it does in memory, at once or by waiting, and holds no more pages than it may', async () => {
  const seed = seedOf('stored pages');
  const random = randomOf(seed);
  let unread = 0;
  for (let round = 0; round < 40; round += 1) {
    const bytes = randomRun(random, Math.ceil(random() ** 2 * 12 * PAGE_ENTRIES));
    const whole = KeyRun.open(bytes);
    const reader = readerOf(bytes);
    const held = cacheOf(Math.floor(random() * 4));
    const damaged: unknown[] = [];
    const run = KeyRun.openStored(reader, {
      cache: held.cache,
      onDamage: (thrown) => damaged.push(thrown),
      counts: { reads: 0, hits: 0 },
    });
    for (let probe = 0; probe < 200; probe += 1) {
      reader.isSlow = random() < 0.3;
      const page = whole.page(Math.floor(random() * whole.pages));
      const high = random() < 0.8 ? (page.words[1 + Math.floor(random() * 400)] ?? 0) : Math.floor(random() * 2 ** 32);
      const low = Math.floor(random() * 2);
      const limit = random() < 0.2 ? 3 : 10_000;
      const expected: number[] = [];
      const outcome = whole.probe(high, low, expected, limit);
      const now: number[] = [];
      const probed = run.probe(high, low, now, limit);
      const aside: number[] = [];
      const told = `seed ${seed}, round ${round}, probe ${probe}`;
      assert.equal(await run.probeAside(high, low, aside, limit), outcome, told);
      assert.deepEqual(aside, expected, told);
      if (probed === 'unread') unread += 1;
      else assert.deepEqual([probed, now], [outcome, expected], told);
      assert.equal(held.charged(), held.cache.byteLength);
      if (random() < 0.02) held.shrinkTo(Math.floor(random() * 4));
    }
    assert.deepEqual(damaged, []);
    run.close();
    assert.equal(held.charged(), 0, 'a closed run keeps no page');
  }
  assert.ok(unread > 100, `${unread} probes had to wait`);
});

test('a probe costs one read at most, or as many as the fingerprint has pages, and none when they are cached', () => {
  const count = 20 * PAGE_ENTRIES;
  const builder = new RunBuilder(count);
  for (let row = 0; row < count; row += 1) builder.add(Math.floor((row / count) * 2 ** 32), 0, row);
  const parts: Uint8Array[] = [];
  builder.finish([{ id: 'a', firstRow: 0, rows: count }], (bytes) => parts.push(bytes));
  const reader = readerOf(Uint8Array.from(Buffer.concat(parts)));
  const counts = { reads: 0, hits: 0 };
  const run = KeyRun.openStored(reader, { cache: cacheOf(20).cache, onDamage: () => assert.fail(), counts });
  assert.ok(run.byteLength < run.runBytes / 100, `${run.byteLength} bytes in memory of ${run.runBytes}`);
  const probeAll = () => {
    for (let row = 0; row < count; row += 7) {
      const found: number[] = [];
      run.probe(Math.floor((row / count) * 2 ** 32), 0, found, 10);
      assert.deepEqual(found, [row]);
    }
  };
  probeAll();
  assert.deepEqual([reader.reads, counts.reads], [20, 20]);
  const { hits } = counts;
  probeAll();
  assert.deepEqual([reader.reads, counts.reads], [20, 20]);
  assert.ok(counts.hits >= hits + count / 7);
});

test('any bit of a page that changes on disk is found, told once, and never taken for an absent key', async () => {
  const seed = seedOf('damaged pages');
  const random = randomOf(seed);
  const good = randomRun(random, 3 * PAGE_ENTRIES + 50);
  const whole = KeyRun.open(good);
  for (let round = 0; round < 300; round += 1) {
    const bytes = Uint8Array.from(good);
    const damagedPage = Math.floor(random() * whole.pages);
    const at = damagedPage * PAGE_BYTES + Math.floor(random() * PAGE_BYTES);
    const damaged: unknown[] = [];
    const run = KeyRun.openStored(readerOf(bytes), {
      cache: cacheOf(8).cache,
      onDamage: (thrown) => damaged.push(thrown),
      counts: { reads: 0, hits: 0 },
    });
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    const { words, bytes: lows } = whole.page(damagedPage);
    const [high, low] = [words[1 + 10] ?? 0, lows[3636 + 10] ?? 0];
    assert.equal(run.probe(high, low, [], 10_000), 'unread', `seed ${seed}: bit of byte ${at}`);
    await assert.rejects(run.probeAside(high, low, [], 10_000), /page \d+ of a key index is damaged/);
    assert.equal(damaged.length, 1);
  }
});

test('a run that was cut short, or whose directory changed, is not opened', () => {
  const seed = seedOf('damaged directory');
  const random = randomOf(seed);
  const good = randomRun(random, 3 * PAGE_ENTRIES);
  const keeping = { cache: cacheOf(8).cache, onDamage: () => undefined, counts: { reads: 0, hits: 0 } };
  for (let round = 0; round < 300; round += 1) {
    const cut = Math.floor(random() * good.length);
    assert.throws(() => KeyRun.openStored(readerOf(good.subarray(0, cut)), keeping), `seed ${seed}: cut at ${cut}`);
    const bytes = Uint8Array.from(good);
    const at = good.length - 1 - Math.floor(random() * (good.length - 3 * PAGE_BYTES));
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    assert.throws(() => KeyRun.openStored(readerOf(bytes), keeping), `seed ${seed}: bit of byte ${at}`);
  }
});
