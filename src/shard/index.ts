/** The shard room: what answers lookups, from memory or by loading pages. */

export { DecodePool, type DecodePoolOptions } from './decode-pool.ts';
export { exampleKeys } from './examples.ts';
export {
  LOOKUP_ENGINE_DEFAULTS,
  type LookupAnswer,
  LookupEngine,
  type LookupEngineOptions,
  type LookupItem,
  type LookupOptions,
  type RowAnswer,
  type Tier,
  type ValueAnswer,
  withFreshSnapshot,
} from './lookup.ts';
export { PAGE_LOADER_DEFAULTS, PageLoader, type PageLoaderOptions } from './page-loader.ts';
export { type Stretch, scan } from './scan.ts';
