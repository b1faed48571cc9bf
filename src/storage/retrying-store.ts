/**
 * A store whose requests are tried again. A listing that breaks goes on after the last key it gave, with its attempts
 * counted anew, so that millions of keys need no lucky run.
 */

import type { ByteRange } from '../core/index.ts';
import type { ListOptions, ObjectMeta, ObjectStore, RequestOptions } from './object-store.ts';
import { Retries, type RetriesOptions, type Tries } from './retries.ts';

export class RetryingStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads: boolean;
  readonly #store: ObjectStore;
  readonly #retries: Retries;

  constructor(store: ObjectStore, options: RetriesOptions = {}) {
    this.kind = store.kind;
    this.cheapReads = store.cheapReads;
    this.#store = store;
    this.#retries = new Retries(options);
  }

  head(key: string, options: RequestOptions = {}): Promise<ObjectMeta> {
    return this.#retries.run('head', key, options.signal, () => this.#store.head(key, options));
  }

  getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    return this.#retries.run('get', object.key, options.signal, () => this.#store.getRange(object, range, options));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectMeta> {
    let startAfter = options.startAfter;
    let tries: Tries = { op: 'list', key: prefix, failed: 0, firstFailedMs: 0 };
    for (;;) {
      try {
        for await (const object of this.#store.list(prefix, { ...options, startAfter })) {
          if (tries.failed > 0) tries = { ...tries, failed: 0 };
          startAfter = object.key;
          yield object;
        }
        return;
      } catch (error) {
        await this.#retries.waitOrThrow(tries, error, options.signal);
      }
    }
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
