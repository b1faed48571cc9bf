/**
 * The bytes that a node may hold in memory, owned by one object.
 *
 * Evictable blocks and the metadata that cannot be evicted are charged here alike, so that a table with large
 * footers leaves less for blocks instead of growing past the limit.
 */

import { assert } from '../core/index.ts';

export type BudgetClass = 'metadata' | 'blocks';

export class Budget {
  readonly totalBytes: number;
  readonly #used: Record<BudgetClass, number> = { metadata: 0, blocks: 0 };

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
  }

  charge(kind: BudgetClass, bytes: number): void {
    this.#used[kind] += bytes;
  }

  release(kind: BudgetClass, bytes: number): void {
    this.#used[kind] -= bytes;
    assert(this.#used[kind] >= 0, `budget of ${kind} fell below zero`);
  }

  usedBytes(kind: BudgetClass): number {
    return this.#used[kind];
  }

  /** Bytes by which the node is over its total; what evicts must free at least so many. */
  get excessBytes(): number {
    return Math.max(0, this.#used.metadata + this.#used.blocks - this.totalBytes);
  }
}
