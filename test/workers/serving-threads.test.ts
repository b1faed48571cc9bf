/** Serving threads as clients see them: what they pass on, what they count, what a refresh changes, and what one that dies takes with it. */

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join, sep } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CheckedRows } from '../../bench/harness/checked-rows.ts';
import type { PointlakeNode } from '../../src/main.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { answeredByThreads, type ServedByThreads, serveByThreads } from '../support/served-by-threads.ts';

const ROWS = 4000;
const CLIENTS = 8;

/** All of its texts and numbers tell the version. */
const rowOf = (id: number, version: number) => ({ id, name: `name ${id} of ${version}`, score: id + version / 8 });

function writeVersion(folder: string, version: number): void {
  const rows = Array.from({ length: ROWS }, (_, id) => rowOf(id, version));
  const path = writeParquet(
    join(folder, '.next'),
    [
      { name: 'id', data: rows.map(({ id }) => id), type: 'INT32', nullable: false },
      { name: 'name', data: rows.map(({ name }) => name), type: 'STRING' },
      { name: 'score', data: rows.map(({ score }) => score), type: 'DOUBLE' },
    ],
    { rowsPerRowGroup: 1000 },
  );
  renameSync(path, join(folder, 'people.parquet'));
}

interface Served extends ServedByThreads {
  readonly node: PointlakeNode;
  readonly folder: string;
  readonly mainUrl: string;
}

async function serveRows(context: TestContext, threads: number, host?: string): Promise<Served> {
  const folder = join(scratchFolder(context), 'people');
  mkdirSync(folder);
  writeVersion(folder, 0);
  const table = { name: 'people', source: `${folder}/`, key: ['id'] };
  const node = nodeOf(context, [table], { loops: threads + 1, cacheMemoryBytes: 32 * 2 ** 20 });
  await node.catalog.get('people').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  return { ...(await serveByThreads(context, node, server, threads, host)), node, folder, mainUrl: server.url };
}

test('what threads pass on is answered as the main loop answers it', async (context) => {
  const { url, mainUrl } = await serveRows(context, 1);
  const json = { 'content-type': 'application/json' };
  const asked: readonly (readonly [path: string, init?: RequestInit])[] = [
    ['/healthz'],
    ['/readyz'],
    ['/v1/tables'],
    ['/v1/tables/none'],
    ['/nowhere'],
    ['/v1/tables/none/rows/1'],
    ['/v1/tables/people/rows/word'],
    ['/v1/tables/people/rows/1/2'],
    ['/v1/tables/people/rows/1?columns=none'],
    ['/v1/tables/people/rows/1?colums=id'],
    ['/v1/tables/people/rows/%FF'],
    ['/v1/tables/people/rows/1', { headers: { accept: 'text/html' } }],
    ['/v1/tables/people/rows/1', { headers: { 'pointlake-as-of': 'none' } }],
    ['/v1/tables/people/rows/1', { method: 'HEAD' }],
    ['/v1/tables/people/rows/1', { method: 'DELETE' }],
    ['/v1/tables/people/values/name/99999'],
    ['/v1/tables/people/lookup', { method: 'POST', headers: json, body: '{"keys":[1,' }],
    ['/v1/tables/people/lookup', { method: 'POST', headers: json, body: '{"keys":[1,"word",99999]}' }],
    ['/v1/tables/people/lookup', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'keys' }],
    ['/v1/tables/people/lookup', { method: 'POST', headers: json, body: `{"keys":["${'x'.repeat(2 ** 21)}"]}` }],
    ['/v1/lookup', { method: 'POST', headers: json, body: '{"lookups":[{"table":"people","keys":[5]}]}' }],
    ['/v1/tables/people/query', { method: 'POST', headers: json, body: '{"where":{"id":{"lt":3}}}' }],
    ['/v1/tables/people/query', { method: 'POST', headers: json, body: '{"where":{"none":{"lt":3}}}' }],
  ];
  for (const [path, init] of asked) {
    for (let round = 0; round < 2; round++) {
      const [ours, plain] = await Promise.all([fetch(url + path, init), fetch(mainUrl + path, init)]);
      const shown = `${init?.method ?? 'GET'} ${path}`;
      assert.equal(ours.status, plain.status, shown);
      for (const name of ['content-type', 'pointlake-snapshot', 'cache-control', 'vary', 'allow']) {
        assert.equal(ours.headers.get(name), plain.headers.get(name), `${name} of ${shown}`);
      }
      const [text, expected] = await Promise.all([ours.text(), plain.text()]);
      if (path !== '/v1/tables') assert.equal(withoutTimes(text), withoutTimes(expected), shown);
    }
  }
});

