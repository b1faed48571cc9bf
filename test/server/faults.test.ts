/** What users see when files are broken, storage fails, or objects change: never a wrong row, never a 404 by mistake. */

import assert from 'node:assert/strict';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PointlakeNode } from '../../src/main.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { nodeOf, type TableOfTest } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

interface Problem {
  readonly code: string;
  readonly status: number;
  readonly detail: string;
  readonly [field: string]: unknown;
}

interface Served {
  readonly node: PointlakeNode;
  readonly url: string;
}

/** Tables that cannot be opened stay in error, as at the start of a real server. */
async function served(context: TestContext, tables: readonly TableOfTest[], s3 = {}): Promise<Served> {
  const node = nodeOf(context, tables, { s3 });
  const server = await serve(node);
  context.after(() => server.close());
  await Promise.allSettled([...node.catalog.tables()].map((table) => table.refresh()));
  return { node, url: server.url };
}

async function problem(url: string, status: number, code: string): Promise<Problem> {
  const answer = await fetch(url);
  const body = (await answer.json()) as Problem;
  assert.deepEqual([answer.status, body.code], [status, code], body.detail);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  if (status === 503) assert.ok(Number(answer.headers.get('retry-after')) > 0, 'a 503 says when to come back');
  return body;
}

async function row(url: string): Promise<unknown> {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

/** Rows [from, to) with text that is different in every version. */
/** Rows of a file that is too large to be read whole. */
const LARGE = 20_000;

function rowsOf(from: number, to: number, version = 'v1'): Buffer {
  const ids = Array.from({ length: to - from }, (_, i) => from + i);
  return parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map((id) => `${version} of ${id}`), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes: 2048, rowsPerRowGroup: 2000, codec: 'UNCOMPRESSED' },
  );
}

test('a file that cannot be read makes absent keys not_covered, and its neighbours serve on', async (context) => {
  const folder = scratchFolder(context);
  writeFileSync(join(folder, 'a.parquet'), rowsOf(0, 1000));
  writeFileSync(join(folder, 'b.parquet'), 'id,text\n1,this is no Parquet file but a table of text\n');
  writeFileSync(join(folder, 'c.parquet'), rowsOf(2000, 3000));
  const { url } = await served(context, [{ name: 't', source: `${folder}/`, key: ['id'] }]);
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/5`), { id: 5, text: 'v1 of 5' });
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/2999`), { id: 2999, text: 'v1 of 2999' });
  const { files, detail } = await problem(`${url}/v1/tables/t/rows/1500`, 503, 'not_covered');
  assert.deepEqual(files, [join(folder, 'b.parquet')]);
  assert.match(detail, /b\.parquet/);
});

test('a truncated file and a text file alone are tables in error beside tables that serve', async (context) => {
  const folder = scratchFolder(context);
  const [good, text, cut] = ['good', 'text', 'cut'].map((name) => join(folder, `${name}.parquet`)) as [
    string,
    string,
    string,
  ];
  writeFileSync(good, rowsOf(0, 10));
  writeFileSync(text, 'this is plain text, and long enough to hold a footer');
  writeFileSync(cut, rowsOf(0, 1000));
  truncateSync(cut, 5000);
  const { url } = await served(context, [
    { name: 'good', source: good, key: ['id'] },
    { name: 'text', source: text, key: ['id'] },
    { name: 'cut', source: cut, key: ['id'] },
    { name: 'missing', source: join(folder, 'missing.parquet'), key: ['id'] },
    { name: 'nokey', source: good, key: ['user_id'] },
  ]);
  assert.deepEqual(await row(`${url}/v1/tables/good/rows/5`), { id: 5, text: 'v1 of 5' });
  assert.match((await problem(`${url}/v1/tables/text/rows/5`, 502, 'corrupt')).detail, /PAR1/);
  await problem(`${url}/v1/tables/cut/rows/5`, 502, 'corrupt');
  assert.match((await problem(`${url}/v1/tables/missing/rows/5`, 503, 'no_files')).detail, /missing\.parquet/);
  assert.match((await problem(`${url}/v1/tables/nokey/rows/5`, 503, 'unknown_key_column')).detail, /id, text/);
  assert.equal((await fetch(`${url}/readyz`)).status, 503);
});

