/**
 * The part of a query that waits: which rows of a row group match, and then the pages of what is asked of them.
 *
 * The rows are judged window by window: the predicate's pages at and after the current row are loaded together, one page
 * a column at first and more as the query goes on; what lies behind is let go. The pages of other columns are loaded for
 * rows that matched and for no others, within a bound of bytes at a time, so that memory does not grow with the answer.
 */

import { rangeLength } from '../core/index.ts';
import {
  type BlockAt,
  type ChunkBlocks,
  castFaultIn,
  leafTests,
  markRows,
  type Need,
  Pins,
  positionsOf,
  readPageBounds,
  type TableColumn,
} from '../table/index.ts';
import { missingPages } from './encode-row.ts';
import type { PageLoader } from './page-loader.ts';
import type { QueryBounds, QueryPlace, QueryTrace, RowSink } from './query.ts';
import { tooExpensive } from './query.ts';
import { judgePage, type QueryUnit } from './query-plan.ts';
import { type Candidates, candidateRanges, rangeAt } from './query-ranges.ts';

/** Pages of a column asked for at once, and their bytes. */
const PAGES_AHEAD_MAX = 64;
const AHEAD_BYTES_MAX = 8 * 2 ** 20;
/** Rows that are found before their columns are read. */
const ROWS_A_BATCH = 1024;
/** Judging and writing let others go first after so long. */
const TURN_MS_MAX = 5;
/** More single values than this are not asked of a bloom filter. */
const BLOOM_VALUES_MAX = 64;

const otherRequests = () => new Promise<void>((resolve) => setImmediate(resolve));

export class QueryReader {
  readonly #loader: PageLoader;
  readonly #bounds: QueryBounds;
  readonly #signal: AbortSignal;
  readonly #trace: QueryTrace;
  #turnEndsMs = performance.now() + TURN_MS_MAX;
  #pagesAhead = 1;

  constructor(loader: PageLoader, bounds: QueryBounds, signal: AbortSignal, trace: QueryTrace) {
    this.#loader = loader;
    this.#bounds = bounds;
    this.#signal = signal;
    this.#trace = trace;
  }

