/** Which files of a snapshot a search of a key has to look into: what folders, bounds and a key index leave of them. */

import type { Key } from './key.ts';
import type { CandidateFiles } from './key-files.ts';
import type { IndexedRows, KeyIndexView } from './key-index.ts';
import type { SearchTrace } from './search-trace.ts';
import type { Snapshot } from './snapshot.ts';
import type { TableKey } from './table-key.ts';

/** Where a key may be, as far as no file has to be looked at. */
export interface SearchScope {
  readonly by: TableKey;
  /** What a key index says of the key; undefined where there is none, or none of use. */
  readonly indexed: IndexedRows | undefined;
  readonly candidates: CandidateFiles;
}

/** Undefined where the key index has to be waited for: then `readScope`. */
export function searchScope(snapshot: Snapshot, by: TableKey, key: Key, trace?: SearchTrace): SearchScope | undefined {
  const indexed = indexOf(by, key)?.find(key);
  return indexed === 'unread' ? undefined : scopeOf(snapshot, by, key, indexed, trace);
}

/** `waited`: pages of the key index that were waited for. */
export async function readScope(
  snapshot: Snapshot,
  by: TableKey,
  key: Key,
  trace?: SearchTrace,
  waited?: { reads: number },
): Promise<SearchScope> {
  return scopeOf(snapshot, by, key, await indexOf(by, key)?.read(key, waited), trace);
}

/** Leading parts of a key have no fingerprint of their own. */
function indexOf({ columns, index }: TableKey, key: Key): KeyIndexView | undefined {
  return key.length < columns.length ? undefined : index;
}

function scopeOf(
  { files }: Snapshot,
  by: TableKey,
  key: Key,
  indexed: IndexedRows | undefined,
  trace: SearchTrace | undefined,
): SearchScope {
  const admitted = by.files.candidates(key);
  const candidates = indexed?.over(admitted) ?? admitted;
  if (trace === undefined) return { by, indexed, candidates };
  return { by, indexed, candidates: trace.counting(candidates, files.length, indexed !== undefined) };
}

/** The same within one of the candidates alone. */
export function withinFile(scope: SearchScope, file: number): SearchScope {
  return { ...scope, candidates: { next: (from) => (from <= file ? file : Number.POSITIVE_INFINITY) } };
}
