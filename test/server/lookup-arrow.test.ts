/** A lookup, or a query, as an Arrow stream says what it says as JSON: every type, nulls, each status, rows read cold and hot. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { DataType, type Field, type Table, tableFromIPC } from 'apache-arrow';
import type { ServerOptions } from '../../src/server/context.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { post, problemOf, startFixture } from './fixture.ts';

const ARROW = 'application/vnd.apache.arrow.stream';
const OWN = ['pointlake_key', 'pointlake_status', 'pointlake_error', 'pointlake_truncated'];
const ROWS = 6000;
const TYPES: Readonly<Record<string, string>> = {
  tiny: `CAST(id % 127 - 60 AS TINYINT)`,
  utiny: `CAST(id % 250 AS UTINYINT)`,
  small: `CAST(id % 30000 - 10000 AS SMALLINT)`,
  usmall: `CAST(id % 65000 + 500 AS USMALLINT)`,
  int: `CAST(id * -7 AS INTEGER)`,
  uint: `CAST(4294967295 - id AS UINTEGER)`,
  big: `9007199254740993 + id`,
  ubig: `CAST(18446744073709551615 - id AS UBIGINT)`,
  flag: `id % 2 = 0`,
  float: `CAST(id / 3.0 AS FLOAT)`,
  double: `id / -7.0`,
  dec4: `CAST(id / -100.0 AS DECIMAL(9,2))`,
  dec8: `CAST(id * -1000003 AS DECIMAL(18,4))`,
  dec16: `CAST(id * -1000003 AS DECIMAL(38,10)) * 1000000000`,
  text: `'text ' || id || ' ünï'`,
  bytes: `encode('b' || id)`,
  uuid: `CAST('00000000-0000-4000-8000-' || lpad(CAST(id AS VARCHAR), 12, '0') AS UUID)`,
  date: `DATE '2020-01-01' + CAST(id % 700 AS INTEGER)`,
  time: `TIME '00:00:01' + to_microseconds(id * 1001)`,
  stamp: `TIMESTAMP '2020-01-01' + to_microseconds(id * 1000001)`,
  stampz: `TIMESTAMPTZ '2020-01-01 00:00:00Z' + to_microseconds(id)`,
  nanos: `CAST('2020-01-01 00:00:00.123456789' AS TIMESTAMP_NS)`,
  period: `to_days(CAST(id % 9 AS INTEGER))`,
  list: `[id, NULL, id + 1]`,
  struct: `{'a': id, 'b': ['x' || id]}`,
};

/** Two files in folders of a partition, each of several row groups; every seventh value is null, in some column. */
async function everyType(context: TestContext): Promise<string> {
  const folder = scratchFolder(context);
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const columns = Object.entries(TYPES).map(
    ([name, sql], i) => `CASE WHEN (id + ${i}) % 7 = 0 THEN NULL ELSE ${sql} END AS ${name}`,
  );
  for (const part of [0, 1]) {
    mkdirSync(join(folder, `part=${part}`));
    const path = join(folder, `part=${part}`, 'rows.parquet');
    const rows = `SELECT id, ${columns.join(', ')} FROM range(${part * ROWS}, ${(part + 1) * ROWS}) t(id)`;
    await connection.run(`COPY (${rows}) TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`);
  }
  connection.closeSync();
  instance.closeSync();
  return folder;
}

async function serveTable(context: TestContext, source: string, options: Partial<ServerOptions> = {}) {
  const node = nodeOf(context, [{ name: 't', source, key: ['id'] }]);
  await node.catalog.get('t').refresh();
  const server = await serve(node, options);
  context.after(() => server.close());
  return `${server.url}/v1/tables/t/lookup`;
}

interface Result {
  readonly status: string;
  readonly row?: unknown;
  readonly rows?: readonly unknown[];
  readonly truncated?: boolean;
  readonly error?: unknown;
}

/** Both answers, as the results that JSON has. */
async function both(url: string, body: object, headers: Record<string, string> = {}) {
  const text = JSON.stringify(body);
  const asked = `${url}?int64=string&nonfinite=string`;
  const arrow = await post(asked, text, { accept: ARROW, ...headers });
  assert.equal(arrow.status, 200, `${arrow.status}`);
  assert.equal(arrow.headers.get('content-type'), ARROW);
  const table = tableFromIPC(new Uint8Array(await arrow.arrayBuffer()));
  const json = await post(asked, text, headers);
  const { results } = (await json.json()) as { results: readonly (Result & { key: unknown })[] };
  return { arrow, table, results: results.map(({ key: _key, ...result }) => result) };
}

