/**
 * A copy in S3. Its objects are multipart uploads of which none is completed before every part of every one is there, so
 * that nothing can be seen of a copy that fails. Then
 *
 *     one file    completed: it appears, or takes the place of the old one, in one step
 *     a folder    the old `_SUCCESS` goes · the new objects appear · the old ones go · `_SUCCESS`, the root's last
 *
 * A reader that waits for `_SUCCESS` never sees a part. One that does not may, for the seconds that completing takes, see
 * a part of the first copy, or rows twice where a copy is replaced; it never misses a row that was there.
 */

import { assert, ServiceError, systemRandom } from '../core/index.ts';
import { S3Connection, type S3Settings, type S3Upload, S3Writer } from '../storage/index.ts';
import type { ByteSink } from './file-writer.ts';
import type { RewriteTarget } from './target.ts';
import { foldersOf, isOurs, partName, runName, SUCCESS } from './target-files.ts';

export class S3Target implements RewriteTarget {
  readonly isOneFile: boolean;
  readonly path: string;
  readonly #writer: S3Writer;
  readonly #connection: S3Connection;
  /** A key, or a prefix that ends with a slash or is empty. */
  readonly #place: string;
  readonly #force: boolean;
  /** New objects never have the names of old ones. */
  readonly #run = runName(systemRandom);
  readonly #uploads: S3Upload[] = [];
  readonly #folders = new Set<string>();
  #replaced: readonly string[] = [];
  #signal: AbortSignal | undefined;

  private constructor(connection: S3Connection, bucket: string, place: string, isOneFile: boolean, force: boolean) {
    this.#connection = connection;
    this.#writer = new S3Writer(connection, bucket);
    this.isOneFile = isOneFile;
    this.#place = isOneFile || place === '' || place.endsWith('/') ? place : `${place}/`;
    this.path = `s3://${bucket}/${this.#place}`;
    this.#force = force;
  }

  static async open(
    bucket: string,
    place: string,
    isOneFile: boolean,
    force: boolean,
    s3: S3Settings,
  ): Promise<S3Target> {
    const connection = new S3Connection(s3);
    const target = new S3Target(connection, bucket, place, isOneFile, force);
    try {
      await target.#check();
    } catch (thrown) {
      await connection.close();
      throw thrown;
    }
    return target;
  }

  get replaces(): number {
    return this.#replaced.filter((key) => !key.endsWith(SUCCESS)).length;
  }

  async #check(): Promise<void> {
    this.#replaced = await this.#existing();
    const [first] = this.#replaced;
    if (first !== undefined && !this.#force) {
      throw invalid(`${this.path} exists; choose another target, or give --force to replace it`);
    }
    if (this.isOneFile) return;
    const foreign = this.#replaced.find((key) => !isOurs(key.slice(this.#place.length)));
    if (foreign === undefined) return;
    throw invalid(`${this.path} holds ${foreign}, which no rewrite made, so the folder is not replaced`);
  }

  async #existing(): Promise<readonly string[]> {
    if (this.isOneFile) return (await this.#writer.find(this.#place)) === undefined ? [] : [this.#place];
    const keys: string[] = [];
    for await (const { key } of this.#writer.list(this.#place)) {
      // Consoles make such an object for an empty folder.
      if (key !== this.#place) keys.push(key);
    }
    return keys;
  }

  async begin(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
  }

  async nextFile(folder: string): Promise<ByteSink> {
    assert(this.#signal !== undefined, 'a target is begun before its files');
    this.#folders.add(folder);
    const key = this.isOneFile ? this.#place : `${this.#place}${folder}${partName(this.#uploads.length, this.#run)}`;
    const upload = await this.#writer.begin(key, this.#signal);
    this.#uploads.push(upload);
    return upload;
  }

  async endFile(): Promise<void> {
    await this.#uploads.at(-1)?.flush();
  }

  async commit(): Promise<void> {
    await this.#check();
    const old = this.#replaced;
    const marks = old.filter((key) => key.endsWith(`/${SUCCESS}`) || key === SUCCESS);
    if (!this.isOneFile) await each(marks, (key) => this.#writer.remove(key));
    const completed: string[] = [];
    try {
      while (this.#uploads.length > 0) {
        const [upload] = this.#uploads;
        if (upload === undefined) break;
        await upload.complete({ isNew: !this.isOneFile || !this.#force });
        completed.push(upload.key);
        this.#uploads.shift();
      }
    } catch (thrown) {
      if (!this.isOneFile) await this.#takeBack(completed, marks);
      throw thrown;
    }
    if (this.isOneFile) return;
    await each(old, (key) => this.#writer.remove(key));
    for (const folder of foldersOf(this.#folders)) {
      await this.#writer.put(`${this.#place}${folder}${SUCCESS}`, new Uint8Array());
    }
  }

  /** The copy that was there is whole as before. */
  async #takeBack(completed: readonly string[], marks: readonly string[]): Promise<void> {
    await each(completed, (key) => this.#writer.remove(key));
    await each(marks, (key) => this.#writer.put(key, new Uint8Array()));
  }

  async abort(): Promise<void> {
    // One that cannot be given up is left to the bucket's lifecycle; the failure that led here is what is told.
    await Promise.allSettled(this.#uploads.splice(0).map((upload) => upload.abort()));
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

/** One after another: there are few, and the order of what vanishes is then plain. */
async function each(keys: readonly string[], act: (key: string) => Promise<void>): Promise<void> {
  for (const key of keys) await act(key);
}

function invalid(message: string): ServiceError {
  return new ServiceError('invalid', 'invalid_target', message);
}
