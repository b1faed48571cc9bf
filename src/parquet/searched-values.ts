/**
 * The values of one FIXED, BYTES or CODES block beside one key: order, lower bound and scan over the stored bytes.
 *
 * One family a representation: numbers, 64-bit integers as halves (a BigInt load a row costs five times a pair of
 * words), byte strings, and whatever can only be compared value by value. Null rows hold zero or nothing, which a
 * scan could take for the key, so a scan that can hit one asks.
 */

import type { Block } from './block.ts';

export interface KeyedValues {
  /** Whether every row is at most its successor. */
  isAscending(rows: number): boolean;
  /** The row's value against the key: negative, 0 or positive. */
  compare(row: number): number;
  /** First row in [from, to) that is not less than the key, or `to`; for ascending values only. */
  lowerBound(from: number, to: number): number;
  /** First row in [from, to) that equals the key and is not null, or -1. */
  scan(from: number, to: number): number;
}

type NumberArray = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

/** NaN is greatest and equals itself; -0 equals 0, as the engine's own comparison has it. */
export function numberValues(block: Block, values: NumberArray, key: number): KeyedValues {
  const isNaNKey = Number.isNaN(key);
  const compare = (row: number): number => {
    const value = values[row]!;
    if (value < key) return -1;
    if (value > key) return 1;
    if (value === key) return 0;
    return (Number.isNaN(value) ? 1 : 0) - (isNaNKey ? 1 : 0);
  };
  return {
    compare,
    isAscending: (rows) => {
      for (let row = 1; row < rows; row += 1) {
        const value = values[row]!;
        if (!(values[row - 1]! <= value) && !Number.isNaN(value)) return false;
      }
      return true;
    },
    lowerBound: (from, to) => {
      let low = from;
      let high = to;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const value = values[middle]!;
        if (value < key || (isNaNKey && !Number.isNaN(value))) low = middle + 1;
        else high = middle;
      }
      return low;
    },
    scan: (from, to) => {
      // Only a key of zero can be mistaken for a null row, and NaN equals nothing the engine's scan knows.
      if (isNaNKey || (key === 0 && block.hasNulls)) {
        for (let row = from; row < to; row += 1) if (compare(row) === 0 && !block.isNull(row)) return row;
        return -1;
      }
      // The engine's scan runs to the array's end, so what lies beyond `to` is cut off first.
      return (to < values.length ? values.subarray(0, to) : values).indexOf(key, from);
    },
  };
}

/** `words` are little-endian pairs of halves; the key is within the range of the type. */
export function int64Values(block: Block, words: Int32Array, key: bigint, unsigned: boolean): KeyedValues {
  const keyLow = Number(BigInt.asIntN(32, key));
  const keyHigh = Number(BigInt.asIntN(32, key >> 32n));
  // Unsigned order is signed order with the top bit turned over.
  const flip = unsigned ? -0x80000000 : 0;
  const flippedHigh = keyHigh ^ flip;
  const unsignedLow = keyLow >>> 0;
  const compare = (row: number): number => {
    const high = words[2 * row + 1]! ^ flip;
    if (high !== flippedHigh) return high < flippedHigh ? -1 : 1;
    const low = words[2 * row]! >>> 0;
    return low < unsignedLow ? -1 : low > unsignedLow ? 1 : 0;
  };
  return {
    compare,
    isAscending: (rows) => {
      for (let row = 1; row < rows; row += 1) {
        const before = words[2 * row - 1]! ^ flip;
        const high = words[2 * row + 1]! ^ flip;
        if (before > high || (before === high && words[2 * row - 2]! >>> 0 > words[2 * row]! >>> 0)) return false;
      }
      return true;
    },
    lowerBound: (from, to) => {
      let low = from;
      let high = to;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const half = words[2 * middle + 1]! ^ flip;
        if (half < flippedHigh || (half === flippedHigh && words[2 * middle]! >>> 0 < unsignedLow)) low = middle + 1;
        else high = middle;
      }
      return low;
    },
    scan: (from, to) => {
      for (let row = from; row < to; row += 1) {
        if (words[2 * row] === keyLow && words[2 * row + 1] === keyHigh && !block.isNull(row)) return row;
      }
      return -1;
    },
  };
}

/** Exact where it is a safe integer. */
export function int64AsNumber(words: Int32Array, at: number): number {
  return words[at + 1]! * 0x1_0000_0000 + (words[at]! >>> 0);
}

/**
 * The first row in [from, to) that is not less than the key, of ascending integers whose first and last are safe and enclose the key;
 * `at` is the word of row 0. Where keys are spread evenly, as ids and times often are, one look at the place where the key should be is
 * enough; it is left by strides that double, so that no spread costs more than twice what halving does.
 */
