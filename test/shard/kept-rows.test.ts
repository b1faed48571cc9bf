/**
 * Rows kept over snapshots: every answer equals that of an engine that keeps none, and rows are kept exactly where the
 * other snapshot's files prove that they may be. Random histories first, then each proof and each lack of one.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import { RowCache } from '../../src/cache/index.ts';
import { ServiceError } from '../../src/core/index.ts';
import { LookupEngine, loadArrow } from '../../src/shard/index.ts';
import type { Projection, Snapshot, TableDefinition } from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';

interface FileForm {
  /** Of the column `v`; a table whose files differ has the wider one. */
  readonly type?: 'INT32' | 'INT64';
  /** A column that not every file has. */
  readonly hasText?: boolean;
  readonly tag?: string;
}

/** A table of which one engine keeps rows and the other does not, over the same blocks. */
class Lake {
  readonly #folder: string;
  readonly #node;
  readonly rows = new RowCache(1 << 20);
  readonly keeping: LookupEngine;
  readonly plain: LookupEngine;
  snapshot!: Snapshot;

  constructor(context: TestContext, key: readonly string[], options: Partial<TableDefinition> = {}) {
    this.#folder = scratchFolder(context);
    this.#node = nodeOf(context, [
      { name: 't', source: `${this.#folder}/`, key, options: { maxShrink: 1, ...options } },
    ]);
    this.keeping = new LookupEngine(this.#node.loader, this.rows);
    this.plain = new LookupEngine(this.#node.loader, new RowCache(0));
  }

  get table() {
    return this.#node.catalog.get('t');
  }

  write(name: string, ids: readonly number[], form: FileForm = {}): void {
    const { type = 'INT32', hasText = true, tag = name } = form;
    const value = (id: number) => (type === 'INT64' ? BigInt(id * 10) : id * 10);
    const columns: ColumnSource[] = [
      { name: 'id', data: [...ids], type: 'INT32', nullable: false },
      { name: 'v', data: ids.map(value), type, nullable: false },
    ];
    if (hasText) columns.push({ name: 'text', data: ids.map((id) => `${tag} ${id}`), type: 'STRING' });
    this.writeBytes(name, parquetBytes(columns, { pageBytes: 128 }));
  }

  writeBytes(name: string, bytes: Uint8Array): void {
    const path = join(this.#folder, name);
    mkdirSync(dirname(path), { recursive: true });
    // A new object rather than new bytes of the old one: an as-of lookup may hold that open.
    rmSync(path, { force: true });
    writeFileSync(path, bytes);
  }

  remove(name: string): void {
    rmSync(join(this.#folder, name));
  }

  async refresh(): Promise<Snapshot> {
    this.snapshot = await this.table.refresh();
    return this.snapshot;
  }

  async indexed(): Promise<void> {
    for (const indexing of this.#node.indexings(this.table)) await indexing.idle();
  }

  /** The answer of both engines, which is one. */
  async ask(key: readonly (number | string)[], names?: readonly string[], snapshot = this.snapshot) {
    return this.askBy(snapshot.projection(names), key, snapshot);
  }

  async askBy(projection: Projection, key: readonly (number | string)[], snapshot = this.snapshot) {
    const parsed = keyOf(snapshot, ...key.map(String));
    const expected = (await this.plain.row(snapshot, parsed, projection, noDeadline)).json;
    const answer = this.keeping.tryRow(snapshot, parsed, projection);
    if (answer === undefined) {
      // Where a file that may have the key as well is gone, and waited for, no memory tells that it has not.
      const isGone = snapshot.files.some((file) => file.kind === 'readable' && !existsSync(file.file.object.key));
      assert.ok(isGone, 'what was just read is in memory');
      assert.equal(this.plain.tryRow(snapshot, parsed, projection), undefined);
      return undefined;
    }
    assert.equal(answer, expected);
    return answer;
  }

  /** The same as Arrow, whose rows are kept in another form. */
  async askArrow(projection: Projection, key: readonly (number | string)[], snapshot = this.snapshot): Promise<void> {
    const arrow = await loadArrow();
    const keys = [keyOf(snapshot, ...key.map(String))];
    const streams = await Promise.all(
      [this.plain, this.keeping].map(async (engine) => {
        const form = engine.arrowRows(arrow, projection, 'first', 1);
        const batch = engine.beginAs(form, { snapshot, keys, projection, options: { matches: 'first', limit: 1 } });
        const { items } = batch.answer ?? (await batch.finish(noDeadline));
        for (const item of items) assert.ok(item.status === 'found' || item.status === 'not_found', item.status);
        return form.stream(items, String);
      }),
    );
    assert.deepEqual(streams[1], streams[0]);
  }

  /** What the row cache did since the last call. */
  counts() {
    const { hits, misses, crossed, confirmed } = this.rows.stats;
    const since = {
      hits: hits - this.#before.hits,
      misses: misses - this.#before.misses,
      crossed: crossed - this.#before.crossed,
      confirmed: confirmed - this.#before.confirmed,
    };
    this.#before = { hits, misses, crossed, confirmed };
    return since;
  }

  #before = { hits: 0, misses: 0, crossed: 0, confirmed: 0 };
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

const COLUMN_SETS = [undefined, ['id', 'v'], ['v'], ['text', 'v'], ['v', 'id']] as const;

/** Random files, some of one key space, some apart, some of other types, some that cannot be read. */
function changeLake(lake: Lake, names: Set<string>, folders: readonly string[], random: () => number): void {
  const pick = <T>(of: readonly T[]) => of[Math.floor(random() * of.length)] as T;
  const known = [...names];
  const step = random();
  if (step < 0.25 && known.length > 1) {
    const gone = pick(known);
    lake.remove(gone);
    names.delete(gone);
    return;
  }
  const isNew = step < 0.75 || known.length === 0;
  const name = isNew ? `${pick(folders)}${String(Math.floor(random() * 1000)).padStart(4, '0')}.parquet` : pick(known);
  names.add(name);
  if (random() < 0.06) {
    lake.writeBytes(name, Buffer.from('PAR1 no such file PAR1'));
    return;
  }
  const from = Math.floor(random() * 12) * 10;
  const ids = range(from, from + 10 + Math.floor(random() * 30)).filter(() => random() < 0.8);
  lake.write(name, ids.length > 0 ? ids : [from], {
    type: random() < 0.2 ? 'INT64' : 'INT32',
    hasText: random() < 0.8,
    tag: `${name} ${Math.floor(random() * 1e6)}`,
  });
}

/** Undefined where the snapshot's files are gone and not in memory: then there is nothing to compare. */
async function comparedAnswer(lake: Lake, snapshot: Snapshot, key: readonly (number | string)[], set: number) {
  const json = { int64: set % 2 === 0 ? 'number' : 'string', nonfinite: 'null' } as const;
  const names = COLUMN_SETS[set % COLUMN_SETS.length];
  if (names?.some((name) => !snapshot.schema.byName.has(name))) return undefined;
  try {
    const projection = snapshot.projection(names, json);
    const answer = await lake.askBy(projection, key, snapshot);
    await lake.askArrow(projection, key, snapshot);
    return answer;
  } catch (thrown) {
    if (thrown instanceof ServiceError && ['changed', 'unavailable'].includes(thrown.kind)) return undefined;
    throw thrown;
  }
}

async function randomHistory(
  context: TestContext,
  seed: number,
  options: Partial<TableDefinition>,
  isByFolder: boolean,
) {
  const random = randomFrom(seed);
  const lake = new Lake(context, isByFolder ? ['dt', 'id'] : ['id'], options);
  const folders = isByFolder ? ['dt=a/', 'dt=b/', 'dt=c/'] : [''];
  const names = new Set<string>();
  lake.write(`${folders[0]}0500.parquet`, range(0, 60));
  names.add(`${folders[0]}0500.parquet`);
  // A first snapshot there is in any case: a later one is refused where no file can be read.
  await lake.refresh();
  const history: Snapshot[] = [];
  let compared = 0;
  for (let round = 0; round < 14; round++) {
    const changes = round === 0 ? 3 : 1 + Math.floor(random() * 2);
    for (let change = 0; change < changes; change++) changeLake(lake, names, folders, random);
    await lake.refresh().catch((thrown) => {
      if (!(thrown instanceof ServiceError)) throw thrown;
    });
    if (random() < 0.5) await lake.indexed();
    if (history.at(-1) !== lake.snapshot) history.push(lake.snapshot);
    for (let asked = 0; asked < 120; asked++) {
      // One in six is for one of the snapshots before, which the table may have let go of.
      const snapshot = random() < 0.16 ? history.at(-1 - Math.floor(random() * 3)) : lake.snapshot;
      const id = Math.floor(random() ** 2 * 150);
      const key = isByFolder ? [['a', 'b', 'c', 'd'][Math.floor(random() ** 2 * 4)] ?? 'a', id] : [id];
      if ((await comparedAnswer(lake, snapshot ?? lake.snapshot, key, Math.floor(random() * 6))) !== undefined)
        compared++;
    }
  }
  return { compared, stats: lake.rows.stats };
}

const PROVED_MIN = 20;
const RUNS_MAX = 12;

for (const [what, options, isByFolder] of [
  ['files by their bounds', {}, false],
  ['files with an index of their keys', { index: 'hash' }, false],
  ['files in folders that are part of the key', {}, true],
  ['files that are waited for when they vanish', { maxShrink: 0.2 }, false],
] as const) {
  test(`random histories of ${what}: every answer is that of an engine that keeps no rows`, async (context) => {
    let compared = 0;
    let crossed = 0;
    let confirmed = 0;
    context.diagnostic(`seed ${FUZZ_SEED}`);
    // How many are proved depends on the history: some have few rows that cross from one snapshot to another.
    for (let run = 0; run < 3 || (run < RUNS_MAX && crossed <= PROVED_MIN); run++) {
      const { stats, ...more } = await randomHistory(context, FUZZ_SEED + run, options, isByFolder);
      compared += more.compared;
      crossed += stats.crossed;
      confirmed += stats.confirmed;
    }
    context.diagnostic(`${compared} answers, ${crossed} proved, ${confirmed} found again`);
    assert.ok(compared > 2000 && crossed > PROVED_MIN, `${compared} answers, ${crossed} proved`);
  });
}

/** Asks for the keys twice, so that they are kept, and forgets what was counted. */
async function keep(lake: Lake, keys: readonly number[], names: readonly string[] = ['v']): Promise<void> {
  for (const id of [...keys, ...keys]) await lake.ask([id], names);
  lake.counts();
}

async function askAll(lake: Lake, keys: readonly number[], names: readonly string[] = ['v']) {
  for (const id of keys) await lake.ask([id], names);
  return lake.counts();
}

const TEN = range(0, 10);

test('a file added elsewhere in the key space lets every row serve on, at no search; the next hit needs no proof', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('b.parquet', range(0, 50));
  await lake.refresh();
  await keep(lake, TEN);
  lake.write('a.parquet', range(100, 150));
  await lake.refresh();
  assert.deepEqual(await askAll(lake, TEN), { hits: 10, misses: 0, crossed: 10, confirmed: 0 });
  assert.deepEqual(await askAll(lake, TEN), { hits: 10, misses: 0, crossed: 0, confirmed: 0 });
});

test('a file that may have the key sends the lookup searching; the same row found again keeps its text', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('b.parquet', range(0, 50));
  await lake.refresh();
  await keep(lake, TEN);
  // First in order, so that it wins: it has 4, and by its bounds may have all.
  lake.write('a.parquet', [-1, 4, 90]);
  await lake.refresh();
  assert.deepEqual(await askAll(lake, TEN), { hits: 0, misses: 10, crossed: 0, confirmed: 9 });
  assert.equal(await lake.ask([4], ['text']), '{"text":"a.parquet 4"}');
  lake.counts();
  assert.deepEqual(await askAll(lake, TEN), { hits: 10, misses: 0, crossed: 0, confirmed: 0 });
});

test('with an index of the keys that covers it, such a file is known to lack all keys but its own', async (context) => {
  const lake = new Lake(context, ['id'], { index: 'hash' });
  lake.write('b.parquet', range(0, 50));
  await lake.refresh();
  await lake.indexed();
  await keep(lake, TEN);
  lake.write('a.parquet', [-1, 4, 90]);
  await lake.refresh();
  await lake.indexed();
  assert.deepEqual(await askAll(lake, TEN), { hits: 9, misses: 1, crossed: 9, confirmed: 0 });
});

test('rows of a replaced or removed file go, those of the others stay', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('a.parquet', range(0, 5));
  lake.write('b.parquet', range(5, 10));
  lake.write('c.parquet', range(10, 15));
  await lake.refresh();
  await keep(lake, range(0, 15), ['text']);
  lake.write('b.parquet', range(5, 10), { tag: 'new' });
  lake.remove('c.parquet');
  await lake.refresh();
  assert.deepEqual(await askAll(lake, range(0, 5), ['text']), { hits: 5, misses: 0, crossed: 5, confirmed: 0 });
  assert.deepEqual(await askAll(lake, range(5, 15), ['text']), { hits: 0, misses: 10, crossed: 0, confirmed: 0 });
  assert.equal(await lake.ask([7], ['text']), '{"text":"new 7"}');
  assert.equal(await lake.ask([12], ['text']), null);
});

test('a file that cannot be read proves nothing, whether it is new or could be read before', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('b.parquet', range(0, 50));
  await lake.refresh();
  await keep(lake, TEN);
  lake.writeBytes('a.parquet', Buffer.from('PAR1 no such file PAR1'));
  await lake.refresh();
  assert.deepEqual(await askAll(lake, TEN), { hits: 0, misses: 10, crossed: 0, confirmed: 10 });
  lake.write('a.parquet', range(5, 10));
  await lake.refresh();
  assert.deepEqual(await askAll(lake, range(0, 5)), { hits: 5, misses: 0, crossed: 5, confirmed: 0 });
  assert.equal(await lake.ask([7], ['text']), '{"text":"a.parquet 7"}');
  lake.counts();
  lake.writeBytes('a.parquet', Buffer.from('PAR1 no such file PAR1'));
  await lake.refresh();
  assert.deepEqual(await askAll(lake, range(0, 5)), { hits: 0, misses: 5, crossed: 0, confirmed: 5 });
  assert.equal(await lake.ask([7], ['text']), '{"text":"b.parquet 7"}');
});

test('a new folder that is part of the key proves that it lacks the keys of others', async (context) => {
  const lake = new Lake(context, ['dt', 'id']);
  lake.write('dt=1/a.parquet', range(0, 50));
  await lake.refresh();
  for (const id of TEN) await lake.ask(['1', id], ['v', 'dt']);
  lake.counts();
  lake.write('dt=0/a.parquet', range(0, 50));
  await lake.refresh();
  for (const id of TEN) assert.equal(await lake.ask(['1', id], ['v', 'dt']), `{"v":${id * 10},"dt":"1"}`);
  assert.deepEqual(lake.counts(), { hits: 10, misses: 0, crossed: 10, confirmed: 0 });
});

test('a column that is new leaves other columns as they were, and all of them together as they are now', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('b.parquet', range(0, 50), { hasText: false });
  await lake.refresh();
  await keep(lake, TEN, ['v']);
  for (const id of TEN) assert.equal(await lake.ask([id]), `{"id":${id},"v":${id * 10}}`);
  lake.counts();
  lake.write('a.parquet', range(100, 150));
  await lake.refresh();
  assert.deepEqual(await askAll(lake, TEN, ['v']), { hits: 10, misses: 0, crossed: 10, confirmed: 0 });
  for (const id of TEN) assert.equal(await lake.ask([id]), `{"id":${id},"v":${id * 10},"text":null}`);
  assert.deepEqual(lake.counts(), { hits: 0, misses: 10, crossed: 0, confirmed: 0 });
});

