/**
 * The row of an integer key, found where it should be: a search with nothing made, for keys that are in memory.
 *
 *     by bounds   of row groups -> of pages -> between the page's own, where the key should lie -> that block, that row
 *     by index    the first row that it has for the key
 *
 * Keys that ascend and are spread evenly, as ids and times often are, lie where interpolation says; others of the same block
 * are looked for from there. Whatever is not plainly so is left to `KeySearch`, which says the same of a key that is found
 * here: that row and no earlier one of the file.
 */

import { WHOLE_PAGE_SHIFT } from '../cache/index.ts';
import {
  int64AsNumber,
  int64Row,
  isUnsigned,
  keyClassOf,
  TRAIT_FIXED,
  TRAIT_KIND,
  TRAIT_NULLS,
  valueAt,
  widthOfTraits,
} from '../parquet/index.ts';
import { type BlockPlace, RowPlaces } from './block-places.ts';
import type { Key } from './key.ts';
import type { SearchScope } from './search-scope.ts';
import type { Snapshot } from './snapshot.ts';
import type { SnapshotReadableFile } from './snapshot-file.ts';

/** Overwritten by the next. */
const place: BlockPlace = { slot: 0, location: 0, shift: 0 };
const places = new RowPlaces();
const columns = new Int32Array(1);
const INT64_BYTES = 8;

interface FoundRow {
  readonly file: SnapshotReadableFile;
  readonly rowGroup: number;
  readonly row: number;
}

/** Undefined where the row has to be searched for, or there is none. */
export function guessedRow(
  { files }: Snapshot,
  { by, indexed, candidates }: SearchScope,
  key: Key,
): FoundRow | undefined {
  const [value] = key;
  if (key.length !== 1 || typeof value !== 'bigint') return undefined;
  const ordinal = candidates.next(0);
  const file = files[ordinal];
  if (file?.kind !== 'readable') return undefined;
  const { positions, parts, casts } = by.in(file.mapping);
  if (positions?.length !== 1 || parts !== undefined || casts !== undefined) return undefined;
  const column = positions[0] as number;
  const leaf = file.file.index.schema.leaves[column];
  const wanted = Number(value);
  if (leaf === undefined || !Number.isSafeInteger(wanted) || keyClassOf(leaf) !== 'int64' || isUnsigned(leaf)) {
    return undefined;
  }
  if (indexed?.covers(ordinal) !== true) return rowByBounds(file, column, wanted);
  return rowByIndex(file, column, wanted, indexed.firstIn(ordinal));
}

function rowByBounds(file: SnapshotReadableFile, column: number, wanted: number): FoundRow | undefined {
  const { index, tier } = file.file;
  const ofGroups = index.boundsOf(column);
  const rowGroup = ofGroups?.nextInteger(wanted) ?? -1;
  if (ofGroups === undefined || rowGroup < 0) return undefined;
  const chunk = file.file.chunk(rowGroup, column);
  const { layout } = chunk;
  if (layout === undefined) return undefined;
  const { locations, bounds } = layout;
  const ofPages = bounds?.table;
  if (ofPages === undefined && locations.pages !== 1) return undefined;
  const page = ofPages === undefined ? 0 : ofPages.nextInteger(wanted);
  if (page < 0 || page >= locations.pages) return undefined;
  const share = ofPages?.shareOf(page, wanted) ?? ofGroups.shareOf(rowGroup, wanted);
  const firstRow = locations.firstRow(page);
  const rows = locations.rowEnd(page) - firstRow;
  const guess = Math.min(rows - 1, Math.trunc(share * (rows - 1)));
  const traits = chunk.ascendingAt(page, guess, place);
  if (!isPlainInt64(traits)) return undefined;
  const { location, shift } = place;
  const words = tier.slabs.wordsOf(location);
  if (words === undefined) return undefined;
  const isWhole = shift === WHOLE_PAGE_SHIFT;
  const blockStart = isWhole ? 0 : (guess >>> shift) << shift;
  const blockRows = isWhole ? rows : Math.min(1 << shift, rows - blockStart);
  const at = (tier.slabs.blockAt(location) + valueAt(traits, 0, blockRows)) >>> 2;
  const row = firstInBlock(words, at, guess - blockStart, blockRows, wanted);
  if (row < 0) return undefined;
  // What lies before the block must be below the key too.
  if (blockStart > 0 && chunk.knownAscent(page)?.isFirst(firstRow + blockStart, row, wanted) !== true) return undefined;
  return { file, rowGroup, row: firstRow + blockStart + row };
}

/** The rows that an index has are all that may have the key, ascending; they are others' but rarely. */
function rowByIndex(file: SnapshotReadableFile, column: number, wanted: number, first: number): FoundRow | undefined {
  if (first < 0) return undefined;
  const { index, tier } = file.file;
  const rowGroup = index.rowGroupOf(first);
  const row = first - index.rowGroupFirstRow(rowGroup);
  columns[0] = column;
  if (file.file.placesOf(rowGroup)?.locate(row, index.rowGroupRows(rowGroup), columns, 1, places) !== true) {
    return undefined;
  }
  const location = places.locations[0] as number;
  if (location <= 0 || !isPlainInt64(places.traits[0] as number)) return undefined;
  const words = tier.slabs.wordsOf(location);
  const at = (tier.slabs.blockAt(location) + (places.values[0] as number)) >>> 2;
  return words !== undefined && int64AsNumber(words, at) === wanted ? { file, rowGroup, row } : undefined;
}

function isPlainInt64(traits: number): boolean {
  return (traits & (TRAIT_KIND | TRAIT_NULLS)) === TRAIT_FIXED && widthOfTraits(traits) === INT64_BYTES;
}

/** The first row of an ascending block that has the key; -1 where none has. */
function firstInBlock(words: Int32Array, at: number, guess: number, count: number, wanted: number): number {
  if (int64AsNumber(words, at + 2 * guess) === wanted) {
    if (guess === 0 || int64AsNumber(words, at + 2 * (guess - 1)) < wanted) return guess;
  }
  return int64Row(words, at, wanted, 0, count) ?? -1;
}
