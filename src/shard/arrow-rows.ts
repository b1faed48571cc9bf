/**
 * Rows as an Arrow IPC stream in the table's own types: values are collected by column, and leave as record batches.
 *
 * The package that writes the format takes 180 ms to load, so that it is loaded by the first stream. It writes a schema
 * and an end around every batch; both are cut off, and written once. Columns of more than one value a row, and types
 * that have no order, are refused by name.
 */

import type { Data, DataType, TypeMap } from 'apache-arrow';
import { ServiceError } from '../core/index.ts';
import { type KeyValue, keyClassOf, type LeafColumn } from '../parquet/index.ts';
import { folderValue, type Pins, type TableColumn, tableValueAt } from '../table/index.ts';
import { type Arrow, loadArrow, typeOf } from './arrow-types.ts';
import { missingPages } from './encode-row.ts';
import type { HeldRow, QueryPlace, RowSink } from './query.ts';

type Value = KeyValue | undefined;

/** A batch is written when it has so many rows or bytes. */
const BATCH_ROWS = 4096;
const BATCH_BYTES = 2 ** 20;
/** What holding a value takes beside its bytes. */
const HELD_VALUE_BYTES = 100;
/** Continuation and a length of zero. */
const END_BYTES = 8;

export interface ArrowStream {
  readonly sink: RowSink;
  /** What was collected, after the schema where it is the first. */
  batch(): Uint8Array;
  /** The last batch and the end of the stream. */
  end(): Uint8Array;
}

export async function arrowStream(columns: readonly TableColumn[]): Promise<ArrowStream> {
  const arrow = await loadArrow();
  return new ArrowRows(arrow, columns);
}

class ArrowRows implements ArrowStream, RowSink {
  readonly #arrow: Arrow;
  readonly #columns: readonly TableColumn[];
  readonly #leaves: readonly LeafColumn[];
  readonly #schema: InstanceType<Arrow['Schema']>;
  readonly #schemaMessage: Uint8Array;
  #values: Value[][];
  #rows = 0;
  #bytes = 0;
  #hasBegun = false;

