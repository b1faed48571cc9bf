/**
 * A row of which the disk has what memory lacks, found and read in one stretch.
 *
 * While the disk answers from the page cache a lookup waits for nothing: it needs no deadline, no place in a queue and no promise, which together take
 * longer than a read. What cannot be had so is left to `ColdRead`, as if nobody had looked: that the disk is slow, that this turn of the event loop has read
 * enough, that a part has to be fetched, that more than the first row of the key counts.
 */

import { assert } from '../core/index.ts';
import { type Key, KeySearch, type Need, Pins, type Projection, type Snapshot, searchScope } from '../table/index.ts';
import { absence } from './cold-read.ts';
import { encodeRow, missingPages, type RowPlace } from './encode-row.ts';
import { answersFirst } from './latest.ts';
import { locatedRow } from './located-row.ts';
import type { LookupTrace } from './lookup-trace.ts';
import { meetNow, pagesIn } from './stored-needs.ts';

/** Both null where the key is provably absent. */
export type StoredRow =
  | { readonly place: RowPlace; readonly json: string }
  | { readonly place: null; readonly json: null };

const ABSENT: StoredRow = { place: null, json: null };

export function storedRow(
  snapshot: Snapshot,
  key: Key,
  projection: Projection,
  trace: LookupTrace,
): StoredRow | undefined {
  if (!answersFirst(snapshot, projection.key)) return undefined;
  const pins = new Pins();
  const known = locatedRow(snapshot, key, projection.key);
  const place = known === undefined ? locatedOnDisk(snapshot, key, projection, pins, trace) : known;
  if (place === undefined) return undefined;
  if (place === null) return ABSENT;
  for (;;) {
    const json = trace.timed('encode', () => encodeRow(place, projection, pins));
    if (json !== undefined) return { place, json };
    if (!areMet(missingPages(place, projection.columns, pins), pins, trace)) return undefined;
  }
}

function locatedOnDisk(
  snapshot: Snapshot,
  key: Key,
  { key: by }: Projection,
  pins: Pins,
  trace: LookupTrace,
): RowPlace | null | undefined {
  const scope = searchScope(snapshot, by, key);
  if (scope === undefined) return undefined;
  const search = new KeySearch(snapshot, key, pins, scope);
  for (;;) {
    const step = trace.timed('locate', () => search.next());
    if (step === 'found') return search.match;
    if (step === 'exhausted') return absence(search);
    if (step === 'paused' || !areMet(search.needs, search.pins ?? pins, trace)) return undefined;
  }
}

function areMet(needs: readonly Need[], pins: Pins, trace: LookupTrace): boolean {
  const [first] = needs;
  assert(first !== undefined, 'what cannot be answered lacks something');
  // A row that was begun is read to its end: what was read so far would be read again.
  if (pins.size === 0 && first.file.stored?.readsAtOnce !== true) return false;
  const startedMs = performance.now();
  if (!meetNow(needs, pins)) return false;
  trace.asked(performance.now() - startedMs, needs.length, pagesIn(needs));
  return true;
}
