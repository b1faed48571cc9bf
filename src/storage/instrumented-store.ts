/**
 * Counts what is asked of a store and tells each request to whoever wants a trace.
 *
 * It counts requests as the engine makes them, which is what plans predict and tests hold them to. What S3 bills, with
 * every retry and every page of a listing, is counted where it is sent (`S3ConnectionOptions.onAttempt`).
 */

import { asServiceError, type ByteRange, rangeLength, type ServiceError } from '../core/index.ts';
import type { ListOptions, ObjectMeta, ObjectStore, RequestOptions } from './object-store.ts';

export interface StorageRequest {
  readonly op: 'head' | 'get' | 'list';
  /** The object's key; for a listing its prefix. */
  readonly key: string;
  /** Of a GET. */
  readonly range: ByteRange | undefined;
  /** Of the object's content that came back; 0 for everything but a GET that succeeded. */
  readonly bytes: number;
  /** Undefined when the request succeeded or its caller left. */
  readonly error: ServiceError | undefined;
}

export interface StorageCounts {
  readonly heads: number;
  readonly gets: number;
  readonly lists: number;
  /** Objects that listings named. */
  readonly listed: number;
  readonly bytes: number;
  readonly errors: number;
}

export type RequestHook = (request: StorageRequest) => void;

export class InstrumentedStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads: boolean;
  /** What the counts belong to: `file`, or `s3://bucket`. */
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #onRequest: RequestHook;
  readonly #counts = { heads: 0, gets: 0, lists: 0, listed: 0, bytes: 0, errors: 0 };

  /** The hook is called once a request, when it ends. It must not throw. */
  constructor(store: ObjectStore, name: string, onRequest: RequestHook = () => undefined) {
    this.kind = store.kind;
    this.cheapReads = store.cheapReads;
    this.name = name;
    this.#store = store;
    this.#onRequest = onRequest;
  }

  /** A copy of the counts so far. */
  counts(): StorageCounts {
    return { ...this.#counts };
  }

  async head(key: string, options: RequestOptions = {}): Promise<ObjectMeta> {
    this.#counts.heads += 1;
    return this.#tell('head', key, undefined, options.signal, () => this.#store.head(key, options));
  }

  async getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    this.#counts.gets += 1;
    return this.#tell('get', object.key, range, options.signal, () => this.#store.getRange(object, range, options));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectMeta> {
    this.#counts.lists += 1;
    let error: ServiceError | undefined;
    try {
      for await (const object of this.#store.list(prefix, options)) {
        this.#counts.listed += 1;
        yield object;
      }
    } catch (thrown) {
      error = this.#errorOf(thrown, options.signal);
      throw thrown;
    } finally {
      this.#onRequest({ op: 'list', key: prefix, range: undefined, bytes: 0, error });
    }
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #tell<T>(
    op: StorageRequest['op'],
    key: string,
    range: ByteRange | undefined,
    signal: AbortSignal | undefined,
    request: () => Promise<T>,
  ): Promise<T> {
    try {
      const result = await request();
      const bytes = range === undefined ? 0 : rangeLength(range);
      this.#counts.bytes += bytes;
      this.#onRequest({ op, key, range, bytes, error: undefined });
      return result;
    } catch (thrown) {
      this.#onRequest({ op, key, range, bytes: 0, error: this.#errorOf(thrown, signal) });
      throw thrown;
    }
  }

  /** A caller that left is no failure of the store. */
  #errorOf(thrown: unknown, signal: AbortSignal | undefined): ServiceError | undefined {
    if (signal?.aborted) return undefined;
    this.#counts.errors += 1;
    return asServiceError(thrown);
  }
}
