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

/** Undefined where the format knows no order, or repetition makes one useless. */
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
    // Half floats and decimals of any length are rare, and a chunk without bounds is only searched.
    case 'float16':
    case 'decimal':
      return undefined;
  }
}

function order(a: number, b: number): number {
  return a < b ? -1 : Number(a > b);
}

export function isNaNAt(leaf: LeafColumn, bytes: Buffer, at: number): boolean {
  if (leaf.physicalType === 'DOUBLE') return Number.isNaN(bytes.readDoubleLE(at));
  return leaf.physicalType === 'FLOAT' && Number.isNaN(bytes.readFloatLE(at));
}

/** As they are written: zeros with the sign that bounds both, strings cut. Both are copied. */
export function boundsOf(leaf: LeafColumn, min: Buffer, max: Buffer): StoredBounds {
  if (leaf.physicalType === 'FLOAT' || leaf.physicalType === 'DOUBLE') {
    return { min: signedZero(min, 0x80), max: signedZero(max, 0), minExact: true, maxExact: true };
  }
  const shortMin = leaf.physicalType === 'BYTE_ARRAY' ? cutMin(min) : min;
  const shortMax = leaf.physicalType === 'BYTE_ARRAY' ? cutMax(max) : max;
  return {
    min: Buffer.from(shortMin),
    max: Buffer.from(shortMax),
    minExact: shortMin.length === min.length,
    maxExact: shortMax.length === max.length,
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
  if (value.length <= BOUND_BYTES_MAX) return value;
  let end = BOUND_BYTES_MAX;
  while (end > 0 && ((value[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return value.subarray(0, end);
}

/** A prefix whose last byte was ASCII and is one more, so that text stays text; whole where there is no such byte. */
function cutMax(value: Buffer): Buffer {
  if (value.length <= BOUND_BYTES_MAX) return value;
  let last = BOUND_BYTES_MAX - 1;
  while (last >= 0 && (value[last] ?? 0xff) >= 0x7f) last -= 1;
  if (last < 0) return value;
  const cut = Buffer.from(value.subarray(0, last + 1));
  cut[last] = (cut[last] ?? 0) + 1;
  return cut;
}
