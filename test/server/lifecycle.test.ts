/** Tables and their state, health, refresh, listening and closing; and that a hot row waits for nothing. */

import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { request as httpRequest, IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ServiceError } from '../../src/core/index.ts';
import { type PointlakeServer, startServer } from '../../src/server/index.ts';
import { Catalog } from '../../src/table/index.ts';
import { writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { expectProblem, startFixture } from './fixture.ts';

interface TableState {
  readonly name: string;
  readonly status: string;
  readonly rows?: number;
  readonly error?: { readonly code: string };
  readonly columns?: readonly { readonly name: string; readonly type: string; readonly key?: boolean }[];
  readonly files?: { readonly count: number; readonly unreadable: number };
  readonly examples?: readonly {
    readonly method: string;
    readonly path: string;
    readonly body?: string;
    readonly curl: string;
  }[];
}

test('the tables and their state', async (context) => {
  const { url } = await startFixture(context);
  const { tables } = (await (await fetch(`${url}/v1/tables`)).json()) as { tables: TableState[] };
  const states = Object.fromEntries(tables.map((table) => [table.name, table.error?.code ?? table.status]));
  assert.deepEqual(states, {
    users: 'serving',
    docs: 'serving',
    events: 'serving',
    nothing: 'no_files',
    empty: 'serving',
    halfBroken: 'serving',
  });
  const describe = async (name: string) => (await (await fetch(`${url}/v1/tables/${name}`)).json()) as TableState;
  const users = await describe('users');
  assert.equal(users.rows, 7);
  assert.deepEqual(users.columns?.[0], { name: 'id', type: 'INT64', nullable: true, key: true });
  assert.deepEqual(users.columns?.[1]?.type, 'BYTE_ARRAY STRING');
  const half = await describe('halfBroken');
  assert.deepEqual([half.files?.count, half.files?.unreadable], [2, 1]);
  assert.equal((await describe('nothing')).status, 'error');
  assert.deepEqual((await describe('empty')).examples, []);
});

test('the three examples work as printed', async (context) => {
  const { url } = await startFixture(context);
  for (const table of ['users', 'docs', 'events']) {
    const { examples = [] } = (await (await fetch(`${url}/v1/tables/${table}`)).json()) as TableState;
    assert.equal(examples.length, 3, table);
    for (const { method, path, body, curl } of examples) {
      const init = body === undefined ? { method } : { method, body, headers: { 'content-type': 'application/json' } };
      const answer = await fetch(url + path, init);
      assert.ok([200, 204].includes(answer.status), `${table}: ${path}`);
      if (body !== undefined) {
        const { results } = (await answer.json()) as { results: { status: string }[] };
        assert.ok(results.length >= 1 && results.every(({ status }) => status === 'found'));
      }
      assert.ok(curl.startsWith(`curl -s '${url}/`), curl);
    }
  }
});

test('a made-up host header does not get into the examples', async (context) => {
  const { url } = await startFixture(context);
  const { port } = new URL(url);
  const text = await new Promise<string>((resolve, reject) => {
    const request = httpRequest(`${url}/v1/tables/users`, { headers: { host: "x'; rm -rf ~ #" } }, (answer) => {
      let body = '';
      answer.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      answer.on('end', () => resolve(body));
    });
    request.on('error', reject);
    request.end();
  });
  assert.ok(text.includes(`http://127.0.0.1:${port}/`) && !text.includes('rm -rf'));
});

const setImmediateOfNode = setImmediate;

test('a hot row, a hot value and a hot absence are answered at the end of their turn, without a promise or a timer', async (context) => {
  const { url, node, server } = await startFixture(context);
  for (const path of ['rows/1', 'values/name/1', 'rows/77']) {
    await fetch(`${url}/v1/tables/users/${path}`);
    const snapshot = node.catalog.get('users').current();
    assert.ok(snapshot);
    const made: string[] = [];
    let handling = false;
    const hook = createHook({
      init: (_id, type) => {
        if (handling && (type === 'PROMISE' || type === 'Timeout' || type === 'Immediate')) made.push(type);
      },
    });
    const watched = (run: () => void) => {
      // Node makes a timer with the first Date header of each second.
      new ServerResponse(new IncomingMessage(new Socket())).writeHead(200);
      handling = true;
      hook.enable();
      run();
      hook.disable();
      handling = false;
    };
    let endedInTurn = false;
    const { server: http } = server.fastify;
    const listeners = http.listeners('request') as ((...args: unknown[]) => void)[];
    http.removeAllListeners('request');
    http.on('request', (request, reply) => {
      const { mock } = context;
      const later = mock.method(globalThis, 'setImmediate', (end: () => void) =>
        setImmediateOfNode(() => {
          watched(end);
          endedInTurn = reply.writableEnded;
        }),
      );
      watched(() => {
        for (const listener of listeners) listener.call(http, request, reply);
      });
      later.mock.restore();
    });
    // Unlike the request before, so that Node's parser reads it.
    const answer = await fetch(`${url}/v1/tables/users/${path}`, { headers: { 'x-path': path } });
    await answer.arrayBuffer();
    http.removeAllListeners('request');
    for (const listener of listeners) http.on('request', listener);
    assert.equal(answer.headers.get('pointlake-cache'), 'memory', path);
    assert.equal(endedInTurn, true, `${path} was answered in a later turn`);
    assert.deepEqual(made, ['Immediate'], path);
  }
});

test('health, and readiness by the required tables', async (context) => {
  const { url, node } = await startFixture(context);
  assert.deepEqual(await (await fetch(`${url}/healthz`)).json(), { status: 'ok' });
  assert.deepEqual(await (await fetch(`${url}/readyz`)).json(), { status: 'ready' });
  const more = node.makeTable({ ...node.catalog.get('users').definition, name: 'more' });
  const waiting = await serve({ ...node, catalog: new Catalog([more]) });
  context.after(() => waiting.close());
  const problem = await expectProblem(`${waiting.url}/readyz`, 503, 'not_ready');
  assert.deepEqual(problem.tables, ['more']);
  assert.equal((await fetch(`${waiting.url}/healthz`)).status, 200);
  await expectProblem(`${waiting.url}/v1/tables/more/rows/1`, 503, 'loading');
  await more.refresh();
  assert.equal((await fetch(`${waiting.url}/readyz`)).status, 200);
});

test('refresh takes a new snapshot', async (context) => {
  const { url, folder } = await startFixture(context);
  const refresh = async () => (await fetch(`${url}/v1/tables/users/refresh`, { method: 'POST' })).json();
  const before = (await refresh()) as { changed: boolean; snapshot: { id: string } };
  assert.equal(before.changed, false);
  const etag = (await fetch(`${url}/v1/tables/users/rows/1?columns=id`)).headers.get('etag');
  writeParquet(join(folder, 'users.parquet'), [{ name: 'id', data: [1n, 50n], type: 'INT64' }]);
  const after = (await refresh()) as { changed: boolean; rows: number; snapshot: { id: string } };
  assert.deepEqual([after.changed, after.rows], [true, 2]);
  assert.notEqual(after.snapshot.id, before.snapshot.id);
  assert.equal(await (await fetch(`${url}/v1/tables/users/rows/50`)).text(), '{"id":50}');
  assert.notEqual((await fetch(`${url}/v1/tables/users/rows/1?columns=id`)).headers.get('etag'), etag);
  await expectProblem(`${url}/v1/tables/nothing/refresh`, 503, 'no_files', { method: 'POST' });
  await expectProblem(`${url}/v1/tables/nix/refresh`, 404, 'unknown_table', { method: 'POST' });
});

test('refresh from another machine is refused whatever the headers say', async (context) => {
  const address = Object.values(networkInterfaces())
    .flat()
    .find((candidate) => candidate?.family === 'IPv4' && !candidate.internal)?.address;
  if (address === undefined) return context.skip('this machine has no address but loopback');
  const { node } = await startFixture(context);
  const server = await startServer(
    {
      catalog: node.catalog,
      engine: node.engine,
      loader: node.loader,
      tier: node.tier,
      rows: node.rows,
      preloader: node.preloader,
      clock: { nowMs: () => 0, sleep: () => new Promise(() => undefined) },
    },
    { host: '0.0.0.0', port: 0 },
  );
  context.after(() => server.close());
  const { port } = new URL(server.url);
  const init = { method: 'POST', headers: { 'x-forwarded-for': '127.0.0.1' } };
  const problem = await expectProblem(`http://${address}:${port}/v1/tables/users/refresh`, 403, 'forbidden', init);
  assert.match(String(problem.detail), /this machine only/);
  assert.equal((await fetch(`http://127.0.0.1:${port}/v1/tables/users/refresh`, init)).status, 200);
});

test('a port that is taken is one clear line', async (context) => {
  const { node, url } = await startFixture(context);
  const { catalog, engine, loader, preloader, tier, rows } = node;
  const parts = { catalog, engine, loader, preloader, tier, rows };
  const clock = { nowMs: () => 0, sleep: () => new Promise<void>(() => undefined) };
  const port = Number(new URL(url).port);
  await assert.rejects(startServer({ ...parts, clock }, { host: '127.0.0.1', port }), (error: ServiceError) => {
    assert.ok(error instanceof ServiceError);
    assert.match(error.message, new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: .*choose another port`));
    return true;
  });
});

/** A handler of the test's own that answers when told, in the place of a slow request. */
function holdRequests(server: PointlakeServer) {
  const held: { readonly release: () => void }[] = [];
  const { server: http } = server.fastify;
  const [listener] = http.listeners('request') as ((...args: unknown[]) => void)[];
  http.removeAllListeners('request');
  http.on('request', (request, reply) => {
    if (request.headers['x-hold'] === undefined) listener?.call(http, request, reply);
    else held.push({ release: () => listener?.call(http, request, reply) });
  });
  return held;
}

test('closing lets requests under way finish, says so at readyz, and accepts nothing new', async (context) => {
  const { url, server } = await startFixture(context);
  await fetch(`${url}/v1/tables/users/rows/1`);
  const held = holdRequests(server);
  const slow = fetch(`${url}/v1/tables/users/rows/1`, { headers: { 'x-hold': '1' } });
  const readiness = fetch(`${url}/readyz`, { headers: { 'x-hold': '1' } });
  while (held.length < 2) await nextTurn();
  const closing = server.close();
  assert.equal(server.close(), closing);
  for (const { release } of held) release();
  assert.equal((await slow).status, 200);
  assert.equal((await readiness).status, 503);
  await closing;
  await assert.rejects(fetch(`${url}/healthz`));
});

test('idle connections do not hold up closing, and busy ones only for the grace time', async (context) => {
  const { url, server } = await startFixture(context, { server: { graceMs: 100 } });
  const { hostname, port } = new URL(url);
  const idle = connect(Number(port), hostname);
  idle.on('error', () => undefined);
  context.after(() => idle.destroy());
  await fetch(`${url}/healthz`);
  const held = holdRequests(server);
  const stuck = assert.rejects(fetch(`${url}/healthz`, { headers: { 'x-hold': '1' } }));
  while (held.length < 1) await nextTurn();
  const started = performance.now();
  await server.close();
  await stuck;
  const tookMs = performance.now() - started;
  assert.ok(tookMs >= 90 && tookMs < 5000, `${tookMs} ms`);
});

test('the errors of ours are logged and told apart from those of callers', async (context) => {
  const { node } = await startFixture(context);
  const logged: Error[] = [];
  const engine = Object.assign(Object.create(node.engine), {
    tryRow: () => {
      throw new TypeError('a mistake of ours');
    },
  });
  const server = await startServer(
    {
      catalog: node.catalog,
      engine,
      loader: node.loader,
      tier: node.tier,
      rows: node.rows,
      preloader: node.preloader,
      clock: { nowMs: () => 0, sleep: () => new Promise(() => undefined) },
      onInternalError: (error) => logged.push(error),
    },
    { host: '127.0.0.1', port: 0 },
  );
  context.after(() => server.close());
  await expectProblem(`${server.url}/v1/tables/users/rows/1`, 500, 'internal');
  await expectProblem(`${server.url}/v1/tables/users/rows/x`, 400, 'bad_key');
  assert.deepEqual(
    logged.map((error) => error.message),
    ['a mistake of ours'],
  );
});
