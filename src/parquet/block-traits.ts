/**
 * What of a flat block's header tells where its values are, in one byte, so that who keeps it beside the block's place reads
 * values without a look at the header: that is one line of memory less for each column of a row.
 *
 *     bits 0 to 1   kind: 1 FIXED, 2 BYTES, 3 CODES
 *     bit 2         has nulls
 *     bit 3         every byte of a BYTES block is ASCII
 *     bits 4 to 5   the width of a value or code is 2^this
 *
 * 0 stands for what has to be asked of the block itself: leaves of nested columns and values of other widths.
 */

import type { Block } from './block.ts';
import { BLOCK_HEADER_BYTES, valuesStart } from './block-layout.ts';

export const TRAIT_KIND = 3;
export const TRAIT_FIXED = 1;
export const TRAIT_BYTES = 2;
export const TRAIT_CODES = 3;
export const TRAIT_NULLS = 4;
export const TRAIT_ASCII = 8;
const WIDTH_SHIFT = 4;
/** For this module alone, of which the engine makes constants. */
const [NULLS, HEADER_BYTES] = [TRAIT_NULLS, BLOCK_HEADER_BYTES];
const WIDTHS: readonly number[] = [1, 2, 4, 8];

export function traitsOf(block: Block): number {
  if (block.levels !== undefined) return 0;
  const width = WIDTHS.indexOf(block.width);
  if (width < 0) return 0;
  const kind = block.kind === 'FIXED' ? TRAIT_FIXED : block.kind === 'BYTES' ? TRAIT_BYTES : TRAIT_CODES;
  return kind | (block.hasNulls ? TRAIT_NULLS : 0) | (block.isAscii ? TRAIT_ASCII : 0) | (width << WIDTH_SHIFT);
}

/** Of a FIXED block without nulls whose values have so many bytes. */
export function traitsOfPlain(width: number): number {
  return TRAIT_FIXED | (WIDTHS.indexOf(width) << WIDTH_SHIFT);
}

export function widthOfTraits(traits: number): number {
  return 1 << (traits >>> WIDTH_SHIFT);
}

/** Where the value, code or offset of a row is in a block of so many rows, from its first byte. */
export function valueAt(traits: number, row: number, rows: number): number {
  const start = (traits & NULLS) === 0 ? HEADER_BYTES : valuesStart(rows, true);
  return start + (row << (traits >>> WIDTH_SHIFT));
}
