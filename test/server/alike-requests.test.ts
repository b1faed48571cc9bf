/** Requests that pass by Node's parser are answered, ordered, counted and ended as those that it reads. */

import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import type { PointlakeServer } from '../../src/server/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { parseMetrics, sampleValue } from '../support/prometheus.ts';
import { Client, parsedBy } from '../support/raw-client.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { type Fixture, startFixture } from './fixture.ts';

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);
const HOST = 'Host: localhost\r\n';
const OF_BROWSERS = `${HOST}Connection: keep-alive\r\nAccept: */*\r\nUser-Agent: test/1.0 (x; y)\r\nAccept-Encoding: gzip, br\r\n`;
const OF_TRACERS = `${HOST}traceparent: 00-a-b-01\r\nAccept: */*\r\n`;

function get(target: string, headers = HOST): string {
  return `GET /v1/tables/${target} HTTP/1.1\r\n${headers}\r\n`;
}

/** Connections to it are left to Node's parser: a listener of ours is there before. */
async function leftAlone(context: TestContext, { node }: Fixture): Promise<PointlakeServer> {
  const server = await serve(node);
  context.after(() => server.close());
  server.fastify.server.on('connection', (socket: Socket) => socket.on('data', () => undefined));
  return server;
}

/** Has answered a request by Node's parser, and another that shows what requests look like. */
async function alikeClient(server: PointlakeServer, headers = HOST): Promise<Client> {
  const client = await Client.to(server);
  await client.ask(get('users/rows/1', headers));
  await client.ask(get('users/rows/1', headers));
  return client;
}

const TARGETS = [
  'users/rows/1',
  'users/rows/2',
  'users/rows/77',
  'users/rows/one',
  'users/rows/1/2',
  'users/rows/%31',
  'users/rows/1?columns=name,score',
  'users/rows/1?columns=nope',
  'users/rows/1?nope',
  'users/rows/9007199254740993',
  'users/by/id/1',
  'users/values/name/1',
  'users/values/name/2',
  'users/values/photo/1',
  'users/values/profile/1',
  'users/values/nope/1',
  'users/values/name/77',
  'users/by/nope/1',
  'us%65rs/rows/1',
  'none/rows/1',
  'docs/rows/eu%2Fwest/%C3%BCn%C3%AFcode',
  'docs/rows/eu%2Fwest/nothing%20of%20%C3%BC',
  'users/rows/',
  'users/rows/%',
];

test('the answers of both ways are the same bytes', async (context) => {
  const { server } = await startFixture(context);
  const parsed = parsedBy(server);
  const first = await (await Client.to(server)).ask(get('users/rows/1'));
  const etag = /^etag: (.*)$/im.exec(first)?.[1] ?? '';
  assert.ok(etag.length > 2, first);
  const kinds = [
    HOST,
    OF_BROWSERS,
    `${HOST}if-none-match: ${etag}\r\n`,
    `${HOST}Accept: text/csv\r\n`,
    `${HOST}pointlake-timeout-ms: soon\r\n`,
    `${HOST}pointlake-timeout-ms: 1000\r\n`,
  ];
  for (const headers of kinds) {
    const client = await alikeClient(server, headers);
    for (const target of TARGETS) {
      // In memory, where it can be.
      const plain = await Client.to(server);
      await plain.ask(get(target, headers));
      const ofNode = await plain.ask(get(target, headers));
      plain.socket.destroy();
      const before = parsed();
      const alike = await client.ask(get(target, headers));
      assert.equal(alike, ofNode, target);
      const isOurs = !/^(us%65rs|none)/.test(target);
      assert.equal(parsed() - before, isOurs ? 0 : 1, `${target} with ${headers}`);
    }
    client.socket.destroy();
  }
});

