/** With a disk tier a restart is warm: no footer and no page is fetched again, and what is on disk serves alone. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ServiceError } from '../../src/core/index.ts';
import type { NodeOptions, PointlakeNode } from '../../src/main.ts';
import { exampleKeys } from '../../src/shard/index.ts';
import type { StoreProvider } from '../../src/storage/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { BrokenStorage } from '../support/broken-storage.ts';
import { IoTrace } from '../support/io-trace.ts';
import { nestedFile, PLAIN_LAYOUT } from '../support/nested-files.ts';
import { EXACT_JSON } from '../support/nested-oracles.ts';
import { nestedSample } from '../support/nested-samples.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { type FixtureOptions, scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 12_000;
/** One of the ids that `askMany` asks for. */
const ASKED = ((100 * 7919) % ROWS) * 2;

/** Flat values with and without nulls, dictionary codes, a bloom filter, lists. */
function rowOf(id: number) {
  return {
    id,
    score: id % 11 === 0 ? null : Math.sin(id),
    kind: `kind ${id % 7}`,
    text: `text of ${id} ${'x'.repeat(id % 50)}`,
    tags: id % 5 === 0 ? [] : [`tag ${id}`, `tag ${id % 3}`],
  };
}

function writeTable(path: string, ids: number[], options: FixtureOptions = {}): void {
  const rows = ids.map(rowOf);
  writeParquet(
    path,
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false, bloomFilter: true },
      { name: 'score', data: rows.map((row) => row.score), type: 'DOUBLE', encoding: 'PLAIN' },
      { name: 'kind', data: rows.map((row) => row.kind), type: 'STRING' },
      { name: 'text', data: rows.map((row) => row.text), type: 'STRING' },
      { name: 'tags', data: rows.map((row) => JSON.stringify(row.tags)), type: 'STRING' },
    ],
    { rowsPerRowGroup: 5000, ...options },
  );
}

const sortedIds = Array.from({ length: ROWS }, (_, i) => i * 2);

function expected(id: number): string {
  const row = rowOf(id);
  return JSON.stringify({ ...row, tags: JSON.stringify(row.tags) });
}

interface Place {
  readonly source: string;
  readonly disk: { readonly path: string; readonly sizeBytes: number };
}

function placeFor(context: TestContext, options: FixtureOptions & { readonly ids?: number[] } = {}): Place {
  const folder = scratchFolder(context);
  const source = join(folder, 't.parquet');
  writeTable(source, options.ids ?? sortedIds, options);
  return { source, disk: { path: join(folder, 'cache'), sizeBytes: 64 * 2 ** 20 } };
}

/** A node over the place; `trace` sees what it asks of storage. */
function start(context: TestContext, place: Place, options: Partial<NodeOptions> = {}) {
  const trace = new IoTrace();
  const lines: string[] = [];
  const { wrapStores = (stores: StoreProvider) => stores, ...others } = options;
  const node = nodeOf(context, [{ name: 't', source: place.source, key: ['id'] }], {
    disk: place.disk,
    log: (line) => lines.push(line),
    wrapStores: (stores) => trace.wrap(wrapStores(stores)),
    ...others,
  });
  return { node, trace, lines };
}

async function ask(node: PointlakeNode, id: number) {
  const snapshot = node.catalog.get('t').current();
  return node.engine.row(snapshot, keyOf(snapshot, String(id)), snapshot.projection(undefined), noDeadline);
}

/** Ids all over the table; every one must be answered right. */
async function askMany(node: PointlakeNode, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const id = ((i * 7919) % ROWS) * 2;
    assert.equal((await ask(node, id)).json, expected(id), `id ${id}`);
  }
  assert.equal((await ask(node, 4001)).json, null);
}

const layouts: readonly (readonly [string, FixtureOptions & { readonly ids?: number[] }])[] = [
  ['pages and an index', {}],
  ['one large page a chunk, no index', { pageIndex: false, pageBytes: 2 ** 24 }],
  ['unsorted keys', { ids: sortedIds.map((_, i) => ((i * 7919) % ROWS) * 2) }],
];

