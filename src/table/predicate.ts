/**
 * What a row must satisfy, as a value: comparisons of one field with values, joined by `and` and `or`.
 *
 * Every comparison is a set of intervals in the order of the field's type, which is DuckDB's: NaN equals NaN and is
 * greatest, -0 equals 0, strings go by bytes. `not` is worked in where a predicate is made, as the complement of the
 * intervals and by De Morgan's laws. So nothing is left by which an unknown answer could become true, and null, which is
 * in no interval, needs no third value where rows are judged. Whole runs of rows are judged by three: `no`, `maybe`, `all`.
 */

import { type Bounds, compareKeys, type KeyValue, type LeafColumn } from '../parquet/index.ts';
import type { TableColumn } from './schema.ts';

/** A column, or a value in the structs of one. */
export interface PredicateField {
  readonly column: TableColumn;
  /** The names of fields from the column down; empty where the column is a value itself. */
  readonly path: readonly string[];
  /** Its type in the table; undefined where it can only be asked whether it is null. */
  readonly leaf: LeafColumn | undefined;
}

/** From `low` to `high`, undefined being without end: NaN is in what has no upper end. */
export interface Interval {
  readonly low: KeyValue | undefined;
  readonly isLowOpen: boolean;
  readonly high: KeyValue | undefined;
  readonly isHighOpen: boolean;
}

export type ValueTest =
  | { readonly kind: 'is null' }
  | { readonly kind: 'is not null' }
  /** Ascending, and no two have a value in common. */
  | { readonly kind: 'within'; readonly leaf: LeafColumn; readonly intervals: readonly Interval[] };

export type Predicate =
  | { readonly kind: 'test'; readonly field: PredicateField; readonly test: ValueTest }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Predicate[] };

/** Of a run of rows: none of them, some perhaps, every one. */
export type Tri = 'no' | 'maybe' | 'all';

export function point(value: KeyValue): Interval {
  return { low: value, isLowOpen: false, high: value, isHighOpen: false };
}

/** The strings that begin with these bytes lie together: up to the bytes that follow all of them. */
export function prefixInterval(prefix: Uint8Array): Interval {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1;
  const next = length === 0 ? undefined : Uint8Array.from(prefix.subarray(0, length));
  if (next !== undefined) next[length - 1] = (next[length - 1] ?? 0) + 1;
  return { low: prefix, isLowOpen: false, high: next, isHighOpen: true };
}

/** The points of a list, each once. */
export function pointsOf(leaf: LeafColumn, values: readonly KeyValue[]): readonly Interval[] {
  const sorted = values.toSorted((a, b) => compareKeys(leaf, a, b));
  return sorted.filter((value, i) => i === 0 || compareKeys(leaf, value, sorted[i - 1] as KeyValue) !== 0).map(point);
}

/** What is in none of the intervals. */
function complement(intervals: readonly Interval[]): readonly Interval[] {
  const outside: Interval[] = [];
  let low: KeyValue | undefined;
  let isLowOpen = false;
  let isFirst = true;
  for (const interval of intervals) {
    if (interval.low !== undefined) {
      outside.push({ low, isLowOpen, high: interval.low, isHighOpen: !interval.isLowOpen });
    }
    isFirst = false;
    if (interval.high === undefined) return outside;
    low = interval.high;
    isLowOpen = !interval.isHighOpen;
  }
  outside.push(isFirst ? EVERYTHING : { low, isLowOpen, high: undefined, isHighOpen: false });
  return outside;
}

const EVERYTHING: Interval = { low: undefined, isLowOpen: false, high: undefined, isHighOpen: false };

/** True of the rows for which the predicate is false: where it is unknown, so is this. */
export function negated(predicate: Predicate): Predicate {
  if (predicate.kind !== 'test') {
    return { kind: predicate.kind === 'and' ? 'or' : 'and', parts: predicate.parts.map(negated) };
  }
  return { ...predicate, test: negatedTest(predicate.test) };
}

function negatedTest(test: ValueTest): ValueTest {
  if (test.kind === 'is null') return { kind: 'is not null' };
  if (test.kind === 'is not null') return { kind: 'is null' };
  return { ...test, intervals: complement(test.intervals) };
}

/** Every field that is asked, each once. */
export function fieldsOf(predicate: Predicate): readonly PredicateField[] {
  if (predicate.kind === 'test') return [predicate.field];
  return [...new Set(predicate.parts.flatMap(fieldsOf))];
}