test('threads leave what they compiled for those after them, until the node ends', async (context) => {
  const folder = scratchFolder(context);
  const before = { ...process.env };
  process.env.TMPDIR = folder;
  // Where there is a folder for all of Node's processes, that one is used.
  delete process.env.NODE_COMPILE_CACHE;
  context.after(() => {
    if (before.TMPDIR === undefined) delete process.env.TMPDIR;
    Object.assign(process.env, before);
  });
  const { threads } = await serveRows(context, 1);
  const compiled = () =>
    readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile() && entry.parentPath.includes(`${sep}code${sep}`),
    );
  assert.ok(compiled().length > 100, `${compiled().length} modules`);
  await threads.close();
  assert.equal(compiled().length, 0);
});

test('what follows a body is passed on behind it', async (context) => {
  const { url, mainUrl } = await serveRows(context, 1);
  const headers = {
    'content-type': 'application/json',
    accept: 'application/vnd.apache.arrow.stream',
    'pointlake-explain': '1',
  };
  for (const base of [mainUrl, url]) {
    const sent = request(`${base}/v1/tables/people/query`, { method: 'POST', headers });
    sent.end('{"where":{"column":"id","op":"<","value":5}}');
    const answer = await new Promise<IncomingMessage>((resolve, reject) =>
      sent.once('response', resolve).once('error', reject),
    );
    answer.resume();
    await new Promise((resolve) => answer.once('end', resolve));
    const { rows } = JSON.parse(answer.trailers['pointlake-receipt'] ?? '{}') as { rows?: { matched: number } };
    assert.equal(rows?.matched, 5, base);
  }
});

/** What differs from one answer to the next. */
function withoutTimes(text: string): string {
  return text.replace(/"[a-zA-Z_]*(?:ms|seconds|uptime|age)[a-zA-Z_]*":[0-9.]+/gi, '');
}

test('what only this machine may ask is refused to others by threads too, whatever their headers say', async (context) => {
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4');
  if (outside === undefined) return context.skip('this machine has no address but its own');
  const { url } = await serveRows(context, 1, '0.0.0.0');
  const init = { method: 'POST', headers: { 'pointlake-passed-from': '127.0.0.1', 'x-forwarded-for': '127.0.0.1' } };
  const path = '/v1/tables/people/refresh';
  const { port } = new URL(url);
  assert.equal((await fetch(`http://${outside.address}:${port}${path}`, init)).status, 403);
  assert.equal((await fetch(url + path, { method: 'POST' })).status, 200);
});

test('after a refresh no thread answers the version before, and soon they answer by themselves again', async (context) => {
  const { url, node, folder } = await serveRows(context, 2);
  const base = `${url}/v1/tables/people`;
  let byThreads = 0;
  for (let version = 1; version <= 8; version++) {
    writeVersion(folder, version);
    const refreshed = await fetch(`${base}/refresh`, { method: 'POST' });
    assert.equal(refreshed.status, 200, await refreshed.text());
    const ids = Array.from({ length: 100 }, (_, i) => (i * 37 + version) % ROWS);
    // Each on a connection of its own choice.
    await Promise.all(
      ids.map(async (id) => {
        for (let round = 0; round < 3; round++) {
          const answer = await fetch(`${base}/rows/${id}`);
          assert.deepEqual(await answer.json(), rowOf(id, version));
        }
      }),
    );
    byThreads += await answeredByThreads(node);
  }
  context.diagnostic(`${byThreads} of ${8 * 300} answers were threads' own`);
  assert.ok(byThreads > 100);
});