for (const [name, options] of layouts) {
  for (const cheapReads of [true, false]) {
    test(`the first 1,000 lookups after a restart cause no GET: ${name}, ${cheapReads ? 'near' : 'far'}`, async (context) => {
      const place = placeFor(context, options);
      const first = start(context, place, { wrapStores: new BrokenStorage({ cheapReads }).wrap });
      await first.node.catalog.get('t').refresh();
      await askMany(first.node, 1000);
      assert.ok(first.trace.gets.length > 5);
      await first.node.close();

      const started = performance.now();
      const second = start(context, place, { wrapStores: new BrokenStorage({ cheapReads }).wrap });
      await second.node.catalog.get('t').refresh();
      const answer = await ask(second.node, ASKED);
      context.diagnostic(`first answer ${(performance.now() - started).toFixed(1)} ms after the start`);
      assert.deepEqual([answer.json, answer.tier], [expected(ASKED), 'disk']);
      // What is read again rises to memory.
      assert.equal((await ask(second.node, ASKED)).tier, 'disk');
      assert.equal((await ask(second.node, ASKED)).tier, 'memory');
      await askMany(second.node, 1000);
      assert.deepEqual(second.trace.gets, []);
      await second.node.close();
    });
  }
}

test('examples of a table come from disk after a restart', async (context) => {
  const place = placeFor(context, { pageIndex: false, pageBytes: 2 ** 24 });
  const first = start(context, place);
  const before = await first.node.catalog.get('t').refresh();
  const keys = await exampleKeys(first.node.loader, before, 3, noDeadline);
  assert.equal(keys.length, 3);
  assert.ok(first.trace.gets.length > 1);
  await first.node.close();
  const { node, trace } = start(context, place);
  const snapshot = await node.catalog.get('t').refresh();
  assert.deepEqual(await exampleKeys(node.loader, snapshot, 3, noDeadline), keys);
  assert.deepEqual(trace.gets, []);
});

test('a row that came from disk is kept as it was sent, though its blocks are not', async (context) => {
  const place = placeFor(context, { pageIndex: false, pageBytes: 2 ** 24 });
  const first = start(context, place);
  await first.node.catalog.get('t').refresh();
  await askMany(first.node, 100);
  await first.node.close();
  const { node } = start(context, place);
  const snapshot = await node.catalog.get('t').refresh();
  const key = keyOf(snapshot, String(ASKED));
  const projection = snapshot.projection(undefined);
  assert.equal(node.engine.tryRow(snapshot, key, projection), undefined);
  assert.equal((await ask(node, ASKED)).tier, 'disk');
  assert.equal(node.engine.tryRow(snapshot, key, projection), expected(ASKED));
});

test('a memory tier of nothing is served from disk', async (context) => {
  const place = placeFor(context);
  const first = start(context, place);
  await first.node.catalog.get('t').refresh();
  await askMany(first.node, 200);
  await first.node.close();
  const { node, trace } = start(context, place, { cacheMemoryBytes: 1 });
  await node.catalog.get('t').refresh();
  await askMany(node, 200);
  assert.equal((await ask(node, ASKED)).tier, 'disk');
  assert.deepEqual(trace.gets, []);
});

test('a changed file is another file', async (context) => {
  const place = placeFor(context);
  const first = start(context, place);
  await first.node.catalog.get('t').refresh();
  await askMany(first.node, 100);
  await first.node.close();
  writeTable(place.source, [10, 20, 30]);
  const { node, trace } = start(context, place);
  await node.catalog.get('t').refresh();
  assert.equal((await ask(node, 20)).json, expected(20));
  assert.equal((await ask(node, 2468)).json, null);
  assert.ok(trace.gets.length > 0);
  await node.sweepDisk();
  await node.disk?.idle();
  assert.equal(node.disk?.files.names().length, 1, 'the metadata of the old version was removed');
});

