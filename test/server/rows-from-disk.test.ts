/** Rows of which the disk has what memory lacks: answered in their turn, by whichever way they came, as they are from memory. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PointlakeServer } from '../../src/server/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { parseMetrics, sampleValue } from '../support/prometheus.ts';
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
  const { server } = await served(context, place, 1);
  let routed = 0;
  // Passed by Node's parser, and so by Fastify, is what was answered in its turn.
  server.fastify.server.prependListener('request', () => {
    routed += 1;
  });
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
  context.diagnostic(`${routed} of ${asked} went by Fastify`);
  assert.ok(routed < asked / 4, `${routed} of ${asked} went by Fastify`);
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
