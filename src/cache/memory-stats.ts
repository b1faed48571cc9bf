/** What the memory tier holds and has counted. */

import type { BudgetState } from './budget.ts';

export interface MemoryTierStats {
  readonly entries: number;
  /** Of the blocks themselves and the dictionaries beside them. */
  readonly bytes: number;
  readonly admitted: number;
  readonly evicted: number;
  /** Blocks that had been read when their turn to leave came, and stayed. */
  readonly spared: number;
  /** Blocks for which there was no room. */
  readonly refused: number;
  readonly classes: BudgetState;
}