test('with storage down a restart serves its last snapshot, as old as its last listing', async (context) => {
  const place = placeFor(context);
  const first = start(context, place);
  const before = await first.node.catalog.get('t').refresh();
  await askMany(first.node, 1000);
  await first.node.close();

  const storage = new BrokenStorage();
  storage.isDown = true;
  const { node } = start(context, place, { wrapStores: storage.wrap });
  const table = node.catalog.get('t');
  await assert.rejects(table.refresh(), /nobody answers/);
  assert.ok(table.isRestored && node.catalog.ready());
  const snapshot = table.current();
  assert.deepEqual(
    [snapshot.id, snapshot.createdAtMs, snapshot.confirmedAtMs],
    [before.id, before.createdAtMs, before.confirmedAtMs],
  );
  await askMany(node, 1000);
  storage.isDown = false;
  const fresh = await table.refresh();
  assert.equal(fresh, snapshot, 'the listing found the same objects');
  assert.ok(!table.isRestored && table.error === undefined);
});

test('with storage down, a key in a file whose metadata is lost is not covered', async (context) => {
  const folder = scratchFolder(context);
  for (const part of [0, 1]) {
    writeTable(
      join(folder, `${part}.parquet`),
      Array.from({ length: 100 }, (_, i) => part * 1000 + i),
    );
  }
  const place = { source: join(folder, '*.parquet'), disk: { path: join(folder, '.cache'), sizeBytes: 2 ** 26 } };
  const first = start(context, place);
  await first.node.catalog.get('t').refresh();
  for (const id of [5, 1005]) await ask(first.node, id);
  await first.node.close();
  const files = join(place.disk.path, 'files');
  const [name = ''] = readdirSync(files);
  rmSync(join(files, name));

  const storage = new BrokenStorage();
  storage.isDown = true;
  const { node } = start(context, place, { wrapStores: storage.wrap });
  const table = node.catalog.get('t');
  await assert.rejects(table.refresh());
  const answers = await Promise.all(
    [5, 1005].map((id) =>
      ask(node, id).then(
        ({ json }) => json,
        (error: ServiceError) => error.code,
      ),
    ),
  );
  assert.ok(answers.includes('not_covered'), answers.join());
  assert.ok(answers.includes(expected(5)) || answers.includes(expected(1005)), answers.join());
  storage.isDown = false;
  await table.refresh();
  for (const id of [5, 1005]) assert.equal((await ask(node, id)).json, expected(id));
});

test('a source that is gone is no reason to serve what was kept', async (context) => {
  const place = placeFor(context);
  const first = start(context, place);
  await first.node.catalog.get('t').refresh();
  await first.node.close();
  rmSync(place.source);
  const { node } = start(context, place);
  await assert.rejects(node.catalog.get('t').refresh(), (error: ServiceError) => error.code === 'no_files');
  assert.throws(() => node.catalog.get('t').current());
});

test('bytes flipped and missing anywhere on disk change no answer', async (context) => {
  const place = placeFor(context);
  let gets = 0;
  for (let round = 0; round < 12; round++) {
    const { node, trace } = start(context, place);
    await node.catalog.get('t').refresh();
    await askMany(node, 150);
    gets += trace.gets.length;
    await node.close();
    for (const folder of ['blocks', 'files', 'snapshots']) {
      const path = join(place.disk.path, folder);
      for (const name of readdirSync(path)) damage(join(path, name), round);
    }
  }
  context.diagnostic(`${gets} GETs`);
  assert.ok(gets > 12, 'what was damaged was read again');
});

/** One bit in each so many bytes, at other places each round; every fourth round half of the file is lost. */
function damage(path: string, round: number): void {
  const { size } = statSync(path);
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  const stride = path.includes('blocks') ? 30_011 : 97;
  for (let at = (round * 7919) % stride; at < size; at += stride) {
    if (readSync(fd, byte, 0, 1, at) === 0) break;
    byte[0] = (byte[0] ?? 0) ^ (1 << (round % 8));
    writeSync(fd, byte, 0, 1, at);
  }
  closeSync(fd);
  if (round % 4 === 3) {
    const half = openSync(path, 'r+');
    const empty = Buffer.alloc(size >> 1);
    writeSync(half, empty, 0, empty.length, size - empty.length);
    closeSync(half);
  }
}

