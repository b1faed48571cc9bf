/**
 * Rows of 25 columns (20 doubles, 3 strings, a key, a timestamp), every value of which follows from its key, as Parquet
 * that DuckDB writes; and the same rows as a plain read of it gives them.
 */

import { DuckDBInstance } from '@duckdb/node-api';

const DOUBLES = 20;
export const WIDE_COLUMNS = DOUBLES + 5;
/** Few, so that bounds lead to two blocks of keys: DuckDB writes no page index. */
const ROWS_A_GROUP = 8192;

/** Keys [first, end). */
export async function writeWideRows(path: string, first: number, end: number): Promise<void> {
  const doubles = Array.from({ length: DOUBLES }, (_, k) => `sin((i * 7919 + ${k}) % 1000003) * 1e6 AS d${k}`);
  const strings = ["'name of ' || i AS s0", "'kind ' || (i % 1000) AS s1", "repeat('x', (i % 60)::INT) || i AS s2"];
  const at = "TIMESTAMP '2026-01-01' + INTERVAL (i) SECOND AS made";
  const rows = `SELECT i::BIGINT AS id, ${[...doubles, ...strings, at].join(', ')} FROM range(${first}, ${end}) t(i)`;
  const database = await (await DuckDBInstance.create(':memory:')).connect();
  await database.run(
    `COPY (${rows}) TO '${path}' (FORMAT PARQUET, COMPRESSION SNAPPY, ROW_GROUP_SIZE ${ROWS_A_GROUP})`,
  );
  database.closeSync();
}

/** DuckDB's rows of these keys, in the form of `comparableRow`. */
export async function wideRowsAsJson(
  paths: readonly string[],
  keys: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  const database = await (await DuckDBInstance.create(':memory:')).connect();
  const files = paths.map((path) => `'${path}'`).join(', ');
  const reader = await database.runAndReadAll(
    `SELECT * REPLACE (epoch_ms(made)::DOUBLE AS made, id::DOUBLE AS id) FROM read_parquet([${files}]) WHERE id IN (${keys.join(',')})`,
  );
  const rows = new Map(reader.getRowObjectsJS().map((row) => [Number(row.id), JSON.stringify(row)]));
  database.closeSync();
  return rows;
}

/** An answer, its timestamp as milliseconds. */
export function comparableRow(answered: unknown): string {
  const row = answered as Readonly<Record<string, unknown>>;
  return JSON.stringify({ ...row, made: Date.parse(String(row.made)) });
}
