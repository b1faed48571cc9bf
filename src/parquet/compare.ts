/**
 * The order of key values, which is DuckDB's: NaN equals NaN and is greatest, -0 equals 0, strings and binary by
 * unsigned bytes, unsigned integers as such. Everything that searches (bounds, pages, blocks) goes by this order.
 */

import type { LeafColumn, LogicalType } from './schema.ts';

/**
 * - `int32` number: INT32, signed or unsigned by logical type; DATE and TIME in ms; decimals by their unscaled number
 * - `int64` bigint: INT64 likewise; timestamps and times
 * - `float` number: FLOAT, DOUBLE, FLOAT16
 * - `boolean`
 * - `bytes` Uint8Array: BYTE_ARRAY and FIXED_LEN_BYTE_ARRAY; strings as UTF-8, UUIDs as 16 bytes
 * - `decimal` bigint, unscaled: DECIMAL on BYTE_ARRAY and FIXED_LEN_BYTE_ARRAY
 * - `unsearchable`: INT96, INTERVAL, GEOMETRY, GEOGRAPHY, VARIANT, and every repeated column
 */
export type KeyClass = 'int32' | 'int64' | 'float' | 'boolean' | 'bytes' | 'decimal' | 'unsearchable';

export type KeyValue = number | bigint | boolean | Uint8Array;

export function keyClassOf(leaf: LeafColumn): KeyClass {
  if (leaf.maxRepetitionLevel > 0) return 'unsearchable';
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      return 'boolean';
    case 'INT32':
      return 'int32';
    case 'INT64':
      return 'int64';
    case 'INT96':
      return 'unsearchable';
    case 'FLOAT':
    case 'DOUBLE':
      return 'float';
    case 'BYTE_ARRAY':
    case 'FIXED_LEN_BYTE_ARRAY':
      return keyClassOfBytes(leaf.logicalType);
  }
}

function keyClassOfBytes(logicalType: LogicalType): KeyClass {
  switch (logicalType.kind) {
    case 'DECIMAL':
      return 'decimal';
    case 'FLOAT16':
      return 'float';
    case 'INTERVAL':
    case 'GEOMETRY':
    case 'GEOGRAPHY':
    case 'VARIANT':
      return 'unsearchable';
    default:
      return 'bytes';
  }
}

/** True for columns whose stored integers are to be read as unsigned. */
export function isUnsigned(leaf: LeafColumn): boolean {
  return leaf.logicalType.kind === 'INTEGER' && !leaf.logicalType.isSigned;
}

/** Negative, 0 or positive. Both values must be of the leaf's key class. */
export function compareKeys(_leaf: LeafColumn, a: KeyValue, b: KeyValue): number {
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (a < b) return -1;
  return a > b ? 1 : 0;
}

export function compareNumbers(a: number, b: number): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  // At least one is NaN.
  return (Number.isNaN(a) ? 1 : 0) - (Number.isNaN(b) ? 1 : 0);
}
