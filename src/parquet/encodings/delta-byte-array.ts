/**
 * DELTA_LENGTH_BYTE_ARRAY (lengths first, then all bytes) and DELTA_BYTE_ARRAY (each value shares a prefix with the
 * one before it).
 *
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#delta-strings-delta_byte_array--7
 * Shared prefixes let a small page stand for a huge one, so the decoded size is summed and bounded before any of it
 * is allocated.
 */

import { corrupt } from '../../core/index.ts';
import { decodeDeltaInt32 } from './delta-binary-packed.ts';
import type { BytesValues } from './dense-values.ts';

export function decodeDeltaLengthByteArrays(data: Uint8Array, count: number, start = 0): BytesValues {
  const lengths = new Int32Array(count);
  const bytesStart = decodeDeltaInt32(data, start, data.length, lengths, count);
  const offsets = new Uint32Array(count + 1);
  let position = bytesStart;
  for (let i = 0; i < count; i += 1) {
    offsets[i] = position;
    const length = lengths[i]!;
    if (length < 0 || length > data.length - position) {
      throw corrupt(`byte array ${i} claims ${length} bytes where the page has ${data.length - position} left`);
    }
    position += length;
  }
  offsets[count] = position;
  return { kind: 'BYTES', count, data, offsets, gap: 0 };
}

export function decodeDeltaByteArrays(data: Uint8Array, count: number, maxBytes: number): BytesValues {
  const prefixes = new Int32Array(count);
  const suffixStart = decodeDeltaInt32(data, 0, data.length, prefixes, count);
  const suffixes = decodeDeltaLengthByteArrays(data, count, suffixStart);
  const offsets = joinedOffsets(prefixes, suffixes, maxBytes);
  const joined = new Uint8Array(offsets[count]!);
  let previous = 0;
  for (let i = 0; i < count; i += 1) {
    const start = offsets[i]!;
    const prefix = prefixes[i]!;
    copyBytes(joined, previous, joined, start, prefix);
    copyBytes(data, suffixes.offsets[i]!, joined, start + prefix, offsets[i + 1]! - start - prefix);
    previous = start;
  }
  return { kind: 'BYTES', count, data: joined, offsets, gap: 0 };
}

/** Where each joined value starts; checks that no prefix is longer than the value before it. */
function joinedOffsets(prefixes: Int32Array, suffixes: BytesValues, maxBytes: number): Uint32Array {
  const offsets = new Uint32Array(suffixes.count + 1);
  let previousLength = 0;
  let total = 0;
  for (let i = 0; i < suffixes.count; i += 1) {
    const prefix = prefixes[i]!;
    if (prefix < 0 || prefix > previousLength) {
      throw corrupt(`byte array ${i} shares ${prefix} bytes with a value of ${previousLength}`);
    }
    previousLength = prefix + suffixes.offsets[i + 1]! - suffixes.offsets[i]!;
    total += previousLength;
    if (total > maxBytes) throw corrupt(`the delta byte arrays expand to more than ${maxBytes} bytes`);
    offsets[i + 1] = total;
  }
  return offsets;
}

/** Below this many bytes a loop beats the call into the engine's own copy. */
const LOOP_COPY_MAX = 64;

function copyBytes(from: Uint8Array, fromStart: number, to: Uint8Array, toStart: number, length: number): void {
  if (length > LOOP_COPY_MAX) {
    to.set(from.subarray(fromStart, fromStart + length), toStart);
    return;
  }
  for (let i = 0; i < length; i += 1) to[toStart + i] = from[fromStart + i]!;
}
