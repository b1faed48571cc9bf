/**
 * Every flat column of the format's own conformance files, decoded to blocks and compared with another reader.
 *
 * The folders are scanned, so a new file is read or fails the run. hyparquet is the oracle; where it cannot read a
 * column or reads it wrongly, the test says so and compares with what the corpus documents or DuckDB answers.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { ServiceError } from '../../src/core/index.ts';
import type { LeafColumn } from '../../src/parquet/schema.ts';
import { type ChunkPages, chunksOf, decodeChunk, valuesOf } from './support/chunk-pages.ts';
import { int96Nanos, oracleColumn } from './support/hyparquet-oracle.ts';

const CORPUS = new URL('../../../shared/corpus/parquet-testing/', import.meta.url);

/** Pages whose CRC is wrong on purpose; without the check they read as the oracle reads them. */
const CORRUPT_CRC = ['datapage_v1-corrupt-checksum.parquet', 'rle-dict-uncompressed-corrupt-checksum.parquet'];

/** Columns that hyparquet cannot read: it fails on an empty SNAPPY body, and on a dictionary page of one page size. */
const BY_DUCKDB: Readonly<Record<string, readonly string[]>> = {
  'datapage_v2_empty_datapage.snappy.parquet': ['value'],
  'nation.dict-malformed.parquet': ['name', 'comment_col'],
};

/** int96_from_spark.md: microseconds; hyparquet loses the day where the nanoseconds of the day are negative. */
const INT96_FROM_SPARK = [
  1704141296123456n,
  1704070800000000n,
  253402225200000000n,
  1735599600000000n,
  null,
  9089380393200000000n,
];

function parquetFiles(folder: string): string[] {
  return readdirSync(new URL(folder, CORPUS), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.parquet'))
    .sort();
}

function read(folder: string, name: string): Uint8Array {
  return readFileSync(new URL(`${folder}${name}`, CORPUS));
}

function columnsOf(chunks: readonly ChunkPages[]): Map<string, ChunkPages[]> {
  return Map.groupBy(chunks, (chunk) => chunk.leaf.name);
}

function decodeColumn(chunks: readonly ChunkPages[], overrides: Parameters<typeof decodeChunk>[1] = {}): unknown[] {
  return chunks.flatMap((chunk) => {
    const decoded = decodeChunk(chunk, overrides);
    assert.equal(decoded.rows, chunk.rows, `rows of row group ${chunk.rowGroup}`);
    return valuesOf(decoded);
  });
}

function plain(leaf: LeafColumn, value: unknown): unknown {
  if (value instanceof Uint8Array && leaf.physicalType === 'INT96') return int96Nanos(value);
  return value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value;
}

function assertSame(leaf: LeafColumn, ours: readonly unknown[], theirs: readonly unknown[], where: string): void {
  assert.deepStrictEqual(
    ours.map((value) => plain(leaf, value)),
    theirs.map((value) => (typeof value === 'bigint' ? value : plain(leaf, value))),
    where,
  );
}

async function duckdbStrings(name: string, column: string): Promise<unknown[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const path = fileURLToPath(new URL(`data/${name}`, CORPUS));
  const result = await connection.runAndReadAll(`select "${column}"::varchar from '${path}'`);
  return result.getRows().map(([value]) => (typeof value === 'string' ? Buffer.from(value) : null));
}

test('every flat column of data/ equals the oracle', async (t) => {
  const files = parquetFiles('data/');
  assert.ok(files.length >= 70, `the corpus has ${files.length} files`);
  let columns = 0;
  let nestedColumns = 0;
  for (const name of files) {
    const file = read('data/', name);
    const { chunks, nested } = chunksOf(file);
    nestedColumns += nested.length;
    for (const [column, pages] of columnsOf(chunks)) {
      const where = `${name}, column ${column}`;
      const { leaf } = pages[0]!;
      columns += 1;
      if (CORRUPT_CRC.includes(name)) {
        assert.throws(() => decodeColumn(pages), { kind: 'corrupt', message: /CRC/ }, where);
        assertSame(leaf, decodeColumn(pages, { verifyCrc: false }), await oracleColumn(file, leaf), where);
      } else if (BY_DUCKDB[name]?.includes(column)) {
        assertSame(leaf, decodeColumn(pages), await duckdbStrings(name, column), where);
      } else if (name === 'int96_from_spark.parquet') {
        const micros = decodeColumn(pages).map((value) =>
          value === null ? null : int96Nanos(value as Uint8Array) / 1000n,
        );
        assert.deepStrictEqual(
          micros.map((value) => value && BigInt.asIntN(64, value)),
          INT96_FROM_SPARK,
        );
      } else assertSame(leaf, decodeColumn(pages), await oracleColumn(file, leaf), where);
    }
  }
  t.diagnostic(
    `${files.length} files, ${columns} flat columns compared; ${nestedColumns} nested columns left to others`,
  );
  assert.ok(columns >= 480, `${columns} columns were compared`);
});

test('small blocks of the same pages hold the same values', async (t) => {
  let pages = 0;
  for (const name of parquetFiles('data/')) {
    const { chunks } = chunksOf(read('data/', name));
    for (const chunk of chunks) {
      const whole = valuesOf(decodeChunk(chunk, { verifyCrc: false, blockBytes: 2 ** 20 }));
      const cut = valuesOf(decodeChunk(chunk, { verifyCrc: false, blockBytes: 48 }));
      assertSame(chunk.leaf, cut, whole, `${name}, column ${chunk.leaf.name}`);
      pages += chunk.pages.length;
    }
  }
  t.diagnostic(`${pages} pages`);
  assert.ok(pages > 1000);
});

/** What the pages of each bad file do; those whose footer or page headers are refused never reach the decoder. */
const BAD: Readonly<Record<string, 'refused' | 'layout' | 'nested' | 'readable'>> = {
  'ARROW-GH-41317.parquet': 'layout',
  'ARROW-GH-41321.parquet': 'refused',
  // One dictionary entry and a code width of 0: legal, and hyparquet and DuckDB read it as we do.
  'ARROW-GH-43605.parquet': 'readable',
  'ARROW-GH-45185.parquet': 'nested',
  'ARROW-GH-47662.parquet': 'refused',
  'ARROW-RS-GH-6229-DICTHEADER.parquet': 'layout',
  'ARROW-RS-GH-6229-LEVELS.parquet': 'nested',
  'PARQUET-1481.parquet': 'layout',
};

test('every file of bad_data/ is refused politely', async () => {
  for (const name of parquetFiles('bad_data/')) {
    const file = read('bad_data/', name);
    const expected = BAD[name];
    assert.ok(expected, `${name} is not known to this test`);
    if (expected === 'layout') {
      assert.throws(() => chunksOf(file), name);
      continue;
    }
    const { chunks } = chunksOf(file);
    if (expected === 'nested') assert.equal(chunks.length, 0, name);
    else if (expected === 'readable') {
      for (const chunk of chunks)
        assertSame(chunk.leaf, decodeColumn([chunk]), await oracleColumn(file, chunk.leaf), name);
    } else {
      const errors = chunks.map((chunk) => refusal(chunk)).filter((error) => error !== undefined);
      assert.ok(errors.length > 0, `${name} decoded without an error`);
    }
  }
});

function refusal(chunk: ChunkPages): ServiceError | undefined {
  try {
    decodeChunk(chunk);
    return undefined;
  } catch (thrown) {
    assert.ok(thrown instanceof ServiceError && thrown.kind === 'corrupt', String(thrown));
    assert.equal(thrown.context.column, chunk.leaf.name);
    return thrown;
  }
}