test('what is no request like the last is read by the parser, and rows after it pass by again', async (context) => {
  const { server } = await startFixture(context);
  const parsed = parsedBy(server);
  const body = '{"keys": [1, 2]}';
  const length = `content-type: application/json\r\ncontent-length: ${body.length}\r\n`;
  const others: readonly (readonly [string, number])[] = [
    [`POST /v1/tables/users/lookup HTTP/1.1\r\n${HOST}${length}\r\n${body}`, 200],
    [`HEAD /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}\r\n`, 200],
    [`GET /healthz HTTP/1.1\r\n${HOST}\r\n`, 200],
    [get('users/rows/1', `${HOST}pointlake-explain: 1\r\n`), 200],
    [get('users/rows/1', 'host:localhost\r\n'), 200],
    [`GET http://localhost/v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}\r\n`, 200],
    [`GET /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}content-length: 0\r\n\r\n`, 200],
  ];
  const client = await alikeClient(server);
  const row = await client.ask(get('users/rows/1'));
  for (const [bytes, status] of others) {
    const before = parsed();
    await client.send(bytes);
    const [answer = ''] = bytes.startsWith('HEAD') ? [await client.takeAll()] : await client.take(1);
    assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), `${bytes}${answer}`);
    assert.equal(parsed() - before, 1, bytes);
    for (let again = 0; again < 3; again++) assert.equal(await client.ask(get('users/rows/1')), row);
    assert.ok(parsed() - before <= 2, `${bytes}: rows after it were read by the parser`);
  }
  assert.equal(client.isClosed, false);
});

test('a body that comes in pieces stays as it came while other connections are read', async (context) => {
  const { server } = await startFixture(context);
  const clients = await Promise.all([alikeClient(server), alikeClient(server), alikeClient(server)]);
  const keys = Array.from({ length: 200 }, (_, i) => 1 + (i % 2));
  const body = `{"keys": [${keys.join(', ')}]}`;
  const head = `POST /v1/tables/users/lookup HTTP/1.1\r\n${HOST}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const [asker, ...others] = clients;
  assert.ok(asker !== undefined);
  await asker.send(head + body);
  const [whole] = await asker.take(1);
  for (let at = 0; at < body.length; at += 50) {
    await asker.send((at === 0 ? head : '') + body.slice(at, at + 50));
    for (const other of others) await other.ask(get('users/rows/2'));
    for (const other of others) await other.ask(get('users/rows/1', `${HOST}x: ${'x'.repeat(600)}\r\n`));
  }
  assert.deepEqual(await asker.take(1), [whole]);
  assert.match(whole ?? '', /^HTTP\/1.1 200 OK\r\n/);
});

/** What is sent in one chunk each, odd or not. */
const LOOKUP = '{"keys": [1, 2]}';
const ROW = get('users/rows/1');
const POST = `POST /v1/tables/users/lookup HTTP/1.1\r\n${HOST}content-type: application/json\r\n`;
const CHUNKS: readonly string[] = [
  ROW,
  get('users/rows/2'),
  get('users/rows/77'),
  get('users/rows/one'),
  get('users/rows/1', OF_BROWSERS),
  get('users/rows/1', OF_TRACERS),
  get('users/values/name/1'),
  // What is no message by itself, for what comes after it to be part of.
  'GET /v1/tables/users/rows/1 HTTP/1.1\r\nx: ',
  'GET /v1/tables/users/rows/1 HTTP/1.1\r\n',
  'GET /v1/tables/users/rows/',
  '\r\n',
  'GE',
  'x',
  '\u0000',
  // Bodies that look like requests.
  `${POST}content-length: ${ROW.length}\r\n\r\n${ROW}`,
  `${POST}content-length: ${ROW.length}\r\n\r\n`,
  `${POST}content-length: ${LOOKUP.length}\r\n\r\n${LOOKUP}`,
  `${POST}transfer-encoding: chunked\r\n\r\n${ROW.length.toString(16)}\r\n${ROW}\r\n0\r\n\r\n`,
  `${POST}transfer-encoding: chunked\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}content-length: ${ROW.length}\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}content-length: 0\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}expect: 100-continue\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}connection: upgrade\r\nupgrade: websocket\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.0\r\n${HOST}\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.0\r\n${HOST}connection: keep-alive\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\n${HOST}\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\r\nhost:localhost\r\n\r\n`,
  `GET /v1/tables/users/rows/1 HTTP/1.1\r\n\r\n`,
  `GET  /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/tables/users/rows/1 2 HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/tables/users/rows/\u00fc HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/tables/users/rows/1#2 HTTP/1.1\r\n${HOST}\r\n`,
  `GET /v1/tables/users/rows/1\r HTTP/1.1\r\n${HOST}\r\n`,
  `HEAD /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}\r\n`,
  `DELETE /v1/tables/users/rows/1 HTTP/1.1\r\n${HOST}\r\n`,
  `CONNECT localhost:80 HTTP/1.1\r\n${HOST}\r\n`,
];