test('a type that becomes wider is another text', async (context) => {
  const lake = new Lake(context, ['id']);
  const asText = { int64: 'string', nonfinite: 'null' } as const;
  lake.write('b.parquet', range(0, 50));
  await lake.refresh();
  for (const id of TEN)
    assert.equal(await lake.askBy(lake.snapshot.projection(['v'], asText), [id]), `{"v":${id * 10}}`);
  lake.write('a.parquet', range(100, 150), { type: 'INT64' });
  await lake.refresh();
  lake.counts();
  for (const id of TEN)
    assert.equal(await lake.askBy(lake.snapshot.projection(['v'], asText), [id]), `{"v":"${id * 10}"}`);
  assert.deepEqual(lake.counts(), { hits: 0, misses: 10, crossed: 0, confirmed: 0 });
  // Read through a cast they are kept as any other.
  lake.write('c.parquet', range(200, 250));
  await lake.refresh();
  for (const id of TEN) await lake.askBy(lake.snapshot.projection(['v'], asText), [id]);
  assert.deepEqual(lake.counts(), { hits: 10, misses: 0, crossed: 10, confirmed: 0 });
});

test('an older snapshot is served from what a newer one kept only where the files that left prove it', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('a.parquet', [2, 4, 6]);
  lake.write('b.parquet', range(0, 50));
  lake.write('c.parquet', range(100, 150));
  const older = await lake.refresh();
  // All blocks of the files that leave are in memory.
  for (const id of [...TEN, ...range(100, 110)]) await lake.ask([id], ['text']);
  lake.remove('a.parquet');
  lake.remove('c.parquet');
  const newer = await lake.refresh();
  for (const id of TEN) assert.equal(await lake.ask([id], ['text'], newer), `{"text":"b.parquet ${id}"}`);
  lake.counts();
  for (const id of TEN) {
    const file = [2, 4, 6].includes(id) ? 'a' : 'b';
    assert.equal(await lake.ask([id], ['text'], older), `{"text":"${file}.parquet ${id}"}`);
  }
  const { crossed, misses, confirmed } = lake.counts();
  assert.deepEqual(
    { crossed, misses, confirmed },
    { crossed: 5, misses: 5, confirmed: 2 },
    '3 and 5 lie within its bounds',
  );
  await askAll(lake, TEN, ['text']);
  for (const id of TEN) assert.equal(await lake.ask([id], ['text'], newer), `{"text":"b.parquet ${id}"}`);
  assert.equal(lake.counts().misses, 0, 'the older snapshot took nothing from the newer one');
});

