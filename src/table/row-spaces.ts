/**
 * The forms in which rows of a table are asked for, each with a number that texts of encoded rows are kept under.
 *
 * Two projections of different snapshots share a space where a row of a file they share has the same text in both, and
 * a key the same meaning: the same columns under the same names and types, formatted alike, and the same key with columns
 * of the same types. That a row may then be taken for a key's is for whoever keeps it to prove.
 *
 * Requests choose columns freely, so that a table has a bounded number of spaces. Where one more is needed, one that was
 * not used since the last time around leaves, and its number is given to no other.
 */

import { createHash } from 'node:crypto';
import { typeText } from './column-type.ts';
import type { JsonOptions } from './json-format.ts';
import { readableLeaf, type TableColumn } from './schema.ts';
import type { TableKey } from './table-key.ts';

const SPACES_MAX = 256;

let spacesMade = 0;

export class RowSpace {
  /** Never 0, and never given twice. */
  readonly number: number;
  /** For the same rows in packed form. */
  readonly packedNumber: number;
  /** To be set with each use. */
  isUsed = true;

  constructor() {
    this.number = spacesMade + 1;
    this.packedNumber = spacesMade + 2;
    spacesMade += 2;
  }
}

export class RowSpaces {
  /** Those looked at longest ago first. */
  readonly #spaces = new Map<string, RowSpace>();

  get size(): number {
    return this.#spaces.size;
  }

  /** `orderedBy` are the columns that choose among the rows of a key. */
  of(columns: readonly TableColumn[], key: TableKey, orderedBy: readonly TableColumn[], json: JsonOptions): RowSpace {
    const form = formOf(json, key.name, [columns, key.columns, orderedBy]);
    const known = this.#spaces.get(form);
    if (known !== undefined) {
      known.isUsed = true;
      return known;
    }
    if (this.#spaces.size >= SPACES_MAX) this.#drop();
    const made = new RowSpace();
    this.#spaces.set(form, made);
    return made;
  }

  /** Second chance: ends within one round, in which each mark is taken away. */
  #drop(): void {
    for (const [form, space] of this.#spaces) {
      this.#spaces.delete(form);
      if (!space.isUsed) return;
      space.isUsed = false;
      this.#spaces.set(form, space);
    }
  }
}

/** Equal only where a row's text, a key's bytes and the choice among rows are. Files' own types are a matter of the file. */
function formOf(json: JsonOptions, keyName: string | undefined, columns: readonly (readonly TableColumn[])[]): string {
  const format = [json.int64, json.nonfinite, json.valueBytesMax ?? null, keyName ?? null];
  const form = JSON.stringify([format, columns.map((some) => some.map(columnForm))]);
  return createHash('sha256').update(form).digest('base64');
}

/** Whether it may be null does not matter: a null is written alike wherever it comes from. */
function columnForm(column: TableColumn): readonly string[] {
  const { name, nested, partition } = column;
  const type = nested === undefined ? typeText(readableLeaf(column)) : JSON.stringify(nested, leavesAsTypes);
  return [name, type, nested === undefined ? 'flat' : 'nested', partition === undefined ? 'file' : 'folder'];
}

/** Of a nested type's leaf, where it lies in the file that had it first does not matter. */
function leavesAsTypes(name: string, value: unknown): unknown {
  return name === 'leaf' ? typeText(value as NonNullable<TableColumn['leaf']>) : value;
}
