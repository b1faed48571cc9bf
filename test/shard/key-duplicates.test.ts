/** What the status of a table says of rows that share a key, by each of its keys, against DuckDB's count on the same files. */

import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NodeOptions } from '../../src/main.ts';
import type { TableDefinition } from '../../src/table/index.ts';
import { randomFrom } from '../parquet/support/property.ts';
import { duckdbRows } from '../support/nested-oracles.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const KEYS: readonly (readonly [string | undefined, readonly string[]])[] = [
  [undefined, ['id']],
  ['name', ['name']],
  ['pair', ['id', 'name']],
];

function writeRows(path: string, seed: number, rows: number, ids: number): void {
  const random = randomFrom(seed);
  const of = (n: number) => Math.floor(random() * n);
  writeParquet(
    path,
    [
      { name: 'id', data: Array.from({ length: rows }, () => of(ids)), type: 'INT32', nullable: false },
      {
        name: 'name',
        data: Array.from({ length: rows }, () => (of(10) === 0 ? null : `name ${of(ids * 3)}`)),
        type: 'STRING',
      },
    ],
    { rowsPerRowGroup: 700 },
  );
}

function opened(
  context: TestContext,
  source: string,
  more: Partial<TableDefinition> = {},
  options: Partial<NodeOptions> = {},
) {
  const keys = KEYS.flatMap(([name, columns]) => {
    if (name === undefined) return [];
    return [
      { name, columns: [...columns], index: 'hash' as const, duplicates: { kind: 'first' as const }, unique: false },
    ];
  });
  const definition = { index: 'hash', maxShrink: 1, keys, ...more } as Partial<TableDefinition>;
  const node = nodeOf(context, [{ name: 't', source, key: ['id'], options: definition }], options);
  const table = node.catalog.get('t');
  const counts = async () => {
    await table.refresh();
    const indexings = node.indexings(table);
    await Promise.all(indexings.map((indexing) => indexing.idle()));
    return indexings.map(({ status }) => {
      assert.equal(status.state, 'ready', status.reason);
      const { rows = -1, keysAtLeast = -1 } = status.count ?? {};
      return { rows, keys: keysAtLeast };
    });
  };
  return { node, table, counts };
}

/** So few keys that two of one fingerprint by chance would be a wonder. */
async function expected(glob: string, keys: readonly (readonly string[])[] = KEYS.map(([, columns]) => columns)) {
  const counts: unknown[] = [];
  for (const columns of keys) {
    const whole = columns.map((column) => `${column} IS NOT NULL`).join(' AND ');
    const [row] = await duckdbRows(
      `SELECT count(*)::INT AS rows, count(DISTINCT (${columns.join(', ')}))::INT AS keys FROM read_parquet('${glob}') WHERE ${whole}`,
    );
    counts.push(row);
  }
  return counts;
}

test('of each key, in one file and many, after files were added, replaced and removed, and runs merged', async (context) => {
  const folder = scratchFolder(context);
  const glob = `${folder}/*.parquet`;
  const { table, node, counts } = opened(context, `${folder}/`);
  let merged = false;
  for (let step = 0; step < 14; step += 1) {
    if (step === 8) rmSync(join(folder, '1.parquet'));
    else if (step === 10) writeRows(join(folder, '2.parquet'), 99, 2500, 40);
    else writeRows(join(folder, `${step}.parquet`), step, 1000 + step * 100, step % 2 === 0 ? 300 : 5000);
    assert.deepEqual(await counts(), await expected(glob), `step ${step}`);
    merged ||= (node.indexings(table)[0]?.status.runs ?? 0) < step - 2;
  }
  assert.ok(merged, 'runs were to be merged');
});

test('runs that lie on disk are counted too', async (context) => {
  const folder = scratchFolder(context);
  const source = join(folder, 'lake');
  mkdirSync(source);
  const disk = { path: join(folder, 'disk'), sizeBytes: 256 * 2 ** 20 };
  for (let i = 0; i < 3; i += 1) writeRows(join(source, `${i}.parquet`), i, 60_000, 20_000);
  const { node, table, counts } = opened(context, `${source}/`, {}, { disk, cacheMemoryBytes: 8 * 2 ** 20 });
  assert.deepEqual(await counts(), await expected(`${source}/*.parquet`));
  assert.ok(
    node.indexings(table).some(({ status }) => status.runsOnDisk > 0),
    'some were to lie on disk',
  );
});

test('a folder that is a part of the key tells keys apart; of types that differ nothing is said', async (context) => {
  const folder = scratchFolder(context);
  for (const dt of ['1', '2', '__HIVE_DEFAULT_PARTITION__']) {
    mkdirSync(join(folder, `dt=${dt}`));
    writeRows(join(folder, `dt=${dt}`, 'a.parquet'), 7, 3000, 2000);
    writeRows(join(folder, `dt=${dt}`, 'b.parquet'), 8, 3000, 2000);
  }
  const both = opened(context, `${folder}/`, { key: ['dt', 'id'], keys: [] });
  assert.deepEqual(await both.counts(), await expected(`${folder}/*/*.parquet`, [['dt', 'id']]));

  const mixed = scratchFolder(context);
  const column = { name: 'id', nullable: false };
  writeParquet(join(mixed, 'a.parquet'), [{ ...column, data: [1, 2, 2], type: 'INT32' }]);
  writeParquet(join(mixed, 'b.parquet'), [{ ...column, data: [1n, 2n], type: 'INT64' }]);
  assert.deepEqual(await opened(context, `${mixed}/`, { keys: [] }).counts(), [{ rows: -1, keys: -1 }]);
});
