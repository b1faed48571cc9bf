/** The three real tables, made when missing, and DuckDB as the reader that is not ours. */

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';

const make = fileURLToPath(new URL('../../datasets/make.ts', import.meta.url));

export function makeDataSets(): void {
  execFileSync(process.execPath, [make], { stdio: 'ignore' });
}

export function dataSetPath(name: string): string {
  return fileURLToPath(new URL(`../../datasets/data/${name}.parquet`, import.meta.url));
}

/** Each data set's key, and its columns as DuckDB says them in the JSON types of our API. */
export const DATA_SETS = {
  flights: {
    key: 'date',
    columns: {
      date: "strftime(date, '%Y-%m-%dT%H:%M:%S.%f')",
      delay: 'delay',
      distance: 'distance',
      origin: 'origin',
      destination: 'destination',
    },
    absent: [
      '1999-12-31T23:59:59.000000',
      '2001-01-01T00:01:00.000001',
      '2001-03-03T03:33:33.333333',
      '2100-01-01T00:00:00.000000',
    ],
  },
  cities: {
    key: 'id',
    columns: {
      id: 'id',
      name: 'name',
      country: 'country',
      admin1: 'admin1',
      admin1_name: 'admin1_name',
      admin2: 'admin2',
      admin2_name: 'admin2_name',
      lat: 'lat',
      lng: 'lng',
      geohash: 'geohash',
      northern: 'northern',
      sphere_x: 'sphere_x',
      sphere_y: 'sphere_y',
      sphere_z: 'sphere_z',
      name_length: 'name_length',
      places_of_name: 'places_of_name',
      places_in_country: 'places_in_country',
    },
    absent: ['0', '-1', '171076', '9223372036854775807', '-9223372036854775808'],
  },
  documents: {
    key: 'synset_id',
    columns: {
      synset_id: 'synset_id',
      part_of_speech: 'part_of_speech',
      lexname: 'lexname',
      lemmas: 'lemmas',
      gloss: 'gloss',
      examples: 'examples',
      pointers_count: 'pointers_count',
    },
    absent: ['n00000000', 'n00001741', 'zzz', '~', 'N00001740', 'n00001740 '],
  },
} as const;

export type DataSetName = keyof typeof DATA_SETS;

export interface ExpectedRow {
  readonly key: string | number;
  readonly row: Readonly<Record<string, unknown>>;
}

/** The first row, in file order, of `count` keys drawn by a seed; every value by a full read of DuckDB's. */
export async function firstRows(name: DataSetName, path: string, count: number, seed: number): Promise<ExpectedRow[]> {
  const { key, columns } = DATA_SETS[name];
  const fields = Object.entries(columns).map(([column, expression]) => `"${column}": ${expression}`);
  const sql = `
    with numbered as (select *, file_row_number from read_parquet('${path}', file_row_number = true)),
      drawn as (select distinct "${key}" as k from numbered order by hash("${key}", ${seed}) limit ${count}),
      firsts as (
        select numbered.* from numbered join drawn on "${key}" = k
        qualify row_number() over (partition by "${key}" order by file_row_number) = 1
      )
    select to_json({${fields.join(', ')}})::varchar as row from firsts`;
  const rows = await query<{ row: string }>(sql);
  return rows.map(({ row }) => {
    const parsed = JSON.parse(row) as Record<string, unknown>;
    return { key: parsed[key] as string | number, row: parsed };
  });
}

export async function query<Row>(sql: string): Promise<Row[]> {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Row[];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
