/**
 * The pages of a run that is not in memory: the cache has them, or they are read one at a time, and believed only when
 * their checksum and the directory agree.
 *
 * A page that is not as it was written says nothing of any key. It is told to whoever owns the run, once, and thrown.
 */

import { corrupt } from '../core/index.ts';
import type { PageCache, PageSlots, RunPage } from './page-cache.ts';
import { HIGH_WORD, isPageSound, PAGE_BYTES, PAGE_ENTRIES, POSITION_WORD, type RunDirectory } from './run-layout.ts';

/** The bytes of a run, wherever they lie. */
export interface RunReader {
  readonly byteLength: number;
  /** Fills `bytes` from there on, however long that takes; false where that cannot be done. */
  readSync(at: number, bytes: Uint8Array): boolean;
  /** Fills `bytes` from there on, or says that this would take too long to wait for, or cannot be done: then `read` tells. */
  readNow(at: number, bytes: Uint8Array): boolean;
  read(at: number, bytes: Uint8Array): Promise<void>;
  close(): void;
}

/** Pages of runs on disk that were asked for: those that were read, and those that memory had. */
export interface PageCounts {
  reads: number;
  hits: number;
}

export interface PageKeeping {
  readonly cache: PageCache;
  /** Told when a page is damaged or cannot be read. */
  readonly onDamage: (thrown: unknown) => void;
  readonly counts: PageCounts;
}

export class StoredPages {
  readonly #reader: RunReader;
  readonly #directory: RunDirectory;
  readonly #rows: number;
  readonly #keeping: PageKeeping;
  readonly #slots: PageSlots;
  readonly #flights = new Map<number, Promise<RunPage>>();
  #isClosed = false;

  constructor(reader: RunReader, directory: RunDirectory, rows: number, keeping: PageKeeping) {
    this.#reader = reader;
    this.#directory = directory;
    this.#rows = rows;
    this.#keeping = keeping;
    this.#slots = new Int32Array(directory.pages).fill(-1);
  }

  /** Bytes in memory beside the directory and the pages of the cache. */
  get byteLength(): number {
    return this.#slots.byteLength;
  }

  /** Undefined where it has to be waited for. */
  now(page: number): RunPage | undefined {
    const held = this.#held(page);
    if (held !== undefined || this.#isClosed) return held;
    const bytes = new Uint8Array(PAGE_BYTES);
    if (!this.#reader.readNow(page * PAGE_BYTES, bytes)) return undefined;
    this.#keeping.counts.reads += 1;
    return this.#isSound(bytes, page) ? this.#keep(bytes, page) : undefined;
  }

  /** Throws where it is damaged or cannot be read, or the run is closed. What the caller had to wait for stands in `waited`. */
  async read(page: number, waited?: Pick<PageCounts, 'reads'>): Promise<RunPage> {
    const held = this.#held(page);
    if (held !== undefined) return held;
    if (waited !== undefined) waited.reads += 1;
    let flight = this.#flights.get(page);
    if (flight === undefined) {
      flight = this.#read(page).finally(() => this.#flights.delete(page));
      this.#flights.set(page, flight);
    }
    return flight;
  }

  /** Nothing is read any more; of what the cache had nothing stays. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#keeping.cache.forget(this.#slots);
    this.#reader.close();
  }

  #held(page: number): RunPage | undefined {
    const held = this.#keeping.cache.get(this.#slots, page);
    if (held !== undefined) this.#keeping.counts.hits += 1;
    return held;
  }

  async #read(page: number): Promise<RunPage> {
    if (this.#isClosed) throw corrupt('a run of a key index was read after it was dropped');
    const bytes = new Uint8Array(PAGE_BYTES);
    try {
      await this.#reader.read(page * PAGE_BYTES, bytes);
      this.#keeping.counts.reads += 1;
      if (!this.#isSound(bytes, page)) throw corrupt(`page ${page} of a key index is damaged`);
    } catch (thrown) {
      // What was dropped meanwhile is nobody's loss.
      if (!this.#isClosed) this.#keeping.onDamage(thrown);
      throw thrown;
    }
    return this.#keep(bytes, page);
  }

  #keep(bytes: Uint8Array, page: number): RunPage {
    const content = { bytes, words: new Uint32Array(bytes.buffer) };
    if (!this.#isClosed) this.#keeping.cache.put(this.#slots, page, content);
    return content;
  }

  #isSound(bytes: Uint8Array, page: number): boolean {
    if (!isPageSound(bytes, page)) return false;
    const { entries, firsts } = this.#directory;
    const words = new Uint32Array(bytes.buffer);
    if (words[HIGH_WORD] !== firsts[page]) return false;
    const count = Math.min(PAGE_ENTRIES, entries - page * PAGE_ENTRIES);
    for (let at = POSITION_WORD; at < POSITION_WORD + count; at += 1) if (words[at]! >= this.#rows) return false;
    return true;
  }
}
