/** Where a key's row is, as far as memory tells. */

import { guessedRow, type Key, KeySearch, type Snapshot, searchScope, type TableKey } from '../table/index.ts';
import { absence } from './cold-read.ts';
import type { RowPlace } from './encode-row.ts';
import { answersFirst, LatestSearch } from './latest.ts';

/** Where the key is; null when it is provably absent, undefined when something is not in memory. */
export function locatedRow(
  snapshot: Snapshot,
  key: Key,
  by: TableKey = snapshot.primaryKey,
): RowPlace | null | undefined {
  const scope = searchScope(snapshot, by, key);
  if (scope === undefined) return undefined;
  const isFirst = answersFirst(snapshot, by);
  const guessed = isFirst ? guessedRow(snapshot, scope, key) : undefined;
  if (guessed !== undefined) return guessed;
  const search = isFirst
    ? new KeySearch(snapshot, key, undefined, scope)
    : new LatestSearch(snapshot, key, undefined, scope);
  const step = search.next();
  if (step === 'needs' || step === 'paused') return undefined;
  return step === 'found' ? search.match : absence(search);
}
