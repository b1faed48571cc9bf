/**
 * Every row of a key, for `matches: all`: in file order, or by the values of other columns.
 *
 * In file order the search ends one row after the limit, which tells that there are more. By values all rows of the key
 * have to be found, of which there may be so many and no more; then their values are read together, and of the first ones
 * the columns that were asked for. A key may be the leading parts of a composite one: then it has the rows of every key
 * that begins with them.
 */

import { ServiceError } from '../core/index.ts';
import { type Key, KeySearch, type Pins, type Snapshot, searchScope, type TableKey } from '../table/index.ts';
import type { BatchRequest, LookupItem } from './batch.ts';
import { absence, type ColdRead } from './cold-read.ts';
import type { RowPlace } from './encode-row.ts';
import { orderValues } from './latest.ts';
import type { MatchOrder, OrderedValues } from './match-order.ts';

/** Rows of one key that are put in order. */
const SORTED_ROWS_MAX = 10_000;

/** Undefined when something is not in memory. */
export function allNow<Row>(
  { snapshot, projection, options, form }: BatchRequest<Row>,
  key: Key,
): LookupItem<Row> | undefined {
  const { order, limit } = options;
  const places = placesNow(snapshot, projection.key, key, placesWanted(projection.key, key, order, limit));
  if (places === undefined) return undefined;
  const values = order && eachOf(places, (place) => orderValues(place, order.columns, undefined));
  if (order !== undefined && values === undefined) return undefined;
  const chosen = firstOf(places, order, values, limit);
  const rows = eachOf(chosen, (place) => form.encode(place, projection, undefined));
  return rows && itemOfAll(rows, places.length > limit);
}

export async function readAll<Row>(
  read: ColdRead,
  { snapshot, projection, options, form }: BatchRequest<Row>,
  key: Key,
): Promise<LookupItem<Row>> {
  const { order, limit } = options;
  const { columns, key: by } = projection;
  const places = await read.places(snapshot, by, key, placesWanted(by, key, order, limit));
  checkSortable(places, order);
  const valuesAt = (place: RowPlace, pins: Pins) => orderValues(place, order?.columns ?? [], pins);
  const values = order && (await read.ofEach(places, order.columns, valuesAt));
  const rows = await read.ofEach(firstOf(places, order, values, limit), columns, (place, pins) => {
    const row = form.encode(place, projection, pins);
    if (row !== undefined) read.explain(place, columns, pins);
    return row;
  });
  return itemOfAll(rows, places.length > limit);
}

function placesNow(snapshot: Snapshot, by: TableKey, key: Key, max: number): readonly RowPlace[] | undefined {
  const scope = searchScope(snapshot, by, key);
  if (scope === undefined) return undefined;
  const search = new KeySearch(snapshot, key, undefined, scope);
  const places: RowPlace[] = [];
  while (places.length < max) {
    const step = search.next();
    if (step === 'needs' || step === 'paused') return undefined;
    if (step === 'exhausted') {
      absence(search);
      break;
    }
    if (search.match !== undefined) places.push(search.match);
  }
  return places;
}

/** One more than will be answered tells that there are more; a unique key has no second row to look for. */
function placesWanted(by: TableKey, key: Key, order: MatchOrder | undefined, limit: number): number {
  if (by.isUnique && key.length === by.columns.length) return 1;
  return (order === undefined ? limit : SORTED_ROWS_MAX) + 1;
}

/** The first ones; rows of equal values stay in file order. */
function firstOf(
  places: readonly RowPlace[],
  order: MatchOrder | undefined,
  values: readonly OrderedValues[] | undefined,
  limit: number,
): readonly RowPlace[] {
  checkSortable(places, order);
  if (order === undefined || values === undefined) return places.slice(0, limit);
  const sorted = places.map((place, i) => ({ place, values: values[i] ?? [] }));
  sorted.sort((a, b) => order.compare(a.values, b.values));
  return sorted.slice(0, limit).map(({ place }) => place);
}

function checkSortable(places: readonly RowPlace[], order: MatchOrder | undefined): void {
  if (order === undefined || places.length <= SORTED_ROWS_MAX) return;
  const message = `the key has more than the ${SORTED_ROWS_MAX} rows that can be put in order; leave out order_by, or give more parts of the key`;
  throw new ServiceError('tooLarge', 'too_many_matches', message, { limit: SORTED_ROWS_MAX });
}

function eachOf<T>(places: readonly RowPlace[], of: (place: RowPlace) => T | undefined): readonly T[] | undefined {
  const all: T[] = [];
  for (const place of places) {
    const one = of(place);
    if (one === undefined) return undefined;
    all.push(one);
  }
  return all;
}

function itemOfAll<Row>(rows: readonly Row[], isTruncated: boolean): LookupItem<Row> {
  return rows.length === 0 ? { status: 'not_found' } : { status: 'found', rows, truncated: isTruncated };
}
