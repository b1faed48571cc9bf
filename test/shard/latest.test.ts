/**
 * The latest and the only row of a key against a plain walk over all rows, by the table's own key and by named ones, with
 * and without indexes, cold and hot, over refreshes that change which row it is; and the round trips it takes.
 */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import type { ServiceError } from '../../src/core/index.ts';
import type { PointlakeNode } from '../../src/main.ts';
import {
  type Duplicates,
  type IndexMode,
  type Key,
  parseKeyText,
  type Snapshot,
  type TableDefinition,
  type TableKey,
} from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { RoundTrips } from '../support/round-trips.ts';
import { parquetBytes, scratchFolder, writeParquet } from '../support/scratch.ts';

interface Row {
  readonly id: number;
  readonly email: string;
  readonly ts: bigint | null;
  readonly note: string | null;
  readonly score: number | null;
  readonly dt: string;
  readonly place: string;
}

type Random = () => number;

const KEYS = [
  { name: 'mail', columns: ['email'] },
  { name: 'pair', columns: ['email', 'id'] },
  { name: 'day', columns: ['id', 'dt'] },
];

const LATEST_BY = [['ts'], ['ts', 'note'], ['dt'], ['dt', 'score'], ['note', 'ts'], ['score']];

function randomRow(random: Random, dt: string, place: string): Row {
  const some = <T>(value: T): T | null => (random() < 0.2 ? null : value);
  return {
    id: Math.floor(random() * 40) * 5,
    email: `${'é𝄞'.slice(0, random() < 0.5 ? 1 : 0)}user${Math.floor(random() * 30)}@x`,
    ts: some(BigInt(Math.floor(random() * 6)) * 2n ** 60n - 2n ** 62n),
    note: some('ab𝄞~'.slice(0, Math.floor(random() * 6)).toWellFormed()),
    score: some(random() < 0.1 ? Number.NaN : Math.floor(random() * 5) / 2 - 1),
    dt,
    place,
  };
}

function writeRows(path: string, rows: readonly Row[], random: Random): void {
  mkdirSync(dirname(path), { recursive: true });
  writeParquet(path, columnsOf(rows), {
    rowsPerRowGroup: 5 + Math.floor(random() * 60),
    pageBytes: 64 + Math.floor(random() * 400),
    pageIndex: random() < 0.7,
  });
}

function columnsOf(rows: readonly Row[]): ColumnSource[] {
  const column = (name: keyof Row, type: 'INT32' | 'INT64' | 'DOUBLE' | 'STRING'): ColumnSource => ({
    name,
    data: rows.map((row) => row[name]),
    type,
    nullable: true,
  });
  return [
    column('id', 'INT32'),
    column('email', 'STRING'),
    column('ts', 'INT64'),
    column('note', 'STRING'),
    column('score', 'DOUBLE'),
    column('place', 'STRING'),
  ];
}

/** Rows by file; the names are in the order of the files. */
type Files = Map<string, readonly Row[]>;

function addFile(files: Files, folder: string, random: Random): void {
  const dt = `2026-01-0${1 + Math.floor(random() * 3)}`;
  const name = `dt=${dt}/${String(Math.floor(random() * 1e6)).padStart(6, '0')}.parquet`;
  const rows = Array.from({ length: 1 + Math.floor(random() * 120) }, (_, i) => randomRow(random, dt, `${name} ${i}`));
  files.set(name, rows);
  writeRows(join(folder, name), rows, random);
}

function rowsInOrder(files: Files): readonly Row[] {
  return [...files.keys()].sort().flatMap((name) => files.get(name) ?? []);
}

/** Nulls lowest, NaN greatest, strings by bytes. */
function comparePlain(a: Row[keyof Row], b: Row[keyof Row]): number {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null);
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : a > b ? 1 : 0;
}

function latestOf(rows: readonly Row[], by: readonly string[]): Row | undefined {
  let best: Row | undefined;
  for (const row of rows) {
    const order = best && by.map((name) => comparePlain(row[name as keyof Row], (best as Row)[name as keyof Row]));
    if (order === undefined || (order.find((part) => part !== 0) ?? 0) >= 0) best = row;
  }
  return best;
}

