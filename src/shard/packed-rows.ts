/**
 * Rows found one after the other, in whatever order their pages came, packed until their columns are written.
 *
 *     row: nulls (a bit a column) | slots of every column | bytes (padded to 4)
 *
 * A slot holds the value as Arrow has it: one word, two, or four of a decimal; for values of bytes it holds where they lie,
 * counted from the start of the row, and how many they are. A column without an Arrow type is packed as its JSON text.
 */

import type { BufferViews } from '../core/index.ts';
import type { LeafColumn } from '../parquet/index.ts';
import { keyClassOf } from '../parquet/index.ts';
import {
  ASK,
  CastValues,
  castFaultIn,
  folderValue,
  NESTED,
  NULL,
  type Pins,
  type Projection,
  type RowValues,
  type TableColumn,
  type ValueReader,
  valuesOfRow,
  valueTooLarge,
} from '../table/index.ts';
import { nestedText, type RowPlace } from './encode-row.ts';
import { ScratchWords } from './scratch-words.ts';

export type PackedKind = 'bit' | 'word' | 'pair' | 'half' | 'float' | 'double' | 'wide' | 'bytes' | 'text';

const SLOT_WORDS: Readonly<Record<PackedKind, number>> = {
  bit: 1,
  word: 1,
  half: 1,
  float: 1,
  pair: 2,
  double: 2,
  bytes: 2,
  text: 2,
  wide: 4,
};
/** What the bytes of a row's texts usually take, and the most that is taken at first. */
const TEXT_WORDS_EXPECTED = 8;
const FIRST_WORDS_MAX = 65_536;
const WIDE_BYTES = 16;

const scratch = new ScratchWords();
/** Up to here a loop is faster than a call. */
export const COPIED_IN_PLACE_MAX = 48;

export class PackedRows {
  readonly kinds: readonly PackedKind[];
  /** Words from the start of a row to each column's slot. */
  readonly slots: Int32Array;
  words: Uint32Array<ArrayBuffer>;
  bytes: Buffer;
  readonly #projection: Projection;
  readonly #fixedWords: number;
  readonly #bytesMax: number;
  #floats: DataView;
  /** In words. */
  #end = 0;

  /** `rowsExpected` is only a first guess. */
  constructor(projection: Projection, rowsExpected: number) {
    this.#projection = projection;
    this.#bytesMax = projection.json.valueBytesMax ?? Number.POSITIVE_INFINITY;
    this.kinds = projection.columns.map(packedKind);
    this.slots = new Int32Array(this.kinds.length);
    let at = Math.ceil(this.kinds.length / 32);
    for (const [i, kind] of this.kinds.entries()) {
      this.slots[i] = at;
      at += SLOT_WORDS[kind];
    }
    this.#fixedWords = at;
    this.words = scratch.take(Math.min(rowsExpected * (at + TEXT_WORDS_EXPECTED), FIRST_WORDS_MAX));
    this.bytes = Buffer.from(this.words.buffer);
    this.#floats = new DataView(this.words.buffer);
  }

  /** When all of it was copied out: what `add` and `append` gave means nothing any more. */
  done(): void {
    scratch.give(this.words);
    this.words = new Uint32Array(0);
    this.bytes = Buffer.from(this.words.buffer);
  }

  get byteLength(): number {
    return 4 * this.#end;
  }

  /** Where the row begins, in words; undefined when a page of it is not in memory. */
  add(place: RowPlace, pins: Pins | undefined): number | undefined {
    const { casts } = place.file.mapping;
    if (casts === undefined) return this.#add(place, pins);
    try {
      return this.#add(place, pins);
    } catch (thrown) {
      throw castFaultIn(thrown, place.file.file.object.key, place.rowGroup);
    }
  }

