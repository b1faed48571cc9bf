/**
 * The memory tier of another thread, read from this one.
 *
 * Only that thread admits and evicts. Here blocks are read where they lie, in stretches that a reader's epoch guards: what was
 * found in one stays as it is until its end. What lies outside of the slabs, and slabs that were not heard of yet, are not here.
 */

import { assert, type BufferViews } from '../core/index.ts';
import { Budget } from './budget.ts';
import { LearnedClock } from './learned-clock.ts';
import { IS_OUTSIDE, STATE } from './memory-entry.ts';
import type { MemoryTier } from './memory-tier.ts';
import { type ReadableSlabs, SlabViews } from './slab-views.ts';

/** What files and chunks need of the memory that their blocks are in. */
export type BlockMemory = { readonly slabs: ReadableSlabs } & Pick<
  MemoryTier,
  | 'budget'
  | 'learned'
  | 'isShared'
  | 'register'
  | 'release'
  | 'canHold'
  | 'admit'
  | 'admitting'
  | 'trim'
  | 'hold'
  | 'letGo'
  | 'has'
  | 'read'
>;

export class SharedBlocks extends SlabViews implements BlockMemory {
  /** The writer's budget is what counts; here nothing is refused, or forgotten unless the writer did. */
  readonly budget: Budget = new Budget(Number.MAX_SAFE_INTEGER);
  readonly learned: LearnedClock = new LearnedClock(this.budget);
  readonly isShared = false;

  get slabs(): ReadableSlabs {
    return this;
  }

  addSlab(slab: number, buffer: SharedArrayBuffer): void {
    this.put(slab, buffer);
  }

  dropSlab(slab: number): void {
    this.drop(slab);
  }

  has(location: number): boolean {
    const views: BufferViews | undefined = this.viewsOf(location);
    return views !== undefined && (views.int32s[(this.offsetOf(location) >>> 2) + STATE]! & IS_OUTSIDE) === 0;
  }

  /** Undefined for what is not here. */
  read(location: number): BufferViews | undefined {
    return this.has(location) ? this.viewsOf(location) : undefined;
  }

  register(): number {
    return refuse();
  }

  release(): void {
    refuse();
  }

  canHold(): boolean {
    return false;
  }

  admit(): void {
    refuse();
  }

  admitting(): undefined {
    return undefined;
  }

  hold(): void {
    refuse();
  }

  letGo(): void {
    refuse();
  }

  trim(): void {}
}

function refuse(): never {
  assert(false, 'only the thread that a memory tier is of admits blocks to it');
}
