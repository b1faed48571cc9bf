/** Rows of which the disk has what memory lacks: answered in their turn, by whichever way they came, as they are from memory. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PointlakeNode } from '../../src/main.ts';
import type { PointlakeServer } from '../../src/server/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { parseMetrics, sampleValue } from '../support/prometheus.ts';
import { Client, parsedBy } from '../support/raw-client.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const ROWS = 20_000;
const rowOf = (id: number) => ({ id, name: `name ${id}`, score: id / 7, kind: `kind ${id % 100}` });

interface Place {
  readonly source: string;
  readonly disk: { readonly path: string; readonly sizeBytes: number };
}

function writeRows(path: string): void {
  const rows = Array.from({ length: ROWS }, (_, id) => rowOf(id));
  writeParquet(
    path,
    [
      { name: 'id', data: rows.map(({ id }) => id), type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'name', data: rows.map(({ name }) => name), type: 'STRING' },
      { name: 'score', data: rows.map(({ score }) => score), type: 'DOUBLE', encoding: 'PLAIN' },
      { name: 'kind', data: rows.map(({ kind }) => kind), type: 'STRING' },
    ],
    { rowsPerRowGroup: 5000, pageBytes: 20_000 },
  );
}

async function served(context: TestContext, { source, disk }: Place, cacheMemoryBytes?: number) {
  const node = nodeOf(context, [{ name: 't', source, key: ['id'], options: { unique: true } }], {
    disk,
    ...(cacheMemoryBytes !== undefined && { cacheMemoryBytes }),
  });
  await node.catalog.get('t').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  return { node, server };
}

/** However busy the machine is, no read counts as slow, and no turn as over. */
async function servedAtOnce(context: TestContext, place: Place, cacheMemoryBytes?: number) {
  const both = await served(context, place, cacheMemoryBytes);
  const pace = both.node.disk?.blocks.pace ?? assert.fail('a node with a disk');
  pace.tookAtOnce = () => undefined;
  return both;
}

/** With all blocks of the table on disk. */
async function filled(context: TestContext): Promise<Place> {
  const folder = scratchFolder(context);
  const place = { source: join(folder, 't.parquet'), disk: { path: join(folder, 'cache'), sizeBytes: 2 ** 27 } };
  writeRows(place.source);
  const { node, server } = await served(context, place);
  for (let id = 0; id < ROWS; id += 20) await (await fetch(`${server.url}/v1/tables/t/rows/${id}`)).text();
  await node.disk?.idle();
  assert.equal(node.disk?.blocks.state.dropped, 0);
  await server.close();
  await node.close();
  return place;
}

async function ask({ url }: PointlakeServer, id: number, headers: Record<string, string> = {}) {
  const answer = await fetch(`${url}/v1/tables/t/rows/${id}`, { headers });
  return { status: answer.status, tier: answer.headers.get('pointlake-cache'), text: await answer.text() };
}

async function counted({ url }: PointlakeServer) {
  const metrics = parseMetrics(await (await fetch(`${url}/metrics`)).text());
  const of = (name: string, labels: Readonly<Record<string, string>>) => sampleValue(metrics, name, labels) ?? 0;
  return {
    found: of('pointlake_requests_total', { route: 'row', table: 't', status: '2xx' }),
    fromDisk: of('pointlake_answers_total', { table: 't', tier: 'disk' }),
    stages: of('pointlake_lookup_stage_duration_seconds_count', { stage: 'disk' }),
  };
}

test('rows from disk are answered without Fastify, are right, and are counted once', async (context) => {
  const place = await filled(context);
  const { server } = await servedAtOnce(context, place, 1);
  // What passes by Node's parser passes by Fastify.
  const routed = parsedBy(server);
  const before = await counted(server);
  const asked = 200;
  for (let n = 0; n < asked; n++) {
    const id = (n * 7919) % ROWS;
    const { status, tier, text } = await ask(server, id);
    assert.deepEqual([status, tier, JSON.parse(text)], [200, 'disk', rowOf(id)]);
  }
  const after = await counted(server);
  assert.equal(after.found - before.found, asked);
  assert.equal(after.fromDisk - before.fromDisk, asked);
  assert.equal(after.stages - before.stages, asked);
  context.diagnostic(`${routed()} of ${asked} went by Fastify`);
  assert.ok(routed() < asked / 4, `${routed()} of ${asked} went by Fastify`);
});

