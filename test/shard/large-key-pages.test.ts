/**
 * Keys in files of large pages, each many blocks: what is learned of their order makes a search halve, and never lose a
 * row. Every answer is held against a plain walk over the values that were written.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PointlakeNode } from '../../src/main.ts';
import { locatedRow } from '../../src/shard/index.ts';
import { type Key, KeySearch, SearchTrace, type Snapshot, searchScope } from '../../src/table/index.ts';
import { seeded } from '../support/latency-proxy.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { sampled } from '../support/sampled.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 60_000;
const PAGE_BYTES = 2 ** 24;
const MIB = 2 ** 20;

type Value = bigint | number | string | null;

interface Layout {
  readonly name: string;
  readonly type: 'INT64' | 'DOUBLE' | 'STRING';
  readonly value: (row: number, random: () => number) => Value;
}

const text = (number: number) => `${'key-of-some-length-'.repeat(2)}${String(number).padStart(9, '0')}`;

const layouts: readonly Layout[] = [
  { name: 'ascending integers', type: 'INT64', value: (row) => BigInt(row) * 3n - 50_000n },
  { name: 'ascending texts', type: 'STRING', value: (row) => text(row * 3) },
  {
    name: 'ascending doubles, NaN last',
    type: 'DOUBLE',
    value: (row) => (row > ROWS - 9 ? Number.NaN : row / 8 - 999),
  },
  { name: 'runs of equal keys over several blocks', type: 'INT64', value: (row) => BigInt(Math.floor(row / 9_500)) },
  { name: 'equal texts over several blocks', type: 'STRING', value: (row) => text(Math.floor(row / 4_700)) },
  { name: 'ascending anew from the first row of a block', type: 'INT64', value: (row) => BigInt(row % 32_768) },
  { name: 'ascending twice', type: 'INT64', value: (row) => BigInt(row % (ROWS / 2)) },
  { name: 'ascending but for one row', type: 'INT64', value: (row) => (row === 40_321 ? -1n : BigInt(row)) },
  { name: 'ascending with a few nulls', type: 'INT64', value: (row) => (row % 20_011 === 7 ? null : BigInt(row)) },
  { name: 'descending', type: 'INT64', value: (row) => BigInt(ROWS - row) },
  { name: 'in no order', type: 'INT64', value: (_row, random) => BigInt(Math.floor(random() * 40_000)) },
];

async function start(context: TestContext, layout: Layout, random: () => number, cacheMemoryBytes: number) {
  const values = Array.from({ length: ROWS }, (_, row) => layout.value(row, random));
  const path = join(scratchFolder(context), 't.parquet');
  writeParquet(
    path,
    [
      { name: 'id', data: values, type: layout.type, encoding: 'PLAIN', nullable: true },
      { name: 'row', data: values.map((_, row) => row), type: 'INT32', encoding: 'PLAIN', nullable: false },
    ],
    { pageBytes: PAGE_BYTES, rowsPerRowGroup: ROWS },
  );
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { cacheMemoryBytes });
  const snapshot = await node.catalog.get('t').refresh();
  const rowsOf = new Map<string, number[]>();
  for (const [row, value] of values.entries()) {
    if (value === null) continue;
    const rows = rowsOf.get(String(value)) ?? [];
    rows.push(row);
    rowsOf.set(String(value), rows);
  }
  return { node, snapshot, values, rowsOf };
}

function keyOf(value: Value): Key {
  if (value === null) throw new Error('null is no key');
  return [typeof value === 'string' ? Buffer.from(value) : value];
}

async function allRows(node: PointlakeNode, snapshot: Snapshot, key: Key): Promise<readonly string[]> {
  const options = { matches: 'all', limit: ROWS } as const;
  const { items } = await node.engine.lookup(snapshot, [key], snapshot.projection(['row']), options, noDeadline);
  const [item] = items;
  if (item?.status === 'not_found') return [];
  assert.ok(item?.status === 'found' && 'rows' in item, `a key is ${item?.status}`);
  return item.rows;
}

/** Keys at every block's border and at random, in random order, with absent ones between. */
function askedOf(layout: Layout, values: readonly Value[], random: () => number): readonly Value[] {
  const present = [0, 1, 4095, 4096, 8191, 8192, 16_384, 32_768, 49_151, 49_152, ROWS - 2, ROWS - 1].map(
    (row) => values[row] ?? null,
  );
  for (let i = 0; i < sampled(20, 60); i++) present.push(values[Math.floor(random() * ROWS)] ?? null);
  const absent: readonly Value[] =
    layout.type === 'STRING'
      ? ['', text(1), text(ROWS * 4), '~']
      : layout.type === 'INT64'
        ? [-99_999n, -49_999n, 77n, 999_999n]
        : [-1e9, 0.3, 1e9];
  return [...present, ...present.slice(0, 20), ...absent, ...absent].sort(() => random() - 0.5);
}

for (const layout of layouts) {
  for (const memory of [256 * MIB, MIB]) {
    test(`${layout.name}, ${memory / MIB} MiB of cache: every row of every key`, async (context) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      context.diagnostic(`seed ${seed}`);
      const random = seeded(seed);
      const { node, snapshot, values, rowsOf } = await start(context, layout, random, memory);
      for (const value of askedOf(layout, values, random)) {
        if (value === null) continue;
        const rows = rowsOf.get(String(value)) ?? [];
        const expected = rows.map((row) => `{"row":${row}}`);
        assert.deepEqual(await allRows(node, snapshot, keyOf(value)), expected, `key ${value}`);
        const place = locatedRow(snapshot, keyOf(value));
        if (place !== undefined) assert.equal(place?.row ?? null, rows[0] ?? null, `first row of key ${value}`);
      }
    });
  }
}

test('once a page is known to ascend a key costs the logarithm of its blocks', async (context) => {
  const [layout] = layouts.filter(({ name }) => name === 'ascending texts');
  assert.ok(layout !== undefined);
  const { node, snapshot, values } = await start(context, layout, Math.random, 256 * MIB);
  const blocksRead = (row: number) => {
    const trace = new SearchTrace();
    const key = keyOf(values[row] ?? null);
    const scope = searchScope(snapshot, snapshot.primaryKey, key);
    assert.ok(scope !== undefined);
    const search = new KeySearch(snapshot, key, undefined, scope, trace);
    assert.equal(search.next(), 'found');
    assert.equal(search.match?.row, row);
    return trace.memoryBlocks;
  };
  await node.engine.row(snapshot, keyOf(values[5] ?? null), snapshot.projection(['row']), noDeadline);
  const walked = blocksRead(ROWS - 1);
  assert.ok(walked > 60, `the page has only ${walked} blocks`);
  for (const row of [ROWS - 1, ROWS / 2, 7, 31_111]) {
    const read = blocksRead(row);
    assert.ok(read <= Math.log2(walked) + 3, `row ${row} read ${read} of ${walked} blocks`);
  }
});
