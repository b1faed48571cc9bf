/**
 * Finds the row of a key in a block: by halves where the block was found ascending, by scanning else.
 *
 * Equality is DuckDB's: NaN equals NaN, -0 equals 0, bytes compare unsigned; null equals nothing. A block is examined
 * for order once, on its first search. A block of codes is searched for the codes that the key has in its dictionary.
 */

import { assert, corrupt, unsupported } from '../core/index.ts';
import { type Block, float16 } from './block.ts';
import { compareNumbers, isUnsigned, type KeyValue, keyClassOf } from './compare.ts';
import type { LeafColumn } from './schema.ts';
import {
  bytesValues,
  decimalValues,
  int64Values,
  type KeyedValues,
  numberValues,
  orderedValues,
} from './searched-values.ts';

/** The first row in [from, to) whose value equals `key`, or -1. `key` is of the leaf's key class. */
export function findRow(block: Block, leaf: LeafColumn, key: KeyValue, from: number, to: number): number {
  const start = Math.max(0, from);
  const end = Math.min(to, block.rows);
  if (start >= end) return -1;
  if (block.kind === 'CODES') return findCode(block, leaf, key, start, end);
  const values = keyedValues(block, leaf, key);
  if (values === undefined) return -1;
  if (block.order === 'unknown') {
    block.order = !block.hasNulls && values.isAscending(block.rows) ? 'ascending' : 'unordered';
  }
  if (block.order === 'unordered') return values.scan(start, end);
  const row = values.lowerBound(start, end);
  return row < end && values.compare(row) === 0 ? row : -1;
}

/** A value may stand in a dictionary more than once: -0 and 0 do, and nothing forbids it. */
function findCode(block: Block, leaf: LeafColumn, key: KeyValue, from: number, to: number): number {
  const { dictionary } = block;
  if (dictionary === undefined) throw corrupt(`a block of ${leaf.name} holds codes but no dictionary is at hand`);
  const codes = block.codes();
  let first = -1;
  let end = to;
  for (let code = findRow(dictionary, leaf, key, 0, dictionary.rows); code !== -1; ) {
    const row = numberValues(block, codes, code).scan(from, end);
    if (row !== -1) {
      first = row;
      end = row;
    }
    code = findRow(dictionary, leaf, key, code + 1, dictionary.rows);
  }
  return first;
}

/** The block's values beside the key; undefined where no value of the column's type can equal it. */
function keyedValues(block: Block, leaf: LeafColumn, key: KeyValue): KeyedValues | undefined {
  const keyClass = keyClassOf(leaf);
  if (keyClass === 'unsearchable') {
    throw unsupported(`column ${leaf.name} cannot be searched by value`, { column: leaf.name });
  }
  if (keyClass === 'int32' && typeof key === 'number') return numberValues(block, int32View(block, leaf), key);
  if (keyClass === 'int64' && typeof key === 'bigint') return int64KeyedValues(block, leaf, key);
  if (keyClass === 'float' && typeof key === 'number') return floatValues(block, leaf, key);
  if (keyClass === 'boolean' && typeof key === 'boolean') return numberValues(block, block.bytes(), key ? 1 : 0);
  if (keyClass === 'bytes' && key instanceof Uint8Array) return bytesValues(block, key);
  if (keyClass === 'decimal' && typeof key === 'bigint') return decimalValues(block, key);
  // The caller has made the key from the same leaf, so this is no fault of the file or the request.
  assert(false, `column ${leaf.name} is searched by a key of another class than ${keyClass}`);
}

function int32View(block: Block, leaf: LeafColumn): Int32Array | Uint32Array {
  return isUnsigned(leaf) ? block.uint32s() : block.int32s();
}

function int64KeyedValues(block: Block, leaf: LeafColumn, key: bigint): KeyedValues | undefined {
  const unsigned = isUnsigned(leaf);
  const stored = unsigned ? BigInt.asUintN(64, key) : BigInt.asIntN(64, key);
  return stored === key ? int64Values(block, block.int32s(), key, unsigned) : undefined;
}

function floatValues(block: Block, leaf: LeafColumn, key: number): KeyedValues {
  if (leaf.physicalType === 'FLOAT') return numberValues(block, block.float32s(), key);
  if (leaf.physicalType === 'DOUBLE') return numberValues(block, block.float64s(), key);
  const bytes = block.bytes();
  const value = (row: number) => float16(bytes[2 * row]! | (bytes[2 * row + 1]! << 8));
  return orderedValues(
    block,
    (row) => compareNumbers(value(row), key),
    (row, next) => compareNumbers(value(row), value(next)),
  );
}
