/**
 * Local files as an object store: the key is the absolute path.
 *
 * A file can change under a reader, and no header tells. So the version is checked after the bytes are in hand, twice:
 * the descriptor's (the file was written in place) and the path's (another file took its name). A read that passes
 * both returns bytes of the version that was asked for, whatever happened before or happens next.
 */

import { read, stat } from 'node:fs';
import { isAbsolute } from 'node:path';
import { promisify } from 'node:util';
import { assert, type ByteRange, rangeLength, ServiceError } from '../core/index.ts';
import { abortable } from './abortable.ts';
import { DescriptorPool, type OpenFile } from './descriptor-pool.ts';
import { changed, fileError, readError } from './file-errors.ts';
import { listFiles } from './file-listing.ts';
import { fileMeta } from './file-version.ts';
import {
  assertRangeInside,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type RequestOptions,
} from './object-store.ts';
import { VersionChecks } from './version-checks.ts';

const readDescriptor = promisify(read);
const statPath = promisify(stat);

/** One read of the system call takes less than 2 GiB; larger ranges take several. */
const READ_BYTES_MAX = 1 << 30;

export interface FileStoreOptions {
  /** Descriptors kept open, which also bounds the reads at once. */
  readonly maxDescriptors?: number;
  /** Reads that may wait for one of them. */
  readonly maxQueued?: number;
}

export class FileStore implements ObjectStore {
  readonly kind = 'file';
  readonly cheapReads = true;
  readonly #descriptors: DescriptorPool;
  readonly #checks = new VersionChecks();
  #closed = false;

  constructor(options: FileStoreOptions = {}) {
    this.#descriptors = new DescriptorPool(options.maxDescriptors ?? 256, options.maxQueued ?? 16_384);
  }

  async head(key: string, options: RequestOptions = {}): Promise<ObjectMeta> {
    this.#check(key, options.signal);
    try {
      return fileMeta(await abortable(statPath(key, { bigint: true }), options.signal), key);
    } catch (error) {
      options.signal?.throwIfAborted();
      throw fileError(error, key);
    }
  }

  async getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    this.#check(object.key, options.signal);
    assertRangeInside(object, range);
    const { signal, into } = options;
    assert(into === undefined || into.length === rangeLength(range), 'memory for a range is as long as it');
    const work = this.#descriptors.use(
      object.key,
      object.eTag,
      (file) => readExactly(file, object, range, into, this.#checks),
      signal,
    );
    try {
      return await abortable(work, signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw readError(error, object);
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectMeta> {
    this.#check(prefix, options.signal);
    yield* listFiles(prefix, options);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#descriptors.close();
  }

  /** Descriptors open now; for tests and metrics. */
  get openDescriptors(): number {
    return this.#descriptors.held;
  }

  #check(path: string, signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    assert(!this.#closed, 'the file store is closed');
    if (!isAbsolute(path) || path.includes('\0')) {
      const message = `${JSON.stringify(path)} is no key of a local file; give an absolute path`;
      throw new ServiceError('invalid', 'invalid_path', message, { key: path });
    }
  }
}

async function readExactly(
  file: OpenFile,
  object: ObjectMeta,
  range: ByteRange,
  into: Uint8Array | undefined,
  checks: VersionChecks,
): Promise<Uint8Array> {
  if (file.eTag !== object.eTag) throw changed(object, 'is another version now');
  const bytes = into ?? Buffer.allocUnsafeSlow(rangeLength(range));
  let filled = 0;
  while (filled < bytes.length) {
    const wanted = Math.min(bytes.length - filled, READ_BYTES_MAX);
    const { bytesRead } = await readDescriptor(file.descriptor, bytes, filled, wanted, range.start + filled);
    if (bytesRead === 0) throw changed(object, `ended ${bytes.length - filled} bytes short of a range inside it`);
    filled += bytesRead;
  }
  await checks.check(file, object);
  return bytes;
}
