/**
 * The folder of the disk tier, and who owns it: one process at a time.
 *
 * The lock is that of SQLite on a file, which the operating system takes back from a process however it ends, and which
 * holds between containers too, where process ids mean nothing. A folder that was deleted under its owner is the owner's
 * no longer: another process may have made it anew.
 */

import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';

const LOCK_NAME = 'lock';

export class DiskFolder {
  readonly path: string;
  readonly #lock: DatabaseSync;
  readonly #inode: bigint;

  private constructor(path: string, lock: DatabaseSync) {
    this.path = path;
    this.#lock = lock;
    this.#inode = inodeOf(join(path, LOCK_NAME));
  }

  /** Undefined where another process owns the folder. Throws where it cannot be made or written. */
  static own(path: string): DiskFolder | undefined {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    // Loaded only here: most processes have no disk tier, and some versions of Node warn that the module is young.
    const { DatabaseSync: Database } = createRequire(import.meta.url)('node:sqlite') as typeof import('node:sqlite');
    const lock = new Database(join(path, LOCK_NAME));
    try {
      lock.exec(
        'PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE',
      );
      return new DiskFolder(path, lock);
    } catch (thrown) {
      lock.close();
      if (isBusy(thrown)) return undefined;
      throw thrown;
    }
  }

  /** Throws where the folder is no longer the one that was locked. */
  check(): void {
    if (inodeOf(join(this.path, LOCK_NAME)) !== this.#inode) {
      throw new Error(`${this.path} was replaced while it was in use`);
    }
  }

  /** A folder in it, made where it is missing, and the names in that. */
  subfolder(name: string): { readonly path: string; readonly names: readonly string[] } {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true });
    return { path, names: readdirSync(path) };
  }

  release(): void {
    this.#lock.close();
  }
}

function inodeOf(path: string): bigint {
  return statSync(path, { bigint: true }).ino;
}

/** SQLITE_BUSY. */
function isBusy(thrown: unknown): boolean {
  return (thrown as { readonly errcode?: unknown }).errcode === 5;
}
