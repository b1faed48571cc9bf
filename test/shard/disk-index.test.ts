/**
 * Key indexes that do not fit in memory, against the rows as they were written: files that join, leave and are replaced,
 * restarts and crashes, damaged runs, and memory for a small part of the index only.
 */

import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import type { NodeOptions, PointlakeNode } from '../../src/main.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { IoTrace } from '../support/io-trace.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const DISK_BYTES = 256 * 2 ** 20;
const ROWS = 4000;
/** An eighth is for key indexes: a tenth of what eight files of 4,000 keys take. */
const CACHE_BYTES = 232_000;

/** Keys of one stretch of numbers in no order; some are left out. What is served of it, by key. */
function writeFile(folder: string, ordinal: number, version: number, random: () => number): Map<number, string> {
  const keys = Array.from({ length: ROWS }, (_, row) => ordinal * ROWS + row).filter(() => random() < 0.97);
  for (let i = keys.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [keys[i], keys[j]] = [keys[j]!, keys[i]!];
  }
  const values = keys.map((key) => `${key} of version ${version}`);
  writeParquet(
    join(folder, `${ordinal}.parquet`),
    [
      { name: 'k', data: keys, type: 'INT32', nullable: false },
      { name: 'v', data: values, type: 'STRING' },
    ],
    { rowsPerRowGroup: 1000 },
  );
  return new Map(keys.map((key, i) => [key, values[i] ?? '']));
}

function openTable(context: TestContext, source: string, path: string, options: Partial<NodeOptions> = {}) {
  const node = nodeOf(context, [{ name: 't', source, key: ['k'], options: { index: 'hash', maxShrink: 1 } }], {
    cacheMemoryBytes: CACHE_BYTES,
    disk: { path, sizeBytes: DISK_BYTES },
    ...options,
  });
  const table = node.catalog.get('t');
  const indexing = node.indexings(table)[0];
  assert.ok(indexing !== undefined);
  return { node, table, indexing };
}

/** By both doors: what the synchronous one does not know it says so. */
async function valueAt(node: PointlakeNode, key: number): Promise<string | null> {
  const snapshot = node.catalog.get('t').current();
  const parsed = keyOf(snapshot, String(key));
  const projection = snapshot.projection(['v']);
  const now = node.engine.tryRow(snapshot, parsed, projection);
  const { json } = await node.engine.row(snapshot, parsed, projection, noDeadline);
  if (now !== undefined) assert.equal(now, json);
  return json;
}

async function checkAll(
  node: PointlakeNode,
  files: readonly (Map<number, string> | undefined)[],
  random: () => number,
) {
  let found = 0;
  for (let probe = 0; probe < 150; probe++) {
    const key = Math.floor(random() * (files.length + 1) * ROWS);
    const value = files[Math.trunc(key / ROWS)]?.get(key);
    assert.equal(
      await valueAt(node, key),
      value === undefined ? null : JSON.stringify({ v: value }),
      `key ${key}, seed ${FUZZ_SEED}`,
    );
    if (value !== undefined) found++;
  }
  return found;
}

test('whatever joins, leaves, is replaced, restarted or cut off, all keys are answered right', async (context) => {
  const random = randomFrom(FUZZ_SEED);
  const folder = scratchFolder(context);
  let path = scratchFolder(context);
  const files = Array.from({ length: 8 }, (_, ordinal): Map<number, string> | undefined =>
    writeFile(folder, ordinal, 0, random),
  );
  let opened = openTable(context, `${folder}/`, path);
  await opened.table.refresh();
  let found = 0;
  let fromDisk = 0;
  for (let round = 1; round <= 24; round++) {
    const { node, table, indexing } = opened;
    if (random() < 0.8) await indexing.idle();
    found += await checkAll(node, files, random);
    const { bytes, runsOnDisk, bytesOnDisk, state } = indexing.status;
    assert.notEqual(state, 'failed', indexing.status.error?.message ?? '');
    if (runsOnDisk > 0) fromDisk += 1;
    assert.ok(bytes <= CACHE_BYTES / 8, `${bytes} bytes in memory, ${bytesOnDisk} on disk`);
    assert.ok(node.tier.budget.usedBytes('keys') <= CACHE_BYTES / 8);
    const ordinal = Math.floor(random() * files.length);
    const step = random();
    if (step < 0.2) {
      rmSync(join(folder, `${ordinal}.parquet`), { force: true });
      files[ordinal] = undefined;
    } else if (step < 0.6) files[ordinal] = writeFile(folder, ordinal, round, random);
    else if (step < 0.8) {
      await node.close();
      opened = openTable(context, `${folder}/`, path);
    } else {
      // As a crash would leave it: what is on disk at some moment of building and merging.
      const crashed = scratchFolder(context);
      const refreshed = table.refresh();
      for (let turns = Math.floor(random() * 40); turns > 0; turns--)
        await new Promise((resolve) => setImmediate(resolve));
      cpSync(path, crashed, { recursive: true, filter: (from) => !from.endsWith('lock') });
      await refreshed;
      await indexing.idle();
      await node.close();
      path = crashed;
      opened = openTable(context, `${folder}/`, path);
    }
    if (!files.some((file) => file !== undefined)) files[0] = writeFile(folder, 0, round, random);
    await opened.table.refresh();
  }
  context.diagnostic(`seed ${FUZZ_SEED}: ${found} keys found, ${fromDisk} rounds with runs on disk`);
  assert.ok(found > 500 && fromDisk > 10, `${found} found, ${fromDisk} rounds`);
});

