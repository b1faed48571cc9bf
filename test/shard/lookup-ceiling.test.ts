/** What finding a key may cost is told beforehand, holds in truth, and is held to a ceiling before anything is fetched. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ServiceError } from '../../src/core/index.ts';
import type { NodeOptions, PointlakeNode } from '../../src/main.ts';
import { Receipt } from '../../src/shard/index.ts';
import {
  type CostQuestion,
  Pins,
  type SearchCost,
  type Snapshot,
  searchCost,
  type TableFile,
} from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { IoTrace } from '../support/io-trace.ts';
import { keyOf, noDeadline, nodeOf, type TableOfTest } from '../support/one-node.ts';
import { type FixtureOptions, scratchFolder, writeParquet } from '../support/scratch.ts';

/** Small enough that opening the file reads where its pages lie: two of each chunk. */
const UNCLUSTERED = { rows: 4000, rowsPerRowGroup: 20 };
const GROUPS = 200;
const BOUNDS = { getsMax: 64, bytesMax: 64 * 2 ** 20 };

/** Even keys, each row group with some from everywhere. */
function unclustered(folder: string, options: FixtureOptions = {}): string {
  const { rows, rowsPerRowGroup } = UNCLUSTERED;
  const keys = Array.from(
    { length: rows },
    (_, i) => 2 * ((i % rowsPerRowGroup) * GROUPS + Math.floor(i / rowsPerRowGroup)),
  );
  return writeKeys(folder, keys, { rowsPerRowGroup, pageBytes: 40, ...options });
}

function writeKeys(folder: string, keys: readonly number[], options: FixtureOptions): string {
  const columns = [
    { name: 'k', data: [...keys], type: 'INT32' as const, encoding: 'PLAIN' as const, nullable: false },
    { name: 'v', data: keys.map((key) => `value ${key}`), type: 'STRING' as const },
  ];
  return writeParquet(join(folder, 't.parquet'), columns, options);
}

async function open(
  context: TestContext,
  source: string,
  options: Partial<NodeOptions> = {},
  more: TableOfTest['options'] = { index: 'none' },
  key: readonly string[] = ['k'],
) {
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source, key, options: more }], { wrapStores: trace.wrap, ...options });
  const snapshot = await node.catalog.get('t').refresh();
  trace.clear();
  const row = (key: string, receipt?: Receipt) =>
    node.engine.row(snapshot, keyOf(snapshot, key), snapshot.projection(['k', 'v']), noDeadline, receipt);
  return { node, snapshot, trace, row };
}

function costOf(snapshot: Snapshot, key: CostQuestion['key'], more: Partial<CostQuestion> = {}): SearchCost {
  const by = snapshot.primaryKey;
  const steps = searchCost({ snapshot, by, key, indexed: undefined, rowsWanted: 1, ...more });
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

async function loadKeyPages({ loader }: PointlakeNode, file: TableFile, rowGroup: number): Promise<void> {
  const chunk = file.chunk(rowGroup, 0);
  const pages = Array.from({ length: chunk.layout?.locations.pages ?? 0 }, (_, page) => page);
  await loader.load(
    pages.map((page) => ({ kind: 'page', file, chunk, page })),
    new Pins(),
    noDeadline,
  );
}

/** Of the first columns of every row group. */
function hasPageIndex(snapshot: Snapshot, columns: number): boolean {
  const [file] = snapshot.files;
  assert.equal(file?.kind, 'readable');
  const { index } = file.file;
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup++) {
    for (let column = 0; column < columns; column++) {
      if (index.chunk(rowGroup, column).offsetIndexRange === undefined) return false;
    }
  }
  return true;
}

function fetched(trace: IoTrace) {
  return { gets: trace.gets.length, bytes: trace.bytes() };
}

async function refusalOf(lookup: Promise<unknown>): Promise<ServiceError> {
  try {
    await lookup;
  } catch (thrown) {
    assert.ok(thrown instanceof ServiceError);
    return thrown;
  }
  assert.fail('the lookup was answered');
}