test('rows that were not asked for in eight snapshots are searched for', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('b.parquet', range(0, 50));
  await lake.refresh();
  await keep(lake, TEN);
  for (let added = 1; added <= 8; added++) {
    lake.write(`c${added}.parquet`, range(added * 100, added * 100 + 20));
    await lake.refresh();
    await lake.ask([added * 100], ['v']);
    if (added === 7) await lake.ask([0], ['v']);
  }
  lake.counts();
  assert.deepEqual(await askAll(lake, TEN), { hits: 1, misses: 9, crossed: 1, confirmed: 9 });
});

test('three hundred column sets: as many as are remembered, and the one that is used outlives the rest', async (context) => {
  const lake = new Lake(context, ['id']);
  const wide: ColumnSource[] = range(0, 300).map((c) => ({ name: `c${c}`, data: [1, 2, 3], type: 'INT32' }));
  const file = (ids: readonly number[]) =>
    parquetBytes([{ name: 'id', data: [...ids], type: 'INT32', nullable: false }, ...wide]);
  lake.writeBytes('a.parquet', file([1, 2, 3]));
  await lake.refresh();
  const hot = ['c7', 'c8'];
  for (let set = 0; set < 300; set++) {
    await lake.ask([1], hot);
    await lake.ask([1], [`c${set}`]);
    await lake.ask([2], [`c${set}`]);
  }
  lake.writeBytes('b.parquet', file([11, 12, 13]));
  await lake.refresh();
  lake.counts();
  assert.equal(await lake.ask([1], hot), '{"c7":1,"c8":1}');
  assert.deepEqual(lake.counts(), { hits: 1, misses: 0, crossed: 1, confirmed: 0 });
  for (let set = 0; set < 300; set++) await lake.ask([1], [`c${set}`]);
  const { hits } = lake.counts();
  assert.ok(hits <= 255, `${hits} of 300 column sets were remembered`);
  assert.ok(lake.rows.stats.entries < 2000);
});