test('keys that are found by an index are found by threads too, as files come and runs are merged', async (context) => {
  const folder = join(scratchFolder(context), 'shuffled');
  mkdirSync(folder);
  const rowsAFile = 6000;
  const keyOf = (file: number, row: number) => 2 * (((row * 7919) % rowsAFile) * 8 + file);
  const addFile = (file: number) => {
    const keys = Array.from({ length: rowsAFile }, (_, row) => keyOf(file, row));
    const path = writeParquet(join(folder, '.next'), [
      { name: 'k', data: keys, type: 'INT32', nullable: false },
      { name: 'v', data: keys.map((key) => `value ${key}`), type: 'STRING' },
    ]);
    renameSync(path, join(folder, `${file}.parquet`));
  };
  addFile(0);
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['k'], options: { index: 'hash' } }], {
    loops: 3,
  });
  const table = node.catalog.get('t');
  const server = await serve(node);
  context.after(() => server.close());
  const { url, lines } = await serveByThreads(context, node, server, 2);
  let byThreads = 0;
  for (let files = 1; files <= 6; files++) {
    if (files > 1) addFile(files - 1);
    await table.refresh();
    // Some ask while the index is made, the others when it is there.
    for (const round of ['meanwhile', 'made', 'again']) {
      if (round === 'made') await node.indexings(table)[0]?.idle();
      await Promise.all(
        Array.from({ length: 60 }, async (_, i) => {
          const key = keyOf(i % 8, i * 97);
          const there = await fetch(`${url}/v1/tables/t/rows/${key}`);
          if (i % 8 < files) assert.deepEqual(await there.json(), { k: key, v: `value ${key}` }, round);
          else assert.equal(there.status, 404, await there.text());
          const absent = await fetch(`${url}/v1/tables/t/rows/${key + 1}`);
          assert.equal(absent.status, 404, await absent.text());
        }),
      );
      if (round === 'again') byThreads += await answeredByThreads(node);
      else await answeredByThreads(node);
    }
  }
  assert.ok((node.indexings(table)[0]?.status.runs ?? 0) > 0, 'there is an index');
  context.diagnostic(`${byThreads} of ${6 * 120} answers were threads' own`);
  assert.ok(byThreads > 300);
  assert.deepEqual(lines, []);
});

test("requests that threads answered are counted in the node's metrics", async (context) => {
  const { url } = await serveRows(context, 2);
  const counted = async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => /^pointlake_requests_total\{.*route="row"/.test(line));
    assert.ok(lines.length > 0 || !text.includes('route="row"'), text.slice(0, 400));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  };
  for (let i = 0; i < 120; i++) await (await fetch(`${url}/v1/tables/people/rows/${i % 10}`)).text();
  assert.equal(await counted(), 120);
  assert.equal(await counted(), 120, 'what was taken is not counted again');
});

test('rows that all loops keep are one count in metrics and status, and share the memory for them', async (context) => {
  const { url, node, mainUrl } = await serveRows(context, 2);
  const ask = async (times: number) => {
    for (let i = 0; i < times; i++) await (await fetch(`${url}/v1/tables/people/rows/7`)).text();
    for (let i = 0; i < times; i++) await (await fetch(`${mainUrl}/v1/tables/people/rows/7`)).text();
  };
  const value = async (name: string) => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
    return lines.map(
      (line) => [line.slice(name.length, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))] as const,
    );
  };
  await ask(20);
  const [[, hits = 0] = []] = await value('pointlake_row_cache_hits_total');
  assert.ok(hits > 30 && hits <= 40, `${hits} hits`);
  const [[, capacity = 0] = []] = await value('pointlake_row_cache_capacity_bytes');
  assert.ok(capacity > 0 && capacity <= (32 * 2 ** 20) / 8);
  assert.equal(capacity, node.tier.budget.usedBytes('rows'));
  const status = (await (await fetch(`${url}/v1/tables/people`)).json()) as {
    readonly cache: { readonly memory: Readonly<Record<string, number>> };
  };
  const memory = JSON.stringify(status.cache);
  assert.match(memory, new RegExp(`"rows_budget_bytes":${capacity},`));
  assert.match(memory, new RegExp(`"rows_hits":${hits},`));
  const connections = await value('pointlake_connections');
  assert.deepEqual(
    connections.map(([labels]) => labels),
    ['{loop="0"}', '{loop="1"}', '{loop="2"}'],
  );
  const turns = await value('pointlake_event_loop_turns_total');
  assert.ok(turns.length === 3 && turns.every(([, count]) => count > 0), JSON.stringify(turns));
  await ask(5);
  const [[, later = 0] = []] = await value('pointlake_row_cache_hits_total');
  assert.equal(later, hits + 10);
});

