/**
 * Repetition and definition levels of nested columns, a byte each. Both are small numbers: a schema's depth is bounded.
 *
 * https://github.com/apache/parquet-format/blob/master/README.md#nested-encoding
 */

import { corrupt } from '../core/index.ts';

/** Bits of a level of a column whose greatest is `maxLevel`. */
function levelBits(maxLevel: number): number {
  return 32 - Math.clz32(maxLevel);
}

/** Levels of the RLE / bit-packing hybrid into `out[outStart .. outStart + count)`. */
export function decodeRleLevels(
  source: Uint8Array,
  start: number,
  end: number,
  maxLevel: number,
  out: Uint8Array,
  outStart: number,
  count: number,
): void {
  const bitWidth = levelBits(maxLevel);
  const outEnd = outStart + count;
  let position = start;
  let done = outStart;
  while (done < outEnd) {
    let header = 0;
    let shift = 0;
    for (;;) {
      if (position >= end) throw endedEarly(done - outStart, count);
      const byte = source[position++]!;
      if (shift > 28) throw corrupt('a run header of the levels is longer than 32 bits');
      header |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    const runLength = header >>> 1;
    if ((header & 1) === 0) {
      if (position >= end) throw endedEarly(done - outStart, count);
      const level = source[position++]!;
      const runEnd = Math.min(outEnd, done + runLength);
      out.fill(level, done, runEnd);
      done = runEnd;
    } else {
      const wanted = Math.min(outEnd - done, runLength * 8);
      if (Math.ceil((wanted * bitWidth) / 8) > end - position) throw endedEarly(done - outStart, count);
      unpackLevels(source, position, bitWidth, out, done, wanted);
      position = Math.min(end, position + runLength * bitWidth);
      done += wanted;
    }
  }
  checkLevels(out, outStart, outEnd, maxLevel);
}

/** Least significant bit first. */
function unpackLevels(
  source: Uint8Array,
  start: number,
  bitWidth: number,
  out: Uint8Array,
  outStart: number,
  count: number,
): void {
  const mask = (1 << bitWidth) - 1;
  let bit = 0;
  for (let i = outStart; i < outStart + count; i += 1, bit += bitWidth) {
    const at = start + (bit >>> 3);
    // A level has at most eight bits, so it lies in two bytes; what is read beyond the end is undefined, which is 0 here.
    out[i] = ((source[at]! | (source[at + 1]! << 8)) >>> (bit & 7)) & mask;
  }
}

/** The deprecated BIT_PACKED levels: no header, most significant bit first. Returns where they end. */
export function decodeBitPackedLevels(
  source: Uint8Array,
  start: number,
  maxLevel: number,
  out: Uint8Array,
  outStart: number,
  count: number,
): number {
  const bitWidth = levelBits(maxLevel);
  const length = Math.ceil((count * bitWidth) / 8);
  if (length > source.length - start) throw corrupt(`the levels of ${count} values do not fit in the page`);
  const mask = (1 << bitWidth) - 1;
  let bit = 0;
  for (let i = outStart; i < outStart + count; i += 1, bit += bitWidth) {
    const at = start + (bit >>> 3);
    const pair = (source[at]! << 8) | source[at + 1]!;
    out[i] = (pair >>> (16 - (bit & 7) - bitWidth)) & mask;
  }
  checkLevels(out, outStart, outStart + count, maxLevel);
  return start + length;
}

function checkLevels(levels: Uint8Array, start: number, end: number, maxLevel: number): void {
  let greatest = 0;
  for (let i = start; i < end; i += 1) if (levels[i]! > greatest) greatest = levels[i]!;
  if (greatest > maxLevel) throw corrupt(`a level of ${greatest} is more than the column's ${maxLevel}`);
}

function endedEarly(done: number, count: number) {
  return corrupt(`the levels end after ${done} of ${count}`);
}
