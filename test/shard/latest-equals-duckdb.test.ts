/**
 * Which row of a key is answered, against DuckDB on the same files: the first, the latest by one or more columns and by
 * folders, nulls lowest and ties to the last in file order, or the only one; single, by named keys, in batches, and all.
 */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Duplicates } from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const DAYS = ['2026-01-01', '2026-01-02', '2026-01-03'];
const FILES = 7;
const ROWS_MAX = 120;
/** Keys that are also asked for alone. */
const ALONE = 12;

const KEYS = [
  { name: undefined, columns: ['id'] },
  { name: 'mail', columns: ['mail'] },
  { name: 'day', columns: ['id', 'dt'] },
];

const CHOICES: readonly Duplicates[] = [
  { kind: 'first' },
  { kind: 'error' },
  { kind: 'latest', by: ['ts'] },
  { kind: 'latest', by: ['ts', 'note'] },
  { kind: 'latest', by: ['dt'] },
  { kind: 'latest', by: ['dt', 'score', 'ts'] },
  { kind: 'latest', by: ['score', 'dt'] },
];

function writeFiles(folder: string, random: () => number): void {
  const whole = (below: number) => Math.floor(random() * below);
  const some = <T>(value: T): T | null => (random() < 0.25 ? null : value);
  for (let file = 0; file < FILES; file++) {
    const inFolder = join(folder, `dt=${DAYS[whole(DAYS.length)]}`);
    mkdirSync(inFolder, { recursive: true });
    const rows = Array.from({ length: 1 + whole(ROWS_MAX) }, (_, i) => i);
    const columns = [
      { name: 'id', data: rows.map(() => whole(60)), type: 'INT32' },
      { name: 'mail', data: rows.map(() => `${'é𝄞'.slice(0, whole(2))}user${whole(40)}@x`), type: 'STRING' },
      { name: 'ts', data: rows.map(() => some(BigInt(whole(5)) * 2n ** 60n - 2n ** 61n)), type: 'INT64' },
      { name: 'score', data: rows.map(() => some(random() < 0.1 ? Number.NaN : whole(4) / 2 - 1)), type: 'DOUBLE' },
      { name: 'note', data: rows.map(() => some('ab~z'.slice(0, whole(5)))), type: 'STRING' },
      { name: 'place', data: rows.map((row) => `${file} ${row}`), type: 'STRING' },
    ] as const;
    const rowsPerRowGroup = 5 + whole(60);
    const pageIndex = random() < 0.7;
    writeParquet(join(inFolder, `${file}.parquet`), columns, {
      rowsPerRowGroup,
      pageBytes: 64 + whole(400),
      pageIndex,
    });
  }
}

/** One key: its parts as they are asked for, the row to be answered, and all rows in the order of the files. */
interface Expected {
  readonly key: readonly unknown[];
  readonly place: string;
  readonly places: readonly string[];
}

async function oracle(context: TestContext, folder: string) {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  context.after(() => {
    connection.closeSync();
    instance.closeSync();
  });
  const files = `read_parquet('${folder}/*/*.parquet', hive_partitioning = true, hive_types_autocast = false, filename = true, file_row_number = true)`;
  await connection.run(`CREATE TABLE t AS SELECT * FROM ${files}`);
  return async (columns: readonly string[], duplicates: Duplicates): Promise<readonly Expected[]> => {
    const by =
      duplicates.kind === 'latest' ? duplicates.by.map((column) => `${column} DESC NULLS LAST, `).join('') : '';
    const direction = duplicates.kind === 'latest' ? 'DESC' : 'ASC';
    const reader = await connection.runAndReadAll(`
      SELECT ${columns.join()}, first(place ORDER BY ${by} filename ${direction}, file_row_number ${direction}),
        string_agg(place, ',' ORDER BY filename, file_row_number)
      FROM t GROUP BY ${columns.join()} ORDER BY ${columns.join()}`);
    return reader.getRowsJson().map((row) => ({
      key: row.slice(0, columns.length),
      place: String(row[columns.length]),
      places: String(row[columns.length + 1]).split(','),
    }));
  };
}

interface Result {
  readonly status: string;
  readonly row?: { readonly place: string };
  readonly rows?: readonly { readonly place: string }[];
  readonly error?: { readonly code: string };
}

test('the row of a key is the one that DuckDB names', async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  const random = randomFrom(FUZZ_SEED);
  let several = 0;
  for (const duplicates of CHOICES) {
    const folder = scratchFolder(context);
    writeFiles(folder, random);
    const expectedOf = await oracle(context, folder);
    for (const index of ['none', 'hash'] as const) {
      const keys = KEYS.flatMap(({ name, columns }) => (name === undefined ? [] : [{ name, columns, index }]));
      const node = nodeOf(context, [{ name: 't', source: folder, key: ['id'], options: { duplicates, keys, index } }]);
      const table = node.catalog.get('t');
      await table.refresh();
      for (const indexing of node.indexings(table)) await indexing.idle();
      const server = await serve(node);
      context.after(() => server.close());
      const url = `${server.url}/v1/tables/t`;
      for (const { name, columns } of KEYS) {
        const expected = await expectedOf(columns, duplicates);
        const ask = async (more: object): Promise<readonly Result[]> => {
          const wanted = expected.map(({ key }) => (key.length === 1 ? key[0] : key));
          const body = JSON.stringify({ keys: wanted, columns: ['place'], ...(name && { by: name }), ...more });
          const headers = { 'content-type': 'application/json' };
          const answer = await fetch(`${url}/lookup`, { method: 'POST', headers, body });
          assert.equal(answer.status, 200, await answer.clone().text());
          return ((await answer.json()) as { results: readonly Result[] }).results;
        };
        const what = `${JSON.stringify(duplicates)} index ${index} key ${columns}`;
        const isRefused = ({ places }: Expected) => duplicates.kind === 'error' && places.length > 1;
        assert.deepEqual(
          (await ask({})).map(({ row, error }) => row?.place ?? error?.code),
          expected.map((one) => (isRefused(one) ? 'duplicate_key' : one.place)),
          what,
        );
        assert.deepEqual(
          (await ask({ matches: 'all' })).map(({ rows }) => rows?.map(({ place }) => place)),
          expected.map(({ places }) => places),
          what,
        );
        for (let n = 0; n < ALONE; n++) {
          const one = expected[Math.floor(random() * expected.length)] as Expected;
          const parts = one.key.map((part) => encodeURIComponent(String(part))).join('/');
          const answer = await fetch(`${url}/${name === undefined ? 'rows' : `by/${name}`}/${parts}?columns=place`);
          const { place, code } = (await answer.json()) as { place?: string; code?: string };
          assert.equal(place ?? code, isRefused(one) ? 'duplicate_key' : one.place, `${what}: ${parts}`);
        }
        several += expected.filter(({ places }) => places.length > 1).length;
      }
    }
  }
  context.diagnostic(`${several} keys had several rows`);
  assert.ok(several > 500);
});
