/**
 * Nested columns written by three other implementations in every page layout each of them offers, read through the whole
 * engine. The values that were given to the writer are the truth; for DuckDB, which makes its own, its own reading is.
 */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import * as arrow from 'apache-arrow';
import type { SchemaElement } from 'hyparquet';
import { ByteWriter, type ColumnSource, parquetWrite } from 'hyparquet-writer';
import * as wasm from 'parquet-wasm/node';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { duckdbRows, normal, type Row, scannedRows } from '../support/nested-oracles.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder } from '../support/scratch.ts';

type Random = () => number;

function pick<T>(random: Random, ...items: readonly T[]): T {
  return items[Math.floor(random() * items.length)]!;
}

function times<T>(n: number, make: () => T): T[] {
  return Array.from({ length: n }, make);
}

async function readBack(context: TestContext, path: string) {
  const node = nodeOf(context, [{ name: 't', source: path, key: [] }]);
  const snapshot = await node.catalog.get('t').refresh();
  assert.ok(snapshot.columns.some((column) => column.nested !== undefined));
  const rows = await scannedRows(node, snapshot);
  await node.close();
  return { snapshot, rows };
}

// DuckDB

const SCALARS: readonly ((v: string) => string)[] = [
  (v) => `(hash(${v}) % 2001)::integer - 1000`,
  (v) => `(hash(${v}) % 1000000000000000)::bigint`,
  (v) => `'t' || (hash(${v}) % 40)::varchar`,
  (v) => `(hash(${v}) % 1000) / 8.0::double`,
  (v) => `hash(${v}) % 2 = 0`,
  (v) => `date '2000-01-01' + (hash(${v}) % 9999)::integer`,
  (v) => `timestamp '2000-01-01' + to_microseconds((hash(${v}) % 99999999999)::bigint)`,
  (v) => `(hash(${v}) % 100000)::decimal(9, 2)`,
  (v) => `(hash(${v}) % 255)::utinyint`,
];

/** An expression of a random type whose value hangs on `v`, itself an expression. */
function expression(random: Random, v: string, depth: number): string {
  const salted = `(${v} + ${Math.floor(random() * 1e6)})`;
  const value = contentOf(random, salted, depth);
  return random() < 0.5 ? value : `case when hash(${salted} + 1) % 4 = 0 then null else ${value} end`;
}

function contentOf(random: Random, v: string, depth: number): string {
  if (depth === 0) return pick(random, ...SCALARS)(v);
  const k = `k${depth}`;
  const inner = () => expression(random, `(${v} + ${k} * 77)`, depth - 1);
  const list = (items: string) => `list_transform(range((hash(${v} + 2) % 4)::bigint), lambda ${k}: ${items})`;
  switch (pick(random, 'list', 'list', 'struct', 'map')) {
    case 'list':
      return list(inner());
    case 'map':
      return `map(${list(pick(random, `'k' || ${k}`, k))}, ${list(inner())})`;
    default:
      return `{${times(1 + Math.floor(random() * 3), () => 0)
        .map((_, i) => `'f${i}': ${expression(random, v, pick(random, 0, depth - 1))}`)
        .join(', ')}}`;
  }
}