/** What a client gets that sends these one after the other, behind requests by which the server knows it. */
async function answersTo(server: PointlakeServer, chunks: readonly string[]) {
  const client = await Client.to(server);
  for (const bytes of [ROW, ROW, ROW, ...chunks]) await client.send(bytes);
  const answered = await client.takeAll();
  const { isClosed } = client;
  client.socket.destroy();
  return { answered, isClosed };
}

test('what is sent three times, and rows after it, is answered as by a server whose parser reads it all', async (context) => {
  const fixture = await startFixture(context);
  const control = await leftAlone(context, fixture);
  for (const chunk of CHUNKS) {
    for (const chunks of [
      [chunk, chunk, chunk, ROW, ROW],
      [ROW + chunk, ROW, ROW + chunk, ROW],
    ]) {
      const [ours, theirs] = await Promise.all([answersTo(fixture.server, chunks), answersTo(control, chunks)]);
      assert.deepEqual(ours, theirs, JSON.stringify(chunks));
    }
  }
});

test('whatever is sent, and however it is cut, is answered as by a server whose parser reads it all', async (context) => {
  const fixture = await startFixture(context);
  const control = await leftAlone(context, fixture);
  const parsed = [parsedBy(fixture.server), parsedBy(control)];
  const several = fc.array(fc.oneof(fc.constant(ROW), fc.constantFrom(...CHUNKS)), { minLength: 1, maxLength: 3 });
  const chunk = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom([ROW], [get('users/rows/2')], [get('users/rows/77')]) },
    several,
  );
  const cut = fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.double({ min: 0, max: 1, noNaN: true }));
  const streams = fc.array(fc.tuple(chunk, cut), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(streams, async (stream) => {
      const chunks = stream.flatMap(([texts, share]) => {
        const text = texts.join('');
        const at = Math.round(text.length * share);
        return [text.slice(0, at), text.slice(at)].filter((part) => part !== '');
      });
      const [ours, theirs] = await Promise.all([answersTo(fixture.server, chunks), answersTo(control, chunks)]);
      assert.deepEqual(ours, theirs);
    }),
    { seed: SEED, numRuns: 200 },
  );
  const [byBoth = 0, byParser = 0] = parsed.map((count) => count());
  context.diagnostic(`seed ${SEED}; the parser read ${byBoth} of ${byParser} requests`);
  assert.ok(byBoth < byParser - 300, `the parser read ${byBoth} of ${byParser}`);
});

test('a client that sends and does not read gets all answers in their order, and few of them wait in memory', async (context) => {
  const { server } = await startFixture(context);
  const client = await alikeClient(server);
  const rows = await Promise.all(
    ['1', '2'].map(async (key) => (await Client.to(server)).ask(get(`users/rows/${key}`))),
  );
  client.socket.pause();
  let count = 0;
  // As chunks that came one by one, until the server reads no more.
  for (; count < 100_000 && !client.there.isPaused(); count++) {
    client.there.emit('data', Buffer.from(get(`users/rows/${1 + (count % 2)}`)));
    if (count % 100 === 99) await nextTurn();
  }
  assert.ok(client.there.isPaused(), `${count} requests were read`);
  assert.ok(client.there.writableLength < 1e6, `${client.there.writableLength} bytes wait to be sent`);
  client.socket.resume();
  const answers = await client.take(count);
  assert.equal(answers.length, count);
  assert.ok(answers.every((answer, i) => answer === rows[i % 2]));
  assert.equal(await client.ask(get('users/rows/1')), rows[0]);
});

