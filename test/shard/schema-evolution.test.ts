/** A table whose files change over time: renamed and retyped columns, values that no cast takes, and refused snapshots. */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { ServiceError } from '../../src/core/index.ts';
import type { PointlakeNode } from '../../src/main.ts';
import { exampleKeys, type LookupItem, scan } from '../../src/shard/index.ts';
import { parseColumnType, type Snapshot, typeName, valueWriter } from '../../src/table/index.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

type Declared = Readonly<Record<string, { readonly type?: string; readonly from?: readonly string[] }>>;

/** A node with the table `t` over the folder, keyed by `id`. */
function nodeOver(context: TestContext, folder: string, declared: Declared = {}): PointlakeNode {
  const schema = Object.entries(declared).map(([name, { type, from }]) => ({
    name,
    type: type === undefined ? undefined : parseColumnType(type),
    from: from ?? [],
  }));
  return nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'], options: { schema } }]);
}

async function copyTo(path: string, select: string): Promise<void> {
  const duckdb = await (await DuckDBInstance.create(':memory:')).connect();
  await duckdb.run(`COPY (${select}) TO '${path}' (FORMAT parquet)`);
  duckdb.closeSync();
}

const ids = (
  name: string,
  type: 'INT32' | 'INT64' | 'STRING' | 'DOUBLE',
  data: readonly (number | bigint | string | null)[],
) => ({
  name,
  type,
  data: [...data],
  nullable: true,
});

async function rowOf(node: PointlakeNode, snapshot: Snapshot, ...key: readonly string[]): Promise<string | null> {
  const projection = snapshot.projection(undefined);
  const cold = await node.engine.row(snapshot, keyOf(snapshot, ...key), projection, noDeadline);
  assert.equal(node.engine.tryRow(snapshot, keyOf(snapshot, ...key), projection), cold.json, 'hot and cold agree');
  return cold.json;
}

async function fault(step: () => Promise<unknown>): Promise<ServiceError> {
  try {
    await step();
  } catch (thrown) {
    assert.ok(thrown instanceof ServiceError, String(thrown));
    return thrown;
  }
  return assert.fail('nothing was thrown');
}

test('files that clash are refused by name, and the snapshot before serves on', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [ids('id', 'INT32', [1, 2])]);
  writeParquet(join(folder, 'b.parquet'), [ids('id', 'INT64', [3n])]);
  const node = nodeOver(context, folder);
  const table = node.catalog.get('t');
  const before = await table.refresh();
  assert.equal(before.columns.map(typeName).join(), 'INT64');
  writeParquet(join(folder, 'c.parquet'), [ids('id', 'STRING', ['x'])]);
  for (let attempt = 0; attempt < 2; attempt++) {
    const error = await fault(() => table.refresh());
    assert.deepEqual([error.kind, error.code], ['unavailable', 'schema_conflict']);
    const [one, other] = error.context.files as readonly string[];
    assert.match(`${one} ${other}`, /[ab]\.parquet .*c\.parquet$/);
    assert.deepEqual(error.context.column, 'id');
    assert.equal(table.error, error);
    assert.equal(table.current(), before);
    assert.equal(await rowOf(node, table.current(), '2'), '{"id":2}');
  }
  rmSync(join(folder, 'c.parquet'));
  writeParquet(join(folder, 'd.parquet'), [ids('id', 'INT32', [4])]);
  const after = await table.refresh();
  assert.equal(table.error, undefined);
  assert.equal(await rowOf(node, after, '4'), '{"id":4}');
});

test('a table that clashes from the start has no snapshot and says why', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [ids('id', 'INT32', [1])]);
  writeParquet(join(folder, 'b.parquet'), [ids('id', 'STRING', ['x'])]);
  const table = nodeOver(context, folder).catalog.get('t');
  await fault(() => table.refresh());
  assert.throws(
    () => table.current(),
    (error: ServiceError) => error.code === 'schema_conflict',
  );
});

