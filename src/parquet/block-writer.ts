/**
 * Cuts the dense values of one page into blocks of 2^shift rows, each in its own transferable buffer.
 *
 * A block without nulls is one copy; with nulls its values are spread over the rows. The shift follows from the
 * page's average bytes a row, so that a block is about as big as asked for and row -> block is a shift.
 */

import { isAscii } from 'node:buffer';
import { allocateBlock, BLOCK_HEADER_BYTES, FLAG_ASCII, setBlockFlag, valuesStart } from './block-layout.ts';
import type { BytesValues, CodeValues, DenseValues, FixedValues } from './encodings/dense-values.ts';
import { countBits, type Validity } from './levels.ts';

/** Blocks of one page, in row order; each can be transferred to another thread. */
export interface DecodedPage {
  readonly rows: number;
  /** Each block holds 2^shift rows, the last one fewer. */
  readonly shift: number;
  readonly blocks: ArrayBuffer[];
  /** Which of the page's blocks the first one is, where only some were decoded. */
  readonly firstBlock?: number;
}

/** 2^30 rows: beyond what a page can hold, within what a shift can say. */
const MAX_SHIFT = 30;

export function cutBlocks(values: DenseValues, validity: Validity, rows: number, blockBytes: number): DecodedPage {
  const shift = rows === 0 ? 0 : shiftFor(bytesOf(values, rows) / rows, blockBytes);
  const blocks: ArrayBuffer[] = [];
  const step = 2 ** shift;
  let value = 0;
  for (let row = 0; row < rows; row += step) {
    const rowEnd = Math.min(rows, row + step);
    const bitmap = validity.bitmap;
    const valid = bitmap === undefined ? rowEnd - row : countBits(bitmap, row, rowEnd);
    blocks.push(cutBlock(values, bitmap, row, rowEnd, value, valid));
    value += valid;
  }
  return { rows, shift, blocks };
}

/** One block of every value, for dictionaries. */
export function wholeBlock(values: FixedValues | BytesValues): ArrayBuffer {
  return cutBlock(values, undefined, 0, values.count, 0, values.count);
}

export function shiftFor(bytesPerRow: number, blockBytes: number): number {
  const shift = Math.round(Math.log2(blockBytes / Math.max(bytesPerRow, 1 / 8)));
  return Math.max(0, Math.min(MAX_SHIFT, shift));
}

export function bytesOf(values: DenseValues, rows: number): number {
  switch (values.kind) {
    case 'FIXED':
      return rows * values.width;
    case 'CODES':
      return rows * codeWidth(values.dictionaryRows);
    case 'BYTES':
      return 4 * rows + values.offsets[values.count]! - values.offsets[0]! - values.gap * values.count;
  }
}

/** The narrowest width whose codes reach every row of the dictionary. */
export function codeWidth(dictionaryRows: number): 1 | 2 | 4 {
  return dictionaryRows <= 0x100 ? 1 : dictionaryRows <= 0x10000 ? 2 : 4;
}

/** The block of rows [row, rowEnd), whose `valid` values begin at dense value `first`. */
export function cutBlock(
  values: DenseValues,
  bitmap: Uint8Array | undefined,
  row: number,
  rowEnd: number,
  first: number,
  valid: number,
): ArrayBuffer {
  const rows = rowEnd - row;
  const rowsBitmap = bitmap === undefined || valid === rows ? undefined : bitmapSlice(bitmap, row, rowEnd);
  switch (values.kind) {
    case 'FIXED':
      return cutFixed(values, rowsBitmap, rows, first, valid);
    case 'CODES':
      return cutCodes(values, rowsBitmap, rows, first, valid);
    case 'BYTES':
      return cutBytes(values, rowsBitmap, rows, first, valid);
  }
}

/** Bits [from, to) moved to bit 0, the bits beyond them clear. */
function bitmapSlice(bitmap: Uint8Array, from: number, to: number): Uint8Array {
  const bits = to - from;
  const out = new Uint8Array((bits + 7) >>> 3);
  const shift = from & 7;
  const base = from >>> 3;
  if (shift === 0) out.set(bitmap.subarray(base, base + out.length));
  else {
    for (let i = 0; i < out.length; i += 1) {
      out[i] = (bitmap[base + i]! >>> shift) | ((bitmap[base + i + 1] ?? 0) << (8 - shift));
    }
  }
  if ((bits & 7) !== 0) out[out.length - 1]! &= (1 << (bits & 7)) - 1;
  return out;
}

function allocateRows(
  kind: DenseValues['kind'],
  rows: number,
  width: number,
  bitmap: Uint8Array | undefined,
  body = 0,
) {
  const buffer = allocateBlock(kind, rows, width, bitmap !== undefined, body);
  if (bitmap !== undefined) new Uint8Array(buffer, BLOCK_HEADER_BYTES, bitmap.length).set(bitmap);
  return buffer;
}

