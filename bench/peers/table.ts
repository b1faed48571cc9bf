/** The table that all peers answer from: 24 columns that depend on nothing but the row, as Parquet in four layouts. */

import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { fileWriter, ParquetWriter, schemaFromColumnData } from 'hyparquet-writer';

export const LAYOUTS = ['sorted', 'shuffled', 'sorted-small-pages', 'shuffled-small-pages'] as const;
export type Layout = (typeof LAYOUTS)[number];

const DOUBLES = Array.from({ length: 20 }, (_, i) => `f${i}`);
const STRINGS = ['city', 'device', 'text'];
export const COLUMNS = ['id', ...DOUBLES, ...STRINGS] as const;
/** What a narrow answer has. */
export const FEW = ['id', 'f0', 'f1', 'city'] as const;

const ROWS_A_CHUNK = 50_000;
const SMALL_PAGE_BYTES = 16 * 1024;

/** Keys are the whole numbers from 0 on. The key is a bigint or a number, as a peer hands it over. */
export type Row = Readonly<Record<string, unknown>>;

/** Some consecutive rows, by column. */
export interface Chunk {
  readonly ids: BigInt64Array;
  readonly doubles: readonly Float64Array[];
  readonly strings: readonly (readonly string[])[];
}

export function parquetPath(folder: string, layout: Layout): string {
  return join(folder, `${layout}.parquet`);
}

/** Makes what is missing of the files; one of small pages is made from the other of its order. */
export async function makeTable(folder: string, rows: number, layouts: readonly Layout[] = LAYOUTS): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const layout of layouts) {
    const path = parquetPath(folder, layout);
    if (existsSync(path)) continue;
    if (layout === 'sorted' || layout === 'shuffled') await writeByDuckDb(`${path}.part`, rows, layout === 'shuffled');
    else
      await writeSmallPages(
        `${path}.part`,
        parquetPath(folder, layout === 'sorted-small-pages' ? 'sorted' : 'shuffled'),
      );
    renameSync(`${path}.part`, path);
  }
}

/** Half of the doubles have all their 53 bits, the others two decimals, as prices and rates have. */
async function writeByDuckDb(path: string, rows: number, isShuffled: boolean): Promise<void> {
  const doubles = DOUBLES.map((name, i) => {
    const hash = `hash(id * 20 + ${i})`;
    return i % 2 === 0
      ? `(${hash} % 9007199254740992)::DOUBLE / 9007199254740992 AS ${name}`
      : `(${hash} % 1000000)::DOUBLE / 100 AS ${name}`;
  });
  const text = `'note ' || id || ' ' || md5(id::VARCHAR) || ' the quick brown fox jumps over the lazy dog ' || md5((id + 1)::VARCHAR)
    || ' and the dog, who was not asked, sleeps on beside ' || md5((id + 2)::VARCHAR)`;
  const strings = [
    `'city ' || (hash(id + 7) % 1000) AS city`,
    `format('device-{:016x}', hash(id + 13)) AS device`,
    `${text} AS text`,
  ];
  const order = isShuffled ? 'ORDER BY hash(id + 1000003)' : '';
  const connection = await (await DuckDBInstance.create()).connect();
  const select = `SELECT id, ${[...doubles, ...strings].join(', ')} FROM (SELECT range AS id FROM range(${rows}) ${order})`;
  await connection.run(`COPY (${select}) TO '${path}' (FORMAT parquet)`);
  connection.closeSync();
}

/** The same rows in the same order, with page indexes and pages of 16 KiB. */
async function writeSmallPages(path: string, from: string): Promise<void> {
  const options = { nullable: false, columnIndex: true, offsetIndex: true } as const;
  const columnsOf = ({ ids, doubles, strings }: Chunk) => [
    { name: 'id', type: 'INT64' as const, data: ids, ...options },
    ...DOUBLES.map((name, i) => ({ name, type: 'DOUBLE' as const, data: doubles[i]!, ...options })),
    ...STRINGS.map((name, i) => ({ name, type: 'STRING' as const, data: [...strings[i]!], ...options })),
  ];
  let writer: ParquetWriter | undefined;
  for await (const chunk of chunksOf(from)) {
    const columnData = columnsOf(chunk);
    writer ??= new ParquetWriter({ writer: fileWriter(path), schema: schemaFromColumnData({ columnData }) });
    await writer.write({ columnData, rowGroupSize: ROWS_A_CHUNK, pageSize: SMALL_PAGE_BYTES });
  }
  if (writer === undefined) throw new Error(`${from} has no rows`);
  await writer.finish();
}

/** All rows of a file in its order, as DuckDB reads them. */
export async function* chunksOf(path: string): AsyncGenerator<Chunk> {
  const connection = await (await DuckDBInstance.create()).connect();
  try {
    for (let first = 0; ; first += ROWS_A_CHUNK) {
      const range = `file_row_number >= ${first} AND file_row_number < ${first + ROWS_A_CHUNK}`;
      const from = `read_parquet('${path}', file_row_number = true) WHERE ${range} ORDER BY file_row_number`;
      const read = await connection.runAndReadAll(`SELECT ${COLUMNS.join(', ')} FROM ${from}`);
      const columns = read.getColumns();
      if (read.currentRowCount === 0) return;
      yield {
        ids: BigInt64Array.from(columns[0] as bigint[]),
        doubles: DOUBLES.map((_, i) => Float64Array.from(columns[1 + i] as number[])),
        strings: STRINGS.map((_, i) => columns[1 + DOUBLES.length + i] as string[]),
      };
    }
  } finally {
    connection.closeSync();
  }
}

/** Row `at` of a chunk as an object; the key as a number. */
export function rowAt({ ids, doubles, strings }: Chunk, at: number): Row {
  const row: Record<string, unknown> = { id: Number(ids[at]) };
  for (const [i, name] of DOUBLES.entries()) row[name] = doubles[i]![at];
  for (const [i, name] of STRINGS.entries()) row[name] = strings[i]![at];
  return row;
}

/** One text for equal rows, doubles exact, whatever the order of their columns and the form of their key. */
export function canonical(row: Row | undefined): string {
  if (row === undefined) throw new Error('a key that is there was not found');
  const extra = Object.keys(row).filter((name) => !(COLUMNS as readonly string[]).includes(name));
  if (extra.length > 0) throw new Error(`a row has columns that were not asked for: ${extra.join(', ')}`);
  return JSON.stringify(COLUMNS.map((name) => (name === 'id' ? Number(row[name]) : row[name])));
}
