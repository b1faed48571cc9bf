/**
 * Tables of several files that disagree about columns and types, against DuckDB's `union_by_name` of the same files:
 * the types of the union, every row by its key, every row by a plain scan, and keys that are in no file.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import type { ColumnSource } from 'hyparquet-writer';
import { createNode, type PointlakeNode } from '../../src/main.ts';
import { scan } from '../../src/shard/index.ts';
import { keyJson, parseKeyText, type Snapshot, tableDefinition, typeName } from '../../src/table/index.ts';
import { asyncProperty, FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { type keyOf, noDeadline } from '../support/one-node.ts';
import { writeParquet } from '../support/scratch.ts';

/** A column's types that join, by DuckDB's names, and values as SQL literals by the narrowest types that hold them. */
interface Family {
  readonly types: readonly string[];
  /** The position in `types` of the type, and a seed. */
  readonly value: (type: number, seed: number) => string;
  readonly isKey: boolean;
}

const instant = (type: number, seed: number, base: string): string => {
  const digits = [3, 6, 9][type] ?? 6;
  const fraction = String((seed * 7919) % 10 ** digits).padStart(digits, '0');
  return `${base}:${String(seed % 60).padStart(2, '0')}.${fraction}`;
};

/** Small domains with the extremes of each type. */
const integer = (bits: readonly number[], signed: readonly boolean[]) => (type: number, seed: number) => {
  const width = BigInt(bits[type] ?? 8);
  const [min, max] = signed[type] ? [-(1n << (width - 1n)), (1n << (width - 1n)) - 1n] : [0n, (1n << width) - 1n];
  if (seed % 7 === 0) return String(min);
  if (seed % 7 === 1) return String(max);
  return String(seed % 7 === 2 ? max / 2n + BigInt(seed % 60) : BigInt(seed % 100));
};

const FAMILIES: Readonly<Record<string, Family>> = {
  signed: {
    types: ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UTINYINT', 'USMALLINT', 'UINTEGER'],
    value: integer([8, 16, 32, 64, 8, 16, 32], [true, true, true, true, false, false, false]),
    isKey: true,
  },
  unsigned: {
    types: ['UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT'],
    value: integer([8, 16, 32, 64], [false, false, false, false]),
    isKey: true,
  },
  written: { types: ['INTEGER', 'BIGINT'], value: integer([32, 64], [true, true]), isKey: true },
  float: {
    types: ['FLOAT', 'DOUBLE'],
    value: (_, seed) => ['nan', 'inf', '-inf', '0.1', '-0.0', '1e30'][seed % 9] ?? String(seed / 8),
    isKey: false,
  },
  decimal: {
    types: ['DECIMAL(4,2)', 'DECIMAL(9,2)', 'DECIMAL(18,2)', 'DECIMAL(38,2)'],
    value: (type, seed) => {
      const whole = '9'.repeat([2, 7, 16, 36][type] ?? 2);
      return `${seed % 2 === 0 ? '-' : ''}${seed % 5 === 0 ? whole : seed % 100}.${seed % 90}`.replace(
        /\.(\d)$/,
        '.0$1',
      );
    },
    isKey: true,
  },
  timestamp: {
    types: ['TIMESTAMP_MS', 'TIMESTAMP', 'TIMESTAMP_NS'],
    value: (type, seed) => instant(type, seed, `${1900 + (seed % 300)}-01-31 12:34`),
    isKey: true,
  },
  instant: { types: ['TIMESTAMPTZ'], value: (_, seed) => `${instant(1, seed, '2026-01-31 12:34')}+00`, isKey: true },
  time: { types: ['TIME'], value: (_, seed) => instant(1, seed, '12:34'), isKey: true },
  date: { types: ['DATE'], value: (_, seed) => `${1600 + (seed % 900)}-02-03`, isKey: true },
  text: {
    types: ['VARCHAR'],
    value: (_, seed) => ['', 'é', '𝄞', 'a"b', `k${seed}`][seed % 6] ?? `k${seed}`,
    isKey: true,
  },
  binary: { types: ['BLOB'], value: (_, seed) => `b${seed % 50}`, isKey: true },
  boolean: { types: ['BOOLEAN'], value: (_, seed) => String(seed % 2 === 0), isKey: true },
};

