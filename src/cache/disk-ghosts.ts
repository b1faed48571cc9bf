/**
 * Remembers by hash that a block was wanted, until about as many others were: one word each, no list.
 *
 * Two hashes share a pair of places, so that two blocks that are wanted in turn do not make each other forgotten.
 */

const GHOSTS_MIN = 2 ** 8;
const GHOSTS_MAX = 2 ** 22;

export class Ghosts {
  readonly #highs: Uint32Array;

  /** `count` within 2^8 and 2^22, rounded to a power of two. */
  constructor(count: number) {
    const length = 2 ** Math.ceil(Math.log2(Math.max(1, count)));
    this.#highs = new Uint32Array(Math.min(GHOSTS_MAX, Math.max(GHOSTS_MIN, length)));
  }

  get byteSize(): number {
    return this.#highs.byteLength;
  }

  /** Remembers the hash, and tells whether it was remembered. */
  wasSeen(high: number, low: number): boolean {
    const at = low & (this.#highs.length - 2);
    const beside = at + 1;
    const latest = this.#highs[at] ?? 0;
    if (latest === high) return true;
    const seen = this.#highs[beside] === high;
    this.#highs[beside] = latest;
    this.#highs[at] = high;
    return seen;
  }
}
