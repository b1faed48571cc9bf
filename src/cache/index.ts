export { Budget, type BudgetClass, type BudgetShares } from './budget.ts';
export { ByteGate } from './byte-gate.ts';
export { DiskCache, type DiskCacheOptions, INDEXES_SHARE } from './disk-cache.ts';
export type { DiskFiles } from './disk-files.ts';
export { Ghosts } from './disk-ghosts.ts';
export {
  BLOOM_FILTER_RECORD,
  type BlockIdentity,
  DICTIONARY_PAGE,
  type FileIdentity,
  fileIdentity,
  identityText,
  LAYOUT_RECORD,
  WHOLE_PAGE_SHIFT,
} from './disk-identity.ts';
export type { DiskIo } from './disk-io.ts';
export type { DiskParts } from './disk-parts.ts';
export { BYTES_A_TOUCH, type DiskTier, type DiskTierState } from './disk-tier.ts';
export type { LearnedOwner } from './learned-clock.ts';
export { ENTRY_HEADER_BYTES, NOTE_WORD, UNIT_SHIFT } from './memory-entry.ts';
export type { AdmittedBlock, BlockOwner } from './memory-owners.ts';
export { MemoryQuota } from './memory-quota.ts';
export type { SlabReaders } from './memory-slabs.ts';
export type { MemoryTierStats } from './memory-stats.ts';
export { MemoryTier } from './memory-tier.ts';
export { type PagedFile, SequentialFile, writeInPieces } from './paged-file.ts';
export { EpochReader, READERS_MAX, ReaderEpochs } from './reader-epochs.ts';
export { RowCache, type RowCacheStats, type RowOrigin } from './row-cache.ts';
export { type BlockMemory, SharedBlocks } from './shared-blocks.ts';
export { SingleFlight } from './single-flight.ts';
export type { ReadableSlabs } from './slab-views.ts';
