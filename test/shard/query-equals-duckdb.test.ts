/**
 * Random queries against DuckDB on the same files: every operator, type and connective, files whose schemas differ, with
 * and without a page index; answers, orders, limits and pages of answers.
 */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import * as wasm from 'parquet-wasm';
import { type Query, QueryEngine, type QueryPosition, QueryTrace, rowTexts } from '../../src/shard/index.ts';
import { parseExactJson, parsePredicate, type Snapshot } from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder } from '../support/scratch.ts';

const CASES = Number(process.env.FUZZ_RUNS ?? 300);

/** A field that can be asked: its name here, in SQL, its SQL type, and texts that are values of it. */
interface Field {
  readonly name: string;
  readonly sql: string;
  readonly type: string;
  readonly values: readonly string[];
  readonly isNumber?: boolean;
}

const WORDS = ['', 'a', 'ab', 'abc', 'b', 'é', 'zebra', 'ｚ', '𝒳', '𝒳y', '\u{10ffff}', 'naïve'];
const FIELDS: readonly Field[] = [
  {
    name: 'id',
    sql: 'id',
    type: 'BIGINT',
    values: ['0', '7', '499', '9007199254740993', '1200', '-1'],
    isNumber: true,
  },
  { name: 'day', sql: 'day', type: 'DATE', values: ['2026-01-01', '2026-01-31', '2026-03-15', '1969-12-31'] },
  { name: 'word', sql: 'word', type: 'VARCHAR', values: WORDS },
  { name: 'ratio', sql: 'ratio', type: 'DOUBLE', values: ['NaN', '-0.0', '0', '0.5', '1.5', 'Infinity', '-Infinity'] },
  { name: 'price', sql: 'price', type: 'DECIMAL(20,2)', values: ['0.00', '-1.50', '3.25', '12345678901234567.89'] },
  { name: 'big', sql: 'big', type: 'DECIMAL(38,3)', values: ['0.000', '-1.500', '99999999999999999999.125'] },
  {
    name: 'seen',
    sql: 'seen',
    type: 'TIMESTAMP',
    values: ['2026-01-01T00:00:00.000000', '2026-01-02T03:04:05.000006'],
  },
  { name: 'flag', sql: 'flag', type: 'BOOLEAN', values: ['true', 'false'] },
  { name: 'small', sql: 'small', type: 'BIGINT', values: ['0', '3', '-4', '300', '3000000000'], isNumber: true },
  { name: 's.n', sql: 's.n', type: 'INTEGER', values: ['0', '2', '5', '-3'], isNumber: true },
  { name: 's.t.w', sql: 's.t.w', type: 'VARCHAR', values: WORDS },
  { name: 'region', sql: 'region', type: 'VARCHAR', values: ['eu', 'us', 'asia'] },
];

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** Rows that repeat few values; the second kind of file has narrower types and lacks a column. */
function selectRows(from: number, rows: number, isNarrow: boolean): string {
  const one = (values: readonly string[], type: string, salt: number) =>
    `CASE WHEN hash(i + ${salt}) % 9 = 0 THEN NULL ELSE CAST([${values.map(quoted).join()}][1 + (hash(i * 31 + ${salt}) % ${values.length})::INT] AS ${type}) END`;
  const of = (name: string) => FIELDS.find((field) => field.name === name) as Field;
  const cells = (name: string, salt: number, type = of(name).type) => one(of(name).values, type, salt);
  return `SELECT (${from} + i)::BIGINT AS id, DATE '2026-01-01' + (i // 40)::INT AS day, ${cells('word', 2)} AS word,
    ${cells('ratio', 3)} AS ratio, ${cells('price', 4)} AS price, ${isNarrow ? '' : `${cells('big', 5)} AS big,`}
    ${cells('seen', 6)} AS seen, ${cells('flag', 7)} AS flag,
    ${isNarrow ? one(['0', '3', '-4', '300'], 'SMALLINT', 8) : cells('small', 8)} AS small,
    CASE WHEN hash(i) % 5 = 0 THEN NULL ELSE {n: ${cells('s.n', 9)}, t: CASE WHEN hash(i) % 7 = 1 THEN NULL ELSE {w: ${cells('s.t.w', 10)}} END} END AS s
    FROM range(${rows}) r(i)`;
}

interface Fixture {
  readonly connection: DuckDBConnection;
  readonly snapshot: Snapshot;
  readonly queries: QueryEngine;
}

async function fixtureOf(context: TestContext): Promise<Fixture> {
  const folder = scratchFolder(context);
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  context.after(() => {
    connection.closeSync();
    instance.closeSync();
  });
  for (const region of ['eu', 'us']) mkdirSync(join(folder, `region=${region}`));
  const files = [
    ['region=eu/a', 0, 700, false],
    ['region=eu/b', 400, 500, true],
    ['region=us/c', 1000, 900, false],
    ['region=us/d', 5000, 300, true],
  ] as const;
  for (const [i, [name, from, rows, isNarrow]] of files.entries()) {
    const path = join(folder, `${name}.parquet`);
    await connection.run(
      `COPY (${selectRows(from, rows, isNarrow)}) TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 256)`,
    );
    if (i % 2 === 1) continue;
    const properties = new wasm.WriterPropertiesBuilder()
      .setMaxRowGroupSize(500)
      .setDataPageSizeLimit(128)
      .setWriteBatchSize(50)
      .build();
    writeFileSync(path, wasm.writeParquet(wasm.readParquet(readFileSync(path)), properties));
  }
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  const view = `read_parquet('${folder}/*/*.parquet', union_by_name = true, hive_partitioning = true, filename = true, file_row_number = true)`;
  await connection.run(`CREATE TABLE t AS SELECT * FROM ${view}`);
  return { connection, snapshot, queries: new QueryEngine(node.loader) };
}

