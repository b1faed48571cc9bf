/**
 * BYTE_STREAM_SPLIT: byte k of every value stands in stream k, and the streams follow one another.
 *
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#byte-stream-split-byte_stream_split--9
 */

import { corrupt } from '../../core/index.ts';
import { freshMemory, type TakeMemory } from './decode-memory.ts';
import type { FixedValues } from './dense-values.ts';

export function decodeByteStreamSplit(
  data: Uint8Array,
  width: number,
  count: number,
  take: TakeMemory = freshMemory,
): FixedValues {
  if (data.length % width !== 0 || data.length / width < count) {
    throw corrupt(`${data.length} bytes cannot be ${width} streams of ${count} values`);
  }
  const stride = data.length / width;
  const out = new Uint8Array(take('values', count * width), 0, count * width);
  if (width === 4) merge4(data, stride, out, count);
  else if (width === 8) merge8(data, stride, out, count);
  else {
    for (let k = 0; k < width; k += 1) {
      for (let i = 0, at = k * stride, to = k; i < count; i += 1, at += 1, to += width) out[to] = data[at]!;
    }
  }
  return { kind: 'FIXED', count, width, data: out };
}

function merge4(data: Uint8Array, stride: number, out: Uint8Array, count: number): void {
  const words = new Uint32Array(out.buffer, 0, count);
  for (let i = 0; i < count; i += 1) words[i] = word(data, i, stride);
}

function merge8(data: Uint8Array, stride: number, out: Uint8Array, count: number): void {
  const words = new Uint32Array(out.buffer, 0, 2 * count);
  for (let i = 0; i < count; i += 1) {
    words[2 * i] = word(data, i, stride);
    words[2 * i + 1] = word(data, i + 4 * stride, stride);
  }
}

function word(data: Uint8Array, at: number, stride: number): number {
  return data[at]! | (data[at + stride]! << 8) | (data[at + 2 * stride]! << 16) | (data[at + 3 * stride]! << 24);
}
