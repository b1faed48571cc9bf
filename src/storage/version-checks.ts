/**
 * Checks that a file still has the version that was asked for, after its bytes were read; reads that end while a check
 * of their file runs share the next.
 *
 *     read, read, read ..     each with its bytes in hand
 *          check | check      a read joins the first check that begins after its bytes came
 *
 * A lookup that reads pages of fifty columns would else ask the system a hundred times over, and each question
 * waits for a thread behind the reads that wait for one.
 */

import { fstat, stat } from 'node:fs';
import { promisify } from 'node:util';
import type { OpenFile } from './descriptor-pool.ts';
import { changed } from './file-errors.ts';
import { versionOf } from './file-version.ts';
import type { ObjectMeta } from './object-store.ts';

const statDescriptor = promisify(fstat);
const statPath = promisify(stat);

export class VersionChecks {
  /** By open file, since what is checked is that and its path. */
  readonly #running = new WeakMap<OpenFile, Promise<void>>();
  /** Not begun yet. */
  readonly #next = new WeakMap<OpenFile, Promise<void>>();

  /** Resolves when a check that began after this call found the object's version. Throws `changed`. */
  check(file: OpenFile, object: ObjectMeta): Promise<void> {
    let next = this.#next.get(file);
    if (next === undefined) {
      next = this.#begin(file, object);
      this.#next.set(file, next);
    }
    return next;
  }

  async #begin(file: OpenFile, object: ObjectMeta): Promise<void> {
    // Whoever waits for that one hears of what it finds.
    await this.#running.get(file)?.catch(() => undefined);
    this.#next.delete(file);
    const check = checkVersion(file.descriptor, object);
    this.#running.set(file, check);
    await check;
  }
}

async function checkVersion(descriptor: number, object: ObjectMeta): Promise<void> {
  const [open, named] = await Promise.all([
    statDescriptor(descriptor, { bigint: true }),
    statPath(object.key, { bigint: true }),
  ]);
  if (versionOf(open, object.key) !== object.eTag) throw changed(object, 'was written to');
  if (versionOf(named, object.key) !== object.eTag) throw changed(object, 'was replaced by another file');
}
