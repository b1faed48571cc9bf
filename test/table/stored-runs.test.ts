/** Runs on disk: a restart has them, another table does not, and a damaged one is missing. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Budget, DiskCache, MemoryTier } from '../../src/cache/index.ts';
import { systemClock } from '../../src/core/index.ts';
import { KeyRun, RunBuilder, runInMemory } from '../../src/keyindex/index.ts';
import { KeyMemory, StoredRuns } from '../../src/table/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const memory = new KeyMemory(new MemoryTier(new Budget(2 ** 27)));

function runOf(id: string, rows: number): KeyRun {
  const builder = new RunBuilder(rows);
  for (let row = 0; row < rows; row++) builder.add(row * 1000, row % 256, row);
  return KeyRun.open(runInMemory((sink) => builder.finish([{ id, firstRow: 0, rows }], sink)));
}

async function openCache(context: TestContext, path: string): Promise<DiskCache> {
  const cache = DiskCache.open({ path, sizeBytes: 64 * 2 ** 20, clock: systemClock, log: () => undefined });
  assert.ok(cache !== undefined);
  context.after(() => cache.close());
  return cache;
}

test('what is kept is there after a restart, under its own table only', async (context) => {
  const path = scratchFolder(context);
  const first = await openCache(context, path);
  const stored = new StoredRuns(first.indexes, memory, ['t', 's3://b/t/', 'k']);
  const [one, two, three] = [runOf('a', 1000), runOf('b', 5), runOf('c', 0)];
  for (const run of [one, two, three]) await stored.keep(run);
  await stored.drop([two]);
  assert.equal(stored.named().length, 2);
  await first.close();

  const second = await openCache(context, path);
  const again = new StoredRuns(second.indexes, memory, ['t', 's3://b/t/', 'k']);
  const loaded = again.load();
  assert.deepEqual(loaded.map((run) => run.files[0]?.id).sort(), ['a', 'c']);
  assert.deepEqual(loaded.find((run) => run.entries > 0)?.bytes, one.bytes);
  await again.keep(runOf('d', 3));
  assert.equal(new Set(again.named()).size, 3);
  assert.deepEqual(new StoredRuns(second.indexes, memory, ['t', 's3://b/t/', 'other']).load(), []);
});

test('a damaged run is missing', async (context) => {
  const path = scratchFolder(context);
  const first = await openCache(context, path);
  await new StoredRuns(first.indexes, memory, ['t']).keep(runOf('a', 1000));
  await first.close();
  const folder = join(path, 'indexes');
  const [name] = readdirSync(folder);
  const file = join(folder, name ?? '');
  const bytes = readFileSync(file);
  bytes[5000] = (bytes[5000] ?? 0) ^ 4;
  writeFileSync(file, bytes);
  const second = await openCache(context, path);
  assert.deepEqual(new StoredRuns(second.indexes, memory, ['t']).load(), []);
});