test('an empty source is an error unless it may be empty; files of no rows are normal', async (context) => {
  const folder = scratchFolder(context);
  for (const name of ['empty', 'allowed', 'zero']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'zero', 'a.parquet'), rowsOf(0, 0));
  const { url } = await served(context, [
    { name: 'empty', source: `${folder}/empty/`, key: ['id'], options: { required: false } },
    { name: 'allowed', source: `${folder}/allowed/`, key: ['id'], options: { allowEmpty: true } },
    { name: 'zero', source: `${folder}/zero/`, key: ['id'] },
  ]);
  await problem(`${url}/v1/tables/empty/rows/1`, 503, 'no_files');
  await problem(`${url}/v1/tables/zero/rows/1`, 404, 'key_not_found');
  await problem(`${url}/v1/tables/allowed/rows/1`, 404, 'key_not_found');
  assert.equal((await fetch(`${url}/readyz`)).status, 200, 'a table that is not required holds nobody up');
});

test('a table of Iceberg, Delta or Hudi is refused unless it is said to be plain', async (context) => {
  const folder = scratchFolder(context);
  const markers = {
    delta: '_delta_log/0.json',
    hudi: '.hoodie/hoodie.properties',
    iceberg: 'metadata/v1.metadata.json',
  };
  for (const [name, marker] of Object.entries(markers)) {
    mkdirSync(join(folder, name, 'data'), { recursive: true });
    mkdirSync(join(folder, name, marker, '..'), { recursive: true });
    writeFileSync(join(folder, name, marker), '{}');
    writeFileSync(join(folder, name, 'data', 'a.parquet'), rowsOf(0, 10));
  }
  const { url } = await served(context, [
    ...Object.keys(markers).map((name) => ({ name, source: `${folder}/${name}/data/`, key: ['id'] })),
    { name: 'plain', source: `${folder}/delta/data/`, key: ['id'], options: { plainParquet: true } },
  ]);
  for (const name of Object.keys(markers)) {
    const { detail } = await problem(`${url}/v1/tables/${name}/rows/1`, 503, 'table_format_unsupported');
    assert.match(detail, /format: parquet/);
  }
  assert.deepEqual(await row(`${url}/v1/tables/plain/rows/1`), { id: 1, text: 'v1 of 1' });
});

test('a broken value page is 502 naming where; a broken key page makes its keys not_covered; the rest serves', async (context) => {
  const folder = scratchFolder(context);
  const path = join(folder, 't.parquet');
  const bytes = rowsOf(0, 2000);
  // The text of row 1500 and the id 700 stand in the file as they are: damage their pages' headers.
  const text = bytes.indexOf('v1 of 1500');
  assert.ok(text > 0);
  writeFileSync(path, bytes);
  const probe = nodeOf(context, [{ name: 't', source: path, key: ['id'] }]);
  const snapshot = await probe.catalog.get('t').refresh();
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const pageOf = (column: number, at: number) => file.file.chunk(0, column).layout?.locations.range(at).start ?? 0;
  const textPage = file.file.chunk(0, 1).layout?.locations.pageOf(1500) ?? 0;
  const idPage = file.file.chunk(0, 0).layout?.locations.pageOf(700) ?? 0;
  for (const start of [pageOf(1, textPage), pageOf(0, idPage)]) bytes.fill(0xff, start, start + 8);
  writeFileSync(path, bytes);

  const { url } = await served(context, [{ name: 't', source: path, key: ['id'] }]);
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/1`), { id: 1, text: 'v1 of 1' });
  const broken = await problem(`${url}/v1/tables/t/rows/1500`, 502, 'corrupt');
  assert.deepEqual([broken.file, broken.rowGroup, broken.column, broken.page], [path, 0, 'text', textPage]);
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/1500?columns=id`), { id: 1500 });
  await problem(`${url}/v1/tables/t/rows/700`, 503, 'not_covered');
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/1999`), { id: 1999, text: 'v1 of 1999' });
  const lookup = await fetch(`${url}/v1/tables/t/lookup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"keys":[1,1500,700,5000]}',
  });
  const { results } = (await lookup.json()) as { results: { status: string }[] };
  assert.deepEqual(
    results.map((result) => result.status),
    ['found', 'error', 'not_covered', 'not_found'],
  );
});

