export { Budget, type BudgetClass } from './budget.ts';
export { ByteGate } from './byte-gate.ts';
export { CacheEntry, MemoryTier, type MemoryTierStats } from './memory-tier.ts';
export { RowCache, type RowCacheStats } from './row-cache.ts';
export { SingleFlight } from './single-flight.ts';