/** Our name of each of DuckDB's types. */
const OUR_TYPES: Readonly<Record<string, string>> = {
  TINYINT: 'INT32 INT(8)',
  SMALLINT: 'INT32 INT(16)',
  INTEGER: 'INT32',
  BIGINT: 'INT64',
  UTINYINT: 'INT32 UINT(8)',
  USMALLINT: 'INT32 UINT(16)',
  UINTEGER: 'INT32 UINT(32)',
  UBIGINT: 'INT64 UINT(64)',
  FLOAT: 'FLOAT',
  DOUBLE: 'DOUBLE',
  TIMESTAMP_MS: 'INT64 TIMESTAMP(MILLIS)',
  TIMESTAMP: 'INT64 TIMESTAMP(MICROS)',
  TIMESTAMP_NS: 'INT64 TIMESTAMP(NANOS)',
  'TIMESTAMP WITH TIME ZONE': 'INT64 TIMESTAMP(MICROS,UTC)',
  DATE: 'INT32 DATE',
  VARCHAR: 'BYTE_ARRAY STRING',
  BLOB: 'BYTE_ARRAY',
  BOOLEAN: 'BOOLEAN',
};

function sameType(ours: string, duckdb: string): boolean {
  // A plain 32 or 64 bit integer may carry its annotation where no file differs.
  const plain = ours.replace(/^INT32 INT\(32\)$/, 'INT32').replace(/^INT64 INT\(64\)$/, 'INT64');
  if (duckdb.startsWith('DECIMAL')) return plain.endsWith(` ${duckdb}`);
  if (duckdb === 'TIME') return plain.startsWith('INT64 TIME(MICROS');
  // DuckDB reads milliseconds as microseconds, whereas we answer a column's own precision.
  return plain === OUR_TYPES[duckdb] || (duckdb === 'TIMESTAMP' && plain === OUR_TYPES.TIMESTAMP_MS);
}

/** A column as the JSON text that we answer, except that numbers are left to `sameText`. */
function sqlText(column: string, type: string): string {
  const stamp = (fraction: string) => `strftime(${column}, '%Y-%m-%dT%H:%M:%S.%${fraction}')`;
  if (type === 'TIMESTAMP_MS') return stamp('g');
  if (type === 'TIMESTAMP') return stamp('f');
  if (type === 'TIMESTAMP_NS') return stamp('n');
  if (type === 'TIMESTAMP WITH TIME ZONE') {
    return `strftime(make_timestamp(epoch_us(${column})), '%Y-%m-%dT%H:%M:%S.%f') || 'Z'`;
  }
  if (type === 'DATE') return `strftime(${column}, '%Y-%m-%d')`;
  if (type === 'TIME')
    return `rpad(CASE WHEN length(${column}::VARCHAR) = 8 THEN ${column}::VARCHAR || '.' ELSE ${column}::VARCHAR END, 15, '0')`;
  if (type === 'BLOB') return `base64(${column})`;
  return `${column}::VARCHAR`;
}

const NON_FINITE: Readonly<Record<string, string>> = { nan: '"NaN"', inf: '"Infinity"', '-inf': '"-Infinity"' };

function jsonOf(text: string | null, type: string): string {
  if (text === null) return 'null';
  if (type === 'FLOAT' || type === 'DOUBLE') return NON_FINITE[text] ?? text;
  return /INT|BOOLEAN/.test(type) ? text : JSON.stringify(text);
}

