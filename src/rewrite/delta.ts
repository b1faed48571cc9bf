/**
 * The DELTA encodings (https://github.com/apache/parquet-format/blob/master/Encodings.md), for values in their stored
 * form. Numbers that are not exact in a double are left to PLAIN: what has such values seldom has small steps.
 */

import type { GrowingBytes } from './growing-bytes.ts';

/** The least that every reader takes: blocks of 128 values in four miniblocks of 32. */
const BLOCK = 128;
const MINIBLOCKS = 4;
const MINIBLOCK = BLOCK / MINIBLOCKS;

/** DELTA_BINARY_PACKED; undefined where a value or a step does not fit, and then `target` is as it was. */
export function appendDeltas(target: GrowingBytes, values: Float64Array, bits: 32 | 64): boolean {
  const start = target.length;
  uleb(target, BLOCK);
  uleb(target, MINIBLOCKS);
  uleb(target, values.length);
  zigzag(target, values[0] ?? 0);
  const steps = new Float64Array(BLOCK);
  const stepMax = bits === 32 ? 2 ** 31 : Number.MAX_SAFE_INTEGER / 2;
  for (let from = 1; from < values.length; from += BLOCK) {
    const count = Math.min(BLOCK, values.length - from);
    let least = Infinity;
    let most = -Infinity;
    for (let i = 0; i < count; i += 1) {
      const step = (values[from + i] ?? 0) - (values[from + i - 1] ?? 0);
      steps[i] = step;
      least = Math.min(least, step);
      most = Math.max(most, step);
    }
    if (!(least >= -stepMax && most < stepMax)) {
      target.length = start;
      return false;
    }
    appendBlock(target, steps, count, least);
  }
  return true;
}

function appendBlock(target: GrowingBytes, steps: Float64Array, count: number, least: number): void {
  for (let i = 0; i < BLOCK; i += 1) steps[i] = i < count ? (steps[i] ?? 0) - least : 0;
  zigzag(target, least);
  const widths = target.extend(MINIBLOCKS);
  for (let i = 0; i < MINIBLOCKS && i * MINIBLOCK < BLOCK; i += 1) {
    let most = 0;
    for (let j = i * MINIBLOCK; j < (i + 1) * MINIBLOCK; j += 1) most = Math.max(most, steps[j] ?? 0);
    const width = bitWidth(most);
    // A miniblock of nothing but padding is left out, and its width is 0.
    const isThere = i * MINIBLOCK < count;
    target.bytes[widths + i] = isThere ? width : 0;
    if (isThere) pack(target, steps, i * MINIBLOCK, width);
  }
}

/** Of a whole number below 2^53. */
function bitWidth(value: number): number {
  const high = Math.floor(value / 2 ** 32);
  return high > 0 ? 64 - Math.clz32(high) : 32 - Math.clz32(value >>> 0);
}

function pack(target: GrowingBytes, values: Float64Array, from: number, width: number): void {
  const at = target.extend((MINIBLOCK * width) / 8);
  const { bytes } = target;
  let byte = at;
  let held = 0;
  let bits = 0;
  for (let i = from; i < from + MINIBLOCK; i += 1) {
    let rest = values[i] ?? 0;
    for (let left = width; left > 0; ) {
      const taken = Math.min(left, 8 - bits);
      held |= (rest % 2 ** taken) << bits;
      rest = Math.floor(rest / 2 ** taken);
      left -= taken;
      bits += taken;
      if (bits < 8) continue;
      bytes[byte] = held;
      byte += 1;
      held = 0;
      bits = 0;
    }
  }
}

function uleb(target: GrowingBytes, value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) target.byte((rest % 0x80) | 0x80);
  target.byte(rest);
}

/** Below 2^52. */
function zigzag(target: GrowingBytes, value: number): void {
  uleb(target, value < 0 ? -2 * value - 1 : 2 * value);
}

/** The whole numbers of a PLAIN page; undefined where one of them would not survive as a double. */
export function numbersOf(plain: Buffer, width: 4 | 8): Float64Array | undefined {
  const numbers = new Float64Array(plain.length / width);
  for (let i = 0; i < numbers.length; i += 1) {
    const low = plain.readUInt32LE(i * width);
    if (width === 4) numbers[i] = low | 0;
    else {
      const high = plain.readInt32LE(i * width + 4);
      // Below 2^51, so that steps and zigzag stay exact.
      if (high < -(2 ** 19) || high >= 2 ** 19) return undefined;
      numbers[i] = high * 2 ** 32 + low;
    }
  }
  return numbers;
}

/** DELTA_BYTE_ARRAY of the values of a PLAIN page: how much each shares with the one before it, then what is left. */
export function appendDeltaStrings(target: GrowingBytes, plain: Buffer, count: number): void {
  const shared = new Float64Array(count);
  const lengths = new Float64Array(count);
  const starts = new Int32Array(count);
  let before = 0;
  let beforeLength = 0;
  for (let i = 0, at = 0; i < count; i += 1) {
    const length = plain.readUInt32LE(at);
    const start = at + 4;
    const most = Math.min(length, beforeLength);
    let same = 0;
    while (same < most && plain[start + same] === plain[before + same]) same += 1;
    shared[i] = same;
    lengths[i] = length - same;
    starts[i] = start + same;
    [before, beforeLength, at] = [start, length, start + length];
  }
  appendDeltas(target, shared, 32);
  appendDeltas(target, lengths, 32);
  for (let i = 0; i < count; i += 1) {
    const start = starts[i] ?? 0;
    target.append(plain, start, start + (lengths[i] ?? 0));
  }
}
