/** What was preloaded is answered without a read; a preload keeps its rate, can be ended, and passes over what is damaged. */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { NodeOptions, PointlakeNode } from '../../src/main.ts';
import type { StoreProvider } from '../../src/storage/index.ts';
import { parsePreload, type Snapshot } from '../../src/table/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { IoTrace } from '../support/io-trace.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 20_000;

function columns(firstId = 0) {
  const ids = Array.from({ length: ROWS }, (_, i) => firstId + i);
  return [
    { name: 'id', data: ids, type: 'INT32' as const, encoding: 'PLAIN' as const, nullable: false },
    { name: 'score', data: ids.map((id) => Math.sin(id)), type: 'DOUBLE' as const, encoding: 'PLAIN' as const },
    { name: 'kind', data: ids.map((id) => `kind ${id % 7}`), type: 'STRING' as const },
    { name: 'text', data: ids.map((id) => `text of ${id} ${'x'.repeat(id % 50)}`), type: 'STRING' as const },
  ];
}

async function opened(context: TestContext, options: Partial<NodeOptions> = {}, path?: string) {
  const source = path ?? writeParquet(join(scratchFolder(context), 't.parquet'), columns());
  const trace = new IoTrace();
  const wrapStores = (stores: StoreProvider) => trace.wrap(options.wrapStores?.(stores) ?? stores);
  const node = nodeOf(context, [{ name: 't', source, key: ['id'] }], { ...options, wrapStores });
  const table = node.catalog.get('t');
  const snapshot = await table.refresh();
  trace.clear();
  return { node, table, snapshot, trace, source };
}

async function ended(node: PointlakeNode): Promise<void> {
  const started = performance.now();
  while (node.preloader.of('t')?.job.state === 'running') {
    if (performance.now() - started > 30_000) throw new Error('the preload does not end');
    await nextTurn();
  }
}

/** Every key of the range as a plain row, without waiting for anything. */
function rowsNow(node: PointlakeNode, snapshot: Snapshot, names: readonly string[], from: number, to: number) {
  const projection = snapshot.projection(names);
  return Array.from({ length: to - from }, (_, i) =>
    node.engine.tryRow(snapshot, keyOf(snapshot, `${from + i}`), projection),
  );
}

test('after a preload of everything no lookup reads, and each answers what a cold one does', async (context) => {
  const { node, table, snapshot, trace } = await opened(context);
  const names = ['id', 'score', 'kind', 'text'];
  const { job } = await node.preloader.begin(table, parsePreload({ columns: 'all', verify: true }));
  await ended(node);
  assert.deepEqual([job.state, job.errorCount, job.chunksDone], ['done', 0, 8]);
  assert.equal(job.verified?.resident, job.verified?.pages);
  assert.equal(job.trace.readsBegun, trace.gets.length);
  assert.equal(job.trace.readBytes, trace.bytes());
  const pages = job.pagesLoaded;
  assert.ok(pages > 100 && trace.gets.length <= 8, `${pages} pages came in ${trace.gets.length} reads`);

  trace.clear();
  const preloaded = rowsNow(node, snapshot, names, 0, ROWS);
  assert.equal(trace.gets.length, 0);
  const cold = await opened(context, {}, table.definition.source);
  for (let id = 0; id < ROWS; id += 1237) {
    const row = await cold.node.engine.row(
      cold.snapshot,
      keyOf(cold.snapshot, `${id}`),
      cold.snapshot.projection(names),
      noDeadline,
    );
    assert.equal(preloaded[id], row.json);
  }
});

test('a range of keys brings the pages that hold it and no others', async (context) => {
  const { node, table, snapshot, trace } = await opened(context);
  const request = parsePreload({ columns: ['score'], from: 12_000, to: '12999' });
  const { job } = await node.preloader.begin(table, request);
  await ended(node);
  const read = trace.describe(snapshot).join('\n');
  assert.match(read, /row group 1, column id: data page/);
  assert.doesNotMatch(read, /row group 0|column kind|column text/);
  assert.ok(job.pagesLoaded <= 8, `${job.pagesLoaded} pages, where the row group has 15`);
  trace.clear();
  const rows = rowsNow(node, snapshot, ['id', 'score'], 12_000, 13_000);
  assert.deepEqual(rows[17], `{"id":12017,"score":${Math.sin(12_017)}}`);
  assert.ok(rows.every((row) => typeof row === 'string'));
  assert.equal(trace.gets.length, 0);
});

