/**
 * Reads single values out of a block: one typed-array load for fixed widths, one slice for bytes.
 *
 * The typed views are made once, on the first read that needs them, over the bytes as they lie (own buffer or slab).
 * The readers do not check `row`: whoever located it has. A row that is null reads as zero or empty; ask `isNull`.
 * A CODES block answers through its dictionary, which whoever admits the block must set before the first read.
 * The values of a nested leaf are read the same way by entry, and `levels` says which entries a row has.
 */

import { assert } from '../core/index.ts';
import {
  BLOCK_HEADER_BYTES,
  type BlockKind,
  FLAG_ASCII,
  FLAG_NULLS,
  type NestedHeader,
  readBlockHeader,
  readNestedHeader,
  valuesStart,
} from './block-layout.ts';

/** Node's own slices; they take no view and no copy. */
type SlicingBuffer = Buffer & {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
};

/** What a search learned about the order of the rows. */
export type BlockOrder = 'unknown' | 'ascending' | 'unordered';

/** The level pairs of a nested leaf's rows. */
export interface NestedLevels {
  /** Row r has the entries [rowStart[r], rowStart[r + 1]). Undefined where the leaf is not repeated: row r is entry r. */
  readonly rowStart: Uint32Array | undefined;
  /** Empty where the leaf is not repeated. */
  readonly repetition: Uint8Array;
  readonly definition: Uint8Array;
}

export class Block {
  readonly rows: number;
  /** Undefined in the block of a flat leaf, whose rows and values are the same. */
  readonly levels: NestedLevels | undefined;
  /** The whole block, header included: what it costs to keep. */
  readonly byteLength: number;
  readonly kind: BlockKind;
  /** Bytes of a value, a code or an offset, by kind. */
  readonly width: number;
  readonly hasNulls: boolean;
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  /** Set once by whoever admits a CODES block. */
  dictionary: Block | undefined = undefined;
  /** Kept here by `findRow`, so that a block is examined once. */
  order: BlockOrder = 'unknown';

  /** Values that are laid out, nulls included: rows of a flat leaf, entries of a nested one. */
  readonly #count: number;
  /** Where the laid out values end. */
  readonly #end: number;
  readonly #valuesAt: number;
  readonly #ascii: boolean;
  readonly #validity: Uint8Array | undefined;
  #codes: Uint8Array | Uint16Array | Uint32Array | undefined = undefined;
  #bytes: Uint8Array | undefined = undefined;
  #text: SlicingBuffer | undefined = undefined;
  #offsets: Uint32Array | undefined = undefined;
  #int32s: Int32Array | undefined = undefined;
  #uint32s: Uint32Array | undefined = undefined;
  #int64s: BigInt64Array | undefined = undefined;
  #uint64s: BigUint64Array | undefined = undefined;
  #float32s: Float32Array | undefined = undefined;
  #float64s: Float64Array | undefined = undefined;

  private constructor(buffer: ArrayBufferLike, byteOffset: number, byteLength: number, nested?: NestedHeader) {
    const start = byteOffset + (nested?.valuesStart ?? 0);
    const header = readBlockHeader(buffer, start, byteLength - (start - byteOffset));
    this.buffer = buffer;
    this.byteOffset = byteOffset;
    this.rows = nested?.rows ?? header.rows;
    this.byteLength = nested?.byteLength ?? header.byteLength;
    this.levels = nested && levelsOf(buffer, byteOffset, nested);
    this.kind = header.kind;
    this.width = header.width;
    this.hasNulls = (header.flags & FLAG_NULLS) !== 0;
    this.#count = header.rows;
    this.#end = start + header.byteLength;
    this.#ascii = (header.flags & FLAG_ASCII) !== 0;
    this.#valuesAt = start + valuesStart(header.rows, this.hasNulls);
    this.#validity = this.hasNulls
      ? new Uint8Array(buffer, start + BLOCK_HEADER_BYTES, (header.rows + 7) >>> 3)
      : undefined;
  }

