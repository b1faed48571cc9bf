/**
 * Keeps each table within its quota: the table's own oldest blocks leave first, wherever in a log they lie, though what
 * was read since it was looked at last stays a while longer.
 */

import { OWNER, SLOT, TURN } from './memory-entry.ts';
import { type MemoryOwners, wasRead } from './memory-owners.ts';
import type { MemoryQuota } from './memory-quota.ts';
import type { MemorySlabs } from './memory-slabs.ts';

/** Blocks of a table that stay since they were read, for one that leaves. */
const SPARED_MAX = 64;

export class MemoryQuotas {
  readonly #slabs: MemorySlabs;
  readonly #owners: MemoryOwners;
  readonly #takeOut: (location: number) => void;

  /** `takeOut` evicts a block. */
  constructor(slabs: MemorySlabs, owners: MemoryOwners, takeOut: (location: number) => void) {
    this.#slabs = slabs;
    this.#owners = owners;
    this.#takeOut = takeOut;
  }

  /** Evicts blocks of the table until so many bytes more are within its quota, or nothing is left of it. */
  keepWithin(quota: MemoryQuota, moreBytes: number): void {
    let sparesLeft = SPARED_MAX;
    while (quota.usedBytes + moreBytes > quota.limitBytes && quota.queued > 0) {
      const location = this.#oldestOf(quota);
      const mayStay = sparesLeft > 0 && location !== 0 && this.#wasRead(location);
      if (mayStay) sparesLeft -= 1;
      this.#passOldest(quota, mayStay ? location : 0);
      if (location !== 0 && !mayStay) this.#takeOut(location);
    }
  }

  /** The number of a new block in the queue of its quota. The queue is rid of what left before it grows. */
  queue(quota: MemoryQuota, owner: number, slot: number): number {
    if (!quota.isLimited) return 0;
    if (quota.isQueueFull) {
      const { queued } = quota;
      for (let i = 0; i < queued; i++) this.#passOldest(quota, this.#oldestOf(quota));
      if (quota.queued >= queued / 2) quota.grow();
    }
    return quota.push(owner, slot);
  }

  /** Where the oldest block of the queue lies; 0 where it left, or came again since. */
  #oldestOf(quota: MemoryQuota): number {
    const state = this.#owners.of(quota.oldestOwner);
    const location = state?.quota === quota ? state.owner.locationOf(quota.oldestSlot) : 0;
    if (location === 0) return 0;
    return this.#slabs.viewsOf(location).int32s[this.#wordOf(location) + TURN] === quota.oldest ? location : 0;
  }

  /** Leaves the oldest entry behind, or puts it last where it has a location. */
  #passOldest(quota: MemoryQuota, location: number): void {
    const { oldestOwner, oldestSlot } = quota;
    quota.pass();
    if (location === 0) return;
    this.#slabs.viewsOf(location).int32s[this.#wordOf(location) + TURN] = quota.push(oldestOwner, oldestSlot);
  }

  /** Whether it was read since this was asked last, and its owner still wants it. */
  #wasRead(location: number): boolean {
    const words = this.#slabs.viewsOf(location).int32s;
    const at = this.#wordOf(location);
    return wasRead(this.#owners.of(words[at + OWNER]!), words[at + SLOT]!);
  }

  #wordOf(location: number): number {
    return this.#slabs.offsetOf(location) >>> 2;
  }
}
