/**
 * The part of a lookup that waits: steps of the search and of the encoders, and between them loads of what they lack.
 *
 * Every page that was waited for is held until the lookup is done, so that it is answered whatever the memory tier evicts.
 */

import { assert, ServiceError } from '../core/index.ts';
import {
  type CostQuestion,
  type Key,
  KeySearch,
  type Need,
  Pins,
  positionsOf,
  readScope,
  type SearchScope,
  type Snapshot,
  searchScope,
  type TableColumn,
  type TableKey,
} from '../table/index.ts';
import { missingPages, type RowPlace, type Tier } from './encode-row.ts';
import { answersFirst, LatestSearch, type Waiting } from './latest.ts';
import type { LookupCeiling } from './lookup-ceiling.ts';
import type { LookupTrace } from './lookup-trace.ts';
import type { FailedNeed } from './page-loader.ts';
import { READ_AHEAD_BYTES_MAX, readAhead } from './read-ahead.ts';
import { meetStored, pagesIn } from './stored-needs.ts';

/** Rows of one key that are read at the same time: enough for few round trips, few enough to hold their pages. */
const ROWS_AT_ONCE_MAX = 64;

const otherRequests = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Where a lookup's pages come from: the loader, or the pages of its batch. */
export interface PageSource {
  load(needs: readonly Need[], pins: Pins, signal: AbortSignal, trace: LookupTrace): Promise<readonly FailedNeed[]>;
  /** The lookup of this trace needs what it had loaded no more. */
  release?(trace: LookupTrace): void;
}

/** One waiting lookup: the pages it holds, and whether it had to load any. */
export class ColdRead {
  readonly pins: Pins = new Pins();
  tier: Tier = 'memory';
  readonly trace: LookupTrace;
  /** Whether something that the search wanted could not be read, and it went on without. */
  hasFailures = false;
  readonly #loader: PageSource;
  readonly #signal: AbortSignal;
  readonly #ceiling: LookupCeiling | undefined;
  /** What is still to be held to the ceiling. */
  #unadmitted: CostQuestion | undefined = undefined;
  #aheadBytesLeft = READ_AHEAD_BYTES_MAX;

  constructor(loader: PageSource, signal: AbortSignal, trace: LookupTrace, ceiling?: LookupCeiling) {
    this.trace = trace;
    this.#loader = loader;
    this.#signal = signal;
    this.#ceiling = ceiling;
  }

  /** The match that the table's `duplicates` choose; `columns` are those that will be asked of it, which may be read ahead. */
  async chosen(snapshot: Snapshot, by: TableKey, key: Key, columns: readonly TableColumn[]): Promise<RowPlace | null> {
    const { search } = this.trace;
    const isFirst = answersFirst(snapshot, by);
    const scope = await this.#scope(snapshot, by, key, isFirst ? 1 : Number.POSITIVE_INFINITY);
    if (!isFirst) return this.#latest(new LatestSearch(snapshot, key, this.pins, scope, search));
    return this.#next(new KeySearch(snapshot, key, this.pins, scope, search), columns);
  }

  /** Rows of the key, at most so many, in file order. */
  async places(snapshot: Snapshot, by: TableKey, key: Key, max: number): Promise<readonly RowPlace[]> {
    const scope = await this.#scope(snapshot, by, key, max);
    const search = new KeySearch(snapshot, key, new Pins(), scope, this.trace.search);
    const places: RowPlace[] = [];
    while (places.length < max) {
      const place = await this.#next(search, []);
      if (place === null) break;
      places.push(place);
    }
    return places;
  }