  /** Checks the header against the lengths; throws `corrupt`. `byteOffset` is a multiple of 8. */
  static open(buffer: ArrayBufferLike, byteOffset = 0, byteLength = buffer.byteLength - byteOffset): Block {
    return new Block(buffer, byteOffset, byteLength, readNestedHeader(buffer, byteOffset, byteLength));
  }

  isNull(row: number): boolean {
    const validity = this.#validity;
    return validity !== undefined && (validity[row >>> 3]! & (1 << (row & 7))) === 0;
  }

  codeAt(row: number): number {
    return this.codes()[row]!;
  }

  int32At(row: number): number {
    return this.kind === 'CODES' ? this.#dictionary().int32At(this.codeAt(row)) : this.int32s()[row]!;
  }

  uint32At(row: number): number {
    return this.kind === 'CODES' ? this.#dictionary().uint32At(this.codeAt(row)) : this.uint32s()[row]!;
  }

  int64At(row: number): bigint {
    return this.kind === 'CODES' ? this.#dictionary().int64At(this.codeAt(row)) : this.int64s()[row]!;
  }

  uint64At(row: number): bigint {
    return this.kind === 'CODES' ? this.#dictionary().uint64At(this.codeAt(row)) : this.uint64s()[row]!;
  }

  /** The low 32 bits of an INT64, unsigned: with `int64HighAt` a way around BigInt. */
  int64LowAt(row: number): number {
    return this.kind === 'CODES' ? this.#dictionary().int64LowAt(this.codeAt(row)) : this.uint32s()[2 * row]!;
  }

  /** The high 32 bits of an INT64, signed. */
  int64HighAt(row: number): number {
    return this.kind === 'CODES' ? this.#dictionary().int64HighAt(this.codeAt(row)) : this.int32s()[2 * row + 1]!;
  }

  float32At(row: number): number {
    return this.kind === 'CODES' ? this.#dictionary().float32At(this.codeAt(row)) : this.float32s()[row]!;
  }

  float64At(row: number): number {
    return this.kind === 'CODES' ? this.#dictionary().float64At(this.codeAt(row)) : this.float64s()[row]!;
  }

  /** A FLOAT16, which Parquet stores in two bytes. */
  float16At(row: number): number {
    if (this.kind === 'CODES') return this.#dictionary().float16At(this.codeAt(row));
    const bytes = this.bytes();
    return float16(bytes[2 * row]! | (bytes[2 * row + 1]! << 8));
  }

  booleanAt(row: number): boolean {
    return this.kind === 'CODES' ? this.#dictionary().booleanAt(this.codeAt(row)) : this.bytes()[row] === 1;
  }

  byteLengthAt(row: number): number {
    if (this.kind === 'CODES') return this.#dictionary().byteLengthAt(this.codeAt(row));
    if (this.kind === 'FIXED') return this.width;
    const offsets = this.offsets();
    return offsets[row + 1]! - offsets[row]!;
  }

  /** The bytes of a BYTE_ARRAY, or of any fixed-width value, as a view that lives as long as the block does. */
  bytesAt(row: number): Uint8Array {
    if (this.kind === 'CODES') return this.#dictionary().bytesAt(this.codeAt(row));
    const bytes = this.bytes();
    if (this.kind === 'FIXED') return bytes.subarray(row * this.width, (row + 1) * this.width);
    const offsets = this.offsets();
    return bytes.subarray(offsets[row]!, offsets[row + 1]!);
  }

  utf8At(row: number): string {
    if (this.kind === 'CODES') return this.#dictionary().utf8At(this.codeAt(row));
    const bytes = this.bytes();
    this.#text ??= Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) as SlicingBuffer;
    const text = this.#text;
    if (this.kind === 'FIXED') return text.utf8Slice(row * this.width, (row + 1) * this.width);
    const offsets = this.offsets();
    return this.#ascii
      ? text.latin1Slice(offsets[row]!, offsets[row + 1]!)
      : text.utf8Slice(offsets[row]!, offsets[row + 1]!);
  }

