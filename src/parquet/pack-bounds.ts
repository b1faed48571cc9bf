/**
 * Makes a bounds table of raw statistics. `planBounds` first, which drops what may not be believed and says how many
 * bytes the rest takes; then `packBoundsEntry` for each into a buffer of the caller's.
 */

import { NATIVE_WIDTH, trustedBits } from './believable.ts';
import { copyBound, redundantSignBytes, upperBoundLength } from './bound-bytes.ts';
import { type BoundForm, boundFormOf, boundTrustOf } from './bounds.ts';
import { align, type BoundsLayout, boundStride, boundsByteLength, FLAG } from './bounds-table.ts';
import type { ColumnOrder } from './file-format.ts';
import { RAW, type RawStatistics } from './raw-statistics.ts';
import type { LeafColumn } from './schema.ts';

/** Bytes kept of each bound; more for columns that are looked up by. */
export const BOUND_BYTES = 16;
export const KEY_BOUND_BYTES = 64;

export interface BoundsPlan {
  readonly layout: BoundsLayout;
  readonly raw: RawStatistics;
  /** Where this table's entries are in `raw`: `first + stride * entry`. */
  readonly first: number;
  readonly stride: number;
  readonly limit: number;
  /** Whether values stand at their type's own width, as they are. */
  readonly isNative: boolean;
  /** Where minima and maxima start in the table, and bytes from one to the next. */
  readonly minAt: number;
  readonly maxAt: number;
  readonly valueStride: number;
  /** 0 when nothing is known of any entry. */
  readonly byteLength: number;
}

/** Plans the bounds of `entries` entries of `raw`, every `stride`-th from `first` on, each in at most `limit` bytes. */
export function planBounds(
  leaf: LeafColumn,
  order: ColumnOrder,
  raw: RawStatistics,
  first: number,
  stride: number,
  entries: number,
  limit: number,
): BoundsPlan {
  const form = boundFormOf(leaf);
  const trust = boundTrustOf(form, order);
  const isNative = NATIVE_WIDTH[form] !== 0;
  let known = 0;
  let longest = 0;
  let shortest = limit;
  for (let index = 0, entry = first; index < entries; index += 1, entry += stride) {
    let bits = trustedBits(trust, raw.bits[entry]!);
    if (!isNative && (bits & (RAW.MIN | RAW.MAX)) !== 0) {
      const min = (bits & RAW.MIN) === 0 ? -1 : keptLength(form, raw, entry, false, limit);
      const max = (bits & RAW.MAX) === 0 ? -1 : keptLength(form, raw, entry, true, limit);
      if (min === -1) bits &= ~RAW.MIN;
      if (max === -1) bits &= ~RAW.MAX;
      longest = Math.max(longest, min, max);
      shortest = Math.min(shortest, min === -1 ? limit : min, max === -1 ? limit : max);
    }
    raw.bits[entry] = bits;
    known |= bits & (RAW.MIN | RAW.MAX | RAW.ALL_NULL | RAW.NO_NAN);
  }
  const hasValues = (known & (RAW.MIN | RAW.MAX)) !== 0;
  const width = hasValues ? NATIVE_WIDTH[form] || longest : 0;
  const hasLengths = hasValues && !isNative && shortest !== longest;
  const layout: BoundsLayout = { form, entries, width, hasLengths };
  const valueStride = boundStride(layout);
  const minAt = align(entries);
  const maxAt = minAt + align(entries * valueStride);
  const byteLength = known === 0 ? 0 : boundsByteLength(layout);
  return { layout, raw, first, stride, limit, isNative, minAt, maxAt, valueStride, byteLength };
}

/** Writes one entry of the table that starts at `at`, a multiple of 8. The bytes there must be zero. */
export function packBoundsEntry(plan: BoundsPlan, index: number, target: DataView, at: number): void {
  const { valueStride } = plan;
  const entry = plan.first + index * plan.stride;
  const bits = plan.raw.bits[entry]!;
  let flags = 0;
  if ((bits & RAW.ALL_NULL) !== 0) flags |= FLAG.ALL_NULL;
  if ((bits & RAW.NO_NAN) !== 0) flags |= FLAG.NO_NAN;
  if ((bits & RAW.MIN) !== 0) {
    const whole = packValue(plan, entry, false, target, at + plan.minAt + index * valueStride);
    flags |= whole && (bits & RAW.MIN_EXACT) !== 0 ? FLAG.MIN | FLAG.MIN_EXACT : FLAG.MIN;
  }
  if ((bits & RAW.MAX) !== 0) {
    const whole = packValue(plan, entry, true, target, at + plan.maxAt + index * valueStride);
    flags |= whole && (bits & RAW.MAX_EXACT) !== 0 ? FLAG.MAX | FLAG.MAX_EXACT : FLAG.MAX;
  }
  target.setUint8(at + index, flags);
}

/** Writes one bound and says whether it is still the whole value. */
function packValue(plan: BoundsPlan, entry: number, isMax: boolean, target: DataView, at: number): boolean {
  const { layout, raw, limit } = plan;
  const { form, width, hasLengths } = layout;
  const start = isMax ? raw.maxStart[entry]! : raw.minStart[entry]!;
  if (plan.isNative) {
    copyBound(raw.view, start, width, false, target, at);
    return true;
  }
  const length = isMax ? raw.maxLength[entry]! : raw.minLength[entry]!;
  const kept = keptLength(form, raw, entry, isMax, limit);
  const valueAt = hasLengths ? at + 1 : at;
  if (hasLengths) target.setUint8(at, kept);
  if (form === 'decimal') {
    copyBound(raw.view, start + length - kept, kept, false, target, valueAt);
    return true;
  }
  copyBound(raw.view, start, kept, isMax && kept < length, target, valueAt);
  return kept === length;
}

/** How many bytes are kept of a byte string or decimal, or -1 where no bound of at most `limit` bytes exists. */
function keptLength(form: BoundForm, raw: RawStatistics, entry: number, isMax: boolean, limit: number): number {
  const start = isMax ? raw.maxStart[entry]! : raw.minStart[entry]!;
  const length = isMax ? raw.maxLength[entry]! : raw.minLength[entry]!;
  if (form === 'decimal') {
    const kept = length - redundantSignBytes(raw.source, start, length);
    return kept <= limit ? kept : -1;
  }
  return isMax ? upperBoundLength(raw.source, start, length, limit) : Math.min(length, limit);
}
