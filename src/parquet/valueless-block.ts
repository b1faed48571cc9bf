/** A block in which no key is ever found, whatever the column: its rows are codes of a dictionary that has no values. */

import { Block } from './block.ts';
import { allocateBlock } from './block-layout.ts';

export function valuelessBlock(rows: number): Block {
  const block = Block.open(allocateBlock('CODES', rows, 1, false, 0));
  block.dictionary = Block.open(allocateBlock('FIXED', 0, 4, false, 0));
  return block;
}