  /** The bytes that values lie in: rows x width of FIXED, the joined byte arrays of BYTES. */
  bytes(): Uint8Array {
    this.#bytes ??= this.#makeBytes();
    return this.#bytes;
  }

  /** Where each row of a BYTES block starts in `bytes()`; one more than there are rows. */
  offsets(): Uint32Array {
    this.#offsets ??= new Uint32Array(this.buffer, this.#valuesAt, this.#count + 1);
    return this.#offsets;
  }

  codes(): Uint8Array | Uint16Array | Uint32Array {
    this.#codes ??= this.#makeCodes();
    return this.#codes;
  }

  int32s(): Int32Array {
    this.#int32s ??= new Int32Array(this.buffer, this.#valuesAt, this.#fixedBytes(4) / 4);
    return this.#int32s;
  }

  uint32s(): Uint32Array {
    this.#uint32s ??= new Uint32Array(this.buffer, this.#valuesAt, this.#fixedBytes(4) / 4);
    return this.#uint32s;
  }

  int64s(): BigInt64Array {
    this.#int64s ??= new BigInt64Array(this.buffer, this.#valuesAt, this.#fixedBytes(8) / 8);
    return this.#int64s;
  }

  uint64s(): BigUint64Array {
    this.#uint64s ??= new BigUint64Array(this.buffer, this.#valuesAt, this.#fixedBytes(8) / 8);
    return this.#uint64s;
  }

  float32s(): Float32Array {
    this.#float32s ??= new Float32Array(this.buffer, this.#valuesAt, this.#fixedBytes(4) / 4);
    return this.#float32s;
  }

  float64s(): Float64Array {
    this.#float64s ??= new Float64Array(this.buffer, this.#valuesAt, this.#fixedBytes(8) / 8);
    return this.#float64s;
  }

  #makeBytes(): Uint8Array {
    if (this.kind === 'BYTES') {
      const start = this.#valuesAt + 4 * (this.#count + 1);
      return new Uint8Array(this.buffer, start, this.#end - start);
    }
    return new Uint8Array(this.buffer, this.#valuesAt, this.#fixedBytes(1));
  }

  #makeCodes(): Uint8Array | Uint16Array | Uint32Array {
    assert(this.kind === 'CODES', `a ${this.kind} block has no codes`);
    if (this.width === 1) return new Uint8Array(this.buffer, this.#valuesAt, this.#count);
    if (this.width === 2) return new Uint16Array(this.buffer, this.#valuesAt, this.#count);
    return new Uint32Array(this.buffer, this.#valuesAt, this.#count);
  }

  /** Bytes of all values of a FIXED block; a view of the wrong width or kind is our own mistake. */
  #fixedBytes(multiple: number): number {
    assert(
      this.kind === 'FIXED' && this.width % multiple === 0,
      `a ${this.kind} block of width ${this.width} read as ${multiple}`,
    );
    return this.#count * this.width;
  }

  #dictionary(): Block {
    const dictionary = this.dictionary;
    if (dictionary === undefined) assert(false, 'a CODES block is read before its dictionary is set');
    return dictionary;
  }
}

function levelsOf(buffer: ArrayBufferLike, byteOffset: number, header: NestedHeader): NestedLevels {
  const { rows, entries, isRepeated } = header;
  return {
    rowStart: isRepeated ? new Uint32Array(buffer, byteOffset + BLOCK_HEADER_BYTES, rows + 1) : undefined,
    repetition: new Uint8Array(buffer, byteOffset + header.repetitionStart, isRepeated ? entries : 0),
    definition: new Uint8Array(buffer, byteOffset + header.definitionStart, entries),
  };
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
