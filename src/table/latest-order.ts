/**
 * Which of several rows of one key is the latest: the one of the greatest values in the `latest_by` columns, compared in
 * turn, nulls lowest; of equal ones the last in the order of the files.
 *
 * Most files need not be asked: bounds of the first column over a whole file, or the value of its folder, say that no row
 * of it can be later than one that was found. So files are searched from the greatest bound down.
 */

import { compareKeys, type KeyValue, keyClassOf } from '../parquet/index.ts';
import type { CandidateFiles } from './key-files.ts';
import { type KeyIntervals, leafIntervals, partitionIntervals } from './key-intervals.ts';
import { readableLeaf, type TableColumn } from './schema.ts';
import type { SnapshotFile } from './snapshot-file.ts';

/** By latest_by column; undefined for null. */
export type LatestValues = readonly (KeyValue | undefined)[];

export class LatestOrder {
  readonly columns: readonly TableColumn[];
  readonly #files: number;
  /** Of the first column, where anything is known of it. */
  readonly #intervals: KeyIntervals | undefined;
  /** From the greatest bound down, of equal ones the last file first; and where in that order each file is. */
  readonly #fileAt: Uint32Array;
  readonly #rankOf: Uint32Array;

  constructor(files: readonly SnapshotFile[], columns: readonly TableColumn[]) {
    this.columns = columns;
    this.#files = files.length;
    this.#intervals = columns[0] && intervalsOf(files, columns[0]);
    const high = this.#intervals?.high;
    this.#fileAt = Uint32Array.from(files.keys()).sort((a, b) => descending(high?.[a], high?.[b]) || b - a);
    this.#rankOf = new Uint32Array(files.length);
    for (const [rank, file] of this.#fileAt.entries()) this.#rankOf[file] = rank;
  }

  /** In the order in which they are to be searched. */
  inOrder(candidates: CandidateFiles): Uint32Array {
    const ranks: number[] = [];
    for (let file = candidates.next(0); file < this.#files; file = candidates.next(file + 1)) {
      ranks.push(this.#rankOf[file] ?? 0);
    }
    return Uint32Array.from(ranks)
      .sort()
      .map((rank) => this.#fileAt[rank] ?? 0);
  }

  /** False where every row of the file is provably earlier than a row of these values. */
  mayBeLater(file: number, than: LatestValues): boolean {
    const [first] = than;
    if (this.#intervals === undefined || first === undefined) return true;
    const at = this.#intervals.numberOf(first);
    return Number.isNaN(at) || !((this.#intervals.high[file] as number) < at);
  }

  /** False where every row of the file is provably earlier than every row of the other that has a value at all. */
  mayMeet(file: number, other: number): boolean {
    if (this.#intervals === undefined) return true;
    const { low, high } = this.#intervals;
    return !((high[file] as number) < (low[other] as number));
  }

  compare(a: LatestValues, b: LatestValues): number {
    for (const [i, column] of this.columns.entries()) {
      const order = compareValues(column, a[i], b[i]);
      if (order !== 0) return order;
    }
    return 0;
  }
}

function intervalsOf(files: readonly SnapshotFile[], column: TableColumn): KeyIntervals | undefined {
  if (column.partition !== undefined) return partitionIntervals(files, column);
  // Bounds of floating-point numbers leave out NaN, which is greater than all.
  return keyClassOf(readableLeaf(column)) === 'float' ? undefined : leafIntervals(files, column);
}

function compareValues(column: TableColumn, a: KeyValue | undefined, b: KeyValue | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareKeys(readableLeaf(column), a, b);
}

/** Two infinities have no difference. */
function descending(a = 0, b = 0): number {
  return a === b ? 0 : b - a;
}
