/**
 * Receipts agree with what was really read: each GET and byte below the engine stands in exactly one of them, in lookups
 * that are cold, warm and hot, alone and together, and an answer is the same with a receipt and without.
 */

import assert from 'node:assert/strict';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NodeOptions } from '../../src/main.ts';
import type { ServerOptions } from '../../src/server/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { IoTrace } from '../support/io-trace.ts';
import { nodeOf } from '../support/one-node.ts';
import { type FixtureOptions, parquetBytes, scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { expectProblem, post } from './fixture.ts';

/** Even numbers: every file has `ROWS` of them, in row groups of 1,000, one file after the other. */
const ROWS = 4_000;
const FILES = 3;
const COLUMNS = ['id', 'score', 'kind', 'text'];

interface Explained {
  readonly snapshot: string;
  readonly keys: number;
  readonly files: Readonly<Record<'considered' | 'by_bounds' | 'by_index' | 'searched', number>>;
  readonly row_groups: Readonly<Record<'by_bounds' | 'by_bloom' | 'searched', number>>;
  readonly key_pages: Readonly<Record<'by_bounds' | 'left', number>>;
  readonly blocks: Readonly<Record<'row_cache' | 'memory' | 'disk' | 'origin', number>>;
  readonly storage: Readonly<
    Record<'reads' | 'read_bytes' | 'requests' | 'bytes' | 'usd' | 'shared' | 'pages_decoded', number>
  >;
  readonly us: Readonly<Record<'queue' | 'locate' | 'disk' | 'fetch' | 'decode' | 'encode' | 'total', number>>;
}

function columns(file: number, pad = 0) {
  const ids = Array.from({ length: ROWS }, (_, i) => (file * ROWS + i) * 2);
  return [
    { name: 'id', data: ids, type: 'INT32' as const, encoding: 'PLAIN' as const, nullable: false },
    { name: 'score', data: ids.map((id) => Math.sin(id)), type: 'DOUBLE' as const, encoding: 'PLAIN' as const },
    { name: 'kind', data: ids.map((id) => `kind ${id % 7}`), type: 'STRING' as const },
    { name: 'text', data: ids.map((id) => `text of ${id} ${'x'.repeat((id % 90) + pad)}`), type: 'STRING' as const },
  ];
}

const layout: FixtureOptions = { rowsPerRowGroup: 1000, pageBytes: 2048 };

async function startLocal(
  context: TestContext,
  options: Partial<NodeOptions> = {},
  server: Partial<ServerOptions> = {},
) {
  const folder = scratchFolder(context);
  for (let file = 0; file < FILES; file++) writeParquet(join(folder, `${file}.parquet`), columns(file), layout);
  return start(context, `${folder}/`, options, server);
}

async function start(
  context: TestContext,
  source: string,
  options: Partial<NodeOptions>,
  serverOptions: Partial<ServerOptions> = {},
) {
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source, key: ['id'] }], { ...options, wrapStores: trace.wrap });
  await node.catalog.get('t').refresh();
  const server = await serve(node, serverOptions);
  context.after(() => server.close());
  trace.clear();
  const url = `${server.url}/v1/tables/t`;
  return { trace, node, url };
}

async function get(url: string, explain = '1') {
  const answer = await fetch(url, { headers: { 'pointlake-explain': explain } });
  const header = answer.headers.get('pointlake-receipt');
  const receipt = header === null ? undefined : (JSON.parse(header) as Explained);
  assert.ok((header?.length ?? 0) < 4096);
  return { status: answer.status, body: await answer.text(), receipt, headers: answer.headers };
}

async function lookup(url: string, body: object) {
  const answer = await post(`${url}/lookup`, JSON.stringify(body), { 'pointlake-explain': '1' });
  assert.equal(answer.status, 200);
  const { results, explain } = (await answer.json()) as { results: unknown; explain: Explained };
  assert.ok(JSON.stringify(explain).length < 4096);
  return { results, receipt: explain, headers: answer.headers };
}

function checkTier({ blocks, storage }: Explained, tier: string | null): void {
  const touched = storage.reads + storage.shared > 0 ? 'origin' : blocks.disk > 0 ? 'disk' : 'memory';
  assert.equal(tier, touched, JSON.stringify({ blocks, storage }));
}