test('DuckDB: every codec and version', async (context) => {
  const folder = scratchFolder(context);
  const connection = await (await DuckDBInstance.create()).connect();
  context.after(() => connection.closeSync());
  const files = 12;
  for (let n = 0; n < files; n += 1) {
    const random = randomFrom(FUZZ_SEED * 31 + n);
    const path = join(folder, `${n}.parquet`);
    const columns = times(3, () => contentOf(random, 'i', 1 + Math.floor(random() * 3)));
    const rows = pick(random, 3, 500, 5000);
    const sql = columns.map((column, i) => `case when hash(i + ${i}) % 9 = 0 then null else ${column} end as c${i}`);
    const codec = pick(random, 'uncompressed', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4_raw');
    const options = `format parquet, codec ${codec}, parquet_version ${pick(random, 'V1', 'V2')}, row_group_size 2048`;
    const where = `FUZZ_SEED=${FUZZ_SEED}, file ${n}: ${sql.join()} (${options})`;
    await connection.run(`copy (select ${sql.join()} from range(${rows}) t(i) order by i) to '${path}' (${options})`);
    const { snapshot, rows: ours } = await readBack(context, path);
    const theirs = await duckdbRows(`select * from '${path}'`);
    for (const { name, nested } of snapshot.columns) {
      assert.ok(nested, where);
      const [own, other] = [ours, theirs].map((all) => all.map((row) => normal(nested, row[name])));
      assert.deepStrictEqual(own, other, `column ${name}, ${where}`);
    }
  }
  context.diagnostic(`seed ${FUZZ_SEED}: ${files} files`);
});

// parquet-wasm, which writes what arrow-rs writes

interface Made {
  readonly type: arrow.DataType;
  readonly make: () => unknown;
}

function arrowSample(random: Random, depth: number): Made {
  const nullable = (make: () => unknown) => () => (random() < 0.2 ? null : make());
  if (depth === 0) {
    return pick<Made>(
      random,
      { type: new arrow.Int32(), make: nullable(() => Math.floor(random() * 100)) },
      { type: new arrow.Utf8(), make: nullable(() => pick(random, '', 'a', 'longer text', 'é')) },
      { type: new arrow.Float64(), make: nullable(() => random()) },
      { type: new arrow.Bool(), make: nullable(() => random() < 0.5) },
    );
  }
  if (random() < 0.5) {
    const item = arrowSample(random, depth - 1);
    const type = new arrow.List(new arrow.Field('item', item.type, true));
    return { type, make: nullable(() => times(Math.floor(random() * 4), item.make)) };
  }
  const members = times(1 + Math.floor(random() * 3), () => arrowSample(random, depth - 1));
  const type = new arrow.Struct(members.map((member, i) => new arrow.Field(`f${i}`, member.type, true)));
  return {
    type,
    make: nullable(() => Object.fromEntries(members.map((member, i) => [`f${i}`, member.make()]))),
  };
}

test('parquet-wasm: v1 and v2 pages, with and without dictionaries', async (context) => {
  const folder = scratchFolder(context);
  const files = 40;
  for (let n = 0; n < files; n += 1) {
    const random = randomFrom(FUZZ_SEED * 31 + n);
    const { type, make } = arrowSample(random, 1 + Math.floor(random() * 3));
    const data = times(pick(random, 1, 30, 400), make);
    const options = { version: pick(random, 1, 2), dictionary: random() < 0.5, pageBytes: pick(random, 50, 1000, 1e6) };
    const vector = arrow.vectorFromArray(data, type);
    const ipc = arrow.tableToIPC(new arrow.Table({ c: vector }), 'stream');
    const properties = new wasm.WriterPropertiesBuilder()
      .setCompression(pick(random, wasm.Compression.SNAPPY, wasm.Compression.ZSTD, wasm.Compression.UNCOMPRESSED))
      .setWriterVersion(options.version === 1 ? wasm.WriterVersion.V1 : wasm.WriterVersion.V2)
      .setDictionaryEnabled(options.dictionary)
      .setDataPageSizeLimit(options.pageBytes)
      .setWriteBatchSize(16)
      .build();
    const path = join(folder, `${n}.parquet`);
    writeFileSync(path, wasm.writeParquet(wasm.Table.fromIPCStream(ipc), properties));
    const where = `FUZZ_SEED=${FUZZ_SEED}, file ${n}: ${type} ${JSON.stringify(options)}`;
    const { rows } = await readBack(context, path);
    assert.deepStrictEqual(
      rows.map((row) => row.c),
      data,
      where,
    );
  }
  context.diagnostic(`seed ${FUZZ_SEED}: ${files} files`);
});

// hyparquet-writer

const LISTS_AND_MAPS: readonly SchemaElement[] = [
  { name: 'root', num_children: 3 },
  { name: 'tags', repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', repetition_type: 'OPTIONAL', type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  { name: 'points', repetition_type: 'OPTIONAL', converted_type: 'LIST', num_children: 1 },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', repetition_type: 'OPTIONAL', num_children: 2 },
  { name: 'x', repetition_type: 'REQUIRED', type: 'DOUBLE' },
  { name: 'y', repetition_type: 'OPTIONAL', type: 'DOUBLE' },
  { name: 'counts', repetition_type: 'OPTIONAL', converted_type: 'MAP', num_children: 1 },
  { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
  { name: 'key', repetition_type: 'REQUIRED', type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  { name: 'value', repetition_type: 'OPTIONAL', type: 'INT32' },
];

test('hyparquet-writer: lists and maps over many small pages', async (context) => {
  const random = randomFrom(FUZZ_SEED);
  const some = <T>(make: () => T) => (random() < 0.2 ? null : make());
  const rows: Row[] = times(500, () => ({
    tags: some(() => times(Math.floor(random() * 4), () => some(() => pick(random, 'a', 'b', '')))),
    points: some(() => times(Math.floor(random() * 4), () => some(() => ({ x: random(), y: some(random) })))),
    counts: some(() =>
      Object.fromEntries(times(Math.floor(random() * 4), () => [pick(random, 'k', 'l'), some(() => 7)])),
    ),
  }));
  const writer = new ByteWriter();
  const columnData = ['tags', 'points', 'counts'].map((name) => ({ name, data: rows.map((row) => row[name]) }));
  parquetWrite({ writer, columnData, schema: [...LISTS_AND_MAPS], pageSize: 200, rowGroupSize: 170 });
  const path = join(scratchFolder(context), 'nested.parquet');
  writeFileSync(path, Buffer.from(writer.getBytes()));
  assert.deepStrictEqual((await readBack(context, path)).rows, rows, `FUZZ_SEED=${FUZZ_SEED}`);
});

const SHREDDINGS: readonly ColumnSource['shredding'][] = [
  undefined,
  'STRING',
  'DOUBLE',
  ['STRING'],
  { name: 'STRING', size: 'DOUBLE' },
  { name: 'STRING', tags: ['STRING'], place: { lat: 'DOUBLE', name: 'STRING' } },
];

function variant(random: Random, depth: number): unknown {
  const scalar = () => pick<unknown>(random, null, true, false, 7, -123456, 1.5, 'text', 'x'.repeat(100), '', 1e300);
  if (depth === 0) return scalar();
  const inner = () => variant(random, depth - 1);
  switch (pick(random, 'scalar', 'array', 'object', 'object')) {
    case 'scalar':
      return scalar();
    case 'array':
      return times(Math.floor(random() * 4), inner);
    default: {
      const names = ['name', 'size', 'tags', 'place', 'other', 'lat'].filter(() => random() < 0.5);
      return Object.fromEntries(names.map((name) => [name, inner()]));
    }
  }
}

test('hyparquet-writer: variants, whole and shredded', async (context) => {
  const folder = scratchFolder(context);
  let n = 0;
  for (const shredding of SHREDDINGS) {
    const random = randomFrom(FUZZ_SEED + n);
    const data = times(300, () => (random() < 0.1 ? undefined : variant(random, 3)));
    const writer = new ByteWriter();
    const column = { name: 'v', type: 'VARIANT' as const, data, ...(shredding === undefined ? {} : { shredding }) };
    parquetWrite({ writer, columnData: [column], pageSize: 500 });
    const path = join(folder, `${n}.parquet`);
    writeFileSync(path, Buffer.from(writer.getBytes()));
    n += 1;
    const { rows } = await readBack(context, path);
    const where = `FUZZ_SEED=${FUZZ_SEED}, ${JSON.stringify(shredding)}`;
    assert.deepStrictEqual(
      rows.map((row) => row.v),
      data.map((value) => value ?? null),
      where,
    );
  }
});
