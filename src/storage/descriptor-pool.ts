/**
 * Open descriptors of files, kept for the next read, least recently used closed first.
 *
 * Opening a file costs as much as reading a page of it, and a descriptor that stays open goes on naming the same inode
 * when the path is given to another file, which is what keeps one answer on one version. Their number is bounded, in
 * use and idle together: a read that finds as many readers as descriptors waits its turn. Descriptors are closed
 * synchronously (a microsecond for a file that was only read), so that the count is exact at every moment.
 */

import { closeSync, constants, fstat, open } from 'node:fs';
import { promisify } from 'node:util';
import { assert } from '../core/index.ts';
import { versionOf } from './file-version.ts';
import { Gate } from './gate.ts';

const openFile = promisify(open);
const statDescriptor = promisify(fstat);

/** A FIFO would block its opener for ever; opened so, it answers at once and is refused by its type. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

export interface OpenFile {
  readonly descriptor: number;
  /** The version that the file had when it was opened. */
  readonly eTag: string;
}

interface Entry {
  readonly path: string;
  readonly opened: Promise<OpenFile>;
  /** Readers that use it or wait for it to open; an idle entry has none. */
  users: number;
  /** No longer in the pool; closed when its last user leaves. */
  dropped: boolean;
  /** Set once the file is open. */
  file: OpenFile | undefined;
}

export class DescriptorPool {
  /** In order of use, the least recent first. */
  readonly #entries = new Map<string, Entry>();
  readonly #gate: Gate;
  readonly #maxDescriptors: number;
  #held = 0;
  #closed = false;
  /** Called when the last descriptor is closed. */
  #onEmpty: () => void = () => undefined;

  constructor(maxDescriptors: number, maxQueued: number) {
    this.#maxDescriptors = maxDescriptors;
    this.#gate = new Gate({ maxConcurrent: maxDescriptors, maxQueued, name: 'reads of local files' });
  }

  /** Descriptors open or being opened. */
  get held(): number {
    return this.#held;
  }

  /**
   * Runs `work` with a descriptor of the file at `path`. A kept descriptor of another version than `eTag` is replaced
   * first; whether the fresh one has that version is for `work` to judge. A descriptor that `work` failed with is not
   * kept.
   */
  use<T>(path: string, eTag: string, work: (file: OpenFile) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#gate.run(async () => {
      const entry = (await this.#joinKept(path, eTag)) ?? this.#openNew(path);
      try {
        return await work(await entry.opened);
      } catch (error) {
        this.#drop(entry);
        throw error;
      } finally {
        this.#leave(entry);
      }
    }, signal);
  }

  async #joinKept(path: string, eTag: string): Promise<Entry | undefined> {
    const kept = this.#entries.get(path);
    if (kept === undefined) return undefined;
    kept.users += 1;
    const file = await kept.opened.catch(() => undefined);
    if (file?.eTag === eTag && !kept.dropped) {
      this.#entries.delete(path);
      this.#entries.set(path, kept);
      return kept;
    }
    this.#drop(kept);
    this.#leave(kept);
    return undefined;
  }

  #openNew(path: string): Entry {
    assert(!this.#closed, 'the file store is closed');
    const other = this.#entries.get(path);
    if (other !== undefined) this.#drop(other);
    if (this.#held >= this.#maxDescriptors) this.#closeIdle();
    this.#held += 1;
    const entry: Entry = { path, opened: this.#open(path), users: 1, dropped: false, file: undefined };
    entry.opened.then(
      (file) => {
        entry.file = file;
      },
      () => undefined,
    );
    this.#entries.set(path, entry);
    return entry;
  }

  async #open(path: string): Promise<OpenFile> {
    let descriptor: number | undefined;
    try {
      descriptor = await openFile(path, OPEN_FLAGS);
      return { descriptor, eTag: versionOf(await statDescriptor(descriptor, { bigint: true }), path) };
    } catch (error) {
      if (descriptor !== undefined) closeSync(descriptor);
      this.#release();
      throw error;
    }
  }

  /** The gate admits no more readers than descriptors and this one has none yet, so in a full pool one is idle. */
  #closeIdle(): void {
    const idle = this.#entries.values().find((entry) => entry.users === 0);
    assert(idle !== undefined, 'a full descriptor pool has an idle descriptor when a reader has none');
    this.#drop(idle);
  }

  #drop(entry: Entry): void {
    if (entry.dropped) return;
    entry.dropped = true;
    if (this.#entries.get(entry.path) === entry) this.#entries.delete(entry.path);
    if (entry.users === 0) this.#close(entry);
  }

  #leave(entry: Entry): void {
    entry.users -= 1;
    if (entry.dropped && entry.users === 0) this.#close(entry);
  }

  #close(entry: Entry): void {
    if (entry.file === undefined) return;
    closeSync(entry.file.descriptor);
    this.#release();
  }

  /** Closes what is idle now, and waits for reads under way, whose callers may have left, to close the rest; those still waiting for a turn fail. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of [...this.#entries.values()]) this.#drop(entry);
    if (this.#held === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    await promise;
  }

  #release(): void {
    this.#held -= 1;
    if (this.#held === 0) this.#onEmpty();
  }
}
