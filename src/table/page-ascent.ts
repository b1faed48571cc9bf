/**
 * How far the values of one page are known to ascend over its blocks, so that a search may halve where it would walk.
 *
 * A page of a file that was written with large pages is many blocks, and nothing says which of them may hold a key. A
 * search that walks through them learns it on the way: each block that it passes is examined for its own order anyway,
 * and here its first value is held against the last one before it. What is learned is true of the file, whichever blocks
 * are in memory later; beyond it, and in a page that does not ascend, the search walks as before.
 */

import type { Block, KeyValue, LeafColumn } from '../parquet/index.ts';
import { compareRow, keyValueAt } from '../parquet/index.ts';
import type { BlockAt } from './block-at.ts';

/** Longer values are not kept for comparison: such a page is walked through. */
const VALUE_BYTES_MAX = 256;

/** What one is charged as; the last value is small mostly. */
export const ASCENT_BYTES = 192;

/** The block of a row, where that is at hand. */
type BlockOfRow = (row: number) => BlockAt | undefined;

export class PageAscent {
  readonly #firstRow: number;
  /** Up to here, a row of the row group, values ascend from the first of the page on. */
  #end: number;
  #last: KeyValue | undefined = undefined;
  #isOver = false;

  constructor(firstRow: number) {
    this.#firstRow = firstRow;
    this.#end = firstRow;
  }

  /** A block that was searched, and so examined: does it continue what is known? */
  extend({ block, firstRow }: BlockAt, leaf: LeafColumn): void {
    if (this.#isOver || firstRow !== this.#end) return;
    const follows =
      block.kind !== 'CODES' &&
      block.order === 'ascending' &&
      (this.#last === undefined || compareRow(block, leaf, this.#last, 0) >= 0) &&
      this.#takeLast(block, leaf);
    if (follows) this.#end += block.rows;
    else this.#isOver = true;
  }

  #takeLast(block: Block, leaf: LeafColumn): boolean {
    const last = keyValueAt(block, leaf, block.rows - 1);
    if (last instanceof Uint8Array && last.length > VALUE_BYTES_MAX) return false;
    this.#last = last;
    return true;
  }

  /**
   * Whether all rows of the page before one are known to be below its value: the row at so many rows into the block that begins at
   * `blockStart`, which ascends, and where the value before it is less.
   */
  isFirst(blockStart: number, rowInBlock: number, value: number): boolean {
    if (blockStart < this.#end) return rowInBlock > 0 && blockStart >= this.#firstRow;
    return blockStart === this.#end && typeof this.#last === 'bigint' && this.#last < value;
  }

  /**
   * From which row on, at or after `row`, the key is to be looked for. -1 - r where the block of row r has to be at hand
   * to tell. `row` is the first of a block.
   */
  next(row: number, leaf: LeafColumn, key: KeyValue, blockOf: BlockOfRow): number {
    if (row < this.#firstRow || row >= this.#end) return row;
    // Blocks that end at or before `low` are below the key; the one that begins at `high`, if any, is not.
    let low = row;
    let high = this.#end;
    let isAbove = true;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = blockOf(middle);
      if (at === undefined) return -1 - middle;
      const { block, firstRow } = at;
      const last = compareRow(block, leaf, key, block.rows - 1);
      if (Number.isNaN(last)) return row;
      if (last < 0) low = firstRow + block.rows;
      else {
        high = firstRow;
        isAbove = compareRow(block, leaf, key, 0) > 0;
      }
    }
    // Where even the first of its values is above the key, no row that is known to ascend has it.
    return isAbove ? this.#end : Math.max(row, high);
  }
}