test(`random lookups, seed ${FUZZ_SEED}: the receipt has the GETs and bytes that were traced`, async (context) => {
  const disk = { path: scratchFolder(context), sizeBytes: 2 ** 24 };
  // Little memory, so that lookups are cold, then warm, and some hot.
  const { trace, node, url } = await startLocal(context, { cacheMemoryBytes: 2 ** 17, disk });
  const random = randomFrom(FUZZ_SEED);
  const tiers = new Set<string | null>();
  for (let i = 0; i < 150; i++) {
    // One in ten lies before all of them, which memory knows.
    const id = random() < 0.1 ? -2 : Math.floor(random() * FILES * ROWS * 2 + 10);
    const names = COLUMNS.filter(() => random() < 0.5);
    trace.clear();
    const what = Math.floor(random() * 3);
    let explained: { readonly receipt: Explained | undefined; readonly headers: Headers };
    if (what === 0) {
      const path = `${url}/rows/${id}?columns=${names.join(',')}`;
      const answer = await get(path);
      const reads = trace.gets.length;
      const plain = await get(path, '0');
      assert.deepEqual([answer.status, answer.body], [plain.status, plain.body]);
      assert.equal(plain.receipt, undefined);
      trace.gets.length = reads;
      explained = answer;
    } else if (what === 1) {
      explained = await get(`${url}/values/${names[0] ?? 'text'}/${id}`);
    } else {
      const keys = [id, id + 1, id + 2 * ROWS, 'no key'];
      explained = await lookup(url, { keys, columns: names, matches: random() < 0.5 ? 'all' : 'first' });
    }
    const { receipt } = explained;
    assert.ok(receipt !== undefined);
    const told = [receipt.storage.reads, receipt.storage.read_bytes];
    assert.deepEqual(told, [trace.gets.length, trace.bytes()], `${i}: ${trace.gets.length} GETs were traced`);
    assert.deepEqual([receipt.storage.requests, receipt.storage.bytes, receipt.storage.usd], [0, 0, 0]);
    assert.equal(receipt.storage.shared === 0 || what === 2, true, 'alone it shares nothing');
    const tier = explained.headers.get('pointlake-cache');
    checkTier(receipt, tier);
    tiers.add(tier);
    await node.disk?.idle();
  }
  assert.deepEqual([...tiers].sort(), ['disk', 'memory', 'origin']);
});

test('lookups that run together: each read and request stands in one receipt, retries too', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  // Of more than 256 KiB, so that they are not read whole.
  const large = { ...layout, codec: 'UNCOMPRESSED' } as const;
  for (let file = 0; file < FILES; file++) s3.put('lake', `t/${file}.parquet`, parquetBytes(columns(file, 100), large));
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
  const { trace, url, node } = await start(context, 's3://lake/t/', { s3: settings, hedge: false });
  const random = randomFrom(FUZZ_SEED);
  let shared = 0;
  let reads = 0;
  for (let round = 0; round < 4; round++) {
    trace.clear();
    s3.requests.length = 0;
    s3.failNext('get', { kind: 'status', status: 503, code: 'SlowDown' });
    const pool = Array.from({ length: 8 }, () => Math.floor(random() * FILES * ROWS) * 2);
    const ids = Array.from({ length: 24 }, () => pool[Math.floor(random() * pool.length)] ?? 0);
    const answers = await Promise.all([
      ...ids.map((id) => get(`${url}/rows/${id}`)),
      lookup(url, { keys: ids }),
      ...ids.map((id) => get(`${url}/values/text/${id + 2000}`)),
    ]);
    const sum = (of: (storage: Explained['storage']) => number) =>
      answers.reduce((all, { receipt }) => all + (receipt === undefined ? Number.NaN : of(receipt.storage)), 0);
    assert.equal(
      sum((it) => it.reads),
      trace.gets.length,
    );
    assert.equal(
      sum((it) => it.read_bytes),
      trace.bytes(),
    );
    assert.equal(
      sum((it) => it.requests),
      s3.requests.length,
    );
    assert.equal(
      sum((it) => it.bytes),
      trace.bytes(),
      'what failed brought nothing',
    );
    assert.equal(Math.round(sum((it) => it.usd) * 1e9), s3.requests.length * 400);
    shared += sum((it) => it.shared);
    reads += trace.gets.length;
  }
  assert.ok(reads > 10 && shared > 0, `of ${reads} reads some were waited for by others`);
  const { gets, lists } = node.catalog.get('t').source.account.totals();
  assert.ok(gets > 0 && lists > 0);
});

