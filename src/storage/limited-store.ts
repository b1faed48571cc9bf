/**
 * A bounded number of requests at once, a bounded queue behind them; past both, `overloaded`.
 *
 * The gate may be shared, so that all buckets of one endpoint stand in one queue for its sockets; each is a group of its
 * own there, so that one that hangs leaves room for the others. Listings pass freely: there is one a table, and one that
 * held a turn while its reader fetched footers would wait for itself.
 */

import type { ByteRange } from '../core/index.ts';
import type { Gate } from './gate.ts';
import type { ListOptions, ObjectMeta, ObjectStore, RequestOptions } from './object-store.ts';

export class LimitedStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads: boolean;
  readonly #store: ObjectStore;
  readonly #gate: Gate;
  readonly #group: unknown;

  /** `group`: what the gate keeps apart. */
  constructor(store: ObjectStore, gate: Gate, group: unknown = store) {
    this.kind = store.kind;
    this.cheapReads = store.cheapReads;
    this.#store = store;
    this.#gate = gate;
    this.#group = group;
  }

  head(key: string, options: RequestOptions = {}): Promise<ObjectMeta> {
    return this.#gate.run(() => this.#store.head(key, options), options.signal, this.#group);
  }

  getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    return this.#gate.run(() => this.#store.getRange(object, range, options), options.signal, this.#group);
  }

  list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectMeta> {
    return this.#store.list(prefix, options);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
