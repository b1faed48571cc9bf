/** Rows in the order of a key that is scattered over the files, with memory for next to nothing: each page is read a few times at most. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { tableFromIPC } from 'apache-arrow';
import type { PointlakeNode } from '../../src/main.ts';
import type { QueryPlace } from '../../src/shard/index.ts';
import { arrowStream, type Query, QueryEngine, QueryTrace, rowTexts } from '../../src/shard/index.ts';
import { takeInOrder } from '../../src/shard/query-held.ts';
import { QueryReader } from '../../src/shard/query-reader.ts';
import { parsePredicate, type Snapshot } from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { IoTrace } from '../support/io-trace.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const FILES = 3;
const ROWS = 4000;
const UNLIMITED = { getsMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY };

interface Row {
  readonly id: number;
  readonly n: number;
  readonly text: string;
}

/** Ids in no order at all, over files and row groups. */
async function scattered(context: TestContext, cacheMemoryBytes: number) {
  const random = randomFrom(FUZZ_SEED);
  const ids = Array.from({ length: FILES * ROWS }, (_, i) => i);
  for (let i = ids.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [ids[i], ids[j]] = [ids[j]!, ids[i]!];
  }
  const rows = ids.map((id): Row => ({ id, n: id % 13, text: `text of ${id} ${'x'.repeat(id % 40)}` }));
  const folder = join(scratchFolder(context), 't');
  mkdirSync(folder);
  for (let file = 0; file < FILES; file++) {
    const own = rows.slice(file * ROWS, (file + 1) * ROWS);
    writeParquet(
      join(folder, `${file}.parquet`),
      [
        { name: 'id', data: own.map(({ id }) => id), type: 'INT32', encoding: 'PLAIN', nullable: false },
        { name: 'n', data: own.map(({ n }) => n), type: 'INT32', encoding: 'PLAIN', nullable: false },
        { name: 'text', data: own.map(({ text }) => text), type: 'STRING', encoding: 'PLAIN', nullable: false },
      ],
      { rowsPerRowGroup: 1000, pageBytes: 1024, codec: 'UNCOMPRESSED' },
    );
  }
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'], options: { index: 'none' } }], {
    cacheMemoryBytes,
    wrapStores: trace.wrap,
  });
  const snapshot = await node.catalog.get('t').refresh();
  trace.clear();
  return { node, snapshot, trace, rows };
}

function queryOf(snapshot: Snapshot, more: Partial<Query> = {}): Query {
  return {
    where: undefined,
    columns: snapshot.columns,
    limit: 100_000,
    order: [{ column: snapshot.column('id'), isDescending: false }],
    after: undefined,
    ...more,
  };
}

async function textsOf(node: PointlakeNode, snapshot: Snapshot, query: Query): Promise<readonly string[]> {
  const rows: string[] = [];
  const sink = rowTexts(snapshot.projection(undefined), (text) => rows.push(text));
  const engine = new QueryEngine(node.loader, UNLIMITED);
  for await (const _ of engine.run(snapshot, query, sink, noDeadline, new QueryTrace()));
  return rows;
}

/** How often each part of each file was read. */
function timesRead(trace: IoTrace, snapshot: Snapshot): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const [i, line] of trace.describe(snapshot).entries()) {
    for (const part of line.replace(/^\d+ bytes: /, '').split(' + ')) {
      const name = `${trace.gets[i]?.object.key} ${part}`;
      times.set(name, (times.get(name) ?? 0) + 1);
    }
  }
  return times;
}

test('whatever memory there is, the answer is that of sorting all rows', async (context) => {
  for (const cacheMemoryBytes of [1, 4 * 2 ** 20, 256 * 2 ** 20]) {
    const { node, snapshot, rows } = await scattered(context, cacheMemoryBytes);
    const ascending = rows.toSorted((a, b) => a.id - b.id).map((row) => JSON.stringify(row));
    assert.deepEqual(await textsOf(node, snapshot, queryOf(snapshot)), ascending);
    const where = parsePredicate(snapshot, { column: 'n', op: '=', value: 5 });
    const descending = rows
      .filter(({ n }) => n === 5)
      .toSorted((a, b) => b.id - a.id)
      .slice(0, 700)
      .map((row) => JSON.stringify(row));
    const order = [{ column: snapshot.column('id'), isDescending: true }];
    assert.deepEqual(await textsOf(node, snapshot, queryOf(snapshot, { where, order, limit: 700 })), descending);
    await node.close();
  }
});