  /** A row as `bytesOf` gave it, from these bytes. */
  append(bytes: Uint8Array, start: number, end: number): number {
    const row = this.#end;
    this.#reserve(4 * row + end - start);
    if (end - start > COPIED_IN_PLACE_MAX) this.bytes.set(bytes.subarray(start, end), 4 * row);
    else for (let from = start, to = 4 * row; from < end; from++, to++) this.bytes[to] = bytes[from] as number;
    this.#end = (4 * row + end - start + 3) >>> 2;
    return row;
  }

  /** The row that was added last, to be copied before the next comes; it means the same wherever it lies. */
  bytesOf(row: number): Uint8Array {
    return this.bytes.subarray(4 * row, 4 * this.#end);
  }

  /** The row that was added last, taken out again: its bytes are the caller's own, for `append`. */
  takeOut(row: number): Uint8Array {
    const bytes = Uint8Array.from(this.bytesOf(row));
    this.#end = row;
    return bytes;
  }

  isNull(row: number, column: number): boolean {
    return ((this.words[row + (column >>> 5)] as number) & (1 << (column & 31))) !== 0;
  }

  /** What failed on the way is overwritten by the next row. */
  #add(place: RowPlace, pins: Pins | undefined): number | undefined {
    const { columns, nested } = this.#projection;
    const { mapping, leafPositions } = place.file;
    const isPlain = pins === undefined && mapping.casts === undefined;
    const values = isPlain ? valuesOfRow(place.file, place.rowGroup, place.row, this.#projection) : undefined;
    if (isPlain && values === undefined) return undefined;
    const row = this.#end;
    this.#reserve(4 * (row + this.#fixedWords));
    this.words.fill(0, row, row + this.#fixedWords);
    let end = 4 * (row + this.#fixedWords);
    for (let i = 0; i < columns.length; i++) {
      const column = columns[i] as TableColumn;
      const position = leafPositions[column.ordinal] ?? -1;
      if (values !== undefined && values.states[i] !== ASK && this.kinds[i] !== 'text') {
        end = this.#loaded(row, i, end, values);
      } else if (position === NESTED) {
        const text = nestedText(place, nested[i], pins);
        if (text === undefined) return undefined;
        end = text === 'null' ? this.#null(row, i, end) : this.#text(row, i, end, text);
      } else if (position < 0) {
        const value = folderValue(place.file, column);
        end = value === undefined ? this.#null(row, i, end) : this.#value(row, i, end, value, 0);
      } else {
        const found = place.file.file.chunk(place.rowGroup, position).at(place.row, pins);
        if (found === undefined) return undefined;
        const at = place.row - found.firstRow;
        const cast = mapping.casts?.[column.ordinal];
        const reader = cast === undefined ? found.block : new CastValues(found.block, cast);
        end = reader.isNull(at) ? this.#null(row, i, end) : this.#value(row, i, end, reader, at);
      }
    }
    this.#end = (end + 3) >>> 2;
    return row;
  }

  /** A number or a text, or null; of no type that needs more than these. */
  #loaded(row: number, column: number, end: number, { states, numbers, starts, ends, views }: RowValues): number {
    if (states[column] === NULL) return this.#null(row, column, end);
    const slot = row + (this.slots[column] as number);
    const number = numbers[column] as number;
    switch (this.kinds[column] as PackedKind) {
      case 'bytes': {
        const [start, to] = [starts[column] as number, ends[column] as number];
        this.#reserve(end + to - start);
        (views[column] as BufferViews).bytes.copy(this.bytes, end, start, to);
        return this.#placed(row, column, end, to - start);
      }
      case 'pair':
        // A safe integer, so that both halves are exact.
        this.words[slot] = number;
        this.words[slot + 1] = Math.floor(number / 2 ** 32);
        return end;
      case 'float':
        this.#floats.setFloat32(4 * slot, number, true);
        return end;
      case 'double':
        this.#floats.setFloat64(4 * slot, number, true);
        return end;
      default:
        this.words[slot] = number;
        return end;
    }
  }

  #null(row: number, column: number, end: number): number {
    const at = row + (column >>> 5);
    this.words[at] = (this.words[at] as number) | (1 << (column & 31));
    return end;
  }

  #value(row: number, column: number, end: number, reader: ValueReader, at: number): number {
    const slot = row + (this.slots[column] as number);
    switch (this.kinds[column] as PackedKind) {
      case 'bit':
        this.words[slot] = reader.booleanAt(at) ? 1 : 0;
        return end;
      case 'word':
        this.words[slot] = reader.int32At(at);
        return end;
      case 'pair':
        this.words[slot] = reader.int64LowAt(at);
        this.words[slot + 1] = reader.int64HighAt(at);
        return end;
      case 'half':
        this.#floats.setFloat32(4 * slot, reader.float16At(at), true);
        return end;
      case 'float':
        this.#floats.setFloat32(4 * slot, reader.float32At(at), true);
        return end;
      case 'double':
        this.#floats.setFloat64(4 * slot, reader.float64At(at), true);
        return end;
      case 'wide':
        this.#wide(slot, this.#leaf(column), reader, at);
        return end;
      case 'bytes':
        return this.#bytes(row, column, end, reader, at);
      case 'text':
        return this.#text(row, column, end, (this.#projection.writers[column] as TextAt)(reader, at));
    }
  }

