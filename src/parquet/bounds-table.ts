/**
 * The bounds of one column over many runs of rows (the row groups of a file, or the pages of a chunk), flat and
 * searchable. It is a reader over bytes that `pack-bounds.ts` laid out:
 *
 *     flags      one byte an entry
 *     minima     width bytes an entry, from the next multiple of 8
 *     maxima     likewise
 *
 * Numbers stand little-endian at their own width. Byte strings and decimals stand at the width of the longest one
 * kept, with their length in a byte before each where lengths differ.
 */

import { compareSlice, compareSlices, decodeDecimal, decodeFloat16 } from './bound-bytes.ts';
import type { BoundForm, Bounds } from './bounds.ts';
import { compareNumbers, type KeyValue } from './compare.ts';
import { int64AsNumber, int64LowerBound } from './searched-values.ts';

/** Bits of an entry's flags. */
export const FLAG = { MIN: 1, MAX: 2, MIN_EXACT: 4, MAX_EXACT: 8, NO_NAN: 16, ALL_NULL: 32 } as const;

export interface BoundsLayout {
  readonly form: BoundForm;
  readonly entries: number;
  /** Bytes of a kept value, without its length byte. */
  readonly width: number;
  readonly hasLengths: boolean;
}

/** Bytes from one value to the next. */
export function boundStride(layout: BoundsLayout): number {
  return layout.width + (layout.hasLengths ? 1 : 0);
}

export function boundsByteLength(layout: BoundsLayout): number {
  return align(layout.entries) + 2 * align(layout.entries * boundStride(layout));
}

export function align(length: number): number {
  return length + ((8 - (length % 8)) % 8);
}

type NumberArray = Uint8Array | Int32Array | Uint32Array | Uint16Array | Float32Array | Float64Array;
type BigArray = BigInt64Array | BigUint64Array;

export class BoundsTable {
  readonly layout: BoundsLayout;
  readonly #flags: Uint8Array;
  /** Both minima and maxima as raw bytes, for byte strings and decimals. */
  readonly #bytes: Uint8Array;
  readonly #maxAt: number;
  readonly #numbers: { readonly min: NumberArray; readonly max: NumberArray } | undefined;
  readonly #bigs: { readonly min: BigArray; readonly max: BigArray } | undefined;
  #ascending: boolean | undefined;
  /**
   * Minima and maxima as pairs of words, low before high, where they ascend and all are safe integers of 64 bits. A search
   * of few steps reads little beside them: so they are one array, and their numbers lie here.
   */
  #safe: Int32Array | undefined = undefined;
  readonly #entries: number;
  /** Where the maxima begin. */
  readonly #safeMaxAt: number;

  /** A reader over the packed bytes at `byteOffset`, a multiple of 8. */
  constructor(layout: BoundsLayout, buffer: ArrayBufferLike, byteOffset: number) {
    const { form, entries } = layout;
    const minOffset = byteOffset + align(entries);
    const valueBytes = align(entries * boundStride(layout));
    this.layout = layout;
    this.#entries = entries;
    this.#safeMaxAt = valueBytes >>> 2;
    this.#flags = new Uint8Array(buffer, byteOffset, entries);
    this.#bytes = new Uint8Array(buffer, minOffset, 2 * valueBytes);
    this.#maxAt = valueBytes;
    const stored = layout.width === 0 ? 0 : entries;
    const bigs = bigArrayOf(form);
    const numbers = numberArrayOf(form);
    if (bigs !== undefined) {
      this.#bigs = { min: bigs(buffer, minOffset, stored), max: bigs(buffer, minOffset + valueBytes, stored) };
    } else if (numbers !== undefined) {
      this.#numbers = { min: numbers(buffer, minOffset, stored), max: numbers(buffer, minOffset + valueBytes, stored) };
    }
  }

  get entries(): number {
    return this.layout.entries;
  }

  /** Undefined when nothing at all is known. */
  at(entry: number): Bounds | undefined {
    const flags = this.#flags[entry] ?? 0;
    if (flags === 0) return undefined;
    return {
      min: (flags & FLAG.MIN) !== 0 ? this.#value(entry, 'min') : undefined,
      max: (flags & FLAG.MAX) !== 0 ? this.#value(entry, 'max') : undefined,
      minExact: (flags & FLAG.MIN_EXACT) !== 0,
      maxExact: (flags & FLAG.MAX_EXACT) !== 0,
      allNull: (flags & FLAG.ALL_NULL) !== 0,
      noNaN: (flags & FLAG.NO_NAN) !== 0,
    };
  }