test('every page is read once to put the rows in order, and once to answer for each stretch that may be held', async (context) => {
  // Memory keeps no page; 1 MiB of the answer's three are held at a time.
  const { node, snapshot, trace, rows } = await scattered(context, 1);
  const texts = await textsOf(node, snapshot, queryOf(snapshot));
  assert.equal(texts.length, rows.length);
  const times = timesRead(trace, snapshot);
  const often = [...times].filter(([, count]) => count > 1 + 7).sort(([, a], [, b]) => b - a);
  assert.ok(times.size > 400, `${times.size} parts were read`);
  assert.deepEqual(often.slice(0, 5), []);
});

test('with memory for a few rows a page is read as often as there are passes', async (context) => {
  const { node, snapshot, trace, rows } = await scattered(context, 1);
  const engineRows: string[] = [];
  const projection = snapshot.projection(undefined);
  const sink = rowTexts(projection, (text) => engineRows.push(text));
  const places = rows
    .map((row, i): QueryPlace & { readonly id: number } => {
      const fileOrdinal = Math.floor(i / ROWS);
      const file = snapshot.files[fileOrdinal];
      assert.ok(file?.kind === 'readable');
      return { file, fileOrdinal, rowGroup: Math.floor((i % ROWS) / 1000), row: i % 1000, id: row.id };
    })
    .toSorted((a, b) => a.id - b.id);
  const answerBytes = rows.reduce((sum, row) => sum + 2 * JSON.stringify(row).length + 128, 0);
  for (const heldBytesMax of [answerBytes / 4, answerBytes / 20]) {
    trace.clear();
    engineRows.length = 0;
    const reader = new QueryReader(node.loader, UNLIMITED, noDeadline, new QueryTrace());
    let taken = 0;
    for await (const count of takeInOrder(reader, places, snapshot.columns, sink, heldBytesMax)) taken += count;
    assert.equal(taken, rows.length);
    assert.deepEqual(
      engineRows,
      rows.toSorted((a, b) => a.id - b.id).map((row) => JSON.stringify(row)),
    );
    const passesMax = Math.ceil(answerBytes / (heldBytesMax / 2 - 400)) + 1;
    const most = Math.max(...timesRead(trace, snapshot).values());
    assert.ok(most <= passesMax, `a page was read ${most} times, of ${passesMax} passes`);
    assert.ok(most > 1, 'there were several passes');
  }
});

test('a row that is larger than what may be held is put all the same', async (context) => {
  const { node, snapshot, rows } = await scattered(context, 2 ** 20);
  const [place] = [{ file: snapshot.files[0], fileOrdinal: 0, rowGroup: 0, row: 0 }] as QueryPlace[];
  assert.ok(place !== undefined);
  const places = Array.from({ length: 5 }, (_, row) => ({ ...place, row }));
  const texts: string[] = [];
  const sink = rowTexts(snapshot.projection(undefined), (text) => texts.push(text));
  const reader = new QueryReader(node.loader, UNLIMITED, noDeadline, new QueryTrace());
  for await (const _ of takeInOrder(reader, places.toReversed(), snapshot.columns, sink, 1));
  assert.deepEqual(
    texts,
    rows
      .slice(0, 5)
      .reverse()
      .map((row) => JSON.stringify(row)),
  );
});

test('an ordered Arrow stream has the same rows', async (context) => {
  const { node, snapshot, rows } = await scattered(context, 4 * 2 ** 20);
  const arrow = await arrowStream(snapshot.projection(undefined));
  const parts: Uint8Array[] = [];
  const engine = new QueryEngine(node.loader, UNLIMITED);
  for await (const _ of engine.run(snapshot, queryOf(snapshot), arrow.sink, noDeadline, new QueryTrace())) {
    if (arrow.sink.isFull) parts.push(arrow.batch());
  }
  parts.push(arrow.end());
  const read = tableFromIPC(Buffer.concat(parts))
    .toArray()
    .map((row) => JSON.stringify({ id: row.id, n: row.n, text: row.text }));
  assert.deepEqual(
    read,
    rows.toSorted((a, b) => a.id - b.id).map((row) => JSON.stringify(row)),
  );
});

test('rows in the order of the files read no page twice either, however large it is', async (context) => {
  const { node, snapshot, trace, rows } = await scattered(context, 1);
  const texts = await textsOf(node, snapshot, queryOf(snapshot, { order: [] }));
  assert.deepEqual(
    texts,
    rows.map((row) => JSON.stringify(row)),
  );
  assert.deepEqual(
    [...timesRead(trace, snapshot)].filter(([, count]) => count > 1),
    [],
  );
});
