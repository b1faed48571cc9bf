/**
 * Whether a key index is worth building, told from bounds alone: from how many row groups a typical key may be in.
 *
 * Where the files are clustered by key their own bounds lead to the row, and an index would only take memory. How rows
 * lie within a row group the bounds do not tell. Of many row groups that are apart from one another it is taken that each
 * is in order too; of few it is not, unless pages have bounds that are apart. What holds a single value is in nobody's way,
 * however much of that there is: a search for another key passes over it, one for this key ends there.
 */

import { type Bounds, compareKeys, type KeyValue, type LeafColumn, type PageBounds } from '../parquet/index.ts';
import type { IndexMode } from './definition.ts';
import { numbering } from './key-intervals.ts';
import type { TableColumn } from './schema.ts';
import type { Snapshot } from './snapshot.ts';
import type { SnapshotReadableFile } from './snapshot-file.ts';
import type { TableKey } from './table-key.ts';

export interface IndexChoice {
  readonly isWanted: boolean;
  /** In plain words, for `inspect` and the table's status. */
  readonly reason: string;
}

/** So few rows are soon searched. */
const ROWS_SEARCHED_MAX = 20_000;
/** Neighbours meet at their ends, so that a key there is in two. */
const CLUSTERED_MAX = 2;
const ROW_GROUPS_TELLING = 4;
const PROBES = 64;

export function chooseIndex(snapshot: Snapshot, key: TableKey, mode: IndexMode): IndexChoice {
  if (mode === 'none') return { isWanted: false, reason: 'switched off by `index: none`' };
  if (mode === 'hash') return { isWanted: true, reason: 'asked for by `index: hash`' };
  const { rows } = snapshot;
  if (rows <= ROWS_SEARCHED_MAX) return { isWanted: false, reason: `${rows} rows are quickly searched` };
  const files = snapshot.files.filter((file) => file.kind === 'readable');
  const columns = key.columns.filter(({ partition }) => partition === undefined);
  if (columns.length === 0) return { isWanted: false, reason: 'the folders of the files are the key' };
  const groups = files.reduce((sum, { file }) => sum + file.index.rowGroups, 0);
  const met = Math.min(...columns.map((column) => meanOverlap(intervalsOf(files, column, 'row groups'))));
  if (met <= CLUSTERED_MAX && groups >= ROW_GROUPS_TELLING) {
    return { isWanted: false, reason: `clustered: a key may be in ${met.toFixed(1)} of ${groups} row groups` };
  }
  const pages = Math.min(...columns.map((column) => meanOverlap(intervalsOf(files, column, 'pages'))));
  if (pages === 0) return { isWanted: false, reason: 'clustered: each page holds one key' };
  if (pages <= CLUSTERED_MAX)
    return { isWanted: false, reason: `clustered: a key may be in ${pages.toFixed(1)} pages` };
  return { isWanted: true, reason: `a key may be in ${met.toFixed(1)} of ${groups} row groups` };
}

interface Interval {
  /** Undefined: without end. */
  readonly min: KeyValue | undefined;
  readonly max: KeyValue | undefined;
}

const ANYTHING: Interval = { min: undefined, max: undefined };

/** Of the row groups, or of their pages, where they hold more than one value; a row group whose pages have no known bounds stands for several that may hold anything. */
function intervalsOf(
  files: readonly SnapshotReadableFile[],
  column: TableColumn,
  of: 'row groups' | 'pages',
): readonly Interval[] {
  const intervals: Interval[] = [];
  for (const { file, leafPositions, mapping } of files) {
    const position = leafPositions[column.ordinal] ?? -1;
    if (position < 0) continue;
    const { rowGroups, schema } = file.index;
    const isCast = mapping.casts?.[column.ordinal] !== undefined;
    const leaf = schema.leaves[position];
    const layouts = of === 'pages' && !isCast ? file.layouts() : undefined;
    for (let rowGroup = 0; rowGroup < rowGroups; rowGroup++) {
      const bounds = isCast ? undefined : file.index.chunkBounds(rowGroup, position);
      if (!holdsSeveral(leaf, bounds)) continue;
      if (of === 'row groups') {
        intervals.push(bounds ?? ANYTHING);
        continue;
      }
      const pages = layouts?.get(rowGroup * schema.leaves.length + position)?.bounds;
      if (pages === undefined) intervals.push(ANYTHING, ANYTHING, ANYTHING);
      else intervals.push(...pageIntervals(leaf, pages));
    }
  }
  return intervals;
}

function pageIntervals(leaf: LeafColumn | undefined, pages: PageBounds): readonly Interval[] {
  return Array.from({ length: pages.pages }, (_, page) => pages.at(page)).flatMap((bounds) =>
    holdsSeveral(leaf, bounds) ? [bounds ?? ANYTHING] : [],
  );
}

function holdsSeveral(leaf: LeafColumn | undefined, bounds: Bounds | undefined): boolean {
  const { min, max, allNull = false } = bounds ?? {};
  if (allNull) return false;
  return leaf === undefined || min === undefined || max === undefined || compareKeys(leaf, min, max) !== 0;
}

/** How many of the intervals hold the middle of one of them, on average. */
function meanOverlap(intervals: readonly Interval[]): number {
  if (intervals.length === 0) return 0;
  const numberOf = numbering(intervals);
  if (numberOf === undefined) return intervals.length;
  const low = Float64Array.from(intervals, ({ min }) => (min === undefined ? Number.NEGATIVE_INFINITY : numberOf(min)));
  const high = Float64Array.from(intervals, ({ max }) =>
    max === undefined ? Number.POSITIVE_INFINITY : numberOf(max),
  );
  const middles = low.map((from, i) => middleOf(from, high[i] ?? from));
  low.sort();
  high.sort();
  const probes = Math.min(PROBES, low.length);
  let met = 0;
  for (let probe = 0; probe < probes; probe++) {
    const at = middles[Math.floor((probe * low.length) / probes)] ?? 0;
    met += countBelow(low, at, true) - countBelow(high, at, false);
  }
  return met / Math.max(1, probes);
}

function middleOf(low: number, high: number): number {
  if (!Number.isFinite(low)) return Number.isFinite(high) ? high : 0;
  return Number.isFinite(high) ? low + (high - low) / 2 : low;
}

/** Of ascending numbers: how many are below `at`, or at most that. */
function countBelow(numbers: Float64Array, at: number, orEqual: boolean): number {
  let from = 0;
  let to = numbers.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const number = numbers[middle] ?? 0;
    if (number < at || (orEqual && number === at)) from = middle + 1;
    else to = middle;
  }
  return from;
}
