/**
 * The index of one key of a table over its snapshots: chosen, loaded from disk, built in the background, attached to what is
 * served. While it is built, and wherever it cannot be, lookups search as they do without one.
 */

import type { MemoryTier } from '../cache/index.ts';
import { asServiceError, assert, type ServiceError } from '../core/index.ts';
import type { KeyRun } from '../keyindex/index.ts';
import { chooseIndex, type IndexChoice, type IndexMode, KeyIndex, type Snapshot } from '../table/index.ts';
import type { IndexProgress, KeyIndexer, RunKeeper } from './key-indexer.ts';

/** Bytes a key of a run, for telling beforehand whether the index will fit. */
const BYTES_A_KEY = 9.1;

export interface StoredIndex extends RunKeeper {
  load(): readonly KeyRun[];
  named(): readonly string[];
}

export interface TableIndexingOptions {
  /** Which key of the table, as `TableKey` counts them. */
  readonly key: number;
  readonly mode: IndexMode;
  readonly indexer: KeyIndexer;
  readonly tier: MemoryTier;
  readonly stored: StoredIndex | undefined;
  readonly log: (line: string) => void;
}

export interface IndexStatus {
  readonly state: 'none' | 'building' | 'ready' | 'failed' | 'too_large';
  readonly reason: string;
  readonly bytes: number;
  readonly runs: number;
  /** Of the snapshot's files, those that lookups need not search. */
  readonly filesIndexed: number;
  readonly files: number;
  /** While it is built. */
  readonly progress: IndexProgress | undefined;
  readonly error: ServiceError | undefined;
}

export class TableIndexing {
  readonly #table: string;
  readonly #options: TableIndexingOptions;
  readonly #index: KeyIndex;
  #isLoaded = false;
  #choice: IndexChoice = { isWanted: false, reason: 'nothing is served yet' };
  #snapshot: Snapshot | undefined = undefined;
  #progress: IndexProgress | undefined = undefined;
  #isTooLarge = false;
  #error: ServiceError | undefined = undefined;
  #chargedBytes = 0;
  #running: Promise<void> | undefined = undefined;
  readonly #closing = new AbortController();

  constructor(table: string, options: TableIndexingOptions) {
    this.#table = table;
    this.#options = options;
    this.#index = new KeyIndex(options.key);
  }

  /** To be called with each snapshot before it serves: it gets what there is of the index, and the rest is then built. */
  attach(snapshot: Snapshot): void {
    if (snapshot === this.#snapshot && this.#error === undefined) return;
    this.#snapshot = snapshot;
    this.#choice = this.#chosen(snapshot);
    const wanted = snapshot.rows * BYTES_A_KEY;
    const { budget } = this.#options.tier;
    this.#isTooLarge = this.#choice.isWanted && !budget.fits('keys', wanted - this.#chargedBytes);
    if (!this.#choice.isWanted || this.#isTooLarge) return;
    if (!this.#isLoaded) {
      this.#isLoaded = true;
      for (const run of this.#options.stored?.load() ?? []) this.#index.add(run);
    }
    this.#renew();
    this.#running ??= this.#build().finally(() => {
      this.#running = undefined;
    });
  }

  get status(): IndexStatus {
    const snapshot = this.#snapshot;
    const base = {
      bytes: this.#index.byteLength,
      runs: this.#index.runs.length,
      filesIndexed: snapshot?.keys[this.#options.key]?.index?.coveredFiles ?? 0,
      files: snapshot?.files.length ?? 0,
      progress: this.#progress,
      error: this.#error,
    };
    if (this.#isTooLarge) return { ...base, state: 'too_large', reason: this.#tooLarge() };
    if (!this.#choice.isWanted) return { ...base, state: 'none', reason: this.#choice.reason };
    if (this.#running !== undefined) return { ...base, state: 'building', reason: this.#choice.reason };
    return { ...base, state: this.#error === undefined ? 'ready' : 'failed', reason: this.#choice.reason };
  }

  /** Names of files on disk that are its own. */
  named(): readonly string[] {
    return this.#options.stored?.named() ?? [];
  }

  /** Resolves when nothing is being built. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error(`table ${this.#table} is closed`));
    await this.idle();
    this.#options.tier.budget.release('keys', this.#chargedBytes);
    this.#chargedBytes = 0;
  }

  /** Until the newest snapshot is indexed. Never rejects: an index is a help, and its lack no failure. */
  async #build(): Promise<void> {
    for (let done: Snapshot | undefined; done !== this.#snapshot; ) {
      const snapshot = this.#snapshot;
      if (snapshot === undefined) return;
      const startedBytes = this.#index.byteLength;
      this.#progress = { rows: openRows(this.#index, snapshot), rowsDone: 0 };
      try {
        const watch = { onRun: () => this.#renew(), keeper: this.#options.stored, progress: this.#progress };
        await this.#options.indexer.index(this.#index, snapshot, watch, this.#closing.signal);
        this.#error = undefined;
        if (this.#index.byteLength !== startedBytes) {
          this.#options.log(
            `table ${this.#table}: key index of ${snapshot.rows} rows, ${this.#index.byteLength} bytes`,
          );
        }
      } catch (thrown) {
        if (this.#closing.signal.aborted) return;
        this.#error = asServiceError(thrown);
        this.#options.log(`table ${this.#table}: its key index waits for the next refresh: ${this.#error.message}`);
      }
      this.#renew();
      done = snapshot;
    }
    this.#progress = undefined;
  }

  /** Gives the snapshot a view of what the index has now. */
  #renew(): void {
    const { budget } = this.#options.tier;
    const bytes = this.#index.byteLength;
    budget.charge('keys', bytes);
    budget.release('keys', this.#chargedBytes);
    this.#chargedBytes = bytes;
    this.#options.tier.trim();
    const snapshot = this.#snapshot;
    const key = snapshot?.keys[this.#options.key];
    if (snapshot === undefined || key === undefined) return;
    key.index = this.#index.runs.length === 0 ? undefined : this.#index.view(snapshot.files);
  }

  #chosen(snapshot: Snapshot): IndexChoice {
    const key = snapshot.keys[this.#options.key];
    assert(key !== undefined, 'a snapshot has all keys of its definition');
    return chooseIndex(snapshot, key, this.#options.mode);
  }

  #tooLarge(): string {
    const limit = Math.floor(this.#options.tier.budget.limitBytes('keys'));
    const needed = Math.ceil((this.#snapshot?.rows ?? 0) * BYTES_A_KEY);
    return `an index of ${needed} bytes does not fit in what cache.memory leaves for key indexes, ${limit} bytes`;
  }
}

function openRows(index: KeyIndex, snapshot: Snapshot): number {
  let rows = 0;
  for (const ordinal of index.view(snapshot.files).openFiles) {
    const file = snapshot.files[ordinal];
    if (file?.kind === 'readable') rows += file.file.index.rows;
  }
  return rows;
}
