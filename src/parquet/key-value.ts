/** The value of one row as a key: what `findRow` would find that row by. */

import { assert, copyBytes } from '../core/index.ts';
import type { Block } from './block.ts';
import { decodeDecimal } from './bound-bytes.ts';
import { isUnsigned, type KeyValue, keyClassOf } from './compare.ts';
import type { LeafColumn } from './schema.ts';

/** The row must not be null and the leaf must be searchable. Bytes are a copy, so that the key outlives the block. */
export function keyValueAt(block: Block, leaf: LeafColumn, row: number): KeyValue {
  const keyClass = keyClassOf(leaf);
  switch (keyClass) {
    case 'int32':
      return isUnsigned(leaf) ? block.uint32At(row) : block.int32At(row);
    case 'int64':
      return isUnsigned(leaf) ? block.uint64At(row) : block.int64At(row);
    case 'float':
      if (leaf.physicalType === 'DOUBLE') return block.float64At(row);
      return leaf.physicalType === 'FLOAT' ? block.float32At(row) : block.float16At(row);
    case 'boolean':
      return block.booleanAt(row);
    case 'bytes':
      return copyBytes(block.bytesAt(row));
    case 'decimal': {
      const bytes = block.bytesAt(row);
      return decodeDecimal(bytes, 0, bytes.length);
    }
    case 'unsearchable':
      assert(false, `column ${leaf.name} has no key values`);
  }
}
