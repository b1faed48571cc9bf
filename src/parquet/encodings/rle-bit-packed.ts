/**
 * The RLE / bit-packing hybrid, which carries levels, dictionary codes and RLE booleans.
 *
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#run-length-encoding--bit-packing-hybrid-rle--3
 * A run's header is a varint: the low bit set means `header >> 1` groups of eight bit-packed values, clear means one
 * value repeated `header >> 1` times. Runs may promise more values than a page holds (the last group is padded) and
 * some writers cut the padding off, so only the bytes of values that are wanted must be there.
 */

import { corrupt } from '../../core/index.ts';

/** Decodes `count` values of `bitWidth` (0 to 32) bits into `out`; returns the position after the last run. */
export function decodeRleBitPacked(
  source: Uint8Array,
  start: number,
  end: number,
  bitWidth: number,
  out: Uint32Array,
  count: number,
): number {
  if (bitWidth > 32) throw corrupt(`a bit width of ${bitWidth} is more than the 32 that codes and levels can have`);
  const valueBytes = (bitWidth + 7) >>> 3;
  let position = start;
  let done = 0;
  while (done < count) {
    let header = 0;
    let shift = 0;
    for (;;) {
      if (position >= end) throw truncatedRuns(done, count);
      const byte = source[position++]!;
      if (shift > 28) throw corrupt('a run header is longer than 32 bits');
      header |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7;
    }
    const runLength = header >>> 1;
    if ((header & 1) === 0) {
      if (position + valueBytes > end) throw truncatedRuns(done, count);
      let value = 0;
      for (let i = 0; i < valueBytes; i += 1) value |= source[position + i]! << (8 * i);
      position += valueBytes;
      const runEnd = Math.min(count, done + runLength);
      out.fill(value >>> 0, done, runEnd);
      done = runEnd;
    } else {
      const wanted = Math.min(count - done, runLength * 8);
      if (Math.ceil((wanted * bitWidth) / 8) > end - position) throw truncatedRuns(done, count);
      unpackBits(source, position, end, bitWidth, out, done, wanted);
      position = Math.min(end, position + runLength * bitWidth);
      done += wanted;
    }
  }
  return position;
}

function truncatedRuns(done: number, count: number) {
  return corrupt(`the run-length encoded values end after ${done} of ${count}`);
}

/**
 * Unpacks `count` values, least significant bit first, from the byte at `start`. The caller has checked that their
 * bits lie before `end`. A value of up to 25 bits lies within four bytes whatever its first bit, so one unaligned
 * load serves each; the last few, where four bytes would cross the end, go byte by byte.
 */
function unpackBits(
  source: Uint8Array,
  start: number,
  end: number,
  bitWidth: number,
  out: Uint32Array,
  outStart: number,
  count: number,
): void {
  const outEnd = outStart + count;
  if (bitWidth === 0) {
    out.fill(0, outStart, outEnd);
    return;
  }
  if (bitWidth === 8) {
    for (let i = outStart, at = start; i < outEnd; i += 1, at += 1) out[i] = source[at]!;
    return;
  }
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const mask = bitWidth === 32 ? 0xffffffff : (1 << bitWidth) - 1;
  let bit = 0;
  let i = outStart;
  if (bitWidth <= 25) {
    const safeBits = (end - start - 4) * 8;
    for (; i < outEnd && bit <= safeBits; i += 1) {
      out[i] = (view.getUint32(start + (bit >>> 3), true) >>> (bit & 7)) & mask;
      bit += bitWidth;
    }
  } else {
    const safeBits = (end - start - 5) * 8;
    for (; i < outEnd && bit <= safeBits; i += 1) {
      const at = start + (bit >>> 3);
      const offset = bit & 7;
      const low = view.getUint32(at, true) >>> offset;
      out[i] = (offset === 0 ? low : low | (source[at + 4]! << (32 - offset))) & mask;
      bit += bitWidth;
    }
  }
  for (; i < outEnd; i += 1) {
    out[i] = bitsByByte(source, start, end, bit, bitWidth) & mask;
    bit += bitWidth;
  }
}

/** Bits `bit` and up from `start`, bytes beyond `end` counting as zero. */
function bitsByByte(source: Uint8Array, start: number, end: number, bit: number, bitWidth: number): number {
  let at = start + (bit >>> 3);
  let shift = -(bit & 7);
  let value = 0;
  while (shift < bitWidth && at < end) {
    const byte = source[at++]!;
    value |= shift < 0 ? byte >>> -shift : byte << shift;
    shift += 8;
  }
  return value;
}