test('absent keys, 304 and receipts are what they are otherwise', async (context) => {
  const place = await filled(context);
  const { server } = await served(context, place, 1);
  const absent = await ask(server, ROWS + 5);
  assert.equal(absent.status, 404);
  assert.equal(JSON.parse(absent.text).code, 'key_not_found');
  const first = await fetch(`${server.url}/v1/tables/t/rows/31`);
  assert.equal(first.headers.get('pointlake-cache'), 'disk');
  assert.equal((await ask(server, 32, { 'if-none-match': first.headers.get('etag') ?? '' })).status, 304);
  const explained = await fetch(`${server.url}/v1/tables/t/rows/33`, { headers: { 'pointlake-explain': '1' } });
  assert.ok(explained.headers.has('pointlake-receipt'));
  assert.deepEqual(await explained.json(), rowOf(33));
});

test('many at once are all right, some in their turn and some later', async (context) => {
  const place = await filled(context);
  const { server } = await served(context, place, 1);
  const ids = Array.from({ length: 300 }, (_, n) => (n * 131) % ROWS);
  const answers = await Promise.all(ids.map((id) => ask(server, id)));
  for (const [n, id] of ids.entries()) assert.deepEqual(JSON.parse(answers[n]?.text ?? ''), rowOf(id));
});

test('what was damaged on disk is fetched', async (context) => {
  const place = await filled(context);
  const { server, node } = await served(context, place, 1);
  const folder = join(place.disk.path, 'blocks');
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    for (let at = 6000; at < bytes.length; at += 8192) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
    writeFileSync(path, bytes);
  }
  for (let n = 0; n < 100; n++) {
    const id = (n * 7919) % ROWS;
    const { status, text } = await ask(server, id);
    assert.deepEqual([status, JSON.parse(text)], [200, rowOf(id)]);
  }
  assert.ok((node.disk?.blocks.state.invalid ?? 0) > 0);
});

/** Turns in which the disk may be read come when they are given. */
class HeldTurns {
  readonly #held: (() => void)[] = [];

  constructor({ disk }: PointlakeNode) {
    const pace = disk?.blocks.pace ?? assert.fail('a node with a disk');
    pace.inTurn = (work) => {
      this.#held.push(work);
    };
  }

