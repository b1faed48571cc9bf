/**
 * Least and greatest of values in their stored form, ordered as TypeDefinedOrder says. NaN is passed over. Long strings
 * are cut, so that a page index stays small; what is cut still bounds.
 */

import { boundFormOf, type LeafColumn } from '../parquet/index.ts';

/** A bound longer than this is cut. */
const BOUND_BYTES_MAX = 64;

export interface StoredBounds {
  readonly min: Buffer;
  readonly max: Buffer;
  readonly minExact: boolean;
  readonly maxExact: boolean;
}

export type Compare = (a: Buffer, aAt: number, aEnd: number, b: Buffer, bAt: number, bEnd: number) => number;

/** Undefined where the format knows no order (INT96, intervals, geometries), or repetition makes one useless. */
export function orderOf(leaf: LeafColumn): Compare | undefined {
  switch (boundFormOf(leaf)) {
    case 'none':
      return undefined;
    case 'boolean':
      return (a, aAt, _, b, bAt) => a.readUInt8(aAt) - b.readUInt8(bAt);
    case 'int32':
      return (a, aAt, _, b, bAt) => a.readInt32LE(aAt) - b.readInt32LE(bAt);
    case 'uint32':
      return (a, aAt, _, b, bAt) => a.readUInt32LE(aAt) - b.readUInt32LE(bAt);
    case 'int64':
      return (a, aAt, _, b, bAt) =>
        a.readInt32LE(aAt + 4) - b.readInt32LE(bAt + 4) || a.readUInt32LE(aAt) - b.readUInt32LE(bAt);
    case 'uint64':
      return (a, aAt, _, b, bAt) =>
        a.readUInt32LE(aAt + 4) - b.readUInt32LE(bAt + 4) || a.readUInt32LE(aAt) - b.readUInt32LE(bAt);
    case 'float':
      return (a, aAt, _, b, bAt) => order(a.readFloatLE(aAt), b.readFloatLE(bAt));
    case 'double':
      return (a, aAt, _, b, bAt) => order(a.readDoubleLE(aAt), b.readDoubleLE(bAt));
    case 'bytes':
      return (a, aAt, aEnd, b, bAt, bEnd) => a.compare(b, bAt, bEnd, aAt, aEnd);
    case 'float16':
      return (a, aAt, _, b, bAt) => halfRank(a, aAt) - halfRank(b, bAt);
    case 'decimal':
      return compareDecimals;
  }
}

/** A half float's bits as a number of their order; zeros of both signs are 0. */
function halfRank(bytes: Buffer, at: number): number {
  const bits = bytes.readUInt16LE(at);
  return bits < 0x8000 ? bits : 0x8000 - bits;
}

/** Two's complement, big-endian, of any length: the shorter one is thought to be continued by its sign to the left. */
function compareDecimals(a: Buffer, aAt: number, aEnd: number, b: Buffer, bAt: number, bEnd: number): number {
  const [aSign, bSign] = [signOf(a, aAt, aEnd), signOf(b, bAt, bEnd)];
  if (aSign !== bSign) return aSign === 0 ? 1 : -1;
  const length = Math.max(aEnd - aAt, bEnd - bAt);
  for (let i = length; i > 0; i -= 1) {
    const left = aEnd - i >= aAt ? (a[aEnd - i] ?? 0) : aSign;
    const right = bEnd - i >= bAt ? (b[bEnd - i] ?? 0) : bSign;
    if (left !== right) return left - right;
  }
  return 0;
}

/** The byte that continues it; of no bytes 0. */
function signOf(bytes: Buffer, at: number, end: number): number {
  return at < end && ((bytes[at] ?? 0) & 0x80) !== 0 ? 0xff : 0;
}

function order(a: number, b: number): number {
  return a < b ? -1 : Number(a > b);
}

export function isNaNAt(leaf: LeafColumn, bytes: Buffer, at: number): boolean {
  switch (boundFormOf(leaf)) {
    case 'double':
      return Number.isNaN(bytes.readDoubleLE(at));
    case 'float':
      return Number.isNaN(bytes.readFloatLE(at));
    case 'float16':
      return (bytes.readUInt16LE(at) & 0x7fff) > 0x7c00;
    default:
      return false;
  }
}

/** As they are written: zeros with the sign that bounds both, strings cut. Both are copied. */
export function boundsOf(leaf: LeafColumn, min: Buffer, max: Buffer): StoredBounds {
  const form = boundFormOf(leaf);
  if (form === 'double' || form === 'float' || form === 'float16') {
    return { min: signedZero(min, 0x80), max: signedZero(max, 0), minExact: true, maxExact: true };
  }
  const mayCut = form === 'bytes' && leaf.physicalType === 'BYTE_ARRAY';
  const shortMin = mayCut ? cutMin(min) : min;
  const shortMax = mayCut ? cutMax(max) : max;
  return {
    min: Buffer.from(shortMin),
    max: Buffer.from(shortMax),
    minExact: shortMin.length === min.length,
    maxExact: shortMax === max,
  };
}

function signedZero(value: Buffer, sign: number): Buffer {
  const copy = Buffer.from(value);
  const isZero = copy.every((byte, i) => (i === copy.length - 1 ? (byte & 0x7f) === 0 : byte === 0));
  if (isZero) copy[copy.length - 1] = sign;
  return copy;
}

/** A prefix, of whole characters if the value is text. */
function cutMin(value: Buffer): Buffer {
  return value.length <= BOUND_BYTES_MAX ? value : value.subarray(0, wholeCharacters(value));
}

function wholeCharacters(value: Buffer): number {
  let end = BOUND_BYTES_MAX;
  while (end > BOUND_BYTES_MAX - 4 && ((value[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return ((value[end] ?? 0) & 0xc0) === 0x80 ? BOUND_BYTES_MAX : end;
}

/**
 * A prefix whose last character is one more, so that text stays text; of what is no text, whose last byte is. Whole
 * where nothing can be more.
 */
function cutMax(value: Buffer): Buffer {
  if (value.length <= BOUND_BYTES_MAX) return value;
  const prefix = value.subarray(0, wholeCharacters(value));
  const text = prefix.toString();
  return (Buffer.from(text).equals(prefix) ? nextText(text) : nextBytes(prefix)) ?? value;
}

function nextText(text: string): Buffer | undefined {
  const points = [...text];
  for (let i = points.length - 1; i >= 0; i -= 1) {
    const point = points[i]?.codePointAt(0) ?? 0;
    if (point === 0x10_ffff) continue;
    // Surrogates stand for no character.
    const next = point === 0xd7ff ? 0xe000 : point + 1;
    return Buffer.from(points.slice(0, i).join('') + String.fromCodePoint(next));
  }
  return undefined;
}

function nextBytes(prefix: Buffer): Buffer | undefined {
  const last = prefix.findLastIndex((byte) => byte !== 0xff);
  if (last < 0) return undefined;
  const next = Buffer.from(prefix.subarray(0, last + 1));
  next[last] = (next[last] ?? 0) + 1;
  return next;
}
