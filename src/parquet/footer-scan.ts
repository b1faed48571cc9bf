/**
 * Reads the Thrift of a footer (FileMetaData) straight into typed arrays: no object a row group, chunk or statistic.
 * What comes out is wide and temporary; `FileIndex` packs it.
 *
 * Damage that concerns one chunk does not refuse the file here: the chunk is marked in its codec, and whoever asks for
 * it gets the error. Damage to the structure (row groups without their columns, counts the bytes cannot hold) does.
 * FileMetaData.num_rows is not read: real files give it wrong, and the row groups are what is stored.
 */

import { copyBytes, corrupt, ServiceError, unsupported } from '../core/index.ts';
import { boundFormOf } from './bounds.ts';
import { type ExpectedColumn, ScannedChunks, scanChunk } from './chunk-scan.ts';
import { COLUMN_ORDERS, PHYSICAL_TYPES } from './file-format.ts';
import type { FileSchema, LeafColumn } from './schema.ts';
import { decodeSchema } from './schema-tree.ts';
import { ThriftReader, WIRE } from './thrift.ts';

/** The least bytes a ColumnChunk with all its required fields takes. */
const MIN_CHUNK_BYTES = 16;
/** Key-value pairs of a footer. Real ones have a few. */
const MAX_KEY_VALUES = 65_536;
/** A value of the key-value metadata longer than this is known by name and length only. */
const MAX_KEPT_VALUE_BYTES = 4096;

export interface SortingColumn {
  readonly column: number;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

export interface ScannedFooter {
  readonly schema: FileSchema;
  readonly schemaBytes: Uint8Array;
  readonly rowGroupRows: Float64Array;
  readonly chunks: ScannedChunks;
  /** The distinct sorting orders, and which of them each row group has. */
  readonly sortings: readonly (readonly SortingColumn[])[];
  readonly sortingOf: Float64Array;
  /** Of each column, its position in COLUMN_ORDERS. May be shorter than the columns are many. */
  readonly columnOrders: Uint8Array;
  readonly createdBy: string;
  readonly keyValues: readonly KeptKeyValue[];
}

export interface KeptKeyValue {
  readonly name: string;
  /** Undefined when the value is missing or too long to be kept. */
  readonly value: string | undefined;
  readonly valueBytes: number;
}

/** `source` is exactly the bytes of FileMetaData. */
export function scanFooter(source: Uint8Array): ScannedFooter {
  return new FooterScanner(source).scan();
}

class FooterScanner {
  readonly #source: Uint8Array;
  readonly #reader: ThriftReader;
  #schema: FileSchema | undefined;
  #schemaBytes = new Uint8Array(0);
  #rowGroupRows = new Float64Array(0);
  #chunks: ScannedChunks | undefined;
  readonly #sortings: (readonly SortingColumn[])[] = [[]];
  #sortingOf = new Float64Array(0);

  constructor(footer: Uint8Array) {
    // Always a plain view: code that has met Buffers as well reads either more slowly.
    const source = new Uint8Array(footer.buffer, footer.byteOffset, footer.byteLength);
    this.#source = source;
    this.#reader = new ThriftReader(source);
  }

  scan(): ScannedFooter {
    const reader = this.#reader;
    let rowGroupsAt = -1;
    let createdBy = '';
    let keyValues: KeptKeyValue[] = [];
    let columnOrders = new Uint8Array(0);
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      switch (field) {
        case 0x29: // schema
          this.#readSchema();
          break;
        case 0x49: // row_groups
          rowGroupsAt = reader.offset;
          if (this.#schema === undefined) reader.skip(field);
          else this.#readRowGroups(this.#schema);
          break;
        case 0x59: // key_value_metadata
          keyValues = readKeyValues(reader);
          break;
        case 0x68: // created_by
          createdBy = reader.string();
          break;
        case 0x79: // column_orders
          columnOrders = readColumnOrders(reader);
          break;
        case 0x8c: // encryption_algorithm
          throw unsupported('the file is encrypted (with its footer in plain), and encrypted files cannot be read');
        default:
          reader.skip(field);
      }
    }
    if (this.#schema === undefined) throw corrupt('the footer has no schema');
    if (rowGroupsAt === -1) throw corrupt('the footer has no list of row groups');
    if (this.#chunks === undefined) {
      reader.offset = rowGroupsAt;
      this.#readRowGroups(this.#schema);
    }
    return {
      schema: this.#schema,
      schemaBytes: this.#schemaBytes,
      rowGroupRows: this.#rowGroupRows,
      chunks: this.#chunks ?? new ScannedChunks(this.#source, 0),
      sortings: this.#sortings,
      sortingOf: this.#sortingOf,
      columnOrders,
      createdBy,
      keyValues,
    };
  }

  #readSchema(): void {
    if (this.#schema !== undefined) throw corrupt('the footer has two schemas');
    const from = this.#reader.offset;
    this.#schema = decodeSchema(this.#reader);
    this.#schemaBytes = copyBytes(this.#source, from, this.#reader.offset);
  }

  /** list<RowGroup> */
  #readRowGroups(schema: FileSchema): void {
    if (this.#chunks !== undefined) throw corrupt('the footer has two lists of row groups');
    const columns = schema.leaves.length;
    const rowGroups = this.#reader.listSize(WIRE.STRUCT, Math.max(1, columns * MIN_CHUNK_BYTES));
    this.#rowGroupRows = new Float64Array(rowGroups);
    this.#sortingOf = new Float64Array(rowGroups);
    this.#chunks = new ScannedChunks(this.#source, rowGroups * columns);
    const expected = schema.leaves.map(expectedColumn);
    for (let rowGroup = 0; rowGroup < rowGroups; rowGroup += 1) {
      try {
        this.#readRowGroup(this.#chunks, expected, rowGroup);
      } catch (error) {
        throw error instanceof ServiceError ? error.with({ rowGroup }) : error;
      }
    }
  }

  #readRowGroup(chunks: ScannedChunks, expected: readonly ExpectedColumn[], rowGroup: number): void {
    const reader = this.#reader;
    let numRows = -1;
    let columns = -1;
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      if (field === 0x19) {
        columns = reader.listSize(WIRE.STRUCT);
        if (columns !== expected.length) break;
        for (let column = 0; column < columns; column += 1) {
          reader.offset = scanChunk(
            reader.bytes,
            reader.offset,
            chunks,
            rowGroup * columns + column,
            expected[column]!,
          );
        }
        if (reader.offset > reader.end) throw corrupt(`the footer ends inside row group ${rowGroup}`);
      } else if (field === 0x36) numRows = reader.integer();
      else if (field === 0x49) this.#readSortingColumns(expected.length, rowGroup);
      else reader.skip(field);
    }
    if (columns !== expected.length) {
      throw corrupt(`row group ${rowGroup} has ${Math.max(0, columns)} column chunks for ${expected.length} columns`);
    }
    if (numRows < 0) throw corrupt(`row group ${rowGroup} has ${numRows === -1 ? 'no' : 'a negative'} number of rows`);
    if (numRows > 0x7fff_ffff) throw unsupported(`row group ${rowGroup} has ${numRows} rows, more than 2^31 - 1`);
    this.#rowGroupRows[rowGroup] = numRows;
  }

