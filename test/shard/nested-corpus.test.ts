/**
 * Every nested column of the format's own conformance files, read through the whole engine and held against DuckDB and
 * hyparquet. The folder is scanned, so that a new file is read too. Where the two disagree with each other or cannot
 * read a column, the specification decides, and the lists below say why.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Snapshot, TableColumn } from '../../src/table/index.ts';
import { duckdbRows, hyparquetRows, normal, type Row, scannedRows } from '../support/nested-oracles.ts';
import { nodeOf } from '../support/one-node.ts';

const CORPUS = new URL('../../../shared/corpus/parquet-testing/data/', import.meta.url);

type Oracle = 'duckdb' | 'hyparquet';

/** Columns that an oracle does not read as the specification says; the other one does. */
const WRONG: Readonly<Record<string, Readonly<Record<string, Oracle>>>> = {
  // A map without values is the list of its keys (map_no_value.md); DuckDB refuses it, hyparquet gives an object.
  'map_no_value.parquet': { my_map: 'duckdb', my_map_no_v: 'duckdb', my_list: 'duckdb' },
  // A repeated field that no annotation explains is a required list: empty, never null. hyparquet gives null.
  'repeated_primitive_no_list.parquet': {
    Int32_list: 'hyparquet',
    String_list: 'hyparquet',
    group_of_lists: 'hyparquet',
  },
};

/** What map_no_value.md documents of the one column that neither oracle reads. */
const KEYS_OF_MAP_WITHOUT_VALUES = [
  [1, 2, 3],
  [4, 5, 6],
  [7, 8, 9],
];

/** Refused on purpose: its map's key is one string of a gibibyte, over the bound of a page. */
const TOO_LARGE = 'large_string_map.brotli.parquet';

test('every nested column of data/ equals the oracles', async (context) => {
  const counts = { files: 0, columns: 0, rows: 0, duckdb: 0, hyparquet: 0 };
  const refused: string[] = [];
  for (const name of parquetFiles()) {
    const path = fileURLToPath(new URL(name, CORPUS));
    const snapshot = await open(context, path);
    const columns = snapshot?.value.columns.filter((column) => column.leaf === undefined) ?? [];
    if (snapshot === undefined || columns.length === 0) continue;
    const names = columns.map((column) => column.name);
    if (name === TOO_LARGE) {
      const fault = { kind: 'unsupported', message: /1073741828 bytes is over the bound/ };
      await assert.rejects(scannedRows(snapshot.node, snapshot.value, names), fault);
      refused.push(name);
      continue;
    }
    const ours = await scannedRows(snapshot.node, snapshot.value, names);
    counts.files += 1;
    counts.columns += columns.length;
    counts.rows += ours.length;
    counts.duckdb += await compare('duckdb', name, columns, ours, (list) =>
      duckdbRows(`select ${list.map((column) => `"${column}"`).join()} from '${path}'`),
    );
    counts.hyparquet += await compare('hyparquet', name, columns, ours, (list) =>
      hyparquetRows(readFileSync(path), list),
    );
  }
  context.diagnostic(
    `${counts.files} files, ${counts.columns} nested columns, ${counts.rows} rows; equal to DuckDB ${counts.duckdb}, to hyparquet ${counts.hyparquet}; refused ${refused.join()}`,
  );
  assert.ok(counts.columns >= 62 && counts.duckdb >= 59 && counts.hyparquet >= 58, JSON.stringify(counts));
  assert.deepEqual(refused, [TOO_LARGE]);
});

function parquetFiles(): readonly string[] {
  return readdirSync(CORPUS, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.parquet'))
    .sort();
}

/** Undefined where the file is refused as a whole, which other tests hold to its reason. */
async function open(context: TestContext, path: string) {
  const node = nodeOf(context, [{ name: 't', source: path, key: [] }]);
  try {
    const value: Snapshot = await node.catalog.get('t').refresh();
    return { node, value };
  } catch {
    return undefined;
  }
}

/** How many columns were held against the oracle. */
async function compare(
  oracle: Oracle,
  file: string,
  columns: readonly TableColumn[],
  ours: readonly Row[],
  rowsOf: (names: readonly string[]) => Promise<Row[]>,
): Promise<number> {
  const compared = columns.filter(({ name }) => WRONG[file]?.[name] !== oracle && !isKeysOnly(file, name));
  if (compared.length === 0) return 0;
  const theirs = await rowsOf(compared.map(({ name }) => name));
  for (const { name, nested } of compared) {
    assert.ok(nested, `${name} of ${file} is read`);
    const [own, other] = [ours, theirs].map((rows) => rows.map((row) => normal(nested, row[name])));
    assert.deepStrictEqual(own, other, `${oracle}, ${file}, column ${name}`);
  }
  return compared.length;
}

function isKeysOnly(file: string, column: string): boolean {
  return file === 'map_no_value.parquet' && column === 'my_map_no_v';
}

test('a map without values is the list of its keys', async (context) => {
  const opened = await open(context, fileURLToPath(new URL('map_no_value.parquet', CORPUS)));
  assert.ok(opened);
  const rows = await scannedRows(opened.node, opened.value, ['my_map_no_v']);
  assert.deepEqual(
    rows.map((row) => row.my_map_no_v),
    KEYS_OF_MAP_WITHOUT_VALUES,
  );
});
