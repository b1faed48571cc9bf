/**
 * The bytes that a node may hold in memory, by what they are for, owned by one object.
 *
 * The total is all of `cache.memory`. What cannot be evicted has a share that it may not pass, so that it cannot starve
 * the rest; `blocks` take whatever is left, and give it back when the others grow:
 *
 *     rows, inFlight   set aside at the start
 *     replies          large answers on their way, as long as they are; bounded by who sends them
 *     metadata         what snapshots need to be searched: at most half of the total
 *     layouts          what lookups learned beside: at most a quarter, and half with the footers; forgotten beyond that
 *     keys             key indexes: at most an eighth
 *     blocks           the rest: evicted when the others need it
 */

import { assert } from '../core/index.ts';

/** `layouts` are a part of `metadata`: what lookups add to the footers, and what no snapshot is refused for. */
export type BudgetClass = 'metadata' | 'layouts' | 'keys' | 'blocks' | 'rows' | 'inFlight' | 'replies';

export type BudgetState = Readonly<Record<BudgetClass, { readonly usedBytes: number; readonly limitBytes: number }>>;

export interface BudgetShares {
  readonly metadata: number;
  readonly keys: number;
}

const SHARES: BudgetShares = { metadata: 1 / 2, keys: 1 / 8 };
/** Footers of ordinary tables always fit, however little a node was given. */
const METADATA_BYTES_MIN = 8 * 2 ** 20;
/** Of the total, what layouts may take at most, and what footers leave them at least; nor are they ever left less than so many bytes. */
const LAYOUTS_SHARE_MAX = 1 / 4;
const LAYOUTS_SHARE_MIN = 1 / 16;
const LAYOUTS_BYTES_MIN = 2 ** 20;

export class Budget {
  readonly totalBytes: number;
  readonly #shares: BudgetShares;
  readonly #used: Record<BudgetClass, number> = {
    metadata: 0,
    layouts: 0,
    keys: 0,
    blocks: 0,
    rows: 0,
    inFlight: 0,
    replies: 0,
  };

  constructor(totalBytes: number, shares: Partial<BudgetShares> = {}) {
    this.totalBytes = totalBytes;
    this.#shares = { ...SHARES, ...shares };
  }

  get state(): BudgetState {
    const of = (kind: BudgetClass) => ({ usedBytes: this.usedBytes(kind), limitBytes: this.limitBytes(kind) });
    return {
      metadata: of('metadata'),
      layouts: of('layouts'),
      keys: of('keys'),
      blocks: of('blocks'),
      rows: of('rows'),
      inFlight: of('inFlight'),
      replies: of('replies'),
    };
  }

  charge(kind: BudgetClass, bytes: number): void {
    this.#used[kind] += bytes;
  }

  release(kind: BudgetClass, bytes: number): void {
    this.#used[kind] -= bytes;
    assert(this.#used[kind] >= 0, `budget of ${kind} fell below zero`);
  }

  usedBytes(kind: BudgetClass): number {
    return kind === 'metadata' ? this.#used.metadata + this.#used.layouts : this.#used[kind];
  }

  /** What a class may hold. */
  limitBytes(kind: BudgetClass): number {
    if (kind === 'metadata') return Math.max(METADATA_BYTES_MIN, this.totalBytes * this.#shares.metadata);
    if (kind === 'layouts') {
      const left = this.limitBytes('metadata') - this.#used.metadata;
      const shareMax = Math.min(this.totalBytes * LAYOUTS_SHARE_MAX, left);
      return Math.max(LAYOUTS_BYTES_MIN, this.totalBytes * LAYOUTS_SHARE_MIN, shareMax);
    }
    if (kind === 'keys') return this.totalBytes * this.#shares.keys;
    if (kind === 'blocks') return Math.max(0, this.totalBytes - this.#usedBesideBlocks());
    return this.#used[kind];
  }

  /** Whether so much more stays within the share of the class; of metadata only the footers count. */
  fits(kind: BudgetClass, bytes: number): boolean {
    return this.#used[kind] + bytes <= this.limitBytes(kind);
  }

  #usedBesideBlocks(): number {
    const { metadata, layouts, keys, rows, inFlight, replies } = this.#used;
    return metadata + layouts + keys + rows + inFlight + replies;
  }
}
