/**
 * Tables whose folders are columns, against DuckDB's `hive_partitioning` of the same files: random trees of folders, rows
 * by scan and by keys that lie in folders, in files, and in both; and what is refused.
 */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import type { ColumnSource } from 'hyparquet-writer';
import { createNode } from '../../src/main.ts';
import {
  type Key,
  parseColumnType,
  parseKeyText,
  type Snapshot,
  type TableDefinition,
  tableDefinition,
} from '../../src/table/index.ts';
import { asyncProperty, FUZZ_SEED } from '../parquet/support/property.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';

let db: DuckDBConnection;
before(async () => {
  db = await (await DuckDBInstance.create(':memory:')).connect();
});
after(() => db.closeSync());

const folderTree = (context: TestContext) => join(scratchFolder(context), 'table/');

function write(root: string, path: string, ids: readonly number[], more: Readonly<Record<string, string>> = {}): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  const id: ColumnSource = { name: 'id', data: [...ids], type: 'INT32' };
  const others = Object.entries(more).map(([name, value]): ColumnSource => {
    return { name, data: ids.map(() => value), type: 'STRING' };
  });
  writeFileSync(join(root, path), parquetBytes([id, ...others]));
}

const partitionsOf = (types: Readonly<Record<string, string>>): TableDefinition['partitions'] =>
  Object.entries(types).map(([name, text]) => ({ name, type: parseColumnType(text) ?? assert.fail(text) }));

async function opened(
  context: TestContext,
  source: string,
  key: readonly string[],
  options: Partial<TableDefinition> = {},
) {
  const node = nodeOf(context, [{ name: 't', source, key, options }]);
  const table = node.catalog.get('t');
  const snapshot = await table.refresh();
  const rows = async (...parts: readonly string[]): Promise<unknown> => {
    const { items } = await node.engine.lookup(
      snapshot,
      [keyOf(snapshot, ...parts)],
      snapshot.projection(undefined),
      { matches: 'all', limit: 1000 },
      noDeadline,
    );
    const [item] = items;
    return item !== undefined && 'rows' in item ? item.rows.map((row) => JSON.parse(row)) : item?.status;
  };
  return { node, table, snapshot, rows };
}

const refusal = (code: string, message: RegExp) => (error: { code: string; message: string }) => {
  assert.equal(error.code, code, error.message);
  assert.match(error.message, message);
  return true;
};

test('folders are columns after those of the files, strings unless declared', async (context) => {
  const root = folderTree(context);
  write(root, 'dt=2026-01-02/hour=07/a.parquet', [1, 2], { dt: 'in the file', name: 'x' });
  write(root, 'dt=2026-01-03/hour=__HIVE_DEFAULT_PARTITION__/a', [1]);
  write(root, 'city=S%C3%A3o%2FPaulo/dt=2026-01-03/b', [2]);
  const { snapshot, rows } = await opened(context, root, ['id'], { partitions: partitionsOf({ hour: 'int64' }) });
  const columns = snapshot.columns.map(({ name, leaf, isNullable }) => [name, leaf?.logicalType.kind, isNullable]);
  assert.deepEqual(columns, [
    ['id', 'NONE', true],
    ['name', 'STRING', true],
    ['hour', 'NONE', true],
    ['city', 'STRING', true],
    ['dt', 'STRING', false],
  ]);
  assert.deepEqual(await rows('1'), [
    { id: 1, name: 'x', hour: 7, city: null, dt: '2026-01-02' },
    { id: 1, name: null, hour: null, city: null, dt: '2026-01-03' },
  ]);
  assert.deepEqual(await rows('2'), [
    { id: 2, name: null, hour: null, city: 'São/Paulo', dt: '2026-01-03' },
    { id: 2, name: 'x', hour: 7, city: null, dt: '2026-01-02' },
  ]);
});

test('files that differ only by their folder are told apart by a key with the folder in it', async (context) => {
  const root = folderTree(context);
  for (const dt of ['2026-01-01', '2026-01-02']) write(root, `dt=${dt}/a`, [1, 2, 3]);
  write(root, 'dt=__HIVE_DEFAULT_PARTITION__/a', [1]);
  write(root, 'a', [2]);
  const composite = await opened(context, root, ['dt', 'id'], { partitions: partitionsOf({ dt: 'date' }) });
  assert.deepEqual(await composite.rows('2026-01-02', '3'), [{ id: 3, dt: '2026-01-02' }]);
  assert.equal(await composite.rows('2026-01-03', '3'), 'not_found');
  assert.equal(await composite.rows('2026-01-01', '4'), 'not_found');
  const reversed = await opened(context, root, ['id', 'dt']);
  assert.deepEqual(await reversed.rows('1', '2026-01-01'), [{ id: 1, dt: '2026-01-01' }]);
  const alone = await opened(context, root, ['dt']);
  assert.deepEqual(
    await alone.rows('2026-01-01'),
    [1, 2, 3].map((id) => ({ id, dt: '2026-01-01' })),
  );
  assert.equal(await alone.rows('__HIVE_DEFAULT_PARTITION__'), 'not_found');
});

