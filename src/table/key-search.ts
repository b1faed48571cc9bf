/**
 * Where the rows of a key are: a search that only ever narrows, and stops to say what it needs.
 *
 *     files (partition folders, bounds) -> row groups (chunk bounds)
 *           -> row ranges (page bounds of every key column, intersected) -> rows
 *
 * Bounds decide by three values: a range is passed over only when it provably lacks the key. Inside a range the key
 * columns leapfrog: each in turn moves the row forward to its own next match until all agree on one row.
 *
 * The search is synchronous and resumable. `next()` answers `found`, `exhausted`, `needs` with the pages or layouts that
 * are not in memory, or `paused` when it has worked long enough for one turn of the event loop. Whoever can wait loads
 * what is needed (holding it in `pins`) and calls `next()` again, which goes on where it stopped. A hot lookup treats
 * both as a miss and waits for nothing.
 */

import type { ServiceError } from '../core/index.ts';
import { findRow, type KeyValue, type LeafColumn } from '../parquet/index.ts';
import type { BlockAt } from './block-at.ts';
import type { ChunkBlocks, Pins } from './chunk-blocks.ts';
import { keyInFile, type MappedKey } from './file-mapping.ts';
import type { Key } from './key.ts';
import type { CandidateFiles } from './key-files.ts';
import type { IndexedRows } from './key-index.ts';
import { candidateRanges, intersect, savesReading } from './row-ranges.ts';
import type { SearchScope } from './search-scope.ts';
import type { SearchTrace } from './search-trace.ts';
import type { Snapshot } from './snapshot.ts';
import type { SnapshotFile, SnapshotReadableFile } from './snapshot-file.ts';
import type { TableFile } from './table-file.ts';
import type { TableKey } from './table-key.ts';

/** What a lookup waits for: a chunk's layout, its bloom filter, or one of its pages. */
export type Need =
  | { readonly kind: 'layout' | 'bloomFilter'; readonly file: TableFile; readonly chunk: ChunkBlocks }
  | {
      readonly kind: 'page';
      readonly file: TableFile;
      readonly chunk: ChunkBlocks;
      readonly page: number;
      /** The row of it that is wanted first; of what is only likely to be wanted, none. */
      readonly row?: number;
      /** Where nothing but that row will be read. */
      readonly only?: 'row';
    };

/** Rows of one row group, [firstRow, endRow), that may hold the key. */
export interface CandidateRows {
  readonly file: SnapshotReadableFile;
  readonly rowGroup: number;
  readonly firstRow: number;
  readonly endRow: number;
}

export type SearchStep = 'found' | 'needs' | 'paused' | 'exhausted';

/** Blocks gone through in one call of `next()`, so that a search through unsorted keys cannot hold up everybody else. */
const BLOCKS_A_STEP_MAX = 256;

/** Pages asked for at once when a key may be in many: enough to hide a round trip, few enough to waste little. */
export const PAGES_AHEAD_MAX = 64;

export class KeySearch {
  readonly snapshot: Snapshot;
  readonly by: TableKey;
  readonly key: Key;
  /** Held pages; undefined for a search that may not wait. */
  readonly pins: Pins | undefined;
  /** After `found`. */
  match: { file: SnapshotReadableFile; rowGroup: number; row: number } | undefined = undefined;
  /** After `needs`. */
  needs: readonly Need[] = [];
  /** Faults of files or ranges that might have held the key. */
  readonly uncovered: ServiceError[] = [];

  readonly #indexed: IndexedRows | undefined;
  readonly #candidates: CandidateFiles;
  #file: number;
  /** Of the rows that the key index has in the current file: the one being looked at, and one that cannot be. */
  #place = 0;
  #placeFailed = -1;
  /** The key by the current file's own types. */
  #keyInFile: Key;
  /** By mapping of files that lack a column of the key or have it of another type; an undefined key is none of theirs. */
  #castKeys: Map<MappedKey, Key | undefined> | undefined = undefined;
  #rowGroup = 0;
  /** The candidate ranges of the current row group, [start, end) in turn; undefined until they are planned. */
  #ranges: readonly number[] | undefined = undefined;
  #range = 0;
  /** The next row to look at, within the current row group. */
  #row = 0;
  #pagesAhead = 1;
  #pageAsked: number | undefined = undefined;
  #blocksLeft = 0;
  #failed: Map<ChunkBlocks, Map<number, ServiceError>> | undefined = undefined;
  readonly #trace: SearchTrace | undefined;

