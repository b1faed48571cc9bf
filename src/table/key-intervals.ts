/**
 * The values that each file may have in a key column, as intervals of numbers.
 *
 * Values are brought to numbers by a function that never turns their order round, though it may make equal what is not:
 * 64-bit integers are rounded, of byte strings six bytes count after those that all bounds begin with. So a file whose
 * interval lacks the key's number lacks the key. The values of partition folders are numbered in their order, so that
 * there the number is as exact as the value.
 */

import { compareKeys, type KeyValue, type LeafColumn } from '../parquet/index.ts';
import { readableLeaf, type TableColumn } from './schema.ts';
import type { SnapshotFile, SnapshotReadableFile } from './snapshot-file.ts';

export interface KeyIntervals {
  /** By file, both ends included; above `high` where the file has no key at all. */
  readonly low: Float64Array;
  readonly high: Float64Array;
  /** NaN where the value may be in any file. */
  readonly numberOf: (value: KeyValue) => number;
}

/** By the folders that the files lie in. A file with null there holds no key. */
export function partitionIntervals(files: readonly SnapshotFile[], column: TableColumn): KeyIntervals {
  const leaf = readableLeaf(column);
  const values = files.map((file) => file.partition[column.partition ?? -1]?.key);
  const ranks = sortedValues(leaf, values);
  const rankOf = memoised((value: KeyValue) => rankIn(ranks, leaf, value));
  const { low, high } = emptyIntervals(files.length);
  for (const [file, value] of values.entries()) {
    if (value === undefined) continue;
    low[file] = rankOf(value);
    high[file] = rankOf(value);
  }
  return { low, high, numberOf: (value) => rankIn(ranks, leaf, value) };
}

/** Files of one folder come one after another and share the value. */
function memoised(rankOf: (value: KeyValue) => number): (value: KeyValue) => number {
  let last: KeyValue | undefined;
  let rank = 0;
  return (value) => {
    if (value !== last) rank = rankOf(value);
    last = value;
    return rank;
  };
}

function sortedValues(leaf: LeafColumn, values: readonly (KeyValue | undefined)[]): readonly KeyValue[] {
  const distinct = [...new Set(values)].filter((value) => value !== undefined);
  return distinct.sort((a, b) => compareKeys(leaf, a, b));
}

/** The place of the first that equals the value; -1, which no file has, where none does. */
function rankIn(values: readonly KeyValue[], leaf: LeafColumn, value: KeyValue): number {
  let from = 0;
  let to = values.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (compareKeys(leaf, values[middle] as KeyValue, value) < 0) from = middle + 1;
    else to = middle;
  }
  const found = values[from];
  return found !== undefined && compareKeys(leaf, found, value) === 0 ? from : -1;
}

/** By the bounds of the files' own column; undefined where no file has any. */
export function leafIntervals(files: readonly SnapshotFile[], column: TableColumn): KeyIntervals | undefined {
  const leaf = readableLeaf(column);
  const ranges = files.map((file) => rangeOf(file, column, leaf));
  const numberOf = numbering(ranges);
  if (numberOf === undefined) return undefined;
  const { low, high } = emptyIntervals(files.length);
  for (const [file, range] of ranges.entries()) {
    if (range === 'nothing') continue;
    low[file] = range?.min === undefined ? Number.NEGATIVE_INFINITY : numberOf(range.min);
    high[file] = range?.max === undefined ? Number.POSITIVE_INFINITY : numberOf(range.max);
  }
  return { low, high, numberOf };
}

function emptyIntervals(files: number): { readonly low: Float64Array; readonly high: Float64Array } {
  const low = new Float64Array(files).fill(Number.POSITIVE_INFINITY);
  return { low, high: new Float64Array(files).fill(Number.NEGATIVE_INFINITY) };
}

interface Range {
  readonly min: KeyValue | undefined;
  readonly max: KeyValue | undefined;
}

/** `nothing`: no row has a value there. Undefined: nothing is known, such as of a file whose values are cast. */
function rangeOf(file: SnapshotFile, column: TableColumn, leaf: LeafColumn): Range | 'nothing' | undefined {
  if (file.kind === 'broken') return undefined;
  const position = file.leafPositions[column.ordinal] ?? -1;
  if (position < 0) return 'nothing';
  if (file.mapping.casts?.[column.ordinal] !== undefined) return undefined;
  return boundsOverAll(file, position, leaf);
}

function boundsOverAll(
  { file: { index } }: SnapshotReadableFile,
  position: number,
  leaf: LeafColumn,
): Range | 'nothing' | undefined {
  let min: KeyValue | undefined;
  let max: KeyValue | undefined;
  let isFirst = true;
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup++) {
    const bounds = index.chunkBounds(rowGroup, position);
    if (bounds === undefined) return undefined;
    if (bounds.allNull) continue;
    if (isFirst || (min !== undefined && bounds.min !== undefined && compareKeys(leaf, bounds.min, min) < 0))
      min = bounds.min;
    if (isFirst || (max !== undefined && bounds.max !== undefined && compareKeys(leaf, bounds.max, max) > 0))
      max = bounds.max;
    if (bounds.min === undefined) min = undefined;
    if (bounds.max === undefined) max = undefined;
    isFirst = false;
  }
  return isFirst ? 'nothing' : { min, max };
}

/** Brings values to numbers in their order, by what the bounds have in common. Undefined where there is no bound at all. */
export function numbering(
  ranges: readonly (Range | 'nothing' | undefined)[],
): ((value: KeyValue) => number) | undefined {
  let prefix: Uint8Array | undefined;
  let hasBounds = false;
  for (const range of ranges) {
    if (range === 'nothing' || range === undefined) continue;
    for (const bound of [range.min, range.max]) {
      if (bound === undefined) continue;
      hasBounds = true;
      if (bound instanceof Uint8Array) prefix = prefix === undefined ? bound : commonStart(prefix, bound);
    }
  }
  if (!hasBounds) return ranges.includes('nothing') ? Number : undefined;
  return prefix === undefined ? Number : bytesNumbering(prefix);
}

function commonStart(a: Uint8Array, b: Uint8Array): Uint8Array {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return a.subarray(0, length);
}

/** Six bytes: 48 bits are exact in a double. */
const BYTES_COUNTED = 6;
const ABOVE_ALL = 2 ** (8 * BYTES_COUNTED);

/** A string that ends counts as less than, or equal to, one that goes on. */
function bytesNumbering(prefix: Uint8Array): (value: KeyValue) => number {
  return (value) => {
    if (!(value instanceof Uint8Array)) return Number.NaN;
    for (let i = 0; i < prefix.length; i++) {
      const byte = value[i] ?? -1;
      if (byte !== prefix[i]) return byte < (prefix[i] as number) ? -1 : ABOVE_ALL;
    }
    let number = 0;
    for (let i = prefix.length; i < prefix.length + BYTES_COUNTED; i++) number = number * 256 + (value[i] ?? 0);
    return number;
  };
}