test('a key that may be in 200 row groups is refused before any fetch, by what an unlimited lookup then reads', async (context) => {
  const source = unclustered(scratchFolder(context));
  const limited = await open(context, source, { lookupBounds: BOUNDS });
  const receipt = new Receipt();
  const refusal = await refusalOf(limited.row('4001', receipt));
  assert.equal(refusal.code, 'plan_too_expensive');
  assert.deepEqual(limited.trace.gets, []);

  const unlimited = await open(context, source);
  assert.equal((await unlimited.row('4001')).json, null);
  const { gets, bytes } = fetched(unlimited.trace);
  assert.ok(gets >= GROUPS, `${gets} GETs`);
  assert.deepEqual(
    [refusal.context.gets, refusal.context.bytes, refusal.context.gets_max, refusal.context.bytes_max],
    [gets, bytes, BOUNDS.getsMax, BOUNDS.bytesMax],
  );
  assert.match(refusal.message, new RegExp(`may take ${gets} GETs of ${bytes} bytes, and 64 GETs of 67108864 bytes`));

  const allowed = await open(context, source, { lookupBounds: { getsMax: gets, bytesMax: bytes } });
  assert.equal((await allowed.row('4001', receipt)).json, null);
  assert.deepEqual((receipt.toObject(() => 0) as { estimate?: unknown }).estimate, { gets, bytes });
  assert.equal((await allowed.row('7600')).json, '{"k":7600,"v":"value 7600"}');
});

test('bytes are held to their own ceiling', async (context) => {
  const source = unclustered(scratchFolder(context));
  const bounds = { getsMax: 1000, bytesMax: 10_000 };
  const { row, trace } = await open(context, source, { lookupBounds: bounds });
  const refusal = await refusalOf(row('4000'));
  assert.equal(refusal.code, 'plan_too_expensive');
  assert.ok(Number(refusal.context.bytes) > bounds.bytesMax);
  assert.deepEqual(trace.gets, []);
});

test('what is in memory is no part of the cost, wherever the key is found', async (context) => {
  const source = unclustered(scratchFolder(context));
  const { node, snapshot, trace, row } = await open(context, source, { lookupBounds: BOUNDS });
  // The first row groups' keys: those of row 0 are 0, 400, 800 ...
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  for (let rowGroup = 0; rowGroup < 150; rowGroup++) await loadKeyPages(node, file.file, rowGroup);
  trace.clear();
  assert.equal((await row('4001')).json, null, '50 row groups are left');
  assert.ok(trace.gets.length >= 50 && trace.gets.length < 60);
});

test('a key that is found in what is here costs nothing, though a miss would cost too much', async (context) => {
  const source = unclustered(scratchFolder(context));
  const { node, snapshot, row } = await open(context, source, { lookupBounds: BOUNDS });
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  await loadKeyPages(node, file.file, 0);
  assert.equal((await row('800')).json, '{"k":800,"v":"value 800"}', 'its value page is read');
  assert.equal((await refusalOf(row('402'))).code, 'plan_too_expensive', 'it is in the second row group');
});

test('lookups of clustered keys are never refused', async (context) => {
  const keys = Array.from({ length: 20_000 }, (_, i) => 2 * i);
  for (const pageIndex of [true, false]) {
    const source = writeKeys(scratchFolder(context), keys, { rowsPerRowGroup: 100, pageIndex });
    const { row } = await open(context, source, { lookupBounds: { getsMax: 4, bytesMax: 2 ** 20 } });
    for (const key of [0, 2, 19_998, 20_002, 39_998])
      assert.equal((await row(`${key}`)).json, `{"k":${key},"v":"value ${key}"}`);
    for (const key of [-2, 1, 19_999, 40_000]) assert.equal((await row(`${key}`)).json, null);
  }
});

test('bounds of pages that are not read yet are read before anything is refused by them', async (context) => {
  const folder = scratchFolder(context);
  // One row group of many pages, in order; its page index is beyond the tail that opening reads.
  const keys = Array.from({ length: 200_000 }, (_, i) => i);
  const text = keys.map((key) => `value ${key}`);
  const source = writeParquet(
    join(folder, 't.parquet'),
    [
      { name: 'k', data: keys, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'v', data: text, type: 'STRING', encoding: 'PLAIN' },
    ],
    { rowsPerRowGroup: keys.length, pageBytes: 512 },
  );
  const { snapshot, row, trace } = await open(context, source, { lookupBounds: { getsMax: 8, bytesMax: 100_000 } });
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  assert.equal(file.file.chunk(0, 0).layout, undefined, 'where its pages lie is not known yet');
  assert.ok(costOf(snapshot, keyOf(snapshot, '150000')).most.bytes > 100_000);
  assert.equal((await row('150000')).json, '{"k":150000,"v":"value 150000"}');
  assert.ok(trace.gets.length <= 8);
});

