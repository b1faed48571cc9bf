/**
 * The index of one key of a table over its snapshots: chosen, loaded from disk, built in the background, attached to what is
 * served. While it is built, and wherever it cannot be, lookups search as they do without one.
 */

import { asServiceError, assert, type ServiceError } from '../core/index.ts';
import type { KeyCount, KeyRun, RunFile } from '../keyindex/index.ts';
import {
  type CountedRuns,
  chooseIndex,
  type IndexChoice,
  type IndexMode,
  type IndexProgress,
  KeyIndex,
  type KeyMemory,
  type Snapshot,
  type StoredRuns,
} from '../table/index.ts';
import type { KeyIndexer } from './key-indexer.ts';

/** Bytes a key of a run, for telling beforehand whether the index will fit. */
const BYTES_A_KEY = 9.1;
/** Of a run on disk, what finding its pages keeps in memory: two words for each page of 4 KiB. */
const DIRECTORY_SHARE = 8 / 4096;

/** Rows of an index whose keys are counted: ten million take a thread a third of a second, for each snapshot with other files. */
const COUNTED_ROWS_MAX = 100e6;

/** Rounds begun for damage between two snapshots. */
const REPAIRS_MAX = 8;

export interface TableIndexingOptions {
  /** Which key of the table, as `TableKey` counts them. */
  readonly key: number;
  readonly mode: IndexMode;
  readonly indexer: KeyIndexer;
  readonly memory: KeyMemory;
  readonly stored: StoredRuns | undefined;
  readonly log: (line: string) => void;
  /** Told of what there is of the index of a snapshot; nothing while it is being built. */
  readonly onChange?: ((snapshot: Snapshot, key: number, runs: readonly KeyRun[] | undefined) => void) | undefined;
}

export interface IndexStatus {
  readonly state: 'none' | 'building' | 'ready' | 'failed' | 'too_large';
  readonly reason: string;
  readonly bytes: number;
  readonly runs: number;
  /** Of the runs, those that are read from disk page by page, and their bytes there. */
  readonly runsOnDisk: number;
  readonly bytesOnDisk: number;
  /** Entries of the runs: rows with a key, those of files that are gone too until a merge leaves them out. */
  readonly entries: number;
  /** Of runs on disk the pages that lookups asked for: read, and found in memory. */
  readonly pagesRead: number;
  readonly pagesHit: number;
  /** Of the snapshot's files, those that lookups need not search. */
  readonly filesIndexed: number;
  readonly files: number;
  /** Of the indexed files of the snapshot; undefined until they were gone through, and where that cannot be told. */
  readonly count: KeyCount | undefined;
  /** While it is built. */
  readonly progress: IndexProgress | undefined;
  readonly error: ServiceError | undefined;
}

