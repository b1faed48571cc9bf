/**
 * Pruning against the values themselves: no row group, page or bloom filter may be passed over that holds the key.
 * And it has to prune: a test of a pruner that never prunes would pass as well.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { tableFromArrays, tableToIPC } from 'apache-arrow';
import fc from 'fast-check';
import { Table, type Table as WasmTable, WriterPropertiesBuilder, writeParquet } from 'parquet-wasm';
import type { BloomFilter } from '../../src/parquet/bloom-filter.ts';
import { decodeBloomFilter } from '../../src/parquet/bloom-filter.ts';
import { type KeyValue, keyClassOf } from '../../src/parquet/compare.ts';
import type { ColumnChunk, FileIndex } from '../../src/parquet/file-index.ts';
import { decodeColumnIndex, type PageBounds } from '../../src/parquet/page-index.ts';
import type { PageLocations } from '../../src/parquet/page-locations.ts';
import {
  corpusFiles,
  type GeneratedColumn,
  locate,
  openIndex,
  pageKeys,
  readCorpus,
  writeGenerated,
} from './support/metadata-files.ts';
import { property, randomFrom } from './support/property.ts';

interface Tally {
  values: number;
  pageBounds: number;
  blooms: number;
  prunedRowGroups: number;
  prunedPages: number;
  prunedByBloom: number;
}

const newTally = (): Tally => ({
  values: 0,
  pageBounds: 0,
  blooms: 0,
  prunedRowGroups: 0,
  prunedPages: 0,
  prunedByBloom: 0,
});

function readBloom(file: Uint8Array, chunk: ColumnChunk): BloomFilter | undefined {
  let range = chunk.bloomFilterRange;
  for (let round = 0; range !== undefined && round < 3; round += 1) {
    const decoded = decodeBloomFilter(file.subarray(range.start, range.end), chunk, file.length);
    if (decoded.kind === 'data') return decoded.filter;
    range = decoded.kind === 'needs' ? decoded.ranges[0] : undefined;
  }
  return undefined;
}

function readPageBounds(file: Uint8Array, chunk: ColumnChunk, locations: PageLocations): PageBounds | undefined {
  const range = chunk.columnIndexRange;
  if (range === undefined || chunk.offsetIndexRange === undefined) return undefined;
  return decodeColumnIndex(file.subarray(range.start, range.end), chunk, locations.pages);
}

/** Holds every value of a chunk against all that could prune it, and `probes` only to see that something prunes. */
function checkChunk(
  file: Uint8Array,
  index: FileIndex,
  chunk: ColumnChunk,
  probes: readonly KeyValue[],
  tally: Tally,
): void {
  const { rowGroup, leaf } = chunk;
  const locations = locate(file, index, chunk);
  const bounds = readPageBounds(file, chunk, locations);
  const bloom = readBloom(file, chunk);
  const label = (key: KeyValue) => `${leaf.name} of row group ${rowGroup}: ${String(key)}`;
  for (let page = 0; page < locations.pages; page += 1) {
    const keys = pageKeys(file, chunk, locations, page);
    if (bounds?.nullPage(page)) assert.equal(keys.length, 0);
    const counted = bounds?.nullCount(page);
    if (counted !== undefined) assert.equal(counted, locations.rowEnd(page) - locations.firstRow(page) - keys.length);
    for (const key of keys) {
      assert.ok(index.canContain(rowGroup, leaf.ordinal, key), `row group pruned: ${label(key)}`);
      assert.ok(bounds?.canContain(page, key) ?? true, `page ${page} pruned: ${label(key)}`);
      if (bounds !== undefined) assert.equal(bounds.next(key, page), page, `page ${page} not found: ${label(key)}`);
      assert.ok(bloom?.mightContain(key) ?? true, `bloom filter lacks ${label(key)}`);
    }
    tally.values += keys.length;
  }
  if (bounds !== undefined) tally.pageBounds += 1;
  if (bloom !== undefined) tally.blooms += 1;
  for (const probe of probes) {
    if (!index.canContain(rowGroup, leaf.ordinal, probe)) tally.prunedRowGroups += 1;
    for (let page = 0; page < (bounds?.pages ?? 0); page += 1)
      if (!bounds?.canContain(page, probe)) tally.prunedPages += 1;
    if (bloom?.mightContain(probe) === false) tally.prunedByBloom += 1;
  }
}