test('a broken file leaves the keys of other folders covered', async (context) => {
  const root = folderTree(context);
  write(root, 'dt=1/a', [1]);
  mkdirSync(join(root, 'dt=2'));
  writeFileSync(join(root, 'dt=2/a'), 'this is no Parquet file, whatever folder it is in');
  const { rows } = await opened(context, root, ['dt', 'id']);
  assert.equal(await rows('1', '2'), 'not_found');
  assert.equal(await rows('2', '2'), 'not_covered');
});

test('a value that is none of its type refuses the snapshot, and names folder, value and type', async (context) => {
  const root = folderTree(context);
  write(root, 'dt=2026-01-01/a', [1]);
  write(root, 'dt=2026-02-30/a', [1]);
  await assert.rejects(
    opened(context, root, ['id'], { partitions: partitionsOf({ dt: 'date' }) }),
    refusal('bad_partition_value', /dt=2026-02-30\/ has "2026-02-30" for dt, which is no INT32 DATE/),
  );
  await assert.rejects(
    opened(context, root, ['id'], { partitions: partitionsOf({ day: 'date' }) }),
    refusal('no_partition_folder', /day=/),
  );
  for (let i = 0; i < 65; i++) write(root, `column${i}=1/a`, [1]);
  await assert.rejects(opened(context, root, ['id']), refusal('too_many_partition_columns', /more than 64/));
});

test('only the latest, or one fixed, and only what has succeeded', async (context) => {
  const root = folderTree(context);
  for (const path of ['dt=9/hour=1/a', 'dt=10/hour=2/a', 'dt=10/hour=10/a', 'dt=11/hour=0/a']) write(root, path, [1]);
  write(root, 'dt=__HIVE_DEFAULT_PARTITION__/hour=99/a', [1]);
  write(root, 'a', [1]);
  const dtOf = async (options: Partial<TableDefinition>) => {
    const { rows } = await opened(context, root, ['id'], options);
    const found = (await rows('1')) as readonly { dt: unknown; hour: unknown }[];
    return found.map(({ dt, hour }) => `${dt} ${hour}`);
  };
  const dt = { kind: 'latest', name: 'dt' } as const;
  const hour = { kind: 'latest', name: 'hour' } as const;
  const typed = partitionsOf({ dt: 'int32', hour: 'int32' });
  assert.deepEqual(await dtOf({ only: [dt] }), ['9 1'], 'strings by bytes');
  assert.deepEqual(await dtOf({ only: [dt], partitions: typed }), ['11 0']);
  assert.deepEqual(await dtOf({ only: [{ kind: 'value', name: 'dt', text: '10' }, hour], partitions: typed }), [
    '10 10',
  ]);
  assert.deepEqual(await dtOf({ only: [hour, dt], partitions: typed }), ['10 10']);

  const strict = { only: [dt, hour], partitions: typed, requireSuccess: true };
  await assert.rejects(
    dtOf(strict),
    refusal('no_files', /none in a folder of `only: {dt: latest, hour: latest}` with a _SUCCESS/),
  );
  writeFileSync(join(root, 'dt=11/_SUCCESS'), '');
  writeFileSync(join(root, 'dt=10/hour=2/_SUCCESS'), '');
  writeFileSync(join(root, 'dt=9/hour=1/_SUCCESS'), 'not always empty');
  assert.deepEqual(await dtOf(strict), ['10 2'], 'the marker lies in the folder of the innermost column');
  assert.deepEqual(await dtOf({ ...strict, only: [dt] }), ['11 0']);
  const fixed = { kind: 'value', name: 'dt', text: '9' } as const;
  await assert.rejects(dtOf({ ...strict, only: [fixed] }), refusal('no_files', /dt: 9/));
  await assert.rejects(
    dtOf({ only: [{ ...fixed, text: 'x' }], partitions: typed }),
    refusal('bad_partition_value', /"x"/),
  );
});

test('a refresh serves the new latest once it has succeeded, and the old until then', async (context) => {
  const root = folderTree(context);
  write(root, 'dt=1/a', [1]);
  writeFileSync(join(root, 'dt=1/_SUCCESS'), '');
  const only = [{ kind: 'latest', name: 'dt' }] as const;
  const { table, snapshot } = await opened(context, root, ['id'], { only, requireSuccess: true });
  write(root, 'dt=2/a', [1, 2]);
  assert.equal((await table.refresh()).id, snapshot.id);
  writeFileSync(join(root, 'dt=2/_SUCCESS'), '');
  assert.equal((await table.refresh()).rows, 2);
});

