/**
 * How much of a table may hold a key, told from bounds alone, as a search without a key index narrows it: folders and
 * bounds of files, then of row groups, then of pages. Nothing is read; bloom filters are not asked.
 */

import { rangeLength } from '../core/index.ts';
import { type Bounds, compareKeys, type KeyValue, type LeafColumn } from '../parquet/index.ts';
import { keyInFile } from './file-mapping.ts';
import type { Key } from './key.ts';
import { candidateRanges, intersect } from './row-ranges.ts';
import type { Snapshot } from './snapshot.ts';
import type { TableFile } from './table-file.ts';
import type { TableKey } from './table-key.ts';

export interface KeyDepth {
  readonly files: number;
  readonly rowGroups: number;
  /** Of the key columns; a chunk whose pages are not known counts as one. */
  readonly pages: number;
  /** Of those pages, as they are stored. */
  readonly bytes: number;
  /** Row groups and pages that by their bounds may hold other keys too: where rows lie by key they are few, however many rows a key has. */
  readonly sharedRowGroups: number;
  readonly sharedPages: number;
}

/** What may hold the key. */
export function keyDepth({ files }: Snapshot, by: TableKey, key: Key): KeyDepth {
  const depth = { files: 0, rowGroups: 0, pages: 0, bytes: 0, sharedRowGroups: 0, sharedPages: 0 };
  const candidates = by.files.candidates(key);
  for (let at = candidates.next(0); at < files.length; at = candidates.next(at + 1)) {
    const file = files[at];
    if (file?.kind !== 'readable') continue;
    const mapped = by.in(file.mapping);
    const inFile = mapped.positions && keyInFile(mapped, key);
    if (mapped.positions === undefined || inFile === undefined) continue;
    const before = depth.rowGroups;
    for (let rowGroup = 0; rowGroup < file.file.index.rowGroups; rowGroup++) {
      const pages = pagesIn(file.file, rowGroup, mapped.positions, inFile);
      if (pages === undefined) continue;
      depth.rowGroups += 1;
      depth.pages += pages.count;
      depth.bytes += pages.bytes;
      depth.sharedPages += pages.shared;
      if (pages.shared > 0) depth.sharedRowGroups += 1;
    }
    if (depth.rowGroups > before) depth.files += 1;
  }
  return depth;
}

/** Undefined where the row group is ruled out. */
function pagesIn(
  file: TableFile,
  rowGroup: number,
  positions: readonly number[],
  key: readonly KeyValue[],
): { readonly count: number; readonly bytes: number; readonly shared: number } | undefined {
  let ranges: readonly number[] = [0, file.index.rowGroupRows(rowGroup)];
  for (const [i, position] of positions.entries()) {
    const value = key[i];
    if (value !== undefined && !file.index.canContain(rowGroup, position, value)) return undefined;
    const { layout } = file.chunk(rowGroup, position);
    if (value !== undefined && layout !== undefined) ranges = intersect(ranges, candidateRanges(layout, value));
  }
  if (ranges.length === 0) return undefined;
  const pages = { count: 0, bytes: 0, shared: 0 };
  for (const [i, position] of positions.entries()) {
    const { chunk, layout } = file.chunk(rowGroup, position);
    const isShared = (bounds: Bounds | undefined) => !holdsOnly(chunk.leaf, bounds, key[i]);
    const isGroupShared = isShared(file.index.chunkBounds(rowGroup, position));
    if (layout === undefined) {
      pages.count += 1;
      pages.bytes += rangeLength(chunk.range);
      if (isGroupShared) pages.shared += 1;
      continue;
    }
    const { locations, bounds } = layout;
    let last = -1;
    for (let range = 0; range < ranges.length; range += 2) {
      const first = Math.max(last + 1, locations.pageOf(ranges[range] ?? 0));
      last = locations.pageOf((ranges[range + 1] ?? 1) - 1);
      for (let page = first; page <= last; page++) {
        pages.bytes += rangeLength(locations.range(page));
        if (isGroupShared && isShared(bounds?.at(page))) pages.shared += 1;
      }
      pages.count += last - first + 1;
    }
  }
  return pages;
}

/** Nulls aside. */
function holdsOnly(leaf: LeafColumn, bounds: Bounds | undefined, value: KeyValue | undefined): boolean {
  const { min, max } = bounds ?? {};
  if (min === undefined || max === undefined || value === undefined) return false;
  return compareKeys(leaf, min, value) === 0 && compareKeys(leaf, max, value) === 0;
}