test('a renamed key is one column, found in files of every name', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [ids('user', 'INT32', [1, 2]), ids('v', 'STRING', ['a1', 'a2'])]);
  writeParquet(join(folder, 'b.parquet'), [
    ids('uid', 'INT32', [3]),
    ids('user', 'INT32', [9]),
    ids('v', 'STRING', ['b3']),
  ]);
  writeParquet(join(folder, 'c.parquet'), [ids('v', 'STRING', ['c4']), ids('id', 'INT64', [2n ** 40n])]);
  writeParquet(join(folder, 'd.parquet'), [ids('v', 'STRING', ['nobody'])]);
  const node = nodeOver(context, folder, { id: { from: ['uid', 'user'] } });
  const snapshot = await node.catalog.get('t').refresh();
  assert.deepEqual(
    snapshot.columns.map((column) => `${column.name} ${typeName(column)}`),
    ['id INT64', 'v BYTE_ARRAY STRING'],
  );
  assert.equal(await rowOf(node, snapshot, '2'), '{"id":2,"v":"a2"}');
  assert.equal(await rowOf(node, snapshot, '3'), '{"id":3,"v":"b3"}', 'the first of the older names counts');
  assert.equal(await rowOf(node, snapshot, '9'), null);
  assert.equal(await rowOf(node, snapshot, String(2 ** 40)), '{"id":1099511627776,"v":"c4"}');
  assert.equal(await rowOf(node, snapshot, String(2 ** 40 + 1)), null);
  for (const file of snapshot.files) {
    assert.ok(file.kind === 'readable');
    const [position] = snapshot.primaryKey.in(file.mapping).positions ?? [];
    if (file.file.object.key.endsWith('d.parquet'))
      assert.equal(position, undefined, 'a file without the key has no row of any');
    else assert.ok(file.file.isKey(file.file.index.chunk(0, position ?? -1).leaf), 'page bounds of the key are read');
  }
  const shown = await exampleKeys(node.loader, snapshot, 3, noDeadline);
  assert.deepEqual(shown.flat(), [1n, 3n, 2n ** 40n], 'examples are keys of the table');
});

test('a key of a type declared but in no file yet is absent, and a column of it null', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [ids('v', 'INT32', [1])]);
  const node = nodeOver(context, folder, { id: { type: 'int64' }, later: { type: 'decimal(9,2)' } });
  const snapshot = await node.catalog.get('t').refresh();
  assert.equal(await rowOf(node, snapshot, '1'), null);
  const [text] = await scanned(node, snapshot);
  assert.equal(text, '{"v":1,"id":null,"later":null}');
});

async function scanned(node: PointlakeNode, snapshot: Snapshot): Promise<readonly string[]> {
  const projection = snapshot.projection(undefined);
  const rows: string[] = [];
  for await (const stretch of scan(node.loader, snapshot, projection.columns, noDeadline)) {
    const writers = projection.writersFor(stretch.file.mapping);
    for (let row = stretch.start; row < stretch.end; row++) {
      const texts = writers.map((writer, i) => {
        const at = stretch.blocks[i];
        return projection.fragments[i] + (at === undefined ? 'null' : writer(at.block, row - at.firstRow));
      });
      rows.push(texts.join('') + projection.closing);
    }
  }
  return rows;
}

test('a value that a declared cast would lose is an error of that value alone', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [ids('id', 'STRING', ['1', '2', '007']), ids('v', 'DOUBLE', [1, 1.5, 3])], {
    pageIndex: true,
  });
  writeParquet(join(folder, 'b.parquet'), [ids('id', 'INT64', [3n]), ids('v', 'INT64', [4n])]);
  const node = nodeOver(context, folder, { id: { type: 'int32' }, v: { type: 'int64' } });
  const snapshot = await node.catalog.get('t').refresh();
  assert.equal(await rowOf(node, snapshot, '1'), '{"id":1,"v":1}');
  assert.equal(await rowOf(node, snapshot, '3'), '{"id":3,"v":4}');
  assert.equal(await rowOf(node, snapshot, '7'), null, '007 is no way to write 7');
  const error = await fault(() => rowOf(node, snapshot, '2'));
  assert.deepEqual([error.kind, error.code], ['corrupt', 'inexact_cast']);
  assert.deepEqual(
    { ...error.context, file: 'a' },
    { column: 'v', types: ['DOUBLE', 'INT64'], file: 'a', rowGroup: 0 },
  );
  assert.match(
    error.message,
    /1\.5 of DOUBLE column v cannot be cast to INT64 without loss \(file .*a\.parquet, row group 0\)/,
  );

  const options = { matches: 'first', limit: 1 } as const;
  const keys = ['2', '1'].map((text) => keyOf(snapshot, text));
  const { items } = await node.engine.lookup(snapshot, keys, snapshot.projection(undefined), options, noDeadline);
  assert.deepEqual(
    items.map((item: LookupItem) => item.status),
    ['error', 'found'],
    'one bad value spoils no other key',
  );

  const column = snapshot.column('v');
  assert.ok(column.leaf !== undefined);
  const writer = valueWriter(column.leaf, { int64: 'string', nonfinite: 'null' });
  const value = await node.engine.value(snapshot, keyOf(snapshot, '1'), column, writer, noDeadline);
  assert.ok(value.kind === 'value');
  assert.equal(value.value.body, '"1"', 'a bare value is cast too');
  const bare = await fault(() => node.engine.value(snapshot, keyOf(snapshot, '2'), column, writer, noDeadline));
  assert.deepEqual([bare.code, bare.context.rowGroup], ['inexact_cast', 0]);
});