test('what is there already is not read again', async (context) => {
  const { node, table, trace } = await opened(context);
  await node.preloader.begin(table, parsePreload(['keys']));
  await ended(node);
  const keysOnly = trace.gets.length;
  await node.preloader.begin(table, parsePreload(['keys']));
  await ended(node);
  assert.equal(trace.gets.length, keysOnly);
  assert.equal(node.preloader.of('t')?.job.pagesLoaded, 0);
});

test('bytes are read at the rate that was asked for', async (context) => {
  const clock = new ManualClock();
  const { node, table } = await opened(context, { clock });
  const startedMs = clock.nowMs();
  const { job } = await node.preloader.begin(table, parsePreload({ columns: 'all', rate: '100KiB/s' }));
  // The clock moves from wake-up to wake-up until the job is done.
  await clock.runThrough(ended(node));
  const last = 8 * 2 ** 20;
  const seconds = (clock.nowMs() - startedMs) / 1000;
  const wanted = job.plan.bytes / (100 * 1024);
  assert.ok(
    job.state === 'done' && seconds <= wanted + 1,
    `${seconds} s for ${job.plan.bytes} bytes of at most ${last}`,
  );
  // The first batch of each row group goes at once; the rest waits for those before.
  assert.ok(seconds >= wanted * 0.4, `${seconds} s where ${wanted} s were expected`);
});

test('a preload waits a little for lookups that wait for storage, and never for ever', async (context) => {
  const clock = new ManualClock();
  const { node, table } = await opened(context, { clock });
  Object.defineProperty(node.engine, 'waiting', { get: () => ({ running: 1, queued: 0 }) });
  await node.preloader.begin(table, parsePreload(['keys']));
  await clock.runThrough(ended(node));
  assert.equal(node.preloader.of('t')?.job.state, 'done');
  assert.ok(clock.slept.filter((ms) => ms === 5).length >= 20, 'it looked again every 5 ms, 100 ms long');
});

test('one that is cancelled stops reading; what came stays', async (context) => {
  const clock = new ManualClock();
  const { node, table, trace } = await opened(context, { clock });
  await node.preloader.begin(table, parsePreload({ columns: 'all', rate: 1024 }));
  while (trace.gets.length === 0 || clock.sleeping === 0) await nextTurn();
  await assert.rejects(node.preloader.begin(table, parsePreload(['keys'])), { code: 'preload_running' });
  const read = trace.gets.length;
  node.preloader.cancel('t');
  await ended(node);
  const { job, isFollowed } = node.preloader.of('t') ?? {};
  assert.deepEqual([job?.state, isFollowed], ['cancelled', false]);
  clock.advance(3_600_000);
  for (let turn = 0; turn < 50; turn++) await nextTurn();
  assert.equal(trace.gets.length, read);
  await node.preloader.begin(table, parsePreload({ keys: true }));
  await clock.runThrough(ended(node));
  assert.equal(node.preloader.of('t')?.job.state, 'done');
});

test('a damaged page is reported and the rest goes on', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns(), { codec: 'SNAPPY' });
  const first = await opened(context, {}, path);
  const [file] = first.snapshot.files;
  assert.ok(file?.kind === 'readable');
  const { locations } = file.file.chunk(0, 3).layout ?? {};
  const range = locations?.range(2);
  assert.ok(range !== undefined);
  const bytes = readFileSync(path);
  bytes.fill(0xff, range.start + 40, range.end);
  writeFileSync(path, bytes);
  const { node, table, snapshot } = await opened(context, {}, path);
  const { job } = await node.preloader.begin(table, parsePreload('all'));
  await ended(node);
  assert.deepEqual([job.state, job.errorCount], ['done', 1]);
  assert.match(job.errors[0]?.message ?? '', /column text, page 2/);
  assert.ok(rowsNow(node, snapshot, ['id', 'score', 'kind'], 0, ROWS).every((row) => typeof row === 'string'));
});

test('storage that is not there ends it as failed, after a bounded number of tries', async (context) => {
  const folder = scratchFolder(context);
  for (let i = 0; i < 20; i++) writeParquet(join(folder, `${i}.parquet`), columns(i * ROWS), { pageIndex: false });
  const { node, table, source } = await opened(context, {}, `${folder}/`);
  renameSync(source, `${folder}-gone`);
  mkdirSync(source);
  const { job } = await node.preloader.begin(table, parsePreload('all'));
  await ended(node);
  assert.equal(job.state, 'failed');
  assert.ok(job.errorCount >= 8 && job.errorCount <= 16, `${job.errorCount} errors`);
});

