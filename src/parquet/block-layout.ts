/**
 * The one layout of decoded values, in memory and on disk. Version 1, little-endian:
 *
 *      0  u32  magic 0x314b4c42 ("BLK1")
 *      4  u8   version
 *      5  u8   kind: 1 FIXED, 2 BYTES, 3 CODES, 4 NESTED
 *      6  u8   flags: 1 has nulls, 2 sealed (the checksum holds), 4 every byte of a BYTES block is ASCII,
 *              8 the leaf of a NESTED block is repeated
 *      7  u8   0
 *      8  u32  rows
 *     12  u32  width: bytes of a value (FIXED), of a code (CODES: 1, 2 or 4), of an offset (BYTES: 4); 0 (NESTED)
 *     16  u32  byteLength of the whole block, a multiple of 8
 *     20  u32  entries of a NESTED block; 0 in flat blocks
 *     24  u32  where the values of a NESTED block start, a multiple of 8; 0 in flat blocks
 *     28  u32  CRC-32 of bytes 0..28 and 32..byteLength, when sealed
 *     32       validity bitmap, bit i set where row i has a value, padded to 8 bytes; only when it has nulls
 *     then     FIXED: rows x width bytes, null rows zero
 *              BYTES: u32 offsets[rows + 1], then the bytes they point into; null rows empty
 *              CODES: rows x width bytes, rows of a dictionary block; null rows zero
 *
 * So `value = view[row]` whatever the nulls, and nothing needs decoding when a block comes back from disk.
 *
 * A NESTED block holds a leaf that is repeated or that more than one definition level stands over. Its entries are what
 * the format calls level pairs: one for each value, each null and each empty list.
 *
 *     32       only when repeated: u32 rowStart[rows + 1], the first entry of each row; then u8 repetition[entries]
 *     then     u8 definition[entries]; padding to 8
 *     then     a FIXED, BYTES or CODES block of `entries` rows with a header of its own, null where an entry has no value
 *
 * Where the leaf is not repeated, entry and row are the same. The values are spread over the entries, so that a value
 * is found by its entry, just as a flat one by its row.
 */

import { crc32 } from 'node:zlib';
import { assert, corrupt } from '../core/index.ts';

export const BLOCK_HEADER_BYTES = 32;
const BLOCK_MAGIC = 0x314b4c42;
const BLOCK_VERSION = 1;

export const FLAG_NULLS = 1;
const FLAG_SEALED = 2;
export const FLAG_ASCII = 4;
export const FLAG_REPEATED = 8;
const KNOWN_FLAGS = FLAG_NULLS | FLAG_SEALED | FLAG_ASCII;
const KNOWN_NESTED_FLAGS = FLAG_SEALED | FLAG_REPEATED;

export type BlockKind = 'FIXED' | 'BYTES' | 'CODES';
export const NESTED_CODE = 4;

const KIND_CODES: Readonly<Record<BlockKind, number>> = { FIXED: 1, BYTES: 2, CODES: 3 };
export const KINDS: readonly (BlockKind | undefined)[] = [undefined, 'FIXED', 'BYTES', 'CODES'];

assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, 'blocks need a little-endian machine');

export interface BlockHeader {
  readonly kind: BlockKind;
  readonly flags: number;
  readonly rows: number;
  readonly width: number;
  readonly byteLength: number;
}

function padTo8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** Where the parts of a NESTED block lie, from its first byte. */
export interface NestedHeader {
  readonly rows: number;
  readonly entries: number;
  readonly isRepeated: boolean;
  readonly repetitionStart: number;
  readonly definitionStart: number;
  readonly valuesStart: number;
  readonly byteLength: number;
}

/** Where the values (FIXED, CODES) or the offsets (BYTES) start, from the block's first byte. */
export function valuesStart(rows: number, hasNulls: boolean): number {
  return BLOCK_HEADER_BYTES + (hasNulls ? padTo8((rows + 7) >>> 3) : 0);
}

/** Bytes of the values; for BYTES only those of the offsets. */
function valuesLength(kind: BlockKind, rows: number, width: number): number {
  return kind === 'BYTES' ? 4 * (rows + 1) : rows * width;
}

