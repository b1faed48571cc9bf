/**
 * Definition levels of flat columns, as a validity bitmap: bit i (least significant first) set means row i has a value.
 *
 * With a bit width of one, a bit-packed run is already that bitmap, so it is copied; a repeated run is a fill.
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#run-length-encoding--bit-packing-hybrid-rle--3
 */

import { corrupt } from '../core/index.ts';

/** What the levels of a page say. No bitmap where every row has a value. */
export interface Validity {
  readonly bitmap: Uint8Array | undefined;
  /** Rows that have a value. */
  readonly valid: number;
}

/** Levels of the hybrid encoding (v1 without its 4-byte length, v2 as they stand). */
export function decodeRleValidity(source: Uint8Array, start: number, end: number, rows: number): Validity {
  const bitmap = new Uint8Array((rows + 7) >>> 3);
  let position = start;
  let row = 0;
  while (row < rows) {
    let header = 0;
    let shift = 0;
    for (;;) {
      if (position >= end) throw endedEarly(row, rows);
      const byte = source[position++]!;
      if (shift > 28) throw corrupt('a run header of the levels is longer than 32 bits');
      header |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    const runLength = header >>> 1;
    if ((header & 1) === 0) {
      if (position >= end) throw endedEarly(row, rows);
      const level = source[position++]!;
      if (level > 1) throw corrupt(`a definition level of ${level} is more than the column's 1`);
      const runEnd = Math.min(rows, row + runLength);
      if (level === 1) setBits(bitmap, row, runEnd);
      row = runEnd;
    } else {
      const wanted = Math.min(rows - row, runLength * 8);
      if ((wanted + 7) >>> 3 > end - position) throw endedEarly(row, rows);
      copyBits(source, position, bitmap, row, wanted);
      position = Math.min(end, position + runLength);
      row += wanted;
    }
  }
  return validityOf(bitmap, rows);
}

/** The deprecated BIT_PACKED levels: no header, most significant bit first. */
export function decodeBitPackedValidity(source: Uint8Array, start: number, rows: number): Validity {
  const bitmap = new Uint8Array((rows + 7) >>> 3);
  for (let row = 0; row < rows; row += 1) {
    const bit = (source[start + (row >>> 3)]! >>> (7 - (row & 7))) & 1;
    bitmap[row >>> 3]! |= bit << (row & 7);
  }
  return validityOf(bitmap, rows);
}

/** Bits beyond the last row are cleared, so that whole bytes can be counted. */
function validityOf(bitmap: Uint8Array, rows: number): Validity {
  if ((rows & 7) !== 0) bitmap[bitmap.length - 1]! &= (1 << (rows & 7)) - 1;
  const valid = countBits(bitmap, 0, rows);
  return { bitmap: valid === rows ? undefined : bitmap, valid };
}

/** Set bits among bits `from` to `to`. */
export function countBits(bitmap: Uint8Array, from: number, to: number): number {
  let count = 0;
  let bit = from;
  for (; bit < to && (bit & 7) !== 0; bit += 1) count += (bitmap[bit >>> 3]! >>> (bit & 7)) & 1;
  for (; bit + 8 <= to; bit += 8) count += BITS_OF_BYTE[bitmap[bit >>> 3]!]!;
  for (; bit < to; bit += 1) count += (bitmap[bit >>> 3]! >>> (bit & 7)) & 1;
  return count;
}

const BITS_OF_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0;
  for (let rest = byte; rest !== 0; rest >>>= 1) bits += rest & 1;
  return bits;
});

function setBits(bitmap: Uint8Array, from: number, to: number): void {
  let bit = from;
  for (; bit < to && (bit & 7) !== 0; bit += 1) bitmap[bit >>> 3]! |= 1 << (bit & 7);
  const wholeBytes = (to - bit) >>> 3;
  if (wholeBytes > 0) {
    bitmap.fill(0xff, bit >>> 3, (bit >>> 3) + wholeBytes);
    bit += wholeBytes * 8;
  }
  for (; bit < to; bit += 1) bitmap[bit >>> 3]! |= 1 << (bit & 7);
}

/** Copies `count` bits that begin at a byte of `source` to bit `to` of an area of `bitmap` that is still clear. */
function copyBits(source: Uint8Array, start: number, bitmap: Uint8Array, to: number, count: number): void {
  const bytes = (count + 7) >>> 3;
  const shift = to & 7;
  let at = to >>> 3;
  if (shift === 0) {
    bitmap.set(source.subarray(start, start + bytes), at);
    // What follows the wanted bits is padding of the run, not rows.
    if ((count & 7) !== 0) bitmap[at + bytes - 1]! &= (1 << (count & 7)) - 1;
    return;
  }
  for (let i = 0; i < bytes; i += 1, at += 1) {
    let byte = source[start + i]!;
    if (i === bytes - 1 && (count & 7) !== 0) byte &= (1 << (count & 7)) - 1;
    bitmap[at]! |= byte << shift;
    // The last byte may have no spill; a typed array ignores a write past its end.
    if (at + 1 < bitmap.length) bitmap[at + 1]! |= byte >>> (8 - shift);
  }
}

function endedEarly(row: number, rows: number) {
  return corrupt(`the definition levels end after ${row} of ${rows} rows`);
}
