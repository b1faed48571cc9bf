/** What is predicted of cold lookups against what they then ask of storage: rounds, GETs and bytes, to the byte. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import type { Clock } from '../../src/core/index.ts';
import type { PointlakeNode } from '../../src/main.ts';
import { Rehearsals, sampledRows } from '../../src/shard/index.ts';
import type { IndexMode, Snapshot } from '../../src/table/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { RoundTrips } from '../support/round-trips.ts';
import { type FixtureOptions, parquetBytes } from '../support/scratch.ts';

/** Keys compared of each table. */
const LOOKUPS = 5;

function columns(ids: readonly number[], pad = 30): ColumnSource[] {
  return [
    { name: 'id', data: [...ids], type: 'INT32', encoding: 'PLAIN', nullable: false },
    { name: 'kind', data: ids.map((id) => `kind ${id % 7}`), type: 'STRING' },
    { name: 'score', data: ids.map((id) => Math.sin(id)), type: 'DOUBLE', encoding: 'PLAIN' },
    { name: 'text', data: ids.map((id) => `${id} `.padEnd(pad, 'x')), type: 'STRING', encoding: 'PLAIN' },
  ];
}

const upTo = (rows: number) => Array.from({ length: rows }, (_, i) => i);
const shuffled = (rows: number) => upTo(rows).map((i) => (i * 7919) % rows);

async function agrees(
  context: TestContext,
  objects: Readonly<Record<string, Uint8Array>>,
  key: readonly string[],
  { indexed = false } = {},
): Promise<readonly number[]> {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  for (const [name, bytes] of Object.entries(objects)) s3.put('lake', `t/${name}`, bytes);
  const open = async (index: IndexMode = 'none') => {
    const trips = new RoundTrips();
    const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
    const clock: Clock = { nowMs: () => now, sleep: () => new Promise<void>(() => undefined) };
    let now = 0;
    const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key, options: { index } }], {
      s3: settings,
      hedge: false,
      wrapStores: trips.wrap,
      clock,
    });
    const snapshot = await node.catalog.get('t').refresh();
    // Long enough for small objects that were read at the opening to be held no more.
    now = 60_000;
    trips.clear();
    return { node, snapshot, trips };
  };
  const { node, snapshot } = await open();
  const rehearsals = new Rehearsals(node.loader, snapshot, snapshot.primaryKey);
  const view = indexed ? await indexOf(await open('hash')) : undefined;
  if (view !== undefined) rehearsals.goBy(view);
  const rows = await sampledRows(node.loader, snapshot, snapshot.primaryKey, noDeadline);
  assert.ok(rows.length >= LOOKUPS);
  const gets: number[] = [];
  for (let i = 0; i < LOOKUPS; i++) {
    const row = rows[Math.floor((i * rows.length) / LOOKUPS)];
    assert.ok(row);
    for (const names of [undefined, key]) {
      const predicted = await rehearsals.lookup(row, snapshot.projection(names).columns, noDeadline);
      const cold = await open();
      cold.snapshot.primaryKey.index = view;
      const projection = cold.snapshot.projection(names);
      const { json } = await cold.node.engine.row(cold.snapshot, row.key, projection, noDeadline);
      assert.ok(json !== null);
      const { trips } = cold;
      assert.deepEqual(
        predicted,
        { roundTrips: trips.rounds.length, gets: trips.gets, bytes: trips.bytes() },
        `key ${row.key.join('/')}, columns ${names?.join(',') ?? 'all'}`,
      );
      gets.push(trips.gets);
      await cold.node.close();
    }
  }
  return gets;
}

/** As it is after a restart: there, and nothing else of the files is known. */
async function indexOf({ node, snapshot }: { readonly node: PointlakeNode; readonly snapshot: Snapshot }) {
  await node.indexings(node.catalog.get('t'))[0]?.idle();
  const { index } = snapshot.primaryKey;
  assert.equal(index?.coveredFiles, snapshot.files.length);
  return index;
}

const file = (ids: readonly number[], options: FixtureOptions = {}, pad = 30) =>
  parquetBytes(columns(ids, pad), { codec: 'UNCOMPRESSED', rowsPerRowGroup: 10_000, ...options });

test('a sorted file costs what was predicted, with values near and too large to be read ahead', async (context) => {
  await agrees(context, { 'a.parquet': file(upTo(30_000)) }, ['id']);
  await agrees(context, { 'a.parquet': file(upTo(20_000), { pageBytes: 64 * 1024 }, 400) }, ['id']);
});

test('a file that is not clustered by its key: page after page, until the row', async (context) => {
  const gets = await agrees(context, { 'a.parquet': file(shuffled(30_000), { pageBytes: 2048 }) }, ['id']);
  assert.ok(Math.max(...gets) > 4, `${gets.join()}`);
});

test('a file without page index: its chunks are walked', async (context) => {
  await agrees(context, { 'a.parquet': file(upTo(30_000), { pageIndex: false }) }, ['id']);
});

test('a page index outside of what the opening reads', async (context) => {
  await agrees(context, { 'a.parquet': file(upTo(100_000), { pageBytes: 128, rowsPerRowGroup: 100_000 }) }, ['id']);
});

test('files that overlap, and small ones that are read whole', async (context) => {
  await agrees(
    context,
    {
      'a.parquet': file(upTo(20_000).map((id) => id * 2)),
      'b.parquet': file(upTo(20_000).map((id) => id * 2 + 1)),
      'small.parquet': file(upTo(500).map((id) => 50_000 + id)),
    },
    ['id'],
  );
});

test('files that are not clustered, with a key index of them: as predicted', async (context) => {
  const files = {
    'a.parquet': file(shuffled(30_000), { pageBytes: 2048 }),
    'b.parquet': file(
      shuffled(20_000).map((id) => 30_000 + id),
      { pageIndex: false },
    ),
    'small.parquet': file(shuffled(500).map((id) => 50_000 + id)),
  };
  await agrees(context, files, ['id'], { indexed: true });
  // So many rows of a key that the index leaves it to the bounds.
  await agrees(context, { 'a.parquet': file(upTo(30_000), { pageBytes: 2048 }) }, ['kind'], { indexed: true });
});

test('a key of two columns, and one that many rows have', async (context) => {
  await agrees(context, { 'a.parquet': file(shuffled(30_000), { pageBytes: 2048 }) }, ['kind', 'id']);
  await agrees(context, { 'a.parquet': file(upTo(30_000), { pageBytes: 2048 }) }, ['kind']);
});
