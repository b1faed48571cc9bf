/**
 * The tables of the soak, whose every value follows from its row's number, so that each answer can be held to what was
 * written without keeping it: numbers, strings, documents of up to four mebibytes, nested columns that DuckDB wrote, and keys
 * in no order, which a key index finds.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parquetBytes } from '../../test/support/scratch.ts';

export interface SoakTable {
  readonly name: string;
  readonly key: string;
  readonly index?: 'hash';
  readonly rows: number;
  readonly columns: readonly string[];
  /** The JSON of its key, and of one that no row has. */
  keyOf(row: number): string;
  absentKey(row: number): string;
  /** As an object of all columns in their order. */
  rowOf(row: number): Readonly<Record<string, unknown>>;
  /** A column whose value is text, for `/values`. */
  readonly textColumn: string;
  /** How often it is asked, as a weight. */
  readonly weight: number;
  /** Its objects, one after the other. */
  files(): AsyncIterable<Buffer>;
}

const ROWS_AT_SCALE_1 = {
  numbers: 2_400_000,
  strings: 640_000,
  documents: 500,
  nested: 500_000,
  scattered: 500_000,
} as const;
const FILES = 4;
const DOUBLES = 8;

/** `scale` 1: about 700 MB when decoded. */
export function soakTables(scale: number): readonly SoakTable[] {
  const rows = (name: keyof typeof ROWS_AT_SCALE_1) => Math.ceil((ROWS_AT_SCALE_1[name] * scale) / FILES) * FILES;
  return [
    numbers(rows('numbers')),
    strings(rows('strings')),
    documents(rows('documents')),
    nested(rows('nested')),
    scattered(rows('scattered')),
  ];
}