/** Allocates a block with its header written; the body is zero. `bodyBytes` counts only what BYTES blocks hold. */
export function allocateBlock(
  kind: BlockKind,
  rows: number,
  width: number,
  hasNulls: boolean,
  bodyBytes: number,
): ArrayBuffer {
  const byteLength = blockBytes(kind, rows, width, hasNulls, bodyBytes);
  const buffer = new ArrayBuffer(byteLength);
  const words = new Uint32Array(buffer, 0, BLOCK_HEADER_BYTES / 4);
  writeBlockHeader(words, 0, kind, rows, width, hasNulls, byteLength);
  return buffer;
}

/** Bytes of a whole flat block; `bodyBytes` counts only what BYTES blocks hold. */
export function blockBytes(kind: BlockKind, rows: number, width: number, hasNulls: boolean, bodyBytes: number): number {
  return padTo8(valuesStart(rows, hasNulls) + valuesLength(kind, rows, width) + bodyBytes);
}

/** The header of a flat block from word `at` on, over zeros. */
export function writeBlockHeader(
  words: Uint32Array,
  at: number,
  kind: BlockKind,
  rows: number,
  width: number,
  hasNulls: boolean,
  byteLength: number,
): void {
  words[at] = BLOCK_MAGIC;
  words[at + 1] = BLOCK_VERSION | (KIND_CODES[kind] << 8) | ((hasNulls ? FLAG_NULLS : 0) << 16);
  words[at + 2] = rows;
  words[at + 3] = width;
  words[at + 4] = byteLength;
}

/** Allocates a NESTED block around the values of its entries; `values` are the bytes of a flat block. */
export function allocateNestedBlock(rows: number, isRepeated: boolean, entries: number, values: ArrayBuffer) {
  const places = nestedPlaces(rows, isRepeated, entries);
  const byteLength = places.valuesStart + values.byteLength;
  const buffer = new ArrayBuffer(byteLength);
  const words = new Uint32Array(buffer, 0, BLOCK_HEADER_BYTES / 4);
  words[0] = BLOCK_MAGIC;
  words[1] = BLOCK_VERSION | (NESTED_CODE << 8) | ((isRepeated ? FLAG_REPEATED : 0) << 16);
  words[2] = rows;
  words[4] = byteLength;
  words[5] = entries;
  words[6] = places.valuesStart;
  new Uint8Array(buffer, places.valuesStart).set(new Uint8Array(values));
  return { buffer, ...places };
}

export function nestedPlaces(rows: number, isRepeated: boolean, entries: number) {
  const repetitionStart = BLOCK_HEADER_BYTES + (isRepeated ? 4 * (rows + 1) : 0);
  const definitionStart = repetitionStart + (isRepeated ? entries : 0);
  return { repetitionStart, definitionStart, valuesStart: padTo8(definitionStart + entries) };
}

/** The header of a NESTED block, checked; undefined where the block is a flat one. Constant time. */
export function readNestedHeader(
  buffer: ArrayBufferLike,
  byteOffset: number,
  byteLength: number,
): NestedHeader | undefined {
  checkFrame(buffer, byteOffset, byteLength);
  const words = new Uint32Array(buffer, byteOffset, BLOCK_HEADER_BYTES / 4);
  if (((words[1]! >>> 8) & 0xff) !== NESTED_CODE) return undefined;
  const flags = words[1]! >>> 16;
  const isRepeated = (flags & FLAG_REPEATED) !== 0;
  const [, , rows = 0, width, ownLength = 0, entries = 0, start] = words;
  if ((flags & ~KNOWN_NESTED_FLAGS) !== 0 || width !== 0 || (!isRepeated && entries !== rows)) {
    throw corrupt('a nested block has flags or a width that this version does not know');
  }
  const places = nestedPlaces(rows, isRepeated, entries);
  if (start !== places.valuesStart || ownLength > byteLength || start > ownLength) {
    throw corrupt(`a nested block of ${rows} rows and ${entries} entries does not fit in its ${ownLength} bytes`);
  }
  const values = readBlockHeader(buffer, byteOffset + start, ownLength - start);
  if (values.rows !== entries || values.byteLength !== ownLength - start) {
    throw corrupt(`a nested block of ${entries} entries has ${values.rows} values`);
  }
  if (isRepeated && new Uint32Array(buffer, byteOffset + BLOCK_HEADER_BYTES + 4 * rows, 1)[0] !== entries) {
    throw corrupt('the last row of a nested block does not end with its entries');
  }
  return { rows, entries, isRepeated, ...places, byteLength: ownLength };
}

