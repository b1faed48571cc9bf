/** A row that is guessed is the first that a plain walk over the values finds; what is not plain is not guessed. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import { locatedRow } from '../../src/shard/index.ts';
import { guessedRow, searchScope } from '../../src/table/index.ts';
import { seeded } from '../support/latency-proxy.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { type FixtureOptions, scratchFolder, writeParquet } from '../support/scratch.ts';

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);
const ROWS = 40_000;
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);
console.log(`FUZZ_SEED=${SEED}`);

type Values = readonly (bigint | null)[];

interface Layout {
  readonly name: string;
  readonly value: (row: number, random: () => number) => bigint | null;
  /** Of the keys that are there, at least so many are guessed once all have been searched for. */
  readonly guessedAtLeast?: number;
  /** None may be. */
  readonly isNeverGuessed?: boolean;
  readonly column?: Partial<ColumnSource>;
}

const LAYOUTS: readonly Layout[] = [
  { name: 'every number', value: (row) => BigInt(row), guessedAtLeast: 0.95 },
  { name: 'from below zero, in threes', value: (row) => BigInt(row) * 3n - 50_000n, guessedAtLeast: 0.95 },
  { name: 'with gaps', value: (row, random) => BigInt(row * 100 + Math.floor(random() * 100)), guessedAtLeast: 0.8 },
  { name: 'ever sparser', value: (row) => BigInt(row) ** 3n },
  { name: 'pairs', value: (row) => BigInt(row >>> 1), guessedAtLeast: 0.8 },
  { name: 'runs over pages and blocks', value: (row) => BigInt(Math.floor(row / 9500)) },
  { name: 'one value', value: () => 7n },
  { name: 'up to the last safe number', value: (row) => SAFE - BigInt(ROWS - 1 - row), guessedAtLeast: 0.5 },
  { name: 'past the last safe number', value: (row) => SAFE - 20_000n + BigInt(row) },
  { name: 'far past it', value: (row) => 2n ** 62n + BigInt(row), isNeverGuessed: true },
  { name: 'ascending twice', value: (row) => BigInt(row % (ROWS / 2)) },
  { name: 'ascending anew every 4096 rows', value: (row) => BigInt(row % 4096) },
  { name: 'ascending but for one row', value: (row) => (row === 30_321 ? -1n : BigInt(row)) },
  { name: 'with nulls', value: (row) => (row % 20_011 === 7 ? null : BigInt(row)) },
  { name: 'descending', value: (row) => BigInt(ROWS - row), isNeverGuessed: true },
  { name: 'in no order', value: (_, random) => BigInt(Math.floor(random() * 40_000)), isNeverGuessed: true },
  {
    name: 'unsigned',
    value: (row) => BigInt(row) * 2n ** 40n,
    isNeverGuessed: true,
    column: { type: 'INT64', logicalType: { type: 'INTEGER', bitWidth: 64, isSigned: false } } as Partial<ColumnSource>,
  },
];

const FILES: readonly (FixtureOptions & { readonly name: string })[] = [
  { name: 'small pages with an index', pageBytes: 4096, rowsPerRowGroup: 15_000 },
  { name: 'one page a chunk and no index', pageBytes: 2 ** 24, rowsPerRowGroup: ROWS, pageIndex: false },
  { name: 'large pages with an index', pageBytes: 100_000, rowsPerRowGroup: ROWS },
  { name: 'small pages and no index', pageBytes: 4096, rowsPerRowGroup: 15_000, pageIndex: false },
];

for (const file of FILES) {
  test(`${file.name}: guesses are the first row of the key, in every order of values`, async (context) => {
    for (const layout of LAYOUTS) await check(context, layout, file);
  });
}

for (const file of FILES) {
  test(`${file.name}: by an index guesses are the first row of the key too`, async (context) => {
    for (const layout of LAYOUTS) {
      // Others are clustered, or are no integers that a double holds: there is no index, or no guess.
      const guessedAtLeast = layout.name === 'in no order' ? 0.9 : 0;
      await check(context, { ...layout, isNeverGuessed: false, guessedAtLeast }, file, 'auto');
    }
  });
}

async function check(
  context: TestContext,
  layout: Layout,
  file: FixtureOptions & { readonly name: string },
  index: 'none' | 'auto' = 'none',
) {
  const random = seeded(SEED);
  const values: Values = Array.from({ length: ROWS }, (_, row) => layout.value(row, random));
  const first = new Map<bigint, number>();
  for (const [row, value] of values.entries()) if (value !== null && !first.has(value)) first.set(value, row);
  const path = join(scratchFolder(context), 't.parquet');
  const hasNulls = values.includes(null);
  const id = { name: 'id', data: [...values], type: 'INT64', encoding: 'PLAIN', nullable: hasNulls, ...layout.column };
  writeParquet(path, [id as ColumnSource], file);
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'], options: { index } }]);
  const table = node.catalog.get('t');
  const snapshot = await table.refresh();
  for (const indexing of node.indexings(table)) await indexing.idle();
  const present = [...first.keys()];
  const absent = present.slice(0, 500).flatMap((key) => [key + 1n, key - 1n]);
  const asked = [...sample(present, random), ...absent, ...present.slice(0, 20), ...present.slice(-20)];
  const by = snapshot.primaryKey;
  let asks = 0;
  let guesses = 0;
  for (const round of ['cold', 'hot'] as const) {
    for (const value of asked) {
      const key = [value] as const;
      if (round === 'cold') await node.engine.row(snapshot, key, snapshot.projection(['id']), noDeadline);
      const expected = first.get(value);
      const scope = searchScope(snapshot, by, key);
      assert.ok(scope !== undefined);
      const guessed = guessedRow(snapshot, scope, key);
      const what = `${layout.name}, ${file.name}, key ${value}`;
      if (guessed !== undefined) assert.equal(rowInFile(guessed), expected, what);
      if (round === 'cold') continue;
      const located = locatedRow(snapshot, key);
      assert.equal(located === null ? undefined : located && rowInFile(located), expected, what);
      if (expected === undefined) continue;
      asks += 1;
      if (guessed !== undefined) guesses += 1;
    }
  }
  const hasPages = index === 'auto' || file.pageIndex !== false || file.rowsPerRowGroup === ROWS;
  const least = hasPages ? (layout.guessedAtLeast ?? 0) : 0;
  assert.ok(guesses >= least * asks, `${layout.name}, ${file.name}: ${guesses} of ${asks} were guessed`);
  if (layout.isNeverGuessed) assert.equal(guesses, 0, `${layout.name}, ${file.name}`);
  await node.close();
}

/** A thousand of them, ascending. */
function sample(keys: readonly bigint[], random: () => number): readonly bigint[] {
  const chosen = Array.from({ length: 1000 }, () => Math.floor(random() * keys.length));
  return chosen.sort((a, b) => a - b).map((at) => keys[at] as bigint);
}

function rowInFile(place: NonNullable<ReturnType<typeof guessedRow>>): number {
  return place.file.file.index.rowGroupFirstRow(place.rowGroup) + place.row;
}
