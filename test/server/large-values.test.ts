/** Values from a kilobyte to beyond the limit: byte for byte, refused where they would be too much, bounded on their way. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock } from '../../src/core/index.ts';
import type { NodeOptions } from '../../src/main.ts';
import { type ServerOptions, startServer } from '../../src/server/index.ts';
import { digestOf, SIZES, writeDocuments } from '../support/large-values.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { nodeOf } from '../support/one-node.ts';
import { expectProblem, post } from './fixture.ts';

const MIB = 2 ** 20;

// One file for all tests, since writing it takes longer than reading it.
const folder = mkdtempSync(join(tmpdir(), 'pointlake-test-'));
const source = join(folder, 'docs.parquet');
let digests: readonly string[] = [];
before(() => {
  digests = writeDocuments(source);
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function start(
  context: TestContext,
  options: Partial<ServerOptions> = {},
  clock = systemClock,
  ofNode: Partial<NodeOptions> = {},
) {
  const node = nodeOf(context, [{ name: 'docs', source, key: ['id'] }], ofNode);
  await node.catalog.get('docs').refresh();
  const { catalog, engine, loader, preloader, tier, rows } = node;
  const parts = { catalog, engine, loader, preloader, tier, rows, clock };
  const server = await startServer(parts, { host: '127.0.0.1', port: 0, graceMs: 1, ...options });
  context.after(() => server.close());
  return { url: `${server.url}/v1/tables/docs`, node };
}

test('every size is answered byte for byte by /values, cold and hot, and by a row up to its limit', async (context) => {
  const { url, node } = await start(context);
  for (const [id, bytes] of SIZES.entries()) {
    if (bytes > 32 * MIB) {
      const problem = await expectProblem(`${url}/values/text/${id}`, 422, 'value_too_large');
      assert.deepEqual([problem.column, problem.bytes, problem.limit], ['text', bytes, 32 * MIB]);
      continue;
    }
    for (const tier of ['origin', 'memory']) {
      const answer = await fetch(`${url}/values/text/${id}`);
      assert.equal(answer.headers.get('content-length'), `${bytes}`);
      assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
      assert.equal(digestOf(new Uint8Array(await answer.arrayBuffer())), digests[id], `${bytes} bytes from ${tier}`);
    }
    const head = await fetch(`${url}/values/text/${id}`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, `${bytes}`]);
    if (bytes <= 5 * MIB) {
      const raw = await fetch(`${url}/values/raw/${id}`);
      assert.equal(raw.headers.get('content-type'), 'application/octet-stream');
      assert.equal(digestOf(new Uint8Array(await raw.arrayBuffer())), digests[id]);
    }
    const row = `${url}/rows/${id}?columns=id,text`;
    if (bytes <= MIB) {
      const { text } = (await (await fetch(row)).json()) as { text: string };
      assert.equal(digestOf(text), digests[id]);
    } else {
      for (const _ of ['first', 'again']) {
        const problem = await expectProblem(row, 422, 'value_too_large');
        assert.deepEqual([problem.bytes, problem.limit], [bytes, MIB]);
        assert.equal(problem.url, `/v1/tables/docs/values/text/${id}`);
      }
    }
  }
  // Rows above 8 Ki characters are left to their blocks.
  assert.ok(node.rows.stats.entries <= 1, `${node.rows.stats.entries} rows kept`);
});

test('a value too large for its row is the error of its key alone, with the URL where it is', async (context) => {
  const { url } = await start(context);
  const answer = await post(`${url}/lookup`, '{"keys":[0,8,99],"columns":["id","text"]}');
  const { results } = (await answer.json()) as { results: Record<string, never>[] };
  const [small, large, absent] = results as unknown as [
    { status: string; row: { text: string } },
    { status: string; error: { code: string; url: string; bytes: number } },
    { status: string },
  ];
  assert.deepEqual([small.status, large.status, absent.status], ['found', 'error', 'not_found']);
  assert.equal(digestOf(small.row.text), digests[0]);
  assert.deepEqual([large.error.code, large.error.bytes], ['value_too_large', SIZES[8]]);
  const origin = new URL(url).origin;
  const value = await fetch(origin + large.error.url);
  assert.equal(digestOf(new Uint8Array(await value.arrayBuffer())), digests[8]);
  const others = await fetch(`${url}/rows/8?columns=id`);
  assert.equal(await others.text(), '{"id":8}');
  await expectProblem(`${url}/rows/8?columns=words`, 422, 'value_too_large');
  const raised = await start(context, { valueInRowBytes: 6 * MIB });
  assert.equal((await fetch(`${raised.url}/rows/8`)).status, 200);
});

test('a reader that stops is cut off and gives back what it held; readers beyond the bound are told to wait', async (context) => {
  const clock = new ManualClock();
  const { url } = await start(context, { largeReplyBytesMax: 40 * MIB }, clock);
  for (const id of [10, 12]) await (await fetch(`${url}/values/text/${id}`)).arrayBuffer();
  const { hostname, port, pathname } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received = 0;
  socket.once('data', (chunk: Buffer) => {
    received += chunk.length;
    socket.pause();
  });
  socket.on('error', () => undefined);
  socket.write(`GET ${pathname}/values/text/10 HTTP/1.1\r\nhost: x\r\n\r\n`);
  while (received === 0 || clock.sleeping === 0) await nextTurn();

  await expectProblem(`${url}/values/text/12`, 429, 'overloaded');
  const same = await fetch(`${url}/values/text/10`);
  assert.equal((await same.arrayBuffer()).byteLength, SIZES[10], 'readers of one value share it');
  assert.equal((await fetch(`${url}/values/text/4`)).status, 200, 'a small one still fits');

  clock.advance(10_000);
  for (;;) {
    const answer = await fetch(`${url}/values/text/12`);
    assert.ok(answer.status === 200 || answer.status === 429);
    await answer.arrayBuffer();
    if (answer.status === 200) break;
  }
  socket.destroy();
});

test('large answers to many keys are bounded together, as JSON and as Arrow, and a client that takes nothing is cut off', async (context) => {
  const clock = new ManualClock();
  const { url } = await start(context, { largeReplyBytesMax: 12 * MIB, valueInRowBytes: 32 * MIB }, clock);
  const lookup = (id: number, accept: string) =>
    fetch(`${url}/lookup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ keys: [id], columns: ['text'] }),
    });
  for (const accept of ['application/json', 'application/vnd.apache.arrow.stream']) {
    const { hostname, port, pathname } = new URL(url);
    const body = '{"keys":[10],"columns":["text"]}';
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    let received = 0;
    socket.once('data', (chunk: Buffer) => {
      received += chunk.length;
      socket.pause();
    });
    const head = `host: x\r\ncontent-type: application/json\r\naccept: ${accept}\r\ncontent-length: ${body.length}`;
    socket.write(`POST ${pathname}/lookup HTTP/1.1\r\n${head}\r\n\r\n${body}`);
    while (received === 0 || clock.sleeping === 0) await nextTurn();
    const refused = await lookup(10, accept);
    assert.deepEqual([refused.status, ((await refused.json()) as { code: string }).code], [429, 'overloaded'], accept);
    assert.equal((await lookup(1, accept)).status, 200, 'a small one still fits');
    clock.advance(10_000);
    for (;;) {
      const answer = await lookup(10, accept);
      const { byteLength } = await answer.arrayBuffer();
      if (answer.status === 200) {
        assert.ok(byteLength >= (SIZES[10] ?? 0));
        break;
      }
      assert.equal(answer.status, 429);
    }
    socket.destroy();
  }
});

test('what is being sent is part of the memory of the node: blocks make room for it, and have it back afterwards', async (context) => {
  const { url, node } = await start(context, {}, systemClock, { cacheMemoryBytes: 96 * MIB });
  const { budget } = node.tier;
  for (const id of [10, 12, 9, 8, 7, 6]) await (await fetch(`${url}/values/text/${id}`)).arrayBuffer();
  await node.tier.settled();
  const blocksBefore = budget.usedBytes('blocks');
  assert.equal(budget.usedBytes('replies'), 0);
  assert.ok(blocksBefore > 16 * MIB, `${blocksBefore} bytes of blocks`);
  const answers = await Promise.all([10, 12].map((id) => fetch(`${url}/values/text/${id}`)));
  const sending = (SIZES[10] ?? 0) + (SIZES[12] ?? 0);
  assert.ok(budget.usedBytes('replies') >= sending, `${budget.usedBytes('replies')} bytes of answers`);
  await node.tier.settled();
  const classes = ['metadata', 'keys', 'blocks', 'rows', 'inFlight', 'replies'] as const;
  const usedBytes = classes.reduce((sum, kind) => sum + budget.usedBytes(kind), 0);
  assert.ok(usedBytes <= budget.totalBytes, `${usedBytes} of ${budget.totalBytes}`);
  const shown = await (await fetch(new URL('/metrics', url))).text();
  assert.match(
    shown,
    new RegExp(`^pointlake_memory_used_bytes\\{class="replies"\\} ${budget.usedBytes('replies')}$`, 'm'),
  );
  await Promise.all(answers.map((answer) => answer.arrayBuffer()));
  while (budget.usedBytes('replies') > 0) await nextTurn();
});

test('a client that leaves in the middle gives back what it held', async (context) => {
  const { url } = await start(context, { largeReplyBytesMax: MIB });
  for (let round = 0; round < 8; round++) {
    const leaving = new AbortController();
    const answer = await fetch(`${url}/values/text/${round % 2 === 0 ? 10 : 12}`, { signal: leaving.signal });
    if (answer.status === 200) await answer.body?.getReader().read();
    leaving.abort();
    for (;;) {
      const next = await fetch(`${url}/values/text/9`);
      await next.arrayBuffer();
      if (next.status === 200) break;
      assert.equal(next.status, 429);
    }
  }
});