function cutFixed(
  { data, width }: FixedValues,
  bitmap: Uint8Array | undefined,
  rows: number,
  first: number,
  valid: number,
): ArrayBuffer {
  const buffer = allocateRows('FIXED', rows, width, bitmap);
  const source = data.subarray(first * width, (first + valid) * width);
  const target = new Uint8Array(buffer, valuesStart(rows, bitmap !== undefined), rows * width);
  if (bitmap === undefined) target.set(source);
  else if (width === 4 || width === 8) spreadWords(source, target, bitmap, rows, width);
  else {
    let from = 0;
    for (let i = 0; i < rows; i += 1) {
      if ((bitmap[i >>> 3]! & (1 << (i & 7))) === 0) continue;
      for (let k = 0, to = i * width; k < width; k += 1) target[to + k] = source[from + k]!;
      from += width;
    }
  }
  return buffer;
}

/** The target is aligned (values start at a multiple of 8), the source need not be. */
function spreadWords(source: Uint8Array, target: Uint8Array, bitmap: Uint8Array, rows: number, width: 4 | 8): void {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const words = new Int32Array(target.buffer, target.byteOffset, target.byteLength / 4);
  let from = 0;
  if (width === 4) {
    for (let i = 0; i < rows; i += 1) {
      if ((bitmap[i >>> 3]! & (1 << (i & 7))) === 0) continue;
      words[i] = view.getInt32(from, true);
      from += 4;
    }
    return;
  }
  for (let i = 0; i < rows; i += 1) {
    if ((bitmap[i >>> 3]! & (1 << (i & 7))) === 0) continue;
    words[2 * i] = view.getInt32(from, true);
    words[2 * i + 1] = view.getInt32(from + 4, true);
    from += 8;
  }
}

function cutCodes(
  values: CodeValues,
  bitmap: Uint8Array | undefined,
  rows: number,
  first: number,
  valid: number,
): ArrayBuffer {
  const width = codeWidth(values.dictionaryRows);
  const buffer = allocateRows('CODES', rows, width, bitmap);
  const start = valuesStart(rows, bitmap !== undefined);
  const target =
    width === 1
      ? new Uint8Array(buffer, start, rows)
      : width === 2
        ? new Uint16Array(buffer, start, rows)
        : new Uint32Array(buffer, start, rows);
  const source = values.codes.subarray(first, first + valid);
  if (bitmap === undefined) target.set(source);
  else {
    for (let i = 0, from = 0; i < rows; i += 1) {
      if ((bitmap[i >>> 3]! & (1 << (i & 7))) !== 0) target[i] = source[from++]!;
    }
  }
  return buffer;
}

function cutBytes(
  values: BytesValues,
  bitmap: Uint8Array | undefined,
  rows: number,
  first: number,
  valid: number,
): ArrayBuffer {
  const { data, offsets, gap } = values;
  const sourceStart = offsets[first]!;
  const body = offsets[first + valid]! - sourceStart - gap * valid;
  const buffer = allocateRows('BYTES', rows, 4, bitmap, body);
  const start = valuesStart(rows, bitmap !== undefined);
  const out = new Uint32Array(buffer, start, rows + 1);
  const target = new Uint8Array(buffer, start + 4 * (rows + 1), body);
  // Value v starts at offsets[v] in the page; without the gaps before it, that is this far into the block.
  if (bitmap === undefined) {
    for (let i = 0, skipped = sourceStart; i <= rows; i += 1, skipped += gap) out[i] = offsets[first + i]! - skipped;
  } else {
    let value = first;
    let skipped = sourceStart;
    for (let i = 0; i < rows; i += 1) {
      out[i] = offsets[value]! - skipped;
      if ((bitmap[i >>> 3]! & (1 << (i & 7))) !== 0) {
        value += 1;
        skipped += gap;
      }
    }
    out[rows] = body;
  }
  if (gap === 0) target.set(data.subarray(sourceStart, sourceStart + body));
  else closeGaps(data, offsets, first, first + valid, target);
  if (isAscii(target)) setBlockFlag(buffer, FLAG_ASCII);
  return buffer;
}

/** Above this many bytes the engine's own copy beats a loop of words. */
const WORD_COPY_MAX = 256;

/**
 * Copies values that have their 4-byte lengths between them, without those. A value is copied in whole words: what
 * that writes past its end the next value overwrites, as long as both sides have the bytes; the last few go singly.
 */
function closeGaps(data: Uint8Array, offsets: Uint32Array, first: number, end: number, target: Uint8Array): void {
  const from = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const to = new DataView(target.buffer, target.byteOffset, target.byteLength);
  let at = 0;
  for (let v = first; v < end; v += 1) {
    const start = offsets[v]!;
    const length = offsets[v + 1]! - 4 - start;
    if (length > WORD_COPY_MAX) target.set(data.subarray(start, start + length), at);
    else if (start + length + 4 <= data.length && at + length + 4 <= target.length) {
      for (let i = 0; i < length; i += 4) to.setInt32(at + i, from.getInt32(start + i, true), true);
    } else {
      for (let i = 0; i < length; i += 1) target[at + i] = data[start + i]!;
    }
    at += length;
  }
}
