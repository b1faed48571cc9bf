/**
 * The block of one row, made of a block that lies on disk and of which only the bytes of that row are read.
 *
 * Whoever has the bytes is asked for ranges. While one is not there the answer is `wants`; once it was read the same call
 * is made again and gets further: most values take one read, byte arrays two (offsets, then bytes), nested ones four. What
 * comes of it is a block like any other, that borrows nothing: it may be held over any wait. Small ones lie many in a
 * buffer, whose bytes are never used again: making a buffer costs more than reading the value.
 *
 *     form, or header -> validity and value                          FIXED
 *                     -> validity and code -> row of the dictionary  CODES
 *                     -> validity and offsets -> bytes               BYTES
 *     header          -> entries of the row -> levels, and the same for the values
 */

import { BufferViews, corrupt } from '../core/index.ts';
import { Block } from './block.ts';
import {
  allocateBlock,
  allocateNestedBlock,
  BLOCK_HEADER_BYTES,
  type BlockKind,
  blockBytes,
  FLAG_NULLS,
  FLAG_REPEATED,
  KINDS,
  NESTED_CODE,
  nestedPlaces,
  valuesStart,
  writeBlockHeader,
} from './block-layout.ts';

/** A block, some of whose bytes are there. */
export interface PartialBytes {
  /** Both from the block's first byte on. */
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  /** Whether the bytes [start, end) of the block are there; if not, they are asked for. Throws `corrupt` beyond it. */
  want(start: number, end: number): boolean;
}

export type RowOfBlock =
  /** Something was asked for; or only the whole block will do. */
  | { readonly kind: 'wants' | 'whole' }
  | { readonly kind: 'row'; readonly block: Block }
  /** The value is this one of the dictionary. */
  | { readonly kind: 'code'; readonly code: number };

/** What there is to know of a flat block before a value of it is read. */
interface Flat {
  readonly kind: BlockKind;
  readonly width: number;
  readonly hasNulls: boolean;
  readonly rows: number;
  /** Where the block starts within the bytes; another may stand around it. */
  readonly start: number;
}

const WANTS: RowOfBlock = { kind: 'wants' };
const WHOLE: RowOfBlock = { kind: 'whole' };
const FORM_KINDS = KINDS.length;
const FORM_WIDTH_BITS_MAX = 4;
const SHARED_BYTES = 16 * 1024;
/** A larger block has a buffer of its own. */
const SHARED_BLOCK_MAX = 1024;

/**
 * What a block's header says, as a number less than 255, so that a value's place is known without reading the header;
 * 0 where it does not fit, and the header must be read.
 */
export function formOf(block: Block): number {
  const widthBits = Math.log2(block.width);
  const isPlain = Number.isInteger(widthBits) && widthBits <= FORM_WIDTH_BITS_MAX && block.levels === undefined;
  return isPlain ? KINDS.indexOf(block.kind) + FORM_KINDS * (2 * widthBits + (block.hasNulls ? 1 : 0)) : 0;
}

/** `rows` is what the block holds, undefined where only its header says that. Throws `corrupt`. */
export function rowOfBlock(bytes: PartialBytes, form: number, rows: number | undefined, row: number): RowOfBlock {
  const known = form === 0 || rows === undefined ? undefined : flatOfForm(form, rows);
  if (known !== undefined) return flatRow(bytes, known, row);
  if (!bytes.want(0, BLOCK_HEADER_BYTES)) return WANTS;
  if (((wordAt(bytes, 4) >>> 8) & 0xff) === NESTED_CODE) return nestedRow(bytes, rows, row);
  return flatRow(bytes, flatAt(bytes, 0, rows), row);
}

/** A value of a dictionary that is in memory, as a block of its own. */
export function rowOfDictionary({ buffer, byteOffset, byteLength, rows }: Block, code: number): RowOfBlock {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  const words = new Uint32Array(buffer, byteOffset, byteLength >>> 2);
  return rowOfBlock({ bytes, words, want: () => true }, 0, rows, code);
}

function flatOfForm(form: number, rows: number): Flat {
  const rest = Math.trunc(form / FORM_KINDS);
  const kind = KINDS[form % FORM_KINDS];
  if (kind === undefined) throw corrupt(`a stored block has the unknown form ${form}`);
  return { kind, width: 2 ** (rest >>> 1), hasNulls: (rest & 1) !== 0, rows, start: 0 };
}

