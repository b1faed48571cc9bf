/**
 * Rows as an Arrow IPC stream in the table's own types: packed as they are taken (`packed-rows.ts`), and written column by
 * column whenever there are enough for a record batch (`arrow-columns.ts`).
 *
 * The package that knows the format takes 180 ms to load, so that it is loaded by the first stream.
 */

import type { Pins, Projection } from '../table/index.ts';
import { ArrowBody, ArrowFrame, END_OF_STREAM } from './arrow-body.ts';
import { fieldOf, widthOf, writeColumn } from './arrow-columns.ts';
import { type Arrow, loadArrow } from './arrow-types.ts';
import { PackedRows } from './packed-rows.ts';
import type { HeldRow, QueryPlace, RowSink } from './query.ts';

/** A batch is written when it has so many rows or bytes. */
const BATCH_ROWS = 4096;
const BATCH_BYTES = 2 ** 20;
/** What holding a row takes beside its bytes. */
const HELD_ROW_BYTES = 200;
/** What a column takes beside its values: only the first guess of a size. */
const COLUMN_BYTES = 64;
const NOTHING: Uint8Array = new Uint8Array(0);

export interface ArrowStream {
  readonly sink: RowSink;
  /** What was collected, after the schema where it is the first. */
  batch(): Uint8Array;
  /** The last batch and the end of the stream. */
  end(): Uint8Array;
}

/** Throws `unsupported` for columns that cannot be had so. */
export async function arrowStream(projection: Projection): Promise<ArrowStream> {
  return new ArrowRows(await loadArrow(), projection);
}

class ArrowRows implements ArrowStream, RowSink {
  readonly #projection: Projection;
  readonly #frame: ArrowFrame;
  readonly #widths: readonly number[];
  #packed: PackedRows;
  /** Where each begins. */
  #rows: number[] = [];
  #hasBegun = false;

  constructor(arrow: Arrow, projection: Projection) {
    const { columns } = projection;
    this.#projection = projection;
    this.#frame = new ArrowFrame(
      arrow,
      new arrow.Schema(columns.map((column) => fieldOf(arrow, column, column.isNullable))),
    );
    this.#widths = columns.map(widthOf);
    this.#packed = new PackedRows(projection, BATCH_ROWS);
  }

  get sink(): RowSink {
    return this;
  }

  get isFull(): boolean {
    return this.#rows.length >= BATCH_ROWS || this.#packed.byteLength >= BATCH_BYTES;
  }

  batch(): Uint8Array {
    return this.#written(NOTHING);
  }

  end(): Uint8Array {
    if (this.#rows.length > 0) return this.#written(END_OF_STREAM);
    return this.#hasBegun ? END_OF_STREAM : Buffer.concat([this.#frame.schemaMessage, END_OF_STREAM]);
  }

  take(place: QueryPlace, pins: Pins): boolean {
    const row = this.#packed.add(place, pins);
    if (row !== undefined) this.#rows.push(row);
    return row !== undefined;
  }

  hold(place: QueryPlace, pins: Pins): HeldRow | undefined {
    const row = this.#packed.add(place, pins);
    if (row === undefined) return undefined;
    const bytes = this.#packed.takeOut(row);
    const put = () => void this.#rows.push(this.#packed.append(bytes, 0, bytes.length));
    return { bytes: bytes.length + HELD_ROW_BYTES, put };
  }

  #written(after: Uint8Array): Uint8Array {
    const packed = this.#packed;
    const rows = this.#rows;
    const body = new ArrowBody(packed.byteLength + COLUMN_BYTES * this.#widths.length);
    for (const [column, width] of this.#widths.entries()) writeColumn(body, packed, rows, column, width);
    const before = this.#hasBegun ? NOTHING : this.#frame.schemaMessage;
    const whole = this.#frame.batch(before, rows.length, body, after);
    body.done();
    packed.done();
    this.#packed = new PackedRows(this.#projection, BATCH_ROWS);
    this.#rows = [];
    this.#hasBegun = true;
    return whole;
  }
}
