/** The keys of a batch that are to be read, each once and in ascending order, with the places where each was asked for. */

import { ServiceError } from '../core/index.ts';
import type { Key } from '../table/index.ts';

export interface DistinctKey {
  readonly key: Key;
  /** In the batch, ascending. */
  readonly at: readonly number[];
}

/**
 * `open` are places in `keys`; those of keys that could not be read are left out. The order is the keys' own, so that
 * where files are clustered by it neighbours in time share pages.
 */
export function distinctKeys(keys: readonly (Key | ServiceError)[], open: readonly number[]): readonly DistinctKey[] {
  const asked: { readonly key: Key; readonly at: number[] }[] = [];
  for (const at of open) {
    const key = keys[at];
    if (key !== undefined && !(key instanceof ServiceError)) asked.push({ key, at: [at] });
  }
  // A stable sort, so that the places of equal keys stay ascending.
  asked.sort((a, b) => compareKeyParts(a.key, b.key));
  let last = -1;
  for (const one of asked) {
    const before = asked[last];
    if (before !== undefined && compareKeyParts(before.key, one.key) === 0) before.at.push(...one.at);
    else asked[++last] = one;
  }
  return asked.slice(0, last + 1);
}

/** Part by part: -0 equals 0, NaN equals NaN and is greatest, bytes compare unsigned. */
function compareKeyParts(a: Key, b: Key): number {
  for (let part = 0; part < a.length && part < b.length; part++) {
    const order = compareParts(a[part], b[part]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareParts(a: Key[number] | undefined, b: Key[number] | undefined): number {
  if (a === undefined || b === undefined) return 0;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (a < b) return -1;
  if (a > b) return 1;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}