test('what a thread that ended has counted of its rows stays counted', async (context) => {
  const { url, threads } = await serveRows(context, 1);
  const hits = async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(/^pointlake_row_cache_hits_total (\d+)$/m.exec(text)?.[1]);
  };
  for (let i = 0; i < 10; i++) await (await fetch(`${url}/v1/tables/people/rows/7`)).text();
  const before = await hits();
  assert.ok(before >= 7, `${before} hits`);
  await threads.workers[0]?.terminate();
  while (threads.workers.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(await hits(), before);
});

test('a thread that takes the place of another gets its share of the connections that stay open', async (context) => {
  const { url, node, threads } = await serveRows(context, 2);
  const texts = Array.from({ length: 100 }, (_, id) => JSON.stringify(rowOf(id, 0)));
  const client = new CheckedRows(url, (id) => `/v1/tables/people/rows/${id}`, texts, 48);
  const grown = async (by: number) => {
    const from = client.counts.right;
    while (client.counts.right < from + by) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await grown(1000);
  await threads.workers[0]?.terminate();
  while (threads.workers.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  await grown(3000);
  const reports = (await node.others?.publisher.takeReports()) ?? [];
  await client.stop();
  const connections = reports.map(({ state }) => state.connections);
  context.diagnostic(`${connections.join(' and ')} connections, ${JSON.stringify(client.counts)}`);
  assert.equal(connections.length, 2);
  assert.ok(connections.every((count) => count >= 5));
  assert.equal(client.counts.wrong, 0);
  assert.ok(client.counts.failed <= 48);
});

test('a thread that dies under load: no wrong answer, what was in flight on it fails, and another takes its place', async (context) => {
  const { url, threads, lines } = await serveRows(context, 2);
  const over = new AbortController();
  const counts = { right: 0, failed: 0 };
  const client = async (number: number) => {
    for (let i = number; !over.signal.aborted; i += CLIENTS) {
      const id = (i * 7) % 500;
      let row: unknown;
      try {
        const answer = await fetch(`${url}/v1/tables/people/rows/${id}`);
        assert.equal(answer.status, 200);
        row = await answer.json();
      } catch (thrown) {
        if (!(thrown instanceof TypeError)) throw thrown;
        counts.failed += 1;
        continue;
      }
      assert.deepEqual(row, rowOf(id, 0));
      counts.right += 1;
    }
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  const deaths = 3;
  for (let death = 0; death < deaths; death++) {
    const before = counts.right;
    while (counts.right < before + 300) await new Promise((resolve) => setTimeout(resolve, 5));
    const [worker] = threads.workers;
    await worker?.terminate();
    const until = performance.now() + 20_000;
    while (threads.workers.length < 2 && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(threads.workers.length, 2, 'the dead one was replaced');
  }
  const before = counts.right;
  while (counts.right < before + 300) await new Promise((resolve) => setTimeout(resolve, 5));
  over.abort();
  await clients;
  context.diagnostic(`${counts.right} right, ${counts.failed} failed`);
  assert.ok(counts.failed <= deaths * CLIENTS, `${counts.failed} failed`);
  assert.deepEqual(new Set(lines), new Set(['another serving thread takes its place']));
});
