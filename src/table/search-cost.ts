/**
 * What finding a key may take of storage, told beforehand: the pages of key columns that the search would go through if the
 * key were in none of them, as the search would ask for them.
 *
 *     candidates -> row groups (chunk bounds, bloom filters in memory) -> row ranges (page bounds) -> windows of pages -> GETs
 *
 * What is in memory or on disk costs nothing. Rows that a key index names, and row groups that hold nothing but the key, are
 * taken for matches: once there are as many as are wanted nothing more is counted. Where pages lie may not be known yet; then
 * `least` has what tells it and `most` the chunk. Nothing is read.
 */

import { type ByteRange, rangeLength } from '../core/index.ts';
import { compareKeys, type KeyValue, keyClassOf } from '../parquet/index.ts';
import { coalescingFor, planFetches } from '../storage/index.ts';
import type { ChunkBlocks } from './chunk-blocks.ts';
import { keyInFile } from './file-mapping.ts';
import type { Key } from './key.ts';
import type { IndexedRows } from './key-index.ts';
import { PAGES_AHEAD_MAX } from './key-search.ts';
import { candidateRanges, intersect, savesReading } from './row-ranges.ts';
import type { Snapshot } from './snapshot.ts';
import type { SnapshotReadableFile } from './snapshot-file.ts';
import type { TableFile } from './table-file.ts';
import type { TableKey } from './table-key.ts';

/** GETs of storage and their bytes. */
export interface StorageCost {
  readonly gets: number;
  readonly bytes: number;
}

export interface SearchCost {
  readonly most: StorageCost;
  /** Without the pages of chunks that bounds may yet rule out, once they are read. */
  readonly least: StorageCost;
  /** Of `most`, what no other key of the same request was counted for. */
  readonly own: StorageCost;
  /** What was counted, for the keys that come after. */
  readonly pages: readonly (readonly [ChunkBlocks, number])[];
}

export interface CostQuestion {
  readonly snapshot: Snapshot;
  readonly by: TableKey;
  readonly key: Key;
  readonly indexed: IndexedRows | undefined;
  /** Rows after which the search ends. */
  readonly rowsWanted: number;
  /** As if nothing but metadata were in memory or on disk. */
  readonly isCold?: boolean;
  /** Pages that other keys of the same request were counted for. */
  readonly counted?: CountedPages | undefined;
}

export type CountedPages = Map<ChunkBlocks, Set<number>>;

/** Row groups between two pauses. */
const ROW_GROUPS_A_STEP = 512;
/** Without an offset index pages are found by reading chunks, small ones whole. */
const WALKED_WHOLE_BYTES = 4 * 2 ** 20;
const WALKED_PAGE_BYTES = 2 ** 20;
/** Pages that are remembered for other keys of a request. */
const PAGES_MAX = 64 * PAGES_AHEAD_MAX;

/** The same for a table of which nothing but metadata is known, whatever is in memory now. */
export function coldSearchCost(snapshot: Snapshot, by: TableKey, key: Key): StorageCost {
  const steps = searchCost({ snapshot, by, key, indexed: undefined, rowsWanted: 1, isCold: true });
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value.most;
}

/** Yields now and then, so that counting through many row groups need hold up nobody. */
export function* searchCost(question: CostQuestion): Generator<void, SearchCost> {
  const { snapshot, by, key, indexed, rowsWanted } = question;
  const tally = new Tally(question);
  let rowsLeft = rowsWanted;
  let seen = 0;
  for (const ordinal of filesInOrder(question)) {
    const file = snapshot.files[ordinal];
    if (rowsLeft <= 0) break;
    if (file?.kind !== 'readable') continue;
    const mapped = by.in(file.mapping);
    const inFile = mapped.positions && keyInFile(mapped, key);
    if (mapped.positions === undefined || inFile === undefined) continue;
    const positions = mapped.positions.slice(0, inFile.length);
    const rows = indexed?.rowsIn(ordinal);
    if (rows !== undefined) {
      for (const row of rows) {
        if (rowsLeft <= 0) break;
        const rowGroup = file.file.index.rowGroupOf(row);
        const first = row - file.file.index.rowGroupFirstRow(rowGroup);
        tally.add(file.file, rowGroup, positions, [first, first + 1]);
        rowsLeft -= 1;
      }
      continue;
    }
    for (let rowGroup = nextIn(file.file, positions, inFile, 0); rowGroup >= 0; ) {
      const sure = sureRows(file, rowGroup, positions, inFile);
      tally.add(file.file, rowGroup, positions, rangesIn(file.file, rowGroup, positions, inFile, rowsLeft, sure));
      rowsLeft -= sure;
      if (rowsLeft <= 0) break;
      rowGroup = nextIn(file.file, positions, inFile, rowGroup + 1);
      seen += 1;
      if (seen % ROW_GROUPS_A_STEP === 0) yield;
    }
  }
  return tally.cost();
}

/**
 * The candidates as the search goes through them. Of the latest row those behind a file that has the key for sure, and whose
 * rows are all later, are not come to.
 */
