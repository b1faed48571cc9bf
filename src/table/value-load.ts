/** How the value of a column becomes a number, or that it is a text. */

export const LOAD_NONE = 0;
export const LOAD_BOOLEAN = 1;
export const LOAD_INT32 = 2;
export const LOAD_UINT32 = 3;
/** Of 64 bits only where a double holds it. */
export const LOAD_INT64 = 4;
export const LOAD_FLOAT32 = 5;
export const LOAD_FLOAT64 = 6;
export const LOAD_TEXT = 7;
export const LOAD_UINT64 = 8;

export type Load = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** Bytes of a value, by load; 0 where values are not of one width. */
export const LOAD_WIDTHS: readonly number[] = [0, 1, 4, 4, 8, 4, 8, 0, 8];

/** A high word of less than this leaves a 64-bit integer within what a double holds. */
const SAFE_HIGH = 0x20_0000;

/** By the signed high word of an INT64 or UINT64. */
export function isSafeHigh(high: number, load: number): boolean {
  return high < SAFE_HIGH && high >= (load === LOAD_UINT64 ? 0 : -SAFE_HIGH);
}

export function safeNumber(high: number, low: number): number {
  return high * 0x1_0000_0000 + low;
}