  /** The rows of a row group that match, ascending, in batches. */
  async *matches(unit: QueryUnit, wanted: () => number): AsyncGenerator<readonly number[], void> {
    const candidates = await this.#candidates(unit);
    const tests = leafTests(unit.predicate);
    const positions = [...new Set(tests.map((test) => test.position))];
    const chunks = positions.map((position) => unit.file.file.chunk(unit.rowGroup, position));
    const pins = new Pins();
    let found: number[] = [];
    let row = unit.fromRow;
    for (let range = rangeAt(candidates.may, row); range !== undefined; range = rangeAt(candidates.may, row)) {
      row = Math.max(row, range[0]);
      const sure = rangeAt(candidates.all, row);
      if (sure !== undefined && sure[0] <= row) {
        const end = Math.min(sure[1], row + Math.min(ROWS_A_BATCH, wanted()) - found.length);
        for (; row < end; row++) found.push(row);
      } else {
        const end = Math.min(range[1], sure?.[0] ?? range[1]);
        const next = this.#trace.timed('locate', () => judgeRows(unit, positions, chunks, row, end, pins, found));
        if (next === undefined) await this.#loadAhead(unit, chunks, candidates, row, pins);
        else {
          if (this.#trace.isExplained) for (const chunk of chunks) this.#trace.looksAt(chunk, row);
          this.#trace.rowsJudged += next - row;
          row = next;
        }
      }
      if (found.length >= Math.min(ROWS_A_BATCH, wanted())) {
        yield found;
        if (wanted() <= 0) return;
        found = [];
      }
      await this.pause();
    }
    if (found.length > 0) yield found;
  }

  /**
   * Hands rows to the sink with all pages they need; says how many were taken, and where it is full waits. Rows come in the
   * order of the snapshot: what the next ones need of the pages at hand stays in `carried`, so that none is read twice.
   * Rows that are not wanted any more when they are come to are passed over.
   */
  async *take(
    places: readonly QueryPlace[],
    columns: readonly TableColumn[],
    sink: Pick<RowSink, 'take' | 'isFull'>,
    carried: CarriedPages = { pins: new Pins() },
    isWanted: (place: QueryPlace) => boolean = () => true,
  ): AsyncGenerator<number, void> {
    for (let from = 0; from < places.length; ) {
      const pins = carriedTo(places[from] as QueryPlace, columns, carried.pins);
      carried.pins = pins;
      const end = await this.#loadRows(places, from, columns, pins, isWanted);
      let told = from;
      for (let at = from; at < end; at++) {
        const place = places[at] as QueryPlace;
        while (isWanted(place) && !this.#trace.timed('encode', () => sink.take(place, pins))) {
          await this.load(missingPages(place, columns, pins), pins);
        }
        if (this.#trace.isExplained && isWanted(place)) this.#looksAt(place, columns);
        await this.pause();
        if (!sink.isFull) continue;
        yield at + 1 - told;
        told = at + 1;
      }
      if (told < end) yield end - told;
      from = end;
    }
  }

  async load(needs: readonly Need[], pins: Pins): Promise<void> {
    if (needs.length === 0) return;
    this.#trace.asks(needs);
    const [failed] = await this.#trace.loading(() => this.#loader.load(needs, pins, this.#signal, this.#trace));
    if (failed !== undefined) throw failed.error;
    this.#checkCost();
    this.#turnEndsMs = performance.now() + TURN_MS_MAX;
  }

  #looksAt({ file: { file, mapping }, rowGroup, row }: QueryPlace, columns: readonly TableColumn[]): void {
    for (const column of columns) {
      for (const position of positionsOf(mapping, column)) this.#trace.looksAt(file.chunk(rowGroup, position), row);
    }
  }

  async pause(): Promise<void> {
    if (performance.now() < this.#turnEndsMs) return;
    await otherRequests();
    this.#signal.throwIfAborted();
    this.#turnEndsMs = performance.now() + TURN_MS_MAX;
  }

  /** A plan is made by estimates: what is really read is held to the same bounds. */
  #checkCost(): void {
    const { readsBegun, readBytes } = this.#trace;
    if (readsBegun <= this.#bounds.getsMax && readBytes <= this.#bounds.bytesMax) return;
    throw tooExpensive('took', readsBegun, readBytes, this.#bounds);
  }

  /** What page bounds and bloom filters leave of a row group. */
  async #candidates(unit: QueryUnit): Promise<Candidates> {
    const { file, rowGroup, predicate } = unit;
    const rows = file.file.index.rowGroupRows(rowGroup);
    const tests = leafTests(predicate);
    const chunks = [...new Set(tests.map((test) => file.file.chunk(rowGroup, test.position)))];
    const layouts = chunks.filter((chunk) => chunk.layout === undefined);
    await this.load(
      layouts.map((chunk) => ({ kind: 'layout', file: file.file, chunk })),
      new Pins(),
    );
    await this.#loadBounds(unit, chunks);
    if (await this.#ruledOutByFilters(unit)) {
      this.#trace.rowGroupsByBloom += 1;
      return { may: [], all: [] };
    }
    const candidates = candidateRanges(predicate, rows, (test) =>
      pagesOf(file.file.chunk(rowGroup, test.position), rows, test),
    );
    if (candidates.may.length === 0) this.#trace.rowGroupsByPages += 1;
    if (this.#trace.isExplained) this.#countPages(chunks, candidates);
    return candidates;
  }

  #countPages(chunks: readonly ChunkBlocks[], { may }: Candidates): void {
    for (const { layout } of chunks) {
      const locations = layout?.locations;
      if (locations === undefined) continue;
      this.#trace.pages += locations.pages;
      for (let page = 0; page < locations.pages; page++) {
        const range = rangeAt(may, locations.firstRow(page));
        if (range === undefined || range[0] >= locations.rowEnd(page)) this.#trace.pagesByBounds += 1;
      }
    }
  }

  async #loadBounds({ file }: QueryUnit, chunks: readonly ChunkBlocks[]): Promise<void> {
    const options = { signal: this.#signal, account: this.#trace };
    const wanted = chunks.filter(
      ({ layout }) => layout !== undefined && layout.bounds === undefined && layout.locations.pages > 1,
    );
    await this.#trace.loading(() =>
      Promise.all(
        wanted.map(async (chunk) => {
          const pages = chunk.layout?.locations.pages ?? 0;
          const bounds = await readPageBounds(file.file, chunk.chunk, pages, options);
          if (bounds !== undefined) chunk.learnBounds(bounds);
        }),
      ),
    );
  }

  async #ruledOutByFilters({ file, rowGroup, predicate }: QueryUnit): Promise<boolean> {
    if (predicate.kind === 'constant') return false;
    const asked = leafTests(predicate).filter((test) => {
      const { bloomFilterRange, range } = file.file.chunk(rowGroup, test.position).chunk;
      const values = bloomFilterRange && test.isByFileType ? test.points : undefined;
      if (bloomFilterRange === undefined || values === undefined || values.length > BLOOM_VALUES_MAX) return false;
      return rangeLength(bloomFilterRange) < rangeLength(range);
    });
    const chunkOf = (test: { readonly position: number }) => file.file.chunk(rowGroup, test.position);
    const missing = new Set(asked.map(chunkOf).filter((chunk) => chunk.bloomFilter === undefined));
    await this.load(
      [...missing].map((chunk) => ({ kind: 'bloomFilter', file: file.file, chunk })),
      new Pins(),
    );
    const { may } = candidateRanges(predicate, 1, (test) => {
      const filter = asked.includes(test) ? chunkOf(test).bloomFilter : 'none';
      const isIn =
        filter === undefined || filter === 'none' || test.points?.some((value) => filter.mightContain(value));
      return [{ state: isIn === false ? 'no' : 'maybe', start: 0, end: 1 }];
    });
    return may.length === 0;
  }

