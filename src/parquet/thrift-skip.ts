/**
 * Passing over Thrift values, and the reading of integers, as flat functions of an offset: most of a footer is passed
 * over, so this is where parsing spends its time.
 *
 * No byte is checked against the end on its way. A typed array gives `undefined` beyond its end, which counts as 0 in
 * every expression here: as the end of a struct, as the last byte of an integer, as an empty list. So reading beyond
 * the end stops at once, and the caller compares the offset it gets with the end, once. Counts are checked before they
 * are looped over, and depth has a bound.
 */

import { corrupt } from '../core/index.ts';

const MAX_DEPTH = 64;

/** The offset behind a value of the wire type, beyond `bytes.length` when the bytes end inside it. */
export function skipValue(bytes: Uint8Array, at: number, type: number, depth: number): number {
  switch (type) {
    case 1:
    case 2:
      return at;
    case 3:
      return at + 1;
    case 4:
    case 5:
    case 6:
      return skipInteger(bytes, at);
    case 7:
      return at + 8;
    case 8:
      return skipBinary(bytes, at);
    case 9:
    case 10:
      return skipList(bytes, at, depth);
    case 11:
      return skipMap(bytes, at, depth);
    case 12:
      return skipStruct(bytes, at, depth);
    case 13:
      return at + 16;
    default:
      throw corrupt(`malformed Thrift: the unknown type ${type} at byte ${at}`);
  }
}

export function skipStruct(bytes: Uint8Array, start: number, depth: number): number {
  checkDepth(depth);
  let at = start;
  for (;;) {
    const header = bytes[at++]!;
    const type = header & 0x0f;
    if (type === 0) return at;
    if (header < 0x10) at = skipInteger(bytes, at);
    if (type >= 4 && type <= 6) while (bytes[at++]! >= 0x80);
    else at = skipValue(bytes, at, type, depth + 1);
  }
}

export function skipInteger(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at++]! >= 0x80);
  return at;
}

function skipBinary(bytes: Uint8Array, at: number): number {
  return skipInteger(bytes, at) + unsignedAt(bytes, at);
}

function skipList(bytes: Uint8Array, start: number, depth: number): number {
  checkDepth(depth);
  let at = start;
  const header = bytes[at++]!;
  let size = header >> 4;
  if (size === 15) {
    size = unsignedAt(bytes, at);
    at = skipInteger(bytes, at);
  }
  // Every element takes a byte at least.
  if (size > bytes.length - at) return at + size;
  const type = header & 0x0f;
  // Inside a collection a boolean is a byte of its own.
  if (type <= 3 && type !== 0) return at + size;
  if (type === 12) for (let index = 0; index < size; index += 1) at = skipStruct(bytes, at, depth + 1);
  else for (let index = 0; index < size; index += 1) at = skipValue(bytes, at, type, depth + 1);
  return at;
}

function skipMap(bytes: Uint8Array, start: number, depth: number): number {
  checkDepth(depth);
  const size = unsignedAt(bytes, start);
  let at = skipInteger(bytes, start);
  if (size === 0) return at;
  const types = bytes[at++]!;
  if (size * 2 > bytes.length - at) return at + size * 2;
  for (let index = 0; index < size; index += 1) {
    at = skipElement(bytes, at, types >> 4, depth);
    at = skipElement(bytes, at, types & 0x0f, depth);
  }
  return at;
}

function skipElement(bytes: Uint8Array, at: number, type: number, depth: number): number {
  return type === 1 || type === 2 ? at + 1 : skipValue(bytes, at, type, depth + 1);
}

function checkDepth(depth: number): void {
  if (depth > MAX_DEPTH) throw corrupt(`malformed Thrift: values nested more than ${MAX_DEPTH} deep`);
}

/** An unsigned varint, as a double where it is long; infinite when it is longer than any number of 64 bits. */
export function unsignedAt(bytes: Uint8Array, start: number): number {
  let at = start;
  let byte = bytes[at++]!;
  let value = byte & 0x7f;
  for (let scale = 128; byte >= 0x80; scale *= 128) {
    if (scale > 2 ** 63) return Number.POSITIVE_INFINITY;
    byte = bytes[at++]!;
    value += (byte & 0x7f) * scale;
  }
  return value;
}

/** A zigzag integer that should be a natural number: -1 for a negative one, and for one a double cannot hold. */
export function naturalAt(bytes: Uint8Array, start: number): number {
  const first = bytes[start]!;
  if (first < 0x80) return (first & 1) === 0 ? first >>> 1 : -1;
  const second = bytes[start + 1]!;
  if (second < 0x80) return (first & 1) === 0 ? ((first & 0x7f) | (second << 7)) >>> 1 : -1;
  const value = unsignedAt(bytes, start);
  if ((first & 1) === 1 || value > Number.MAX_SAFE_INTEGER) return -1;
  return value / 2;
}