test('no memory for rows: none is kept, answers are the same, and blocks have what rows would have had', async (context) => {
  const path = join(scratchFolder(context), 'a.parquet');
  writeFileSync(path, parquetBytes([{ name: 'id', data: [1, 2, 3], type: 'INT32', nullable: false }]));
  const [without, byDefault] = [0, undefined].map((cacheRowsBytes) => {
    return nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { cacheRowsBytes });
  });
  assert.ok(without !== undefined && byDefault !== undefined);
  for (const node of [without, byDefault]) {
    const snapshot = await node.catalog.get('t').refresh();
    const projection = snapshot.projection(undefined);
    const key = keyOf(snapshot, '2');
    assert.equal((await node.engine.row(snapshot, key, projection, noDeadline)).json, '{"id":2}');
    for (const _ of ['from blocks', 'kept']) assert.equal(node.engine.tryRow(snapshot, key, projection), '{"id":2}');
  }
  assert.equal(without.tier.budget.usedBytes('rows'), 0);
  assert.equal(without.rows.stats.entries, 0);
  assert.equal(byDefault.rows.stats.entries, 1);
  assert.ok(byDefault.tier.budget.usedBytes('rows') > byDefault.tier.budget.totalBytes / 10);
});

test('rows that were waited for are kept: one alone, those of a batch', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('a.parquet', range(0, 50));
  const snapshot = await lake.refresh();
  const projection = snapshot.projection(undefined);
  const key = (id: number) => keyOf(snapshot, String(id));
  await lake.keeping.row(snapshot, key(7), projection, noDeadline);
  assert.equal(lake.rows.stats.entries, 1);
  const options = { matches: 'first', limit: 1 } as const;
  const batch = lake.keeping.begin({ snapshot, keys: [21, 35, 45].map(key), projection, options });
  assert.equal(batch.answer, undefined, 'pages of them are not in memory');
  await batch.finish(noDeadline);
  assert.equal(lake.rows.stats.entries, 4);
  lake.counts();
  for (const id of [7, 21, 35, 45]) await lake.ask([id]);
  assert.deepEqual(lake.counts(), { hits: 4, misses: 0, crossed: 0, confirmed: 0 });
});

