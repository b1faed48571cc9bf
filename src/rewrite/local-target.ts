/**
 * Where the copy goes: one `.parquet` file, or a folder of them. It is written aside under a hidden name, which no source
 * lists, and takes its own name when it is whole; what a killed run leaves is that hidden thing alone.
 */

import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ServiceError } from '../core/index.ts';
import { parseSourceUri } from '../storage/index.ts';
import type { ByteSink } from './file-writer.ts';

const OUR_FILE = /^part-[0-9]{5,}\.parquet$/;

export class LocalTarget {
  /** False where the target is a folder, of as many files as it takes. */
  readonly isOneFile: boolean;
  readonly path: string;
  readonly #aside: string;
  readonly #force: boolean;
  #handle: FileHandle | undefined;
  #files = 0;

  private constructor(path: string, isOneFile: boolean, force: boolean) {
    this.path = path;
    this.isOneFile = isOneFile;
    this.#force = force;
    this.#aside = join(dirname(path), `.${basename(path)}.rewriting-${process.pid}`);
  }

  /** Refuses what could not be replaced at the end. A target that ends in `.parquet` is one file. */
  static async open(uri: string, force: boolean): Promise<LocalTarget> {
    const source = parseSourceUri(uri);
    if (source.scheme !== 'file' || source.kind === 'glob') {
      throw invalid(`the target ${uri} must be a local path; write there and copy it to S3 with your own tools`);
    }
    const path = source.kind === 'object' ? source.key : source.prefix.replace(/\/+$/, '');
    if (path === '') throw invalid('the target must not be the root folder');
    const target = new LocalTarget(path, source.kind === 'object' && path.endsWith('.parquet'), force);
    await target.#check();
    return target;
  }

  async #check(): Promise<void> {
    const found = await stat(this.path).catch(() => undefined);
    if (found === undefined) return;
    if (found.isDirectory() === this.isOneFile) {
      throw invalid(
        `${this.path} is ${this.isOneFile ? 'a folder: name a file in it, or end it otherwise' : 'a file'}`,
      );
    }
    const names = this.isOneFile ? undefined : await readdir(this.path);
    if (names?.length === 0) return;
    if (!this.#force) throw invalid(`${this.path} exists; choose another target, or give --force to replace it`);
    const foreign = names?.find((name) => !OUR_FILE.test(name));
    if (foreign !== undefined) {
      throw invalid(`${this.path} holds ${foreign}, which no rewrite made, so the folder is not replaced`);
    }
  }

  async nextFile(): Promise<ByteSink> {
    if (!this.isOneFile) await mkdir(this.#aside, { recursive: true });
    else await mkdir(dirname(this.path), { recursive: true });
    const name = `part-${String(this.#files).padStart(5, '0')}.parquet`;
    const handle = await open(this.isOneFile ? this.#aside : join(this.#aside, name), 'w');
    this.#handle = handle;
    this.#files += 1;
    return {
      async write(bytes) {
        for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
      },
    };
  }

  async endFile(): Promise<void> {
    await this.#handle?.sync();
    await this.#handle?.close();
    this.#handle = undefined;
  }

  /** Gives the copy its name. */
  async commit(): Promise<void> {
    await this.#check();
    const replaced = `${this.#aside}.replaced`;
    const existed = !this.isOneFile && (await stat(this.path).catch(() => undefined)) !== undefined;
    if (existed) await rename(this.path, replaced);
    await rename(this.#aside, this.path);
    if (existed) await rm(replaced, { recursive: true });
  }

  async abort(): Promise<void> {
    await this.#handle?.close();
    await rm(this.#aside, { recursive: true, force: true });
  }
}

function invalid(message: string): ServiceError {
  return new ServiceError('invalid', 'invalid_target', message);
}