/** Whether an index of so many rows has room, where no other table takes any of it. */
export function indexFits(rows: number, room: { readonly memoryBytes: number; readonly diskBytes: number }): boolean {
  const bytes = rows * BYTES_A_KEY;
  return bytes <= room.memoryBytes || (bytes <= room.diskBytes && bytes * DIRECTORY_SHARE <= room.memoryBytes);
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
  /** Runs were dropped since the last round began. */
  #isBehind = false;
  /** Rounds begun for damage since the last snapshot came. */
  #repairs = 0;
  /** Of a run that was dropped since the last round began. */
  #damage: ServiceError | undefined = undefined;
  #error: ServiceError | undefined = undefined;
  #chargedBytes = 0;
  #running: Promise<void> | undefined = undefined;
  #counting: Promise<void> | undefined = undefined;
  #count: KeyCount | undefined = undefined;
  /** What the count is of. */
  #counted: CountedRuns | undefined = undefined;
  readonly #closing = new AbortController();

  constructor(table: string, options: TableIndexingOptions) {
    this.#table = table;
    this.#options = options;
    this.#index = new KeyIndex(options.key, options.stored?.counts);
    if (options.stored !== undefined) options.stored.onDamage = (run, thrown) => this.#dropDamaged(run, thrown);
  }

  /** To be called with each snapshot before it serves: it gets what there is of the index, and the rest is then built. */
  attach(snapshot: Snapshot): void {
    if (snapshot === this.#snapshot && this.#error === undefined && this.#damage === undefined) return;
    this.#show(undefined);
    this.#snapshot = snapshot;
    this.#choice = this.#chosen(snapshot);
    const wanted = snapshot.rows * BYTES_A_KEY;
    const { memory, stored } = this.#options;
    const fitsInMemory = memory.fits(wanted - this.#chargedBytes);
    const fitsOnDisk = stored?.fits(wanted) === true && memory.fits(wanted * DIRECTORY_SHARE - this.#chargedBytes);
    this.#isTooLarge = this.#choice.isWanted && !fitsInMemory && !fitsOnDisk;
    if (!this.#choice.isWanted || this.#isTooLarge) return;
    stored?.expect(fitsInMemory);
    if (!this.#isLoaded) {
      this.#isLoaded = true;
      this.#load();
    }
    this.#isBehind = this.#damage !== undefined;
    this.#repairs = 0;
    this.#renew();
    this.#show(this.#progress);
    this.#start();
  }

  /** Lookups that would cost too much without the index learn that it is worth coming back. */
  #show(progress: IndexProgress | undefined): void {
    const key = this.#snapshot?.keys[this.#options.key];
    if (key !== undefined) key.building = progress;
    this.#told();
  }

  #told(): void {
    const snapshot = this.#snapshot;
    const key = snapshot?.keys[this.#options.key];
    if (snapshot === undefined || key === undefined) return;
    const runs = key.index === undefined ? [] : this.#index.runs;
    this.#options.onChange?.(snapshot, this.#options.key, key.building === undefined ? runs : undefined);
  }

  get status(): IndexStatus {
    const snapshot = this.#snapshot;
    const onDisk = this.#index.runs.filter((run) => run.isStored);
    const error = this.#error ?? this.#damage;
    const base = {
      bytes: this.#index.byteLength,
      runs: this.#index.runs.length,
      runsOnDisk: onDisk.length,
      bytesOnDisk: onDisk.reduce((bytes, run) => bytes + run.runBytes, 0),
      entries: this.#index.runs.reduce((entries, run) => entries + run.entries, 0),
      pagesRead: this.#index.counts.reads,
      pagesHit: this.#index.counts.hits,
      filesIndexed: snapshot?.keys[this.#options.key]?.index?.coveredFiles ?? 0,
      files: snapshot?.files.length ?? 0,
      count: this.#running === undefined ? this.#count : undefined,
      progress: this.#progress,
      error,
    };
    if (this.#isTooLarge) return { ...base, state: 'too_large', reason: this.#tooLarge() };
    if (!this.#choice.isWanted) return { ...base, state: 'none', reason: this.#choice.reason };
    if (this.#running !== undefined) return { ...base, state: 'building', reason: this.#choice.reason };
    return { ...base, state: error === undefined ? 'ready' : 'failed', reason: this.#choice.reason };
  }

  /** Names of files on disk that are its own. */
  named(): readonly string[] {
    return this.#options.stored?.named() ?? [];
  }

  /** Resolves when nothing is being built or counted. */
  async idle(): Promise<void> {
    for (let busy = this.#busy; busy !== undefined; busy = this.#busy) await busy;
  }

  get #busy(): Promise<void> | undefined {
    return this.#running ?? this.#counting;
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error(`table ${this.#table} is closed`));
    await this.idle();
    this.#options.stored?.close();
    this.#options.memory.charge(0, this.#chargedBytes);
    this.#chargedBytes = 0;
  }

  /**
   * The runs on disk, the largest first. A process that ended between writing a merged run and removing its sources left
   * both: what covers rows again is removed.
   */
  #load(): void {
    const { stored } = this.#options;
    const covered = new Map<string, RunFile[]>();
    const again: KeyRun[] = [];
    const loaded = [...(stored?.load() ?? [])].sort((a, b) => rowsOf(b) - rowsOf(a));
    for (const run of loaded) {
      if (run.files.some((file) => covered.get(file.id)?.some((other) => overlap(file, other)) === true)) {
        again.push(run);
        continue;
      }
      for (const file of run.files) covered.set(file.id, [...(covered.get(file.id) ?? []), file]);
      this.#index.add(run);
    }
    void stored?.drop(again);
  }

  /** Lookups search the files of the run until they are indexed anew, which begins at once. */
  #dropDamaged(run: KeyRun, thrown: unknown): void {
    if (!this.#index.runs.includes(run)) return;
    this.#damage = asServiceError(thrown);
    this.#options.log(`table ${this.#table}: a run of its key index is dropped: ${this.#damage.message}`);
    this.#index.remove([run]);
    this.#count = undefined;
    this.#counted = undefined;
    this.#renew();
    void this.#options.stored?.drop([run]);
    if (this.#mayRepair()) this.#start();
  }

  /** A disk that spoils whatever is written to it is not to have all keys read again and again. */
  #mayRepair(): boolean {
    if (this.#closing.signal.aborted || this.#repairs >= REPAIRS_MAX) return false;
    this.#repairs += 1;
    this.#isBehind = true;
    return true;
  }

  #start(): void {
    this.#running ??= this.#build().finally(() => {
      this.#running = undefined;
    });
  }

  /** Until the newest snapshot is indexed. Never rejects: an index is a help, and its lack no failure. */
  async #build(): Promise<void> {
    for (let done: Snapshot | undefined; done !== this.#snapshot || this.#isBehind; ) {
      const snapshot = this.#snapshot;
      if (snapshot === undefined) return;
      this.#isBehind = false;
      this.#damage = undefined;
      const startedBytes = this.#index.byteLength;
      this.#progress = { rows: this.#index.view(snapshot.files).openRows, rowsDone: 0 };
      this.#show(this.#progress);
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
        // A merge has found damage, and its sources are dropped.
        const isRepaired = this.#error.kind === 'corrupt' && this.#mayRepair();
        const next = isRepaired ? 'is mended' : 'waits for the next refresh';
        this.#options.log(`table ${this.#table}: its key index ${next}: ${this.#error.message}`);
      }
      this.#renew();
      done = snapshot;
    }
    // What failed is tried again, and so is still worth waiting for.
    if (this.#error === undefined) this.#show(undefined);
    this.#progress = undefined;
    this.#counting ??= this.#countKeys().finally(() => {
      this.#counting = undefined;
    });
  }

  /** Until the newest runs are counted. Never rejects: a run that cannot be gone through is found out by lookups too. */
  async #countKeys(): Promise<void> {
    for (;;) {
      const wanted = this.#toCount();
      if (this.#counted !== undefined && wanted !== undefined && isSame(this.#counted, wanted)) return;
      this.#counted = wanted;
      this.#count = undefined;
      if (wanted === undefined) return;
      try {
        const { indexer, stored } = this.#options;
        const count = await indexer.count(wanted, stored, this.#closing.signal);
        if (this.#counted === wanted) this.#count = count;
      } catch {
        this.#counted = undefined;
        const now = this.#toCount();
        if (now === undefined || isSame(now, wanted)) return;
      }
    }
  }

  #toCount(): CountedRuns | undefined {
    const snapshot = this.#snapshot;
    const key = snapshot?.keys[this.#options.key];
    if (snapshot === undefined || snapshot.rows > COUNTED_ROWS_MAX || this.#closing.signal.aborted) return undefined;
    return key?.index?.counting(key.columns, snapshot.files);
  }

  /** Gives the snapshot a view of what the index has now. */
  #renew(): void {
    const bytes = this.#index.byteLength;
    this.#options.memory.charge(bytes, this.#chargedBytes);
    this.#chargedBytes = bytes;
    const snapshot = this.#snapshot;
    const key = snapshot?.keys[this.#options.key];
    if (snapshot === undefined || key === undefined) return;
    key.index = this.#index.runs.length === 0 ? undefined : this.#index.view(snapshot.files);
    this.#told();
  }

  #chosen(snapshot: Snapshot): IndexChoice {
    const key = snapshot.keys[this.#options.key];
    assert(key !== undefined, 'a snapshot has all keys of its definition');
    return chooseIndex(snapshot, key, this.#options.mode);
  }

  #tooLarge(): string {
    const { memory, stored } = this.#options;
    const needed = Math.ceil((this.#snapshot?.rows ?? 0) * BYTES_A_KEY);
    const inMemory = `does not fit in what cache.memory leaves for key indexes, ${memory.limitBytes} bytes`;
    const onDisk = stored === undefined ? '' : `, nor on disk, where an eighth of cache.disk.size is theirs`;
    return `an index of ${needed} bytes ${inMemory}${onDisk}`;
  }
}

function isSame(a: CountedRuns, b: CountedRuns): boolean {
  const isAlike = (i: number) => a.runs[i] === b.runs[i] && `${a.groups[i]}` === `${b.groups[i]}`;
  return a.runs.length === b.runs.length && a.runs.every((_, i) => isAlike(i));
}

function rowsOf({ firstPositions }: KeyRun): number {
  return firstPositions.at(-1) ?? 0;
}

function overlap(a: RunFile, b: RunFile): boolean {
  return a.firstRow < b.firstRow + b.rows && b.firstRow < a.firstRow + a.rows;
}
