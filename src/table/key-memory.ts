/**
 * What key indexes hold in memory, of all tables: runs and directories, which stay, and pages of runs that lie on disk,
 * which have what the others leave of the class `keys`.
 */

import type { MemoryTier } from '../cache/index.ts';
import { PageCache } from '../keyindex/index.ts';

export class KeyMemory {
  readonly pages: PageCache;
  readonly #tier: MemoryTier;

  constructor(tier: MemoryTier) {
    this.#tier = tier;
    this.pages = new PageCache({
      bytesMax: () => this.limitBytes - this.#stayingBytes,
      onBytes: (change) => {
        if (change < 0) return tier.budget.release('keys', -change);
        tier.budget.charge('keys', change);
        tier.trim();
      },
    });
  }

  get limitBytes(): number {
    return Math.floor(this.#tier.budget.limitBytes('keys'));
  }

  /** Whether so much more may stay, in that part of what there is. */
  fits(bytes: number, share = 1): boolean {
    return this.#stayingBytes + bytes <= this.limitBytes * share;
  }

  /** What was charged before is released; pages give way. */
  charge(bytes: number, before: number): void {
    const { budget } = this.#tier;
    budget.charge('keys', bytes);
    budget.release('keys', before);
    this.pages.trim();
    this.#tier.trim();
  }

  get #stayingBytes(): number {
    return this.#tier.budget.usedBytes('keys') - this.pages.byteLength;
  }
}