function keyOf(by: TableKey, row: Readonly<Record<string, unknown>>): Key {
  return by.columns.map((column, i) => parseKeyText(by.leaves[i] as never, String(row[column.name])));
}

interface Told {
  readonly place: string | undefined;
}

/** What the engine answers: cold or as it is, hot, in a batch, and as a value; all of them must agree. */
async function told(node: PointlakeNode, snapshot: Snapshot, by: TableKey, key: Key): Promise<Told> {
  const projection = snapshot.projection(['place'], undefined, by);
  const { json } = await node.engine.row(snapshot, key, projection, noDeadline);
  const hot = node.engine.tryRow(snapshot, key, projection);
  assert.equal(hot, json, 'hot is cold');
  const batch = await node.engine.lookup(snapshot, [key, key], projection, { matches: 'first', limit: 1 }, noDeadline);
  for (const item of batch.items) assert.equal('row' in item ? item.row : null, json);
  return { place: json === null ? undefined : (JSON.parse(json) as { place: string }).place };
}

async function check(node: PointlakeNode, snapshot: Snapshot, files: Files, by: readonly string[], random: Random) {
  const rows = rowsInOrder(files);
  let several = 0;
  for (const tableKey of snapshot.keys) {
    const names = tableKey.columns.map(({ name }) => name as keyof Row);
    for (let n = 0; n < 12; n++) {
      const asked = n < 10 ? (rows[Math.floor(random() * rows.length)] as Row) : { ...rows[0], id: 3, email: 'nobody' };
      const matching = rows.filter((row) => names.every((name) => row[name] === asked[name]));
      const wanted = latestOf(matching, by);
      const found = await told(node, snapshot, tableKey, keyOf(tableKey, asked as never));
      assert.equal(found.place, wanted?.place, `${tableKey.name ?? 'own key'} ${names.map((name) => asked[name])}`);
      if (matching.length > 1) several += 1;
    }
  }
  return several;
}

function nodeWith(context: TestContext, source: string, duplicates: Duplicates, index: IndexMode, more = {}) {
  const keys = KEYS.map((key) => ({ ...key, index }));
  const options: Partial<TableDefinition> = { duplicates, keys, index, maxShrink: 1, ...more };
  return nodeOf(context, [{ name: 't', source, key: ['id'], options }]);
}

test('the latest row of a key, as a plain walk finds it, by every key', async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  const random = randomFrom(FUZZ_SEED);
  let several = 0;
  for (const [n, by] of LATEST_BY.entries()) {
    for (const index of ['none', 'hash'] as const) {
      const folder = scratchFolder(context);
      const files: Files = new Map();
      const count = 1 + Math.floor(random() * 8);
      for (let file = 0; file < count; file++) addFile(files, folder, random);
      const node = nodeWith(context, folder, { kind: 'latest', by }, index);
      const table = node.catalog.get('t');
      for (let round = 0; round < 2; round++) {
        const snapshot = await table.refresh();
        // The first round is asked while indexes are built, where there are any.
        if (n % 2 === 1) for (const indexing of node.indexings(table)) await indexing.idle();
        several += await check(node, snapshot, files, by, random);
        for (const indexing of node.indexings(table)) await indexing.idle();
        several += await check(node, snapshot, files, by, random);
        addFile(files, folder, random);
      }
    }
  }
  context.diagnostic(`${several} of the keys had several rows`);
  assert.ok(several > 500);
});

/** Rows of the key of two columns that this one has. */
function sharing<Row extends { readonly email: unknown; readonly id: unknown }>(rows: readonly Row[], row: Row): Row[] {
  return rows.filter(({ email, id }) => email === row.email && id === row.id);
}

/** Whether some key has one row and some other more. */
function hasBoth(rows: ReturnType<typeof rowsInOrder>): boolean {
  const counts = rows.map((row) => sharing(rows, row).length);
  return counts.includes(1) && counts.some((count) => count > 1);
}