test('values of headers that follow a request may differ, others and odd ones not', async (context) => {
  const { server } = await startFixture(context);
  const parsed = parsedBy(server);
  const followed = (trace: string, id: string) =>
    `${HOST}traceparent: ${trace}\r\nAccept: */*\r\nX-Request-ID: ${id}\r\n`;
  const client = await alikeClient(server, followed('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', '1'));
  const row = await client.ask(get('users/rows/1', followed('00-a-b-01', '2')));
  const before = parsed();
  for (let i = 0; i < 10; i++)
    assert.equal(await client.ask(get('users/rows/1', followed(`00-a-${i}`, `id:${i}`))), row);
  assert.equal(parsed(), before);
  for (const [headers, status] of [
    [followed('', '1'), 200],
    [followed('a b', '1'), 200],
    [followed('a\tb', '1'), 200],
    [followed('a', '1').replace('*/*', '*/* '), 200],
    [followed('a', '1').replace('*/*', 'text/csv'), 406],
    [followed('a', '1\r\nAccept: text/csv'), 200],
    [followed('a\r\nAccept: text/csv', '1'), 200],
    [followed('a', '1').replace('traceparent', 'tracestate'), 200],
    [followed('a\nAccept: text/csv', '1'), 400],
  ] as const) {
    const again = await Client.to(server);
    for (let i = 0; i < 3; i++) await again.ask(get('users/rows/1', followed('a', '1')));
    const read = parsed();
    assert.match(await again.ask(get('users/rows/1', headers)), new RegExp(`^HTTP/1.1 ${status} `), headers);
    // What the parser refuses is no request.
    assert.equal(parsed() - read, status === 400 ? 0 : 1, headers);
    again.socket.destroy();
  }
});

test('chunks that come in one turn are answered in their order', async (context) => {
  const { server } = await startFixture(context);
  const client = await alikeClient(server);
  const rows = await Promise.all(
    ['1', '2'].map(async (key) => (await Client.to(server)).ask(get(`users/rows/${key}`))),
  );
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 10; i++) client.there.emit('data', Buffer.from(get(`users/rows/${1 + (i % 2)}`)));
    const answers = await client.take(10);
    assert.deepEqual(
      answers,
      Array.from({ length: 10 }, (_, i) => rows[i % 2]),
    );
  }
});

test('a client that leaves or resets while its request waits harms no other', async (context) => {
  const { server } = await startFixture(context);
  const row = await (await alikeClient(server)).ask(get('users/rows/1'));
  for (let round = 0; round < 30; round++) {
    const [leaving, staying] = [await alikeClient(server), await alikeClient(server)];
    leaving.socket.write(get(round % 3 === 0 ? 'none/rows/1' : 'users/rows/1'));
    if (round % 2 === 0) leaving.socket.resetAndDestroy();
    else leaving.socket.end();
    assert.equal(await staying.ask(get('users/rows/1')), row);
    staying.socket.destroy();
  }
});

test('rows that have to be fetched are passed on, and those after them pass by the parser', async (context) => {
  const { server } = await startFixture(context);
  const parsed = parsedBy(server);
  const client = await alikeClient(server);
  for (const target of ['docs/rows/us/plain', 'halfBroken/rows/1']) {
    const before = parsed();
    assert.match(await client.ask(get(target)), /^pointlake-cache: origin\r\n/m);
    assert.equal(parsed() - before, 1);
    for (let again = 0; again < 3; again++) {
      assert.match(await client.ask(get(target)), /^pointlake-cache: memory\r\n/m);
      await client.ask(get('users/rows/1'));
    }
    assert.equal(parsed() - before, 1);
  }
});

test('a connection that asks for a large value is left to the parser, and answered from memory as before', async (context) => {
  const source = join(scratchFolder(context), 'texts.parquet');
  const texts = ['short', 'long '.repeat(20_000), 'other'];
  writeParquet(source, [
    { name: 'id', data: [0, 1, 2], type: 'INT32' },
    { name: 'text', data: texts, type: 'STRING' },
  ]);
  const node = nodeOf(context, [{ name: 'texts', source, key: ['id'] }]);
  await node.catalog.get('texts').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const parsed = parsedBy(server);
  const parsedOf = async (client: Client, id: number): Promise<number> => {
    const before = parsed();
    const answer = await client.ask(get(`texts/values/text/${id}`));
    assert.equal(answer.split('\r\n\r\n')[1], texts[id]);
    return parsed() - before;
  };
  // All is in memory after this.
  const first = await Client.to(server);
  for (const id of [0, 1, 2]) await parsedOf(first, id);
  const client = await Client.to(server);
  const counts: number[] = [];
  for (const id of [0, 2, 0, 2, 1, 1, 0, 2]) counts.push(await parsedOf(client, id));
  // Two until requests are known, and all from the first large one on.
  assert.deepEqual(counts, [1, 1, 0, 0, 1, 1, 1, 1]);
  const answer = await client.ask(get('texts/values/text/1'));
  assert.match(answer, /^pointlake-cache: memory\r\n/m);
});

