/**
 * A row as bytes, its leaves one after another in their stored form, so that it can be sorted and kept in a file without
 * being understood:
 *
 *     required leaf   value
 *     optional leaf   u8 present, then the value if so
 *     nested leaf     u32 entries, u8 repetition[entries] if repeated, u8 definition[entries], then the values there are
 *     value           its bytes as in a PLAIN page (a boolean takes one); of a BYTE_ARRAY with u32 length before them
 */

import type { Block, LeafColumn } from '../parquet/index.ts';
import type { BlockAt } from '../table/index.ts';
import type { GrowingBytes } from './growing-bytes.ts';

/** Bytes of each value; 0 where each has its own length. */
export function storedWidth(leaf: LeafColumn): number {
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      return 1;
    case 'INT32':
    case 'FLOAT':
      return 4;
    case 'INT64':
    case 'DOUBLE':
      return 8;
    case 'INT96':
      return 12;
    case 'FIXED_LEN_BYTE_ARRAY':
      return leaf.typeLength;
    case 'BYTE_ARRAY':
      return 0;
  }
}

/** Whether levels are more than null or not. */
export function hasLevels(leaf: LeafColumn): boolean {
  return leaf.maxRepetitionLevel > 0 || leaf.maxDefinitionLevel > 1;
}

export function appendLeaf(target: GrowingBytes, leaf: LeafColumn, { block, firstRow }: BlockAt, row: number): void {
  const width = storedWidth(leaf);
  const inBlock = row - firstRow;
  if (hasLevels(leaf)) appendNested(target, leaf, block, inBlock, width);
  else if (leaf.maxDefinitionLevel === 0) appendValue(target, block, inBlock, width);
  else {
    const isNull = block.isNull(inBlock);
    target.byte(isNull ? 0 : 1);
    if (!isNull) appendValue(target, block, inBlock, width);
  }
}

function appendNested(target: GrowingBytes, leaf: LeafColumn, block: Block, row: number, width: number): void {
  const levels = block.levels;
  if (levels === undefined) throw new TypeError(`the block of the nested leaf ${leaf.name} has no levels`);
  const from = levels.firstEntry(row);
  const end = levels.firstEntry(row + 1);
  target.uint32(end - from);
  if (leaf.maxRepetitionLevel > 0) for (let i = from; i < end; i += 1) target.byte(levels.repetitionAt(i));
  for (let i = from; i < end; i += 1) target.byte(levels.definitionAt(i));
  for (let i = from; i < end; i += 1) {
    if (levels.definitionAt(i) === leaf.maxDefinitionLevel) appendValue(target, block, i, width);
  }
}

function appendValue(target: GrowingBytes, block: Block, at: number, width: number): void {
  const bytes = block.bytesAt(at);
  if (width === 0) target.uint32(bytes.length);
  target.append(bytes);
}