test('a declared type decides the key, so that strings and integers are one column', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [ids('id', 'INT64', [7n, 9007199254740993n])]);
  writeParquet(join(folder, 'b.parquet'), [ids('id', 'STRING', ['x7', '8'])]);
  const node = nodeOver(context, folder, { id: { type: 'string' } });
  const snapshot = await node.catalog.get('t').refresh();
  for (const key of ['7', '9007199254740993', 'x7', '8'])
    assert.equal(await rowOf(node, snapshot, key), `{"id":"${key}"}`);
  for (const key of ['07', '7.0', '']) assert.equal(await rowOf(node, snapshot, key), null);
});

test('a time beyond the finer unit is an overflow that says where it is', async (context) => {
  const folder = scratchFolder(context);
  const rows = "(1, TIMESTAMP_MS '2026-01-31 12:00:00.5'), (2, TIMESTAMP_MS '3026-01-31 12:00:00.5')";
  await copyTo(join(folder, 'a.parquet'), `SELECT id, t::TIMESTAMP_MS AS t FROM (VALUES ${rows}) v(id, t)`);
  await copyTo(join(folder, 'b.parquet'), "SELECT 3 AS id, TIMESTAMP_NS '2026-01-31 12:00:00.000000001' AS t");
  const node = nodeOver(context, folder);
  const snapshot = await node.catalog.get('t').refresh();
  assert.equal(await rowOf(node, snapshot, '1'), '{"id":1,"t":"2026-01-31T12:00:00.500000000"}');
  assert.equal(await rowOf(node, snapshot, '3'), '{"id":3,"t":"2026-01-31T12:00:00.000000001"}');
  const error = await fault(() => rowOf(node, snapshot, '2'));
  assert.deepEqual([error.kind, error.code], ['corrupt', 'overflow']);
  assert.deepEqual([error.context.column, error.context.rowGroup], ['t', 0]);
  assert.match(String(error.context.file), /a\.parquet$/);
});

test('floats as keys: a double that no float holds is in no file of floats', async (context) => {
  const folder = scratchFolder(context);
  await copyTo(join(folder, 'a.parquet'), "SELECT unnest([0.1::FLOAT, 0.5::FLOAT, 'nan'::FLOAT, 0.0::FLOAT]) AS id");
  await copyTo(join(folder, 'b.parquet'), 'SELECT unnest([0.1::DOUBLE, 0.25::DOUBLE]) AS id');
  const node = nodeOver(context, folder);
  const snapshot = await node.catalog.get('t').refresh();
  assert.equal(await rowOf(node, snapshot, '0.1'), '{"id":0.1}');
  assert.equal(await rowOf(node, snapshot, '0.10000000149011612'), '{"id":0.10000000149011612}');
  assert.equal(await rowOf(node, snapshot, 'NaN'), '{"id":null}');
  assert.equal(await rowOf(node, snapshot, '-0'), '{"id":0}');
  assert.equal(await rowOf(node, snapshot, '0.3'), null);
});

test('files of one schema share one mapping, and only what differs is cast', async (context) => {
  const folder = scratchFolder(context);
  for (const name of ['a', 'b'])
    writeParquet(join(folder, `${name}.parquet`), [ids('id', 'INT64', [1n]), ids('v', 'STRING', ['x'])]);
  writeParquet(join(folder, 'c.parquet'), [ids('id', 'INT32', [1]), ids('v', 'STRING', ['x'])]);
  const snapshot = await nodeOver(context, folder).catalog.get('t').refresh();
  const [a, b, c] = snapshot.files.map((file) => (file.kind === 'readable' ? file.mapping : undefined));
  assert.ok(a !== undefined && c !== undefined);
  assert.equal(a, b);
  const projection = snapshot.projection(undefined);
  assert.deepEqual([a.casts, snapshot.primaryKey.in(a).casts], [undefined, undefined]);
  assert.equal(projection.writersFor(a), projection.writers, 'a file of the same types is written by the same writers');
  assert.equal(projection.writersFor(c), projection.writersFor(c), 'made once');
  assert.notEqual(projection.writersFor(c)[0], projection.writers[0]);
  assert.equal(projection.writersFor(c)[1], projection.writers[1]);
});

test('what is declared is part of what a snapshot is', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [ids('id', 'INT32', [1])]);
  const plain = await nodeOver(context, folder).catalog.get('t').refresh();
  const again = await nodeOver(context, folder).catalog.get('t').refresh();
  const cast = await nodeOver(context, folder, { id: { type: 'string' } })
    .catalog.get('t')
    .refresh();
  assert.equal(plain.id, again.id);
  assert.notEqual(plain.id, cast.id, 'equal ids would mean equal answers');
});
