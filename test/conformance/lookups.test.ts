/**
 * Every conformance file that can be read, every column of it that can be a key: a lookup of each distinct value gives
 * exactly the rows that a full read has it in, and values beside them are not found; cold, from memory, and with a cache
 * that keeps nothing.
 *
 * Columns of more than 2,000 distinct values are sampled; FUZZ_SEED replays the choice.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { LookupItem } from '../../src/shard/index.ts';
import { type Key, type Projection, parseExactJson, parseKeyJson } from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { noDeadline } from '../support/one-node.ts';
import { corpusEntries, hasCorpus, isParquet, NO_CORPUS, pathOf } from './support/corpus.ts';
import { nearby, sameKey } from './support/near-keys.ts';
import { JSON_FORM, type OpenedTable, rowText, scannedRows, withTable } from './support/product.ts';
import { refusalOf } from './support/rules.ts';

const KEYS_MAX = 2000;
/** With no cache each row's pages are decoded anew. */
const UNCACHED_KEYS_MAX = 40;
const UNCACHED_ROWS_MAX = 5;
const ABSENT_MAX = 200;

interface Wanted {
  readonly key: Key;
  /** The rows' JSON texts, in the order of the file; none for a key that is absent. */
  readonly rows: readonly string[];
}

const skip = hasCorpus() || process.env.CI === 'true' ? false : NO_CORPUS;

describe('lookups in the conformance files', { skip }, () => {
  test('every value of every searchable column is found in its rows, and nothing else is', async (context) => {
    assert.ok(hasCorpus(), NO_CORPUS);
    const counts = { files: 0, columns: 0, keys: 0, sampled: 0, absent: 0, rows: 0, hot: 0 };
    for (const name of corpusEntries()) {
      if (!isParquet(name) || refusalOf(name) !== undefined) continue;
      counts.files += 1;
      for (const column of await searchableColumns(name)) {
        await checkColumn(name, column, counts);
        counts.columns += 1;
      }
    }
    context.diagnostic(
      `seed ${FUZZ_SEED}: ${counts.files} files, ${counts.columns} key columns (${counts.sampled} sampled), ${counts.keys} keys in ${counts.rows} rows, ${counts.absent} absent keys, ${counts.hot} answered again from memory alone`,
    );
    assert.ok(counts.columns > 250 && counts.keys > 30_000 && counts.absent > 30_000, JSON.stringify(counts));
    assert.ok(counts.hot > (counts.keys + counts.absent) * 0.9, `${counts.hot} from memory`);
  });
});

async function searchableColumns(name: string): Promise<readonly string[]> {
  return withTable(pathOf(name), [], async ({ snapshot }) =>
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

async function checkColumn(
  name: string,
  column: string,
  counts: { keys: number; sampled: number; absent: number; rows: number; hot: number },
): Promise<void> {
  const where = `${name}, key ${column}`;
  await withTable(pathOf(name), [column], async (table) => {
    const projection = table.snapshot.projection(undefined, JSON_FORM);
    const { present, all } = await wantedKeys(table, projection, column);
    const absent = absentKeys(table, present, all);
    for (const wanted of [...present, ...absent]) {
      await assertAnswer(table, projection, wanted, `${where}, cold`);
      if (await assertAnswer(table, projection, wanted, `${where}, again`)) counts.hot += 1;
    }
    counts.keys += present.length;
    counts.absent += absent.length;
    counts.rows += present.reduce((rows, wanted) => rows + wanted.rows.length, 0);
    if (all.length > present.length) counts.sampled += 1;
    const few = [...sample(present, UNCACHED_KEYS_MAX), ...sample(absent, UNCACHED_KEYS_MAX / 4)];
    await withTable(
      pathOf(name),
      [column],
      async (uncached) => {
        const same = uncached.snapshot.projection(undefined, JSON_FORM);
        for (const wanted of few) {
          await assertAnswer(uncached, same, wanted, `${where}, uncached`, UNCACHED_ROWS_MAX);
        }
      },
      { cacheMemoryBytes: 1 },
    );
  });
}

/** The distinct values of the column with their rows, as a full read has them. */
async function wantedKeys(
  table: OpenedTable,
  projection: Projection,
  column: string,
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
  return { present: sample(all, KEYS_MAX), all };
}

function absentKeys(table: OpenedTable, present: readonly Wanted[], all: readonly Wanted[]): readonly Wanted[] {
  const [leaf] = table.snapshot.keyLeaves;
  assert.ok(leaf !== undefined);
  const known = new Set(all.map(({ key }) => sameKey(key[0]!)));
  return sample(present, ABSENT_MAX)
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

function sample<T>(values: readonly T[], most: number): readonly T[] {
  if (values.length <= most) return values;
  const random = randomFrom(FUZZ_SEED);
  return Array.from({ length: most }, () => values[Math.floor(random() * values.length)]!);
}