function resultsOf(table: Table, matches: 'first' | 'all' = 'first'): readonly Result[] {
  const results: (Result & { rows?: unknown[] })[] = [];
  for (const row of table) {
    const at = Number(row.pointlake_key);
    const error = row.pointlake_error === null ? {} : { error: JSON.parse(row.pointlake_error) };
    const status = row.pointlake_status;
    const fields = table.schema.fields.filter(({ name }) => !OWN.includes(name));
    const values = Object.fromEntries(fields.map((field) => [field.name, jsonOf(field, row[field.name])]));
    if (status !== 'found') {
      assert.ok(Object.values(values).every((value) => value === null));
      results[at] = { status, ...error };
    } else if (matches === 'first') results[at] = { status, row: values };
    else {
      const before = results[at]?.rows ?? [];
      const isTruncated = row.pointlake_truncated ? { truncated: true } : {};
      results[at] = { status, rows: [...before, values], ...isTruncated };
    }
  }
  return results;
}

/** The JSON form of an Arrow value, computed by other means than ours. */
function jsonOf({ type, metadata }: Field, value: unknown): unknown {
  if (value === null) return null;
  if (metadata.get('ARROW:extension:name') === 'arrow.json') return JSON.parse(String(value));
  if (DataType.isDecimal(type)) return decimalText(value as Uint32Array, type.scale);
  if (DataType.isDate(type)) return new Date(Number(value)).toISOString().slice(0, 10);
  if (DataType.isTime(type)) {
    return `${new Date(Number(value) / 1000).toISOString().slice(11, 19)}.${String(Number(value) % 1e6).padStart(6, '0')}`;
  }
  if (value instanceof Uint8Array) {
    const hex = Buffer.from(value).toString('hex');
    if (DataType.isBinary(type)) return Buffer.from(value).toString('base64');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }
  return typeof value === 'bigint' ? String(value) : value;
}