test('what would not fit is refused before anything is read, unless it is forced', async (context) => {
  const { node, table, trace } = await opened(context, { cacheMemoryBytes: 2 ** 20 });
  const refused = node.preloader.begin(table, parsePreload('all'));
  await assert.rejects(refused, { kind: 'tooLarge', code: 'preload_too_large' });
  assert.equal(trace.gets.length, 0);
  const { job } = await node.preloader.begin(table, parsePreload({ columns: 'all', force: true, verify: true }));
  await ended(node);
  assert.equal(job.state, 'done');
  assert.ok(job.verified !== undefined && job.verified.resident < job.verified.pages && job.verified.evicted > 0);
  await assert.rejects(node.preloader.begin(table, parsePreload({ columns: ['nix'] })), { code: 'unknown_column' });
  await assert.rejects(node.preloader.begin(table, parsePreload({ from: 'x' })), { code: 'bad_key' });
  await assert.rejects(node.preloader.begin(table, parsePreload({ into: 'disk' })), { code: 'bad_preload' });
});

test('into disk: a new process answers all of it without a read', async (context) => {
  const disk = { path: join(scratchFolder(context), 'disk'), sizeBytes: 64 * 2 ** 20 };
  const first = await opened(context, { disk });
  await first.node.preloader.begin(first.table, parsePreload({ columns: 'all', into: 'disk', verify: true }));
  await ended(first.node);
  const { verified } = first.node.preloader.of('t')?.job ?? {};
  assert.equal(verified?.resident, verified?.pages);
  await first.node.close();
  const { node, snapshot, trace, table } = await opened(context, { disk }, first.source);
  for (let id = 0; id < ROWS; id += 997) {
    const row = await node.engine.row(
      snapshot,
      keyOf(snapshot, `${id}`),
      snapshot.projection(['id', 'text']),
      noDeadline,
    );
    assert.equal(row.json, `{"id":${id},"text":"text of ${id} ${'x'.repeat(id % 50)}"}`);
  }
  const { job } = await node.preloader.begin(table, parsePreload('all'));
  await ended(node);
  assert.deepEqual([job.pagesLoaded, trace.gets.length], [0, 0], 'from disk to memory without a read of the file');
});

test('a configured preload brings the files of later refreshes, and only those', async (context) => {
  const clock = new ManualClock();
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), columns());
  const { node, table, trace } = await opened(context, { clock }, `${folder}/`);
  const stop = new AbortController();
  context.after(() => stop.abort());
  await node.preloader.keep(table, parsePreload(['keys', 'text']), stop.signal);
  await clock.runThrough(ended(node));
  trace.clear();
  writeFileSync(join(folder, 'b.parquet'), parquetBytes(columns(ROWS)));
  const snapshot = await table.refresh();
  while ((node.preloader.of('t')?.job.plan.units.length ?? 0) > 0 && trace.gets.length < 2) {
    clock.advance(1000);
    await nextTurn();
  }
  await clock.runThrough(ended(node));
  assert.ok(
    trace.gets.every(({ object }) => object.key.endsWith('b.parquet')),
    'a.parquet is not read again',
  );
  assert.ok(rowsNow(node, snapshot, ['id', 'text'], 0, 2 * ROWS).every((row) => typeof row === 'string'));
});

test('what is pinned comes back when it was evicted, until its time is over', async (context) => {
  const clock = new ManualClock();
  const { node, table, snapshot } = await opened(context, { clock });
  await node.preloader.begin(table, parsePreload({ columns: ['score'], pin: true, ttl: '1h' }));
  await clock.runThrough(ended(node));
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const chunk = file.file.chunk(1, 1);
  const isThere = () => chunk.isResident(0);
  assert.equal(isThere(), true);
  const evictAll = async () => {
    node.tier.budget.charge('metadata', 2 ** 30);
    node.tier.trim();
    await nextTurn();
    node.tier.budget.release('metadata', 2 ** 30);
  };
  await evictAll();
  assert.equal(isThere(), false);
  for (let turn = 0; turn < 2000 && !isThere(); turn++) {
    if (turn % 20 === 0) clock.advance(5_000);
    await nextTurn();
  }
  assert.equal(isThere(), true, 'it came back by itself');
  await clock.runThrough(ended(node));
  clock.advance(3_600_000);
  while (node.preloader.of('t')?.isFollowed === true) {
    clock.advance(5_000);
    await nextTurn();
  }
  await evictAll();
  for (let turn = 0; turn < 200; turn++) {
    if (turn % 20 === 0) clock.advance(5_000);
    await nextTurn();
  }
  assert.equal(isThere(), false, 'its time is over');
});

