/** Tables of several files whose nested columns differ: fields by name at any depth, wider values, conflicts by name. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { ServiceError } from '../../src/core/index.ts';
import { typeName } from '../../src/table/index.ts';
import { type Field, LIST, nestedFile, PLAIN_LAYOUT, UNKNOWN } from '../support/nested-files.ts';
import { EXACT_JSON } from '../support/nested-oracles.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder } from '../support/scratch.ts';

/** A table of one file for each SELECT. */
async function tableOf(context: TestContext, ...selects: readonly string[]) {
  const folder = join(scratchFolder(context), 'table');
  mkdirSync(folder);
  const connection = await (await DuckDBInstance.create()).connect();
  for (const [i, select] of selects.entries()) {
    await connection.run(`copy (${select}) to '${join(folder, `${i}.parquet`)}' (format parquet)`);
  }
  connection.closeSync();
  return nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'] }]);
}

const FILES = [
  "select 1 id, {'a': 1::integer, 'b': 'x'} s, [1::integer, null] l, map {'k': 1::integer} m, [{'p': 1::float}] d",
  "select 2 id, {'b': 'y', 'c': [1.5::float]} s, [5000000000] l, map {'k': 6000000000, 'n': null} m, [{'p': 0.1::double, 'q': {'r': true}}] d",
  'select 3 id',
  "select 4 id, null::struct(a bigint) s, []::tinyint[] l, null::map(varchar, integer) m, [null, {'q': {'s': date '2026-01-31'}}] d",
];

const ROWS = [
  {
    id: 1,
    s: { a: '1', b: 'x', c: null },
    l: ['1', null],
    m: { k: '1' },
    d: [{ p: 1, q: null }],
  },
  {
    id: 2,
    s: { a: null, b: 'y', c: [1.5] },
    l: ['5000000000'],
    m: { k: '6000000000', n: null },
    d: [{ p: 0.1, q: { r: true, s: null } }],
  },
  { id: 3, s: null, l: null, m: null, d: null },
  { id: 4, s: null, l: [], m: null, d: [null, { p: null, q: { r: null, s: '2026-01-31' } }] },
];

test('structs are united by name, fields within fields, and values widen', async (context) => {
  const node = await tableOf(context, ...FILES);
  const snapshot = await node.catalog.get('t').refresh();
  assert.deepEqual(
    snapshot.columns.map((column) => `${column.name} ${typeName(column)}`),
    [
      'id INT32 INT(32)',
      's STRUCT<a INT64, b BYTE_ARRAY STRING, c LIST<FLOAT>>',
      'l LIST<INT64>',
      'm MAP<BYTE_ARRAY STRING, INT64>',
      'd LIST<STRUCT<p DOUBLE, q STRUCT<r BOOLEAN, s INT32 DATE>>>',
    ],
  );
  const projection = snapshot.projection(undefined, EXACT_JSON);
  for (const row of ROWS) {
    const { json } = await node.engine.row(snapshot, keyOf(snapshot, String(row.id)), projection, noDeadline);
    assert.deepEqual(JSON.parse(json ?? 'null'), row);
  }
});

const CONFLICTS: readonly (readonly [string, string, string, RegExp])[] = [
  ['a struct and a list', "{'a': 1}", '[1]', /STRUCT<a .*> in .*0\.parquet but LIST<.*> in .*1\.parquet/],
  ['a list and a number', '[1]', '1', /LIST<.*> in .* but INT32/],
  ['a number and a list', '1', '[1]', /INT32.* in .* but LIST</],
  ['fields of two types', "{'a': 1}", "{'a': 'x'}", /STRUCT<a INT32.*> in .* but STRUCT<a BYTE_ARRAY STRING>/],
  ['elements of two types', "['x']", '[1]', /LIST<BYTE_ARRAY STRING> in .* but LIST</],
  ['keys of two types', "map {'a': 1}", 'map {true: 1}', /MAP<.*> in .* but MAP</],
];

for (const [what, one, other, message] of CONFLICTS) {
  test(`${what} refuse the table, naming column and files`, async (context) => {
    const node = await tableOf(context, `select 1 id, ${one} c`, `select 2 id, ${other} c`);
    await assert.rejects(node.catalog.get('t').refresh(), (error) => {
      assert.ok(error instanceof ServiceError);
      assert.equal(error.code, 'schema_conflict');
      assert.equal(error.context.column, 'c');
      assert.match(error.message, message);
      return true;
    });
  });
}

test('a column of nothing but nulls agrees with a nested one', async (context) => {
  const folder = join(scratchFolder(context), 'table');
  mkdirSync(folder);
  const id = { name: 'id', repetition: 'required', type: 'INT32' } as const;
  const list: Field = {
    name: 'c',
    repetition: 'optional',
    converted: LIST,
    children: [{ name: 'array', repetition: 'repeated', type: 'INT32' }],
  };
  const nulls: Field = { name: 'c', repetition: 'optional', type: 'INT32', logical: UNKNOWN };
  writeFileSync(join(folder, '0.parquet'), nestedFile([id, nulls], [[1, null]], PLAIN_LAYOUT));
  writeFileSync(join(folder, '1.parquet'), nestedFile([id, list], [[2, [[7, 8]]]], PLAIN_LAYOUT));
  writeFileSync(join(folder, '2.parquet'), nestedFile([id, nulls], [[3, null]], PLAIN_LAYOUT));
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['c']);
  const answers = ['1', '2', '3'].map((key) =>
    node.engine.row(snapshot, keyOf(snapshot, key), projection, noDeadline).then(({ json }) => json),
  );
  assert.deepEqual(await Promise.all(answers), ['{"c":null}', '{"c":[7,8]}', '{"c":null}']);
});
