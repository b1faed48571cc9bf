/** `/metrics`: strictly Prometheus' format, every name documented, every count what really happened. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { IoTrace } from '../support/io-trace.ts';
import { nodeOf } from '../support/one-node.ts';
import { parseMetrics, sampleValue } from '../support/prometheus.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { post, rawGet, sendRaw, startFixture } from './fixture.ts';

async function scrape(url: string) {
  const answer = await fetch(`${url}/metrics`, {
    headers: { accept: 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1' },
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  return parseMetrics(await answer.text());
}

const row = (table: string, status: string) => ({ route: 'row', table, status });

test('every request is counted once: by route, table, status, tier', async (context) => {
  const { url } = await startFixture(context);
  const ask = (path: string, init?: RequestInit) => fetch(`${url}${path}`, init).then((answer) => answer.text());
  for (let i = 0; i < 3; i++) await ask('/v1/tables/users/rows/1');
  await ask('/v1/tables/users/rows/77');
  await ask('/v1/tables/users/rows/one');
  await ask('/v1/tables/halfBroken/rows/9');
  await ask('/v1/tables/nobody/rows/1');
  await ask('/v1/tables/somebody%22%0A/rows/1');
  await ask('/v1/tables/users/values/name/1');
  await ask('/v1/tables/users/values/name/2');
  await ask('/v1/tables/users/rows/1', { method: 'DELETE' });
  await ask('/nothing/here');
  await ask('/v1/tables');
  await post(`${url}/v1/tables/users/lookup`, '{"keys":[1,2,99,"x"]}').then((answer) => answer.text());
  await post(`${url}/v1/tables/users/lookup`, '{"keys":').then((answer) => answer.text());

  const metrics = await scrape(url);
  const requests = (labels: Record<string, string>) => sampleValue(metrics, 'pointlake_requests_total', labels);
  assert.equal(requests(row('users', '2xx')), 3);
  assert.equal(requests(row('users', '4xx')), 2);
  assert.equal(requests(row('halfBroken', '5xx')), 1);
  assert.equal(requests(row('other', '4xx')), 2, 'names that are no tables share one');
  assert.equal(requests({ route: 'value', table: 'users', status: '2xx' }), 2);
  assert.equal(requests({ route: 'other', table: '', status: '4xx' }), 2);
  assert.equal(requests({ route: 'tables', table: '', status: '2xx' }), 1);
  assert.equal(requests({ route: 'lookup', table: 'users', status: '2xx' }), 1);
  assert.equal(requests({ route: 'lookup', table: 'users', status: '4xx' }), 1);
  const sum = metrics.get('pointlake_requests_total')?.samples.reduce((all, { value }) => all + value, 0);
  assert.equal(sum, 15);

  const timed = metrics.get('pointlake_request_duration_seconds')?.samples ?? [];
  const count = timed.filter(({ name }) => name.endsWith('_count')).reduce((all, { value }) => all + value, 0);
  assert.equal(count, sum, 'each is timed once');
  // The first row is read and kept; what follows lies in the blocks and row that it left in memory.
  const answers = (tier: string) => sampleValue(metrics, 'pointlake_answers_total', { table: 'users', tier });
  assert.deepEqual([answers('origin'), answers('memory')], [1, 6]);
  assert.equal(
    sampleValue(metrics, 'pointlake_row_cache_hits_total'),
    2 + 1,
    'the second and third row, and key 1 of the batch',
  );
  const keys = (status: string) => sampleValue(metrics, 'pointlake_lookup_keys_total', { table: 'users', status });
  assert.deepEqual(['found', 'not_found', 'error', 'timeout'].map(keys), [2, 1, 1, undefined]);
});

test('a table without a snapshot is a zero and no fault', async (context) => {
  const { url } = await startFixture(context);
  const metrics = await scrape(url);
  const of = (name: string, table: string) => sampleValue(metrics, `pointlake_${name}`, { table });
  assert.deepEqual([of('table_serving', 'nothing'), of('table_failing', 'nothing')], [0, 1]);
  assert.deepEqual([of('table_serving', 'users'), of('table_failing', 'users')], [1, 0]);
  assert.equal(of('snapshot_rows', 'nothing'), undefined);
  assert.deepEqual([of('snapshot_rows', 'users'), of('snapshot_files', 'users')], [7, 1]);
  assert.deepEqual([of('snapshot_files', 'halfBroken'), of('snapshot_unreadable_files', 'halfBroken')], [2, 1]);
  assert.equal(of('snapshot_stale', 'users'), 0);
  const refreshes = (table: string, outcome: string) =>
    sampleValue(metrics, 'pointlake_refreshes_total', { table, outcome });
  assert.deepEqual([refreshes('users', 'ok'), refreshes('users', 'failed')], [1, 0]);
  assert.deepEqual([refreshes('nothing', 'ok'), refreshes('nothing', 'failed')], [0, 1]);
  assert.deepEqual([of('table_held', 'users'), of('table_settling_partitions', 'users')], [0, 0]);
});

test('reads of storage are those that were made, and the stages are those of lookups that waited', async (context) => {
  const trace = new IoTrace();
  const { url, node } = await startFixture(context, { node: { wrapStores: trace.wrap } });
  for (const path of ['users/rows/1', 'users/rows/2', 'docs/rows/us/plain', 'events/rows/1', 'users/rows/1']) {
    assert.equal((await fetch(`${url}/v1/tables/${path}`)).status, 200);
  }
  const metrics = await scrape(url);
  const total = (name: string) =>
    metrics.get(`pointlake_storage_${name}_total`)?.samples.reduce((sum, { value }) => sum + value, 0);
  assert.deepEqual([total('reads'), total('read_bytes')], [trace.gets.length, trace.bytes()]);
  assert.ok(trace.gets.length > 8, 'the footers and the pages');
  const gets = sampleValue(metrics, 'pointlake_store_operations_total', { store: 'file', operation: 'get' });
  assert.equal(gets, trace.gets.length);
  assert.deepEqual([total('requests'), total('cost_usd')], [0, 0], 'files cost nothing');
  const stage = (name: string) =>
    sampleValue(metrics, 'pointlake_lookup_stage_duration_seconds_count', { stage: name });
  const reading = node.engine.stages.histograms.locate.count;
  assert.equal(reading, 3, 'of each table the first lookup waits');
  assert.deepEqual(['locate', 'fetch', 'encode', 'disk'].map(stage), [reading, reading, reading, 0]);
  const used = sampleValue(metrics, 'pointlake_memory_used_bytes', { class: 'blocks' });
  assert.equal(used, node.tier.budget.usedBytes('blocks'));
  assert.equal(sampleValue(metrics, 'pointlake_blocks'), node.tier.stats.entries);
  assert.equal(sampleValue(metrics, 'pointlake_learned_forgotten_total'), node.tier.learned.evicted);
});

test('requests to S3, their bytes and their money are told by table; so are the delay of the event loop and the decode threads', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  for (const [table, rows] of [
    ['a', 20_000],
    ['b', 60_000],
  ] as const) {
    const ids = Array.from({ length: rows }, (_, i) => i);
    const text = ids.map((id) => `${table} ${Math.sin(id)} of some length`);
    const columns = [
      { name: 'id', data: ids, type: 'INT32', nullable: false },
      { name: 'text', data: text, type: 'STRING', encoding: 'PLAIN' },
    ] as const;
    s3.put('lake', `${table}/1.parquet`, parquetBytes(columns, { codec: 'UNCOMPRESSED' }));
  }
  const node = nodeOf(
    context,
    ['a', 'b'].map((name) => ({ name, source: `s3://lake/${name}/`, key: ['id'] })),
    {
      s3: { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } },
      prices: { getUsdPerThousand: 4, listUsdPerThousand: 50, transferUsdPerGb: 20 },
    },
  );
  const { url } = await serve(node).then((server) => {
    context.after(() => server.close());
    return server;
  });
  const sent = { get: 0, list: 0 };
  for (const name of ['a', 'b']) {
    s3.requests.length = 0;
    s3.failNext('get', { kind: 'status', status: 503, code: 'SlowDown' });
    await node.catalog.get(name).refresh();
    for (const id of [5, 15_000]) assert.equal((await fetch(`${url}/v1/tables/${name}/rows/${id}`)).status, 200);
    const metrics = await scrape(url);
    const value = (metric: string, labels = {}) =>
      sampleValue(metrics, `pointlake_storage_${metric}_total`, { table: name, ...labels });
    sent.get = s3.requests.filter(({ op }) => op === 'get').length;
    sent.list = s3.requests.filter(({ op }) => op === 'list').length;
    assert.ok(sent.get >= 4 && sent.list >= 1);
    assert.equal(value('requests', { charged_as: 'get' }), sent.get, 'the one that was tried again included');
    assert.equal(value('requests', { charged_as: 'list' }), sent.list);
    const bytes = value('received_bytes') ?? 0;
    assert.equal(bytes, s3.bodyBytesSent);
    s3.bodyBytesSent = 0;
    const usd = (sent.get * 4 + sent.list * 50) / 1000 + (bytes / 1e9) * 20;
    assert.ok(Math.abs((value('cost_usd') ?? 0) - usd) < 1e-8, `${value('cost_usd')} of ${usd}`);
  }
  const metrics = await scrape(url);
  for (const [name, atLeast] of [
    ['nodejs_eventloop_lag_p99_seconds', 0],
    ['nodejs_eventloop_lag_max_seconds', 0],
    ['pointlake_decode_threads_max', 1],
    ['pointlake_decode_queue', 0],
  ] as const) {
    const value = sampleValue(metrics, name);
    assert.ok(value !== undefined && value >= atLeast, `${name} is ${value}`);
  }
  const decoded = ['inline', 'threads'].map((where) =>
    sampleValue(metrics, 'pointlake_decode_duration_seconds_count', { where }),
  );
  assert.ok((decoded[0] ?? 0) + (decoded[1] ?? 0) >= 4, `${decoded} pages`);
});

test('a client that leaves before its answer is counted as such', async (context) => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let isHolding = false;
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
  const { url, server } = await startFixture(context, {
    node: {
      wrapStores: (stores) => ({
        storeFor: (source) => {
          const inner = stores.storeFor(source);
          return {
            kind: inner.kind,
            cheapReads: inner.cheapReads,
            head: (key, options) => inner.head(key, options),
            list: (prefix, options) => inner.list(prefix, options),
            close: () => inner.close(),
            getRange: async (object, range, options) => {
              if (isHolding) {
                onAsked();
                await held;
              }
              return inner.getRange(object, range, options);
            },
          };
        },
      }),
    },
  });
  isHolding = true;
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  server.fastify.server.once('request', (_, reply) => reply.once('close', onClosed));
  const leaving = new AbortController();
  const asking = fetch(`${url}/v1/tables/users/rows/1`, { signal: leaving.signal });
  await asked;
  leaving.abort();
  await assert.rejects(asking);
  await closed;
  release();
  assert.equal(sampleValue(await scrape(url), 'pointlake_requests_total', row('users', 'aborted')), 1);
});

test('scrapes that come together get one text; a scrape is refused what it cannot have', async (context) => {
  const { url } = await startFixture(context);
  const [one, two] = await Promise.all([scrape(url), scrape(url)]);
  assert.deepEqual([...one.keys()], [...two.keys()]);
  assert.equal((await fetch(`${url}/metrics`, { headers: { accept: 'image/png' } })).status, 406);
  assert.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405);
  const head = await sendRaw(url, rawGet('/metrics').replace('GET', 'HEAD'));
  assert.deepEqual([head.status, head.body], [200, '']);
});

test('every name is explained in docs/operations.md, with its type, and nothing else is', async (context) => {
  const { url } = await startFixture(context, { node: { disk: { path: scratchFolder(context), sizeBytes: 2 ** 24 } } });
  const text = readFileSync(fileURLToPath(new URL('../../docs/operations.md', import.meta.url)), 'utf8');
  const documented = new Map(
    [...text.matchAll(/^\| `((?:pointlake|nodejs|process)_\w+)` +\| (counter|gauge|histogram)/gm)].map((row) => [
      row[1],
      row[2],
    ]),
  );
  const metrics = await scrape(url);
  assert.ok(metrics.size > 60, `only ${metrics.size} metrics`);
  const exposed = new Map([...metrics.values()].map(({ name, type }) => [name, type]));
  assert.deepEqual([...exposed].sort(), [...documented].sort());
  const inAlerts = [...text.matchAll(/^ *expr: (.+)$/gm)].flatMap(([, expression = '']) => [
    ...expression.matchAll(/\b(?:pointlake|nodejs|process)_\w+/g),
  ]);
  assert.ok(inAlerts.length >= 8, 'the alerts are found');
  for (const [name] of inAlerts) {
    assert.ok(metrics.has(name) || metrics.has(name.replace(/_(bucket|sum|count)$/, '')), `no metric ${name}`);
  }
});

test('a thousand tables: other requests are answered while the text is made', async (context) => {
  const { url } = await manyTables(context, 1000);
  const order: string[] = [];
  const scraping = scrape(url).then((metrics) => {
    order.push('metrics');
    return metrics;
  });
  const health = async () => {
    for (let i = 0; i < 3; i++) await fetch(`${url}/healthz`);
    order.push('health');
  };
  const [metrics] = await Promise.all([scraping, health()]);
  assert.deepEqual(order, ['health', 'metrics']);
  assert.equal(metrics.get('pointlake_table_serving')?.samples.length, 1000);
});

async function manyTables(context: TestContext, count: number) {
  const folder = scratchFolder(context);
  const tables = Array.from({ length: count }, (_, i) => ({
    name: `table_${i}`,
    source: join(folder, `nothing-${i}.parquet`),
    key: ['id'],
  }));
  const node = nodeOf(context, tables);
  const server = await serve(node);
  context.after(() => server.close());
  return { url: server.url, node };
}
