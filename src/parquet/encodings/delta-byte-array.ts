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
  // Words may be written past a value's end; behind the last one there is room for that.
  const joined = new Uint8Array(offsets[count]! + 4);
  join(data, prefixes, suffixes, offsets, joined);
  return { kind: 'BYTES', count, data: joined, offsets, gap: 0 };
}

/** Above this many bytes the engine's own copy beats a loop of words. */
const WORD_COPY_MAX = 256;

/**
 * Each value is the prefix it shares with the one before it, then its suffix, copied in whole words: what that writes
 * too much is overwritten by what follows. Source words are read only where four bytes are left.
 */
function join(
  data: Uint8Array,
  prefixes: Int32Array,
  suffixes: BytesValues,
  offsets: Uint32Array,
  out: Uint8Array,
): void {
  const from = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const to = new DataView(out.buffer, out.byteOffset, out.byteLength);
  const { count } = suffixes;
  let previous = 0;
  for (let v = 0; v < count; v += 1) {
    const start = offsets[v]!;
    const prefix = prefixes[v]!;
    if (prefix > WORD_COPY_MAX) out.copyWithin(start, previous, previous + prefix);
    else for (let i = 0; i < prefix; i += 4) to.setInt32(start + i, to.getInt32(previous + i, true), true);
    const at = start + prefix;
    const suffixStart = suffixes.offsets[v]!;
    const suffix = suffixes.offsets[v + 1]! - suffixStart;
    if (suffix > WORD_COPY_MAX) out.set(data.subarray(suffixStart, suffixStart + suffix), at);
    else if (suffixStart + suffix + 4 <= data.length) {
      for (let i = 0; i < suffix; i += 4) to.setInt32(at + i, from.getInt32(suffixStart + i, true), true);
    } else for (let i = 0; i < suffix; i += 1) out[at + i] = data[suffixStart + i]!;
    previous = start;
  }
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