function filesInOrder({ snapshot, by, key, indexed, rowsWanted }: CostQuestion): Iterable<number> {
  const admitted = by.files.candidates(key);
  const candidates = indexed?.over(admitted) ?? admitted;
  const { latest, files } = snapshot;
  if (latest === undefined || Number.isFinite(rowsWanted)) {
    const inTurn: number[] = [];
    for (let file = candidates.next(0); file < files.length; file = candidates.next(file + 1)) inTurn.push(file);
    return inTurn;
  }
  const inOrder = [...latest.inOrder(candidates)];
  const sure = inOrder.findIndex((file) => (indexed?.rowsIn(file)?.length ?? 0) > 0);
  const from = inOrder[sure];
  if (from === undefined) return inOrder;
  return inOrder.filter((file, at) => at <= sure || latest.mayMeet(file, from));
}

/** The next row group that no key column's bounds rule out; -1 where there is none. */
function nextIn({ index }: TableFile, positions: readonly number[], key: readonly KeyValue[], from: number): number {
  for (let rowGroup = from; rowGroup < index.rowGroups; ) {
    let candidate = rowGroup;
    for (const [i, position] of positions.entries()) {
      const value = key[i];
      if (candidate >= 0 && value !== undefined) candidate = index.nextRowGroup(position, value, candidate);
    }
    if (candidate === rowGroup || candidate < 0) return candidate;
    rowGroup = candidate;
  }
  return -1;
}

/** How many rows of the row group have the key by its bounds alone: all, or none that is known. */
function sureRows(
  { file: { index } }: SnapshotReadableFile,
  rowGroup: number,
  positions: readonly number[],
  key: readonly KeyValue[],
): number {
  for (const [i, position] of positions.entries()) {
    const leaf = index.schema.leaves[position];
    const value = key[i];
    const bounds = index.chunkBounds(rowGroup, position);
    if (leaf === undefined || value === undefined || keyClassOf(leaf) === 'float') return 0;
    if (bounds?.min === undefined || bounds.max === undefined || index.nullCount(rowGroup, position) !== 0) return 0;
    if (compareKeys(leaf, bounds.min, value) !== 0 || compareKeys(leaf, bounds.max, value) !== 0) return 0;
  }
  return index.rowGroupRows(rowGroup);
}

/** What page bounds leave of a row group; of one that holds nothing but the key as many rows as are wanted. */
function rangesIn(
  file: TableFile,
  rowGroup: number,
  positions: readonly number[],
  key: readonly KeyValue[],
  rowsWanted: number,
  sure: number,
): readonly number[] {
  const rows = file.index.rowGroupRows(rowGroup);
  if (sure > 0) return [0, Math.min(rows, rowsWanted)];
  let ranges: readonly number[] = [0, rows];
  for (const [i, position] of positions.entries()) {
    const { layout, bloomFilter } = file.chunk(rowGroup, position);
    const value = key[i];
    if (value === undefined) continue;
    if (bloomFilter !== undefined && bloomFilter !== 'none' && !bloomFilter.mightContain(value)) return [];
    if (layout !== undefined) ranges = intersect(ranges, candidateRanges(layout, value));
  }
  return ranges;
}

/** Adds up what the search would ask for, window by window. */
class Tally {
  readonly #isCold: boolean;
  readonly #counted: CountedPages | undefined;
  readonly #pages: (readonly [ChunkBlocks, number])[] = [];
  readonly #most = { gets: 0, bytes: 0 };
  readonly #own = { gets: 0, bytes: 0 };
  /** Of `most`, what is not in `least`. */
  readonly #perhaps = { gets: 0, bytes: 0 };
  #pagesAhead = 1;
  #pageAsked = -1;

  constructor({ isCold = false, counted }: CostQuestion) {
    this.#isCold = isCold;
    this.#counted = counted;
  }

