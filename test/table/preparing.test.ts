/** The next snapshot is warmed before the switch, while the last one serves; whatever that does, the switch comes. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Budget, MemoryTier } from '../../src/cache/index.ts';
import { Stores } from '../../src/storage/index.ts';
import { type Prepare, Table, TableSource, tableDefinition } from '../../src/table/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';

const rows = (count: number) =>
  parquetBytes([{ name: 'id', data: Array.from({ length: count }, (_, i) => i), type: 'INT32', nullable: false }]);

async function tableWith(context: TestContext, prepare: Prepare) {
  const folder = scratchFolder(context);
  const clock = new ManualClock();
  const stores = new Stores({ s3: {} });
  context.after(() => stores.close());
  const definition = tableDefinition('t', `${folder}/`, ['id']);
  const lines: string[] = [];
  const hooks = { prepare, log: (line: string) => lines.push(line) };
  const source = new TableSource(definition.source, stores);
  const table = new Table(definition, source, new MemoryTier(new Budget(64 * 2 ** 20)), clock, undefined, hooks);
  const write = (count: number) => writeFileSync(join(folder, 'a.parquet'), rows(count));
  write(5);
  await table.refresh();
  return { table, clock, write, lines };
}

test('while it is prepared the old snapshot serves; the first one is not waited for', async (context) => {
  const calls: string[] = [];
  const began = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { table, write, lines } = await tableWith(context, async (next, before, signal) => {
    calls.push(`${before.rows} -> ${next.rows} ${signal.aborted}`);
    began.resolve();
    await goOn.promise;
  });
  assert.deepEqual(calls, []);
  write(9);
  const refreshed = table.refresh();
  await began.promise;
  assert.equal(table.current().rows, 5);
  goOn.resolve();
  assert.equal((await refreshed).rows, 9);
  assert.equal(table.current().rows, 9);
  await table.refresh();
  assert.deepEqual(calls, ['5 -> 9 false'], 'nothing new is nothing to prepare');
  assert.deepEqual(lines, []);
});

test('a failure is logged and no more', async (context) => {
  const { table, write, lines } = await tableWith(context, async () => {
    throw new Error('no room');
  });
  write(9);
  assert.equal((await table.refresh()).rows, 9);
  assert.deepEqual(lines, ['table t: its next snapshot was not warmed: no room']);
  assert.equal(table.error, undefined);
});

/** Never ends by itself, as the worst one. */
function endless() {
  const began = Promise.withResolvers<void>();
  const seen: { signal?: AbortSignal } = {};
  const prepare: Prepare = (_next, _before, signal) => {
    seen.signal = signal;
    began.resolve();
    return new Promise(() => undefined);
  };
  return { prepare, began: began.promise, seen };
}

test('it has ten seconds', async (context) => {
  const { prepare, began, seen } = endless();
  const { table, clock, write } = await tableWith(context, prepare);
  write(9);
  const refreshed = table.refresh();
  await began;
  clock.advance(9_999);
  assert.equal(seen.signal?.aborted, false);
  clock.advance(1);
  assert.equal((await refreshed).rows, 9);
  assert.equal(seen.signal?.aborted, true);
  assert.equal(clock.sleeping, 0);
});

test('a request that waits for the snapshot ends it, and leaves nothing for later', async (context) => {
  const { prepare, began, seen } = endless();
  const { table, write } = await tableWith(context, prepare);
  write(9);
  const patient = table.refresh();
  await began;
  assert.equal((await table.refresh(undefined, { isUrgent: true })).rows, 9);
  assert.equal((await patient).rows, 9);
  assert.equal(seen.signal?.aborted, true);
  write(11);
  assert.equal((await table.refresh(undefined, { isUrgent: true })).rows, 11, 'urgent from the beginning');
});

test('whoever leaves takes the refresh along, and the old snapshot stays', async (context) => {
  const { prepare, began } = endless();
  const { table, write } = await tableWith(context, prepare);
  write(9);
  const leaving = new AbortController();
  const refreshed = table.refresh(leaving.signal);
  await began;
  leaving.abort(new Error('gone'));
  await assert.rejects(refreshed, /gone/);
  assert.equal(table.current().rows, 5);
  assert.equal((await table.refresh(undefined, { isUrgent: true })).rows, 9);
});