function checkFile(file: Uint8Array, probes: (name: string) => readonly KeyValue[], tally: Tally): void {
  const index = openIndex(file);
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
    for (const leaf of index.schema.leaves) {
      if (keyClassOf(leaf) === 'unsearchable' || leaf.maxDefinitionLevel > 1) continue;
      checkChunk(file, index, index.chunk(rowGroup, leaf.ordinal), probes(leaf.name), tally);
    }
  }
}

describe('no key that is there is pruned', () => {
  test('in any file of the corpus', (context) => {
    const tally = newTally();
    const unreadable: string[] = [];
    for (const name of corpusFiles('data').filter((file) => file.endsWith('.parquet'))) {
      // Its dictionary is damaged on purpose; what it holds is a matter of the page decoder's tests.
      if (name.endsWith('nation.dict-malformed.parquet')) unreadable.push(name);
      else checkFile(readCorpus(name), () => [], tally);
    }
    context.diagnostic(`${JSON.stringify(tally)}; left out: ${unreadable.join(', ')}`);
    assert.ok(tally.values > 50_000 && tally.pageBounds > 20 && tally.blooms >= 2);
  });

  test('in files of hyparquet-writer with page indexes and bloom filters', (context) => {
    const tally = newTally();
    const types: readonly (readonly [GeneratedColumn['type'], fc.Arbitrary<unknown>, readonly KeyValue[]])[] = [
      ['INT32', fc.integer({ min: -1000, max: 1000 }), [5000, -5000]],
      ['INT64', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), [77n, -77n]],
      ['FLOAT', fc.double({ min: -4, max: 4 }).map(Math.fround), [9, -9, 0.5]],
      ['DOUBLE', fc.oneof(fc.double(), fc.constantFrom(0, -0, Number.NaN, 1)), [9.125, -9.125, 0.5]],
      ['STRING', fc.string({ unit: 'binary', maxLength: 40 }), [Buffer.from('no such key')]],
      ['BYTE_ARRAY', fc.uint8Array({ maxLength: 40 }), [Buffer.alloc(41, 1)]],
      ['BOOLEAN', fc.boolean(), []],
      ['UUID', fc.uuid(), [Buffer.alloc(16, 0x77)]],
      ['FLOAT16', fc.constantFrom(0, -0, 1, -2.5, 1000, Number.NaN), [3, 2000]],
    ];
    const file = fc.record({
      seed: fc.nat(),
      columns: fc.tuple(
        ...types.map(([, value]) => fc.array(fc.option(value, { freq: 8 }), { minLength: 60, maxLength: 60 })),
      ),
      sorted: fc.boolean(),
    });
    property(
      file,
      ({ columns, sorted }) => {
        const generated = types.map(([type], position): GeneratedColumn => {
          const data = columns[position]!.filter((value) => value !== undefined);
          if (sorted && type === 'INT32') data.sort((a, b) => Number(a) - Number(b));
          return { name: type, type, data };
        });
        const probes = (name: string) => types.find(([type]) => type === name)?.[2] ?? [];
        checkFile(writeGenerated(generated, 30, 64), probes, tally);
      },
      60,
    );
    context.diagnostic(JSON.stringify(tally));
    assert.ok(tally.prunedRowGroups > 100 && tally.prunedPages > 100 && tally.prunedByBloom > 100);
  });

  test('in files of parquet-rs, whose bounds are cut at 64 bytes', (context) => {
    const tally = newTally();
    const random = randomFrom(7);
    const strings = Array.from({ length: 4000 }, (_, row) => `${'p'.repeat(70)}${String(row).padStart(6, '0')}`);
    const numbers = Float64Array.from({ length: 4000 }, () => random() * 1000);
    const keys = BigInt64Array.from({ length: 4000 }, (_, row) => BigInt(row) * 3n);
    const file = writeWithParquetRs({ key: keys, value: numbers, text: strings });
    checkFile(file, (name) => (name === 'key' ? [-1n, 100_000n] : name === 'value' ? [-1, 5000] : []), tally);
    context.diagnostic(JSON.stringify(tally));
    assert.ok(tally.pageBounds > 0 && tally.prunedPages > 0 && tally.prunedRowGroups > 0);
  });
});

function writeWithParquetRs(columns: Parameters<typeof tableFromArrays>[0]): Uint8Array {
  const table: WasmTable = Table.fromIPCStream(tableToIPC(tableFromArrays(columns), 'stream'));
  const properties = new WriterPropertiesBuilder()
    .setMaxRowGroupSize(1000)
    .setWriteBatchSize(64)
    .setDataPageSizeLimit(512)
    .setDictionaryEnabled(false)
    .build();
  return writeParquet(table, properties);
}