  cost(): SearchCost {
    const { gets, bytes } = this.#most;
    const least = { gets: gets - this.#perhaps.gets, bytes: bytes - this.#perhaps.bytes };
    return { most: this.#most, least, own: this.#own, pages: this.#pages };
  }

  /** Rows of a row group that the search goes through. */
  add(file: TableFile, rowGroup: number, positions: readonly number[], ranges: readonly number[]): void {
    if (ranges.length === 0) return;
    const chunks = positions.map((position) => file.chunk(rowGroup, position));
    if (chunks.some(({ layout }) => layout === undefined)) {
      this.#addUnknown(file, chunks);
      return;
    }
    const filters = chunks.filter((chunk) => chunk.bloomFilter === undefined && savesReading(chunk, ranges));
    if (filters.length > 0) this.#count(file, rangesOf(filters.map(({ chunk }) => chunk.bloomFilterRange)));
    const windows = new Windows(chunks, (chunk, page) => this.#isHere(file, chunk, page));
    for (let range = 0; range < ranges.length; range += 2) {
      this.#addRange(file, windows, ranges[range] ?? 0, ranges[range + 1] ?? 0);
    }
  }

  #addRange(file: TableFile, windows: Windows, start: number, end: number): void {
    for (let row = windows.nextMissing(start, end); row < end; row = windows.nextMissing(row, end)) {
      const { ranges, pages } = windows.take(row, end, this.#pagesAhead);
      const asked = windows.firstPage(row);
      if (asked !== this.#pageAsked) this.#pagesAhead = Math.min(PAGES_AHEAD_MAX, this.#pagesAhead * 2);
      this.#pageAsked = asked;
      const isOwn = pages.some(([chunk, page]) => this.#counted?.get(chunk)?.has(page) !== true);
      this.#count(file, ranges, isOwn);
      if (this.#counted !== undefined && this.#pages.length < PAGES_MAX) this.#pages.push(...pages);
    }
  }

  /** Where pages lie is read first, and only then which of them may have the key. */
  #addUnknown(file: TableFile, chunks: readonly ChunkBlocks[]): void {
    const bounded = chunks.some(({ layout, chunk }) => layout === undefined && chunk.columnIndexRange !== undefined);
    for (const { layout, chunk } of chunks) {
      if (layout !== undefined) continue;
      if (chunk.offsetIndexRange !== undefined) {
        this.#count(file, rangesOf([chunk.offsetIndexRange, chunk.columnIndexRange]));
      } else this.#walk(file, chunk.range);
    }
    for (const { chunk } of chunks) {
      this.#count(file, [chunk.range]);
      if (!bounded) continue;
      this.#perhaps.gets += 1;
      this.#perhaps.bytes += rangeLength(chunk.range);
    }
  }

  #walk(file: TableFile, range: ByteRange): void {
    if (rangeLength(range) <= WALKED_WHOLE_BYTES) this.#count(file, [range]);
    else this.#add(Math.ceil(rangeLength(range) / WALKED_PAGE_BYTES), 0, true);
  }

  #isHere(file: TableFile, chunk: ChunkBlocks, page: number): boolean {
    if (this.#isCold) return false;
    return chunk.isResident(page) || file.stored?.hasPage(chunk, page) === true;
  }

  #count(file: TableFile, ranges: readonly ByteRange[], isOwn = true): void {
    const { fetches } = planFetches(ranges, coalescingFor(file.store));
    this.#add(
      fetches.length,
      fetches.reduce((sum, range) => sum + rangeLength(range), 0),
      isOwn,
    );
  }

  #add(gets: number, bytes: number, isOwn: boolean): void {
    for (const sum of isOwn ? [this.#most, this.#own] : [this.#most]) {
      sum.gets += gets;
      sum.bytes += bytes;
    }
  }
}

/** The missing pages of the key columns of one row group, a window of each column at a time, as `KeySearch` asks for them. */
class Windows {
  readonly #chunks: readonly ChunkBlocks[];
  readonly #isHere: (chunk: ChunkBlocks, page: number) => boolean;
  readonly #taken = new Map<ChunkBlocks, Set<number>>();

  constructor(chunks: readonly ChunkBlocks[], isHere: (chunk: ChunkBlocks, page: number) => boolean) {
    this.#chunks = chunks;
    this.#isHere = isHere;
  }

  firstPage(row: number): number {
    return this.#chunks[0]?.layout?.locations.pageOf(row) ?? 0;
  }

  /** The first row from there on that lies in a missing page. */
  nextMissing(from: number, end: number): number {
    for (let row = from; row < end; ) {
      let next = end;
      for (const chunk of this.#chunks) {
        const locations = chunk.layout?.locations;
        if (locations === undefined) continue;
        const page = locations.pageOf(row);
        if (this.#isMissing(chunk, page)) return row;
        next = Math.min(next, locations.rowEnd(page));
      }
      row = next;
    }
    return end;
  }

  take(row: number, end: number, ahead: number) {
    const ranges: ByteRange[] = [];
    const pages: (readonly [ChunkBlocks, number])[] = [];
    for (const chunk of this.#chunks) {
      const locations = chunk.layout?.locations;
      if (locations === undefined) continue;
      const taken = this.#taken.get(chunk) ?? new Set<number>();
      this.#taken.set(chunk, taken);
      const first = locations.pageOf(row);
      const last = Math.min(locations.pageOf(end - 1), first + ahead - 1);
      for (let page = first; page <= last; page++) {
        if (!this.#isMissing(chunk, page)) continue;
        if (taken.size === 0 && chunk.dictionary === undefined) ranges.push(...rangesOf([locations.dictionaryRange]));
        taken.add(page);
        ranges.push(locations.range(page));
        pages.push([chunk, page]);
      }
    }
    return { ranges, pages };
  }

  #isMissing(chunk: ChunkBlocks, page: number): boolean {
    return this.#taken.get(chunk)?.has(page) !== true && !this.#isHere(chunk, page);
  }
}

function rangesOf(ranges: readonly (ByteRange | undefined)[]): readonly ByteRange[] {
  return ranges.filter((range) => range !== undefined);
}