for (const harm of ['a flipped bit of a page', 'a file cut short', 'a file that is empty'] as const) {
  test(`${harm}: no key is taken for absent, and the run is made anew`, async (context) => {
    const random = randomFrom(FUZZ_SEED);
    const folder = scratchFolder(context);
    const path = scratchFolder(context);
    const files = [0, 1, 2].map((ordinal) => writeFile(folder, ordinal, 0, random));
    const first = openTable(context, `${folder}/`, path, { cacheMemoryBytes: 120_000 });
    await first.table.refresh();
    await first.indexing.idle();
    assert.ok(first.indexing.status.runsOnDisk > 0);
    await first.node.close();
    for (const name of readdirSync(join(path, 'indexes'))) {
      const file = join(path, 'indexes', name);
      const bytes = readFileSync(file);
      if (harm === 'a flipped bit of a page') {
        for (let at = 16 + 2000; at < bytes.length - 4096; at += 4096) bytes[at] = (bytes[at] ?? 0) ^ 64;
        writeFileSync(file, bytes);
      } else truncateSync(file, harm === 'a file cut short' ? bytes.length - 5000 : 0);
    }
    const second = openTable(context, `${folder}/`, path, { cacheMemoryBytes: 120_000 });
    await second.table.refresh();
    await checkAll(second.node, files, random);
    await second.indexing.idle();
    // No refresh comes: what was dropped is made anew all the same, and lookups find what else is damaged.
    await checkAll(second.node, files, random);
    await second.indexing.idle();
    assert.equal(second.indexing.status.state, 'ready', second.indexing.status.error?.message ?? '');
    assert.equal(second.indexing.status.filesIndexed, 3);
    assert.ok(second.indexing.status.runsOnDisk > 0);
    await checkAll(second.node, files, random);
  });
}

test('two million keys with 2 MiB for them: all are answered right, and absent ones nearly without a GET', async (context) => {
  const rows = 2_000_000;
  const folder = scratchFolder(context);
  const connection = await (await DuckDBInstance.create()).connect();
  await connection.run(
    `COPY (SELECT row * 3 AS k, 'v' || row AS v FROM range(${rows}) r(row) ORDER BY hash(row)) TO '${folder}/0.parquet' (FORMAT parquet)`,
  );
  connection.closeSync();
  const trace = new IoTrace();
  const options = { cacheMemoryBytes: 16 * 2 ** 20, wrapStores: trace.wrap };
  const path = scratchFolder(context);
  const first = openTable(context, `${folder}/`, path, options);
  await first.table.refresh();
  await first.indexing.idle();
  const { status } = first.indexing;
  assert.equal(status.state, 'ready', status.error?.message ?? '');
  assert.ok(status.runsOnDisk > 0 && status.runs <= 4, `${status.runsOnDisk} of ${status.runs} runs on disk`);
  assert.ok(status.bytesOnDisk > 8 * rows - 2 * 2 ** 20, `${status.bytesOnDisk} bytes on disk`);
  assert.ok(first.node.tier.budget.usedBytes('keys') <= 2 * 2 ** 20);
  await first.node.close();

  // Nothing is built again after a restart.
  const { node, table, indexing } = openTable(context, `${folder}/`, path, options);
  await table.refresh();
  assert.equal(indexing.status.filesIndexed, 1);
  trace.clear();
  const random = randomFrom(FUZZ_SEED);
  for (let probe = 0; probe < 20_000; probe++) {
    const absent = Math.floor(random() * rows) * 3 + 1;
    assert.equal(await valueAt(node, absent), null);
  }
  // Of 40 bits a fingerprint: one absent key in some 500,000 looks like one of two million.
  context.diagnostic(`seed ${FUZZ_SEED}: ${trace.gets.length} GETs for 20,000 absent keys`);
  assert.ok(trace.gets.length <= 20, `${trace.gets.length} GETs for 20,000 absent keys`);
  for (let probe = 0; probe < 40; probe++) {
    const row = Math.floor(random() * rows);
    assert.equal(await valueAt(node, row * 3), `{"v":"v${row}"}`);
  }
  assert.ok(node.tier.budget.usedBytes('keys') <= 2 * 2 ** 20);
});
