/**
 * Goes through the entries that one leaf has in one row: at each its levels and, where they are full, its value.
 *
 * The leaves of a row are read side by side and must tell the same story. Each reader checks the part it relies on, so
 * that a file whose leaves disagree is `corrupt` and not a wrong answer.
 */

import { corrupt, type ServiceError } from '../core/index.ts';
import type { Block, LeafColumn, NestedLevels } from '../parquet/index.ts';
import type { BlockAt } from './block-at.ts';

/** The text of what the cursors below a node stand before; they then stand behind it. */
export type Write = () => string;

export class LeafCursor {
  readonly leaf: LeafColumn;
  /** The entry that is next, by which the block's value readers are asked. */
  entry = 0;
  #end = 0;
  #block: Block | undefined = undefined;
  #levels: NestedLevels | undefined = undefined;

  constructor(leaf: LeafColumn) {
    this.leaf = leaf;
  }

  /** Stands before the first entry of the row, which the block holds. */
  open({ block, firstRow }: BlockAt, row: number): void {
    const { levels } = block;
    const at = row - firstRow;
    this.#block = block;
    this.#levels = levels;
    this.entry = levels?.firstEntry(at) ?? at;
    this.#end = levels?.firstEntry(at + 1) ?? at + 1;
  }

  get block(): Block {
    if (this.#block === undefined) throw this.fault('are read before a row was opened');
    return this.#block;
  }

  /** The definition level of the next entry. */
  level(): number {
    if (this.entry >= this.#end) throw this.fault('end before those of its siblings');
    if (this.#levels !== undefined) return this.#levels.definitionAt(this.entry);
    return this.#block?.isNull(this.entry) ? 0 : this.leaf.maxDefinitionLevel;
  }

  /** Whether the next entry goes on with the list of this repetition level. */
  goesOn(repetitionLevel: number): boolean {
    const isRepeated = this.entry < this.#end && this.#levels?.isRepeated === true;
    return isRepeated && this.#levels?.repetitionAt(this.entry) === repetitionLevel;
  }

  /** Passes over an entry that says no more than that something around the leaf is null or empty. */
  skip(level: number): void {
    if (this.level() !== level) throw this.fault('disagree with those of its siblings about what is null');
    this.entry += 1;
  }

  close(): void {
    if (this.entry !== this.#end) throw this.fault('go on behind the end of the row');
  }

  fault(how: string): ServiceError {
    return corrupt(`the levels of column ${this.leaf.name} ${how}`, { column: this.leaf.name });
  }
}

/** All leaves of something null or empty say so with one entry of one level. */
export function skip(cursors: readonly LeafCursor[], level: number, outerLevel: number, text: string): string {
  if (level < outerLevel) throw (cursors[0] as LeafCursor).fault('say that something is null which is not');
  for (let i = 0; i < cursors.length; i++) (cursors[i] as LeafCursor).skip(level);
  return text;
}

/** Whether a list has another element, which all its leaves must say alike. */
export function goOn(cursors: readonly LeafCursor[], repetitionLevel: number): boolean {
  const goes = (cursors[0] as LeafCursor).goesOn(repetitionLevel);
  for (let i = 1; i < cursors.length; i++) {
    const cursor = cursors[i] as LeafCursor;
    if (cursor.goesOn(repetitionLevel) !== goes) throw cursor.fault('disagree with those of its siblings about a list');
  }
  return goes;
}
