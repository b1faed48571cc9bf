/**
 * A key as bytes whose order, compared as unsigned bytes, is that of `compareKeys`: one comparison serves every type and
 * any number of columns. Nulls come last; NaN is the greatest number.
 */

import { type Block, boundFormOf, type LeafColumn } from '../parquet/index.ts';
import type { GrowingBytes } from './growing-bytes.ts';

export function appendSortKey(target: GrowingBytes, leaf: LeafColumn, block: Block, row: number): void {
  if (leaf.maxDefinitionLevel > 0) {
    const isNull = block.isNull(row);
    target.byte(isNull ? 1 : 0);
    if (isNull) return;
  }
  const bytes = block.bytesAt(row);
  switch (boundFormOf(leaf)) {
    case 'boolean':
      target.append(bytes);
      break;
    case 'uint32':
    case 'uint64':
      appendReversed(target, bytes, 0);
      break;
    case 'int32':
    case 'int64':
      appendReversed(target, bytes, 0x80);
      break;
    case 'float16':
    case 'float':
    case 'double':
      appendFloat(target, bytes);
      break;
    case 'decimal':
      appendDecimal(target, bytes);
      break;
    default:
      if (leaf.physicalType === 'FIXED_LEN_BYTE_ARRAY') target.append(bytes);
      else appendEscaped(target, bytes);
  }
}

/** Little-endian to big-endian, the sign bit flipped where there is one. */
function appendReversed(target: GrowingBytes, bytes: Uint8Array, flip: number): void {
  for (let i = bytes.length - 1; i >= 0; i -= 1) target.byte((bytes[i] ?? 0) ^ (i === bytes.length - 1 ? flip : 0));
}

/** Negative numbers are flipped whole. Every NaN is one NaN, and zeros of both signs are one zero. */
function appendFloat(target: GrowingBytes, bytes: Uint8Array): void {
  const top = bytes.length - 1;
  const exponentBits = [0, 0x7c, 0, 0x7f80, 0, 0, 0, 0x7ff0][top] ?? 0;
  const wide = top === 1 ? (bytes[1] ?? 0) & 0x7f : (((bytes[top] ?? 0) & 0x7f) << 8) | (bytes[top - 1] ?? 0);
  const fractionMask = top === 1 ? 0x03 : top === 3 ? 0x7f : 0x0f;
  const below = top === 1 ? [bytes[0] ?? 0] : [...bytes.subarray(0, top - 1)];
  const rest = below.some((byte) => byte !== 0);
  const isNotANumber = (wide & exponentBits) === exponentBits && ((wide & fractionMask) !== 0 || rest);
  const isNegative = ((bytes[top] ?? 0) & 0x80) !== 0;
  const isZero = wide === 0 && !rest;
  for (let i = top; i >= 0; i -= 1) {
    const byte = bytes[i] ?? 0;
    if (isNotANumber) target.byte(0xff);
    else if (isZero) target.byte(i === top ? 0x80 : 0);
    else if (isNegative) target.byte(byte ^ 0xff);
    else target.byte(i === top ? byte | 0x80 : byte);
  }
}

/** The sign, the number of bytes that say something, and they; both flipped where negative. */
function appendDecimal(target: GrowingBytes, bytes: Uint8Array): void {
  const isNegative = ((bytes[0] ?? 0) & 0x80) !== 0;
  const sign = isNegative ? 0xff : 0;
  let start = 0;
  while (start < bytes.length && bytes[start] === sign) start += 1;
  const length = bytes.length - start;
  target.byte(isNegative ? 0 : 1);
  for (const shift of [24, 16, 8, 0]) target.byte(((isNegative ? ~length : length) >>> shift) & 0xff);
  target.append(bytes, start);
}

/** Zeros are written 00 ff and the end 00 00, so that no value is the start of another. */
function appendEscaped(target: GrowingBytes, bytes: Uint8Array): void {
  for (const byte of bytes) {
    target.byte(byte);
    if (byte === 0) target.byte(0xff);
  }
  target.byte(0);
  target.byte(0);
}