test('a file that is replaced while it is served answers from the new version, whole', async (context) => {
  const folder = scratchFolder(context);
  const path = join(folder, 't.parquet');
  writeFileSync(path, rowsOf(0, 1000));
  const { url } = await served(context, [{ name: 't', source: path, key: ['id'] }]);
  const before = await fetch(`${url}/v1/tables/t/rows/1`);
  assert.deepEqual(await before.json(), { id: 1, text: 'v1 of 1' });
  rmSync(path);
  writeFileSync(path, rowsOf(0, 1000, 'version two'));
  // Row 900 is in no block that was read, so the change is noticed, the snapshot renewed and the request done again.
  const after = await fetch(`${url}/v1/tables/t/rows/900`);
  assert.deepEqual(await after.json(), { id: 900, text: 'version two of 900' });
  assert.notEqual(after.headers.get('pointlake-snapshot'), before.headers.get('pointlake-snapshot'));
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/1`), { id: 1, text: 'version two of 1' });
});

test('S3 that is down at start leaves its table in error, and the table comes back by refresh', async (context) => {
  const folder = scratchFolder(context);
  writeFileSync(join(folder, 'a.parquet'), rowsOf(0, 10));
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', rowsOf(0, 1000));
  const down = Array.from({ length: 50 }, () => ({ kind: 'resetBeforeAnswer' as const }));
  s3.failNext('list', ...down);
  const { url } = await served(
    context,
    [
      { name: 'remote', source: 's3://lake/t/', key: ['id'] },
      { name: 'local', source: `${folder}/`, key: ['id'] },
    ],
    { endpoint: s3.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } },
  );
  await problem(`${url}/v1/tables/remote/rows/1`, 503, 'unavailable');
  assert.deepEqual(await row(`${url}/v1/tables/local/rows/1`), { id: 1, text: 'v1 of 1' });
  s3.reset();
  s3.put('lake', 't/a.parquet', rowsOf(0, 1000));
  assert.equal((await fetch(`${url}/v1/tables/remote/refresh`, { method: 'POST' })).status, 200);
  assert.deepEqual(await row(`${url}/v1/tables/remote/rows/999`), { id: 999, text: 'v1 of 999' });
});

test('S3: slow-downs, resets and short bodies are retried; every GET names the version it wants', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', rowsOf(0, LARGE));
  const { url } = await served(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], {
    endpoint: s3.endpoint,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  });
  s3.failNext('get', { kind: 'status', status: 503, code: 'SlowDown' }, { kind: 'resetMidBody' });
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/7777`), { id: 7777, text: 'v1 of 7777' });
  s3.failNext('get', { kind: 'shortBody' }, { kind: 'wrongContentRange', contentRange: 'bytes 0-9/10' });
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/3`), { id: 3, text: 'v1 of 3' });
  assert.equal(s3.pendingFaults, 0, 'every fault was met');
  const gets = s3.requests.filter(({ op }) => op === 'get');
  assert.ok(gets.length > 4);
  for (const { ifMatch, range } of gets) {
    assert.match(ifMatch ?? '', /^".+"$/);
    assert.match(range ?? '', /^bytes=\d+-\d+$/);
  }
});

test('S3: refused credentials say what to check; an object replaced in between is read again whole', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', rowsOf(0, LARGE));
  const { url } = await served(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], {
    endpoint: s3.endpoint,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  });
  s3.failNext('get', { kind: 'status', status: 403, code: 'SignatureDoesNotMatch' });
  const refused = await problem(`${url}/v1/tables/t/rows/5`, 503, 'access_denied');
  assert.match(refused.detail, /credential|key|secret/i);
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/5`), { id: 5, text: 'v1 of 5' });
  s3.put('lake', 't/a.parquet', rowsOf(0, LARGE, 'v2'));
  assert.deepEqual(await row(`${url}/v1/tables/t/rows/9999`), { id: 9999, text: 'v2 of 9999' });
});