  #bytes(row: number, column: number, end: number, reader: ValueReader, at: number): number {
    const length = reader.byteLengthAt(at);
    if (length > this.#bytesMax) throw valueTooLarge(this.#leaf(column).name, length, this.#bytesMax);
    this.#reserve(end + length);
    this.bytes.set(reader.bytesAt(at), end);
    return this.#placed(row, column, end, length);
  }

  #text(row: number, column: number, end: number, text: string): number {
    this.#reserve(end + 3 * text.length);
    return this.#placed(row, column, end, this.bytes.write(text, end, 'utf8'));
  }

  #placed(row: number, column: number, at: number, length: number): number {
    const slot = row + (this.slots[column] as number);
    this.words[slot] = at - 4 * row;
    this.words[slot + 1] = length;
    return at + length;
  }

  /** Two's complement of 128 bits, little-endian; on byte arrays Parquet has it big-endian and as short as it goes. */
  #wide(slot: number, { physicalType }: LeafColumn, reader: ValueReader, at: number): void {
    if (physicalType === 'INT32' || physicalType === 'INT64') {
      const isLong = physicalType === 'INT64';
      const low = isLong ? reader.int64LowAt(at) : reader.int32At(at);
      const high = isLong ? reader.int64HighAt(at) : low >> 31;
      this.words[slot] = low;
      this.words[slot + 1] = high;
      this.words.fill(high >> 31, slot + 2, slot + 4);
      return;
    }
    const bytes = reader.bytesAt(at);
    const sign = ((bytes[0] ?? 0) & 0x80) === 0 ? 0 : 0xff;
    for (let i = 0; i < WIDE_BYTES; i++) this.bytes[4 * slot + i] = bytes[bytes.length - 1 - i] ?? sign;
  }

  #leaf(column: number): LeafColumn {
    return this.#projection.columns[column]?.leaf as LeafColumn;
  }

  #reserve(bytes: number): void {
    if (bytes + 3 <= this.bytes.length) return;
    const grown = new Uint32Array(Math.ceil(Math.max(bytes + 4, 2 * this.bytes.length) / 4));
    grown.set(this.words);
    this.words = grown;
    this.bytes = Buffer.from(grown.buffer);
    this.#floats = new DataView(grown.buffer);
  }
}

type TextAt = (reader: ValueReader, row: number) => string;

export function packedKind({ leaf }: TableColumn): PackedKind {
  if (leaf === undefined || keyClassOf(leaf) === 'unsearchable') return 'text';
  if (leaf.logicalType.kind === 'DECIMAL') return 'wide';
  if (leaf.logicalType.kind === 'FLOAT16') return 'half';
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      return 'bit';
    case 'INT32':
      return 'word';
    case 'INT64':
      return 'pair';
    case 'FLOAT':
      return 'float';
    case 'DOUBLE':
      return 'double';
    default:
      return 'bytes';
  }
}
