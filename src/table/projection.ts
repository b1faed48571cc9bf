/**
 * The columns that a request asks for, with everything prepared that does not depend on the row.
 *
 * A row is written as fixed fragments (`{"name":`, `,"age":`) and the text of each value. Fragments rather than an
 * object: a column may be called `__proto__` or `7`, and the order of columns is the caller's.
 */

import type { Block } from '../parquet/index.ts';
import { CastValues } from './cast-values.ts';
import type { FileMapping } from './file-mapping.ts';
import {
  isText,
  type JsonOptions,
  type JsonValue,
  type JsonWriter,
  jsonWriter,
  type NumberForm,
  numberForm,
} from './json-format.ts';
import { NestedWriter } from './nested-writer.ts';
import type { RowSpace } from './row-spaces.ts';
import { readableLeaf, type TableColumn } from './schema.ts';
import type { TableKey } from './table-key.ts';
import { LOAD_NONE, LOAD_TEXT } from './value-load.ts';

/** The JSON text of the value at a row of a file's block. */
export type BlockWriter = (block: Block, row: number) => string;

/** With more, any object becomes a dictionary of the engine's. */
const TEMPLATE_COLUMNS_MAX = 128;

const writeNull: JsonWriter = () => 'null';

export class Projection {
  readonly columns: readonly TableColumn[];
  /** By which rows are found. */
  readonly key: TableKey;
  /** Of the columns, by which a file's leaf positions are found. */
  readonly ordinals: Int32Array;
  readonly json: JsonOptions;
  /** The text before each value; `closing` ends the row. */
  readonly fragments: readonly string[];
  readonly closing: string;
  /** For files whose types are the table's own. The one of a nested column stands for nothing. */
  readonly writers: readonly JsonWriter[];
  /** How values are loaded that are numbers or texts; `LOAD_NONE` for the others, which their writers write. */
  readonly loads: Uint8Array;
  /** Of the columns that are numbers, what JSON has for each. */
  readonly numberValues: readonly NumberForm['value'][];
  readonly names: readonly string[];
  /**
   * An object whose text has the fragments of a row, into which values are put: the engine then writes all numbers and texts in one
   * go. Undefined where an object has not the order or the names of the columns.
   */
  readonly template: Record<string, JsonValue> | undefined;
  /** Of the nested columns. */
  readonly nested: readonly (NestedWriter | undefined)[];
  /** The same for the same columns and format: the encoder's part of an ETag. */
  readonly id: string;
  /** Shared with other snapshots' projections where rows have the same text by both. */
  readonly space: RowSpace;
  readonly #castingWriters = new WeakMap<FileMapping, readonly BlockWriter[]>();

  constructor(columns: readonly TableColumn[], json: JsonOptions, key: TableKey, space: RowSpace) {
    this.columns = columns;
    this.key = key;
    this.ordinals = Int32Array.from(columns, (column) => column.ordinal);
    this.space = space;
    this.json = json;
    this.nested = columns.map(({ nested, ordinal }) => nested && new NestedWriter(ordinal, nested, json));
    this.writers = columns.map((column) => (column.nested ? writeNull : jsonWriter(readableLeaf(column), json)));
    const forms = columns.map(({ leaf }) => (leaf === undefined ? undefined : numberForm(leaf, json)));
    this.loads = Uint8Array.from(columns, ({ leaf }, i) =>
      leaf !== undefined && isText(leaf) ? LOAD_TEXT : (forms[i]?.load ?? LOAD_NONE),
    );
    this.numberValues = forms.map((form) => form?.value ?? String);
    this.names = columns.map(({ name }) => name);
    this.fragments = columns.map((column, i) => `${i === 0 ? '{' : ','}${JSON.stringify(column.name)}:`);
    this.closing = columns.length === 0 ? '{}' : '}';
    this.template = templateOf(
      this.names,
      `${this.fragments.map((fragment) => `${fragment}0`).join('')}${this.closing}`,
    );
    this.id = `json-${json.int64}-${json.nonfinite}:${columns.map((column) => column.ordinal).join(',')}`;
  }

  /** By column, for the blocks of a file. Nothing but the lookup of these depends on what the file's types are. */
  writersFor(mapping: FileMapping): readonly BlockWriter[] {
    if (mapping.casts === undefined) return this.writers;
    const known = this.#castingWriters.get(mapping);
    if (known !== undefined) return known;
    const made = this.writers.map((writer, i): BlockWriter => {
      const cast = mapping.casts?.[this.columns[i]?.ordinal ?? -1];
      return cast === undefined ? writer : (block, row) => writer(new CastValues(block, cast), row);
    });
    this.#castingWriters.set(mapping, made);
    return made;
  }
}

/** Made by `fromEntries`: of an object that is given so many names by assignment the engine makes a dictionary, which is slower. */
function templateOf(names: readonly string[], text: string): Record<string, JsonValue> | undefined {
  if (names.length === 0 || names.length > TEMPLATE_COLUMNS_MAX) return undefined;
  const template: Record<string, JsonValue> = Object.fromEntries(names.map((name) => [name, 0]));
  return JSON.stringify(template) === text ? template : undefined;
}
