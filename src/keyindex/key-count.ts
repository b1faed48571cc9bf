/**
 * How many rows and how many different keys runs have. Keys that have one fingerprint by chance count as one, so that it is
 * the least number of keys: the true one is rarely more, and by few.
 *
 * One pass over all runs in the order of fingerprints, as a merge makes it, that holds nothing but the pages being read.
 */

import type { KeyRun } from './key-run.ts';
import { leastOf, RunCursor } from './run-cursor.ts';

/** Different values of 40 bits. */
const FINGERPRINTS = 2 ** 40;

export interface KeyCount {
  /** With a key. */
  readonly rows: number;
  readonly keysAtLeast: number;
  /** Of so many different keys, how many are likely to have the fingerprint of another. */
  readonly alikeByChance: number;
}

/**
 * `groups` says by run, then by file of it, to which group of files it belongs: equal fingerprints in different groups are of
 * different keys. A file whose group is negative is left out.
 */
export function countKeys(runs: readonly KeyRun[], groups: readonly Int32Array[]): KeyCount {
  let rows = 0;
  let keysAtLeast = 0;
  let [high, low, first] = [-1, -1, -1];
  /** Groups of the fingerprint beside the first one. */
  const others = new Set<number>();
  const cursors = runs.map((run, at) => {
    const shifts = Float64Array.from(run.files, (_, file) => ((groups[at]?.[file] ?? -1) < 0 ? Number.NaN : 0));
    return new RunCursor(run, shifts);
  });
  const groupsOf = new Map(cursors.map((cursor, at) => [cursor, groups[at]]));
  for (let least = leastOf(cursors); least !== undefined; least = leastOf(cursors)) {
    const group = groupsOf.get(least)?.[least.file] ?? 0;
    rows += 1;
    if (least.high !== high || least.low !== low) {
      ({ high, low } = least);
      first = group;
      if (others.size > 0) others.clear();
      keysAtLeast += 1;
    } else if (group !== first && !others.has(group)) {
      others.add(group);
      keysAtLeast += 1;
    }
    least.advance();
  }
  const pairs = (keysAtLeast * (keysAtLeast - 1)) / 2;
  return { rows, keysAtLeast, alikeByChance: pairs / FINGERPRINTS };
}