test('Arrow rows of a cold batch are kept each as it was encoded, though others are encoded meanwhile', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('a.parquet', range(0, 50));
  const snapshot = await lake.refresh();
  const projection = snapshot.projection(undefined);
  const arrow = await loadArrow();
  const keys = range(0, 50).map((id) => keyOf(snapshot, String(id)));
  const request = { snapshot, keys, projection, options: { matches: 'first', limit: 1 } } as const;
  const stream = async () => {
    const form = lake.keeping.arrowRows(arrow, projection, 'first', keys.length);
    const batch = lake.keeping.beginAs(form, request);
    const { items } = batch.answer ?? (await batch.finish(noDeadline));
    return form.stream(items, String);
  };
  const cold = await stream();
  assert.equal(lake.rows.stats.entries, 50);
  lake.counts();
  assert.deepEqual(await stream(), cold);
  assert.equal(lake.counts().hits, 50);
});

test('a row that was found although a part of the search failed is not kept', async (context) => {
  const lake = new Lake(context, ['id']);
  lake.write('b.parquet', range(0, 50));
  lake.writeBytes('a.parquet', withBrokenKeys(range(0, 50)));
  const snapshot = await lake.refresh();
  const projection = snapshot.projection(undefined);
  const { json } = await lake.keeping.row(snapshot, keyOf(snapshot, '7'), projection, noDeadline);
  assert.equal(json, '{"id":7,"v":70,"text":"b.parquet 7"}');
  assert.equal(lake.rows.stats.entries, 0);
});

/** A file whose footer is right, and whose first page, that of the key, is nothing. */
function withBrokenKeys(ids: readonly number[]): Uint8Array {
  const columns: ColumnSource[] = [
    { name: 'id', data: [...ids], type: 'INT32', nullable: false },
    { name: 'v', data: ids.map((id) => id * 10), type: 'INT32', nullable: false },
    { name: 'text', data: ids.map((id) => `a ${id}`), type: 'STRING' },
  ];
  const bytes = Uint8Array.from(parquetBytes(columns));
  bytes.fill(0xff, 4, 24);
  return bytes;
}
