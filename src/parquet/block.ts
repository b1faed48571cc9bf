/**
 * Reads single values out of a block: one typed-array load for fixed widths, one slice for bytes.
 *
 * The object is small and short-lived: it holds places, counted from the start of the buffer that the block lies in, and
 * the views that are shared by all blocks of that buffer, which is the block's own or a slab of the memory tier.
 * The readers do not check `row`: whoever located it has. A row that is null reads as zero or empty; ask `isNull`.
 * A CODES block answers through its dictionary, which whoever admits the block must set before the first read.
 * The values of a nested leaf are read the same way by entry, and `levels` says which entries a row has.
 */

import { assert, BufferViews } from '../core/index.ts';
import {
  BLOCK_HEADER_BYTES,
  type BlockKind,
  FLAG_ASCII,
  FLAG_NULLS,
  FLAG_REPEATED,
  KINDS,
  NESTED_CODE,
  nestedPlaces,
  readBlockHeader,
  readNestedHeader,
  valuesStart,
} from './block-layout.ts';

/** What a search learned about the order of the rows. */
export type BlockOrder = 'unknown' | 'ascending' | 'unordered';

const ORDERS: readonly BlockOrder[] = ['unknown', 'ascending', 'unordered'];
const CODES = 3;
/** In place of a width, in blocks whose values are not of one. */
const NO_WIDTH = -1;

export class Block {
  /** Views over the whole buffer that the block lies in: its own, or a slab with many others. */
  readonly views: BufferViews;
  readonly byteOffset: number;
  readonly rows: number;
  /** Bytes of a value, a code or an offset, by kind. */
  readonly width: number;
  /** Set once by whoever admits a CODES block. */
  dictionary: Block | undefined = undefined;

  readonly #kindCode: number;
  /** The width of FIXED values. */
  readonly #fixedWidth: number;
  /** Values that are laid out, nulls included: rows of a flat leaf, entries of a nested one. */
  readonly #count: number;
  readonly #valuesAt: number;
  /** 0 where nothing is null. */
  readonly #validityAt: number;
  readonly #flags: number;
  /** Where, in words, the order is noted beside the block; negative where it is noted here. */
  readonly #orderAt: number;
  #order: BlockOrder = 'unknown';

  /**
   * Reads the header of a block that `open` has checked, where it lies or where it was copied from. What is at
   * `byteOffset` may be another block after the next wait, unless the buffer is the block's own. A block whose objects
   * come and go has a word, of the same buffer, in which a search notes its order.
   */
  constructor(views: BufferViews, byteOffset: number, orderAt = -1) {
    const words = views.uint32s;
    const own = byteOffset >>> 2;
    const isNested = ((words[own + 1]! >>> 8) & 0xff) === NESTED_CODE;
    const values = isNested ? own + (words[own + 6]! >>> 2) : own;
    const kindAndFlags = words[values + 1]!;
    const count = words[values + 2]!;
    const flags = kindAndFlags >>> 16;
    const hasNulls = (flags & FLAG_NULLS) !== 0;
    this.views = views;
    this.byteOffset = byteOffset;
    this.rows = isNested ? words[own + 2]! : count;
    this.width = words[values + 3]!;
    this.#kindCode = (kindAndFlags >>> 8) & 0xff;
    this.#fixedWidth = this.#kindCode === 1 ? this.width : NO_WIDTH;
    this.#count = count;
    this.#valuesAt = 4 * values + valuesStart(count, hasNulls);
    this.#validityAt = hasNulls ? 4 * values + BLOCK_HEADER_BYTES : 0;
    this.#flags = flags;
    this.#orderAt = orderAt;
  }

  /** Checks the header against the lengths; throws `corrupt`. `byteOffset` is a multiple of 8. */
  static open(buffer: ArrayBufferLike, byteOffset = 0, byteLength = buffer.byteLength - byteOffset): Block {
    const nested = readNestedHeader(buffer, byteOffset, byteLength);
    if (nested === undefined) readBlockHeader(buffer, byteOffset, byteLength);
    return new Block(new BufferViews(buffer), byteOffset);
  }

  /** The same block in memory of its own, which may be held over a wait. */
  copy(): Block {
    const { byteOffset, byteLength } = this;
    // Of shared memory this makes memory of one's own too.
    const own = new Uint8Array(this.buffer, byteOffset, byteLength).slice();
    const block = new Block(new BufferViews(own.buffer), 0);
    block.order = this.order;
    block.dictionary = this.dictionary;
    return block;
  }

  get buffer(): ArrayBufferLike {
    return this.views.buffer;
  }

  /** The whole block, header included: what it costs to keep. */
  get byteLength(): number {
    return this.views.uint32s[(this.byteOffset >>> 2) + 4]!;
  }

