/** Storage that can be switched off: every request then fails as if nobody answered. */

import { ServiceError } from '../../src/core/index.ts';
import type { ObjectStore, StoreProvider } from '../../src/storage/index.ts';

export class BrokenStorage {
  isDown = false;
  /** Set to look like a store that is far away, where reading ahead is worth something. */
  readonly cheapReads: boolean | undefined;
  readonly #kept = new Map<ObjectStore, ObjectStore>();

  constructor(options: { readonly cheapReads?: boolean } = {}) {
    this.cheapReads = options.cheapReads;
  }

  /** For `NodeOptions.wrapStores`. */
  wrap = (stores: StoreProvider): StoreProvider => ({
    storeFor: (source) => {
      const inner = stores.storeFor(source);
      const known = this.#kept.get(inner) ?? this.#breakable(inner);
      this.#kept.set(inner, known);
      return known;
    },
  });

  #breakable(inner: ObjectStore): ObjectStore {
    const check = () => {
      if (this.isDown)
        throw new ServiceError('unavailable', 'unavailable', 'nobody answers at the storage of this test');
    };
    return {
      kind: inner.kind,
      cheapReads: this.cheapReads ?? inner.cheapReads,
      close: () => inner.close(),
      head: async (key, options) => {
        check();
        return inner.head(key, options);
      },
      getRange: async (object, range, options) => {
        check();
        return inner.getRange(object, range, options);
      },
      list: (prefix, options) => {
        check();
        return inner.list(prefix, options);
      },
    };
  }
}
