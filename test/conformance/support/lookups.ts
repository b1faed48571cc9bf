/**
 * Lookups against a full read of the same file: each distinct value of a column gives exactly the rows that the read has
 * it in, and values beside them are not found; cold, from memory, and with a cache that keeps nothing.
 */

import assert from 'node:assert/strict';
import type { LookupItem } from '../../../src/shard/index.ts';
import { type IndexMode, type Key, type Projection, parseExactJson, parseKeyJson } from '../../../src/table/index.ts';
import { randomFrom } from '../../parquet/support/property.ts';
import { noDeadline } from '../../support/one-node.ts';
import { corpusEntries, isParquet, MANY_PAGES, pathOf } from './corpus.ts';
import { nearby, sameKey } from './near-keys.ts';
import { JSON_FORM, type OpenedTable, rowText, scannedRows, withTable } from './product.ts';
import { refusalOf } from './rules.ts';

/** With no cache each row's pages are decoded anew. */
const UNCACHED_KEYS_MAX = 40;
const UNCACHED_ROWS_MAX = 5;
const COLUMNS_MAX = 5;

export interface LookupLimits {
  /** Columns of more distinct values, and their absent neighbours, are sampled by `seed`. */
  readonly keysMax: number;
  readonly absentMax: number;
  readonly seed: number;
  /** Whether keys are found by an index of them. */
  readonly index?: IndexMode;
}

export class LookupCounts {
  files = 0;
  columns = 0;
  sampled = 0;
  keys = 0;
  rows = 0;
  absent = 0;
  /** Columns whose whole file was in an index. */
  indexed = 0;
  /** Answered again from memory alone. */
  hot = 0;
}

interface Wanted {
  readonly key: Key;
  /** The rows' JSON texts, in the order of the file; none for a key that is absent. */
  readonly rows: readonly string[];
}

/** Of so many columns one, another one with each seed. */
export interface ColumnShares {
  readonly plain: number;
  /** Of files of thousands of pages. */
  readonly manyPages: number;
}

/** In all conformance files that can be read. */
export async function lookUpAll(limits: LookupLimits, shares: ColumnShares): Promise<LookupCounts> {
  const counts = new LookupCounts();
  let columns = limits.seed;
  for (const name of corpusEntries()) {
    if (!isParquet(name) || refusalOf(name) !== undefined) continue;
    counts.files += 1;
    const path = pathOf(name);
    const share = MANY_PAGES.includes(name) ? shares.manyPages : shares.plain;
    for (const column of await searchableColumns(path)) {
      columns += 1;
      if (columns % share === 0) await checkColumn(path, column, limits, counts);
    }
  }
  return counts;
}

export async function searchableColumns(path: string): Promise<readonly string[]> {
  return withTable(path, [], async ({ snapshot }) =>
    snapshot.columns.filter(({ leaf }) => leaf !== undefined && isSearchable(leaf)).map((column) => column.name),
  );
}

function isSearchable(leaf: Parameters<typeof parseKeyJson>[0]): boolean {
  try {
    parseKeyJson(leaf, 'no key of any column but of strings');
    return true;
  } catch (thrown) {
    return (thrown as { kind?: unknown }).kind === 'invalid';
  }
}

