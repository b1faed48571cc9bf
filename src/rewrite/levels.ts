/** Levels and codes in the RLE and bit-packed hybrid: runs of eight or more as runs, the rest packed by groups of eight. */

import type { GrowingBytes } from './growing-bytes.ts';

const GROUP = 8;

/** With the four bytes of length before them that a V1 page wants. */
export function appendLevels(target: GrowingBytes, levels: Uint8Array, max: number): void {
  const at = target.extend(4);
  appendHybrid(target, levels, 32 - Math.clz32(max));
  target.view.setUint32(at, target.length - at - 4, true);
}

/** Codes of a dictionary, their width in a byte before them. */
export function appendCodes(target: GrowingBytes, codes: Uint32Array): void {
  const width = 32 - Math.clz32(codes.reduce((most, code) => Math.max(most, code), 0));
  target.byte(width);
  appendHybrid(target, codes, width);
}

function appendHybrid(target: GrowingBytes, levels: Uint8Array | Uint32Array, bitWidth: number): void {
  for (let i = 0; i < levels.length; ) {
    const run = runLength(levels, i);
    if (run >= GROUP) {
      varint(target, run * 2);
      const value = levels[i] ?? 0;
      for (let bits = 0; bits < bitWidth; bits += 8) target.byte((value >>> bits) & 0xff);
      i += run;
    } else {
      const start = i;
      do i += GROUP;
      while (i < levels.length && runLength(levels, i) < GROUP);
      const groups = (i - start) / GROUP;
      varint(target, groups * 2 + 1);
      pack(target, levels, start, groups * GROUP, bitWidth);
    }
  }
}

/** One bit a value, the first in the lowest. */
export function appendBits(target: GrowingBytes, values: Uint8Array): void {
  pack(target, values, 0, Math.ceil(values.length / GROUP) * GROUP, 1);
}

function runLength(levels: Uint8Array | Uint32Array, from: number): number {
  let end = from + 1;
  while (end < levels.length && levels[end] === levels[from]) end += 1;
  return end - from;
}

function pack(
  target: GrowingBytes,
  values: Uint8Array | Uint32Array,
  from: number,
  count: number,
  bitWidth: number,
): void {
  let held = 0;
  let bits = 0;
  for (let i = from; i < from + count; i += 1) {
    held |= (values[i] ?? 0) << bits;
    bits += bitWidth;
    while (bits >= 8) {
      target.byte(held & 0xff);
      held >>>= 8;
      bits -= 8;
    }
  }
}

function varint(target: GrowingBytes, value: number): void {
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) target.byte((rest & 0x7f) | 0x80);
  target.byte(rest);
}
