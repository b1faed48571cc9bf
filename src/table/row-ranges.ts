/**
 * The rows of a row group that may hold a key, as far as page bounds tell: [start, end) in turn, ascending, none of them
 * touching the next.
 */

import { rangeLength } from '../core/index.ts';
import type { KeyValue } from '../parquet/index.ts';
import type { ChunkBlocks } from './chunk-blocks.ts';
import type { ChunkLayout } from './learned-chunk.ts';

/** The rows of the pages that may hold the value, neighbouring pages joined. */
export function candidateRanges(layout: ChunkLayout, value: KeyValue): readonly number[] {
  const { locations, bounds } = layout;
  const ranges: number[] = [];
  const next = (from: number) => (bounds === undefined ? from : bounds.next(value, from));
  for (let page = next(0); page >= 0 && page < locations.pages; page = next(page + 1)) {
    const first = locations.firstRow(page);
    if (ranges.at(-1) === first) ranges.pop();
    else ranges.push(first);
    ranges.push(locations.rowEnd(page));
  }
  return ranges;
}

/** The rows that lie in a range of both lists. Both ascend and neither overlaps itself. */
export function intersect(a: readonly number[], b: readonly number[]): readonly number[] {
  const both: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const start = Math.max(a[i] ?? 0, b[j] ?? 0);
    const aEnd = a[i + 1] ?? 0;
    const bEnd = b[j + 1] ?? 0;
    if (start < Math.min(aEnd, bEnd)) both.push(start, Math.min(aEnd, bEnd));
    if (aEnd <= bEnd) i += 2;
    else j += 2;
  }
  return both;
}

/** Whether the chunk's bloom filter is smaller than the candidate pages that are not in memory. */
export function savesReading(chunk: ChunkBlocks, ranges: readonly number[]): boolean {
  const filter = chunk.chunk.bloomFilterRange;
  const locations = chunk.layout?.locations;
  if (filter === undefined || locations === undefined) return false;
  let saved = -rangeLength(filter);
  for (let range = 0; range < ranges.length && saved <= 0; range += 2) {
    const last = locations.pageOf((ranges[range + 1] ?? 1) - 1);
    for (let page = locations.pageOf(ranges[range] ?? 0); page <= last && saved <= 0; page++) {
      if (!chunk.isResident(page)) saved += rangeLength(locations.range(page));
    }
  }
  return saved > 0;
}