export function int64LowerBound(words: Int32Array, at: number, key: number, from: number, to: number): number {
  const first = int64AsNumber(words, at + 2 * from);
  const last = int64AsNumber(words, at + 2 * (to - 1));
  const share = last > first ? (key - first) / (last - first) : 0;
  const guess = from + Math.floor(share * (to - 1 - from));
  let low = from;
  let high = to;
  if (int64AsNumber(words, at + 2 * guess) < key) {
    low = guess + 1;
    for (let stride = 1; low + stride < to; stride *= 2) {
      if (int64AsNumber(words, at + 2 * (low + stride)) >= key) {
        high = low + stride;
        break;
      }
      low += stride + 1;
    }
  } else {
    high = guess;
    for (let stride = 1; high - stride >= from; stride *= 2) {
      if (int64AsNumber(words, at + 2 * (high - stride)) < key) {
        low = high - stride + 1;
        break;
      }
      high -= stride;
    }
  }
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (int64AsNumber(words, at + 2 * middle) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The first row in [from, to) that has the key, of ascending integers; -1 where none has, undefined where they are beyond what a double
 * holds exactly, or unsigned beyond INT64. `at` is the word of row 0, the key a safe integer.
 */
export function int64Row(words: Int32Array, at: number, key: number, from: number, to: number): number | undefined {
  const first = int64AsNumber(words, at + 2 * from);
  const last = int64AsNumber(words, at + 2 * (to - 1));
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last) || first > last) return undefined;
  if (key < first || key > last) return -1;
  const row = int64LowerBound(words, at, key, from, to);
  return int64AsNumber(words, at + 2 * row) === key ? row : -1;
}

/** Byte strings of a BYTES block or of a FIXED one, in unsigned order. */
export function bytesValues(block: Block, key: Uint8Array): KeyedValues {
  const bytes = block.bytes();
  if (block.kind === 'FIXED') {
    const { width } = block;
    return orderedValues(
      block,
      (row) => compareBytes(bytes, row * width, width, key, 0, key.length),
      (row, next) => compareBytes(bytes, row * width, width, bytes, next * width, width),
    );
  }
  const offsets = block.offsets();
  const length = key.length;
  const compare = (row: number) =>
    compareBytes(bytes, offsets[row]!, offsets[row + 1]! - offsets[row]!, key, 0, length);
  const compareRows = (row: number, next: number) => {
    const start = offsets[next]!;
    return compareBytes(
      bytes,
      offsets[row]!,
      offsets[row + 1]! - offsets[row]!,
      bytes,
      start,
      offsets[next + 1]! - start,
    );
  };
  return {
    ...orderedValues(block, compare, compareRows),
    scan: (from, to) => {
      const last = length - 1;
      for (let row = from; row < to; row += 1) {
        const start = offsets[row]!;
        if (offsets[row + 1]! - start !== length) continue;
        // Keys of one length often share their beginning, so the last byte is tried first.
        if (length > 0 && bytes[start + last] !== key[last]) continue;
        if (compare(row) === 0 && !block.isNull(row)) return row;
      }
      return -1;
    },
  };
}

function compareBytes(
  a: Uint8Array,
  aStart: number,
  aLength: number,
  b: Uint8Array,
  bStart: number,
  bLength: number,
): number {
  const common = Math.min(aLength, bLength);
  for (let i = 0; i < common; i += 1) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** DECIMAL on byte arrays: big-endian two's complement, which may carry more sign bytes than it needs. */
export function decimalValues(block: Block, key: bigint): KeyedValues {
  const keyBytes = twosComplement(key);
  return orderedValues(
    block,
    (row) => compareDecimals(block.bytesAt(row), keyBytes),
    (row, next) => compareDecimals(block.bytesAt(row), block.bytesAt(next)),
  );
}

/** The shortest big-endian two's complement of `value`; at least one byte. */
export function twosComplement(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push(Number(rest & 0xffn));
    rest >>= 8n;
  } while (!((rest === 0n && bytes.at(-1)! < 0x80) || (rest === -1n && bytes.at(-1)! >= 0x80)));
  return Uint8Array.from(bytes.reverse());
}

function compareDecimals(a: Uint8Array, b: Uint8Array): number {
  const aNegative = a.length > 0 && a[0]! >= 0x80;
  const bNegative = b.length > 0 && b[0]! >= 0x80;
  if (aNegative !== bNegative) return aNegative ? -1 : 1;
  const aStart = significantStart(a, aNegative);
  const bStart = significantStart(b, bNegative);
  const longer = a.length - aStart - (b.length - bStart);
  // Of two negative numbers the longer one is less; at equal length the bytes decide for either sign.
  if (longer !== 0) return aNegative ? -longer : longer;
  return compareBytes(a, aStart, a.length - aStart, b, bStart, b.length - bStart);
}

/** Where the bytes begin that are not mere repetition of the sign; empty means zero. */
function significantStart(bytes: Uint8Array, negative: boolean): number {
  const sign = negative ? 0xff : 0;
  let start = 0;
  while (start < bytes.length && bytes[start] === sign) start += 1;
  return start;
}

/** Values that are only compared: with the key, and with one another. */
export function orderedValues(
  block: Block,
  compare: (row: number) => number,
  compareRows: (row: number, next: number) => number,
): KeyedValues {
  return {
    compare,
    isAscending: (rows) => {
      for (let row = 1; row < rows; row += 1) if (compareRows(row - 1, row) > 0) return false;
      return true;
    },
    lowerBound: (from, to) => {
      let low = from;
      let high = to;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (compare(middle) < 0) low = middle + 1;
        else high = middle;
      }
      return low;
    },
    scan: (from, to) => {
      for (let row = from; row < to; row += 1) if (compare(row) === 0 && !block.isNull(row)) return row;
      return -1;
    },
  };
}
