/**
 * Which files of a snapshot may hold a key, told without a look at any file: by the values of their partition folders
 * and by the bounds of their key columns over all row groups.
 *
 * A table may have 100,000 files, so that even passing over them one by one takes longer than the lookup. For each key
 * column every file has an interval of plain numbers, which the column's values are brought to by a function that
 * never turns their order round (`key-intervals.ts`); what is not known reaches without end, so that it never rules a
 * file out. Few files are tried one after another; of many the candidates are collected from a tree over the intervals.
 */

import type { KeyValue } from '../parquet/index.ts';
import { IntervalTree } from './interval-tree.ts';
import { type KeyIntervals, leafIntervals, partitionIntervals } from './key-intervals.ts';
import type { TableColumn } from './schema.ts';
import type { SnapshotFile } from './snapshot-file.ts';

/** Files in the order of the snapshot. */
export interface CandidateFiles {
  /** The first candidate from `from` on; the number of files where there is none. Asked with ascending `from`. */
  next(from: number): number;
}

/** So few files are sooner tried than collected and put in order. */
const TRIED_MAX = 512;
/** More candidates than this, and the tree saves little against trying: one in so many of the files. */
const COLLECTED_SHARE = 64;
const COLLECTED_FEW = 64;

const everyFile: CandidateFiles = { next: (from) => from };

export class KeyFiles {
  readonly #files: number;
  /** Those key columns that rule out any file, with the part of the key that they are. */
  readonly #columns: readonly {
    readonly part: number;
    readonly intervals: KeyIntervals;
    readonly tree: IntervalTree | undefined;
  }[];

  constructor(files: readonly SnapshotFile[], keyColumns: readonly TableColumn[]) {
    this.#files = files.length;
    this.#columns = keyColumns.flatMap((column, part) => {
      if (column.partition === undefined && files.length < 2) return [];
      const intervals =
        column.partition === undefined ? leafIntervals(files, column) : partitionIntervals(files, column);
      if (intervals === undefined) return [];
      const tree = files.length > TRIED_MAX ? new IntervalTree(intervals.low, intervals.high) : undefined;
      return [{ part, intervals, tree }];
    });
  }

  candidates(key: readonly KeyValue[]): CandidateFiles {
    if (this.#columns.length === 0) return everyFile;
    const tests: IntervalTest[] = [];
    for (const { part, intervals, tree } of this.#columns) {
      const value = key[part];
      const at = value === undefined ? Number.NaN : intervals.numberOf(value);
      if (!Number.isNaN(at)) tests.push({ low: intervals.low, high: intervals.high, tree, at });
    }
    if (tests.length === 0) return everyFile;
    const collected = this.#files > TRIED_MAX ? this.#collect(tests) : undefined;
    return collected === undefined ? new TriedFiles(tests, this.#files) : new CollectedFiles(collected, this.#files);
  }

  /** By the column that has the fewest, as far as that is cheaply known; undefined where all have many. */
  #collect(tests: readonly IntervalTest[]): Uint32Array | undefined {
    for (const limit of [COLLECTED_FEW, Math.max(COLLECTED_FEW, Math.floor(this.#files / COLLECTED_SHARE))]) {
      for (const { tree, at } of tests) {
        const found = tree?.stab(at, limit);
        if (found !== undefined) return Uint32Array.from(found.filter((file) => admits(tests, file))).sort();
      }
    }
    return undefined;
  }
}

/** The key's number in one column beside the intervals that the files have there. */
interface IntervalTest {
  readonly low: Float64Array;
  readonly high: Float64Array;
  readonly tree: IntervalTree | undefined;
  readonly at: number;
}

function admits(tests: readonly IntervalTest[], file: number): boolean {
  for (const { low, high, at } of tests) {
    if ((low[file] as number) > at || (high[file] as number) < at) return false;
  }
  return true;
}

class TriedFiles implements CandidateFiles {
  readonly #tests: readonly IntervalTest[];
  readonly #files: number;

  constructor(tests: readonly IntervalTest[], files: number) {
    this.#tests = tests;
    this.#files = files;
  }

  next(from: number): number {
    let file = from;
    while (file < this.#files && !admits(this.#tests, file)) file += 1;
    return file;
  }
}

class CollectedFiles implements CandidateFiles {
  readonly #collected: Uint32Array;
  readonly #files: number;
  #at = 0;

  constructor(collected: Uint32Array, files: number) {
    this.#collected = collected;
    this.#files = files;
  }

  next(from: number): number {
    while ((this.#collected[this.#at] ?? this.#files) < from) this.#at += 1;
    return this.#collected[this.#at] ?? this.#files;
  }
}
