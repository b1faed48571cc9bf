/**
 * DECIMAL values as exact text, and back.
 *
 * A decimal is stored as an unscaled integer: 1.50 at scale 2 is 150. Text keeps all digits of the scale, since they are
 * part of what the column says; a key is compared by value, so `1.5` finds 1.50.
 */

import { corrupt } from '../core/index.ts';

/** Parquet allows any precision; beyond this no known system goes, and text of a hostile one would cost too much. */
export const MAX_DECIMAL_PRECISION = 1000;
/** Enough for 1,000 digits and their sign. */
const MAX_DECIMAL_BYTES = 416;

/** `-150` at scale 2 as `-1.50`. */
export function formatDecimal(unscaled: number | bigint, scale: number): string {
  const text = String(unscaled);
  if (scale === 0) return text;
  const negative = text.charCodeAt(0) === 0x2d;
  const digits = (negative ? text.slice(1) : text).padStart(scale + 1, '0');
  const point = digits.length - scale;
  return `${negative ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** The unscaled integer, or undefined when the text is no plain decimal number or has more digits than the scale. */
export function parseDecimal(text: string, scale: number): bigint | undefined {
  const match = /^(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?$/.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = '', fraction = ''] = match;
  const digits = fraction.replace(/0+$/, '');
  if (digits.length > scale || whole.length > MAX_DECIMAL_PRECISION) return undefined;
  const unscaled = BigInt(whole + digits.padEnd(scale, '0'));
  return sign === '-' ? -unscaled : unscaled;
}

/** The big-endian two's complement integer that FIXED_LEN_BYTE_ARRAY and BYTE_ARRAY decimals hold. */
export function unscaledFromBytes(bytes: Uint8Array): bigint {
  if (bytes.length === 0) return 0n;
  const significant = bytes.length > MAX_DECIMAL_BYTES ? withoutSignBytes(bytes) : bytes;
  if (significant.length > MAX_DECIMAL_BYTES) {
    throw corrupt(`a DECIMAL value of ${bytes.length} bytes has more than ${MAX_DECIMAL_PRECISION} digits`);
  }
  const hex = Buffer.from(significant.buffer, significant.byteOffset, significant.length).toString('hex');
  return BigInt.asIntN(significant.length * 8, BigInt(`0x${hex}`));
}

/** Some writers pad with copies of the sign, which say nothing. */
function withoutSignBytes(bytes: Uint8Array): Uint8Array {
  const negative = ((bytes[0] ?? 0) & 0x80) !== 0;
  const padding = negative ? 0xff : 0;
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === padding) {
    const nextIsNegative = ((bytes[start + 1] ?? 0) & 0x80) !== 0;
    if (nextIsNegative !== negative) break;
    start += 1;
  }
  return bytes.subarray(start);
}