export function setBlockFlag(buffer: ArrayBufferLike, flag: number, byteOffset = 0): void {
  const flags = new Uint8Array(buffer, byteOffset + 6, 1);
  flags[0] = flags[0]! | flag;
}

function checkFrame(buffer: ArrayBufferLike, byteOffset: number, byteLength: number): void {
  if (byteLength < BLOCK_HEADER_BYTES || byteOffset + byteLength > buffer.byteLength) {
    throw corrupt(`a block of ${byteLength} bytes is too short for its header`);
  }
  if (byteOffset % 8 !== 0) throw corrupt(`a block at byte ${byteOffset} is not aligned to 8 bytes`);
  const words = new Uint32Array(buffer, byteOffset, BLOCK_HEADER_BYTES / 4);
  if (words[0] !== BLOCK_MAGIC) throw corrupt('a block does not begin with its magic number');
  const version = words[1]! & 0xff;
  if (version !== BLOCK_VERSION) throw corrupt(`a block of version ${version} cannot be read; ${BLOCK_VERSION} can`);
}

/** Reads a flat block's header and checks it against the bytes there are. Constant time: `verifyBlock` reads the body. */
export function readBlockHeader(buffer: ArrayBufferLike, byteOffset: number, byteLength: number): BlockHeader {
  checkFrame(buffer, byteOffset, byteLength);
  const words = new Uint32Array(buffer, byteOffset, BLOCK_HEADER_BYTES / 4);
  const kind = KINDS[(words[1]! >>> 8) & 0xff];
  const flags = words[1]! >>> 16;
  const rows = words[2]!;
  const width = words[3]!;
  if (kind === undefined || (flags & ~KNOWN_FLAGS) !== 0 || words[5] !== 0) {
    throw corrupt('a block has a kind or flags that this version does not know');
  }
  if ((kind === 'CODES' && width !== 1 && width !== 2 && width !== 4) || (kind === 'BYTES' && width !== 4)) {
    throw corrupt(`a ${kind} block cannot have a width of ${width}`);
  }
  const start = valuesStart(rows, (flags & FLAG_NULLS) !== 0);
  const body = start + valuesLength(kind, rows, width);
  if (words[4]! > byteLength || body > words[4]! || (kind !== 'BYTES' && padTo8(body) !== words[4]!)) {
    throw corrupt(`a block of ${rows} rows does not fit in its ${words[4]} bytes`);
  }
  if (kind === 'BYTES' && new Uint32Array(buffer, byteOffset + start + 4 * rows, 1)[0]! > words[4]! - body) {
    throw corrupt('the values of a block reach beyond its end');
  }
  return { kind, flags, rows, width, byteLength: words[4]! };
}

/** Writes the checksum, for a block that leaves memory. Blocks straight from a page are not sealed: it costs time. */
export function sealBlock(buffer: ArrayBufferLike, byteOffset = 0): void {
  setBlockFlag(buffer, FLAG_SEALED, byteOffset);
  new Uint32Array(buffer, byteOffset + 28, 1)[0] = checksum(buffer, byteOffset);
}

/** Checks a sealed block that came back; its header must have been read first. An unsealed one is corrupt. */
export function verifyBlock(
  buffer: ArrayBufferLike,
  byteOffset = 0,
  byteLength = buffer.byteLength - byteOffset,
): void {
  const nested = readNestedHeader(buffer, byteOffset, byteLength);
  if (nested === undefined) readBlockHeader(buffer, byteOffset, byteLength);
  const flags = new Uint8Array(buffer, byteOffset + 6, 1)[0]!;
  const expected = new Uint32Array(buffer, byteOffset + 28, 1)[0];
  if ((flags & FLAG_SEALED) === 0 || checksum(buffer, byteOffset) !== expected) {
    throw corrupt('the checksum of a block does not match its bytes');
  }
}

function checksum(buffer: ArrayBufferLike, byteOffset: number): number {
  const byteLength = new Uint32Array(buffer, byteOffset + 16, 1)[0]!;
  const head = crc32(new Uint8Array(buffer, byteOffset, 28));
  return crc32(new Uint8Array(buffer, byteOffset + 32, byteLength - 32), head);
}
