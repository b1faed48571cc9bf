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
  readonly view: DataView;
  readonly bits: Uint8Array;
  readonly minStart: Uint32Array;
  readonly minLength: Uint32Array;
  readonly maxStart: Uint32Array;
  readonly maxLength: Uint32Array;

  constructor(source: Uint8Array, entries: number) {
    this.source = source;
    this.view = new DataView(source.buffer, source.byteOffset, source.byteLength);
    this.bits = new Uint8Array(entries);
    this.minStart = new Uint32Array(entries);
    this.minLength = new Uint32Array(entries);
    this.maxStart = new Uint32Array(entries);
    this.maxLength = new Uint32Array(entries);
  }

  /** Notes where a minimum is and returns the bit that says so. */
  setMin(entry: number, start: number, length: number): number {
    this.minStart[entry] = start;
    this.minLength[entry] = length;
    return RAW.MIN;
  }

  setMax(entry: number, start: number, length: number): number {
    this.maxStart[entry] = start;
    this.maxLength[entry] = length;
    return RAW.MAX;
  }
}

/** Reads a `list<binary>` as minima or maxima and returns how many there were, at most `raw`'s entries. */
export function readBoundList(reader: ThriftReader, raw: RawStatistics, which: 'min' | 'max'): number {
  const size = reader.listSize(WIRE.BINARY);
  for (let entry = 0; entry < size; entry += 1) {
    const length = reader.binaryLength();
    if (entry < raw.bits.length) {
      const bit = which === 'min' ? raw.setMin(entry, reader.offset, length) : raw.setMax(entry, reader.offset, length);
      raw.bits[entry] = raw.bits[entry]! | bit;
    }
    reader.offset += length;
  }
  return size;
}