  constructor(arrow: Arrow, columns: readonly TableColumn[]) {
    this.#arrow = arrow;
    this.#columns = columns;
    this.#leaves = columns.map(leafOf);
    this.#values = columns.map(() => []);
    const fields = columns.map(
      (column, i) => new arrow.Field(column.name, typeOf(arrow, this.#leaves[i] as LeafColumn), column.isNullable),
    );
    this.#schema = new arrow.Schema<TypeMap>(fields);
    const empty = arrow.RecordBatchStreamWriter.writeAll(new arrow.Table(this.#schema)).toUint8Array(true);
    this.#schemaMessage = this.#messages(empty).schema;
  }

  get sink(): RowSink {
    return this;
  }

  get isFull(): boolean {
    return this.#rows >= BATCH_ROWS || this.#bytes >= BATCH_BYTES;
  }

  batch(): Uint8Array {
    const arrow = this.#arrow;
    const children = this.#leaves.map((leaf, i) =>
      dataOf(arrow, typeOf(arrow, leaf), leaf, this.#values[i] as Value[]),
    );
    const struct = arrow.makeData({
      type: new arrow.Struct(this.#schema.fields),
      length: this.#rows,
      nullCount: 0,
      children,
    });
    const whole = arrow.RecordBatchStreamWriter.writeAll([new arrow.RecordBatch(this.#schema, struct)]).toUint8Array(
      true,
    );
    this.#values = this.#columns.map(() => []);
    this.#rows = 0;
    this.#bytes = 0;
    const body = whole.subarray(this.#schemaMessage.length, whole.length - END_BYTES);
    if (this.#hasBegun) return body;
    this.#hasBegun = true;
    return Buffer.concat([this.#schemaMessage, body]);
  }

  end(): Uint8Array {
    const last = this.#rows > 0 ? this.batch() : this.#hasBegun ? new Uint8Array(0) : this.#schemaMessage;
    return Buffer.concat([last, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)]);
  }

  /** Of a stream without rows: its first message says its own length. */
  #messages(empty: Uint8Array): { readonly schema: Uint8Array } {
    const metadataBytes = Buffer.from(empty.buffer, empty.byteOffset, empty.length).readInt32LE(4);
    return { schema: empty.slice(0, 8 + metadataBytes) };
  }

  take(place: QueryPlace, pins: Pins): boolean {
    const row = this.hold(place, pins);
    row?.put();
    return row !== undefined;
  }

  hold(place: QueryPlace, pins: Pins): HeldRow | undefined {
    if (missingPages(place, this.#columns, pins).length > 0) return undefined;
    const values: Value[] = [];
    let bytes = 0;
    const { file, mapping, leafPositions } = place.file;
    for (const column of this.#columns) {
      const position = leafPositions[column.ordinal] ?? -1;
      let value: Value;
      if (position < 0) value = folderValue(place.file, column)?.key;
      else {
        const at = file.chunk(place.rowGroup, position).at(place.row, pins);
        const row = place.row - (at?.firstRow ?? 0);
        if (at !== undefined && !at.block.isNull(row)) {
          value = tableValueAt(mapping, file.index.schema, column, at.block, row);
        }
      }
      // Kept while others are read: its block's memory may be another's by then.
      values.push(value instanceof Uint8Array ? value.slice() : value);
      bytes += value instanceof Uint8Array ? value.length + 4 : 8;
    }
    const put = () => {
      for (const [i, value] of values.entries()) this.#values[i]?.push(value);
      this.#bytes += bytes;
      this.#rows += 1;
    };
    // A value of bytes is an object of its own.
    return { bytes: bytes + HELD_VALUE_BYTES * values.length, put };
  }
}

function leafOf(column: TableColumn): LeafColumn {
  const { leaf, name } = column;
  if (leaf !== undefined && keyClassOf(leaf) !== 'unsearchable') return leaf;
  const message = `column ${JSON.stringify(name)} has no Arrow form in this version; name other columns, or ask for JSON`;
  throw new ServiceError('invalid', 'unsupported', message, { column: name, feature: 'nested columns in Arrow' });
}

/** The values laid out as the type has them. Null slots hold zero. */
function dataOf(arrow: Arrow, type: DataType, leaf: LeafColumn, values: readonly Value[]): Data {
  const length = values.length;
  const nullCount = values.filter((value) => value === undefined).length;
  const nullBitmap = nullCount === 0 ? null : bitsOf(values, (value) => value !== undefined);
  const base = { length, nullCount, nullBitmap };
  const of = (parts: object) => arrow.makeData({ type, ...base, ...parts } as Parameters<Arrow['makeData']>[0]) as Data;
  if (arrow.DataType.isBool(type)) return of({ data: bitsOf(values, (value) => value === true) });
  if (arrow.DataType.isDecimal(type)) return of({ data: decimalWords(values) });
  if (arrow.DataType.isFixedSizeBinary(type)) return of({ data: fixedBytes(values, leaf.typeLength) });
  if (arrow.DataType.isUtf8(type) || arrow.DataType.isBinary(type)) {
    const valueOffsets = new Int32Array(length + 1);
    for (const [i, value] of values.entries()) valueOffsets[i + 1] = (valueOffsets[i] ?? 0) + bytesIn(value).length;
    return of({ valueOffsets, data: Buffer.concat(values.map(bytesIn)) });
  }
  const data = new (type.ArrayType as new (length: number) => { [at: number]: number | bigint })(length);
  const isBig = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (const [i, value] of values.entries()) {
    if (typeof value === 'bigint' || typeof value === 'number') data[i] = isBig ? BigInt(value) : Number(value);
  }
  return of({ data });
}

const NO_BYTES = new Uint8Array(0);

function bytesIn(value: Value): Uint8Array {
  return value instanceof Uint8Array ? value : NO_BYTES;
}

function bitsOf(values: readonly Value[], isSet: (value: Value) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(values.length / 8));
  for (const [i, value] of values.entries()) if (isSet(value)) bits[i >>> 3] = (bits[i >>> 3] ?? 0) | (1 << (i & 7));
  return bits;
}

function fixedBytes(values: readonly Value[], width: number): Uint8Array {
  const bytes = new Uint8Array(values.length * width);
  for (const [i, value] of values.entries()) bytes.set(bytesIn(value), i * width);
  return bytes;
}

/** Little-endian two's complement of 128 bits. */
function decimalWords(values: readonly Value[]): Uint32Array {
  const halves = new BigUint64Array(2 * values.length);
  for (const [i, value] of values.entries()) {
    if (typeof value !== 'bigint' && typeof value !== 'number') continue;
    const unscaled = BigInt(value);
    halves[2 * i] = BigInt.asUintN(64, unscaled);
    halves[2 * i + 1] = BigInt.asUintN(64, unscaled >> 64n);
  }
  return new Uint32Array(halves.buffer);
}
