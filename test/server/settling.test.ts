/**
 * Files that vanish from a table are not believed at once: their keys answer old or new rows, or 503 `snapshot_changing`,
 * and never 404, until the partition is back, its time is over, or somebody says that the loss is meant.
 */

import assert from 'node:assert/strict';
import { mkdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NodeOptions, PointlakeNode } from '../../src/main.ts';
import type { TableDefinition } from '../../src/table/index.ts';
import { BrokenStorage } from '../support/broken-storage.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const MINUTE_MS = 60_000;
const ROWS = 400;
const PARTITIONS = 10;
/** Of each partition that is asked for. */
const ASKED = Math.ceil(ROWS / 11);

function rowsOf(from: number, to: number, version: string): Buffer {
  const ids = Array.from({ length: to - from }, (_, i) => from + i);
  return parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map((id) => `${version} of ${id}`), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes: 512, codec: 'UNCOMPRESSED' },
  );
}

class Lake {
  readonly folder: string;
  readonly clock: ManualClock;
  node: PointlakeNode;
  #url = '';
  #stop: () => Promise<void> = async () => undefined;
  readonly #context: TestContext;
  readonly #definition: Partial<TableDefinition>;
  readonly #options: Partial<NodeOptions>;

  private constructor(context: TestContext, clock: ManualClock, definition = {}, options: Partial<NodeOptions> = {}) {
    this.folder = scratchFolder(context);
    this.clock = clock;
    this.#context = context;
    this.#definition = definition;
    this.#options = options;
    this.node = this.#makeNode();
  }

  /** A table of ten partitions, each a file. */
  static async start(
    context: TestContext,
    definition: Partial<TableDefinition> = {},
    options: Partial<NodeOptions> = {},
  ) {
    const lake = new Lake(context, new ManualClock(), definition, options);
    for (let dt = 0; dt < PARTITIONS; dt++) lake.write(dt, 'a', dt * ROWS, (dt + 1) * ROWS, 'v1');
    await lake.serve();
    return lake;
  }

  static async empty(
    context: TestContext,
    definition: Partial<TableDefinition> = {},
    options: Partial<NodeOptions> = {},
  ) {
    const lake = new Lake(context, new ManualClock(), definition, options);
    mkdirSync(join(lake.folder, 'lake'), { recursive: true });
    return lake;
  }

  path(dt: number, name = 'a'): string {
    return join(this.folder, 'lake', `dt=${dt}`, `${name}.parquet`);
  }

  write(dt: number, name: string, from: number, to: number, version: string): void {
    mkdirSync(join(this.folder, 'lake', `dt=${dt}`), { recursive: true });
    writeFileSync(this.path(dt, name), rowsOf(from, to, version));
  }

  delete(dt: number, name = 'a'): void {
    unlinkSync(this.path(dt, name));
  }

  async serve(): Promise<void> {
    await this.node.catalog
      .get('t')
      .refresh()
      .catch(() => undefined);
    const server = await serve(this.node, {}, this.clock);
    this.#url = server.url;
    this.#stop = () => server.close();
    this.#context.after(() => server.close());
  }

  /** Another process over the same disk. */
  async restart(): Promise<void> {
    await this.#stop();
    await this.node.close();
    this.node = this.#makeNode();
    await this.serve();
  }

  async ask(id: number, headers: Record<string, string> = {}): Promise<string> {
    const answer = await fetch(`${this.#url}/v1/tables/t/rows/${id}`, { headers });
    const body = (await answer.json()) as { readonly code?: string; readonly text?: string };
    if (answer.status === 503) assert.ok(Number(answer.headers.get('retry-after')) > 0);
    return answer.status === 200 ? String(body.text) : `${answer.status} ${body.code}`;
  }

  async refresh(query = ''): Promise<Refreshed> {
    const answer = await fetch(`${this.#url}/v1/tables/t/refresh${query}`, { method: 'POST' });
    return (await answer.json()) as Refreshed;
  }

  async status(): Promise<Refreshed> {
    return (await (await fetch(`${this.#url}/v1/tables/t`)).json()) as Refreshed;
  }