  /** Something of several rows, whose pages are loaded together: the rows a few at a time, each over pins of its own. */
  async ofEach<T>(
    places: readonly RowPlace[],
    columns: readonly TableColumn[],
    attempt: (place: RowPlace, pins: Pins) => T | undefined,
  ): Promise<readonly T[]> {
    const all: T[] = [];
    for (let first = 0; first < places.length; first += ROWS_AT_ONCE_MAX) {
      const some = places.slice(first, first + ROWS_AT_ONCE_MAX);
      this.letGo();
      all.push(...(await Promise.all(some.map((place) => this.#ofOne(place, columns, attempt)))));
    }
    return all;
  }

  async #ofOne<T>(
    place: RowPlace,
    columns: readonly TableColumn[],
    attempt: (place: RowPlace, pins: Pins) => T | undefined,
  ): Promise<T> {
    const pins = new Pins();
    return this.until(
      () => attempt(place, pins),
      () => missingPages(place, columns, pins),
      pins,
    );
  }

  /** The row is found: where others wait for room, pages that told its place are let go. */
  letGo(): void {
    if (this.#loader.release === undefined) return;
    this.pins.clear();
    this.#loader.release(this.trace);
  }

  /** Tries until the answer no longer lacks a page, loading the missing ones together. */
  async until<T>(attempt: () => T | undefined, missing: () => readonly Need[], pins: Pins = this.pins): Promise<T> {
    for (;;) {
      const answer = this.trace.timed('encode', attempt);
      if (answer !== undefined) return answer;
      const needs = missing();
      assert(needs.length > 0, 'what cannot be answered lacks a page');
      await this.#load(needs, pins);
    }
  }

  /** What was read of a row: for its receipt, where one is wanted. */
  explain(place: RowPlace, columns: readonly TableColumn[], pins: Pins = this.pins): void {
    const { search } = this.trace;
    if (search === undefined) return;
    for (const column of columns) {
      for (const position of positionsOf(place.file.mapping, column)) {
        const chunk = place.file.file.chunk(place.rowGroup, position);
        const at = chunk.at(place.row, pins);
        if (at !== undefined) search.read(at, chunk, place.row, pins);
      }
    }
  }

  /** Where the key may be; a key index on disk may have to be waited for. */
  async #scope(snapshot: Snapshot, by: TableKey, key: Key, rowsWanted: number): Promise<SearchScope> {
    const before = by.indexPagesRead;
    const now = searchScope(snapshot, by, key, this.trace.search);
    this.#readIndex(by.indexPagesRead - before);
    const scope = now ?? (await this.#readScope(snapshot, by, key));
    if (this.#ceiling !== undefined) {
      this.#unadmitted = { snapshot, by, key, indexed: scope.indexed, rowsWanted };
    }
    return scope;
  }

  async #readScope(snapshot: Snapshot, by: TableKey, key: Key): Promise<SearchScope> {
    const startedMs = performance.now();
    const waited = { reads: 0 };
    const scope = await readScope(snapshot, by, key, this.trace.search, waited);
    this.trace.asked(performance.now() - startedMs, 1, 0);
    this.#readIndex(waited.reads);
    this.#signal.throwIfAborted();
    return scope;
  }

  #readIndex(pages: number): void {
    if (pages === 0) return;
    this.trace.indexPages += pages;
    if (this.tier === 'memory') this.tier = 'disk';
  }

  /** Before the first fetch of a search. */
  async #admit(): Promise<void> {
    const question = this.#unadmitted;
    if (question === undefined) return;
    const cost = await this.#ceiling?.admit(question, this.#signal);
    if (cost === undefined) return;
    this.#unadmitted = undefined;
    this.trace.estimate = cost;
  }

  async #next(search: KeySearch, columns: readonly TableColumn[]): Promise<RowPlace | null> {
    for (;;) {
      const step = this.trace.timed('locate', () => search.next());
      if (step === 'found') return search.match ?? null;
      if (step === 'exhausted') return absence(search);
      if (step === 'paused') {
        await otherRequests();
        this.#signal.throwIfAborted();
        continue;
      }
      const needs = await this.#fromDisk(search.needs, search.pins ?? this.pins);
      if (needs.length === 0) continue;
      await this.#admit();
      this.tier = 'origin';
      const [failed] = await this.trace.loading(() =>
        Promise.all([
          this.#loader.load(needs, search.pins ?? this.pins, this.#signal, this.trace),
          this.#loadAhead(search, columns),
        ]),
      );
      for (const { need, error } of failed) {
        this.hasFailures = true;
        search.fail(need, error);
      }
    }
  }