/** By the header at `start`, which is there. */
function flatAt(bytes: PartialBytes, start: number, expectedRows: number | undefined): Flat {
  const kindAndFlags = wordAt(bytes, start + 4);
  const rows = wordAt(bytes, start + 8);
  const kind = KINDS[(kindAndFlags >>> 8) & 0xff];
  if (kind === undefined || (expectedRows !== undefined && rows !== expectedRows)) {
    throw corrupt(`a stored block of ${rows} rows is not the one of ${expectedRows} rows that was expected`);
  }
  return { kind, width: wordAt(bytes, start + 12), hasNulls: ((kindAndFlags >>> 16) & FLAG_NULLS) !== 0, rows, start };
}

function flatRow(bytes: PartialBytes, flat: Flat, row: number): RowOfBlock {
  if (row >= flat.rows) throw corrupt(`a stored block of ${flat.rows} rows has no row ${row}`);
  if (flat.kind === 'CODES') return codeOf(bytes, flat, row);
  const placed = cutFlat(bytes, flat, row, row + 1);
  return placed === undefined ? WANTS : { kind: 'row', block: new Block(placed.views, placed.start) };
}

function codeOf(bytes: PartialBytes, flat: Flat, row: number): RowOfBlock {
  const at = valuesAt(flat) + row * flat.width;
  const hasValidity = wantValidity(bytes, flat, row, row + 1);
  if (!bytes.want(at, at + flat.width) || !hasValidity) return WANTS;
  if (!isValid(bytes, flat, row)) return { kind: 'row', block: Block.open(allocateBlock('BYTES', 1, 4, true, 0)) };
  let code = 0;
  for (let byte = flat.width - 1; byte >= 0; byte--) code = code * 256 + byteAt(bytes, at + byte);
  return { kind: 'code', code };
}

/** Rows [from, to) of a FIXED or BYTES block as a block of their own; undefined while bytes are wanted. */
function cutFlat(bytes: PartialBytes, flat: Flat, from: number, to: number): Placed | undefined {
  const hasValidity = wantValidity(bytes, flat, from, to);
  const isBytes = flat.kind === 'BYTES';
  const at = valuesAt(flat);
  const start = at + from * flat.width;
  const end = at + (isBytes ? to + 1 : to) * flat.width;
  if (!bytes.want(start, end) || !hasValidity) return undefined;
  return isBytes ? cutBytes(bytes, flat, from, to) : cutFixed(bytes, flat, from, to);
}

function cutFixed(bytes: PartialBytes, flat: Flat, from: number, to: number): Placed {
  const { width, hasNulls } = flat;
  const rows = to - from;
  const placed = place(flat, rows, 0);
  copyValidity(bytes, flat, from, rows, placed);
  const start = valuesAt(flat) + from * width;
  copy(bytes, start, start + rows * width, placed, valuesStart(rows, hasNulls));
  return placed;
}

function cutBytes(bytes: PartialBytes, flat: Flat, from: number, to: number): Placed | undefined {
  const at = valuesAt(flat);
  const body = at + 4 * (flat.rows + 1);
  const first = wordAt(bytes, at + 4 * from);
  const end = wordAt(bytes, at + 4 * to);
  if (!bytes.want(body + first, body + end)) return undefined;
  const rows = to - from;
  const placed = place(flat, rows, end - first);
  copyValidity(bytes, flat, from, rows, placed);
  const start = valuesStart(rows, flat.hasNulls);
  const offsetsAt = (placed.start + start) >>> 2;
  for (let row = 0; row <= rows; row++) {
    const offset = wordAt(bytes, at + 4 * (from + row)) - first;
    if (offset < 0 || offset > end - first) throw corrupt('the values of a stored block lie in no order');
    placed.views.uint32s[offsetsAt + row] = offset;
  }
  copy(bytes, body + first, body + end, placed, start + 4 * (rows + 1));
  return placed;
}

/** Where a block that is being made lies. */
interface Placed {
  readonly views: BufferViews;
  readonly start: number;
}

let shared = new BufferViews(new ArrayBuffer(0));
let sharedEnd = 0;

/** Room for a block with its header written; `bodyBytes` counts only what BYTES blocks hold. */
function place({ kind, width, hasNulls }: Flat, rows: number, bodyBytes: number): Placed {
  const byteLength = blockBytes(kind, rows, width, hasNulls, bodyBytes);
  if (byteLength > SHARED_BLOCK_MAX) {
    return { views: new BufferViews(allocateBlock(kind, rows, width, hasNulls, bodyBytes)), start: 0 };
  }
  if (sharedEnd + byteLength > shared.buffer.byteLength) {
    shared = new BufferViews(new ArrayBuffer(SHARED_BYTES));
    sharedEnd = 0;
  }
  const placed = { views: shared, start: sharedEnd };
  writeBlockHeader(shared.uint32s, sharedEnd >>> 2, kind, rows, width, hasNulls, byteLength);
  sharedEnd += byteLength;
  return placed;
}