  constructor(
    snapshot: Snapshot,
    key: Key,
    pins: Pins | undefined,
    { by, indexed, candidates }: SearchScope,
    trace?: SearchTrace,
  ) {
    this.snapshot = snapshot;
    this.by = by;
    this.key = key;
    this.#keyInFile = key;
    this.pins = pins;
    this.#indexed = indexed;
    this.#candidates = candidates;
    this.#trace = trace;
    this.#file = candidates.next(0);
  }

  /** Goes on to the next match, or to what is missing, or to the end. */
  next(): SearchStep {
    this.#blocksLeft = BLOCKS_A_STEP_MAX;
    const files = this.snapshot.files;
    for (let file = files[this.#file]; file !== undefined; file = files[this.#file]) {
      const step = this.#searchFile(file);
      if (step !== 'exhausted') return step;
      this.#file = this.#candidates.next(this.#file + 1);
      this.#rowGroup = 0;
      this.#place = 0;
      this.#placeFailed = -1;
    }
    return 'exhausted';
  }

  #searchFile(file: SnapshotFile): SearchStep {
    if (file.kind === 'broken') {
      this.uncovered.push(file.error.with({ file: file.object.key }));
      return 'exhausted';
    }
    const mapped = this.by.in(file.mapping);
    if (mapped.positions === undefined || !this.#takeKey(mapped)) return 'exhausted';
    const positions = this.#givenOf(mapped.positions);
    const rows = this.#indexed?.rowsIn(this.#file);
    if (rows !== undefined) return this.#searchRows(file, positions, rows);
    while (this.#toCandidate(file.file, positions)) {
      const step = this.#searchRowGroup(file, positions);
      if (step !== 'exhausted') return step;
      this.#nextRowGroup();
    }
    return 'exhausted';
  }

  /**
   * Says that a need cannot be met because the file is broken there. The search passes over the rows of that page, or
   * over the row group where not even the layout could be read, and remembers that the key might have been in them.
   */
  fail(need: Need, error: ServiceError): void {
    if (need.kind !== 'page') {
      this.uncovered.push(error);
      this.#placeFailed = this.#place;
      if (need.chunk.rowGroup === this.#rowGroup) this.#nextRowGroup();
      return;
    }
    this.#failed ??= new Map();
    const pages = this.#failed.get(need.chunk) ?? new Map<number, ServiceError>();
    this.#failed.set(need.chunk, pages.set(need.page, error));
  }

  /** After `needs`: the run of rows that is being searched, if it is the last of its row group; all rows before a plan. */
  candidateRows(): CandidateRows | undefined {
    const file = this.snapshot.files[this.#file];
    if (file?.kind !== 'readable') return undefined;
    const ranges = this.#ranges ?? [0, file.file.index.rowGroupRows(this.#rowGroup)];
    const endRow = ranges[this.#range + 1];
    if (endRow === undefined || this.#range + 2 < ranges.length) return undefined;
    const firstRow = Math.max(this.#row, ranges[this.#range] ?? 0);
    return firstRow < endRow ? { file, rowGroup: this.#rowGroup, firstRow, endRow } : undefined;
  }

  /** Looks at the rows, of the whole file, that the key index has: each is the key's but for a rare likeness. */
  #searchRows(file: SnapshotReadableFile, positions: readonly number[], rows: readonly number[]): SearchStep {
    for (; this.#place < rows.length; this.#place++, this.#nextRowGroup()) {
      if (this.#place === this.#placeFailed) continue;
      if (this.#ranges === undefined) {
        const { index } = file.file;
        const inFile = rows[this.#place] ?? 0;
        this.#rowGroup = index.rowGroupOf(inFile);
        if (this.#lacksLayouts(file.file, positions)) return 'needs';
        this.#row = inFile - index.rowGroupFirstRow(this.#rowGroup);
        this.#ranges = [this.#row, this.#row + 1];
        if (this.#trace !== undefined) this.#trace.rowsByIndex += 1;
      }
      const step = this.#leapfrog(file, positions, this.#ranges[1] ?? 0);
      if (step !== 'exhausted') return step;
    }
    return 'exhausted';
  }

  /** False where the key is provably no value of the file's types. */
  #takeKey(mapped: MappedKey): boolean {
    if (mapped.casts === undefined && mapped.parts === undefined) {
      this.#keyInFile = this.key;
      return true;
    }
    this.#castKeys ??= new Map();
    if (!this.#castKeys.has(mapped)) this.#castKeys.set(mapped, keyInFile(mapped, this.key));
    const key = this.#castKeys.get(mapped);
    this.#keyInFile = key ?? this.key;
    return key !== undefined;
  }

  /** Those of the parts that the key has: it may be the leading ones only. */
  #givenOf(positions: readonly number[]): readonly number[] {
    const given = this.#keyInFile.length;
    return given < positions.length ? positions.slice(0, given) : positions;
  }

  #nextRowGroup(): void {
    this.#rowGroup += 1;
    this.#ranges = undefined;
    this.#range = 0;
    this.#row = 0;
  }

  #searchRowGroup(file: SnapshotReadableFile, positions: readonly number[]): SearchStep {
    if (this.#ranges === undefined) {
      const ranges = this.#plan(file.file, positions);
      if (ranges === undefined) return 'needs';
      this.#ranges = ranges;
      this.#trace?.planned(this.#keyChunks(file.file, positions), ranges);
    }
    for (; this.#range < this.#ranges.length; this.#range += 2) {
      const start = this.#ranges[this.#range] ?? 0;
      const end = this.#ranges[this.#range + 1] ?? 0;
      this.#row = Math.max(this.#row, start);
      const step = this.#leapfrog(file, positions, end);
      if (step !== 'exhausted') return step;
    }
    return 'exhausted';
  }

  /** Moves on to the next row group that no key column's chunk bounds rule out; one that is being searched stays. */
  #toCandidate(file: TableFile, positions: readonly number[]): boolean {
    const { index } = file;
    while (this.#rowGroup < index.rowGroups) {
      if (this.#ranges !== undefined) return true;
      let candidate = this.#rowGroup;
      for (let i = 0; i < positions.length && candidate >= 0; i++) {
        const value = this.#keyInFile[i];
        if (value !== undefined) candidate = index.nextRowGroup(positions[i] as number, value, candidate);
      }
      if (this.#trace !== undefined) {
        this.#trace.rowGroupsByBounds += (candidate < 0 ? index.rowGroups : candidate) - this.#rowGroup;
      }
      if (candidate < 0) return false;
      if (candidate === this.#rowGroup) return true;
      this.#rowGroup = candidate;
    }
    return false;
  }

  /** The row ranges that every key column's page bounds leave open, or undefined when a layout has to be read first. */
  #plan(file: TableFile, positions: readonly number[]): readonly number[] | undefined {
    if (this.#lacksLayouts(file, positions)) return undefined;
    const chunks = this.#keyChunks(file, positions);
    let ranges: readonly number[] | undefined;
    for (let i = 0; i < chunks.length; i++) {
      const layout = chunks[i]?.layout;
      const value = this.#keyInFile[i];
      if (layout === undefined || value === undefined) continue;
      const ofColumn = candidateRanges(layout, value);
      ranges = ranges === undefined ? ofColumn : intersect(ranges, ofColumn);
      if (ranges.length === 0) break;
    }
    ranges ??= [0, file.index.rowGroupRows(this.#rowGroup)];
    return this.#askBloomFilters(file, chunks, ranges);
  }

  /** Whether layouts of the current row group's key columns have to be read first; they are then the needs. */
  #lacksLayouts(file: TableFile, positions: readonly number[]): boolean {
    let missing: Need[] | undefined;
    for (const position of positions) {
      const chunk = file.chunk(this.#rowGroup, position);
      if (chunk.layout !== undefined) continue;
      missing ??= [];
      missing.push({ kind: 'layout', file, chunk });
    }
    if (missing !== undefined) this.needs = missing;
    return missing !== undefined;
  }

  /** Nothing where a bloom filter proves that; undefined where one should be read first, since the pages cost more. */
  #askBloomFilters(
    file: TableFile,
    chunks: readonly ChunkBlocks[],
    ranges: readonly number[],
  ): readonly number[] | undefined {
    const wanted: Need[] = [];
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i] as ChunkBlocks;
      const filter = chunk.bloomFilter;
      const value = this.#keyInFile[i];
      if (filter === 'none' || value === undefined) continue;
      if (filter === undefined) {
        if (savesReading(chunk, ranges)) wanted.push({ kind: 'bloomFilter', file, chunk });
      } else if (!filter.mightContain(value)) {
        if (this.#trace !== undefined) this.#trace.rowGroupsByBloom += 1;
        return [];
      }
    }
    if (wanted.length === 0) return ranges;
    this.needs = wanted;
    return undefined;
  }

  /** Moves to the next row before `end` where every key column has its value. */
  #leapfrog(file: SnapshotReadableFile, positions: readonly number[], end: number): SearchStep {
    const leaves = file.file.index.schema.leaves;
    // The file was found by its folder, which has the whole key: every row is a match.
    if (positions.length === 0 && this.#row < end) return this.#found(file);
    let agreed = 0;
    for (let i = 0; this.#row < end; i = (i + 1) % positions.length) {
      const position = positions[i] ?? 0;
      const chunk = file.file.chunk(this.#rowGroup, position);
      const at = chunk.at(this.#row, this.pins);
      const leaf = leaves[position];
      const value = this.#keyInFile[i];
      if (leaf === undefined || value === undefined) return 'exhausted';
      if (this.#blocksLeft-- <= 0) return 'paused';
      if (at === undefined) {
        if (!this.#passFailedPage(chunk)) return this.#needPages(file.file, positions, end);
        agreed = 0;
        continue;
      }
      this.#trace?.read(at, chunk, this.#row, this.pins);
      const blockEnd = Math.min(end, at.firstRow + at.block.rows);
      const hit = findRow(at.block, leaf, value, this.#row - at.firstRow, blockEnd - at.firstRow);
      if (hit < 0) {
        this.#row = blockEnd;
        agreed = 0;
        if (blockEnd < end && !this.#passAscending(file.file, chunk, leaf, value, at)) return 'needs';
        continue;
      }
      agreed = at.firstRow + hit === this.#row ? agreed + 1 : 1;
      this.#row = at.firstRow + hit;
      if (agreed === positions.length) return this.#found(file);
    }
    return 'exhausted';
  }

  /** After a block without the key, also past those that are known to lack it; false where a block is needed to tell. */
  #passAscending(file: TableFile, chunk: ChunkBlocks, leaf: LeafColumn, key: KeyValue, passed: BlockAt): boolean {
    const ascent = chunk.ascentOver(passed);
    if (ascent === undefined) return true;
    ascent.extend(passed, leaf);
    const next = ascent.next(this.#row, leaf, key, (row) => {
      const at = chunk.at(row, this.pins);
      if (at !== undefined) this.#trace?.read(at, chunk, row, this.pins);
      return at;
    });
    if (next >= 0) {
      this.#row = next;
      return true;
    }
    const row = -1 - next;
    const page = chunk.layout?.locations.pageOf(row);
    // A page that is broken is walked into, and passed there.
    if (page === undefined || this.#failed?.get(chunk)?.has(page)) return true;
    this.needs = [{ kind: 'page', file, chunk, page, row }];
    return false;
  }

  #found(file: SnapshotReadableFile): SearchStep {
    this.match = { file, rowGroup: this.#rowGroup, row: this.#row };
    this.#row += 1;
    return 'found';
  }

  /** Moves past the current row's page of this chunk if it is known to be broken. */
  #passFailedPage(chunk: ChunkBlocks): boolean {
    const locations = chunk.layout?.locations;
    if (locations === undefined) return false;
    const page = locations.pageOf(this.#row);
    const error = this.#failed?.get(chunk)?.get(page);
    if (error === undefined) return false;
    this.uncovered.push(error);
    this.#row = locations.rowEnd(page);
    return true;
  }

  /** Lets go of the pages that lie behind, so that a long search holds few at a time. */
  #unpinPassed(chunks: readonly ChunkBlocks[]): void {
    if (this.pins === undefined) return;
    for (const [chunk, pages] of this.pins) {
      if (!chunks.includes(chunk)) {
        this.pins.delete(chunk);
        continue;
      }
      const current = chunk.layout?.locations.pageOf(this.#row) ?? 0;
      for (const page of pages.keys()) if (page < current) pages.delete(page);
    }
  }

  /** The missing pages at and after the current row: one at first, twice as many each time the key was not there. */
  #needPages(file: TableFile, positions: readonly number[], end: number): SearchStep {
    const chunks = this.#keyChunks(file, positions);
    this.#unpinPassed(chunks);
    const needs: Need[] = [];
    for (const chunk of chunks) {
      const locations = chunk.layout?.locations;
      if (locations === undefined) {
        // It was forgotten since the plan; what is loaded now stays for this search.
        needs.push({ kind: 'layout', file, chunk });
        continue;
      }
      const last = locations.pageOf(end - 1);
      const first = locations.pageOf(this.#row);
      for (let page = first; page <= last && page < first + this.#pagesAhead; page++) {
        if (this.#failed?.get(chunk)?.has(page)) continue;
        const row = Math.max(this.#row, locations.firstRow(page));
        if (chunk.at(row, this.pins) === undefined) needs.push({ kind: 'page', file, chunk, page, row });
      }
    }
    this.needs = needs;
    // From disk a page comes block by block: that is no sign of pages that lacked the key.
    const asked = chunks[0]?.layout?.locations.pageOf(this.#row);
    if (asked !== this.#pageAsked) this.#pagesAhead = Math.min(PAGES_AHEAD_MAX, this.#pagesAhead * 2);
    this.#pageAsked = asked;
    return 'needs';
  }

  #keyChunks(file: TableFile, positions: readonly number[]): ChunkBlocks[] {
    return positions.map((position) => file.chunk(this.#rowGroup, position));
  }
}
