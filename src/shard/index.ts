/** The shard room: what answers lookups, from memory or by loading pages. */

export type { ArrowLookup } from './arrow-lookup.ts';
export { type ArrowStream, arrowStream } from './arrow-rows.ts';
export { loadArrow } from './arrow-types.ts';
export type { Batch, BatchRequest, LookupAnswer, LookupItem, LookupOptions, RowForm } from './batch.ts';
export { DecodePool, type DecodePoolOptions } from './decode-pool.ts';
export type { Tier, ValueAnswer } from './encode-row.ts';
export { exampleKeys } from './examples.ts';
export { KeyIndexer, type KeyIndexerOptions, keysAtOnceIn, type RunKeeper } from './key-indexer.ts';
export { locatedRow } from './located-row.ts';
export {
  LookupEngine,
  type LookupEngineOptions,
  type RowAnswer,
  withFreshSnapshot,
} from './lookup.ts';
export { REQUEST_SHARE } from './lookup-ceiling.ts';
export { type LookupTrace, STAGES, type Stage, type StageTimes } from './lookup-trace.ts';
export { MatchOrder, type OrderBy } from './match-order.ts';
export { PageLoader, type PageLoaderOptions } from './page-loader.ts';
export type { PreloadJob } from './preload-job.ts';
export { type Preload, Preloader } from './preloader.ts';
export {
  type OrderColumn,
  type Query,
  type QueryBounds,
  type QueryPlace,
  type QueryPosition,
  QueryTrace,
  type RowSink,
} from './query.ts';
export { QueryEngine } from './query-engine.ts';
export { READ_AHEAD_BYTES_MAX } from './read-ahead.ts';
export { Receipt, type ReceiptPrice } from './receipt.ts';
export { type ColdCost, Rehearsals, type SampledRow } from './rehearsal.ts';
export { planBytes, planRow, type RowPlan } from './row-plan.ts';
export { rowTexts } from './row-texts.ts';
export { sampledRows } from './sampled-rows.ts';
export { type Stretch, scan } from './scan.ts';
export { type IndexStatus, indexFits, TableIndexing } from './table-indexing.ts';
export { warmReplaced } from './warm-replaced.ts';