test('what is asked for while a row is fetched is answered after it', async (context) => {
  const { server } = await startFixture(context);
  const client = await alikeClient(server);
  const asked = [
    'docs/rows/us/plain',
    'users/rows/1',
    'halfBroken/rows/1',
    'users/rows/2',
    'events/rows/1',
    'users/rows/77',
  ];
  for (const target of asked) await client.send(get(target));
  const bodies = (await client.take(asked.length)).map((answer) => answer.split('\r\n\r\n')[1]?.slice(0, 20));
  const alone: (string | undefined)[] = [];
  for (const target of asked) alone.push((await client.ask(get(target))).split('\r\n\r\n')[1]?.slice(0, 20));
  assert.deepEqual(bodies, alone);
});

test('nothing is parsed of a request whose client is gone', async (context) => {
  const { server } = await startFixture(context);
  const parsed = parsedBy(server);
  const client = await alikeClient(server);
  const before = parsed();
  client.there.emit('data', Buffer.from(get('none/rows/1')));
  client.there.destroy();
  await client.closed;
  await sleep(10);
  assert.equal(parsed() - before, 0);
});

test('each is answered at the end of its turn, without a promise or a timer', async (context) => {
  const { server } = await startFixture(context);
  const client = await alikeClient(server);
  const made: string[] = [];
  const hook = createHook({
    init: (_id, type) => {
      if (['PROMISE', 'Timeout', 'Immediate'].includes(type)) made.push(type);
    },
  });
  for (const target of ['users/rows/1', 'users/values/name/1', 'users/rows/77']) {
    await client.ask(get(target));
    await client.ask(get(target));
    const before = client.there.bytesWritten;
    const { promise: isTurnOver, resolve } = Promise.withResolvers<void>();
    made.length = 0;
    // Watched are the reading of the request and, between these two, the end of the turn.
    setImmediate(() => hook.enable());
    hook.enable();
    client.there.emit('data', Buffer.from(get(target)));
    hook.disable();
    setImmediate(() => {
      hook.disable();
      resolve();
    });
    await isTurnOver;
    assert.ok(client.there.bytesWritten > before, `${target} was answered in a later turn`);
    assert.deepEqual(made, ['Immediate'], target);
    await client.take(1);
  }
});

test('they are counted as others are', async (context) => {
  const { server, url } = await startFixture(context);
  const client = await alikeClient(server);
  const counted = async (status: string) => {
    const metrics = parseMetrics(await (await fetch(`${url}/metrics`)).text());
    return sampleValue(metrics, 'pointlake_requests_total', { route: 'row', table: 'users', status }) ?? 0;
  };
  const before = [await counted('2xx'), await counted('4xx')];
  for (let i = 0; i < 10; i++) await client.ask(get('users/rows/1'));
  for (let i = 0; i < 5; i++) await client.ask(get('users/rows/77'));
  assert.deepEqual([await counted('2xx'), await counted('4xx')], [(before[0] ?? 0) + 10, (before[1] ?? 0) + 5]);
});

test('a connection that is to end, or whose server closes, hears of it with its next answer', async (context) => {
  for (const end of ['letGo', 'close'] as const) {
    const { server } = await startFixture(context);
    const client = await alikeClient(server);
    assert.match(await client.ask(get('users/rows/1')), /^Connection: keep-alive$/m);
    // Held in its turn, so that the connection is not idle when the server closes.
    client.socket.write(get('users/rows/1'));
    await once(client.there, 'data');
    const ended = server[end]();
    const [last = ''] = await client.take(1);
    if (end === 'letGo') assert.match(await client.ask(get('users/rows/1')), /^Connection: close$/m);
    else assert.match(last, /^HTTP\/1.1 200 OK\r\n/);
    await client.closed;
    await ended;
  }
});

test('an idle connection ends after its time, and one that is used does not', async (context) => {
  const { server } = await startFixture(context);
  const { server: http } = server.fastify;
  http.keepAliveTimeout = 100;
  const [used, idle] = [await alikeClient(server), await alikeClient(server)];
  await idle.ask(get('users/rows/1'));
  // Node gives them a second more.
  for (let i = 0; i < 30; i++) {
    await used.ask(get('users/rows/1'));
    await sleep(60);
  }
  assert.deepEqual([used.isClosed, idle.isClosed], [false, true]);
});