/** Few are tried one after another; of more the one that may hold the value is found by halving. */
const TRIED_MAX = 4;

export function isWithin(leaf: LeafColumn, intervals: readonly Interval[], value: KeyValue): boolean {
  if (intervals.length <= TRIED_MAX) return intervals.some((interval) => holds(leaf, interval, value));
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const end = intervals[middle]?.high;
    if (end !== undefined && compareKeys(leaf, end, value) < 0) low = middle + 1;
    else high = middle;
  }
  // The one that ends here may be open, and the next begin where it ends.
  return intervals.slice(low, low + 2).some((interval) => holds(leaf, interval, value));
}

function holds(leaf: LeafColumn, { low, isLowOpen, high, isHighOpen }: Interval, value: KeyValue): boolean {
  if (low !== undefined) {
    const order = compareKeys(leaf, value, low);
    if (order < 0 || (order === 0 && isLowOpen)) return false;
  }
  if (high === undefined) return true;
  const order = compareKeys(leaf, value, high);
  return order < 0 || (order === 0 && !isHighOpen);
}

/** The single values that a test admits; undefined where it admits ranges. */
export function pointsIn(test: ValueTest): readonly KeyValue[] | undefined {
  if (test.kind !== 'within') return undefined;
  const points: KeyValue[] = [];
  for (const { low, isLowOpen, high, isHighOpen } of test.intervals) {
    if (low === undefined || high === undefined || isLowOpen || isHighOpen) return undefined;
    if (compareKeys(test.leaf, low, high) !== 0) return undefined;
    points.push(low);
  }
  return points;
}

/** What is known of the values of a run of rows; what is undefined is unknown, and decides nothing. */
export interface RunFacts {
  readonly bounds: Bounds | undefined;
  readonly rows: number;
  readonly nulls: number | undefined;
}

export function triOfTest(test: ValueTest, { bounds, rows, nulls }: RunFacts): Tri {
  const hasNone = nulls === 0;
  const hasOnly = bounds?.allNull === true || (nulls !== undefined && nulls >= rows);
  if (test.kind === 'is null') return hasOnly ? 'all' : hasNone ? 'no' : 'maybe';
  if (test.kind === 'is not null') return hasOnly ? 'no' : hasNone ? 'all' : 'maybe';
  if (hasOnly || test.intervals.length === 0) return 'no';
  return bounds === undefined ? 'maybe' : triOfIntervals(test.leaf, test.intervals, bounds, hasNone);
}

function triOfIntervals(
  leaf: LeafColumn,
  intervals: readonly Interval[],
  { min, max, noNaN }: Bounds,
  hasNoNull: boolean,
): Tri {
  const mayBeNaN = typeof (min ?? max ?? 0) === 'number' && !noNaN && isFloat(leaf);
  const meets = intervals.some((interval) => {
    const { low, isLowOpen, high, isHighOpen } = interval;
    if (mayBeNaN && holds(leaf, interval, Number.NaN)) return true;
    if (high !== undefined && min !== undefined) {
      const order = compareKeys(leaf, high, min);
      if (order < 0 || (order === 0 && isHighOpen)) return false;
    }
    if (low === undefined || max === undefined) return true;
    const order = compareKeys(leaf, low, max);
    return order < 0 || (order === 0 && !isLowOpen);
  });
  if (!meets) return 'no';
  if (!hasNoNull || min === undefined || max === undefined) return 'maybe';
  const holdsAll = intervals.some(
    (interval) =>
      holds(leaf, interval, min) && holds(leaf, interval, max) && (!mayBeNaN || holds(leaf, interval, Number.NaN)),
  );
  return holdsAll ? 'all' : 'maybe';
}

function isFloat({ physicalType, logicalType }: LeafColumn): boolean {
  return physicalType === 'FLOAT' || physicalType === 'DOUBLE' || logicalType.kind === 'FLOAT16';
}

export function triAnd(states: readonly Tri[]): Tri {
  if (states.includes('no')) return 'no';
  return states.includes('maybe') ? 'maybe' : 'all';
}

export function triOr(states: readonly Tri[]): Tri {
  if (states.includes('all')) return 'all';
  return states.includes('maybe') ? 'maybe' : 'no';
}