test('the folder is deleted while lookups run: they go on', async (context) => {
  const place = placeFor(context);
  const { node, lines } = start(context, place, { cacheMemoryBytes: 4 * 2 ** 20 });
  await node.catalog.get('t').refresh();
  await askMany(node, 50);
  rmSync(place.disk.path, { recursive: true });
  await askMany(node, 500);
  await node.catalog.get('t').refresh();
  await node.disk?.idle();
  assert.ok(lines.length <= 1, lines.join('\n'));
});

test('two nodes, one folder: the second runs without and says so', async (context) => {
  const place = placeFor(context);
  const first = start(context, place);
  const second = start(context, place);
  assert.ok(first.node.disk !== undefined && second.node.disk === undefined);
  assert.match(second.lines.join(), /another process owns/);
  await second.node.catalog.get('t').refresh();
  await askMany(second.node, 20);
});

test('a disk that is full is served past', async (context) => {
  const place = placeFor(context);
  const mounted = mkdtempSync(join(tmpdir(), 'pointlake-full-'));
  context.after(() => rmdirSync(mounted));
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', mounted], {
    encoding: 'utf8',
  });
  if (status !== 0) return context.skip(`a small file system cannot be mounted here: ${stderr ?? 'no mount'}`);
  try {
    const disk = { path: mounted, sizeBytes: 64 * 2 ** 20 };
    const first = start(context, { ...place, disk });
    await first.node.catalog.get('t').refresh();
    await askMany(first.node, 1000);
    await first.node.disk?.idle();
    const { blocks } = first.node.disk ?? {};
    assert.ok((blocks?.state.faults ?? 0) > 0, JSON.stringify(blocks?.state));
    assert.match(first.lines.join('\n'), /disk cache: .*(ENOSPC|bytes were written)/);
    await first.node.close();
    const again = start(context, { ...place, disk });
    await again.node.catalog.get('t').refresh();
    await askMany(again.node, 1000);
    await again.node.close();
  } finally {
    spawnSync('umount', ['-l', mounted]);
  }
});

test('nested columns of every form come back from disk as they were', async (context) => {
  const folder = scratchFolder(context);
  let fromDisk = 0;
  for (let n = 0; n < 30; n++) {
    const random = randomFrom(FUZZ_SEED * 17 + n);
    const samples = [nestedSample(random, 'a', 1 + (n % 3)), nestedSample(random, 'b', n % 2)];
    const records = Array.from({ length: 40 }, (_, id) => [{ raw: id, json: id }, ...samples.map((one) => one.make())]);
    const fields = [{ name: 'id', repetition: 'required', type: 'INT32' } as const, ...samples.map((one) => one.field)];
    const layout = { ...PLAIN_LAYOUT, entriesPerPage: 10, dictionaryPages: n % 3, offsetIndex: n % 2 === 0, random };
    const source = join(folder, `${n}.parquet`);
    writeFileSync(
      source,
      nestedFile(
        fields,
        records.map((record) => record.map(({ raw }) => raw)),
        layout,
      ),
    );
    const place = { source, disk: { path: join(folder, `cache-${n}`), sizeBytes: 2 ** 24 } };
    for (const round of [0, 1]) {
      const { node, trace } = start(context, place);
      const snapshot = await node.catalog.get('t').refresh();
      const projection = snapshot.projection(undefined, EXACT_JSON);
      for (const [id, record] of records.entries()) {
        const { json, tier } = await node.engine.row(snapshot, keyOf(snapshot, String(id)), projection, noDeadline);
        const expectedRow = Object.fromEntries(record.map((made, i) => [fields[i]?.name, made.json]));
        assert.deepStrictEqual(JSON.parse(json ?? 'null'), expectedRow, `FUZZ_SEED=${FUZZ_SEED}, file ${n}, row ${id}`);
        if (tier === 'disk') fromDisk += 1;
      }
      if (round === 1) assert.deepEqual(trace.gets, []);
      await node.close();
    }
  }
  assert.ok(fromDisk >= 30, `${fromDisk} answers came from disk`);
});
