/**
 * A copy on a local disk. It is written aside under a hidden name, which no source lists, and takes its own name when it
 * is whole.
 *
 *     one file    `.NAME.rewriting-PID` is renamed over NAME, in one step
 *     a folder    NAME is renamed to `.NAME.rewriting-PID.replaced` · `.NAME.rewriting-PID` to NAME · the old one goes
 *
 * A folder that is not empty cannot be renamed over, so a kill between those two renames leaves no NAME. Both folders are
 * whole then, and the next rewrite to it begins by putting the new one in its place.
 */

import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { assert, ServiceError } from '../core/index.ts';
import { diskFault } from './disk-fault.ts';
import type { ByteSink } from './file-writer.ts';
import type { RewriteTarget } from './target.ts';
import { foldersOf, isOurs, partName, SUCCESS } from './target-files.ts';

export class LocalTarget implements RewriteTarget {
  readonly isOneFile: boolean;
  readonly path: string;
  readonly #aside: string;
  readonly #force: boolean;
  readonly #folders = new Set<string>();
  #handle: FileHandle | undefined;
  #files = 0;
  #replaces = 0;

  private constructor(path: string, isOneFile: boolean, force: boolean) {
    this.path = path;
    this.isOneFile = isOneFile;
    this.#force = force;
    this.#aside = join(dirname(path), `${asidePrefix(path)}${process.pid}`);
  }

  static async open(path: string, isOneFile: boolean, force: boolean): Promise<LocalTarget> {
    if (path === '') throw invalid('the target must not be the root folder');
    const target = new LocalTarget(path, isOneFile, force);
    await target.#check();
    return target;
  }

  get replaces(): number {
    return this.#replaces;
  }

  async #check(): Promise<void> {
    const found = await stat(this.path).catch(ifMissing);
    if (found === undefined) return;
    if (found.isDirectory() === this.isOneFile) {
      throw invalid(
        `${this.path} is ${this.isOneFile ? 'a folder: name a file in it, or end it otherwise' : 'a file'}`,
      );
    }
    const names = this.isOneFile ? [basename(this.path)] : await filesBelow(this.path);
    if (names.length === 0) return;
    if (!this.#force) throw invalid(`${this.path} exists; choose another target, or give --force to replace it`);
    const foreign = this.isOneFile ? undefined : names.find((name) => !isOurs(name));
    if (foreign !== undefined) {
      throw invalid(`${this.path} holds ${foreign}, which no rewrite made, so the folder is not replaced`);
    }
    this.#replaces = names.filter((name) => !name.endsWith(SUCCESS)).length;
  }

  async begin(): Promise<void> {
    const parent = dirname(this.path);
    await mkdir(parent, { recursive: true });
    if (!this.isOneFile) await finishKilled(this.path);
    await this.#check();
    // Of an earlier process that had this one's number.
    await rm(this.#aside, { recursive: true, force: true });
    if (!this.isOneFile) await mkdir(this.#aside);
  }

  async nextFile(folder: string): Promise<ByteSink> {
    assert(this.#handle === undefined, 'one file is written at a time');
    this.#folders.add(folder);
    const path = this.isOneFile ? this.#aside : join(this.#aside, folder, partName(this.#files));
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(path, 'wx');
    this.#handle = handle;
    this.#files += 1;
    return {
      write: async (bytes) => {
        try {
          for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
        } catch (thrown) {
          throw diskFault(thrown, dirname(this.path), 'the target');
        }
      },
    };
  }

  async endFile(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle
      ?.sync()
      .catch((thrown: unknown) => {
        throw diskFault(thrown, dirname(this.path), 'the target');
      })
      .finally(() => handle.close());
  }

  /** Gives the copy its name. */
  async commit(): Promise<void> {
    await this.#check();
    if (this.isOneFile) await this.#nameFile();
    else await this.#nameFolder();
    await syncFolder(dirname(this.path));
  }

  async #nameFile(): Promise<void> {
    if (!this.#force && (await linked(this.#aside, this.path))) await unlink(this.#aside);
    else await rename(this.#aside, this.path);
  }

  async #nameFolder(): Promise<void> {
    for (const folder of foldersOf(this.#folders)) {
      await writeFile(join(this.#aside, folder, SUCCESS), '');
      await syncFolder(join(this.#aside, folder));
    }
    const replaced = `${this.#aside}${REPLACED}`;
    const existed = (await stat(this.path).catch(ifMissing)) !== undefined;
    if (existed) await rename(this.path, replaced);
    await rename(this.#aside, this.path);
    await syncFolder(dirname(this.path));
    if (existed) await removeReplaced(replaced, this.path);
  }

  async abort(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    await rm(this.#aside, { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

const REPLACED = '.replaced';

function asidePrefix(path: string): string {
  return `.${basename(path)}.rewriting-`;
}

/** Ends what a killed process had begun: its two renames, or the removal after them. */
async function finishKilled(path: string): Promise<void> {
  const parent = dirname(path);
  const prefix = asidePrefix(path);
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || !name.endsWith(REPLACED)) continue;
    const pid = Number(name.slice(prefix.length, -REPLACED.length));
    if (!Number.isSafeInteger(pid) || pid <= 0) continue;
    if (isAlive(pid)) throw invalid(`${path} is being replaced by another rewrite (process ${pid}); wait for it`);
    const aside = join(parent, name.slice(0, -REPLACED.length));
    const isNamed = (await stat(path).catch(ifMissing)) !== undefined;
    const isAside = (await stat(aside).catch(ifMissing)) !== undefined;
    if (!isNamed && !isAside) continue;
    if (!isNamed) await rename(aside, path);
    await removeReplaced(join(parent, name), path);
  }
}

/** What was put into the folder since it was looked at is nobody's to remove. */
async function removeReplaced(folder: string, path: string): Promise<void> {
  const foreign = (await filesBelow(folder)).find((name) => !isOurs(name));
  if (foreign === undefined) return rm(folder, { recursive: true });
  throw invalid(
    `the new ${path} stands, but ${foreign} was put into the old one meanwhile; it is kept in ${folder}: move it from there and remove that folder`,
  );
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

/** Unlike a rename it never replaces; false where the file system knows no second names. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw invalid(`${to} was made meanwhile by somebody else; choose another target`);
    return false;
  }
}

/** So that the name outlives a power cut, where the system can promise that. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

function ifMissing(thrown: NodeJS.ErrnoException): undefined {
  if (thrown.code !== 'ENOENT') throw thrown;
  return undefined;
}

function invalid(message: string): ServiceError {
  return new ServiceError('invalid', 'invalid_target', message);
}
