/**
 * What reading a located row will cost, said before anything is read: its round trips, GETs and bytes.
 *
 * Exact where the layouts of all columns are known: then everything that is missing is asked for in one turn, and the
 * same merging by cost that the store does tells the GETs. Where a layout has to be read first only the rounds are known.
 */

import { type ByteRange, rangeLength } from '../core/index.ts';
import { coalescingFor, planFetches } from '../storage/index.ts';
import { Pins, type TableColumn } from '../table/index.ts';
import { missingPages, type RowPlace } from './encode-row.ts';

export interface RowPlan {
  /** GETs that wait for each other, at least. */
  readonly rounds: number;
  /** In parallel, in the last of the rounds; undefined while a layout is not known. */
  readonly fetches: readonly ByteRange[] | undefined;
}

const NO_PINS = new Pins();

export function planRow(place: RowPlace, columns: readonly TableColumn[]): RowPlan {
  const needs = missingPages(place, columns, NO_PINS);
  if (needs.length === 0) return { rounds: 0, fetches: [] };
  const ranges: ByteRange[] = [];
  for (const need of needs) {
    const locations = need.chunk.layout?.locations;
    if (need.kind !== 'page' || locations === undefined) return { rounds: 2, fetches: undefined };
    ranges.push(locations.range(need.page));
    const dictionary = need.chunk.dictionary === undefined ? locations.dictionaryRange : undefined;
    if (dictionary !== undefined) ranges.push(dictionary);
  }
  return { rounds: 1, fetches: planFetches(ranges, coalescingFor(place.file.file.store)).fetches };
}

/** Bytes that the plan fetches, what lies between merged pages included. */
export function planBytes({ fetches }: RowPlan): number | undefined {
  return fetches?.reduce((sum, range) => sum + rangeLength(range), 0);
}