test('below a glob folders count from where its wildcards begin', async (context) => {
  const root = folderTree(context);
  write(root, 'env=prod/dt=1/a.parquet', [1]);
  write(root, 'env=prod/dt=2/a.parquet', [1]);
  const names = async (source: string) =>
    (await opened(context, source, ['id'])).snapshot.columns.map(({ name }) => name);
  assert.deepEqual(await names(`${root}env=prod/*/a.parquet`), ['id', 'dt']);
  assert.deepEqual(await names(`${root}*/dt=2/a.parquet`), ['id', 'env', 'dt']);
  assert.deepEqual(await names(`${root}env=prod/dt=2/a.parquet`), ['id']);
  assert.deepEqual(await names(`${root}env=prod`), ['id', 'dt']);
});

test('what is hidden is no file, but a folder of a partition whose name begins with _ is none of that', async (context) => {
  const root = folderTree(context);
  for (const path of ['_x=1/part', 'a.txt', '_tmp/a', '.h=1/a', '_x=1/_a', '_x=1/.a', '_x=1/_y/a'])
    write(root, path, [1]);
  writeFileSync(join(root, 'empty.parquet'), '');
  const { rows } = await opened(context, root, ['id']);
  assert.deepEqual(await rows('1'), [
    { id: 1, _x: '1' },
    { id: 1, _x: null },
  ]);
});

/** Names with what people and writers put into them; values of each declared type as DuckDB takes them. */
const NAMES = ['dt', 'hour', '_x', 'naïve col', 'a.b'];
const VALUES: Readonly<Record<string, readonly string[]>> = {
  VARCHAR: ['', 'a', 'b c', 'é', '%2F', '%25', '%zz', '%', 'a%2', 'null-ish', '007', '%C3%A9', '𝄞', "o'x", 'x%3Dy'],
  BIGINT: ['0', '007', '-3', '+5', '-0', '9223372036854775807', ''],
  DATE: ['2026-01-31', '2026-1-2', '0001-01-01', '9999-12-31'],
  BOOLEAN: ['true', 'false', 'True', 'FALSE'],
  TIMESTAMP: ['2026-01-31 12%3A34%3A56', '2026-01-31 12%3A34%3A56.25', '1969-12-31T23:59:59'],
};
const OUR_TYPES: Readonly<Record<string, string>> = {
  VARCHAR: 'string',
  BIGINT: 'int64',
  DATE: 'date',
  BOOLEAN: 'boolean',
  TIMESTAMP: 'timestamp(us)',
};
/** A partition's value as the JSON that we answer. */
const SQL_TEXT: Readonly<Record<string, (name: string) => string>> = {
  VARCHAR: (name) => name,
  BIGINT: (name) => `${name}::VARCHAR`,
  DATE: (name) => `${name}::VARCHAR`,
  BOOLEAN: (name) => `${name}::VARCHAR`,
  TIMESTAMP: (name) => `strftime(${name}, '%Y-%m-%dT%H:%M:%S.%f')`,
};

interface RandomTree {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** By file: by column the place of its value, or -1 for null; and the ids of its rows. */
  readonly files: readonly {
    readonly values: readonly number[];
    readonly ids: readonly number[];
    readonly hasColumn: boolean;
  }[];
}

const randomTree: fc.Arbitrary<RandomTree> = fc
  .uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 3 })
  .chain((names) =>
    fc.record({
      columns: fc.tuple(
        ...names.map((name) => fc.record({ name: fc.constant(name), type: fc.constantFrom(...Object.keys(VALUES)) })),
      ),
      files: fc.array(
        fc.record({
          values: fc.array(fc.integer({ min: -1, max: 14 }), { minLength: names.length, maxLength: names.length }),
          ids: fc.array(fc.nat(9), { minLength: 1, maxLength: 6 }),
          hasColumn: fc.boolean(),
        }),
        { minLength: 1, maxLength: 12 },
      ),
    }),
  );

