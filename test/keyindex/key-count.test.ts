/** Rows and keys of runs against plain sets, with fingerprints that many keys share and files that are left out. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countKeys } from '../../src/keyindex/key-count.ts';
import { KeyRun } from '../../src/keyindex/key-run.ts';
import { PAGE_ENTRIES } from '../../src/keyindex/run-layout.ts';
import { randomEntries, runBytes } from './entries.ts';
import { randomOf, seedOf } from './seed.ts';

test('runs are counted as plain sets of fingerprint and group are', () => {
  const seed = seedOf('key-count');
  const random = randomOf(seed);
  let most = 0;
  for (let round = 0; round < 60; round += 1) {
    const keys = new Set<string>();
    let rows = 0;
    const groups: Int32Array[] = [];
    const runs = Array.from({ length: Math.floor(random() * 6) }, (_, run) => {
      const entries = randomEntries(random, Math.floor(random() * 2 * PAGE_ENTRIES));
      const cut = Math.floor(random() * entries.length);
      const own = Int32Array.from([0, 1], () => Math.floor(random() * 3) - (round % 2));
      groups.push(own);
      for (const { high, low, position } of entries) {
        const group = own[position < cut ? 0 : 1]!;
        if (group < 0) continue;
        rows += 1;
        keys.add(`${high} ${low} ${group}`);
      }
      const files = [
        { id: `${run} a`, firstRow: 0, rows: cut },
        { id: `${run} b`, firstRow: 0, rows: entries.length - cut },
      ];
      return KeyRun.open(runBytes(entries, files));
    });
    const counted = countKeys(runs, groups);
    assert.deepEqual([counted.rows, counted.keysAtLeast], [rows, keys.size], `seed ${seed}, round ${round}`);
    most = Math.max(most, rows - keys.size);
  }
  assert.ok(most > 100, `${most} duplicates`);
});

test('keys that share a fingerprint pass for one, and how many are likely to is told', () => {
  const entries = Array.from({ length: 1000 }, (_, position) => ({ high: position >> 1, low: 0, position }));
  const run = KeyRun.open(runBytes(entries, [{ id: 'a', firstRow: 0, rows: 1000 }]));
  const { rows, keysAtLeast, alikeByChance } = countKeys([run], [Int32Array.of(0)]);
  assert.deepEqual([rows, keysAtLeast], [1000, 500]);
  assert.equal(alikeByChance, (500 * 499) / 2 / 2 ** 40);
});