  /** list<SortingColumn>. Row groups mostly share one order, which is then kept once. */
  #readSortingColumns(columns: number, rowGroup: number): void {
    const reader = this.#reader;
    const size = reader.listSize(WIRE.STRUCT);
    const sorting: SortingColumn[] = [];
    for (let index = 0; index < size; index += 1) {
      const sortingColumn = readSortingColumn(reader);
      const isColumn = sortingColumn.column >= 0 && sortingColumn.column < columns;
      if (isColumn && sorting.length < columns) sorting.push(sortingColumn);
    }
    const last = this.#sortings.length - 1;
    const isLast = JSON.stringify(sorting) === JSON.stringify(this.#sortings[last]);
    if (!isLast) this.#sortings.push(sorting);
    this.#sortingOf[rowGroup] = isLast ? last : last + 1;
  }
}

function expectedColumn(leaf: LeafColumn): ExpectedColumn {
  const parts = leaf.path.map((name) => Buffer.from(name));
  const header = parts.length < 15 ? [(parts.length << 4) | 8] : [0xf8, ...varint(parts.length)];
  const path = Buffer.concat([
    Buffer.from(header),
    ...parts.flatMap((part) => [Buffer.from(varint(part.length)), part]),
  ]);
  const type = PHYSICAL_TYPES.indexOf(leaf.physicalType);
  const view = new DataView(path.buffer, path.byteOffset, path.byteLength);
  return { type, path: view, form: boundFormOf(leaf), typeLength: leaf.typeLength };
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function readSortingColumn(reader: ThriftReader): SortingColumn {
  let column = -1;
  let descending = false;
  let nullsFirst = false;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x16) column = reader.integer();
    else if (field === 0x21) descending = true;
    else if (field === 0x31) nullsFirst = true;
    else reader.skip(field);
  }
  return { column, descending, nullsFirst };
}

/** list<KeyValue> */
function readKeyValues(reader: ThriftReader): KeptKeyValue[] {
  const size = reader.listSize(WIRE.STRUCT, 2);
  if (size > MAX_KEY_VALUES) throw unsupported(`the footer has ${size} key-value pairs, more than ${MAX_KEY_VALUES}`);
  const keyValues: KeptKeyValue[] = [];
  for (let index = 0; index < size; index += 1) {
    let name = '';
    let value: string | undefined;
    let valueBytes = 0;
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      if (field === 0x18) name = reader.string();
      else if (field === 0x28) {
        valueBytes = reader.binaryLength();
        if (valueBytes <= MAX_KEPT_VALUE_BYTES) {
          value = Buffer.from(reader.bytes.buffer, reader.bytes.byteOffset + reader.offset, valueBytes).toString(
            'utf8',
          );
        }
        reader.offset += valueBytes;
      } else reader.skip(field);
    }
    keyValues.push({ name, value, valueBytes });
  }
  return keyValues;
}

/** list<ColumnOrder>, each as its position in COLUMN_ORDERS. */
function readColumnOrders(reader: ThriftReader): Uint8Array<ArrayBuffer> {
  const size = reader.listSize(WIRE.STRUCT);
  const orders = new Uint8Array(size);
  for (let index = 0; index < size; index += 1) {
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      const id = field >> 4;
      if (id > 0 && id < COLUMN_ORDERS.length) orders[index] = id;
      reader.skip(field);
    }
  }
  return orders;
}
