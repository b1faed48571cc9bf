/** A request pins one snapshot: an object that changed restarts the whole of it, and one cold key is read once for all who ask. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { tableFromIPC } from 'apache-arrow';
import { Asker } from '../support/ask.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { nodeOf } from '../support/one-node.ts';
import { parquetBytes } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const ROWS = 20_000;
const ARROW = 'application/vnd.apache.arrow.stream';
const textOf = (version: number, id: number) => `version ${version} of ${id} ${'.'.repeat(40)}`;

function bytesOf(version: number): Buffer {
  const ids = Array.from({ length: ROWS }, (_, id) => id);
  return parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'version', data: ids.map(() => version), type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map((id) => textOf(version, id)), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes: 2048, codec: 'UNCOMPRESSED' },
  );
}

async function start(context: TestContext) {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', bytesOf(1));
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], { s3: settings });
  await node.catalog.get('t').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const asker = new Asker(server.url, 2048);
  context.after(() => asker.close());
  return { s3, node, asker };
}

const rowText = (version: number, id: number) => JSON.stringify({ id, version, text: textOf(version, id) });

test('a batch restarts whole, keys that were in memory included', async (context) => {
  const { s3, asker } = await start(context);
  const before = await asker.ask('/v1/tables/t/rows/5');
  assert.equal(before.text, rowText(1, 5));
  s3.put('lake', 't/a.parquet', bytesOf(2));
  assert.equal(
    (await asker.ask('/v1/tables/t/rows/5')).text,
    rowText(1, 5),
    'from memory, of the snapshot that serves',
  );
  const keys = [5, 9999, 5, 15_000];
  const answer = await asker.ask('/v1/tables/t/lookup', { body: JSON.stringify({ keys }) });
  const { results } = JSON.parse(answer.text) as { results: { row: unknown }[] };
  assert.deepEqual(
    results.map(({ row }) => JSON.stringify(row)),
    keys.map((id) => rowText(2, id)),
  );
  assert.notEqual(answer.headers['pointlake-snapshot'], before.headers['pointlake-snapshot']);
  assert.equal((await asker.ask('/v1/tables/t/rows/5')).text, rowText(2, 5));
});

test('so does one that is answered as Arrow', async (context) => {
  const { s3, asker } = await start(context);
  const keys = [5, 9999, 5, 15_000];
  const lookup = () => asker.ask('/v1/tables/t/lookup', { body: JSON.stringify({ keys }), headers: { accept: ARROW } });
  const versionsOf = (bytes: Buffer) =>
    tableFromIPC(bytes)
      .toArray()
      .map(({ version, text }) => ({ version, text }));
  await asker.ask('/v1/tables/t/lookup', { body: '{"keys":[5]}', headers: { accept: ARROW } });
  s3.put('lake', 't/a.parquet', bytesOf(2));
  const changed = await lookup();
  assert.equal(changed.status, 200);
  const wanted = keys.map((id) => ({ version: 2, text: textOf(2, id) }));
  assert.deepEqual(versionsOf(changed.bytes), wanted);
  // Now all of them are kept.
  const kept = await lookup();
  assert.equal(kept.headers['pointlake-cache'], 'memory');
  assert.deepEqual(versionsOf(kept.bytes), wanted);
});

test('at its deadline an Arrow batch has the rows that it has, and says of the others that their time was over', async (context) => {
  const { s3, asker } = await start(context);
  await asker.ask('/v1/tables/t/lookup', { body: '{"keys":[5]}', headers: { accept: ARROW } });
  s3.faultOf = ({ op }) => (op === 'get' ? { kind: 'until', done: new Promise(() => undefined) } : undefined);
  const headers = { accept: ARROW, 'pointlake-timeout-ms': '300' };
  const answer = await asker.ask('/v1/tables/t/lookup', { body: '{"keys":[15000,5]}', headers });
  assert.equal(answer.status, 200);
  const rows = tableFromIPC(answer.bytes).toArray();
  assert.deepEqual(
    rows.map(({ pointlake_status: status, text }) => [status, text]),
    [
      ['timeout', null],
      ['found', textOf(1, 5)],
    ],
  );
});

test('a change that a refresh under way has missed is found by the next', async (context) => {
  const { s3, node, asker } = await start(context);
  s3.put('lake', 't/b.parquet', bytesOf(1));
  s3.reset();
  const opened = Promise.withResolvers<void>();
  s3.faultOf = ({ key }) => (key === 't/b.parquet' ? { kind: 'until', done: opened.promise } : undefined);
  const missing = node.catalog.get('t').refresh();
  const asked = (name: string) => s3.requests.some(({ op, key }) => op === 'get' && key === name);
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((next) => setImmediate(next));
  };
  await until(() => asked('t/b.parquet'));
  s3.put('lake', 't/a.parquet', bytesOf(2));
  const asking = asker.ask('/v1/tables/t/rows/15000');
  await until(() => asked('t/a.parquet'));
  // A few turns for the refusal to come back and the request to join the refresh that listed before the change.
  for (let turn = 0; turn < 100; turn++) await new Promise((next) => setImmediate(next));
  opened.resolve();
  await missing;
  assert.equal((await asking).text, rowText(2, 15_000));
});

test('an object that changes at every read is 503 changed for rows, values and batches of both forms, and serves when it rests', async (context) => {
  const { s3, asker } = await start(context);
  const versions = [bytesOf(2), bytesOf(3)];
  let version = 1;
  s3.faultOf = ({ op }) => {
    if (op !== 'get') return undefined;
    s3.put('lake', 't/a.parquet', versions[version % 2] ?? '');
    version += 1;
    return undefined;
  };
  const asks = [
    () => asker.ask('/v1/tables/t/rows/100'),
    () => asker.ask('/v1/tables/t/values/text/5000'),
    () => asker.ask('/v1/tables/t/lookup', { body: '{"keys":[1,8000]}' }),
    () => asker.ask('/v1/tables/t/lookup', { body: '{"keys":[1,8000]}', headers: { accept: ARROW } }),
  ];
  for (const ask of asks) {
    const { status, headers, text } = await ask();
    assert.deepEqual([status, (JSON.parse(text) as { code: string }).code], [503, 'changed'], text);
    assert.ok(Number(headers['retry-after']) > 0);
  }
  s3.reset();
  s3.put('lake', 't/a.parquet', bytesOf(4));
  assert.equal((await asker.ask('/v1/tables/t/rows/100')).text, rowText(4, 100));
});

test('a thousand requests for one cold key cause the GETs of one', async (context) => {
  const one = await start(context);
  one.s3.requests.length = 0;
  assert.equal((await one.asker.ask('/v1/tables/t/rows/12345')).text, rowText(1, 12_345));
  const many = await start(context);
  many.s3.requests.length = 0;
  const answers = await Promise.all(Array.from({ length: 1000 }, () => many.asker.ask('/v1/tables/t/rows/12345')));
  assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set([rowText(1, 12_345)]));
  const ranges = ({ s3 }: typeof one) => s3.requests.map(({ op, range }) => `${op} ${range}`).sort();
  assert.deepEqual(ranges(many), ranges(one));
  assert.ok(ranges(one).length >= 1);
});
