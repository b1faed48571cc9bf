export {
  type CoalesceOptions,
  coalescingFor,
  type FetchPlan,
  type FetchRangesOptions,
  FILE_COALESCING,
  fetchRanges,
  planFetches,
  S3_COALESCING,
  sliceFetched,
} from './coalesce.ts';
export { CoalescingStore } from './coalescing-store.ts';
export { FileStore, type FileStoreOptions } from './file-store.ts';
export { Gate, type GateOptions } from './gate.ts';
export {
  HEDGE_POLICY,
  type HedgeCounts,
  type HedgePolicy,
  HedgingStore,
  type HedgingStoreOptions,
} from './hedging-store.ts';
export { HttpStore, type HttpStoreOptions, NO_VERSION } from './http-store.ts';
export {
  InstrumentedStore,
  type RequestHook,
  type StorageCounts,
  type StorageRequest,
} from './instrumented-store.ts';
export { compareKeys } from './key-order.ts';
export { LimitedStore } from './limited-store.ts';
export {
  type ListSourceOptions,
  listSource,
  type OpenedSource,
  openSource,
  resolveSource,
  type StoreProvider,
} from './list-source.ts';
export {
  assertRangeInside,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type RequestAccount,
  type RequestOptions,
} from './object-store.ts';
export { RETRY_POLICY, type Retries, type RetriesOptions, type Retry, type RetryPolicy } from './retries.ts';
export { RetryingStore } from './retrying-store.ts';
export {
  type S3Attempt,
  S3Connection,
  type S3ConnectionOptions,
  type S3Credentials,
  type S3Settings,
} from './s3-connection.ts';
export { isRetryable } from './s3-errors.ts';
export { S3Store } from './s3-store.ts';
export { type S3Upload, S3Writer } from './s3-writer.ts';
export { HeldObjects, SMALL_OBJECT_BYTES, SmallObjectsStore } from './small-objects-store.ts';
export {
  type GlobSource,
  type ObjectSource,
  type PrefixSource,
  parseSourceUri,
  type Source,
  tableNameOf,
} from './source-uri.ts';
export {
  onAccount,
  S3_STANDARD_PRICES,
  StorageAccount,
  type StorageBill,
  type StoragePrices,
  type StorageTotals,
} from './storage-account.ts';
export { type StorageDependencies, type StorageSettings, type StoreStatus, Stores } from './stores.ts';
export { type TableStoresOptions, tableStores } from './table-stores.ts';