  #makeNode(): PointlakeNode {
    const options = { clock: this.clock, ...this.#options };
    const source = `${join(this.folder, 'lake')}/`;
    const disk = options.disk && { ...options.disk, path: join(this.folder, 'cache') };
    return nodeOf(this.#context, [{ name: 't', source, key: ['id'], options: this.#definition }], { ...options, disk });
  }
}

interface Refreshed {
  readonly status: string;
  readonly code?: string;
  readonly changed?: boolean;
  readonly change?: Readonly<Record<string, number>>;
  readonly held?: { readonly rows_before: number; readonly rows_now: number; readonly since: string };
  readonly settling?: readonly { readonly partition: string; readonly since: string; readonly until: string }[];
  readonly rows?: number;
  readonly error?: { readonly code: string };
}

/** Asks for every key of a partition; answers how many there were of each kind, versions for rows. */
async function askAll(lake: Lake, dt: number, rows = ROWS): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let id = dt * ROWS; id < dt * ROWS + rows; id += 11) {
    const answer = await lake.ask(id);
    const version = /^(v\d) of (\d+)$/.exec(answer);
    if (version !== null) assert.equal(version[2], String(id));
    const kind = version?.[1] ?? answer;
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

const DISK = { disk: { path: '', sizeBytes: 64 * 2 ** 20 } };

for (const options of [{}, DISK, { wrapStores: new BrokenStorage({ cheapReads: false }).wrap }]) {
  const how = 'disk' in options ? 'with a disk' : 'wrapStores' in options ? 'as if far away' : 'from memory';
  test(`a partition is deleted, gone for ten minutes, and written anew (${how})`, async (context) => {
    const lake = await Lake.start(context, {}, options);
    for (let id = 3 * ROWS; id < 3 * ROWS + 50; id++) assert.equal(await lake.ask(id), `v1 of ${id}`);
    rmSync(join(lake.folder, 'lake', 'dt=3'), { recursive: true });
    let checked = 0;
    for (let minute = 0; minute <= 10; minute++) {
      const { status, settling, change } = await lake.refresh();
      assert.deepEqual([status, settling?.map(({ partition }) => partition)], ['serving', ['dt=3']]);
      assert.equal(change?.files_removed, 0);
      const { v1 = 0, '503 snapshot_changing': changing = 0, ...others } = await askAll(lake, 3);
      assert.deepEqual(others, {}, 'nothing else, and 404 least of all');
      assert.ok(v1 > 0 && (changing > 0 || how === 'as if far away'), `${v1} rows, ${changing} could not be read`);
      checked += v1 + changing;
      lake.clock.advance(MINUTE_MS);
    }
    assert.ok(checked > 400);
    assert.equal(await lake.ask(4 * ROWS), `v1 of ${4 * ROWS}`);
    assert.equal(await lake.ask(PARTITIONS * ROWS), '404 key_not_found', 'what was never there is absent');
    lake.write(3, 'b', 3 * ROWS, 4 * ROWS, 'v2');
    assert.equal((await lake.refresh()).settling, undefined);
    assert.deepEqual(Object.keys(await askAll(lake, 3)), ['v2']);
  });
}

test('a partition that stays gone is believed when its time is over', async (context) => {
  const lake = await Lake.start(context);
  lake.delete(3);
  const { settling: [settling] = [] } = await lake.refresh();
  assert.equal(Date.parse(settling?.until ?? '') - Date.parse(settling?.since ?? ''), 30 * MINUTE_MS);
  lake.clock.advance(30 * MINUTE_MS - 1);
  assert.equal((await lake.refresh()).settling?.length, 1);
  lake.clock.advance(1);
  const over = await lake.refresh();
  assert.deepEqual([over.settling, over.change?.files_removed, over.rows], [undefined, 1, 9 * ROWS]);
  assert.deepEqual(await askAll(lake, 3), { '404 key_not_found': ASKED });
});

test('a partition that lost half keeps its old files alone; what others gained is taken at once', async (context) => {
  const lake = await Lake.empty(context);
  for (let dt = 0; dt < PARTITIONS; dt++) {
    lake.write(dt, 'a', dt * ROWS, dt * ROWS + ROWS / 2, 'v1');
    lake.write(dt, 'b', dt * ROWS + ROWS / 2, (dt + 1) * ROWS, 'v1');
  }
  await lake.serve();
  lake.delete(3, 'b');
  lake.write(3, 'c', 3 * ROWS, 3 * ROWS + 10, 'v2');
  lake.write(5, 'c', 50_000, 50_010, 'v2');
  const { settling, change } = await lake.refresh();
  assert.deepEqual(
    settling?.map(({ partition }) => partition),
    ['dt=3'],
  );
  assert.deepEqual([change?.files_added, change?.files_removed], [1, 0]);
  assert.equal(await lake.ask(50_003), 'v2 of 50003');
  const first = await askAll(lake, 3, ROWS / 2);
  assert.deepEqual(Object.keys(first), ['v1'], 'the half that is there is read as it was');
  assert.equal(first.v1, Math.ceil(ROWS / 2 / 11));
  const all = await askAll(lake, 3);
  assert.deepEqual(Object.keys(all).sort(), ['503 snapshot_changing', 'v1']);
  lake.write(3, 'd', 3 * ROWS + 10, 4 * ROWS, 'v2');
  lake.delete(3, 'a');
  assert.equal((await lake.refresh()).settling, undefined);
  assert.deepEqual(Object.keys(await askAll(lake, 3)), ['v2']);
});

test('a batch gives each key its own result while a partition settles', async (context) => {
  const lake = await Lake.start(context);
  assert.equal(await lake.ask(1200), 'v1 of 1200');
  lake.delete(3);
  await lake.refresh();
  const snapshot = lake.node.catalog.get('t').current();
  const keys = [5, 1200, 1599].map((id) => [id]);
  const answer = await lake.node.engine.lookup(
    snapshot,
    keys,
    snapshot.projection(undefined),
    { matches: 'first', limit: 1 },
    new AbortController().signal,
  );
  const shown = answer.items.map((item) => ('error' in item ? item.error.code : item.status));
  assert.deepEqual(shown, ['found', 'found', 'snapshot_changing']);
});

test('a table that lost much is held until its rows are back or it is forced, over a restart too', async (context) => {
  const lake = await Lake.start(context, {}, DISK);
  for (let id = 0; id < ROWS; id += 11) await lake.ask(id);
  const since = lake.clock.nowMs();
  for (const dt of [0, 1, 2]) lake.delete(dt);
  for (const restarts of [false, true, true]) {
    if (restarts) await lake.restart();
    lake.clock.advance(60 * MINUTE_MS);
    const { status, held, error } = await lake.refresh();
    assert.deepEqual([status, error], ['held', undefined]);
    assert.deepEqual([held?.rows_before, held?.rows_now], [10 * ROWS, 7 * ROWS]);
    assert.equal(Date.parse(held?.since ?? '') >= since, true);
    assert.deepEqual(await askAll(lake, 0), { v1: ASKED }, 'what is cached answers');
    assert.deepEqual(Object.keys(await askAll(lake, 5)), ['v1']);
    const { '404 key_not_found': absent, ...others } = await askAll(lake, 1);
    assert.equal(absent, undefined);
    assert.ok((others['503 snapshot_changing'] ?? 0) > 0);
  }
  lake.write(2, 'b', 2 * ROWS, 3 * ROWS, 'v2');
  const released = await lake.refresh();
  assert.deepEqual([released.status, released.settling?.length], ['serving', 2], 'a fifth is no third');
  lake.delete(2, 'b');
  assert.equal((await lake.refresh()).status, 'held');
  const forced = await lake.refresh('?force=true');
  assert.deepEqual([forced.status, forced.settling, forced.rows], ['serving', undefined, 7 * ROWS]);
  assert.deepEqual(Object.keys(await askAll(lake, 1)), ['404 key_not_found']);
  assert.equal((await lake.refresh()).status, 'serving');
  await lake.restart();
  assert.equal((await lake.status()).status, 'serving');
});

test('what settles goes on settling after a restart, from when it was first seen', async (context) => {
  const lake = await Lake.start(context, {}, DISK);
  lake.delete(3);
  const { settling: [before] = [] } = await lake.refresh();
  await lake.node.catalog.get('t').disk?.settled();
  lake.clock.advance(10 * MINUTE_MS);
  await lake.restart();
  const { settling: [after] = [] } = await lake.status();
  assert.deepEqual(after, before);
  assert.deepEqual(Object.keys(await askAll(lake, 3)), ['503 snapshot_changing']);
  lake.clock.advance(20 * MINUTE_MS);
  assert.equal((await lake.refresh()).settling, undefined);
  assert.deepEqual(Object.keys(await askAll(lake, 3)), ['404 key_not_found']);
});

test('a source with nothing left is held, whether it may be empty or not; forced, it is empty or an error', async (context) => {
  for (const allowEmpty of [true, false]) {
    const lake = await Lake.start(context, { allowEmpty });
    rmSync(join(lake.folder, 'lake'), { recursive: true });
    mkdirSync(join(lake.folder, 'lake'));
    assert.equal((await lake.refresh()).status, 'held');
    assert.equal(await lake.ask(5), '503 snapshot_changing');
    const forced = await lake.refresh('?force=true');
    if (allowEmpty) assert.deepEqual([forced.status, forced.rows], ['serving', 0]);
    else assert.equal(forced.code, 'no_files');
    assert.equal(await lake.ask(5), allowEmpty ? '404 key_not_found' : '503 snapshot_changing');
  }
});

test('switched off, what is gone is gone', async (context) => {
  const lake = await Lake.start(context, { maxShrink: 1 });
  for (let dt = 1; dt < PARTITIONS; dt++) lake.delete(dt);
  const { status, rows } = await lake.refresh();
  assert.deepEqual([status, rows], ['serving', ROWS]);
  assert.equal(await lake.ask(1200), '404 key_not_found');
});

test('files that come back as they were are read again', async (context) => {
  const lake = await Lake.start(context);
  const { renameSync } = await import('node:fs');
  const aside = join(lake.folder, 'aside.parquet');
  renameSync(lake.path(3), aside);
  await lake.refresh();
  assert.equal(await lake.ask(1300), '503 snapshot_changing');
  renameSync(aside, lake.path(3));
  assert.equal(await lake.ask(1300), 'v1 of 1300', 'without a refresh even');
  const { settling, changed } = await lake.refresh();
  assert.deepEqual([settling, changed], [undefined, false]);
});

test('the next of the latest folders takes the place of the last at once, unless it lacks rows', async (context) => {
  const lake = await Lake.empty(context, { only: [{ kind: 'latest', name: 'dt' }] });
  lake.write(1, 'a', 0, ROWS, 'v1');
  await lake.serve();
  assert.equal(await lake.ask(5), 'v1 of 5');
  lake.write(2, 'b', 0, ROWS, 'v2');
  const { status, settling, rows } = await lake.refresh();
  assert.deepEqual([status, settling, rows], ['serving', undefined, ROWS]);
  assert.equal(await lake.ask(5), 'v2 of 5');
  lake.write(3, 'c', 0, 10, 'v3');
  assert.equal((await lake.refresh()).status, 'held', 'a folder that is still being written');
  assert.equal(await lake.ask(300), 'v2 of 300', 'the last one is there and is read');
  lake.write(3, 'd', 10, ROWS, 'v3');
  assert.equal((await lake.refresh()).status, 'serving');
  assert.equal(await lake.ask(300), 'v3 of 300');
});

test('a small object on S3 that is replaced is read anew after a refresh, held whole or not', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', rowsOf(0, ROWS, 'v1'));
  const settings = { endpoint: s3.endpoint, forcePathStyle: true, anonymous: true };
  const clock = new ManualClock();
  const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], { s3: settings, clock });
  const table = node.catalog.get('t');
  await table.refresh();
  const server = await serve(node, {}, clock);
  context.after(() => server.close());
  const ask = async (id: number) =>
    ((await (await fetch(`${server.url}/v1/tables/t/rows/${id}`)).json()) as { text?: string }).text;
  assert.equal(await ask(5), 'v1 of 5');
  s3.put('lake', 't/a.parquet', rowsOf(0, ROWS, 'v2'));
  assert.equal(await ask(399), 'v1 of 399', 'of the version that the snapshot names');
  await table.refresh();
  assert.equal(await ask(399), 'v2 of 399');
  assert.equal(await ask(5), 'v2 of 5');
  const { refresh } = (await (await fetch(`${server.url}/v1/tables/t`)).json()) as {
    readonly refresh: Readonly<Record<string, number>>;
  };
  assert.equal(refresh.interval_seconds, 300);
  assert.ok((refresh.lists ?? 0) > (refresh.lists_a_refresh ?? 0) && (refresh.lists_a_refresh ?? 0) >= 1);
  const aDay = ((refresh.lists_a_refresh ?? 0) * 288 * 0.005) / 1000;
  assert.ok(Math.abs((refresh.lists_usd_a_day ?? 0) - aDay) < 1e-8, JSON.stringify(refresh));
});