export async function checkColumn(
  path: string,
  column: string,
  limits: LookupLimits,
  counts: LookupCounts,
): Promise<void> {
  const { index } = limits;
  const where = `${path}, key ${column}`;
  await withTable(
    path,
    [column],
    async (table) => {
      const names = projectedNames(table, column, limits.seed);
      const projection = table.snapshot.projection(names, JSON_FORM);
      if (table.snapshot.primaryKey.index?.openFiles.length === 0) counts.indexed += 1;
      const { present, all } = await wantedKeys(table, projection, column, limits);
      const absent = absentKeys(table, present, all, limits);
      for (const wanted of [...present, ...absent]) {
        await assertAnswer(table, projection, wanted, `${where}, cold`);
        if (await assertAnswer(table, projection, wanted, `${where}, again`)) counts.hot += 1;
      }
      counts.columns += 1;
      counts.keys += present.length;
      counts.absent += absent.length;
      counts.rows += present.reduce((rows, wanted) => rows + wanted.rows.length, 0);
      if (all.length > present.length) counts.sampled += 1;
      const few = [
        ...sample(present, UNCACHED_KEYS_MAX, limits.seed),
        ...sample(absent, UNCACHED_KEYS_MAX / 4, limits.seed),
      ];
      await withTable(
        path,
        [column],
        async (uncached) => {
          const same = uncached.snapshot.projection(names, JSON_FORM);
          for (const wanted of few) {
            await assertAnswer(uncached, same, wanted, `${where}, uncached`, UNCACHED_ROWS_MAX);
          }
        },
        { cacheMemoryBytes: 1 },
      );
    },
    index === undefined ? {} : { index },
  );
}

/** The key and what else of the row is read: all of a narrow table, some columns of a wide one, where each is a key in turn. */
function projectedNames({ snapshot }: OpenedTable, column: string, seed: number): readonly string[] {
  const names = snapshot.columns.map(({ name }) => name);
  return names.length <= COLUMNS_MAX ? names : [column, ...sample(names, COLUMNS_MAX - 1, seed)];
}

/** The distinct values of the column with their rows, as a full read has them. */
async function wantedKeys(
  table: OpenedTable,
  projection: Projection,
  column: string,
  { keysMax, seed }: LookupLimits,
): Promise<{ readonly present: readonly Wanted[]; readonly all: readonly Wanted[] }> {
  const at = projection.columns.findIndex((candidate) => candidate.name === column);
  const [leaf] = table.snapshot.keyLeaves;
  assert.ok(leaf !== undefined);
  const rowsOf = new Map<string, string[]>();
  for await (const values of scannedRows(table, projection)) {
    // -0 equals 0, and null equals nothing.
    const value = values[at] === '-0' ? '0' : (values[at] ?? 'null');
    if (value === 'null') continue;
    const rows = rowsOf.get(value) ?? [];
    rowsOf.set(value, rows);
    rows.push(rowText(projection, values));
  }
  const all = [...rowsOf].map(([text, rows]) => ({ key: [parseKeyJson(leaf, parseExactJson(text))], rows }));
  return { present: sample(all, keysMax, seed), all };
}

function absentKeys(
  table: OpenedTable,
  present: readonly Wanted[],
  all: readonly Wanted[],
  { absentMax, seed }: LookupLimits,
): readonly Wanted[] {
  const [leaf] = table.snapshot.keyLeaves;
  assert.ok(leaf !== undefined);
  const known = new Set(all.map(({ key }) => sameKey(key[0]!)));
  return sample(present, absentMax, seed)
    .flatMap(({ key }) => nearby(leaf, key[0]!))
    .filter((value) => !known.has(sameKey(value)))
    .map((value) => ({ key: [value], rows: [] }));
}

/** Whether the answer came without a wait. */
async function assertAnswer(
  { node, snapshot }: OpenedTable,
  projection: Projection,
  { key, rows }: Wanted,
  where: string,
  limit = rows.length + 1,
): Promise<boolean> {
  const options = { matches: 'all', limit } as const;
  const answer = node.engine.lookup(snapshot, [key], projection, options, noDeadline);
  const { items } = await answer;
  const expected: LookupItem =
    rows.length === 0
      ? { status: 'not_found' }
      : { status: 'found', rows: rows.slice(0, limit), truncated: rows.length > limit };
  assert.deepEqual(items, [expected], `${where}, ${sameKey(key[0]!)}`);
  return !(answer instanceof Promise);
}

function sample<T>(values: readonly T[], most: number, seed: number): readonly T[] {
  if (values.length <= most) return values;
  const random = randomFrom(seed);
  return Array.from({ length: most }, () => values[Math.floor(random() * values.length)]!);
}
