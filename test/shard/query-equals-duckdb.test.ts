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
import { sampled } from '../support/sampled.ts';
import { scratchFolder } from '../support/scratch.ts';
import { FIELDS, type Field, literalOf, quoted } from '../support/typed-fields.ts';

/** Predicates that DuckDB answers in one go. */
const AT_ONCE = 50;
const CASES = Number(process.env.FUZZ_RUNS ?? sampled(1000, 5000));

/** The Rust writer has bytes for a UUID. */
const LOST_BY_ARROW = ['uuid'];

/** Rows that repeat few values; the second kind of file has narrower types and lacks a column. */
function selectRows(from: number, rows: number, isNarrow: boolean, without: readonly string[]): string {
  const cells = (name: string) => {
    const salt = FIELDS.findIndex((candidate) => candidate.name === name);
    const field = FIELDS[salt] as Field;
    const narrow = isNarrow && typeof field.narrow === 'object' ? field.narrow : undefined;
    const own = { ...field, ...narrow };
    const values = own.values.map((text) => literalOf(own, text)).join();
    // In runs of some rows where the number of the field says so, so that pages have bounds of their own.
    const spread = salt % 3 === 0 ? '(i // 60)' : 'i';
    return `CASE WHEN hash(i + ${salt}) % 9 = 0 THEN NULL ELSE [${values}][1 + (hash(${spread} * 31 + ${salt}) % ${own.values.length})::INT] END`;
  };
  const flat = FIELDS.filter(
    ({ name, narrow }) =>
      !name.includes('.') && !['id', 'day', 'region', ...without].includes(name) && !(isNarrow && narrow === 'none'),
  );
  const inner = FIELDS.filter(({ name }) => name.startsWith('s.t.')).map(
    ({ name }) => `${name.slice(4)}: ${cells(name)}`,
  );
  return `SELECT (${from} + i)::BIGINT AS id, DATE '2026-01-01' + (i // 40)::INT AS day,
    ${flat.map(({ name }) => `${cells(name)} AS ${name}`).join()},
    CASE WHEN hash(i) % 5 = 0 THEN NULL ELSE {n: ${cells('s.n')}, t: CASE WHEN hash(i) % 7 = 1 THEN NULL ELSE {${inner.join()}} END} END AS s
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
    const isRewritten = i % 2 === 0;
    await connection.run(
      `COPY (${selectRows(from, rows, isNarrow, isRewritten ? LOST_BY_ARROW : [])}) TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 256)`,
    );
    if (!isRewritten) continue;
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
  const literal = (text: string) => literalOf(field, text);
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
  if (op === 'is_null') return { where: { column, op }, sql: `${column} IS NULL` };
  if (op === 'is_not_null') return { where: { column, op }, sql: `${column} IS NOT NULL` };
  if (op === 'starts_with' && field.type === 'VARCHAR') {
    return { where: { column, op, value }, sql: `starts_with(${column}, ${quoted(value)})` };
  }
  if (op === 'in' || op === 'starts_with') {
    const values = Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick(field.values));
    return {
      where: { column, op: 'in', value: values.map(json) },
      sql: `${column} IN (${values.map(literal).join()})`,
    };
  }
  if (op === 'between') {
    const other = pick(field.values);
    return {
      where: { column, op, value: [json(value), json(other)] },
      sql: `${column} BETWEEN ${literal(value)} AND ${literal(other)}`,
    };
  }
  return { where: { column, op, value: json(value) }, sql: `${column} ${op} ${literal(value)}` };
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
  return reader.getRowsJson().map(textOf);
}

function textOf([id, region, word]: readonly unknown[]): string {
  return `{"id":${id},"region":${JSON.stringify(region)},"word":${JSON.stringify(word)}}`;
}

/** What each of the conditions gives, in the order of the snapshot. */
async function expectedOf({ connection }: Fixture, conditions: readonly Condition[]): Promise<readonly string[][]> {
  const reader = await connection.runAndReadAll(
    `SELECT id::VARCHAR, region, word, ${conditions.map(({ sql }) => `(${sql}) IS TRUE`).join()} FROM t ORDER BY filename, file_row_number`,
  );
  const rows = reader.getRowsJson();
  return conditions.map((_, i) => rows.filter((row) => row[3 + i] === true).map(textOf));
}

test(`random predicates answer as DuckDB does (FUZZ_SEED=${FUZZ_SEED})`, async (context) => {
  const fixture = await fixtureOf(context);
  const random = randomFrom(FUZZ_SEED);
  let matched = 0;
  for (let at = 0; at < CASES; at += AT_ONCE) {
    const conditions = Array.from({ length: Math.min(AT_ONCE, CASES - at) }, () => conditionFrom(random, 3));
    const wanted = await expectedOf(fixture, conditions);
    for (const [i, { where, sql }] of conditions.entries()) {
      const { rows } = await ask(fixture, where);
      assert.deepEqual(rows, wanted[i], `${JSON.stringify(where)} is ${sql}`);
      matched += rows.length;
    }
  }
  context.diagnostic(`${CASES} predicates, ${matched} rows`);
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
