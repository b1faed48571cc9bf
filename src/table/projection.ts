/**
 * The columns that a request asks for, with everything prepared that does not depend on the row.
 *
 * A row is written as fixed fragments (`{"name":`, `,"age":`) and the text of each value. Fragments rather than an
 * object: a column may be called `__proto__` or `7`, and the order of columns is the caller's.
 */

import type { LeafColumn } from '../parquet/index.ts';
import { type JsonOptions, type JsonWriter, jsonWriter } from './json-format.ts';
import { readableLeaf, type TableColumn } from './schema.ts';

export class Projection {
  readonly columns: readonly TableColumn[];
  readonly leaves: readonly LeafColumn[];
  readonly json: JsonOptions;
  /** The text before each value; `closing` ends the row. */
  readonly fragments: readonly string[];
  readonly closing: string;
  readonly writers: readonly JsonWriter[];
  /** The same for the same columns and format: the encoder's part of an ETag. */
  readonly id: string;

  constructor(columns: readonly TableColumn[], json: JsonOptions) {
    this.columns = columns;
    this.json = json;
    this.leaves = columns.map(readableLeaf);
    this.writers = this.leaves.map((leaf) => jsonWriter(leaf, json));
    this.fragments = columns.map((column, i) => `${i === 0 ? '{' : ','}${JSON.stringify(column.name)}:`);
    this.closing = columns.length === 0 ? '{}' : '}';
    this.id = `json-${json.int64}-${json.nonfinite}:${columns.map((column) => column.ordinal).join(',')}`;
  }
}
