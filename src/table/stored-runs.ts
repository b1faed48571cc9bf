/**
 * The runs of a table's key index on disk, so that a restart has no key to read again.
 *
 * Each run is one immutable file, named after the table and its key columns; it says itself which files' rows it has, at
 * which versions, so that no list of runs is kept beside them. What was damaged is missing, and its keys are indexed anew.
 */

import { createHash } from 'node:crypto';
import type { DiskFiles } from '../cache/index.ts';
import { ServiceError } from '../core/index.ts';
import { KeyRun, runInMemory } from '../keyindex/index.ts';

export class StoredRuns {
  readonly #files: DiskFiles;
  readonly #prefix: string;
  readonly #names = new Map<KeyRun, string>();
  #next = 0;

  /** `place` tells the table and what its keys are, so that no other table reads its runs. */
  constructor(files: DiskFiles, place: readonly string[]) {
    this.#files = files;
    this.#prefix = `keys-${createHash('sha256').update(JSON.stringify(place)).digest('hex').slice(0, 24)}-`;
  }

  /** The runs that are whole. What was left by a process that ended between two steps is sorted out by whoever uses them. */
  load(): readonly KeyRun[] {
    for (const name of this.#files.names()) {
      const ordinal = name.startsWith(this.#prefix) ? Number.parseInt(name.slice(this.#prefix.length), 36) : Number.NaN;
      if (!(ordinal >= 0)) continue;
      this.#next = Math.max(this.#next, ordinal + 1);
      const run = this.#read(name);
      if (run !== undefined) this.#names.set(run, name);
    }
    return [...this.#names.keys()];
  }

  /** Never rejects; a run that could not be written is made again after a restart. */
  async keep(run: KeyRun): Promise<void> {
    const name = `${this.#prefix}${(this.#next++).toString(36)}`;
    this.#names.set(run, name);
    await this.#files.write(name, run.bytes);
  }

  async drop(runs: readonly KeyRun[]): Promise<void> {
    for (const run of runs) {
      const name = this.#names.get(run);
      this.#names.delete(run);
      if (name !== undefined) await this.#files.remove(name);
    }
  }

  named(): readonly string[] {
    return [...this.#names.values()];
  }

  #read(name: string): KeyRun | undefined {
    const bytes = this.#files.read(name);
    if (bytes === undefined) return undefined;
    try {
      return KeyRun.open(runInMemory((sink) => sink(bytes)));
    } catch (thrown) {
      if (thrown instanceof ServiceError && thrown.kind === 'corrupt') return undefined;
      throw thrown;
    }
  }
}
