/**
 * The product's main path on a real S3 server: the real tables, uploaded, served over HTTP, held to DuckDB's full read of
 * the files they were uploaded from. Run by `npm run test:s3`, which installs the server.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { createNode, type PointlakeNode } from '../../src/main.ts';
import type { PointlakeServer } from '../../src/server/index.ts';
import { tableDefinition } from '../../src/table/index.ts';
import { type S3Admin, s3Admin } from '../storage/s3-client.ts';
import { DATA_SETS, type DataSetName, dataSetPath, firstRows, makeDataSets } from '../support/data-sets.ts';
import { IoTrace, pageBytes } from '../support/io-trace.ts';
import { keyOf, noDeadline } from '../support/one-node.ts';
import { type Rgw, startRgw } from '../support/rgw.ts';
import { parquetBytes } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const BUCKET = 'lake';
const KEYS = 200;
const names = Object.keys(DATA_SETS) as DataSetName[];

let rgw: Rgw;
let admin: S3Admin;
let node: PointlakeNode;
let server: PointlakeServer;
const trace = new IoTrace();

const settings = () => ({
  endpoint: rgw.endpoint,
  region: rgw.region,
  credentials: { accessKeyId: rgw.accessKeyId, secretAccessKey: rgw.secretAccessKey },
});

before(async () => {
  makeDataSets();
  rgw = await startRgw();
  admin = s3Admin(rgw);
  await admin.makeBucket(BUCKET);
  for (const name of names) await admin.put(BUCKET, `${name}/part 0 +%.parquet`, readFileSync(dataSetPath(name)));
  const tables = names.map((name) => tableDefinition(name, `s3://${BUCKET}/${name}/`, [DATA_SETS[name].key]));
  node = createNode({ s3: settings(), cacheMemoryBytes: 512 * 2 ** 20, tables, wrapStores: trace.wrap });
  await Promise.all([...node.catalog.tables()].map((table) => table.refresh()));
  server = await serve(node);
});

after(async () => {
  await server?.close();
  await node?.close();
  admin?.client.destroy();
  await rgw?.stop();
});

for (const name of names) {
  test(`${name}: ${KEYS} rows and the absent keys, read from S3, equal DuckDB's`, async () => {
    for (const { key, row } of await firstRows(name, dataSetPath(name), KEYS, 7)) {
      const answer = await fetch(`${server.url}/v1/tables/${name}/rows/${encodeURIComponent(String(key))}`);
      assert.equal(answer.status, 200);
      assert.deepEqual(await answer.json(), row);
    }
    for (const key of DATA_SETS[name].absent) {
      const answer = await fetch(`${server.url}/v1/tables/${name}/rows/${encodeURIComponent(key)}`);
      assert.equal(answer.status, 404, key);
    }
  });
}

test('a cold lookup asks S3 for the pages of its plan and nothing else', async () => {
  const fresh = createNode({
    s3: settings(),
    cacheMemoryBytes: 64 * 2 ** 20,
    tables: [tableDefinition('cities', `s3://${BUCKET}/cities/`, ['id'])],
    wrapStores: trace.wrap,
  });
  try {
    trace.clear();
    const snapshot = await fresh.catalog.get('cities').refresh();
    assert.equal(trace.gets.length, 1, 'one read of the tail opens the file');
    trace.clear();
    await fresh.engine.row(snapshot, keyOf(snapshot, '100000'), snapshot.projection(['id', 'lat']), noDeadline);
    // Row 99,999 of 30,000 a row group: its own page of ids, then of latitudes, each of 1,024 rows.
    const lines = trace.describe(snapshot);
    assert.equal(lines.length, 2, lines.join('\n'));
    assert.match(lines[0] ?? '', /^\d+ bytes: row group \d+, column id: data page \d+$/);
    assert.match(lines[1] ?? '', /^\d+ bytes: row group \d+, column lat: data page \d+$/);
    const [, rowGroup, page] = /row group (\d+), column lat: data page (\d+)/.exec(lines[1] ?? '') ?? [];
    const latBytes = pageBytes(snapshot, Number(rowGroup), 'lat', [Number(page)]);
    assert.ok(lines[1]?.startsWith(`${latBytes} bytes`), 'not a byte more than the page');
  } finally {
    await fresh.close();
  }
});

test('an object that is replaced is answered from its new version, whole; one that is deleted never as absent', async () => {
  const ids = Array.from({ length: 50_000 }, (_, id) => id);
  const version = (text: string) =>
    parquetBytes([
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map((id) => `${text} of ${id}`), type: 'STRING' },
    ]);
  await admin.put(BUCKET, 'changing/a.parquet', version('first'));
  const changing = createNode({
    s3: settings(),
    cacheMemoryBytes: 64 * 2 ** 20,
    tables: [tableDefinition('changing', `s3://${BUCKET}/changing/`, ['id'])],
  });
  await changing.catalog.get('changing').refresh();
  const own = await serve(changing);
  try {
    const rowOf = async (id: number) => (await fetch(`${own.url}/v1/tables/changing/rows/${id}`)).json();
    assert.deepEqual(await rowOf(1), { id: 1, text: 'first of 1' });
    await admin.put(BUCKET, 'changing/a.parquet', version('second'));
    assert.deepEqual(await rowOf(49_000), { id: 49_000, text: 'second of 49000' });
    assert.deepEqual(await rowOf(1), { id: 1, text: 'second of 1' });
    await admin.remove(BUCKET, 'changing/a.parquet');
    const gone = await fetch(`${own.url}/v1/tables/changing/rows/25000`);
    assert.equal(gone.status, 503, 'the table has no files now, which is no proof of absence');
  } finally {
    await own.close();
    await changing.close();
  }
});

test('wrong credentials and a server that is down are 503 that say what to check', async () => {
  const tables = [tableDefinition('cities', `s3://${BUCKET}/cities/`, ['id'])];
  const wrong = { ...settings(), credentials: { accessKeyId: rgw.accessKeyId, secretAccessKey: 'wrong' } };
  const down = { ...settings(), endpoint: 'http://127.0.0.1:9' };
  for (const [s3, code, words] of [
    [wrong, 'access_denied', /secret|credential/i],
    [down, 'unavailable', /127\.0\.0\.1:9/],
  ] as const) {
    const broken = createNode({ s3, cacheMemoryBytes: 2 ** 20, tables });
    await broken.catalog
      .get('cities')
      .refresh()
      .catch(() => undefined);
    const own = await serve(broken);
    try {
      const answer = await fetch(`${own.url}/v1/tables/cities/rows/1`);
      const problem = (await answer.json()) as { code: string; detail: string };
      assert.deepEqual([answer.status, problem.code], [503, code]);
      assert.match(problem.detail, words);
    } finally {
      await own.close();
      await broken.close();
    }
  }
});