  get kind(): BlockKind {
    return KINDS[this.#kindCode]!;
  }

  get isOfCodes(): boolean {
    return this.#kindCode === CODES;
  }

  /** Whether that is known of all values of a BYTES block. */
  get isAscii(): boolean {
    return (this.#flags & FLAG_ASCII) !== 0;
  }

  get hasNulls(): boolean {
    return this.#validityAt !== 0;
  }

  /** Kept here by `findRow`, so that a block is examined once. */
  get order(): BlockOrder {
    return this.#orderAt < 0 ? this.#order : ORDERS[this.views.uint32s[this.#orderAt]!]!;
  }

  set order(order: BlockOrder) {
    if (this.#orderAt < 0) this.#order = order;
    else this.views.uint32s[this.#orderAt] = ORDERS.indexOf(order);
  }

  /** Undefined in the block of a flat leaf, whose rows and values are the same. */
  get levels(): NestedLevels | undefined {
    const own = this.byteOffset >>> 2;
    const words = this.views.uint32s;
    if (((words[own + 1]! >>> 8) & 0xff) !== NESTED_CODE) return undefined;
    const isRepeated = ((words[own + 1]! >>> 16) & FLAG_REPEATED) !== 0;
    return new NestedLevels(this.views, this.byteOffset, this.rows, this.#count, isRepeated);
  }

  isNull(row: number): boolean {
    const at = this.#validityAt;
    return at !== 0 && (this.views.bytes[at + (row >>> 3)]! & (1 << (row & 7))) === 0;
  }

  codeAt(row: number): number {
    assert(this.#kindCode === CODES, `a ${this.kind} block has no codes`);
    if (this.width === 1) return this.views.bytes[this.#valuesAt + row]!;
    if (this.width === 2) return this.views.uint16s[(this.#valuesAt >>> 1) + row]!;
    return this.views.uint32s[(this.#valuesAt >>> 2) + row]!;
  }

  int32At(row: number): number {
    if (this.#fixedWidth !== 4) return this.#coded(4).int32At(this.codeAt(row));
    return this.views.int32s[(this.#valuesAt >>> 2) + row]!;
  }

  uint32At(row: number): number {
    if (this.#fixedWidth !== 4) return this.#coded(4).uint32At(this.codeAt(row));
    return this.views.uint32s[(this.#valuesAt >>> 2) + row]!;
  }

  int64At(row: number): bigint {
    if (this.#fixedWidth !== 8) return this.#coded(8).int64At(this.codeAt(row));
    return this.views.int64s[(this.#valuesAt >>> 3) + row]!;
  }

  uint64At(row: number): bigint {
    if (this.#fixedWidth !== 8) return this.#coded(8).uint64At(this.codeAt(row));
    return this.views.uint64s[(this.#valuesAt >>> 3) + row]!;
  }

  /** The low 32 bits of an INT64, unsigned: with `int64HighAt` a way around BigInt. */
  int64LowAt(row: number): number {
    if (this.#fixedWidth !== 8) return this.#coded(8).int64LowAt(this.codeAt(row));
    return this.views.uint32s[(this.#valuesAt >>> 2) + 2 * row]!;
  }

  /** The high 32 bits of an INT64, signed. */
  int64HighAt(row: number): number {
    if (this.#fixedWidth !== 8) return this.#coded(8).int64HighAt(this.codeAt(row));
    return this.views.int32s[(this.#valuesAt >>> 2) + 2 * row + 1]!;
  }

  float32At(row: number): number {
    if (this.#fixedWidth !== 4) return this.#coded(4).float32At(this.codeAt(row));
    return this.views.float32s[(this.#valuesAt >>> 2) + row]!;
  }

  float64At(row: number): number {
    if (this.#fixedWidth !== 8) return this.#coded(8).float64At(this.codeAt(row));
    return this.views.float64s[(this.#valuesAt >>> 3) + row]!;
  }

  /** A FLOAT16, which Parquet stores in two bytes. */
  float16At(row: number): number {
    if (this.#fixedWidth !== 2) return this.#coded(2).float16At(this.codeAt(row));
    return float16(this.views.uint16s[(this.#valuesAt >>> 1) + row]!);
  }

  booleanAt(row: number): boolean {
    if (this.#fixedWidth !== 1) return this.#coded(1).booleanAt(this.codeAt(row));
    return this.views.bytes[this.#valuesAt + row] === 1;
  }

  byteLengthAt(row: number): number {
    if (this.#kindCode === CODES) return this.#dictionary().byteLengthAt(this.codeAt(row));
    return this.#fixedWidth === NO_WIDTH ? this.endOf(row) - this.startOf(row) : this.width;
  }

  /** The bytes of a BYTE_ARRAY, or of any fixed-width value, as a view that lives as long as the block does. */
  bytesAt(row: number): Uint8Array {
    if (this.#kindCode === CODES) return this.#dictionary().bytesAt(this.codeAt(row));
    const start = this.startOf(row);
    return new Uint8Array(this.buffer, start, this.endOf(row) - start);
  }

  utf8At(row: number): string {
    if (this.#kindCode === CODES) return this.#dictionary().utf8At(this.codeAt(row));
    const start = this.startOf(row);
    const end = this.endOf(row);
    const { bytes } = this.views;
    return (this.#flags & FLAG_ASCII) === 0 ? bytes.utf8Slice(start, end) : bytes.latin1Slice(start, end);
  }

  /** The bytes that values lie in: rows x width of FIXED, the joined byte arrays of BYTES. */
  bytes(): Uint8Array {
    const start = this.#fixedWidth === NO_WIDTH ? this.#bodyAt() : this.#valuesAt;
    const end = this.#fixedWidth === NO_WIDTH ? this.byteOffset + this.byteLength : start + this.#fixedBytes(1);
    return new Uint8Array(this.buffer, start, end - start);
  }

  /** Where each row of a BYTES block starts in `bytes()`; one more than there are rows. */
  offsets(): Uint32Array {
    return new Uint32Array(this.buffer, this.#valuesAt, this.#count + 1);
  }

  codes(): Uint8Array | Uint16Array | Uint32Array {
    assert(this.#kindCode === CODES, `a ${this.kind} block has no codes`);
    if (this.width === 1) return new Uint8Array(this.buffer, this.#valuesAt, this.#count);
    if (this.width === 2) return new Uint16Array(this.buffer, this.#valuesAt, this.#count);
    return new Uint32Array(this.buffer, this.#valuesAt, this.#count);
  }

  int32s(): Int32Array {
    return new Int32Array(this.buffer, this.#valuesAt, this.#fixedBytes(4) / 4);
  }

  uint32s(): Uint32Array {
    return new Uint32Array(this.buffer, this.#valuesAt, this.#fixedBytes(4) / 4);
  }

  float32s(): Float32Array {
    return new Float32Array(this.buffer, this.#valuesAt, this.#fixedBytes(4) / 4);
  }

  float64s(): Float64Array {
    return new Float64Array(this.buffer, this.#valuesAt, this.#fixedBytes(8) / 8);
  }

  /** Where the bytes of a BYTES block begin. */
  #bodyAt(): number {
    return this.#valuesAt + 4 * (this.#count + 1);
  }

  /** Where the bytes of a value begin, counted from the start of the buffer, and where they end; not of codes. */
  startOf(row: number): number {
    if (this.#fixedWidth !== NO_WIDTH) return this.#valuesAt + row * this.width;
    return this.#bodyAt() + this.views.uint32s[(this.#valuesAt >>> 2) + row]!;
  }

  endOf(row: number): number {
    return this.startOf(row + 1);
  }

  /** Bytes of all values of a FIXED block; a view of the wrong width or kind is our own mistake. */
  #fixedBytes(multiple: number): number {
    const isFit = this.#fixedWidth !== NO_WIDTH && this.width % multiple === 0;
    assert(isFit, `a ${this.kind} block of width ${this.width} read as ${multiple}`);
    return this.#count * this.width;
  }

  /** The dictionary of a CODES block; a block whose values have another width than was asked for is our own mistake. */
  #coded(width: number): Block {
    assert(this.#kindCode === CODES, `a ${this.kind} block of width ${this.width} read as ${width}`);
    return this.#dictionary();
  }

  #dictionary(): Block {
    const dictionary = this.dictionary;
    if (dictionary === undefined) assert(false, 'a CODES block is read before its dictionary is set');
    return dictionary;
  }
}

/** The level pairs of a nested leaf's rows. */
export class NestedLevels {
  readonly isRepeated: boolean;
  readonly #views: BufferViews;
  readonly #rows: number;
  readonly #entries: number;
  readonly #rowStartAt: number;
  readonly #repetitionAt: number;
  readonly #definitionAt: number;

  constructor(views: BufferViews, byteOffset: number, rows: number, entries: number, isRepeated: boolean) {
    const places = nestedPlaces(rows, isRepeated, entries);
    this.isRepeated = isRepeated;
    this.#views = views;
    this.#rows = rows;
    this.#entries = entries;
    this.#rowStartAt = byteOffset + BLOCK_HEADER_BYTES;
    this.#repetitionAt = byteOffset + places.repetitionStart;
    this.#definitionAt = byteOffset + places.definitionStart;
  }

  /** Row r has the entries [firstEntry(r), firstEntry(r + 1)). Where the leaf is not repeated, row r is entry r. */
  firstEntry(row: number): number {
    return this.isRepeated ? this.#views.uint32s[(this.#rowStartAt >>> 2) + row]! : row;
  }

  definitionAt(entry: number): number {
    return this.#views.bytes[this.#definitionAt + entry]!;
  }

  /** Only where the leaf is repeated. */
  repetitionAt(entry: number): number {
    return this.#views.bytes[this.#repetitionAt + entry]!;
  }

  /** All of them at once. */
  get rowStart(): Uint32Array | undefined {
    return this.isRepeated ? new Uint32Array(this.#views.buffer, this.#rowStartAt, this.#rows + 1) : undefined;
  }

  get repetition(): Uint8Array {
    return new Uint8Array(this.#views.buffer, this.#repetitionAt, this.isRepeated ? this.#entries : 0);
  }

  get definition(): Uint8Array {
    return new Uint8Array(this.#views.buffer, this.#definitionAt, this.#entries);
  }
}

/** IEEE 754 binary16 to a number; `Float16Array` is younger than the oldest Node we run on. */
export function float16(bits: number): number {
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
