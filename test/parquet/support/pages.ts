/** Pages made by hand: headers in Thrift's compact protocol with whatever claims a test wants to make. */

import type { Encoding } from '../../../src/parquet/file-format.ts';

const ENCODING_NUMBERS: Readonly<Record<Encoding, number>> = {
  PLAIN: 0,
  PLAIN_DICTIONARY: 2,
  RLE: 3,
  BIT_PACKED: 4,
  DELTA_BINARY_PACKED: 5,
  DELTA_LENGTH_BYTE_ARRAY: 6,
  DELTA_BYTE_ARRAY: 7,
  RLE_DICTIONARY: 8,
  BYTE_STREAM_SPLIT: 9,
};

/** A v1 data or dictionary page header; `size` is declared uncompressed, `stored` compressed. */
export function v1Header(
  values: number,
  encoding: Encoding,
  kind: 'data' | 'dictionary',
  size: number,
  stored = size,
): Uint8Array {
  const e = i32(ENCODING_NUMBERS[encoding]);
  const head = [0x15, ...i32(kind === 'data' ? 0 : 2), 0x15, ...i32(size), 0x15, ...i32(stored)];
  const own =
    kind === 'data'
      ? [0x2c, 0x15, ...i32(values), 0x15, ...e, 0x15, ...i32(3), 0x15, ...i32(3), 0]
      : [0x4c, 0x15, ...i32(values), 0x15, ...e, 0];
  return Uint8Array.from([...head, ...own, 0]);
}

/** A v2 data page header of an optional column whose levels take `levels` bytes. */
export function v2Header(
  values: number,
  nulls: number,
  encoding: Encoding,
  sizes: { readonly size: number; readonly stored: number; readonly levels: number; readonly isCompressed?: boolean },
): Uint8Array {
  const flag = sizes.isCompressed === undefined ? [] : [sizes.isCompressed ? 0x11 : 0x12];
  return Uint8Array.from([
    ...[0x15, ...i32(3), 0x15, ...i32(sizes.size), 0x15, ...i32(sizes.stored)],
    ...[0x5c, 0x15, ...i32(values), 0x15, ...i32(nulls), 0x15, ...i32(values)],
    ...[0x15, ...i32(ENCODING_NUMBERS[encoding]), 0x15, ...i32(sizes.levels), 0x15, ...i32(0), ...flag, 0],
    0,
  ]);
}

/** A zigzag varint. */
function i32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value < 0 ? -value * 2 - 1 : value * 2;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return [...bytes, rest];
}
