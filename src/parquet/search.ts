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
  int64Row,
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
  if (block.isOfCodes) return findCode(block, leaf, key, start, end);
  if (typeof key === 'bigint' && block.order === 'ascending' && !block.hasNulls && keyClassOf(leaf) === 'int64') {
    const found = findAscendingInt64(block, key, start, end);
    if (found !== undefined) return found;
  }
  const values = keyedValues(block, leaf, key);
  if (values === undefined) return -1;
  if (block.order === 'unknown') {
    block.order = !block.hasNulls && values.isAscending(block.rows) ? 'ascending' : 'unordered';
  }
  if (block.order === 'unordered') return values.scan(start, end);
  const row = values.lowerBound(start, end);
  return row < end && values.compare(row) === 0 ? row : -1;
}

/** Undefined where values or the key are beyond what a double holds exactly, or unsigned beyond INT64: then halves are compared. */
function findAscendingInt64(block: Block, key: bigint, from: number, to: number): number | undefined {
  const wanted = Number(key);
  if (!Number.isSafeInteger(wanted)) return undefined;
  return int64Row(block.views.int32s, block.startOf(0) >>> 2, wanted, from, to);
}

/**
 * A row's value against a key of the leaf's class: negative, 0 or positive, in the order that `findRow` searches by; NaN
 * where no value of the column's type can equal it.
 */
export function compareRow(block: Block, leaf: LeafColumn, key: KeyValue, row: number): number {
  return keyedValues(block, leaf, key)?.compare(row) ?? Number.NaN;
}

function findCode(block: Block, leaf: LeafColumn, key: KeyValue, from: number, to: number): number {
  const { dictionary } = block;
  if (dictionary === undefined) throw corrupt(`a block of ${leaf.name} holds codes but no dictionary is at hand`);
  const codes = block.codes();
  let first = -1;
  for (const code of codesOf(dictionary, leaf, key)) {
    const row = numberValues(block, codes, code).scan(from, first === -1 ? to : first);
    if (row !== -1) first = row;
  }
  return first;
}

/** More codes than this are not remembered: no honest dictionary holds a value so often. */
const REMEMBERED_CODES_MAX = 8;

interface FoundCodes {
  readonly key: KeyValue;
  readonly codes: readonly number[];
}

/** The key last looked for in each dictionary that is still held. */
const lastFound = new WeakMap<Block, FoundCodes>();

/**
 * The codes of the key; a value may stand in a dictionary more than once: -0 and 0 do, and nothing forbids it. A
 * search goes through many blocks of one dictionary, so its last answer is remembered.
 */
function codesOf(dictionary: Block, leaf: LeafColumn, key: KeyValue): readonly number[] {
  const last = lastFound.get(dictionary);
  if (last !== undefined && isSameKey(last.key, key)) return last.codes;
  const codes: number[] = [];
  let code = findRow(dictionary, leaf, key, 0, dictionary.rows);
  while (code !== -1) {
    codes.push(code);
    code = findRow(dictionary, leaf, key, code + 1, dictionary.rows);
  }
  // The caller may use the bytes of its key again, so they are copied; a Buffer's own slice would be a view.
  const kept = key instanceof Uint8Array ? Uint8Array.from(key) : key;
  if (codes.length <= REMEMBERED_CODES_MAX) lastFound.set(dictionary, { key: kept, codes });
  return codes;
}

function isSameKey(a: KeyValue, b: KeyValue): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return Object.is(a, b);
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
