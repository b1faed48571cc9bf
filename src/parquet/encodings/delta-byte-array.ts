/**
 * DELTA_LENGTH_BYTE_ARRAY (lengths first, then all bytes) and DELTA_BYTE_ARRAY (each value shares a prefix with the
 * one before it).
 *
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#delta-strings-delta_byte_array--7
 * Shared prefixes let a small page stand for a huge one, so the decoded size is summed and bounded before any of it
 * is allocated.
 */

import { corrupt } from '../../core/index.ts';
import { freshMemory, type TakeMemory } from './decode-memory.ts';
import { decodeDeltaInt32 } from './delta-binary-packed.ts';
import type { BytesValues } from './dense-values.ts';

export function decodeDeltaLengthByteArrays(
  data: Uint8Array,
  count: number,
  take: TakeMemory = freshMemory,
): BytesValues {
  const lengths = new Int32Array(take('lengths', 4 * count), 0, count);
  const bytesStart = decodeDeltaInt32(data, 0, data.length, lengths, count);
  const offsets = new Uint32Array(take('offsets', 4 * (count + 1)), 0, count + 1);
  let position = bytesStart;
  for (let i = 0; i < count; i += 1) {
    offsets[i] = position;
    const length = lengths[i]!;
    if (length < 0 || length > data.length - position) throw tooLong(i, length, data.length - position);
    position += length;
  }
  offsets[count] = position;
  return { kind: 'BYTES', count, data, offsets, gap: 0 };
}

export function decodeDeltaByteArrays(
  data: Uint8Array,
  count: number,
  maxBytes: number,
  take: TakeMemory = freshMemory,
): BytesValues {
  const prefixes = new Int32Array(take('prefixes', 4 * count), 0, count);
  const lengthsStart = decodeDeltaInt32(data, 0, data.length, prefixes, count);
  const lengths = new Int32Array(take('lengths', 4 * count), 0, count);
  const suffixStart = decodeDeltaInt32(data, lengthsStart, data.length, lengths, count);
  const offsets = new Uint32Array(take('offsets', 4 * (count + 1)), 0, count + 1);
  joinedOffsets(prefixes, lengths, offsets, data.length - suffixStart, maxBytes);
  const total = offsets[count]!;
  const joined = take('values', total + WORD_BYTES);
  join(data, suffixStart, prefixes, lengths, joined);
  return { kind: 'BYTES', count, data: new Uint8Array(joined, 0, total), offsets, gap: 0 };
}

/**
 * Where each joined value starts. Checks that no prefix is longer than the value before it, that the suffixes are there,
 * and that all together are no more than may be made of them.
 */
function joinedOffsets(
  prefixes: Int32Array,
  suffixLengths: Int32Array,
  offsets: Uint32Array,
  suffixBytes: number,
  maxBytes: number,
): void {
  let previousLength = 0;
  let left = suffixBytes;
  let total = 0;
  offsets[0] = 0;
  for (let i = 0; i < prefixes.length; i += 1) {
    const prefix = prefixes[i]!;
    const suffix = suffixLengths[i]!;
    if (suffix < 0 || suffix > left) throw tooLong(i, suffix, left);
    if (prefix < 0 || prefix > previousLength) {
      throw corrupt(`byte array ${i} shares ${prefix} bytes with a value of ${previousLength}`);
    }
    left -= suffix;
    previousLength = prefix + suffix;
    total += previousLength;
    if (total > maxBytes) throw corrupt(`the delta byte arrays expand to more than ${maxBytes} bytes`);
    offsets[i + 1] = total;
  }
}

/** Values are copied in words of this many bytes; what that writes past their end, behind the last value too, is room. */
const WORD_BYTES = 8;
/** Above this many bytes the engine's own copy beats a loop of words. */
const WORD_COPY_MAX = 256;

/**
 * Each value is the prefix it shares with the one before it, then its suffix, copied in whole words: what that writes
 * too much is overwritten by what follows. Source words are read only where eight bytes are left. A BigInt that goes
 * from a view to a view is never made.
 */
function join(
  data: Uint8Array,
  suffixStart: number,
  prefixes: Int32Array,
  suffixLengths: Int32Array,
  out: ArrayBuffer,
): void {
  const from = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const to = new DataView(out);
  const target = new Uint8Array(out);
  const lastWord = data.length - WORD_BYTES;
  let source = suffixStart;
  let previous = 0;
  let at = 0;
  for (let v = 0; v < prefixes.length; v += 1) {
    const start = at;
    const prefix = prefixes[v]!;
    if (prefix > WORD_COPY_MAX) target.copyWithin(at, previous, previous + prefix);
    else for (let i = 0; i < prefix; i += WORD_BYTES) to.setBigInt64(at + i, to.getBigInt64(previous + i, true), true);
    at += prefix;
    const suffix = suffixLengths[v]!;
    const last = source + suffix - 1;
    if (suffix > WORD_COPY_MAX) target.set(data.subarray(source, source + suffix), at);
    else if (last <= lastWord) {
      for (let i = 0; i < suffix; i += WORD_BYTES) to.setBigInt64(at + i, from.getBigInt64(source + i, true), true);
    } else for (let i = 0; i < suffix; i += 1) target[at + i] = data[source + i]!;
    at += suffix;
    source += suffix;
    previous = start;
  }
}

function tooLong(index: number, length: number, left: number) {
  return corrupt(`byte array ${index} claims ${length} bytes where the page has ${left} left`);
}
