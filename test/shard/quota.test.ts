/** A table with a quota of memory answers what it does without one, and takes no more than it may. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PointlakeNode } from '../../src/main.ts';
import { parsePreload, type Snapshot, type Table } from '../../src/table/index.ts';
import { IoTrace } from '../support/io-trace.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const MIB = 2 ** 20;
const ROWS = 40_000;
const QUOTA_BYTES = 2 * MIB;
const ids = Array.from({ length: ROWS }, (_, id) => id);
const texts = ids.map((id) => `text of ${id} ${'x'.repeat(100 + (id % 50))}`);
const kinds = ids.map((id) => `kind ${id % 300} ${'y'.repeat(40)}`);

function write(path: string): string {
  return writeParquet(path, [
    { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
    { name: 'text', data: texts, type: 'STRING', encoding: 'PLAIN', nullable: false },
    { name: 'kind', data: kinds, type: 'STRING', encoding: 'RLE_DICTIONARY', nullable: false },
  ]);
}

interface TwoTables {
  readonly node: PointlakeNode;
  readonly trace: IoTrace;
  readonly limited: Table;
  readonly free: Table;
}

async function twoTables(context: TestContext): Promise<TwoTables> {
  const folder = scratchFolder(context);
  const trace = new IoTrace();
  const tables = ['limited', 'free'].map((name) => ({
    name,
    source: write(join(folder, `${name}.parquet`)),
    key: ['id'],
    options: { memoryQuotaBytes: name === 'limited' ? QUOTA_BYTES : undefined },
  }));
  const node = nodeOf(context, tables, { wrapStores: (stores) => trace.wrap(stores), cacheMemoryBytes: 64 * MIB });
  const [limited, free] = [node.catalog.get('limited'), node.catalog.get('free')];
  await Promise.all([limited.refresh(), free.refresh()]);
  return { node, trace, limited, free };
}

async function assertRow(node: PointlakeNode, snapshot: Snapshot, id: number): Promise<void> {
  const projection = snapshot.projection(undefined);
  const { json } = await node.engine.row(snapshot, keyOf(snapshot, `${id}`), projection, noDeadline);
  assert.equal(json, JSON.stringify({ id, text: texts[id], kind: kinds[id] }));
}

test('a table that is read all through keeps within its quota and answers right; the other one reads nothing again', async (context) => {
  const { node, trace, limited, free } = await twoTables(context);
  for (let id = 0; id < ROWS; id += 100) await assertRow(node, free.current(), id);
  const freeBytes = free.quota.usedBytes;
  assert.ok(freeBytes > 1.5 * QUOTA_BYTES, `${freeBytes} bytes are of the table without a quota`);
  for (let round = 0; round < 3; round++) {
    for (let id = round; id < ROWS; id += 100) {
      await assertRow(node, limited.current(), id);
      assert.ok(limited.quota.usedBytes <= QUOTA_BYTES, `${limited.quota.usedBytes} bytes at ${id}`);
    }
  }
  assert.ok(limited.quota.usedBytes > QUOTA_BYTES / 2, `${limited.quota.usedBytes} bytes of the quota are used`);
  assert.equal(free.quota.usedBytes, freeBytes);
  assert.equal(node.tier.stats.bytes, freeBytes + limited.quota.usedBytes);
  trace.clear();
  // Of two columns, so that no encoded row answers.
  const [snapshot, names] = [free.current(), ['text', 'kind']];
  for (let id = 0; id < ROWS; id += 100) {
    const row = await node.engine.row(snapshot, keyOf(snapshot, `${id}`), snapshot.projection(names), noDeadline);
    assert.equal(row.json, JSON.stringify({ text: texts[id], kind: kinds[id] }));
  }
  assert.equal(trace.gets.length, 0);
});

test('a preload that does not fit in the quota is refused, and one that does stays', async (context) => {
  const { node, limited } = await twoTables(context);
  await assert.rejects(
    node.preloader.begin(limited, parsePreload({ columns: 'all' })),
    ({ code, message, context }) => {
      assert.equal(code, 'preload_too_large');
      assert.match(message, /raise its quota/);
      assert.equal(context.room, QUOTA_BYTES);
      return true;
    },
  );
  const { job } = await node.preloader.begin(limited, parsePreload({ keys: true, verify: true }));
  while (job.state === 'running') await new Promise(setImmediate);
  assert.equal(job.state, 'done');
  assert.equal(job.verified?.resident, job.verified?.pages);
  assert.ok(limited.quota.usedBytes > 4 * ROWS);
});

test('what a closed table held is counted out when its blocks leave', async (context) => {
  const { node, limited, free } = await twoTables(context);
  for (let id = 0; id < ROWS; id += 500) await assertRow(node, limited.current(), id);
  for (let id = 0; id < ROWS; id += 500) await assertRow(node, free.current(), id);
  node.forgetTable(limited);
  node.tier.budget.charge('metadata', 64 * MIB);
  node.tier.trim();
  await node.tier.settled();
  assert.deepEqual([limited.quota.usedBytes, free.quota.usedBytes, node.tier.stats.bytes], [0, 0, 0]);
  node.tier.budget.release('metadata', 64 * MIB);
});
