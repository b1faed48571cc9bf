/**
 * The stores as one table sees them: its small objects whole, its ranges gathered by turn, all on its account.
 *
 *     table -> small objects whole -> gathering -> account -> the process's store (counting, retries, limit, hedging)
 */

import type { CoalesceOptions } from './coalesce.ts';
import { coalescingFor } from './coalesce.ts';
import { CoalescingStore } from './coalescing-store.ts';
import type { StoreProvider } from './list-source.ts';
import type { ObjectStore, RequestAccount } from './object-store.ts';
import { type HeldObjects, SmallObjectsStore } from './small-objects-store.ts';
import { onAccount } from './storage-account.ts';

export interface TableStoresOptions {
  readonly account: RequestAccount;
  /** Shared by all tables. */
  readonly held: HeldObjects;
  /** When neighbouring ranges of a remote object become one GET; local reads have their own measure. */
  readonly coalesce?: Partial<CoalesceOptions> | undefined;
}

export function tableStores(stores: StoreProvider, { account, held, coalesce }: TableStoresOptions): StoreProvider {
  const kept = new Map<ObjectStore, ObjectStore>();
  return {
    storeFor(source) {
      const inner = stores.storeFor(source);
      const known = kept.get(inner);
      if (known !== undefined) return known;
      const options = { ...coalescingFor(inner), ...(inner.cheapReads ? {} : coalesce) };
      const gathering = new CoalescingStore(onAccount(inner, account), options, (ranges) => account.joined?.(ranges));
      const made = new SmallObjectsStore(gathering, source.bucket ?? '', held);
      kept.set(inner, made);
      return made;
    },
  };
}