/** Two writers of floats choose other texts for one number, and of milliseconds other digits. */
function sameText(ours: string, expected: string, type: string): boolean {
  if (ours === expected) return true;
  if (type === 'TIMESTAMP') return ours.replace(/(\.\d{3})"$/, '$1000"') === expected;
  const round = type === 'FLOAT' ? Math.fround : (value: number) => value;
  return (type === 'FLOAT' || type === 'DOUBLE') && Object.is(round(Number(ours)), round(Number(expected)));
}

interface RandomColumn {
  readonly family: string;
  /** By file: the position among the family's types; -1 where the file lacks the column. */
  readonly types: readonly number[];
  readonly seed: number;
}

interface RandomTable {
  readonly rows: readonly number[];
  readonly columns: readonly RandomColumn[];
  readonly pageBytes: number;
}

const FILES_MAX = 6;
const ROWS_MAX = 24;

function columnOf(families: readonly string[], isKey: boolean): fc.Arbitrary<RandomColumn> {
  return fc.constantFrom(...families).chain((family) => {
    const { types } = FAMILIES[family] as Family;
    const present = fc.nat(types.length - 1);
    const oneFile = isKey
      ? fc.oneof({ weight: 9, arbitrary: present }, { weight: 1, arbitrary: fc.constant(-1) })
      : fc.oneof({ weight: 3, arbitrary: present }, { weight: 1, arbitrary: fc.constant(-1) });
    return fc.record({
      family: fc.constant(family),
      types: fc.array(oneFile, { minLength: FILES_MAX, maxLength: FILES_MAX }),
      seed: fc.nat(),
    });
  });
}

const keyFamilies = Object.entries(FAMILIES).flatMap(([name, { isKey }]) => (isKey ? [name] : []));
const duckdbTable: fc.Arbitrary<RandomTable> = fc
  .record({
    rows: fc.array(fc.integer({ min: 1, max: ROWS_MAX }), { minLength: 2, maxLength: FILES_MAX }),
    key: columnOf(keyFamilies, true),
    others: fc.array(columnOf(Object.keys(FAMILIES), false), { minLength: 1, maxLength: 5 }),
    pageBytes: fc.constantFrom(16, 64, 8192),
  })
  .map(({ rows, key, others, pageBytes }) => ({ rows, columns: [key, ...others], pageBytes }));

/** What hyparquet-writer can write with many small pages and page indexes. */
const pagedTable: fc.Arbitrary<RandomTable> = duckdbTable.chain((table) =>
  fc
    .array(columnOf(['written', 'float', 'text'], false), { minLength: 1, maxLength: 3 })
    .chain((others) => columnOf(['written', 'text'], true).map((key) => ({ ...table, columns: [key, ...others] }))),
);

let duckdb: DuckDBConnection;
let node: PointlakeNode | undefined;

before(async () => {
  duckdb = await (await DuckDBInstance.create(':memory:')).connect();
});

after(() => duckdb.closeSync());

/** Values of the file's column; one in eight is null. A key is the same in no two rows unless its domain is small. */
function literals(column: RandomColumn, file: number, rows: number): readonly (string | null)[] {
  const type = column.types[file] ?? 0;
  const random = randomFrom(column.seed + file);
  return Array.from({ length: rows }, () => {
    const seed = Math.floor(random() * 1_000_000);
    return seed % 8 === 7 ? null : (FAMILIES[column.family] as Family).value(type, seed);
  });
}

async function writeByDuckdb(path: string, table: RandomTable, file: number): Promise<void> {
  const rows = table.rows[file] ?? 0;
  const present = table.columns.flatMap((column, i) => ((column.types[file] ?? -1) < 0 ? [] : [{ column, i }]));
  const selects = present.map(({ column, i }) => {
    const type = (FAMILIES[column.family] as Family).types[column.types[file] ?? 0] ?? '';
    return `CAST(c${i} AS ${type}) AS c${i}`;
  });
  const values = present.map(({ column }) => literals(column, file, rows));
  const lines = Array.from({ length: rows }, (_, row) =>
    [file * 1000 + row, ...values.map((column) => sqlLiteral(column[row] ?? null))].join(','),
  );
  const names = ['n', ...present.map(({ i }) => `c${i}`)];
  await duckdb.run(
    `COPY (SELECT n::INTEGER AS n${selects.map((select) => `, ${select}`).join('')} FROM (VALUES ${lines.map((line) => `(${line})`).join(',')}) t(${names.join(',')})) TO '${path}' (FORMAT parquet)`,
  );
}

function sqlLiteral(text: string | null): string {
  return text === null ? 'NULL::VARCHAR' : `'${text.replaceAll("'", "''")}'`;
}

async function writeWithPages(path: string, table: RandomTable, file: number): Promise<void> {
  const rows = table.rows[file] ?? 0;
  const columns: ColumnSource[] = [
    { name: 'n', type: 'INT32', data: Array.from({ length: rows }, (_, row) => file * 1000 + row), nullable: false },
  ];
  for (const [i, column] of table.columns.entries()) {
    const at = column.types[file] ?? -1;
    if (at < 0) continue;
    const type = (FAMILIES[column.family] as Family).types[at] ?? '';
    const data = literals(column, file, rows).map((text) => (text === null ? null : storedAs(type, text)));
    columns.push({ name: `c${i}`, type: WRITTEN_TYPES[type] ?? 'STRING', data, nullable: true });
  }
  writeParquet(path, columns, { pageBytes: table.pageBytes, rowsPerRowGroup: 10 });
}

const WRITTEN_TYPES: Readonly<Record<string, NonNullable<ColumnSource['type']>>> = {
  INTEGER: 'INT32',
  BIGINT: 'INT64',
  FLOAT: 'FLOAT',
  DOUBLE: 'DOUBLE',
  VARCHAR: 'STRING',
};

function storedAs(type: string, text: string): string | number | bigint {
  if (type === 'BIGINT') return BigInt(text);
  if (type === 'VARCHAR') return text;
  const nonFinite = ({ nan: Number.NaN, inf: Infinity, '-inf': -Infinity } as Record<string, number>)[text];
  return nonFinite ?? Number(text);
}

interface Expected {
  readonly names: readonly string[];
  readonly types: readonly string[];
  /** In the order of files and rows; `n` is a row's place in all of them. */
  readonly rows: readonly (readonly string[])[];
}

async function unionByDuckdb(paths: readonly string[]): Promise<Expected> {
  const source = `read_parquet([${paths.map((path) => `'${path}'`).join(',')}], union_by_name=true)`;
  const described = (await duckdb.runAndReadAll(`DESCRIBE SELECT * FROM ${source}`)).getRows();
  const names = described.map(([name]) => String(name));
  const types = described.map(([, type]) => String(type));
  const texts = names.map((name, i) => sqlText(name, types[i] ?? ''));
  const answer = (await duckdb.runAndReadAll(`SELECT ${texts.join(',')} FROM ${source} ORDER BY n`)).getRows();
  const rows = answer.map((row) =>
    row.map((value, i) => jsonOf(value === null ? null : String(value), types[i] ?? '')),
  );
  return { names, types, rows };
}

async function check(table: RandomTable, write: typeof writeByDuckdb): Promise<number> {
  if ((table.columns[0]?.types.slice(0, table.rows.length) ?? []).every((type) => type < 0)) return 0;
  const folder = mkdtempSync(join(tmpdir(), 'pointlake-union-'));
  const paths = table.rows.map((_, file) => join(folder, `f${file}.parquet`));
  try {
    for (const [file, path] of paths.entries()) await write(path, table, file);
    const expected = await unionByDuckdb(paths);
    const definition = {
      ...tableDefinition('t', `${folder}/*.parquet`, ['c0']),
      json: { int64: 'number', nonfinite: 'string' },
    } as const;
    node = createNode({ s3: {}, cacheMemoryBytes: 64 * 2 ** 20, tables: [definition] });
    const snapshot = await node.catalog.get('t').refresh();
    checkTypes(snapshot, expected);
    await checkScan(node, snapshot, expected);
    return await checkLookups(node, snapshot, expected);
  } finally {
    await node?.close();
    node = undefined;
    rmSync(folder, { recursive: true });
  }
}

function checkTypes(snapshot: Snapshot, { names, types }: Expected): void {
  assert.deepEqual(
    snapshot.columns.map((column) => column.name),
    names,
  );
  for (const [i, column] of snapshot.columns.entries()) {
    assert.ok(
      sameType(typeName(column), types[i] ?? ''),
      `${column.name}: ${typeName(column)} but ${types[i]} by DuckDB`,
    );
  }
}

async function checkScan({ loader }: PointlakeNode, snapshot: Snapshot, expected: Expected): Promise<void> {
  const projection = snapshot.projection(undefined);
  let at = 0;
  for await (const stretch of scan(loader, snapshot, projection.columns, noDeadline)) {
    const writers = projection.writersFor(stretch.file.mapping);
    for (let row = stretch.start; row < stretch.end; row++, at++) {
      const texts = stretch.blocks.map((block, i) =>
        block === undefined ? 'null' : (writers[i]?.(block.block, row - block.firstRow) ?? ''),
      );
      assertRow(texts, expected, at);
    }
  }
  assert.equal(at, expected.rows.length);
}

function assertRow(texts: readonly string[], { names, types, rows }: Expected, at: number): void {
  for (const [i, text] of texts.entries()) {
    const wanted = rows[at]?.[i] ?? '';
    assert.ok(sameText(text, wanted, types[i] ?? ''), `row ${at}, ${names[i]} ${types[i]}: ${text}, not ${wanted}`);
  }
}

/** Every key of the table, and the keys of the other rows' neighbourhood, which are mostly absent. */
async function checkLookups({ engine }: PointlakeNode, snapshot: Snapshot, expected: Expected): Promise<number> {
  const leaf = snapshot.keyLeaves[0];
  assert.ok(leaf !== undefined);
  const position = expected.names.indexOf('c0');
  const keyTexts = expected.rows.map((row) => row[position] ?? 'null');
  const projection = snapshot.projection(undefined);
  const options = { matches: 'all', limit: 1000 } as const;
  const asked = new Set(keyTexts.filter((text) => text !== 'null'));
  for (const text of asked) {
    const plain = text.startsWith('"') ? (JSON.parse(text) as string) : text;
    for (const keyText of [plain, ...neighbours(plain)]) {
      let key: ReturnType<typeof keyOf>;
      try {
        key = [parseKeyText(leaf, keyText)];
      } catch {
        continue;
      }
      const canonical = keyJson(leaf, key[0] ?? 0);
      const wanted = keyTexts.flatMap((candidate, row) =>
        sameText(canonical, candidate, expected.types[position] ?? '') ? [row] : [],
      );
      const { items } = await engine.lookup(snapshot, [key], projection, options, noDeadline);
      const [item] = items;
      const rows = item !== undefined && 'rows' in item ? item.rows : [];
      assert.equal(rows.length, wanted.length, `key ${keyText}: ${JSON.stringify(item)}`);
      for (const [i, row] of rows.entries()) checkRow(row, expected, wanted[i] ?? -1);
    }
  }
  return asked.size;
}

/** The row's text is rebuilt from the expected one, but for floats, whose texts may differ. */
function checkRow(row: string, expected: Expected, at: number): void {
  const names = expected.names.map((name, i) => `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`);
  let rest = row;
  const texts = names.map((name, i) => {
    assert.ok(rest.startsWith(name), rest);
    const next = i + 1 < names.length ? rest.indexOf(names[i + 1] ?? '', name.length) : rest.length - 1;
    const text = rest.slice(name.length, next);
    rest = rest.slice(next);
    return text;
  });
  assertRow(texts, expected, at);
}

/** Values just beyond what a narrower type of the family holds. */
function neighbours(text: string): readonly string[] {
  if (/^-?\d+$/.test(text))
    return [`${BigInt(text) + 1n}`, `${BigInt(text) + (1n << 8n)}`, `${BigInt(text) + (1n << 32n)}`];
  if (/\d\.\d+$/.test(text)) return [`${text.slice(0, -1)}7`, `1${text}`];
  return [`${text}x`];
}

test('files by DuckDB: every row by key and by scan, and absent keys', async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  let checked = 0;
  await asyncProperty(
    duckdbTable,
    async (table) => {
      checked += await check(table, writeByDuckdb);
    },
    40,
  );
  context.diagnostic(`${checked} keys looked up`);
  assert.ok(checked > 400);
});

test("files with page indexes and small pages: keys are pruned by each file's own type", async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  let checked = 0;
  await asyncProperty(
    pagedTable,
    async (table) => {
      checked += await check(table, writeWithPages);
    },
    30,
  );
  context.diagnostic(`${checked} keys looked up`);
  assert.ok(checked > 300);
});