/** The header is there. Its values are a flat block; codes are not followed one by one, so of them the whole is read. */
function nestedRow(bytes: PartialBytes, expectedRows: number | undefined, row: number): RowOfBlock {
  const rows = wordAt(bytes, 8);
  const entries = wordAt(bytes, 20);
  const start = wordAt(bytes, 24);
  const isRepeated = ((wordAt(bytes, 4) >>> 16) & FLAG_REPEATED) !== 0;
  const places = nestedPlaces(rows, isRepeated, entries);
  if (row >= rows || start !== places.valuesStart || (expectedRows !== undefined && rows !== expectedRows)) {
    throw corrupt(`a stored nested block of ${rows} rows is not the one of ${expectedRows} rows that was expected`);
  }
  const starts = BLOCK_HEADER_BYTES + 4 * row;
  const hasStarts = !isRepeated || bytes.want(starts, starts + 8);
  if (!bytes.want(start, start + BLOCK_HEADER_BYTES) || !hasStarts) return WANTS;
  const from = isRepeated ? wordAt(bytes, starts) : row;
  const to = isRepeated ? wordAt(bytes, starts + 4) : row + 1;
  const flat = flatAt(bytes, start, entries);
  if (from > to || to > entries) throw corrupt('the rows of a stored nested block lie in no order');
  if (flat.kind === 'CODES') return WHOLE;
  const hasRepetition = !isRepeated || bytes.want(places.repetitionStart + from, places.repetitionStart + to);
  const hasDefinition = bytes.want(places.definitionStart + from, places.definitionStart + to);
  const values = cutFlat(bytes, flat, from, to);
  if (!hasRepetition || !hasDefinition || values === undefined) return WANTS;
  const count = to - from;
  const valuesEnd = values.start + new Block(values.views, values.start).byteLength;
  const inner = values.views.buffer.slice(values.start, valuesEnd) as ArrayBuffer;
  const made = allocateNestedBlock(1, isRepeated, count, inner);
  const placed = { views: new BufferViews(made.buffer), start: 0 };
  if (isRepeated) {
    placed.views.uint32s[BLOCK_HEADER_BYTES / 4 + 1] = count;
    copy(bytes, places.repetitionStart + from, places.repetitionStart + to, placed, made.repetitionStart);
  }
  copy(bytes, places.definitionStart + from, places.definitionStart + to, placed, made.definitionStart);
  return { kind: 'row', block: Block.open(made.buffer) };
}

function valuesAt({ start, rows, hasNulls }: Flat): number {
  return start + valuesStart(rows, hasNulls);
}

function wantValidity(bytes: PartialBytes, { start, hasNulls }: Flat, from: number, to: number): boolean {
  const at = start + BLOCK_HEADER_BYTES;
  return !hasNulls || bytes.want(at + (from >>> 3), at + ((to + 7) >>> 3));
}

function isValid(bytes: PartialBytes, { start, hasNulls }: Flat, row: number): boolean {
  return !hasNulls || (byteAt(bytes, start + BLOCK_HEADER_BYTES + (row >>> 3)) & (1 << (row & 7))) !== 0;
}

function copyValidity(bytes: PartialBytes, flat: Flat, from: number, rows: number, { views, start }: Placed): void {
  if (!flat.hasNulls) return;
  const validityAt = start + BLOCK_HEADER_BYTES;
  for (let row = 0; row < rows; row++) {
    if (isValid(bytes, flat, from + row)) views.bytes[validityAt + (row >>> 3)]! |= 1 << (row & 7);
  }
}

/** Of the block's bytes [from, to), which are there, to byte `at` of the block that is being made. */
function copy({ bytes }: PartialBytes, from: number, to: number, { views, start }: Placed, at: number): void {
  const target = views.bytes;
  const offset = start + at - from;
  // A call costs more than the few bytes of most values.
  if (to - from <= 16) for (let byte = from; byte < to; byte++) target[offset + byte] = bytes[byte]!;
  else target.set(bytes.subarray(from, to), from + offset);
}

function byteAt({ bytes }: PartialBytes, at: number): number {
  return bytes[at]!;
}

/** Of a place that is a multiple of 4. */
function wordAt({ words }: PartialBytes, at: number): number {
  return words[at >>> 2]!;
}