  async #latest(search: LatestSearch): Promise<RowPlace | null> {
    for (;;) {
      const step = this.trace.timed('locate', () => search.next());
      if (step === 'found') return search.match ?? null;
      if (step === 'exhausted') return absence(search);
      if (step === 'needs') await this.#meet(search.waiting);
      else await otherRequests();
      this.#signal.throwIfAborted();
    }
  }

  /** All parts together, so that they take one round trip. */
  async #meet(parts: readonly Waiting[]): Promise<void> {
    const left: { readonly part: Waiting; readonly needs: readonly Need[]; readonly pins: Pins }[] = [];
    for (const part of parts) {
      const pins = part.pins ?? this.pins;
      const needs = await this.#fromDisk(part.needs, pins);
      if (needs.length > 0) left.push({ part, needs, pins });
    }
    if (left.length === 0) return;
    await this.#admit();
    this.tier = 'origin';
    const outcomes = await this.trace.loading(() =>
      Promise.all(left.map(({ needs, pins }) => this.#loader.load(needs, pins, this.#signal, this.trace))),
    );
    for (const [i, failed] of outcomes.entries()) {
      for (const { need, error } of failed) {
        this.hasFailures = true;
        left[i]?.part.fail(need, error);
      }
    }
  }

  /** What fails here is asked for again when it is really needed, unless a changed object spoils the snapshot. */
  async #loadAhead(search: KeySearch, columns: readonly TableColumn[]): Promise<void> {
    const rows = columns.length > 0 && search.needs[0]?.kind !== 'bloomFilter' ? search.candidateRows() : undefined;
    if (rows === undefined) return;
    const { needs, bytes } = readAhead(rows, columns, this.#aheadBytesLeft);
    this.#aheadBytesLeft -= bytes;
    try {
      await this.#loader.load(needs, this.pins, this.#signal, this.trace);
    } catch (thrown) {
      if (thrown instanceof ServiceError && thrown.kind !== 'changed') return;
      throw thrown;
    }
  }

  /** What is left for storage. */
  async #fromDisk(needs: readonly Need[], pins: Pins): Promise<readonly Need[]> {
    const startedMs = performance.now();
    const left = meetStored(needs, pins);
    // A lookup that finds all of it in the page cache waits for nothing.
    const rest = left instanceof Promise ? await left : left;
    this.trace.asked(performance.now() - startedMs, needs.length - rest.length, pagesIn(needs) - pagesIn(rest));
    this.#signal.throwIfAborted();
    if (rest.length < needs.length && this.tier === 'memory') this.tier = 'disk';
    return rest;
  }

  async #load(missing: readonly Need[], pins: Pins): Promise<void> {
    const needs = await this.#fromDisk(missing, pins);
    if (needs.length === 0) return;
    this.tier = 'origin';
    const [failed] = await this.trace.loading(() => this.#loader.load(needs, pins, this.#signal, this.trace));
    if (failed !== undefined) throw failed.error;
  }
}

/** Null when the key is provably absent; throws `not_covered` when something that might hold it could not be read. */
export function absence(search: { readonly uncovered: readonly ServiceError[] }): null {
  const [first] = search.uncovered;
  if (first === undefined) return null;
  // What is being rewritten is worth coming back for, whatever else cannot be read.
  const changing = search.uncovered.find(({ code }) => code === 'snapshot_changing');
  if (changing !== undefined) throw changing;
  const files = [...new Set(search.uncovered.map((error) => String(error.context.file ?? 'unknown')))].slice(0, 10);
  throw new ServiceError(
    'unavailable',
    'not_covered',
    `the key was not found in what could be read, but it may be in ${files.join(', ')}: ${first.message}`,
    { files },
    first,
  );
}