test('a batch is held to a hundred times the ceiling of a key, and pages that keys share count once', async (context) => {
  const source = unclustered(scratchFolder(context));
  const bounds = { getsMax: 2 * GROUPS, bytesMax: BOUNDS.bytesMax };
  const shared = await open(context, source, { lookupBounds: bounds });
  const ask = ({ node, snapshot }: typeof shared, keys: readonly number[]) =>
    node.engine.lookup(
      snapshot,
      keys.map((key) => keyOf(snapshot, `${key}`)),
      snapshot.projection(['v']),
      { matches: 'first', limit: 1 },
      noDeadline,
    );
  // 300 keys of 200 GETs each would be 60,000, and 40,000 are allowed: but they are the same 200.
  const keys = Array.from({ length: 300 }, (_, i) => 2 * i + 1);
  const { items } = await ask(shared, keys);
  assert.deepEqual(new Set(items.map(({ status }) => status)), new Set(['not_found']));

  const refused = await open(context, source, { lookupBounds: BOUNDS });
  const answer = await ask(refused, [4000, 4003]);
  for (const item of answer.items) {
    assert.equal(item.status, 'error');
    assert.equal('error' in item ? item.error.code : '', 'plan_too_expensive');
  }
  assert.deepEqual(refused.trace.gets, []);
});

test('rows that a key has by bounds alone end the count', async (context) => {
  // Each row group has one key alone.
  const keys = Array.from({ length: 10_000 }, (_, i) => Math.floor(i / 5000));
  const source = writeKeys(scratchFolder(context), keys, { rowsPerRowGroup: 500, pageIndex: false });
  const { node, snapshot, trace } = await open(context, source, { lookupBounds: { getsMax: 4, bytesMax: 2 ** 20 } });
  const answer = await node.engine.lookup(
    snapshot,
    [keyOf(snapshot, '1')],
    snapshot.projection(['k']),
    { matches: 'all', limit: 750 },
    noDeadline,
  );
  const [item] = answer.items;
  assert.ok(item !== undefined && 'rows' in item, JSON.stringify(item));
  assert.equal(item.rows.length, 750);
  assert.ok(item.truncated);
  // Of each of two row groups where its only page lies, and the page.
  assert.equal(trace.gets.length, 4);
});

test(`the estimate is what a miss reads, and at least what a hit reads (FUZZ_SEED=${FUZZ_SEED})`, async (context) => {
  const random = randomFrom(FUZZ_SEED);
  const upTo = (max: number) => Math.floor(random() * max);
  for (let round = 0; round < 12; round++) {
    const rows = 2000 + upTo(6000);
    const span = 1 + upTo(rows);
    const keys = Array.from({ length: rows }, (_, i) => 2 * (Math.floor(i / span) * 7 + upTo(span * 3)));
    const options = { rowsPerRowGroup: 300 + upTo(3000), pageBytes: 256 * 2 ** upTo(5), pageIndex: random() < 0.8 };
    const folder = scratchFolder(context);
    const source = writeParquet(
      join(folder, 't.parquet'),
      [
        {
          name: 'k',
          data: keys,
          type: 'INT32',
          encoding: random() < 0.5 ? 'PLAIN' : 'RLE_DICTIONARY',
          nullable: false,
        },
        { name: 'part', data: keys.map(() => upTo(3)), type: 'INT32', encoding: 'PLAIN', nullable: false },
        { name: 'v', data: keys.map((key) => `value ${key}`), type: 'STRING' },
      ],
      options,
    );
    for (const key of [['k'], ['k', 'part']]) {
      const { node, snapshot, trace } = await open(context, source, {}, { index: 'none' }, key);
      for (let lookup = 0; lookup < 6; lookup++) {
        const isAbsent = lookup % 2 === 0;
        const text = `${(keys[upTo(rows)] ?? 0) + (isAbsent ? 1 : 0)}`;
        const asked = keyOf(snapshot, text, `${upTo(3)}`);
        const { most } = costOf(snapshot, asked);
        trace.clear();
        const projection = snapshot.projection(key);
        await node.engine.row(snapshot, asked, projection, noDeadline);
        const real = fetched(trace);
        const told = JSON.stringify({ round, key, text, options, most, real });
        // Without a page index nobody knows how many pages there will be; the writer makes none for a chunk of one page.
        if (!hasPageIndex(snapshot, key.length)) continue;
        assert.ok(real.gets <= most.gets && real.bytes <= most.bytes, told);
        if (isAbsent && key.length === 1) assert.deepEqual(real, most, told);
      }
      await node.close();
    }
  }
});