test('what is ruled out, and by what', async (context) => {
  const { url, node } = await startLocal(context);
  const id = (ROWS + 1500) * 2;
  const { receipt } = await get(`${url}/rows/${id}?columns=id,kind`);
  assert.equal(receipt?.snapshot, node.catalog.get('t').snapshot?.id);
  assert.deepEqual(
    receipt?.files,
    { considered: 3, by_bounds: 1, by_index: 0, searched: 1 },
    'the third is not come to',
  );
  assert.deepEqual(receipt?.row_groups, { by_bounds: 1, by_bloom: 0, searched: 1 });
  assert.equal(receipt?.key_pages.left, 1);
  assert.ok((receipt?.key_pages.by_bounds ?? 0) >= 1);
  assert.deepEqual(receipt?.blocks, { row_cache: 0, memory: 0, disk: 0, origin: 2 });
  assert.equal(receipt?.storage.pages_decoded, 3, 'two pages and a dictionary');
  const { us } = receipt ?? assert.fail();
  assert.ok(us.locate > 0 && us.fetch > 0 && us.encode > 0 && us.disk === 0, JSON.stringify(us));
  const stages = us.queue + us.locate + us.disk + us.fetch + us.decode + us.encode;
  assert.ok(stages <= us.total + 10, 'one lookup is never at two stages');

  // Between two ids of the file, so that only its key page can tell.
  const absent = await get(`${url}/rows/${id + 1}`);
  assert.equal(absent.status, 404);
  assert.deepEqual(absent.receipt?.files, { considered: 3, by_bounds: 2, by_index: 0, searched: 1 });
  assert.deepEqual(absent.receipt?.row_groups, { by_bounds: 3, by_bloom: 0, searched: 1 });
  assert.deepEqual(absent.receipt?.blocks, { row_cache: 0, memory: 1, disk: 0, origin: 0 });
  const outside = await get(`${url}/rows/-2`);
  assert.deepEqual(outside.receipt?.files, { considered: 3, by_bounds: 3, by_index: 0, searched: 0 });
});

test('a bloom filter rules out row groups', async (context) => {
  const ids = Array.from({ length: ROWS }, (_, i) => `${(i * 7919) % ROWS}-key`);
  const source = writeParquet(
    join(scratchFolder(context), 't.parquet'),
    [{ name: 'id', data: ids, type: 'STRING', encoding: 'PLAIN', nullable: false, bloomFilter: true }],
    layout,
  );
  const { url } = await start(context, source, {});
  let ruledOut = 0;
  for (let i = 0; i < 10; i++) ruledOut += (await get(`${url}/rows/${i}-none`)).receipt?.row_groups.by_bloom ?? 0;
  assert.ok(ruledOut > 30 && ruledOut <= 40, `${ruledOut} of 40`);
});

test('a hot lookup says which memory answered it', async (context) => {
  const { url, trace } = await startLocal(context);
  const path = `${url}/rows/0`;
  // A row that was waited for is kept, in the form that it was asked for in: its blocks serve another.
  await get(`${path}?int64=string`, '0');
  trace.clear();
  const fromBlocks = await get(path);
  assert.deepEqual(fromBlocks.receipt?.blocks, { row_cache: 0, memory: 4, disk: 0, origin: 0 });
  await get(path, '0');
  const fromRows = await get(path);
  assert.deepEqual(fromRows.receipt?.blocks, { row_cache: 1, memory: 0, disk: 0, origin: 0 });
  assert.equal(fromRows.receipt?.files.considered, 0, 'nothing was searched');
  assert.deepEqual([fromBlocks.body, fromRows.headers.get('pointlake-cache')], [fromRows.body, 'memory']);
  assert.match(fromBlocks.headers.get('server-timing') ?? '', /^queue;dur=[\d.]+, locate;dur=.+, total;dur=[\d.]+$/);
  assert.equal(trace.gets.length, 0);
  const kept = await fetch(path, {
    headers: { 'pointlake-explain': '1', 'if-none-match': fromRows.headers.get('etag') ?? '' },
  });
  assert.equal(kept.status, 304);
  assert.ok(kept.headers.get('pointlake-receipt') !== null);
});

test('problems have their receipt, a batch has the sums of its distinct keys, and another value is refused', async (context) => {
  const { url } = await startLocal(context);
  const { receipt, results } = await lookup(url, { keys: [0, 0, 2, 1, 'x'] });
  assert.deepEqual([receipt.keys, receipt.files.considered], [3, 3 * FILES]);
  assert.deepEqual(
    (results as { status: string }[]).map(({ status }) => status),
    ['found', 'found', 'found', 'not_found', 'error'],
  );
  await expectProblem(`${url}/rows/0`, 400, 'bad_header', { headers: { 'pointlake-explain': 'yes' } });
  const plain = await fetch(`${url}/rows/0`);
  assert.deepEqual([plain.headers.get('pointlake-receipt'), plain.headers.get('server-timing')], [null, null]);
});