  /** The pages at and after a row that its predicate needs, twice as many each time. */
  async #loadAhead(
    { file }: QueryUnit,
    chunks: readonly ChunkBlocks[],
    { may }: Candidates,
    row: number,
    pins: Pins,
  ): Promise<void> {
    const needs: Need[] = [];
    for (const chunk of chunks) {
      const locations = chunk.layout?.locations;
      if (locations === undefined) {
        needs.push({ kind: 'layout', file: file.file, chunk });
        continue;
      }
      const current = locations.pageOf(row);
      for (const page of pins.get(chunk)?.keys() ?? []) if (page < current) pins.get(chunk)?.delete(page);
      let bytes = 0;
      for (let page = current, asked = 0; page < locations.pages && asked < this.#pagesAhead; page++) {
        const range = rangeAt(may, Math.max(row, locations.firstRow(page)));
        if (range === undefined) break;
        const first = Math.max(row, locations.firstRow(page), range[0]);
        if (first >= locations.rowEnd(page)) continue;
        asked += 1;
        if (chunk.at(first, pins) !== undefined) continue;
        bytes += rangeLength(locations.range(page));
        if (bytes > AHEAD_BYTES_MAX && page > current) break;
        needs.push({ kind: 'page', file: file.file, chunk, page, row: first });
      }
    }
    this.#pagesAhead = Math.min(PAGES_AHEAD_MAX, this.#pagesAhead * 2);
    await this.load(needs, pins);
  }

  /** Loads what as many of the rows lack as fit; the end of these. */
  async #loadRows(
    places: readonly QueryPlace[],
    from: number,
    columns: readonly TableColumn[],
    pins: Pins,
    isWanted: (place: QueryPlace) => boolean,
  ): Promise<number> {
    const layouts = new Map<ChunkBlocks, Need>();
    const last = Math.min(places.length, from + ROWS_A_BATCH);
    for (let at = from; at < last; at++) {
      if (!isWanted(places[at] as QueryPlace)) continue;
      const needs = missingPages(places[at] as QueryPlace, columns, pins);
      for (const need of needs) if (need.kind === 'layout') layouts.set(need.chunk, need);
    }
    await this.load([...layouts.values()], pins);
    const asked = new Map<ChunkBlocks, Set<number>>();
    const wanted: Need[] = [];
    let bytes = 0;
    let end = from;
    for (; end < last; end++) {
      const place = places[end] as QueryPlace;
      const needs = isWanted(place) ? missingPages(place, columns, pins) : [];
      const more = needs.filter((need) => need.kind === 'page' && asked.get(need.chunk)?.has(need.page) !== true);
      // Rows of pages that are asked for already need no room.
      if (more.length > 0 && wanted.length > 0 && bytes > AHEAD_BYTES_MAX) break;
      for (const need of more) {
        if (need.kind !== 'page') continue;
        asked.set(need.chunk, (asked.get(need.chunk) ?? new Set()).add(need.page));
        bytes += rangeLength(need.chunk.layout?.locations.range(need.page) ?? { start: 0, end: 0 });
        const { only: _only, ...whole } = need;
        wanted.push(whole);
      }
    }
    await this.load(wanted, pins);
    return end;
  }
}

