/**
 * What is known of the values of a run of rows: a row group's chunk, or a page.
 *
 * Bounds only ever say "not here". They are used when the file's own words define how they were ordered, and are
 * otherwise unknown, which prunes nothing. The traps that decide this:
 *
 * - `min_value`/`max_value` and the column index are ordered as `column_orders` says. Without it their order is
 *   undefined, and they are used only for types where every order that could have been meant is the signed one.
 * - The deprecated `min`/`max` were compared as signed numbers: wrong for strings, decimals on byte arrays and large
 *   unsigned integers, right for the rest.
 * - INT96, INTERVAL, geometries and annotations of a later version have no order that is known here.
 * - NaN may hide anywhere unless a `nan_count` of zero excludes it, and a NaN bound says nothing. Zeros of both signs
 *   compare equal.
 * - A minimum above its maximum is damage or a misread order: both are dropped.
 * - Strings may be truncated; whoever shortens them further rounds outward.
 */

import { compareKeys, isUnsigned, type KeyValue } from './compare.ts';
import type { ColumnOrder } from './file-format.ts';
import type { LeafColumn } from './schema.ts';

export interface Bounds {
  /** Every value that is neither null nor NaN is at least this; undefined where no lower bound is known. */
  readonly min: KeyValue | undefined;
  readonly max: KeyValue | undefined;
  /** True when the file says that the bound is itself a value, and it was not shortened since. */
  readonly minExact: boolean;
  readonly maxExact: boolean;
  /** True when all rows are null, so that no key matches. */
  readonly allNull: boolean;
  /** True when the file says that there is no NaN. */
  readonly noNaN: boolean;
}

/** How bounds of a column are stored and compared; `none` where no order is known. */
export type BoundForm =
  | 'none'
  | 'boolean'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'float16'
  | 'float'
  | 'double'
  | 'bytes'
  | 'decimal';

/** Which of a file's statistics may be believed for a column. */
export interface BoundTrust {
  /** min_value, max_value and the column index. */
  readonly ordered: boolean;
  /** The deprecated min and max, which were compared as signed numbers. */
  readonly deprecated: boolean;
}

export function boundFormOf(leaf: LeafColumn): BoundForm {
  if (leaf.maxRepetitionLevel > 0 || leaf.logicalType.kind === 'UNRECOGNISED') return 'none';
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      return 'boolean';
    case 'INT32':
      return isUnsigned(leaf) ? 'uint32' : 'int32';
    case 'INT64':
      return isUnsigned(leaf) ? 'uint64' : 'int64';
    case 'INT96':
      return 'none';
    case 'FLOAT':
      return 'float';
    case 'DOUBLE':
      return 'double';
    case 'BYTE_ARRAY':
    case 'FIXED_LEN_BYTE_ARRAY':
      return boundFormOfBytes(leaf);
  }
}

function boundFormOfBytes(leaf: LeafColumn): BoundForm {
  switch (leaf.logicalType.kind) {
    case 'DECIMAL':
      return 'decimal';
    case 'FLOAT16':
      return 'float16';
    case 'INTERVAL':
    case 'GEOMETRY':
    case 'GEOGRAPHY':
    case 'VARIANT':
      return 'none';
    default:
      return 'bytes';
  }
}

export function boundTrustOf(form: BoundForm, order: ColumnOrder): BoundTrust {
  const signed = SIGNED_FORMS.has(form);
  // Unsigned integers only where both are below the sign bit, which is looked at where they are read.
  const deprecated = signed || form === 'uint32' || form === 'uint64';
  switch (order) {
    case 'TYPE_ORDER':
      return { ordered: true, deprecated };
    case 'IEEE_754_TOTAL_ORDER':
      return { ordered: FLOAT_FORMS.has(form), deprecated };
    case 'UNDEFINED':
      return { ordered: signed, deprecated };
    case 'INT96_TIMESTAMP_ORDER':
      return { ordered: false, deprecated };
  }
}

/** Forms where the order of the deprecated statistics is the type's own. */
const SIGNED_FORMS: ReadonlySet<BoundForm> = new Set<BoundForm>(['boolean', 'int32', 'int64', 'float', 'double']);

export const FLOAT_FORMS: ReadonlySet<BoundForm> = new Set<BoundForm>(['float16', 'float', 'double']);

/** Whether rows with these bounds may hold the key. Unknown bounds may hold anything. */
export function canContain(leaf: LeafColumn, bounds: Bounds | undefined, key: KeyValue): boolean {
  return canContainBetween(leaf, bounds, key, key);
}

/** Whether rows with these bounds may hold a value from `low` to `high`, both included, undefined being without end. */
export function canContainBetween(
  leaf: LeafColumn,
  bounds: Bounds | undefined,
  low: KeyValue | undefined,
  high: KeyValue | undefined,
): boolean {
  if (bounds === undefined) return true;
  if (bounds.allNull) return false;
  // NaN is the greatest value and lies outside the bounds.
  if (mayReachNaN(leaf, high) && !bounds.noNaN) return true;
  if (isNaNKey(low)) return false;
  if (bounds.max !== undefined && low !== undefined && compareKeys(leaf, low, bounds.max) > 0) return false;
  return bounds.min === undefined || high === undefined || compareKeys(leaf, high, bounds.min) >= 0;
}

function mayReachNaN(leaf: LeafColumn, high: KeyValue | undefined): boolean {
  return isNaNKey(high) || (high === undefined && FLOAT_FORMS.has(boundFormOf(leaf)));
}

function isNaNKey(key: KeyValue | undefined): boolean {
  return typeof key === 'number' && Number.isNaN(key);
}
