/**
 * The runs of a table's key index on disk, so that a restart has no key to read again and memory need not hold all of them.
 *
 * Each run is one immutable file, named after the table and its key columns; it says itself which files' rows it has, at
 * which versions, so that no list of runs is kept beside them. What was damaged is missing, and its keys are indexed anew.
 *
 * A run that fits is read into memory whole. One that does not stays where it is: its directory is kept, and a lookup reads
 * the page that its key's fingerprint leads to.
 */

import { createHash } from 'node:crypto';
import type { DiskFiles, PagedFile } from '../cache/index.ts';
import { ServiceError } from '../core/index.ts';
import { KeyRun, type PageCounts, runInMemory } from '../keyindex/index.ts';
import type { KeyMemory } from './key-memory.ts';

/** Of what key indexes may hold, the part that runs leave to pages, where an index does not fit whole. */
const RUNS_SHARE = 1 / 2;

/** A run that is about to be written by a thread. */
export interface RunPlace {
  readonly path: string;
  /** When it was written. Rejects where it cannot be taken. */
  finish(): Promise<KeyRun>;
  /** Where it was not. Never rejects. */
  cancel(): Promise<void>;
}

export class StoredRuns {
  /** Told of a run that cannot be read as it was written. */
  onDamage: (run: KeyRun, thrown: unknown) => void = () => undefined;
  /** Of pages that lookups asked for. */
  readonly counts: PageCounts = { reads: 0, hits: 0 };
  readonly #files: DiskFiles;
  readonly #memory: KeyMemory;
  readonly #prefix: string;
  readonly #names = new Map<KeyRun, string>();
  readonly #opened = new Map<KeyRun, PagedFile>();
  #share = 1;
  #next = 0;

  /** `place` tells the table and what its keys are, so that no other table reads its runs. */
  constructor(files: DiskFiles, memory: KeyMemory, place: readonly string[]) {
    this.#files = files;
    this.#memory = memory;
    this.#prefix = `keys-${createHash('sha256').update(JSON.stringify(place)).digest('hex').slice(0, 24)}-`;
  }

  /** Whether an index of so many bytes has room on disk, beside that of other tables. */
  fits(bytes: number): boolean {
    let own = 0;
    for (const run of this.#names.keys()) own += run.runBytes;
    return bytes <= this.#files.roomBytes + own;
  }

  /** Says whether the whole index fits in memory; where it does not, runs leave some for pages. */
  expect(isWholeInMemory: boolean): void {
    this.#share = isWholeInMemory ? 1 : RUNS_SHARE;
  }

  /** The runs that are whole. What was left by a process that ended between two steps is sorted out by whoever uses them. */
  load(): readonly KeyRun[] {
    let heldBytes = 0;
    for (const name of this.#files.names()) {
      const ordinal = name.startsWith(this.#prefix) ? Number.parseInt(name.slice(this.#prefix.length), 36) : Number.NaN;
      if (!(ordinal >= 0)) continue;
      this.#next = Math.max(this.#next, ordinal + 1);
      const file = this.#files.open(name);
      if (file === undefined) continue;
      const isHeld = this.#memory.fits(heldBytes + file.byteLength, this.#share);
      if (isHeld) file.close();
      const run = sound(() => (isHeld ? this.#readWhole(name) : this.#openStored(file)));
      if (run === undefined) {
        file.close();
        continue;
      }
      heldBytes += run.byteLength;
      this.#names.set(run, name);
    }
    return [...this.#names.keys()];
  }

  /** Where a run of so many bytes is to be written; undefined where it is to be made in memory, in place of `instead`. */
  begin(bytes: number, instead: readonly KeyRun[] = []): RunPlace | undefined {
    const replaced = instead.reduce((sum, run) => sum + run.byteLength, 0);
    if (this.#memory.fits(bytes - replaced, this.#share)) return undefined;
    this.checkRoom(bytes);
    const path = this.#files.aside();
    return {
      path,
      finish: async () => {
        const name = this.#newName();
        const run = this.#openStored(await this.#files.adopt(path, name));
        this.#names.set(run, name);
        return run;
      },
      cancel: () => this.#files.discard(path),
    };
  }

  hasRoom(bytes: number): boolean {
    return bytes <= this.#files.roomBytes;
  }

  /** Never rejects; a run that could not be written is made again after a restart. */
  async keep(run: KeyRun): Promise<void> {
    if (run.bytes === undefined) return;
    const name = this.#newName();
    this.#names.set(run, name);
    await this.#files.write(name, run.bytes);
  }

  async drop(runs: readonly KeyRun[]): Promise<void> {
    for (const run of runs) {
      const name = this.#names.get(run);
      this.#close(run);
      this.#names.delete(run);
      if (name !== undefined) await this.#files.remove(name);
    }
  }

  /** Where a thread finds the run that is not in memory. */
  pathOf(run: KeyRun): string | undefined {
    return this.#opened.get(run)?.path;
  }

  named(): readonly string[] {
    return [...this.#names.values()];
  }

  close(): void {
    for (const run of [...this.#opened.keys()]) this.#close(run);
  }

  checkRoom(bytes: number): void {
    if (this.hasRoom(bytes)) return;
    const message = `a run of a key index of ${bytes} bytes does not fit in what cache.disk leaves for key indexes, ${this.#files.roomBytes} bytes`;
    throw new ServiceError('unavailable', 'unavailable', message);
  }

  #newName(): string {
    return `${this.#prefix}${(this.#next++).toString(36)}`;
  }

  #close(run: KeyRun): void {
    run.close();
    this.#opened.delete(run);
  }

  #readWhole(name: string): KeyRun | undefined {
    const bytes = this.#files.read(name);
    return bytes && KeyRun.open(runInMemory((sink) => sink(bytes)));
  }

  #openStored(file: PagedFile): KeyRun {
    const onDamage = (thrown: unknown) => {
      this.#files.fault('a page of a key index cannot be read', thrown);
      this.onDamage(run, thrown);
    };
    const run = KeyRun.openStored(file, { cache: this.#memory.pages, onDamage, counts: this.counts });
    this.#opened.set(run, file);
    return run;
  }
}

function sound(open: () => KeyRun | undefined): KeyRun | undefined {
  try {
    return open();
  } catch (thrown) {
    if (thrown instanceof ServiceError && thrown.kind === 'corrupt') return undefined;
    throw thrown;
  }
}
