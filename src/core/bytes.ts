/**
 * A copy of part of some bytes, in a buffer of its own, aligned for typed arrays.
 *
 * `slice` alone does not do: on a Node Buffer, which is a Uint8Array too, it makes a view, which is not aligned and keeps
 * the whole read alive.
 */
export function copyBytes(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array<ArrayBuffer> {
  return Uint8Array.prototype.slice.call(bytes, start, end) as Uint8Array<ArrayBuffer>;
}
