/** How many round trips a lookup takes, cold in each of its ways, held to what is predicted. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import type { NodeOptions } from '../../src/main.ts';
import { locatedRow, planBytes, planRow, READ_AHEAD_BYTES_MAX } from '../../src/shard/index.ts';
import type { Snapshot } from '../../src/table/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { RoundTrips } from '../support/round-trips.ts';
import { type FixtureOptions, parquetBytes } from '../support/scratch.ts';

const ROWS = 20_000;
const TAIL_BYTES = 128 * 1024;

function columns(rows = ROWS, pad = 20): ColumnSource[] {
  const ids = Array.from({ length: rows }, (_, i) => i * 2);
  return [
    { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
    { name: 'score', data: ids.map((id) => Math.sin(id)), type: 'DOUBLE', encoding: 'PLAIN' },
    { name: 'kind', data: ids.map((id) => `kind ${id % 7}`), type: 'STRING' },
    { name: 'text', data: ids.map((id) => textOf(id, pad)), type: 'STRING', encoding: 'PLAIN' },
  ];
}

function textOf(id: number, pad: number): string {
  return `text of ${id} ${String(Math.sin(id))
    .repeat(Math.ceil(pad / 20))
    .slice(0, pad)}`;
}

async function start(
  context: TestContext,
  bytes: Uint8Array,
  source = 's3://lake/t/',
  options: Partial<NodeOptions> = {},
) {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/part-0.parquet', bytes);
  const trips = new RoundTrips();
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
  const node = nodeOf(context, [{ name: 't', source, key: ['id'] }], {
    s3: settings,
    wrapStores: trips.wrap,
    ...options,
  });
  const snapshot = await node.catalog.get('t').refresh();
  const opened = trips.rounds.length;
  assert.equal(trips.heads, 0, 'the listing tells the length');
  trips.clear();
  const lookup = async (id: number, names: readonly string[]) => {
    const projection = snapshot.projection(names);
    const { json } = await node.engine.row(snapshot, keyOf(snapshot, String(id)), projection, noDeadline);
    return json === null ? null : (JSON.parse(json) as Record<string, unknown>);
  };
  return { s3, node, snapshot, trips, opened, lookup };
}

const fixture = (options: FixtureOptions = {}, rows = ROWS, pad = 20) =>
  parquetBytes(columns(rows, pad), { codec: 'UNCOMPRESSED', ...options });

function chunkOf(snapshot: Snapshot, column: string) {
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  return file.file.chunk(0, file.leafPositions[snapshot.column(column).ordinal] ?? -1);
}

describe('round trips', () => {
  it('with metadata and row known: one, all ranges of it in parallel, and no more bytes than the plan', async (context) => {
    const { node, snapshot, trips, lookup } = await start(context, fixture());
    await lookup(5_000, ['id']);
    trips.clear();
    const place = locatedRow(snapshot, keyOf(snapshot, '5000'));
    assert.ok(place);
    const names = ['score', 'kind', 'text'];
    const projection = snapshot.projection(names);
    const plan = planRow(place, projection.columns);
    assert.equal(plan.rounds, 1);
    assert.ok((plan.fetches?.length ?? 0) >= 3, 'pages that lie apart are fetches of their own');
    assert.deepEqual(await lookup(5_000, names), { score: Math.sin(5_000), kind: 'kind 2', text: textOf(5_000, 20) });
    assert.equal(trips.rounds.length, plan.rounds);
    const byStart = (round: readonly { start: number }[] = []) => [...round].sort((a, b) => a.start - b.start);
    assert.deepEqual(byStart(trips.rounds[0]), byStart(plan.fetches));
    assert.equal(trips.bytes(), planBytes(plan));
    trips.clear();
    assert.deepEqual(planRow(place, projection.columns), { rounds: 0, fetches: [] });
    assert.ok(node.engine.tryRow(snapshot, keyOf(snapshot, '5000'), projection));
    assert.equal(trips.gets, 0);
  });

  it('of a file never seen: its tail, then the key page with the likely value pages beside it', async (context) => {
    const { snapshot, trips, opened, lookup } = await start(context, fixture());
    assert.equal(opened, 1);
    assert.deepEqual(await lookup(24_690, ['id', 'score']), { id: 24_690, score: Math.sin(24_690) });
    assert.equal(trips.rounds.length, 1);
    const { locations } = chunkOf(snapshot, 'score').layout ?? {};
    // 2,048 ids are a page, and its rows overlap up to three pages of about 1,024 scores.
    assert.ok(locations && trips.bytes() <= 4 * 8_300, `${trips.bytes()} bytes`);
  });

  it('where the likely pages are too many bytes, the value pages come after the key page', async (context) => {
    const bytes = fixture({ pageBytes: 64 * 1024, rowsPerRowGroup: ROWS }, ROWS, 400);
    const { trips, opened, lookup } = await start(context, bytes);
    assert.equal(opened, 1);
    assert.equal((await lookup(24_690, ['text']))?.text, textOf(24_690, 400));
    assert.equal(trips.rounds.length, 2);
    assert.ok(trips.bytes() < 200_000, `${trips.bytes()} bytes`);
    assert.ok(16_384 * 400 > READ_AHEAD_BYTES_MAX, 'the texts of one page of ids');
  });

  it('a key that is not there costs the one round of its page, however many columns are asked for', async (context) => {
    const { trips, lookup } = await start(context, fixture());
    assert.equal(await lookup(24_691, ['id', 'score', 'kind', 'text']), null);
    assert.equal(trips.rounds.length, 1);
    assert.ok(trips.bytes() <= READ_AHEAD_BYTES_MAX + 8_300);
  });

  it('a larger footer adds one', async (context) => {
    const wide = Array.from({ length: 700 }, (_, i) => ({
      name: `a column of some length, so that the footer is long ${i}`,
      data: [1, 2, 3, 4],
      type: 'INT32' as const,
    }));
    const bytes = parquetBytes([{ name: 'id', data: [1, 2, 3, 4], type: 'INT32' }, ...wide], { rowsPerRowGroup: 1 });
    assert.ok(bytes.readUInt32LE(bytes.length - 8) > TAIL_BYTES);
    const { trips, opened, lookup } = await start(context, bytes);
    assert.equal(opened, 2);
    assert.equal((await lookup(3, ['id']))?.id, 3);
    // What lies between the start of the file and its tail came with the footer: less than is read whole.
    assert.equal(trips.rounds.length, 1);
  });

  it('a page index outside the tail adds one', async (context) => {
    const bytes = fixture({ pageBytes: 128, rowsPerRowGroup: 200_000 }, 200_000);
    const { snapshot, trips, opened, lookup } = await start(context, bytes);
    assert.equal(opened, 1);
    assert.equal(chunkOf(snapshot, 'id').layout, undefined, 'the index of the ids is not in the tail');
    assert.equal((await lookup(24_690, ['score']))?.score, Math.sin(24_690));
    assert.equal(trips.rounds.length, 2);
    const parts = ['id', 'score'].map((name) => chunkOf(snapshot, name).chunk);
    const wanted = [parts[0]?.offsetIndexRange, parts[0]?.columnIndexRange, parts[1]?.offsetIndexRange];
    const bytesOf = (ranges: readonly ({ start: number; end: number } | undefined)[] = []) =>
      ranges.reduce((sum, range) => sum + (range?.end ?? Number.NaN) - (range?.start ?? 0), 0);
    assert.equal(bytesOf(trips.rounds[0]), bytesOf(wanted), 'of the index only the parts of these columns');
  });

  it('no page index adds none: the chunks that are needed are read in one round, once, and hold their pages', async (context) => {
    const { snapshot, trips, opened, lookup } = await start(
      context,
      fixture({ pageIndex: false, rowsPerRowGroup: ROWS }),
    );
    assert.equal(opened, 1);
    assert.equal((await lookup(100, ['score', 'kind']))?.kind, `kind ${100 % 7}`);
    assert.equal(trips.rounds.length, 1);
    const chunks = ['id', 'score', 'kind'].map((name) => chunkOf(snapshot, name).chunk.range);
    assert.equal(
      trips.bytes(),
      chunks.reduce((sum, { start, end }) => sum + end - start, 0),
    );
  });

  it('no page index: of a chunk that holds one page of a megabyte, as many writers make them, each byte is fetched once', async (context) => {
    const bytes = fixture({ pageIndex: false, rowsPerRowGroup: ROWS, pageBytes: 2 ** 24 }, ROWS, 60);
    const { snapshot, trips, lookup } = await start(context, bytes);
    const names = ['score', 'kind', 'text'];
    assert.equal((await lookup(24_690, names))?.text, textOf(24_690, 60));
    const chunks = ['id', ...names].map((name) => chunkOf(snapshot, name));
    assert.ok(chunks.every(({ layout }) => layout?.locations.pages === 1));
    const ranges = chunks.map(({ chunk }) => chunk.range);
    assert.equal(
      trips.bytes(),
      ranges.reduce((sum, { start, end }) => sum + end - start, 0),
    );
    assert.equal(trips.rounds.length, 2, 'the keys, then what is too much to be read beside them');
  });

  it('no page index costs another round where there is no room to hold the chunks meanwhile', async (context) => {
    const bytes = fixture({ pageIndex: false, rowsPerRowGroup: ROWS });
    const { trips, lookup } = await start(context, bytes, 's3://lake/t/', { cacheMemoryBytes: 3 * 2 ** 20 });
    assert.equal((await lookup(100, ['score', 'kind']))?.kind, `kind ${100 % 7}`);
    assert.ok(trips.rounds.length >= 2, `${trips.rounds.length} rounds`);
  });
});

describe('small files', () => {
  it('are opened by one GET each, at most 64 at once, and looked up in one more', async (context) => {
    const s3 = await FaultyS3.start();
    context.after(() => s3.stop());
    const files = 150;
    for (let file = 0; file < files; file++) {
      const ids = Array.from({ length: 500 }, (_, i) => file * 500 + i);
      const bytes = parquetBytes(
        [
          { name: 'id', data: ids, type: 'INT32', nullable: false },
          { name: 'text', data: ids.map((id) => textOf(id, 40)), type: 'STRING' },
        ],
        { pageIndex: file % 2 === 0 },
      );
      s3.put('lake', `t/part-${String(file).padStart(3, '0')}.parquet`, bytes);
    }
    const trips = new RoundTrips();
    const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
    const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], {
      s3: settings,
      wrapStores: trips.wrap,
    });
    const table = node.catalog.get('t');
    const snapshot = await table.refresh();
    assert.equal(trips.gets, files);
    assert.equal(Math.max(...trips.rounds.map((round) => round.length)), 64);
    const [file] = snapshot.files;
    assert.ok(file?.kind === 'readable');
    const { requests, bytes, usd } = table.source.account.bill();
    // One LIST for the table's own files and one for markers of table formats at each place that may have them.
    assert.ok(requests > files && requests < files + 20 && usd > 0, `${requests} requests`);
    assert.equal(bytes, trips.bytes());
    for (const id of [3, 12_345, 12_346, 60_000]) {
      trips.clear();
      const projection = snapshot.projection(['text']);
      const { json } = await node.engine.row(snapshot, keyOf(snapshot, String(id)), projection, noDeadline);
      assert.deepEqual(JSON.parse(json ?? 'null'), { text: textOf(id, 40) });
      assert.ok(trips.gets <= 1, 'one GET brings index, keys and values, if the file is not still at hand');
    }
  });
});
