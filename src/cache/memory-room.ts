/**
 * How much memory blocks may take at this moment, and what they have of it: slabs, and what lies outside of them.
 *
 * Both are charged to the budget, of which answers on their way take more and less from one moment to the next.
 */

import type { Budget } from './budget.ts';
import type { MemorySlabs } from './memory-slabs.ts';

/** Below this many slabs there is no cache. */
const SLABS_MIN = 8;

export class MemoryRoom {
  readonly #budget: Budget;
  readonly #slabs: MemorySlabs;
  /** What is charged to nobody and is there all the same. */
  readonly #ownBytes: number;
  #outsideBytes = 0;
  #chargedSlabs = 0;

  constructor(budget: Budget, slabs: MemorySlabs, ownBytes: number) {
    this.#budget = budget;
    this.#slabs = slabs;
    this.#ownBytes = ownBytes;
  }

  get limitBytes(): number {
    return Math.max(0, this.#budget.limitBytes('blocks') - this.#ownBytes);
  }

  /** Slabs that may be allocated. */
  get slabsMax(): number {
    const slabs = Math.floor((this.limitBytes - this.#outsideBytes) / this.#slabs.slabBytes);
    return this.limitBytes < SLABS_MIN * this.#slabs.slabBytes ? 0 : Math.max(0, slabs);
  }

  /** So many bytes more, or fewer, lie outside of the slabs. */
  changeOutside(bytes: number): void {
    this.#outsideBytes += bytes;
    this.#charge(bytes);
  }

  /** To be called when slabs were allocated. */
  chargeSlabs(): void {
    const more = this.#slabs.allocated - this.#chargedSlabs;
    this.#chargedSlabs += more;
    this.#charge(more * this.#slabs.slabBytes);
  }

  /** Drops empty slabs, as many as are too many. */
  giveBack(): void {
    while (this.#slabs.allocated > this.slabsMax && this.#slabs.shrink());
    this.chargeSlabs();
  }

  #charge(bytes: number): void {
    if (bytes >= 0) this.#budget.charge('blocks', bytes);
    else this.#budget.release('blocks', -bytes);
  }
}
