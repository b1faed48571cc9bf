/**
 * PLAIN: values back to back; byte arrays behind a 4-byte length each; booleans as bits, least significant first.
 *
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#plain-plain--0
 */

import { corrupt } from '../../core/index.ts';
import { freshMemory, type TakeMemory } from './decode-memory.ts';
import type { BytesValues, FixedValues } from './dense-values.ts';

/** Finds where each byte array starts; nothing is copied. */
export function decodePlainByteArrays(data: Uint8Array, count: number, take: TakeMemory = freshMemory): BytesValues {
  if (count * 4 > data.length) throw corrupt(`${count} byte arrays do not fit in the ${data.length} bytes of the page`);
  const offsets = new Uint32Array(take('offsets', 4 * (count + 1)), 0, count + 1);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const lastLength = data.length - 4;
  let position = 0;
  for (let i = 0; i < count; i += 1) {
    if (position > lastLength) throw corrupt(`the page ends before byte array ${i} of ${count}`);
    const length = view.getUint32(position, true);
    position += 4;
    offsets[i] = position;
    // A sum of two numbers under 2^32: no overflow in a double.
    position += length;
    if (position > data.length) throw corrupt(`byte array ${i} claims ${length} bytes, more than the page has left`);
  }
  offsets[count] = position + 4;
  return { kind: 'BYTES', count, data, offsets, gap: 4 };
}

/** One byte a boolean, since that is how blocks hold them. */
export function decodePlainBooleans(data: Uint8Array, count: number): FixedValues {
  if (Math.ceil(count / 8) > data.length) {
    throw corrupt(`${count} booleans do not fit in the ${data.length} bytes of the page`);
  }
  const out = new Uint8Array(count);
  for (let i = 0; i < count; i += 1) out[i] = (data[i >>> 3]! >>> (i & 7)) & 1;
  return { kind: 'FIXED', count, width: 1, data: out };
}