  canContain(entry: number, key: KeyValue): boolean {
    return this.canContainBetween(entry, key, key);
  }

  /** Whether the entry may hold a value from `low` to `high`, both included; undefined is without end. */
  canContainBetween(entry: number, low: KeyValue | undefined, high: KeyValue | undefined): boolean {
    const flags = this.#flags[entry] ?? 0;
    if (flags === 0) return true;
    if ((flags & FLAG.ALL_NULL) !== 0) return false;
    if ((flags & FLAG.NO_NAN) === 0 && this.#reachesNaN(high)) return true;
    if (low !== undefined && Number.isNaN(low)) return false;
    if (low !== undefined && (flags & FLAG.MAX) !== 0 && this.#compareMax(entry, low) < 0) return false;
    return high === undefined || (flags & FLAG.MIN) === 0 || this.#compareMin(entry, high) <= 0;
  }

  /** The first entry from `from` on that may hold the key, or -1. Logarithmic where the bounds ascend. */
  next(key: KeyValue, from = 0): number {
    if (Number.isNaN(key) || !this.#isAscending()) {
      for (let entry = from; entry < this.entries; entry += 1) if (this.canContain(entry, key)) return entry;
      return -1;
    }
    const { entries } = this.layout;
    if (from >= entries) return -1;
    const number = this.#safe !== undefined && typeof key === 'bigint' ? Number(key) : Number.NaN;
    if (Number.isSafeInteger(number)) return this.nextInteger(number, from);
    const low = this.#firstReaching(key, from);
    return low < entries && this.#compareMin(low, key) <= 0 ? low : -1;
  }

  /** The same for a safe integer and bounds of INT64; -1 too where they do not ascend or are beyond what a double holds. */
  nextInteger(key: number, from = 0): number {
    const entries = this.#entries;
    if (from >= entries || !this.#isAscending() || this.#safe === undefined) return -1;
    const low = firstSafeReaching(this.#safe, this.#safeMaxAt, key, from, entries);
    return low < entries && int64AsNumber(this.#safe, 2 * low) <= key ? low : -1;
  }

  /** How far on the way from minimum to maximum a key is that `nextInteger` found there: from 0 to 1. */
  shareOf(entry: number, key: number): number {
    if (this.#safe === undefined) return 0;
    const min = int64AsNumber(this.#safe, 2 * entry);
    const max = int64AsNumber(this.#safe, this.#safeMaxAt + 2 * entry);
    return max > min ? (key - min) / (max - min) : 0;
  }

  /** The first entry from `from` on whose maximum is not below the key, of ascending ones. */
  #firstReaching(key: KeyValue, from: number): number {
    let low = from;
    let high = this.layout.entries;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#compareMax(middle, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Every entry that may hold the key, ascending. */
  candidates(key: KeyValue): number[] {
    const found: number[] = [];
    for (let entry = this.next(key, 0); entry !== -1; entry = this.next(key, entry + 1)) found.push(entry);
    return found;
  }

  /** NaN is above every number, so a range without end reaches it. */
  #reachesNaN(high: KeyValue | undefined): boolean {
    if (high === undefined) return isFloat(this.layout.form);
    return Number.isNaN(high);
  }

  /** Whether minima and maxima both never descend and none is unknown. Checked, not believed; once. */
  #isAscending(): boolean {
    if (this.#ascending === undefined) this.#ascending = this.#checkAscending();
    return this.#ascending;
  }

  #checkAscending(): boolean {
    const both = FLAG.MIN | FLAG.MAX;
    for (let entry = 0; entry < this.entries; entry += 1) {
      if ((this.#flags[entry]! & (both | FLAG.ALL_NULL)) !== both) return false;
      if (entry > 0 && (this.#descends(entry, 'min') || this.#descends(entry, 'max'))) return false;
    }
    this.#safe = this.#safeWords();
    return true;
  }

  /** Of bounds that ascend, the first and the last tell of all. */
  #safeWords(): Int32Array | undefined {
    const { form, entries } = this.layout;
    if (form !== 'int64' || this.#bigs === undefined || entries === 0) return undefined;
    const isSafe = (values: BigArray) => [0, entries - 1].every((at) => Number.isSafeInteger(Number(values[at])));
    const { buffer, byteOffset, byteLength } = this.#bytes;
    return isSafe(this.#bigs.min) && isSafe(this.#bigs.max)
      ? new Int32Array(buffer, byteOffset, byteLength >>> 2)
      : undefined;
  }

  /** Whether a bound is below the one of the entry before. */
  #descends(entry: number, which: 'min' | 'max'): boolean {
    if (this.#bigs !== undefined) return this.#bigs[which][entry]! < this.#bigs[which][entry - 1]!;
    if (this.layout.form !== 'bytes') return this.#value(entry, which) < this.#value(entry - 1, which);
    const at = this.#start(entry, which);
    const before = this.#start(entry - 1, which);
    return compareSlices(this.#bytes, at, this.#length(entry, which), before, this.#length(entry - 1, which)) < 0;
  }

  #compareMin(entry: number, key: KeyValue): number {
    return this.#compare(entry, key, 'min');
  }

  #compareMax(entry: number, key: KeyValue): number {
    return this.#compare(entry, key, 'max');
  }

  /** The sign of bound minus key. The key is of the column's key class, and not NaN unless the bound is below it. */
  #compare(entry: number, key: KeyValue, which: 'min' | 'max'): number {
    if (key instanceof Uint8Array) {
      return compareSlice(this.#bytes, this.#start(entry, which), this.#length(entry, which), key);
    }
    const bound = this.#bigs === undefined ? this.#value(entry, which) : this.#bigs[which][entry]!;
    if (typeof bound === 'number' && typeof key === 'number') return compareNumbers(bound, key);
    if (bound < key) return -1;
    return bound > key ? 1 : 0;
  }

  #value(entry: number, which: 'min' | 'max'): KeyValue {
    if (this.#bigs !== undefined) return this.#bigs[which][entry]!;
    if (this.#numbers !== undefined) {
      const number = this.#numbers[which][entry]!;
      if (this.layout.form === 'boolean') return number !== 0;
      return this.layout.form === 'float16' ? decodeFloat16(number) : number;
    }
    const start = this.#start(entry, which);
    const length = this.#length(entry, which);
    if (this.layout.form === 'decimal') return decodeDecimal(this.#bytes, start, length);
    return this.#bytes.slice(start, start + length);
  }

  #start(entry: number, which: 'min' | 'max'): number {
    const { width, hasLengths } = this.layout;
    const first = which === 'min' ? 0 : this.#maxAt;
    return hasLengths ? first + entry * (width + 1) + 1 : first + entry * width;
  }

  #length(entry: number, which: 'min' | 'max'): number {
    return this.layout.hasLengths ? this.#bytes[this.#start(entry, which) - 1]! : this.layout.width;
  }
}

/** The first entry in [from, entries) whose maximum, `at` words on, is not below the key; `entries` where none is. */
function firstSafeReaching(words: Int32Array, at: number, key: number, from: number, entries: number): number {
  if (int64AsNumber(words, at + 2 * from) >= key) return from;
  if (int64AsNumber(words, at + 2 * (entries - 1)) < key) return entries;
  return int64LowerBound(words, at, key, from, entries);
}

function isFloat(form: BoundForm): boolean {
  return form === 'float' || form === 'double' || form === 'float16';
}

type ViewOf<T> = (buffer: ArrayBufferLike, byteOffset: number, length: number) => T;

function bigArrayOf(form: BoundForm): ViewOf<BigArray> | undefined {
  if (form === 'int64') return (buffer, at, length) => new BigInt64Array(buffer, at, length);
  if (form === 'uint64') return (buffer, at, length) => new BigUint64Array(buffer, at, length);
  return undefined;
}

function numberArrayOf(form: BoundForm): ViewOf<NumberArray> | undefined {
  switch (form) {
    case 'boolean':
      return (buffer, at, length) => new Uint8Array(buffer, at, length);
    case 'int32':
      return (buffer, at, length) => new Int32Array(buffer, at, length);
    case 'uint32':
      return (buffer, at, length) => new Uint32Array(buffer, at, length);
    case 'float16':
      return (buffer, at, length) => new Uint16Array(buffer, at, length);
    case 'float':
      return (buffer, at, length) => new Float32Array(buffer, at, length);
    case 'double':
      return (buffer, at, length) => new Float64Array(buffer, at, length);
    default:
      return undefined;
  }
}
