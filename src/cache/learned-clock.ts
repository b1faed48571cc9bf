/**
 * What lookups learned of files, such as where pages lie, within its share of the budget.
 *
 *     newest -> [ owner, owner, .. owner ] -> oldest: used since it was last looked at? to the newest again, else forgotten
 *
 * That is the clock's second chance: what is used often stays, and a use costs one store. Like the memory tier it works
 * in a microtask of its own, so that nothing is forgotten while a reader is on the stack; whoever goes on over a wait
 * holds what he learned, or asks for it again.
 */

import type { Budget } from './budget.ts';

export interface LearnedOwner {
  /** Whether it was used since this was last asked; it may not say so for ever. */
  takeUsed(): boolean;
  /** Forgets what it learned, and takes its bytes off the budget. */
  forget(): void;
}

export class LearnedClock {
  readonly #budget: Budget;
  readonly #owners = new Set<LearnedOwner>();
  #isTrimming = false;
  /** Owners that forgot what they knew. */
  evicted = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** The owner has learned something. */
  add(owner: LearnedOwner): void {
    this.#owners.add(owner);
  }

  /** Makes what is learned fit, soon, after more was charged. */
  trim(): void {
    if (this.#isTrimming || this.#budget.fits('layouts', 0)) return;
    this.#isTrimming = true;
    queueMicrotask(() => this.#work());
  }

  /** The owner has nothing left to forget. */
  remove(owner: LearnedOwner): void {
    this.#owners.delete(owner);
  }

  #work(): void {
    this.#isTrimming = false;
    for (const owner of this.#owners) {
      if (this.#budget.fits('layouts', 0)) return;
      this.#owners.delete(owner);
      // Put last it is come to again, and by then is used no more.
      if (owner.takeUsed()) this.#owners.add(owner);
      else {
        this.evicted += 1;
        owner.forget();
      }
    }
  }
}
