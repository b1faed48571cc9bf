/**
 * Columns of packed rows as Arrow has them, each written from the first row to the last: validity, then offsets or values.
 *
 * A column that has no Arrow type of its own here, a nested one above all, is its JSON text, marked as the extension type
 * `arrow.json`.
 */

import type { LeafColumn } from '../parquet/index.ts';
import type { TableColumn } from '../table/index.ts';
import type { ArrowBody } from './arrow-body.ts';
import { type Arrow, typeOf } from './arrow-types.ts';
import { COPIED_IN_PLACE_MAX, type PackedRows, packedKind } from './packed-rows.ts';

/** In place of a row: every column of it is null. */
export const NO_ROW = -1;

const BITS = 0;
const OFFSETS = -1;

export function fieldOf(arrow: Arrow, column: TableColumn, isNullable: boolean) {
  if (packedKind(column) !== 'text')
    return new arrow.Field(column.name, typeOf(arrow, column.leaf as LeafColumn), isNullable);
  const extension = new Map([
    ['ARROW:extension:name', 'arrow.json'],
    ['ARROW:extension:metadata', ''],
  ]);
  return new arrow.Field(column.name, new arrow.Utf8(), isNullable, extension);
}

/** How wide the values are in Arrow; 0: bits, -1: offsets and bytes. */
export function widthOf(column: TableColumn): number {
  const { leaf } = column;
  switch (packedKind(column)) {
    case 'bit':
      return BITS;
    case 'text':
      return OFFSETS;
    case 'bytes': {
      const { kind: logical } = leaf?.logicalType ?? { kind: 'NONE' };
      const isText = logical === 'STRING' || logical === 'ENUM' || logical === 'JSON';
      return leaf?.physicalType === 'FIXED_LEN_BYTE_ARRAY' && !isText ? leaf.typeLength : OFFSETS;
    }
    case 'word':
      return leaf?.logicalType.kind === 'INTEGER' ? leaf.logicalType.bitWidth / 8 : 4;
    case 'half':
    case 'float':
      return 4;
    case 'pair':
    case 'double':
      return 8;
    case 'wide':
      return 16;
  }
}

/** `width` as `widthOf` has it. */
export function writeColumn(
  body: ArrowBody,
  packed: PackedRows,
  rows: readonly number[],
  column: number,
  width: number,
): void {
  const nulls = nullsOf(packed, rows, column);
  writeValidity(body, nulls);
  const slot = packed.slots[column] as number;
  if (width === OFFSETS) {
    writeOffsets(body, packed, rows, slot, nulls);
    return;
  }
  const { words, bytes } = packed;
  const out = body.buffer(width === BITS ? Math.ceil(rows.length / 8) : rows.length * width);
  if (packed.kinds[column] !== 'bytes' && width >= 4) {
    writeWide(body.words, out >>> 2, packed.words, rows, slot, width / 4, nulls);
    return;
  }
  const isBytes = packed.kinds[column] === 'bytes';
  for (let i = 0; i < rows.length; i++) {
    if (nulls !== undefined && nulls[i] === 1) continue;
    const row = rows[i] as number;
    const at = row + slot;
    const to = out + i * width;
    if (isBytes) bytes.copy(body.bytes, to, 4 * row + (words[at] as number), 4 * row + (words[at] as number) + width);
    else if (width === BITS) setBit(body.bytes, out, i, words[at] as number);
    else if (width === 1) body.bytes[to] = words[at] as number;
    else body.bytes.writeUInt16LE((words[at] as number) & 0xffff, to);
  }
}

/** Values of one, two or four words. */
function writeWide(
  out: Uint32Array,
  start: number,
  words: Uint32Array,
  rows: readonly number[],
  slot: number,
  wordsEach: number,
  nulls: Uint8Array | undefined,
): void {
  for (let i = 0, to = start; i < rows.length; i++, to += wordsEach) {
    if (nulls !== undefined && nulls[i] === 1) continue;
    const at = (rows[i] as number) + slot;
    out[to] = words[at] as number;
    if (wordsEach > 1) out[to + 1] = words[at + 1] as number;
    for (let word = 2; word < wordsEach; word++) out[to + word] = words[at + word] as number;
  }
}

/** 1 where a row is null; undefined where none is. */
function nullsOf(packed: PackedRows, rows: readonly number[], column: number): Uint8Array | undefined {
  let nulls: Uint8Array | undefined;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number;
    if (row !== NO_ROW && !packed.isNull(row, column)) continue;
    nulls ??= new Uint8Array(rows.length);
    nulls[i] = 1;
  }
  return nulls;
}

function writeOffsets(
  body: ArrowBody,
  { words, bytes }: PackedRows,
  rows: readonly number[],
  slot: number,
  nulls: Uint8Array | undefined,
): void {
  const lengthOf = (i: number) => (nulls?.[i] === 1 ? 0 : (words[(rows[i] as number) + slot + 1] as number));
  const offsets = body.buffer(4 * (rows.length + 1)) >>> 2;
  let end = 0;
  for (let i = 0; i < rows.length; i++) {
    end += lengthOf(i);
    body.words[offsets + i + 1] = end;
  }
  let to = body.buffer(end);
  for (let i = 0; i < rows.length; i++) {
    const length = lengthOf(i);
    if (length === 0) continue;
    const from = 4 * (rows[i] as number) + (words[(rows[i] as number) + slot] as number);
    copyBytesTo(body.bytes, to, bytes, from, length);
    to += length;
  }
}

export function writeValidity(body: ArrowBody, nulls: Uint8Array | undefined): void {
  let nullCount = 0;
  const at = body.buffer(nulls === undefined ? 0 : Math.ceil(nulls.length / 8));
  if (nulls !== undefined) {
    for (let i = 0; i < nulls.length; i++) {
      nullCount += nulls[i] as number;
      setBit(body.bytes, at, i, 1 - (nulls[i] as number));
    }
  }
  body.nullCounts.push(nullCount);
}

export function copyBytesTo(target: Uint8Array, to: number, bytes: Uint8Array, from: number, length: number): void {
  if (length > COPIED_IN_PLACE_MAX) target.set(bytes.subarray(from, from + length), to);
  else for (let i = 0; i < length; i++) target[to + i] = bytes[from + i] as number;
}

export function setBit(bytes: Uint8Array, at: number, bit: number, value: number): void {
  const byte = at + (bit >>> 3);
  bytes[byte] = (bytes[byte] as number) | (value << (bit & 7));
}
