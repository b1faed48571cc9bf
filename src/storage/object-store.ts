/**
 * The one interface to bytes that lie elsewhere.
 *
 * An object is read only at the version that a listing or `head` reported: a store never returns bytes of another
 * version, it throws `changed`. Decorators (retry, limit, instrument) implement the same interface, one concern each.
 */

import { assert, type ByteRange } from '../core/index.ts';

export interface ObjectMeta {
  /** S3 key, absolute path of a local file, or URL. */
  readonly key: string;
  readonly sizeBytes: number;
  /**
   * Strong version: S3's ETag with its quotes; for a local file device, inode, size and mtime in
   * nanoseconds; for a URL its strong ETag or what stands for one, empty where its server names no version.
   */
  readonly eTag: string;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whose HTTP requests these are; decorators pass it on. */
  readonly account?: RequestAccount | undefined;
  /** Parts of this range will be asked for soon: who can holds it a while. Its bytes may then not be changed. */
  readonly keep?: boolean | undefined;
  /**
   * Memory of the caller's, as long as the range: who can writes the bytes there and gives it back. It may be written to until the
   * promise is fulfilled and, where that is rejected, ever after.
   */
  readonly into?: Uint8Array | undefined;
}

/**
 * Who is told of each HTTP request as it is sent, and of the bytes that came back whole. What is asked of a store before
 * that, files included, is told to those who want to know.
 */
export interface RequestAccount {
  sent(priced: 'get' | 'list' | 'free'): void;
  received(bytes: number): void;
  /** A read of so many bytes begins, neighbouring ranges joined. */
  reads?(bytes: number): void;
  /** So many ranges came with the read of another one. */
  joined?(ranges: number): void;
  /** What was wanted comes with a read that is somebody else's. */
  shares?(): void;
}

export interface ListOptions extends RequestOptions {
  /** Only keys after this one, so that a broken listing goes on where it stopped. */
  readonly startAfter?: string | undefined;
}

export interface ObjectStore {
  readonly kind: 'file' | 's3' | 'http';
  /** True where a small read costs microseconds, so that many are better than one large one. */
  readonly cheapReads: boolean;
  /** Throws `notFound`/`object_not_found` when there is no such object. */
  head(key: string, options?: RequestOptions): Promise<ObjectMeta>;
  /**
   * Exactly the bytes of `range`, which must lie inside the object and not be empty, read from that version of the
   * object. Throws `changed`/`changed` when the object is another version now or gone, `unavailable` when storage
   * cannot answer, `unavailable`/`access_denied` on refused credentials. The bytes are the caller's to keep.
   */
  getRange(object: ObjectMeta, range: ByteRange, options?: RequestOptions): Promise<Uint8Array>;
  /**
   * Every object whose key begins with the prefix, in bytewise order of key, as pages arrive. A prefix is a string, as
   * in S3, also for files: `/data/a` lists `/data/a/x` and `/data/ab`, so end it with `/` to mean a folder. A prefix
   * with nothing below it lists nothing.
   */
  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta>;
  /** Frees sockets and descriptors. Later calls throw. */
  close(): Promise<void>;
}

/**
 * Holds callers to the contract of `getRange`. A range outside the object is our own mistake: lengths that a file
 * claims are checked against its size before they become ranges.
 */
export function assertRangeInside(object: ObjectMeta, range: ByteRange): void {
  const { start, end } = range;
  assert(
    Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && end > start && end <= object.sizeBytes,
    `the range ${start}..${end} must be non-empty and inside ${object.key}, which has ${object.sizeBytes} bytes`,
  );
}
