/**
 * Which key is asked for next.
 *
 * Keys are in the form of a URL's path: percent-encoded, the parts of a composite key joined by `/`. The hot keys of a
 * zipf distribution are strewn over all keys, since neighbours in a file would share a page; those of `latest` are the
 * last ones, as where new rows are appended.
 */

import { assert, type Random } from '../core/index.ts';
import { zipfRanks } from './zipf.ts';

export type KeySpace =
  /** The integers `first` to `first + count - 1`; absent ones lie behind them. */
  | { readonly kind: 'range'; readonly first: number; readonly count: number }
  | { readonly kind: 'list'; readonly paths: readonly string[]; readonly absent: readonly string[] };

export type Distribution =
  | { readonly kind: 'uniform' }
  | { readonly kind: 'sequential' }
  | { readonly kind: 'zipf' | 'latest'; readonly theta: number };

/** Which of several streams over the same keys. */
export interface Share {
  readonly part: number;
  readonly parts: number;
}

/** Below it the product of two positions is exact in a double. */
const EXACT_PRODUCT_MAX = 2 ** 26;

export class KeyStream {
  /** Whether the key that was given last is one that should not be found. */
  isAbsent = false;
  readonly #space: KeySpace;
  readonly #position: () => number;
  readonly #absentShare: number;
  readonly #random: Random;

  constructor(space: KeySpace, distribution: Distribution, absentShare: number, random: Random, share: Share) {
    const count = keyCount(space);
    assert(count > 0, 'there are keys to draw');
    this.#space = space;
    this.#absentShare = absentShare;
    this.#random = random;
    this.#position = positions(count, distribution, random, share);
  }

  next(): string {
    this.isAbsent = this.#absentShare > 0 && this.#random() < this.#absentShare;
    const space = this.#space;
    if (space.kind === 'list') {
      const position = this.isAbsent ? this.#below(space.absent.length) : this.#position();
      return (this.isAbsent ? space.absent : space.paths)[position] ?? '';
    }
    const position = this.isAbsent ? space.count + this.#below(space.count) : this.#position();
    return String(space.first + position);
  }

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }
}

function keyCount(space: KeySpace): number {
  return space.kind === 'range' ? space.count : space.paths.length;
}

function positions(count: number, distribution: Distribution, random: Random, share: Share): () => number {
  switch (distribution.kind) {
    case 'uniform':
      return () => Math.floor(random() * count);
    case 'sequential': {
      let next = Math.floor((count * share.part) / share.parts);
      return () => {
        const position = next;
        next = position + 1 === count ? 0 : position + 1;
        return position;
      };
    }
    case 'latest': {
      const rank = zipfRanks(count, distribution.theta, random);
      return () => count - 1 - rank();
    }
    case 'zipf': {
      const rank = zipfRanks(count, distribution.theta, random);
      const strewn = permutation(count);
      return () => strewn(rank());
    }
  }
}

/** Every rank to a position of its own, neighbours far apart: a multiple of a step that shares no factor with the count. */
function permutation(count: number): (rank: number) => number {
  let step = Math.max(1, Math.floor(count * 0.618_033_988_749));
  while (divisor(step, count) !== 1) step += 1;
  if (count <= EXACT_PRODUCT_MAX) return (rank) => (rank * step) % count;
  return (rank) => Number((BigInt(rank) * BigInt(step)) % BigInt(count));
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
