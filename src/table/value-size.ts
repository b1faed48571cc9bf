/**
 * How large a value is, told from its block before any text of it is made, and the refusal of one that is too large.
 *
 * What is counted are the bytes as they lie in the file's values: of a string its UTF-8, of a nested value those of all
 * its leaves. Their JSON may be a few times that, which is what the bounds allow for.
 */

import { ServiceError } from '../core/index.ts';
import type { Block } from '../parquet/index.ts';
import type { BlockAt } from './block-at.ts';

/** Throws `value_too_large` for a nested value whose leaves together have more bytes than that. */
export function checkNestedSize(blocks: readonly BlockAt[], row: number, bytesMax: number, column: string): void {
  let held = 0;
  for (const { block } of blocks) held += heldBytes(block);
  // Most blocks are smaller than any one value may be.
  if (held <= bytesMax) return;
  let bytes = 0;
  for (const { block, firstRow } of blocks) bytes += leafBytes(block, row - firstRow);
  if (bytes > bytesMax) throw valueTooLarge(column, bytes, bytesMax);
}

export function valueTooLarge(column: string, bytes: number, limit: number): ServiceError {
  const message = `the value of column ${column} has ${bytes} bytes, more than the ${limit} that can be answered here`;
  return new ServiceError('tooLarge', 'value_too_large', message, { column, bytes, limit });
}

/** An upper bound of what one value of the block can have: the block's own bytes, unless many rows share one of a dictionary. */
function heldBytes(block: Block): number {
  return block.kind === 'CODES' ? Number.POSITIVE_INFINITY : block.byteLength;
}

function leafBytes(block: Block, at: number): number {
  const starts = block.levels?.rowStart;
  const start = starts?.[at] ?? at;
  const end = starts?.[at + 1] ?? at + 1;
  if (block.kind === 'FIXED') return (end - start) * block.width;
  let bytes = end - start;
  for (let entry = start; entry < end; entry++) if (!block.isNull(entry)) bytes += block.byteLengthAt(entry);
  return bytes;
}