/** Pages that rows which follow one another share. */
export interface CarriedPages {
  pins: Pins;
}

/** Of the pages at hand those that hold a row, or rows after it, of its row group. */
function carriedTo({ file, rowGroup, row }: QueryPlace, columns: readonly TableColumn[], pins: Pins): Pins {
  const carried = new Pins();
  if (pins.size === 0) return carried;
  for (const column of columns) {
    for (const position of positionsOf(file.mapping, column)) {
      const chunk = file.file.chunk(rowGroup, position);
      const page = chunk.layout?.locations.pageOf(row) ?? Number.POSITIVE_INFINITY;
      const pages = [...(pins.get(chunk) ?? [])].filter(([at]) => at >= page);
      if (pages.length === 0) continue;
      carried.set(chunk, new Map(pages));
      chunk.holdLearned(carried);
    }
  }
  return carried;
}

function* pagesOf(chunk: ChunkBlocks, rows: number, test: Parameters<typeof judgePage>[2]) {
  const locations = chunk.layout?.locations;
  if (locations === undefined) {
    yield { state: 'maybe' as const, start: 0, end: rows };
    return;
  }
  for (let page = 0; page < locations.pages; page++) {
    yield { state: judgePage(chunk, page, test), start: locations.firstRow(page), end: locations.rowEnd(page) };
  }
}

/** Adds the rows from `row` on that match, as far as the blocks at that row reach: the end of those; undefined where one is missing. */
function judgeRows(
  unit: QueryUnit,
  positions: readonly number[],
  chunks: readonly ChunkBlocks[],
  row: number,
  end: number,
  pins: Pins,
  found: number[],
): number | undefined {
  const blocks = new Map<number, BlockAt>();
  let stop = end;
  for (const [i, chunk] of chunks.entries()) {
    const at = chunk.at(row, pins);
    if (at === undefined) return undefined;
    blocks.set(positions[i] ?? -1, at);
    stop = Math.min(stop, at.firstRow + at.block.rows);
  }
  try {
    const marks = markRows(unit.predicate, row, stop, (position) => blocks.get(position) as BlockAt);
    for (let i = 0; i < marks.length; i++) if (marks[i] === 1) found.push(row + i);
  } catch (thrown) {
    throw castFaultIn(thrown, unit.file.file.object.key, unit.rowGroup);
  }
  return stop;
}