test('random trees of folders, against DuckDB', async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  let lookups = 0;
  await asyncProperty(randomTree, async (tree) => {
    const root = `${mkdtempSync(join(tmpdir(), 'pointlake-test-'))}/`;
    try {
      lookups += await checkTree(root, tree);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
  context.diagnostic(`${lookups} keys looked up`);
  assert.ok(lookups > 300);
});

async function checkTree(root: string, { columns, files }: RandomTree): Promise<number> {
  for (const [i, { values, ids, hasColumn }] of files.entries()) {
    const folders = columns.map(({ name, type }, at) => {
      const domain = VALUES[type] ?? [];
      const place = values[at] ?? -1;
      return `${name}=${place < 0 ? '__HIVE_DEFAULT_PARTITION__' : domain[place % domain.length]}`;
    });
    // Sometimes the file has a column of that name too, which the folder wins over.
    write(
      root,
      `${folders.join('/')}/f${i}.parquet`,
      ids,
      hasColumn ? { [columns[0]?.name ?? '']: 'of the file' } : {},
    );
  }
  const expected = await readByDuckdb(root, columns);
  const declared = columns.filter(({ type }) => type !== 'VARCHAR');
  const partitions = partitionsOf(Object.fromEntries(declared.map(({ name, type }) => [name, OUR_TYPES[type] ?? ''])));
  let lookups = 0;
  for (const key of [
    ['id'],
    [columns[0]?.name ?? ''],
    [...columns.map(({ name }) => name), 'id'],
    ['id', columns.at(-1)?.name ?? ''],
  ]) {
    lookups += await checkKey(root, key, partitions, expected);
  }
  return lookups;
}

type Row = Readonly<Record<string, unknown>>;

async function readByDuckdb(root: string, columns: RandomTree['columns']): Promise<readonly Row[]> {
  const types = columns.map(({ name, type }) => `'${name}': ${type}`).join(', ');
  const fields = columns.map(({ name, type }) => `${SQL_TEXT[type]?.(`"${name}"`)} AS "${name}"`).join(', ');
  const reader = await db.runAndReadAll(
    `SELECT id, ${fields} FROM read_parquet('${root.replaceAll("'", "''")}**/*.parquet', hive_partitioning = true, hive_types = {${types}}, union_by_name = true)`,
  );
  return reader.getRowObjectsJson().map((row) => {
    const typed = columns.map(({ name, type }) => {
      const value = row[name];
      if (value === null || (type !== 'BIGINT' && type !== 'BOOLEAN')) return [name, value];
      return [name, type === 'BIGINT' ? BigInt(String(value)) : value === 'true'];
    });
    return { id: row.id, ...Object.fromEntries(typed) };
  });
}

const text = (value: unknown) => (typeof value === 'bigint' ? `${value}` : JSON.stringify(value));
const sorted = (rows: readonly Row[], names: readonly string[]) =>
  rows.map((row) => names.map((name) => text(row[name])).join()).sort();

async function checkKey(
  root: string,
  key: readonly string[],
  partitions: TableDefinition['partitions'],
  expected: readonly Row[],
): Promise<number> {
  const definition = { ...tableDefinition('t', root, key), partitions };
  const node = createNode({ s3: {}, cacheMemoryBytes: 64 * 2 ** 20, tables: [definition] });
  try {
    const snapshot = await node.catalog.get('t').refresh();
    const names = snapshot.columns.map(({ name }) => name);
    const asked = new Map(expected.map((row) => [key.map((name) => text(row[name])).join(), row]));
    asked.set('absent', { ...expected[0], id: 77 });
    for (const row of asked.values()) {
      const found = await allRows(node, snapshot, keyOfRow(snapshot, row));
      const wanted = key.some((name) => row[name] === null)
        ? []
        : expected.filter((candidate) => key.every((name) => text(candidate[name]) === text(row[name])));
      assert.deepEqual(found, sorted(wanted, names), `key ${key} of ${root}`);
    }
    return asked.size;
  } finally {
    await node.close();
  }
}

function keyOfRow(snapshot: Snapshot, row: Row): Key | undefined {
  const values = snapshot.keyColumns.map(({ name }) => row[name]);
  if (values.includes(null)) return undefined;
  return snapshot.keyLeaves.map((leaf, i) => parseKeyText(leaf, String(values[i])));
}

async function allRows(
  node: ReturnType<typeof createNode>,
  snapshot: Snapshot,
  key: Key | undefined,
): Promise<readonly string[]> {
  if (key === undefined) return [];
  const options = { matches: 'all', limit: 1000 } as const;
  const { items } = await node.engine.lookup(snapshot, [key], snapshot.projection(undefined), options, noDeadline);
  const [item] = items;
  assert.ok(item !== undefined && (item.status === 'found' || item.status === 'not_found'), JSON.stringify(item));
  const rows = 'rows' in item ? item.rows : [];
  const names = snapshot.columns.map(({ name }) => name);
  const int64 = snapshot.columns.filter(
    ({ leaf }) => leaf?.physicalType === 'INT64' && leaf.logicalType.kind === 'NONE',
  );
  return sorted(
    rows.map((row) => JSON.parse(row, bigintsOf(int64.map(({ name }) => name))) as Row),
    names,
  );
}

/** `JSON.parse` with the numbers of these columns from their source text. */
function bigintsOf(names: readonly string[]) {
  return (name: string, value: unknown, context?: { source?: string }) =>
    names.includes(name) && typeof value === 'number' ? BigInt(context?.source ?? value) : value;
}