function decimalText(words: Uint32Array, scale: number): string {
  const [a = 0, b = 0, c = 0, d = 0] = words;
  const unsigned = BigInt(a) | (BigInt(b) << 32n) | (BigInt(c) << 64n) | (BigInt(d) << 96n);
  const unscaled = BigInt.asIntN(128, unsigned);
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`;
}

/** Without timestamps, which the package rounds, and with floats as what they stand for. */
function comparable(results: readonly Result[]): readonly Result[] {
  return results.map((result) => {
    if (result.row === undefined) return result;
    const { stamp: _stamp, stampz: _stampz, nanos: _nanos, ...row } = result.row as Record<string, unknown>;
    return { ...result, row: { ...row, float: typeof row.float === 'number' ? Math.fround(row.float) : row.float } };
  });
}

test('every type, in the order of the keys, cold and hot, with every status that a key can have', async (context) => {
  const url = await serveTable(context, `${await everyType(context)}/`);
  const keys = [11_999, 3, 5000, 'x', 3, 99_999, 0, 6001, null, 7000, ...Array.from({ length: 60 }, (_, i) => i * 197)];
  for (const round of ['cold', 'hot']) {
    const { table, results } = await both(url, { keys });
    assert.deepEqual(comparable(resultsOf(table)), comparable(results), round);
    assert.ok(['found', 'not_found', 'error'].every((status) => results.some((result) => result.status === status)));
    const types = new Map(table.schema.fields.map(({ name, type }) => [name, String(type)]));
    assert.deepEqual(
      ['tiny', 'usmall', 'ubig', 'float', 'uuid', 'part', 'stampz', 'list'].map((name) => types.get(name)),
      ['Int8', 'Uint16', 'Uint64', 'Float32', 'FixedSizeBinary[16]', 'Utf8', 'Timestamp<MICROSECOND, UTC>', 'Utf8'],
    );
    checkTimes(table, results);
  }
});

test('a query gives the same rows and types, batch after batch, in the order of the files and of the key', async (context) => {
  const url = (await serveTable(context, `${await everyType(context)}/`)).replace(/lookup$/, 'query');
  const ask = async (body: object, accept: string) => {
    const answer = await post(`${url}?int64=string&nonfinite=string`, JSON.stringify({ limit: 5000, ...body }), {
      accept,
    });
    assert.equal(answer.status, 200, `${answer.status}`);
    return Buffer.from(await answer.arrayBuffer());
  };
  for (const body of [{}, { order_by: ['-id'] }, { where: { column: 'flag', op: '=', value: true } }]) {
    const table = tableFromIPC(await ask(body, ARROW));
    assert.ok(table.batches.length > 1);
    const fields = table.schema.fields;
    const values = [...table].map((row) =>
      Object.fromEntries(fields.map((field) => [field.name, jsonOf(field, row[field.name])])),
    );
    const lines = (await ask(body, 'application/x-ndjson')).toString().trimEnd().split('\n');
    const found = (rows: readonly unknown[]) => rows.map((row): Result => ({ status: 'found', row }));
    const results = found(lines.map((line) => JSON.parse(line)));
    assert.ok(results.length > 4096, `${results.length} rows`);
    assert.deepEqual(comparable(found(values)), comparable(results));
    assert.deepEqual(fields.map(({ name, type }) => [name, String(type)]).slice(0, 3), [
      ['id', 'Int64'],
      ['tiny', 'Int8'],
      ['utiny', 'Uint8'],
    ]);
  }
  const nothing = { where: { column: 'id', op: '<', value: 0 } };
  const none = tableFromIPC(await ask(nothing, ARROW));
  assert.deepEqual([none.numRows, none.schema.fields.length], [0, Object.keys(TYPES).length + 2]);
  const bare = tableFromIPC(await ask({ columns: [], limit: 5000 }, ARROW));
  assert.deepEqual([bare.batches.map(({ numRows }) => numRows), bare.schema.fields.length], [[4096, 904], 0]);
});

function checkTimes(table: Table, results: readonly Result[]): void {
  for (const [name, digits] of [
    ['stamp', 6],
    ['stampz', 6],
    ['nanos', 9],
  ] as const) {
    const column = table.getChild(name);
    assert.ok(column);
    const raw = column.data[0]?.values as BigInt64Array;
    for (let i = 0; i < table.numRows; i++) {
      const text = (results[i]?.row as Record<string, string | null> | undefined)?.[name] ?? null;
      assert.equal(column.get(i) === null, text === null);
      if (text === null) continue;
      const [, seconds = '', fraction = ''] = /^(.*)\.(\d+)Z?$/.exec(text) ?? [];
      assert.equal(raw[i], BigInt(Date.parse(`${seconds}Z`) / 1000) * 10n ** BigInt(digits) + BigInt(fraction));
    }
  }
}

test('all rows of a key, in the order asked for, and which key has more', async (context) => {
  const ids = [1, 1, 1, 2, 3, 3];
  const source = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: ids, type: 'INT32' },
    { name: 'n', data: [3, 1, 2, 4, null, 6], type: 'INT32' },
    { name: 'text', data: ['c', 'a', 'b', 'd', null, 'f'], type: 'STRING' },
  ]);
  const url = await serveTable(context, source);
  for (const body of [
    { keys: [3, 9, 1, 2], matches: 'all', limit: 2, order_by: ['-n'] },
    { keys: [1, 1, 3], matches: 'all' },
  ]) {
    const { table, results } = await both(url, body);
    assert.deepEqual(resultsOf(table, 'all'), results);
  }
});

test('conditions hold as for JSON: tables without files, large values, time, snapshots, what is explained', async (context) => {
  const { url } = await startFixture(context, { server: { valueInRowBytes: 4 } });
  const users = `${url}/v1/tables/users/lookup`;
  const { table, results } = await both(users, { keys: [1, 9007199254740993n.toString(), 2], columns: ['name'] });
  assert.deepEqual(resultsOf(table), results);
  assert.equal((results[1]?.error as { code: string } | undefined)?.code, 'value_too_large');
  const { table: none } = await both(`${url}/v1/tables/empty/lookup`, { keys: [1, 2] });
  assert.deepEqual(resultsOf(none), [{ status: 'not_found' }, { status: 'not_found' }]);
  const { table: broken, results: uncovered } = await both(`${url}/v1/tables/halfBroken/lookup`, { keys: [1, 5] });
  assert.deepEqual(resultsOf(broken), uncovered);
  assert.equal(uncovered[1]?.status, 'not_covered');
  const explained = await both(users, { keys: [1] }, { 'pointlake-explain': '1' });
  assert.ok('snapshot' in JSON.parse(explained.table.schema.metadata.get('pointlake_explain') ?? ''));
  assert.ok(explained.arrow.headers.get('server-timing'));
  const gone = await post(users, '{"keys":[1]}', { accept: ARROW, 'pointlake-as-of': 'ffffffffffffffff' });
  assert.equal((await problemOf(gone)).status, 410);
  const xml = await problemOf(await post(users, '{"keys":[1]}', { accept: 'text/xml' }));
  assert.deepEqual([xml.code, xml.served], ['not_acceptable', ['application/json', ARROW]]);
  const preferred = await post(users, '{"keys":[1],"columns":["id"]}', { accept: `application/json, ${ARROW}` });
  assert.match(preferred.headers.get('content-type') ?? '', /^application\/json/);
});

test('a column with the name of one that tells of keys is refused', async (context) => {
  const source = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: [1], type: 'INT32' },
    { name: 'pointlake_status', data: ['x'], type: 'STRING' },
  ]);
  const url = await serveTable(context, source);
  const refused = await problemOf(await post(url, '{"keys":[1]}', { accept: ARROW }));
  assert.deepEqual([refused.code, refused.column], ['unsupported', 'pointlake_status']);
  assert.equal((await post(url, '{"keys":[1],"columns":["id"]}', { accept: ARROW })).status, 200);
});

test('an answer above the bound is refused, whether its rows were packed before or not', async (context) => {
  const { url } = await startFixture(context, { server: { answerCharactersMax: 600 } });
  const users = `${url}/v1/tables/users/lookup`;
  for (let round = 0; round < 2; round++) {
    const { status, code } = await problemOf(await post(users, '{"keys":[1,2,3,1,2,3,1,2,3]}', { accept: ARROW }));
    assert.deepEqual([status, code], [413, 'answer_too_large']);
  }
});
