/** Sets of rows as ascending ranges [start, end) in turn, none touching the next, and what a predicate leaves of them. */

import type { FilePredicate, LeafTest, Tri } from '../table/index.ts';

export type RowRanges = readonly number[];

/** Rows that may match, and those of them that do whatever their values are. */
export interface Candidates {
  readonly may: RowRanges;
  readonly all: RowRanges;
}

/** `pagesOf` says for a leaf the state of each run of rows, in order and without a gap. */
export function candidateRanges(
  predicate: FilePredicate,
  rows: number,
  pagesOf: (test: LeafTest) => Iterable<{ readonly state: Tri; readonly start: number; readonly end: number }>,
): Candidates {
  if (predicate.kind === 'constant') {
    const ranges = predicate.state === 'all' ? [0, rows] : [];
    return { may: ranges, all: ranges };
  }
  if (predicate.kind === 'leaf') return ofLeaf(pagesOf(predicate));
  const [first, ...rest] = predicate.parts.map((part) => candidateRanges(part, rows, pagesOf));
  const join = predicate.kind === 'and' ? intersect : union;
  return rest.reduce((a, b) => ({ may: join(a.may, b.may), all: join(a.all, b.all) }), first ?? { may: [], all: [] });
}

function ofLeaf(pages: Iterable<{ readonly state: Tri; readonly start: number; readonly end: number }>): Candidates {
  const may: number[] = [];
  const all: number[] = [];
  for (const { state, start, end } of pages) {
    if (state !== 'no') append(may, start, end);
    if (state === 'all') append(all, start, end);
  }
  return { may, all };
}

function append(ranges: number[], start: number, end: number): void {
  if (start >= end) return;
  const last = ranges.at(-1);
  if (last !== undefined && last >= start) ranges[ranges.length - 1] = Math.max(last, end);
  else ranges.push(start, end);
}

function intersect(a: RowRanges, b: RowRanges): RowRanges {
  const both: number[] = [];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const aEnd = a[i + 1] ?? 0;
    const bEnd = b[j + 1] ?? 0;
    append(both, Math.max(a[i] ?? 0, b[j] ?? 0), Math.min(aEnd, bEnd));
    if (aEnd <= bEnd) i += 2;
    else j += 2;
  }
  return both;
}

function union(a: RowRanges, b: RowRanges): RowRanges {
  const either: number[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const takesA = j >= b.length || (i < a.length && (a[i] ?? 0) <= (b[j] ?? 0));
    if (takesA) append(either, a[i] ?? 0, a[i + 1] ?? 0);
    else append(either, b[j] ?? 0, b[j + 1] ?? 0);
    if (takesA) i += 2;
    else j += 2;
  }
  return either;
}

/** The range that holds the row, or the next one: [start, end); undefined behind the last. */
export function rangeAt(ranges: RowRanges, row: number): readonly [number, number] | undefined {
  let low = 0;
  let high = ranges.length / 2;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[2 * middle + 1] ?? 0) <= row) low = middle + 1;
    else high = middle;
  }
  const start = ranges[2 * low];
  return start === undefined ? undefined : [start, ranges[2 * low + 1] ?? start];
}