  /** Waits until so many lookups wait. */
  async waiting(count: number): Promise<void> {
    while (this.#held.length < count) await sleep(1);
    assert.equal(this.#held.length, count);
  }

  give(): void {
    for (const work of this.#held.splice(0)) work();
  }
}

const get = (id: number, headers = '') => `GET /v1/tables/t/rows/${id} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;

/** One whose requests pass by the parser from now on. */
async function alike(server: PointlakeServer, headers = ''): Promise<Client> {
  const client = await Client.to(server);
  for (let n = 0; n < 3; n++) await client.ask(get(n, headers));
  return client;
}

function bodyOf(answer: string | undefined): unknown {
  return JSON.parse(answer?.split('\r\n\r\n')[1] ?? '');
}

test('rows that find the turn over wait for the next, and are answered without Fastify then', async (context) => {
  const { server, node } = await servedAtOnce(context, await filled(context), 1);
  const clients: Client[] = [];
  while (clients.length < 40) clients.push(await alike(server));
  const parsed = parsedBy(server);
  const turns = new HeldTurns(node);
  const before = await counted(server);
  await Promise.all(clients.map((client, n) => client.send(get(1000 + n * 131))));
  await turns.waiting(clients.length);
  turns.give();
  for (const [n, client] of clients.entries()) {
    const [answer] = await client.take(1);
    assert.match(answer ?? '', /^pointlake-cache: disk\r\n/m);
    assert.deepEqual(bodyOf(answer), rowOf(1000 + n * 131));
  }
  // The two reads of the metrics.
  const after = await counted(server);
  assert.equal(parsed(), 2);
  assert.equal(after.fromDisk - before.fromDisk, clients.length);
  assert.equal(after.stages - before.stages, clients.length);
});

test('many who ask for the same row have it read once', async (context) => {
  const { server, node } = await servedAtOnce(context, await filled(context));
  const clients: Client[] = [];
  while (clients.length < 20) clients.push(await alike(server));
  const readsOf = async (asked: readonly Client[], id: number) => {
    const { reads } = node.disk?.blocks.state ?? assert.fail();
    const turns = new HeldTurns(node);
    for (const client of asked) await client.send(get(id));
    await turns.waiting(asked.length);
    turns.give();
    for (const client of asked) assert.deepEqual((await client.take(1)).map(bodyOf), [rowOf(id)]);
    return (node.disk?.blocks.state.reads ?? 0) - reads;
  };
  const byOne = await readsOf(clients.slice(0, 1), 12_345);
  assert.ok(byOne > 0);
  assert.equal(await readsOf(clients, 17_345), byOne);
});

test('who asks on while a row waits gets both answers, in their order and once', async (context) => {
  const { server, node } = await servedAtOnce(context, await filled(context), 1);
  const [client, other] = [await alike(server), await alike(server)];
  const turns = new HeldTurns(node);
  await client.send(get(500));
  await other.send(get(700));
  await turns.waiting(2);
  await client.send(get(600));
  // The first was passed on, and is not answered again when its turn comes.
  assert.deepEqual((await client.take(1)).map(bodyOf), [rowOf(500)]);
  await turns.waiting(3);
  turns.give();
  assert.deepEqual((await other.take(1)).map(bodyOf), [rowOf(700)]);
  assert.deepEqual((await client.take(1)).map(bodyOf), [rowOf(600)]);
  assert.equal(await client.takeAll(), '');
  for (let n = 0; n < 5; n++) {
    const asked = client.ask(get(900 + n));
    while (!(await Promise.race([asked.then(() => true), sleep(2, false)]))) turns.give();
    assert.deepEqual(bodyOf(await asked), rowOf(900 + n));
  }
});

test('a client that asks for very many at once has only some of them wait, and gets them all in order', async (context) => {
  const { server, node } = await servedAtOnce(context, await filled(context), 1);
  const client = await Client.to(server);
  await client.ask(get(1));
  const turns = new HeldTurns(node);
  const ids = Array.from({ length: 5000 }, (_, n) => (n * 7) % ROWS);
  await client.send(ids.map((id) => get(id)).join(''));
  await turns.waiting(4096);
  const taken = client.take(ids.length);
  // What is read once there is room again waits as well.
  while (!(await Promise.race([taken.then(() => true), sleep(10, false)]))) turns.give();
  const answers = await taken;
  for (const [n, answer] of answers.entries())
    assert.deepEqual(bodyOf(answer), rowOf(ids[n] ?? 0), `of ${answers.length}, the ${n}th`);
  assert.equal(answers.length, ids.length);
});

test('rows that wait for the disk are answered when the server closes', async (context) => {
  const { server, node } = await servedAtOnce(context, await filled(context), 1);
  const clients = [await alike(server), await alike(server)];
  const turns = new HeldTurns(node);
  const ofFetch = ask(server, 77);
  for (const client of clients) await client.send(get(500));
  await turns.waiting(3);
  const closed = server.close();
  assert.deepEqual(JSON.parse((await ofFetch).text), rowOf(77));
  for (const client of clients) {
    const [answer] = await client.take(1);
    assert.deepEqual(bodyOf(answer), rowOf(500));
    await client.closed;
  }
  await closed;
  turns.give();
});

test('a row that waits for the disk longer than its request may take is 504', async (context) => {
  const { server, node } = await servedAtOnce(context, await filled(context), 1);
  const hurried = await alike(server, 'pointlake-timeout-ms: 30\r\n');
  const patient = await alike(server);
  const turns = new HeldTurns(node);
  await hurried.send(get(500, 'pointlake-timeout-ms: 30\r\n'));
  await patient.send(get(600));
  await turns.waiting(2);
  await sleep(40);
  turns.give();
  const [late] = await hurried.take(1);
  assert.match(late ?? '', /^HTTP\/1.1 504 /);
  assert.equal((bodyOf(late) as { code: string }).code, 'timeout');
  assert.deepEqual((await patient.take(1)).map(bodyOf), [rowOf(600)]);
});

test('who leaves while a row waits for the disk harms no other', async (context) => {
  const { server, node } = await servedAtOnce(context, await filled(context), 1);
  const [leaving, resetting, staying] = [await alike(server), await alike(server), await alike(server)];
  const turns = new HeldTurns(node);
  for (const client of [leaving, resetting, staying]) await client.send(get(500));
  await turns.waiting(3);
  leaving.socket.end();
  resetting.socket.resetAndDestroy();
  await sleep(20);
  turns.give();
  assert.deepEqual((await staying.take(1)).map(bodyOf), [rowOf(500)]);
});
