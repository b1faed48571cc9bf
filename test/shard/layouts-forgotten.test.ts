/** Layouts beyond their share of memory are forgotten, and lookups learn them again: the rows stay right. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { BudgetClass } from '../../src/cache/index.ts';
import type { PointlakeNode } from '../../src/main.ts';
import { locatedRow, planRow } from '../../src/shard/index.ts';
import { parsePreload, type Snapshot } from '../../src/table/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { RoundTrips } from '../support/round-trips.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';

const MIB = 2 ** 20;
const ROWS = 100_000;
const ROWS_PER_ROW_GROUP = 4_000;
const LOOKUPS = 1_500;
const COLUMNS = ['id', 'score', 'text'];

const rowOf = (id: number) => ({ id, score: Math.sin(id), text: `text of ${id}` });

let table: Uint8Array | undefined;

/** Pages of a few rows: where they lie is about as much as what they hold. */
function tableBytes(): Uint8Array {
  const ids = Array.from({ length: ROWS }, (_, i) => i * 2);
  table ??= parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'score', data: ids.map(Math.sin), type: 'DOUBLE', encoding: 'PLAIN' },
      { name: 'text', data: ids.map((id) => `text of ${id}`), type: 'STRING', encoding: 'PLAIN' },
    ],
    { codec: 'UNCOMPRESSED', pageBytes: 32, rowsPerRowGroup: ROWS_PER_ROW_GROUP },
  );
  return table;
}

async function start(context: TestContext, more: Partial<Parameters<typeof nodeOf>[2]> = {}) {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/part-0.parquet', tableBytes());
  const trips = new RoundTrips();
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
  const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], {
    s3: settings,
    wrapStores: trips.wrap,
    cacheMemoryBytes: 256 * MIB,
    ...more,
  });
  const snapshot = await node.catalog.get('t').refresh();
  const lookup = async (id: number) => {
    const projection = snapshot.projection(COLUMNS);
    const { json } = await node.engine.row(snapshot, keyOf(snapshot, String(id)), projection, noDeadline);
    return json === null ? null : (JSON.parse(json) as unknown);
  };
  return { node, snapshot, trips, lookup };
}

function chunkOf(snapshot: Snapshot, id: number, column: string) {
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const rowGroup = Math.trunc(id / 2 / ROWS_PER_ROW_GROUP);
  return file.file.chunk(rowGroup, file.leafPositions[snapshot.column(column).ordinal] ?? -1);
}

function assertWithinBudget({ tier }: PointlakeNode): void {
  const { budget } = tier;
  const { usedBytes, limitBytes } = budget.state.layouts;
  assert.ok(usedBytes <= limitBytes, `layouts take ${usedBytes} of ${limitBytes}`);
  // `layouts` are counted in `metadata`; the tier's slabs are what `blocks` has.
  const classes: readonly BudgetClass[] = ['metadata', 'keys', 'rows', 'inFlight', 'blocks'];
  const used = classes.reduce((sum, kind) => sum + budget.usedBytes(kind), 0);
  assert.ok(used <= budget.totalBytes, `${used} of ${budget.totalBytes} bytes are used`);
}

async function forgetAll(snapshot: Snapshot, id: number): Promise<void> {
  for (const column of COLUMNS) chunkOf(snapshot, id, column).forget();
  // What earlier lookups held goes with them, once what was read in this turn may go.
  await nextTurn();
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

test('thousands of lookups side by side, in a table whose layouts are more than their share', async (context) => {
  const { node, lookup } = await start(context, { cacheMemoryBytes: 4 * MIB });
  let state = 20_261_123;
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let done = 0; done < LOOKUPS; done += 30) {
    const ids = Array.from({ length: 30 }, () => next(2 * ROWS));
    const rows = await Promise.all(ids.map(lookup));
    for (const [i, id] of ids.entries()) assert.deepEqual(rows[i], id % 2 === 0 ? rowOf(id) : null);
    assertWithinBudget(node);
  }
  const forgotten = node.tier.learned.evicted;
  context.diagnostic(`${forgotten} layouts were forgotten, ${node.tier.budget.usedBytes('layouts')} bytes are in use`);
  assert.ok(forgotten > 100, `${forgotten} layouts were forgotten`);
});

test('a layout that was forgotten costs the round that the plan says, and one that never was costs none', async (context) => {
  const { snapshot, trips, lookup } = await start(context);
  const { columns } = snapshot.projection(COLUMNS);
  assert.deepEqual(await lookup(20_000), rowOf(20_000));
  const near = locatedRow(snapshot, keyOf(snapshot, '20000'));
  assert.ok(near);
  assert.equal(planRow({ ...near, row: near.row + 900 }, columns).rounds, 1);
  await forgetAll(snapshot, 20_000);
  assert.equal(chunkOf(snapshot, 20_000, 'text').layout, undefined);
  assert.deepEqual(planRow({ ...near, row: near.row + 900 }, columns), { rounds: 2, fetches: undefined });
  trips.clear();
  assert.deepEqual(await lookup(21_800), rowOf(21_800));
  assert.ok(trips.rounds.length >= 2, `${trips.rounds.length} rounds`);
  const { gets } = trips;
  assert.deepEqual(await lookup(21_800), rowOf(21_800));
  assert.equal(trips.gets, gets, 'what was learned again is known');
});

test('with a disk tier, learning a layout again costs no GET', async (context) => {
  const disk = { path: scratchFolder(context), sizeBytes: 64 * MIB };
  const { node, snapshot, trips, lookup } = await start(context, { disk });
  assert.deepEqual(await lookup(20_000), rowOf(20_000));
  await node.disk?.blocks.idle();
  await forgetAll(snapshot, 20_000);
  await node.disk?.blocks.idle();
  trips.clear();
  assert.deepEqual(await lookup(20_000), rowOf(20_000));
  assert.equal(trips.gets, 0);
  assert.notEqual(chunkOf(snapshot, 20_000, 'id').layout, undefined);
});

test('a preload counts the pages of all layouts, those that were forgotten meanwhile too', async (context) => {
  const roomy = await start(context);
  const [whole] = roomy.snapshot.files;
  assert.ok(whole?.kind === 'readable');
  let pages = 0;
  for (let rowGroup = 0; rowGroup < whole.file.index.rowGroups; rowGroup++) {
    for (const { ordinal } of whole.file.index.schema.leaves) {
      const { locations } = await roomy.node.loader.layout(whole.file, whole.file.chunk(rowGroup, ordinal), noDeadline);
      pages += locations.pages;
    }
  }
  const { node } = await start(context, { cacheMemoryBytes: 4 * MIB });
  const request = parsePreload({ columns: 'all', force: true, verify: true });
  const { job } = await node.preloader.begin(node.catalog.get('t'), request);
  while (job.state === 'running') await nextTurn();
  assert.deepEqual([job.state, job.errors, job.verified?.pages], ['done', [], pages]);
  assert.ok(node.tier.learned.evicted > 0, 'layouts were forgotten');
});
