/** Requests that are answered before Fastify sees them, and those that pass by it, answer the same and count the same. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseMetrics, sampleValue } from '../support/prometheus.ts';
import { rawGet, sendRaw, startFixture } from './fixture.ts';

const PATHS = ['rows/1', 'rows/77', 'rows/one', 'rows/1/2', 'rows/1?columns=nope', 'values/name/1', 'values/name/2'];

test('with a receipt, which Fastify answers, every answer is the one that is given without', async (context) => {
  const { url } = await startFixture(context);
  for (const path of PATHS) {
    await fetch(`${url}/v1/tables/users/${path}`);
    const hot = await fetch(`${url}/v1/tables/users/${path}`);
    const explained = await fetch(`${url}/v1/tables/users/${path}`, { headers: { 'pointlake-explain': '1' } });
    assert.equal(hot.headers.has('pointlake-receipt'), false, path);
    assert.equal(explained.headers.has('pointlake-receipt'), true, path);
    assert.equal(explained.status, hot.status, path);
    assert.equal(explained.headers.get('etag'), hot.headers.get('etag'), path);
    assert.equal(explained.headers.get('content-type'), hot.headers.get('content-type'), path);
    assert.equal(await explained.text(), await hot.text(), path);
  }
});

test('another way to write the same target is the same row', async (context) => {
  const { url } = await startFixture(context);
  const { host } = new URL(url);
  const plain = await (await fetch(`${url}/v1/tables/users/rows/1`)).text();
  for (const target of [
    `http://${host}/v1/tables/users/rows/1`,
    '/v1/tables/us%65rs/rows/1',
    '/v1/tables/users/rows/%31',
  ]) {
    const { status, body } = await sendRaw(url, rawGet(target));
    assert.equal(status, 200, target);
    assert.equal(body, plain, target);
  }
});

test('rows and values are counted once each, whoever answered', async (context) => {
  const { url } = await startFixture(context);
  const counted = async () => {
    const metrics = parseMetrics(await (await fetch(`${url}/metrics`)).text());
    return (route: string, status: string) =>
      sampleValue(metrics, 'pointlake_requests_total', { route, table: 'users', status }) ?? 0;
  };
  const before = await counted();
  for (const path of PATHS) {
    await (await fetch(`${url}/v1/tables/users/${path}`, { method: 'HEAD' })).arrayBuffer();
    await (await fetch(`${url}/v1/tables/users/${path}`)).arrayBuffer();
    await (await fetch(`${url}/v1/tables/users/${path}`, { headers: { 'pointlake-explain': '1' } })).arrayBuffer();
  }
  const after = await counted();
  const more = (route: string, status: string) => after(route, status) - before(route, status);
  assert.equal(more('row', '2xx'), 3);
  assert.equal(more('row', '4xx'), 12);
  assert.equal(more('value', '2xx'), 6);
});

test('a hundred requests that came at once are each answered as they would be alone, and in their order', async (context) => {
  const { url } = await startFixture(context);
  const targets = Array.from(
    { length: 100 },
    (_, i) => `/v1/tables/${i % 11 === 10 ? 'none' : 'users'}/${PATHS[i % PATHS.length]}`,
  );
  const alone: (readonly [number, string])[] = [];
  for (const target of targets) {
    const answer = await fetch(`${url}${target}`);
    alone.push([answer.status, await answer.text()]);
  }
  const written = targets.map((target, i) =>
    rawGet(target).replace('connection: close\r\n', i < targets.length - 1 ? '' : '$&'),
  );
  const { head, body } = await sendRaw(url, written.join(''));
  assert.deepEqual(answersIn(`${head}\r\n\r\n${body}`), alone);
});

test('a client that leaves before its turn ends harms no other', async (context) => {
  const { url } = await startFixture(context);
  const plain = await (await fetch(`${url}/v1/tables/users/rows/1`)).text();
  const { hostname, port } = new URL(url);
  const request = rawGet('/v1/tables/users/rows/1').replace('connection: close\r\n', '');
  for (let round = 0; round < 20; round++) {
    const leaving = connect(Number(port), hostname, () => {
      leaving.write(request.repeat(50), () => leaving.resetAndDestroy());
    });
    leaving.on('error', () => undefined);
    const left = once(leaving, 'close');
    const answers = await Promise.all(Array.from({ length: 5 }, () => fetch(`${url}/v1/tables/users/rows/1`)));
    for (const answer of answers) assert.equal(await answer.text(), plain);
    await left;
  }
});

test('once the server closes a hot row says that its connection ends', async (context) => {
  const { url, server } = await startFixture(context);
  await fetch(`${url}/v1/tables/users/rows/1`);
  const { server: http } = server.fastify;
  const [listener] = http.listeners('request') as ((...args: unknown[]) => void)[];
  http.removeAllListeners('request');
  const { promise: isHeld, resolve: hold } = Promise.withResolvers<() => void>();
  http.on('request', (request, response) => hold(() => listener?.call(http, request, response)));
  const slow = fetch(`${url}/v1/tables/users/rows/1`);
  const release = await isHeld;
  const closing = server.close();
  // Fastify begins to close some turns later.
  for (let turn = 0; turn < 20; turn++) await nextTurn();
  release();
  const answer = await slow;
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('connection'), 'close');
  await closing;
});

/** Status and body of each of many answers, by their lengths. */
function answersIn(text: string): (readonly [number, string])[] {
  const answers: (readonly [number, string])[] = [];
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    const headEnd = rest.indexOf('\r\n\r\n') + 4;
    const head = rest.subarray(0, headEnd).toString();
    const bodyEnd = headEnd + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    answers.push([Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]), rest.subarray(headEnd, bodyEnd).toString()]);
    rest = rest.subarray(bodyEnd);
  }
  return answers;
}
