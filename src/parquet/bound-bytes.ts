/**
 * Bounds of byte strings and decimals, kept short: a lower bound is cut, an upper one is cut and rounded up, so that
 * both still hold. Decimals are kept whole or not at all, in the fewest bytes of their two's complement.
 */

/** The length in which an upper bound of `length` bytes is kept within `limit`, or -1 where no such bound exists. */
export function upperBoundLength(source: Uint8Array, start: number, length: number, limit: number): number {
  if (length <= limit) return length;
  let kept = limit;
  while (kept > 0 && source[start + kept - 1] === 0xff) kept -= 1;
  return kept === 0 ? -1 : kept;
}

/** Copies a prefix; when it is shorter than the value it stands for, `roundUp` makes it an upper bound. */
export function copyBound(
  source: DataView,
  start: number,
  kept: number,
  roundUp: boolean,
  target: DataView,
  at: number,
): void {
  let index = 0;
  for (; index + 4 <= kept; index += 4) target.setInt32(at + index, source.getInt32(start + index));
  for (; index < kept; index += 1) target.setUint8(at + index, source.getUint8(start + index));
  // `upperBoundLength` ends on a byte below 0xff.
  if (roundUp) target.setUint8(at + kept - 1, target.getUint8(at + kept - 1) + 1);
}

/** How many leading bytes of a big-endian two's complement number only repeat its sign. */
export function redundantSignBytes(source: Uint8Array, start: number, length: number): number {
  let redundant = 0;
  while (redundant < length - 1) {
    const byte = source[start + redundant]!;
    const nextIsNegative = source[start + redundant + 1]! >= 0x80;
    if (!(byte === 0 && !nextIsNegative) && !(byte === 0xff && nextIsNegative)) break;
    redundant += 1;
  }
  return redundant;
}

/** A big-endian two's complement number. No bytes are zero. */
export function decodeDecimal(source: Uint8Array, start: number, length: number): bigint {
  let value = 0n;
  for (let index = 0; index < length; index += 1) value = (value << 8n) | BigInt(source[start + index]!);
  return length === 0 ? 0n : BigInt.asIntN(length * 8, value);
}

/** Unsigned byte order of a slice against a whole key. */
export function compareSlice(source: Uint8Array, start: number, length: number, key: Uint8Array): number {
  const shared = Math.min(length, key.length);
  for (let index = 0; index < shared; index += 1) {
    const difference = source[start + index]! - key[index]!;
    if (difference !== 0) return difference;
  }
  return length - key.length;
}

/** Unsigned byte order of two slices of the same bytes. */
export function compareSlices(
  source: Uint8Array,
  aStart: number,
  aLength: number,
  bStart: number,
  bLength: number,
): number {
  const shared = Math.min(aLength, bLength);
  for (let index = 0; index < shared; index += 1) {
    const difference = source[aStart + index]! - source[bStart + index]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

/** IEEE 754 binary16, little-endian. */
export function decodeFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
