/**
 * Decides what of one entry's raw statistics may be believed: the traps that `bounds.ts` lists are handled here, one
 * entry at a time and without making objects, since a footer can have a million of them. What the values themselves
 * show is looked at as they are read; how the file ordered them stands behind all of them, and is applied later.
 */

import { compareSlices, decodeDecimal, decodeFloat16 } from './bound-bytes.ts';
import type { BoundForm, BoundTrust } from './bounds.ts';
import { RAW, type RawStatistics } from './raw-statistics.ts';

const BOTH = RAW.MIN | RAW.MAX;

/** Bytes of a plain value, 0 where they vary. */
export const NATIVE_WIDTH: Readonly<Record<BoundForm, number>> = {
  none: 0,
  boolean: 1,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  float16: 2,
  float: 4,
  double: 8,
  bytes: 0,
  decimal: 0,
};

/**
 * Whether an entry's bounds are bounds at all: values of the form, the lower not above the upper. `bits` are the entry's;
 * `typeLength` is 0 where values have no fixed length.
 */
export function boundsMakeSense(
  form: BoundForm,
  typeLength: number,
  raw: RawStatistics,
  entry: number,
  bits: number,
): boolean {
  if (form === 'none') return false;
  const { view } = raw;
  const hasMin = (bits & RAW.MIN) !== 0;
  const hasMax = (bits & RAW.MAX) !== 0;
  if (hasMin && !isWellFormed(form, typeLength, view, raw.minStart[entry]!, raw.minLength[entry]!)) return false;
  if (hasMax && !isWellFormed(form, typeLength, view, raw.maxStart[entry]!, raw.maxLength[entry]!)) return false;
  if ((bits & RAW.DEPRECATED) !== 0 && (form === 'uint32' || form === 'uint64')) {
    // Compared as signed numbers: right only where no sign bit is set.
    if (!hasMin || !hasMax) return false;
    if (isNegative(form, view, raw.minStart[entry]!) || isNegative(form, view, raw.maxStart[entry]!)) return false;
  }
  return !hasMin || !hasMax || !isInverted(form, raw, view, entry);
}

/** The bits that are left once it is known how the file ordered its bounds. */
export function trustedBits(trust: BoundTrust, bits: number): number {
  if ((bits & BOTH) === 0) return bits;
  // Bounds of nothing contradict themselves, and then neither side is believed.
  if ((bits & RAW.ALL_NULL) !== 0) return bits & ~(BOTH | RAW.ALL_NULL);
  return ((bits & RAW.DEPRECATED) === 0 ? trust.ordered : trust.deprecated) ? bits : bits & ~BOTH;
}

/** The right length, and for floats a number. */
function isWellFormed(form: BoundForm, typeLength: number, view: DataView, start: number, length: number): boolean {
  switch (form) {
    case 'float':
      return length === 4 && !Number.isNaN(view.getFloat32(start, true));
    case 'double':
      return length === 8 && !Number.isNaN(view.getFloat64(start, true));
    case 'float16':
      return length === 2 && !Number.isNaN(decodeFloat16(view.getUint16(start, true)));
    case 'bytes':
      // A truncated bound of a fixed-length value may be shorter than the values, never longer.
      return typeLength === 0 || length <= typeLength;
    case 'decimal':
      return typeLength === 0 ? length > 0 : length === typeLength;
    // Not by NATIVE_WIDTH: looking up a string costs as much as all the rest.
    case 'int64':
    case 'uint64':
      return length === 8;
    case 'int32':
    case 'uint32':
      return length === 4;
    case 'boolean':
      return length === 1;
    case 'none':
      return false;
  }
}

function isNegative(form: BoundForm, view: DataView, start: number): boolean {
  return view.getInt32(form === 'uint64' ? start + 4 : start, true) < 0;
}

function isInverted(form: BoundForm, raw: RawStatistics, view: DataView, entry: number): boolean {
  const min = raw.minStart[entry]!;
  const max = raw.maxStart[entry]!;
  switch (form) {
    case 'none':
      return false;
    case 'boolean':
      return view.getUint8(min) > view.getUint8(max);
    case 'int32':
      return view.getInt32(min, true) > view.getInt32(max, true);
    case 'uint32':
      return view.getUint32(min, true) > view.getUint32(max, true);
    case 'int64':
      return isGreater(view.getInt32(min + 4, true), view.getInt32(max + 4, true), view, min, max);
    case 'uint64':
      return isGreater(view.getUint32(min + 4, true), view.getUint32(max + 4, true), view, min, max);
    case 'float':
      return view.getFloat32(min, true) > view.getFloat32(max, true);
    case 'double':
      return view.getFloat64(min, true) > view.getFloat64(max, true);
    case 'float16':
      return decodeFloat16(view.getUint16(min, true)) > decodeFloat16(view.getUint16(max, true));
    case 'bytes':
      return compareSlices(raw.source, min, raw.minLength[entry]!, max, raw.maxLength[entry]!) > 0;
    case 'decimal':
      return isGreaterDecimal(raw, entry);
  }
}

/** 64-bit integers by their halves, which spares a BigInt each. */
function isGreater(highA: number, highB: number, view: DataView, a: number, b: number): boolean {
  return highA === highB ? view.getUint32(a, true) > view.getUint32(b, true) : highA > highB;
}

function isGreaterDecimal(raw: RawStatistics, entry: number): boolean {
  // Very long numbers are not kept anyway, and comparing them would cost the square of their length.
  const minLength = raw.minLength[entry]!;
  const maxLength = raw.maxLength[entry]!;
  if (minLength > 256 || maxLength > 256) return true;
  return (
    decodeDecimal(raw.source, raw.minStart[entry]!, minLength) >
    decodeDecimal(raw.source, raw.maxStart[entry]!, maxLength)
  );
}