test('a key that must be had once: its only row, or where two of its rows are', async (context) => {
  const random = randomFrom(FUZZ_SEED);
  for (const index of ['none', 'hash'] as const) {
    const folder = scratchFolder(context);
    const files: Files = new Map();
    for (let file = 0; file < 4 || !hasBoth(rowsInOrder(files)); file++) addFile(files, folder, random);
    const node = nodeWith(context, folder, { kind: 'error' }, index);
    const snapshot = await node.catalog.get('t').refresh();
    const rows = rowsInOrder(files);
    const [own, , pair] = snapshot.keys;
    assert.ok(own !== undefined && pair !== undefined);
    let [once, more] = [0, 0];
    for (const [at, row] of rows.entries()) {
      if (at >= 60 && once > 0 && more > 0) break;
      const matching = sharing(rows, row);
      const answer = told(node, snapshot, pair, keyOf(pair, row as never));
      if (matching.length === 1) {
        assert.deepEqual(await answer, { place: row.place });
        once += 1;
        continue;
      }
      more += 1;
      await assert.rejects(answer, (error: ServiceError) => {
        assert.equal(error.code, 'duplicate_key');
        const places = error.context.places as readonly string[];
        assert.equal(places.length, 2);
        for (const place of places)
          assert.match(place, /^row \d+ of row group \d+ of .*dt=2026-01-0\d\/\d{6}\.parquet$/);
        assert.notEqual(places[0], places[1]);
        return true;
      });
      const projection = snapshot.projection(['place'], undefined, pair);
      const key = keyOf(pair, row as never);
      const all = { matches: 'all', limit: 100 } as const;
      const { items } = await node.engine.lookup(snapshot, [key], projection, all, noDeadline);
      assert.deepEqual(
        items.map((item) => ('rows' in item ? item.rows : [])),
        [matching.map(({ place }) => JSON.stringify({ place }))],
        'all of them are to be had all the same',
      );
    }
    assert.ok(once > 0 && more > 0);
  }
});

test('rows kept for one key are not those of another', async (context) => {
  const folder = scratchFolder(context);
  const rows = ['7', '8'].map((id, i) => ({ id, other: ['8', '7'][i], place: `row of ${id}` }));
  writeParquet(
    join(folder, 'a.parquet'),
    ['id', 'other', 'place'].map((name) => ({ name, data: rows.map((row) => row[name as 'id']), type: 'STRING' })),
  );
  const keys = [{ name: 'other', columns: ['other'], index: 'none' as const }];
  const node = nodeOf(context, [{ name: 't', source: folder, key: ['id'], options: { keys } }]);
  const snapshot = await node.catalog.get('t').refresh();
  const key = [Buffer.from('7')];
  for (let n = 0; n < 3; n++) {
    assert.deepEqual(await told(node, snapshot, snapshot.primaryKey, key), { place: 'row of 7' });
    assert.deepEqual(await told(node, snapshot, snapshot.key('other'), key), { place: 'row of 8' });
  }
  assert.throws(() => snapshot.key('mail'), { code: 'unknown_key_name', context: { table: 't', known: ['other'] } });
});

test('what cannot be read may hold a later row: no answer, unless its folder says that it has none', async (context) => {
  const folder = scratchFolder(context);
  const row = { id: 1, email: 'a', ts: 1n, note: null, score: null, place: 'here' };
  for (const dt of ['2026-01-01', '2026-01-02', '2026-01-03']) {
    writeRows(join(folder, `dt=${dt}/a.parquet`), [{ ...row, dt, place: dt }], () => 0.5);
  }
  writeParquet(join(folder, 'dt=2026-01-02/b.parquet'), [{ name: 'other', data: [1], type: 'INT32' }]);
  const { writeFileSync } = await import('node:fs');
  writeFileSync(join(folder, 'dt=2026-01-02/broken.parquet'), 'no Parquet at all, whatever its name says');
  const byTime = nodeWith(context, folder, { kind: 'latest', by: ['ts'] }, 'none');
  const snapshot = await byTime.catalog.get('t').refresh();
  await assert.rejects(told(byTime, snapshot, snapshot.primaryKey, [1]), (error: ServiceError) => {
    assert.equal(error.code, 'not_covered');
    assert.match(error.message, /a row of the key was found.*broken\.parquet/);
    return true;
  });
  const byDay = nodeWith(context, folder, { kind: 'latest', by: ['dt'] }, 'none');
  const ofDay = await byDay.catalog.get('t').refresh();
  assert.deepEqual(await told(byDay, ofDay, ofDay.primaryKey, [1]), { place: '2026-01-03' });
});