/** A well-mixed 32-bit number of each row. */
function mixed(row: number): number {
  let h = Math.imul(row + 1, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}

function rowsOfFile(rows: number, file: number): number[] {
  const count = rows / FILES;
  return Array.from({ length: count }, (_, i) => file * count + i);
}

function numbers(rows: number): SoakTable {
  const doubles = Array.from({ length: DOUBLES }, (_, i) => `d${i}`);
  const double = (row: number, at: number) => Math.fround(mixed(row * DOUBLES + at) / 977);
  return {
    name: 'numbers',
    key: 'id',
    rows,
    columns: ['id', ...doubles, 'count'],
    keyOf: (row) => String(row * 2),
    absentKey: (row) => String(row * 2 + 1),
    rowOf: (row) => ({
      id: row * 2,
      ...Object.fromEntries(doubles.map((name, at) => [name, double(row, at)])),
      count: mixed(row) % 1000,
    }),
    textColumn: 'count',
    weight: 4,
    async *files() {
      for (let file = 0; file < FILES; file++) {
        const own = rowsOfFile(rows, file);
        yield parquetBytes(
          [
            { name: 'id', data: own.map((row) => BigInt(row * 2)), type: 'INT64', encoding: 'PLAIN', nullable: false },
            ...doubles.map((name, at) => ({
              name,
              data: Float64Array.from(own, (row) => double(row, at)),
              type: 'DOUBLE' as const,
              encoding: 'PLAIN' as const,
              nullable: false,
            })),
            { name: 'count', data: own.map((row) => mixed(row) % 1000), type: 'INT32', nullable: false },
          ],
          { rowsPerRowGroup: 100_000, pageBytes: 32 * 1024, codec: 'SNAPPY' },
        );
      }
    },
  };
}

function strings(rows: number): SoakTable {
  const key = (row: number) => `${String(row).padStart(8, '0')}-${mixed(row).toString(16)}`;
  const rowOf = (row: number) => ({
    key: key(row),
    kind: `kind ${mixed(row) % 50}`,
    name: row % 13 === 0 ? null : `n${mixed(row).toString(36)} ü "quoted" \\ ${row}`,
    text: `${mixed(row ^ 0x5555).toString(36)} `.repeat(1 + (mixed(row) % 50)),
  });
  return {
    name: 'strings',
    key: 'key',
    rows,
    columns: ['key', 'kind', 'name', 'text'],
    keyOf: (row) => JSON.stringify(key(row)),
    absentKey: (row) => JSON.stringify(`${key(row)}!`),
    rowOf,
    textColumn: 'text',
    weight: 4,
    async *files() {
      for (let file = 0; file < FILES; file++) {
        const own = rowsOfFile(rows, file).map(rowOf);
        yield parquetBytes(
          [
            { name: 'key', data: own.map((row) => row.key), type: 'STRING', encoding: 'PLAIN', nullable: false },
            { name: 'kind', data: own.map((row) => row.kind), type: 'STRING' },
            { name: 'name', data: own.map((row) => row.name), type: 'STRING', encoding: 'PLAIN' },
            { name: 'text', data: own.map((row) => row.text), type: 'STRING', encoding: 'PLAIN' },
          ],
          { rowsPerRowGroup: 50_000, pageBytes: 64 * 1024, codec: 'SNAPPY' },
        );
      }
    },
  };
}

function documents(rows: number): SoakTable {
  const body = (row: number) => {
    const characters = 1024 << (mixed(row) % 13);
    const line = `document ${row}, ${mixed(row).toString(36)}; `;
    return line.repeat(Math.ceil(characters / line.length)).slice(0, characters);
  };
  const rowOf = (row: number) => ({ id: row * 2, title: `title of ${row}`, body: body(row) });
  return {
    name: 'documents',
    key: 'id',
    rows,
    columns: ['id', 'title', 'body'],
    keyOf: (row) => String(row * 2),
    absentKey: (row) => String(row * 2 + 1),
    rowOf,
    textColumn: 'body',
    weight: 1,
    async *files() {
      for (let file = 0; file < FILES; file++) {
        const own = rowsOfFile(rows, file).map(rowOf);
        yield parquetBytes(
          [
            { name: 'id', data: own.map((row) => row.id), type: 'INT32', encoding: 'PLAIN', nullable: false },
            { name: 'title', data: own.map((row) => row.title), type: 'STRING', encoding: 'PLAIN' },
            { name: 'body', data: own.map((row) => row.body), type: 'STRING', encoding: 'PLAIN' },
          ],
          { rowsPerRowGroup: 100, pageBytes: 256 * 1024, codec: 'SNAPPY' },
        );
      }
    },
  };
}

/** Keys in no order: multiples of an odd number, which are all different in 32 bits. */
function scattered(rows: number): SoakTable {
  const key = (row: number) => Math.imul(row, 0x9e3779b1) >>> 0;
  return {
    name: 'scattered',
    key: 'id',
    index: 'hash',
    rows,
    columns: ['id', 'row', 'text'],
    keyOf: (row) => String(key(row)),
    absentKey: (row) => String(key(row + rows)),
    rowOf: (row) => ({ id: key(row), row, text: `${mixed(row).toString(36)} of row ${row}` }),
    textColumn: 'text',
    weight: 2,
    async *files() {
      for (let file = 0; file < FILES; file++) {
        const own = rowsOfFile(rows, file);
        yield parquetBytes(
          [
            { name: 'id', data: own.map((row) => BigInt(key(row))), type: 'INT64', encoding: 'PLAIN', nullable: false },
            { name: 'row', data: own, type: 'INT32', encoding: 'PLAIN', nullable: false },
            {
              name: 'text',
              data: own.map((row) => `${mixed(row).toString(36)} of row ${row}`),
              type: 'STRING',
              encoding: 'PLAIN',
            },
          ],
          { rowsPerRowGroup: 50_000, pageBytes: 32 * 1024, codec: 'SNAPPY' },
        );
      }
    },
  };
}

/** Written by DuckDB: one page a column chunk, and no page index. */
function nested(rows: number): SoakTable {
  return {
    name: 'nested',
    key: 'id',
    rows,
    columns: ['id', 'tags', 'place', 'note'],
    keyOf: (row) => String(row * 2),
    absentKey: (row) => String(row * 2 + 1),
    rowOf: (row) => ({
      id: row * 2,
      tags: Array.from({ length: row % 4 }, (_, i) => `tag ${row} ${i}`),
      place: { x: row * 3, name: row % 7 === 0 ? null : `place ${row % 1000}` },
      note: `note of row ${row}`,
    }),
    textColumn: 'note',
    weight: 2,
    async *files() {
      const folder = mkdtempSync(join(tmpdir(), 'pointlake-soak-'));
      const connection = await (await DuckDBInstance.create()).connect();
      try {
        for (let file = 0; file < FILES; file++) {
          const path = join(folder, `${file}.parquet`);
          const [first = 0] = rowsOfFile(rows, file);
          await connection.run(`copy (
            select r * 2 as id,
              list_transform(range(r % 4), i -> 'tag ' || r || ' ' || i) as tags,
              {'x': r * 3, 'name': case when r % 7 = 0 then null else 'place ' || (r % 1000) end} as place,
              'note of row ' || r as note
            from range(${first}, ${first + rows / FILES}) as t(r)
          ) to '${path}' (format parquet, row_group_size 20480)`);
          yield readFileSync(path);
        }
      } finally {
        connection.closeSync();
        rmSync(folder, { recursive: true });
      }
    },
  };
}