/** By a client that sees trailers. */
async function rawPost(url: string, body: object, headers: Record<string, string>): Promise<IncomingMessage> {
  const sent = request(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers } });
  sent.end(JSON.stringify(body));
  const answer = await new Promise<IncomingMessage>((resolve, reject) =>
    sent.once('response', resolve).once('error', reject),
  );
  answer.resume();
  await new Promise((resolve) => answer.once('end', resolve));
  return answer;
}

test('a query has its receipt by the header too, in all forms, with the tiers of its pages', async (context) => {
  const { url, trace } = await startLocal(context);
  const where = { column: 'id', op: 'between', value: [ROWS, ROWS + 60] };
  const body = { where, columns: ['id', 'text'], limit: 1000 };
  const header = { 'pointlake-explain': '1' };
  const receipts: Omit<Explained, 'keys'>[] = [];
  const ask = (more: object, headers: Record<string, string> = header) =>
    post(`${url}/query`, JSON.stringify({ ...body, ...more }), headers);
  trace.clear();
  const cold = await ask({});
  const { explain } = (await cold.json()) as { explain: Explained };
  assert.deepEqual([explain.storage.reads, explain.storage.read_bytes], [trace.gets.length, trace.bytes()]);
  assert.ok(explain.blocks.origin >= 2 && explain.blocks.memory === 0, JSON.stringify(explain.blocks));
  assert.ok(explain.us.fetch > 0 && explain.us.locate > 0);
  assert.match(cold.headers.get('server-timing') ?? '', /locate;dur=.+, total;dur=[\d.]+$/);
  trace.clear();
  receipts.push(((await (await ask({})).json()) as { explain: Explained }).explain);
  receipts.push(((await (await ask({ explain: true }, {})).json()) as { explain: Explained }).explain);
  const lines = await (await ask({}, { ...header, accept: 'application/x-ndjson' })).text();
  receipts.push((JSON.parse(lines.trimEnd().split('\n').at(-1) ?? '') as { explain: Explained }).explain);
  const arrow = await rawPost(`${url}/query`, body, { ...header, accept: 'application/vnd.apache.arrow.stream' });
  assert.equal(arrow.headers.trailer, 'pointlake-receipt');
  receipts.push(JSON.parse(arrow.trailers['pointlake-receipt'] ?? '{}') as Explained);
  for (const { blocks, files, storage } of receipts) {
    assert.deepEqual(blocks, { memory: 2, disk: 0, origin: 0 });
    assert.deepEqual(files, { considered: 3, by_partition: 0, by_bounds: 2 });
    assert.equal(storage.reads, 0);
  }
  assert.equal(trace.gets.length, 0);

  const plain = await ask({}, {});
  assert.deepEqual([Object.keys((await plain.json()) as object), plain.headers.get('server-timing')], [['rows'], null]);
  const arrowPlain = await rawPost(`${url}/query`, body, { accept: 'application/vnd.apache.arrow.stream' });
  assert.deepEqual([arrowPlain.headers.trailer, arrowPlain.trailers], [undefined, {}]);
  await expectProblem(`${url}/query`, 400, 'bad_header', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'pointlake-explain': 'yes' },
    body: '{}',
  });
});

test('problems of queries and of lookups by body have their receipt', async (context) => {
  const { url } = await startLocal(context, {}, { queryBytesMax: 100, answerCharactersMax: 2000 });
  const header = { 'pointlake-explain': '1' };
  const told = (answer: Response) =>
    JSON.parse(answer.headers.get('pointlake-receipt') ?? 'null') as Pick<Explained, 'storage'> | null;
  const where = { column: 'score', op: '=', value: 0.25 };
  const dear = await post(`${url}/query`, JSON.stringify({ where, explain: true }));
  assert.equal(dear.status, 422);
  assert.equal(told(dear)?.storage.reads, 0);
  assert.ok(dear.headers.get('server-timing') !== null);
  assert.equal(told(await post(`${url}/query`, JSON.stringify({ where }))), null);
  const keys = Array.from({ length: 100 }, (_, i) => 2 * i);
  // Read first, then from memory.
  for (const accept of ['application/json', 'application/json', 'application/vnd.apache.arrow.stream']) {
    const large = await post(`${url}/lookup`, JSON.stringify({ keys }), { ...header, accept });
    assert.equal(large.status, 413);
    assert.ok(told(large) !== null, accept);
  }
});