async function cold(context: TestContext, by: readonly string[], rowsOf: (file: number) => readonly Row[]) {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  for (let file = 0; file < 6; file++) {
    const rows = rowsOf(file);
    const name = `t/dt=${rows[0]?.dt}/part-${file}.parquet`;
    s3.put('lake', name, parquetBytes(columnsOf(rows), { codec: 'UNCOMPRESSED', pageBytes: 4096 }));
  }
  const trips = new RoundTrips();
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
  const options: Partial<TableDefinition> = { duplicates: { kind: 'latest', by } };
  const tables = [{ name: 't', source: 's3://lake/t/', key: ['id'], options }];
  const coalesce = { maxGapBytes: 0 };
  const node = nodeOf(context, tables, { s3: settings, wrapStores: trips.wrap, coalesce });
  const snapshot = await node.catalog.get('t').refresh();
  trips.clear();
  return { node, snapshot, trips };
}

function manyRows(file: number, tsOf: (i: number) => bigint): readonly Row[] {
  return Array.from({ length: 20_000 }, (_, id) => ({
    id,
    email: `user ${id} of the file`,
    ts: tsOf(id),
    note: null,
    score: Math.sin(id + file),
    dt: `2026-01-0${file + 1}`,
    place: `file ${file} row ${id} ${'x'.repeat(20)}`,
  }));
}

test('cold, of files that may all have the latest: key pages together, their times together, then the row', async (context) => {
  const tsOf = (file: number) => (id: number) => BigInt((id * 7 + file * 3) % 6000);
  const { node, snapshot, trips } = await cold(context, ['ts'], (file) => manyRows(file, tsOf(file)));
  const latestFile = (id: number) => {
    const files = [0, 1, 2, 3, 4, 5];
    const times = files.map((file) => tsOf(file)(id));
    return files.findLast((file) => times.every((time) => time <= (times[file] as bigint)));
  };
  const projection = snapshot.projection(['place']);
  const { json } = await node.engine.row(snapshot, [9_000], projection, noDeadline);
  assert.equal(JSON.parse(json ?? '').place, `file ${latestFile(9_000)} row 9000 ${'x'.repeat(20)}`);
  assert.deepEqual(
    trips.rounds.map((round) => round.length),
    [6, 6, 1],
  );
  assert.equal(node.engine.tryRow(snapshot, [9_000], projection), json);
  trips.clear();
  const ids = [1_000, 15_000];
  const keys = ids.map((id) => [id]);
  const { items } = await node.engine.lookup(snapshot, keys, projection, { matches: 'first', limit: 1 }, noDeadline);
  const rows = ids.map((id) => JSON.stringify({ place: `file ${latestFile(id)} row ${id} ${'x'.repeat(20)}` }));
  assert.deepEqual(
    items.map((item) => ('row' in item ? item.row : item)),
    rows,
  );
  assert.deepEqual(
    trips.rounds.map((round) => round.length),
    [12, 12, 2],
    'a batch takes as many round trips as one key',
  );
});

test('cold, by the folder: the greatest one alone, and others only where it lacks the key', async (context) => {
  const rowsOf = (file: number) => manyRows(file, () => 1n).filter(({ id }) => id !== 9_000 || file < 2);
  const { node, snapshot, trips } = await cold(context, ['dt'], rowsOf);
  const projection = snapshot.projection(['place']);
  const { json } = await node.engine.row(snapshot, [8_000], projection, noDeadline);
  assert.equal(JSON.parse(json ?? '').place, `file 5 row 8000 ${'x'.repeat(20)}`);
  assert.deepEqual(
    trips.rounds.map((round) => round.length),
    [1, 1],
  );
  const old = await node.engine.row(snapshot, [9_000], projection, noDeadline);
  assert.equal(JSON.parse(old.json ?? '').place, `file 1 row 9000 ${'x'.repeat(20)}`);
});
