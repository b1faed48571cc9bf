/** A table is refreshed at its interval, with growing patience while it has nothing, and until it is told to stop. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ServiceError } from '../../src/core/index.ts';
import { keepFresh, type Table } from '../../src/table/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';

const rows = (count: number) =>
  parquetBytes([{ name: 'id', data: Array.from({ length: count }, (_, i) => i), type: 'INT32', nullable: false }]);

class Events {
  readonly seen: string[] = [];

  onSnapshot(table: Table): void {
    this.seen.push(`${table.snapshot?.rows} rows`);
  }

  onError(_table: Table, error: ServiceError): void {
    this.seen.push(error.code);
  }
}

/** Lets refreshes that were started come to their end. */
async function settle(clock: ManualClock): Promise<void> {
  for (let turn = 0; turn < 200 && clock.sleeping === 0; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(clock.sleeping, 1, 'it waits for its next turn');
}

test('a table without files is tried again, less and less often, until it has some; then at its interval', async (context) => {
  const folder = scratchFolder(context);
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'], options: { refreshMs: 60_000 } }]);
  const table = node.catalog.get('t');
  const clock = new ManualClock();
  const events = new Events();
  const stop = new AbortController();
  const middle = () => 0.5;
  const running = keepFresh(table, clock, events, stop.signal, middle);
  for (const ms of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    await settle(clock);
    assert.equal(clock.slept.at(-1), ms);
    clock.advance(ms);
  }
  await settle(clock);
  writeFileSync(join(folder, 'a.parquet'), rows(5));
  clock.advance(30_000);
  await settle(clock);
  assert.equal(clock.slept.at(-1), 45_000, 'healthy again: its own interval, less at first');
  assert.equal(table.refreshes.nextAtMs, clock.nowMs() + 45_000);
  clock.advance(45_000);
  await settle(clock);
  assert.equal(clock.slept.at(-1), 57_000, 'then nearly all of it');
  writeFileSync(join(folder, 'b.parquet'), rows(3));
  clock.advance(60_000);
  await settle(clock);
  assert.deepEqual(events.seen, [...Array.from({ length: 7 }, () => 'no_files'), '5 rows', '8 rows']);
  stop.abort(new Error('shutting down'));
  await running;
});
