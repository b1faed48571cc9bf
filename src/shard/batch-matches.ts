/** Every row of a key, for `matches: all`: in file order, or by the values of other columns. */

import type { Key, Projection, Snapshot } from '../table/index.ts';
import { KeySearch, searchScope } from '../table/index.ts';
import type { LookupItem, LookupOptions } from './batch.ts';
import { absence, type ColdRead, rowsWanted } from './cold-read.ts';
import { encodeRow } from './encode-row.ts';

/** Undefined when something is not in memory. */
export function allNow(
  snapshot: Snapshot,
  key: Key,
  projection: Projection,
  options: LookupOptions,
): LookupItem | undefined {
  const scope = searchScope(snapshot, projection.key, key);
  const search = new KeySearch(snapshot, key, undefined, undefined, scope);
  const rows: string[] = [];
  while (rows.length < rowsWanted(projection.key, options.limit)) {
    const step = search.next();
    if (step === 'needs' || step === 'paused') return undefined;
    if (step === 'exhausted') {
      absence(search);
      break;
    }
    const row = search.match && encodeRow(search.match, projection, undefined);
    if (row === undefined) return undefined;
    rows.push(row);
  }
  return itemOfAll(rows, options);
}

export async function readAll(
  read: ColdRead,
  snapshot: Snapshot,
  key: Key,
  projection: Projection,
  options: LookupOptions,
): Promise<LookupItem> {
  return itemOfAll(await read.all(snapshot, key, projection, options.limit), options);
}

function itemOfAll(rows: readonly string[], { limit }: LookupOptions): LookupItem {
  if (rows.length === 0) return { status: 'not_found' };
  return { status: 'found', rows: rows.slice(0, limit), truncated: rows.length > limit };
}
