/**
 * Statistics as they lie in a file, many of them side by side: where each minimum and maximum is, not what it means.
 * A footer's chunks and a column index's pages are both brought to this form, and `packBounds` makes bounds of it.
 */

import { type ThriftReader, WIRE } from './thrift.ts';

/** Bits of `RawStatistics.bits`. */
export const RAW = {
  MIN: 1,
  MAX: 2,
  /** The pair is the deprecated `min` and `max`. */
  DEPRECATED: 4,
  MIN_EXACT: 8,
  MAX_EXACT: 16,
  NO_NAN: 32,
  ALL_NULL: 64,
} as const;

export class RawStatistics {
  readonly source: Uint8Array;
  readonly bits: Uint8Array;
  readonly minStart: Uint32Array;
  readonly minLength: Uint32Array;
  readonly maxStart: Uint32Array;
  readonly maxLength: Uint32Array;

  constructor(source: Uint8Array, entries: number) {
    this.source = source;
    this.bits = new Uint8Array(entries);
    this.minStart = new Uint32Array(entries);
    this.minLength = new Uint32Array(entries);
    this.maxStart = new Uint32Array(entries);
    this.maxLength = new Uint32Array(entries);
  }

  setMin(entry: number, start: number, length: number): void {
    this.bits[entry] = this.bits[entry]! | RAW.MIN;
    this.minStart[entry] = start;
    this.minLength[entry] = length;
  }

  setMax(entry: number, start: number, length: number): void {
    this.bits[entry] = this.bits[entry]! | RAW.MAX;
    this.maxStart[entry] = start;
    this.maxLength[entry] = length;
  }
}

/**
 * Reads one Statistics struct as an entry and returns its null count, or -1 where it has none. The newer pair of
 * bounds wins over the deprecated one.
 */
export function readStatistics(reader: ThriftReader, raw: RawStatistics, entry: number): number {
  let nullCount = -1;
  let bits = 0;
  let oldMin = -1;
  let oldMinLength = 0;
  let oldMax = -1;
  let oldMaxLength = 0;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    switch (field) {
      case 0x18: // max
        oldMaxLength = reader.binaryLength();
        oldMax = reader.offset;
        reader.offset += oldMaxLength;
        break;
      case 0x28: // min
        oldMinLength = reader.binaryLength();
        oldMin = reader.offset;
        reader.offset += oldMinLength;
        break;
      case 0x36: // null_count
        nullCount = reader.integer();
        break;
      case 0x58: // max_value
        raw.maxLength[entry] = reader.binaryLength();
        raw.maxStart[entry] = reader.offset;
        reader.offset += raw.maxLength[entry]!;
        bits |= RAW.MAX;
        break;
      case 0x68: // min_value
        raw.minLength[entry] = reader.binaryLength();
        raw.minStart[entry] = reader.offset;
        reader.offset += raw.minLength[entry]!;
        bits |= RAW.MIN;
        break;
      case 0x71: // is_max_value_exact
        bits |= RAW.MAX_EXACT;
        break;
      case 0x81: // is_min_value_exact
        bits |= RAW.MIN_EXACT;
        break;
      case 0x96: // nan_count
        if (reader.integer() === 0) bits |= RAW.NO_NAN;
        break;
      default:
        reader.skip(field);
    }
  }
  if ((bits & (RAW.MIN | RAW.MAX)) === 0) {
    if (oldMin !== -1) raw.setMin(entry, oldMin, oldMinLength);
    if (oldMax !== -1) raw.setMax(entry, oldMax, oldMaxLength);
    bits = (bits & RAW.NO_NAN) | RAW.DEPRECATED;
  }
  raw.bits[entry] = raw.bits[entry]! | bits;
  return Number.isSafeInteger(nullCount) && nullCount >= 0 ? nullCount : -1;
}

/** Reads a `list<binary>` as minima or maxima and returns how many there were, at most `raw`'s entries. */
export function readBoundList(reader: ThriftReader, raw: RawStatistics, which: 'min' | 'max'): number {
  const size = reader.listSize(WIRE.BINARY);
  for (let entry = 0; entry < size; entry += 1) {
    const length = reader.binaryLength();
    if (entry < raw.bits.length) {
      if (which === 'min') raw.setMin(entry, reader.offset, length);
      else raw.setMax(entry, reader.offset, length);
    }
    reader.offset += length;
  }
  return size;
}
