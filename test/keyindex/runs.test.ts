/** Runs of a key index against a plain list of entries: building, probing, merging, and bytes that were damaged. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../../src/core/index.ts';
import { KeyHash } from '../../src/keyindex/key-hash.ts';
import { KeyRun } from '../../src/keyindex/key-run.ts';
import { PAGE_ENTRIES } from '../../src/keyindex/run-layout.ts';
import { mergeRuns } from '../../src/keyindex/run-merge.ts';
import { type Entry, randomEntries, runBytes } from './entries.ts';
import { randomOf, seedOf } from './seed.ts';

function probed(run: KeyRun, high: number, low: number): readonly number[] {
  const found: number[] = [];
  assert.equal(run.probe(high, low, found, Number.POSITIVE_INFINITY), 'all');
  return found;
}

test('a run answers as a plain list of its entries does, whatever repeats', () => {
  const seed = seedOf('runs');
  const random = randomOf(seed);
  let probes = 0;
  for (let round = 0; round < 60; round += 1) {
    const entries = randomEntries(random, Math.floor(random() ** 3 * 6 * PAGE_ENTRIES));
    const run = KeyRun.open(runBytes(entries, [{ id: 'a', firstRow: 0, rows: entries.length }]));
    assert.equal(run.entries, entries.length);
    const asked = [...entries.slice(0, 200), ...randomEntries(random, 100), { high: 0, low: 0 }];
    for (const { high, low } of asked) {
      const expected = entries.filter((entry) => entry.high === high && entry.low === low);
      assert.deepEqual(
        probed(run, high, low),
        expected.map(({ position }) => position),
        `seed ${seed}, round ${round}`,
      );
      probes += 1;
    }
  }
  assert.ok(probes > 10_000, `${probes} probes`);
});

test('a probe says when there are more entries than it may give', () => {
  const entries = Array.from({ length: 3 * PAGE_ENTRIES }, (_, position) => ({ high: 7, low: 1, position }));
  const run = KeyRun.open(runBytes(entries, [{ id: 'a', firstRow: 0, rows: entries.length }]));
  const found: number[] = [];
  assert.equal(run.probe(7, 1, found, 5), 'more');
  assert.deepEqual(found, [0, 1, 2, 3, 4]);
  assert.equal(run.probe(7, 2, found, 0), 'all');
});

test('merged runs answer as their sources do for the files that stay', () => {
  const seed = seedOf('merge');
  const random = randomOf(seed);
  for (let round = 0; round < 40; round += 1) {
    const sources = Array.from({ length: 1 + Math.floor(random() * 5) }, (_, source) => {
      const entries = randomEntries(random, Math.floor(random() * 2 * PAGE_ENTRIES));
      const cut = Math.floor(random() * entries.length);
      const files = [
        { id: `${source}a`, firstRow: 0, rows: cut },
        { id: `${source}b`, firstRow: 7, rows: entries.length - cut },
      ];
      return { entries, run: KeyRun.open(runBytes(entries, files)) };
    });
    const gone = new Set(sources.flatMap(({ run }) => run.files.map(({ id }) => id)).filter(() => random() < 0.3));
    const parts: Uint8Array[] = [];
    mergeRuns(
      sources.map(({ run }) => run),
      (source, file) => !gone.has(sources[source]?.run.files[file]?.id ?? ''),
      (bytes) => parts.push(bytes),
    );
    const merged = KeyRun.open(Uint8Array.from(Buffer.concat(parts)));
    const placesOf = (run: KeyRun, { high, low }: Entry) =>
      probed(run, high, low).map((position) => {
        const file = run.fileOf(position);
        return `${run.files[file]?.id} ${position - (run.firstPositions[file] ?? 0)}`;
      });
    const stays = (place: string) => !gone.has(place.split(' ')[0] ?? '');
    for (const entry of sources.flatMap(({ entries }) => entries.slice(0, 50))) {
      const expected = sources.flatMap(({ run }) => placesOf(run, entry)).filter(stays);
      assert.deepEqual(placesOf(merged, entry), expected, `seed ${seed}, round ${round}`);
    }
    const live = sources.flatMap(({ run }) => run.files).filter(({ id }) => !gone.has(id));
    assert.deepEqual(merged.files, live);
  }
});

test('a run with any byte changed or missing is refused', () => {
  const seed = seedOf('damage');
  const random = randomOf(seed);
  const entries = randomEntries(random, 2 * PAGE_ENTRIES + 5);
  const good = runBytes(entries, [{ id: 'a', firstRow: 0, rows: entries.length }]);
  const refuses = (bytes: Uint8Array, what: string) =>
    assert.throws(
      () => KeyRun.open(bytes),
      (thrown) => thrown instanceof ServiceError && thrown.kind === 'corrupt',
      `seed ${seed}: ${what}`,
    );
  for (let round = 0; round < 500; round += 1) {
    const at = Math.floor(random() * good.length);
    const bytes = Uint8Array.from(good);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    refuses(bytes, `bit of byte ${at}`);
    refuses(good.slice(0, at), `cut at ${at}`);
  }
  refuses(runBytes(entries, [{ id: 'a', firstRow: 0, rows: entries.length - 1 }]), 'a row that no file has');
});

test('fingerprints of neighbouring keys, and of parts that could flow together, differ and are evenly spread', () => {
  const hash = new KeyHash();
  const seen = new Set<number>();
  const buckets = new Uint32Array(256);
  let keys = 0;
  const take = () => {
    hash.finish();
    seen.add(hash.high * 256 + hash.low);
    buckets[hash.high >>> 24]! += 1;
    keys += 1;
  };
  for (let key = 0; key < 50_000; key += 1) {
    hash.start().addInt64(key, 0);
    take();
    hash.start().addInt64(0, key + 1);
    take();
    hash.start().addInt64(key | 0x8000_0000, 0x8000_0000);
    take();
    const text = Buffer.from(`user-${key}`);
    hash.start().addBytes(text, 0, text.length);
    take();
    hash.start().addBytes(text, 0, 5).addBytes(text, 5, text.length);
    take();
  }
  assert.equal(seen.size, keys);
  const mean = keys / 256;
  for (const count of buckets) assert.ok(Math.abs(count - mean) < 6 * Math.sqrt(mean), `${count} against ${mean}`);
});
