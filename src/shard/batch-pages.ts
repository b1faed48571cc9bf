/**
 * The pages that the keys of one batch read from storage: each once, whichever of the keys want it and whether or not the
 * memory tier has room for it, and no more at a time than a bound.
 *
 * A key waits for room before its first pages only, and lets go of what it holds before it waits again, so that keys never
 * wait for each other in a ring. Pages that no key holds any more stay for keys to come until their room is needed.
 */

import type { LoadedPage, Need, Pins } from '../table/index.ts';
import type { LookupTrace } from './lookup-trace.ts';
import { type FailedNeed, type PageLoader, pageMemory } from './page-loader.ts';
import { pin } from './stored-needs.ts';

type PageNeed = Need & { readonly kind: 'page' };

/** Pages of one batch on their way at once: fewer than what may queue for one bucket. */
const LOADING_MAX = 1024;
/** What the pages of one batch may take, of what all pages in flight may. */
const BYTES_SHARE = 1 / 2;

interface Entry {
  readonly page: Promise<LoadedPage | FailedNeed>;
  readonly bytes: number;
  users: number;
  isLoading: boolean;
}

export class BatchPages {
  readonly #loader: PageLoader;
  readonly #bytesMax: number;
  readonly #entries = new Map<PageNeed['chunk'], Map<number, Entry>>();
  /** By key. */
  readonly #held = new Map<LookupTrace, Set<Entry>>();
  /** Of the keys that wait for room: when they have it. */
  readonly #rooms = new Map<LookupTrace, Promise<void>>();
  /** At most one a key. */
  readonly #waiting: { readonly needs: readonly Need[]; readonly proceed: () => void }[] = [];
  #usedBytes = 0;
  #loading = 0;

  constructor(loader: PageLoader) {
    this.#loader = loader;
    this.#bytesMax = loader.inFlight.capacityBytes * BYTES_SHARE;
  }

  /** As `PageLoader.load`; the pages are held for the key of this trace until `release`. */
  async load(
    needs: readonly Need[],
    pins: Pins,
    signal: AbortSignal,
    trace: LookupTrace,
  ): Promise<readonly FailedNeed[]> {
    if (!this.#held.has(trace)) {
      this.#held.set(trace, new Set());
      if (this.#waiting.length > 0 || !this.#fits(needs)) {
        this.#rooms.set(
          trace,
          this.#room(needs, signal).finally(() => this.#rooms.delete(trace)),
        );
      }
    }
    // Nothing of a key that waits may hold pages, such as those that it asks for ahead.
    await this.#rooms.get(trace);
    const others = needs.filter((need) => need.kind !== 'page');
    const outcomes = await Promise.all([
      ...needs.map((need) => (need.kind === 'page' ? this.#page(need, pins, signal, trace) : undefined)),
      others.length > 0 ? this.#loader.load(others, pins, signal, trace) : undefined,
    ]);
    return outcomes.flat().filter((outcome) => outcome !== undefined);
  }

  /** The key of this trace needs its pages no more. */
  release(trace: LookupTrace): void {
    for (const entry of this.#held.get(trace) ?? []) entry.users -= 1;
    this.#held.delete(trace);
    this.#admit();
  }

  async #page(need: PageNeed, pins: Pins, signal: AbortSignal, trace: LookupTrace): Promise<FailedNeed | undefined> {
    const entry = this.#entryOf(need, signal, trace);
    const held = this.#held.get(trace);
    if (held !== undefined && !held.has(entry)) {
      held.add(entry);
      entry.users += 1;
    }
    trace.pagesFromOrigin += 1;
    const loaded = await entry.page;
    if ('error' in loaded) return { need, error: loaded.error };
    pin(pins, need, loaded);
    return undefined;
  }

  #entryOf(need: PageNeed, signal: AbortSignal, trace: LookupTrace): Entry {
    let pages = this.#entries.get(need.chunk);
    if (pages === undefined) {
      pages = new Map();
      this.#entries.set(need.chunk, pages);
    }
    const known = pages.get(need.page);
    if (known !== undefined) {
      if (known.isLoading) trace.shares();
      return known;
    }
    const bytes = pageMemory(need.chunk, need.page);
    const page = this.#loader.whole(need, signal, trace).finally(() => {
      entry.isLoading = false;
      this.#loading -= 1;
      this.#admit();
    });
    // Whoever waits for it learns of the fault; after a deadline nobody may.
    page.catch(() => undefined);
    const entry: Entry = { page, bytes, users: 0, isLoading: true };
    pages.set(need.page, entry);
    this.#usedBytes += bytes;
    this.#loading += 1;
    return entry;
  }

  /** Whether the pages among the needs that are not here yet have room; makes some where that helps. */
  #fits(needs: readonly Need[]): boolean {
    let bytes = 0;
    let pages = 0;
    for (const need of needs) {
      if (need.kind !== 'page' || this.#entries.get(need.chunk)?.has(need.page) === true) continue;
      bytes += pageMemory(need.chunk, need.page);
      pages += 1;
    }
    if (pages === 0) return true;
    if (this.#loading > 0 && this.#loading + pages > LOADING_MAX) return false;
    if (this.#usedBytes + bytes > this.#bytesMax) this.#dropUnheld();
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#bytesMax;
  }

  #dropUnheld(): void {
    for (const pages of this.#entries.values()) {
      for (const [page, entry] of pages) {
        if (entry.users > 0 || entry.isLoading) continue;
        pages.delete(page);
        this.#usedBytes -= entry.bytes;
      }
    }
  }

  #room(needs: readonly Need[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        const at = this.#waiting.indexOf(waiter);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      const proceed = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const waiter = { needs, proceed };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiter);
    });
  }

  /** One at a time: its pages are counted when it goes on, and the next is asked about when they have come. */
  #admit(): void {
    const [first] = this.#waiting;
    if (first === undefined || !this.#fits(first.needs)) return;
    this.#waiting.shift();
    first.proceed();
    queueMicrotask(() => queueMicrotask(() => this.#admit()));
  }
}