test('before the switch to the next snapshot, what is pinned of its new files is there', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), columns());
  const { node, table, snapshot, trace } = await opened(context, {}, `${folder}/`);
  await node.preloader.begin(table, parsePreload({ columns: ['score'], keys: true, pin: true }));
  await ended(node);
  writeFileSync(join(folder, 'b.parquet'), parquetBytes(columns(ROWS)));
  const next = await table.refresh();
  const read = trace.describe(next).filter((line) => !line.endsWith('footer'));
  assert.doesNotMatch(read.join('\n'), /column (kind|text)/, 'what is not pinned is not read');
  const before = trace.gets.length;
  const names = ['id', 'score'];
  assert.ok(rowsNow(node, next, names, 0, 2 * ROWS).every((row) => typeof row === 'string'));
  assert.ok(rowsNow(node, snapshot, names, 0, ROWS).every((row) => typeof row === 'string'));
  assert.equal(trace.gets.length, before, 'nothing was read after the switch');
});

test('where there is no room for both, what is pinned of new files comes after the switch and pushes nothing out', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), columns());
  const clock = new ManualClock();
  const memory = 5 * 2 ** 20;
  const { node, table, snapshot } = await opened(context, { clock, cacheMemoryBytes: memory }, `${folder}/`);
  const { job } = await node.preloader.begin(table, parsePreload({ columns: 'all', pin: true }));
  await clock.runThrough(ended(node));
  const { decodedBytes } = job.plan;
  assert.ok(decodedBytes < memory / 2 && 6 * decodedBytes > memory, `${decodedBytes} bytes of each file`);
  for (const name of ['b', 'c', 'd', 'e', 'f']) {
    writeFileSync(join(folder, `${name}.parquet`), parquetBytes(columns((name.charCodeAt(0) - 97) * ROWS)));
  }
  await clock.runThrough(table.refresh());
  const now = rowsNow(node, snapshot, ['id', 'score', 'kind', 'text'], 0, ROWS);
  assert.ok(now.every((row) => typeof row === 'string'));
});

test('before the switch to the next snapshot, what was hot in a replaced file is warmed in the new one', async (context) => {
  const { node, table, snapshot, source, trace } = await opened(context);
  await node.engine.row(snapshot, keyOf(snapshot, '4321'), snapshot.projection(['id', 'text']), noDeadline);
  writeFileSync(source, parquetBytes(columns().map((column) => (column.name === 'text' ? newer(column) : column))));
  trace.clear();
  const next = await table.refresh();
  const read = trace
    .describe(next)
    .filter((line) => !line.endsWith('footer'))
    .join('\n');
  assert.match(read, /row group 0, column text: data page/);
  assert.doesNotMatch(read, /row group 1|column score|column kind/);
  trace.clear();
  assert.match(String(rowsNow(node, next, ['id', 'text'], 4321, 4322)[0]), /newer 4321/);
  assert.equal(trace.gets.length, 0);
});

function newer<T extends { readonly data: readonly unknown[] }>(column: T) {
  return { ...column, data: column.data.map((_, i) => `newer ${i}`) };
}

test('of S3 it makes few large GETs, tried again where S3 fails, and tells exactly what was sent and what it costs', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', parquetBytes(columns(), { codec: 'UNCOMPRESSED' }));
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
  const options = { s3: settings, hedge: false } as const;
  const { node, table, snapshot } = await opened(context, options, 's3://lake/t/');
  s3.requests.length = 0;
  s3.failNext('get', { kind: 'status', status: 503, code: 'SlowDown' }, { kind: 'resetMidBody' });
  const { job } = await node.preloader.begin(table, parsePreload('all'));
  await ended(node);
  assert.deepEqual([job.state, job.errorCount, s3.pendingFaults], ['done', 0, 0]);
  assert.ok(job.trace.readsBegun <= 8, `${job.trace.readsBegun} reads for ${job.pagesLoaded} pages`);
  assert.equal(job.trace.requests, s3.requests.length);
  assert.equal(job.trace.requests, job.trace.readsBegun + 2, 'two were tried again');
  const sent = s3.requests.length;
  assert.ok(rowsNow(node, snapshot, ['id', 'score', 'kind', 'text'], 0, ROWS).every((row) => typeof row === 'string'));
  assert.equal(s3.requests.length, sent);
});
