export { Budget, type BudgetClass } from './budget.ts';
export { CacheEntry, MemoryTier, type MemoryTierStats } from './memory-tier.ts';
export { SingleFlight } from './single-flight.ts';
