/** Holds what a file says of its values (page index, statistics, bloom filters) to the values themselves. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  boundFormOf,
  type ColumnChunk,
  canContain,
  compareKeys,
  decodeBloomFilter,
  decodeColumnIndex,
  type KeyValue,
  keyClassOf,
  keyValueAt,
  type LeafColumn,
} from '../../src/parquet/index.ts';
import type { PageLoader } from '../../src/shard/index.ts';
import type { Snapshot, TableFile } from '../../src/table/index.ts';
import { noDeadline } from '../support/one-node.ts';

export interface CheckedIndexes {
  pages: number;
  boundedPages: number;
  filters: number;
}

interface Value {
  readonly row: number;
  readonly key: KeyValue | undefined;
}

/** Of every flat column of every file. */
export async function checkIndexes(loader: PageLoader, snapshot: Snapshot): Promise<CheckedIndexes> {
  const checked: CheckedIndexes = { pages: 0, boundedPages: 0, filters: 0 };
  for (const entry of snapshot.files) {
    assert.ok(entry.kind === 'readable');
    const { file } = entry;
    const bytes = readFileSync(file.object.key);
    for (let rowGroup = 0; rowGroup < file.index.rowGroups; rowGroup += 1) {
      for (const leaf of file.index.schema.leaves) {
        const chunk = file.index.chunk(rowGroup, leaf.ordinal);
        assert.ok(chunk.offsetIndexRange !== undefined, `${leaf.name} has an offset index`);
        if (leaf.maxRepetitionLevel > 0 || leaf.path.length > 1) continue;
        const values = await valuesOf(loader, file, rowGroup, leaf);
        await checkPages(loader, file, chunk, leaf, values, bytes, checked);
        checkFilter(chunk, values, leaf, bytes, checked);
      }
    }
  }
  return checked;
}

async function valuesOf(
  loader: PageLoader,
  file: TableFile,
  rowGroup: number,
  leaf: LeafColumn,
): Promise<readonly Value[]> {
  if (keyClassOf(leaf) === 'unsearchable') return [];
  const chunk = file.chunk(rowGroup, leaf.ordinal);
  const { locations } = await loader.layout(file, chunk, noDeadline);
  const values: Value[] = [];
  for (let page = 0; page < locations.pages; page += 1) {
    const { firstRow, rows, blocks, shift } = await loader.page(file, chunk, page, noDeadline);
    for (let i = 0; i < rows; i += 1) {
      const block = blocks[i >> shift];
      const inBlock = i - ((i >> shift) << shift);
      assert.ok(block !== undefined);
      const isNull = leaf.maxDefinitionLevel > 0 && block.isNull(inBlock);
      values.push({ row: firstRow + i, key: isNull ? undefined : keyValueAt(block, leaf, inBlock) });
    }
  }
  return values;
}

async function checkPages(
  loader: PageLoader,
  file: TableFile,
  chunk: ColumnChunk,
  leaf: LeafColumn,
  values: readonly Value[],
  bytes: Buffer,
  checked: CheckedIndexes,
): Promise<void> {
  const { locations } = await loader.layout(file, file.chunk(chunk.rowGroup, leaf.ordinal), noDeadline);
  checked.pages += locations.pages;
  const hasNoOrder = boundFormOf(leaf) === 'none';
  const chunkBounds = file.index.chunkBounds(chunk.rowGroup, leaf.ordinal);
  if (hasNoOrder) {
    assert.equal(chunk.columnIndexRange, undefined, `${leaf.name} has no order, and so no bounds`);
    assert.equal(chunkBounds?.min, undefined);
    return;
  }
  for (const { key } of values) if (key !== undefined) assert.ok(canContain(leaf, chunkBounds, key), leaf.name);
  const range = chunk.columnIndexRange;
  if (range === undefined) {
    assert.ok(
      values.some(({ key }) => Number.isNaN(key)),
      `${leaf.name} has no page bounds, and no page of NaN alone`,
    );
    return;
  }
  const index = decodeColumnIndex(bytes.subarray(range.start, range.end), chunk, locations.pages);
  for (let page = 0; page < locations.pages; page += 1) {
    const inPage = values.slice(locations.firstRow(page), locations.rowEnd(page)).map(({ key }) => key);
    const present = inPage.filter((key) => key !== undefined);
    const bounds = index.at(page);
    for (const key of present) assert.ok(canContain(leaf, bounds, key), `${leaf.name}, page ${page}`);
    assert.equal(index.nullCount(page), inPage.length - present.length);
    const ordered = present.filter((key) => !Number.isNaN(key)).sort((a, b) => compareKeys(leaf, a, b));
    const [first, last] = [ordered[0], ordered.at(-1)];
    if (first === undefined || last === undefined) continue;
    assert.ok(bounds?.min !== undefined && bounds.max !== undefined, `${leaf.name}, page ${page} is bounded`);
    checked.boundedPages += 1;
    // Strings are cut; what says that it is a value is the one.
    if (bounds.minExact) assert.equal(compareKeys(leaf, bounds.min, first), 0, `${leaf.name}: the least bounds`);
    if (bounds.maxExact) assert.equal(compareKeys(leaf, bounds.max, last), 0, `${leaf.name}: the greatest bounds`);
  }
}

function checkFilter(
  chunk: ColumnChunk,
  values: readonly Value[],
  leaf: LeafColumn,
  bytes: Buffer,
  checked: CheckedIndexes,
): void {
  const range = chunk.bloomFilterRange;
  if (range === undefined) return;
  const decoded = decodeBloomFilter(bytes.subarray(range.start, range.end), chunk, bytes.length);
  assert.ok(decoded.kind === 'data', `the bloom filter of ${leaf.name} is whole`);
  for (const { key } of values) if (key !== undefined) assert.ok(decoded.filter.mightContain(key), leaf.name);
  checked.filters += 1;
}