interface Condition {
  readonly where: unknown;
  readonly sql: string;
}

function conditionFrom(random: () => number, depth: number): Condition {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const kind = random();
  if (depth > 0 && kind < 0.15) {
    const { where, sql } = conditionFrom(random, depth - 1);
    return { where: { not: where }, sql: `NOT (${sql})` };
  }
  if (depth > 0 && kind < 0.55) {
    const joined = pick(['and', 'or']);
    const parts = Array.from({ length: 1 + Math.floor(random() * 3) }, () => conditionFrom(random, depth - 1));
    return {
      where: { [joined]: parts.map(({ where }) => where) },
      sql: parts.map(({ sql }) => `(${sql})`).join(` ${joined} `),
    };
  }
  const field = pick(FIELDS);
  const column = field.name;
  const literal = (text: string) => `CAST(${quoted(text)} AS ${field.type})`;
  const json = (text: string) =>
    field.isNumber
      ? Number.isSafeInteger(Number(text))
        ? Number(text)
        : text
      : field.type === 'BOOLEAN'
        ? text === 'true'
        : text;
  const value = pick(field.values);
  const op = pick(['=', '!=', '<', '<=', '>', '>=', 'in', 'between', 'is_null', 'is_not_null', 'starts_with']);
  if (op === 'is_null') return { where: { column, op }, sql: `${field.sql} IS NULL` };
  if (op === 'is_not_null') return { where: { column, op }, sql: `${field.sql} IS NOT NULL` };
  if (op === 'starts_with' && field.type === 'VARCHAR') {
    return { where: { column, op, value }, sql: `starts_with(${field.sql}, ${quoted(value)})` };
  }
  if (op === 'in' || op === 'starts_with') {
    const values = Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick(field.values));
    return {
      where: { column, op: 'in', value: values.map(json) },
      sql: `${field.sql} IN (${values.map(literal).join()})`,
    };
  }
  if (op === 'between') {
    const other = pick(field.values);
    return {
      where: { column, op, value: [json(value), json(other)] },
      sql: `${field.sql} BETWEEN ${literal(value)} AND ${literal(other)}`,
    };
  }
  return { where: { column, op, value: json(value) }, sql: `${field.sql} ${op} ${literal(value)}` };
}

interface Answer {
  readonly rows: readonly string[];
  readonly last: QueryPosition | undefined;
}

async function ask({ snapshot, queries }: Fixture, where: unknown, more: Partial<Query> = {}): Promise<Answer> {
  const projection = snapshot.projection(['id', 'region', 'word']);
  const query: Query = {
    where: where === undefined ? undefined : parsePredicate(snapshot, parseExactJson(JSON.stringify(where))),
    columns: projection.columns,
    limit: 100_000,
    order: [],
    after: undefined,
    ...more,
  };
  const rows: string[] = [];
  const sink = rowTexts(projection, (text) => rows.push(text));
  let last: QueryPosition | undefined;
  for await (const position of queries.run(snapshot, query, sink, noDeadline, new QueryTrace())) last = position;
  return { rows, last };
}

async function expected({ connection }: Fixture, sql: string, order = 'filename, file_row_number') {
  const reader = await connection.runAndReadAll(
    `SELECT id::VARCHAR, region, word FROM t WHERE ${sql} ORDER BY ${order}`,
  );
  return reader
    .getRowsJson()
    .map(([id, region, word]) => `{"id":${id},"region":${JSON.stringify(region)},"word":${JSON.stringify(word)}}`);
}

test(`random predicates answer as DuckDB does (FUZZ_SEED=${FUZZ_SEED})`, async (context) => {
  const fixture = await fixtureOf(context);
  const random = randomFrom(FUZZ_SEED);
  let matched = 0;
  for (let at = 0; at < CASES; at++) {
    const { where, sql } = conditionFrom(random, 3);
    const answer = await ask(fixture, where);
    assert.deepEqual(answer.rows, await expected(fixture, sql), `${JSON.stringify(where)} is ${sql}`);
    matched += answer.rows.length;
  }
  assert.ok(matched > CASES, 'the predicates find something');
});

test(`limits and cursors page through everything once, in the snapshot's order and by the key (FUZZ_SEED=${FUZZ_SEED})`, async (context) => {
  const fixture = await fixtureOf(context);
  const random = randomFrom(FUZZ_SEED + 1);
  const [key] = fixture.snapshot.keyColumns;
  assert.ok(key);
  const orders = [
    { order: [], sql: 'filename, file_row_number' },
    { order: [{ column: key, isDescending: false }], sql: 'id, filename, file_row_number' },
    { order: [{ column: key, isDescending: true }], sql: 'id DESC, filename, file_row_number' },
  ];
  for (let at = 0; at < 24; at++) {
    const { where, sql } = conditionFrom(random, 2);
    const { order, sql: orderSql } = orders[at % 3] as (typeof orders)[number];
    const limit = 1 + Math.floor(random() * 400);
    const all = await expected(fixture, sql, orderSql);
    const pages: string[] = [];
    for (let after: QueryPosition | undefined, page = 0; page <= all.length / limit; page++) {
      const { rows, last } = await ask(fixture, where, { order, limit, after });
      assert.ok(rows.length <= limit);
      pages.push(...rows);
      if (last === undefined) break;
      after = last;
    }
    assert.deepEqual(pages, all, `${JSON.stringify(where)}, ${limit} a page, by ${orderSql}`);
  }
});
