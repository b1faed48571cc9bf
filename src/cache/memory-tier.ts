/**
 * What stays in memory: a queue of entries under the node's budget, evicted by SIEVE.
 *
 * SIEVE (Zhang et al., NSDI 2024) keeps insertion order and one `visited` bit an entry. A hand walks from the oldest
 * entry to the newest; it spares and clears the visited ones and evicts the first that is not. A hit is one store of
 * a boolean, so a hot lookup pays nothing for the policy; a scan's entries are never visited again and leave first.
 *
 *     newest  o <- o <- o <- o <- o  oldest
 *                       ^hand
 *
 * Entries are intrusive: the owner keeps the entry where it looks anyway, and is told when it goes.
 */

import { assert } from '../core/index.ts';
import type { Budget } from './budget.ts';

export abstract class CacheEntry {
  /** Set by whoever reads the entry. */
  visited = false;
  readonly byteLength: number;
  /** Links of the queue; undefined at the ends and while not resident. */
  newer: CacheEntry | undefined = undefined;
  older: CacheEntry | undefined = undefined;
  resident = false;

  constructor(byteLength: number) {
    this.byteLength = byteLength;
  }

  /** Called once when the entry leaves the tier: the owner must forget it. */
  abstract onEvicted(): void;

  /** Called when the hand passes the entry and finds that it was read since. */
  onSpared(): void {}
}

export interface MemoryTierStats {
  readonly entries: number;
  readonly bytes: number;
  readonly admitted: number;
  readonly evicted: number;
}

export class MemoryTier {
  readonly budget: Budget;
  #newest: CacheEntry | undefined = undefined;
  #oldest: CacheEntry | undefined = undefined;
  #hand: CacheEntry | undefined = undefined;
  #entries = 0;
  #admitted = 0;
  #evicted = 0;

  constructor(budget: Budget) {
    this.budget = budget;
  }

  get stats(): MemoryTierStats {
    return {
      entries: this.#entries,
      bytes: this.budget.usedBytes('blocks'),
      admitted: this.#admitted,
      evicted: this.#evicted,
    };
  }

  /**
   * Takes the entry in and evicts until the budget holds again. The entry itself may be the one that goes, at once,
   * when nothing else can: whoever needs it now must hold its own reference.
   */
  admit(entry: CacheEntry): void {
    assert(!entry.resident, 'an entry is admitted once');
    entry.resident = true;
    entry.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = entry;
    this.#newest = entry;
    this.#oldest ??= entry;
    this.#entries += 1;
    this.#admitted += 1;
    this.budget.charge('blocks', entry.byteLength);
    this.trim();
  }

  /** Evicts until the budget holds or nothing is left to evict. */
  trim(): void {
    while (this.budget.excessBytes > 0 && this.#oldest !== undefined) this.#evictOne();
  }

  /** Takes one entry out, as when its owner is dropped. */
  remove(entry: CacheEntry): void {
    if (!entry.resident) return;
    this.#unlink(entry);
    entry.onEvicted();
  }

  #evictOne(): void {
    let entry = this.#hand ?? this.#oldest;
    while (entry?.visited) {
      entry.visited = false;
      entry.onSpared();
      entry = entry.newer ?? this.#oldest;
    }
    if (entry === undefined) return;
    this.#hand = entry.newer;
    this.#evicted += 1;
    this.#unlink(entry);
    entry.onEvicted();
  }

  #unlink(entry: CacheEntry): void {
    if (this.#hand === entry) this.#hand = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    entry.newer = undefined;
    entry.older = undefined;
    entry.resident = false;
    this.#entries -= 1;
    this.budget.release('blocks', entry.byteLength);
  }
}
