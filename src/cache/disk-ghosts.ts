/** Remembers by hash that a block was wanted, until about as many others were: one word each, no list. */

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
    const at = low & (this.#highs.length - 1);
    const seen = this.#highs[at] === high;
    this.#highs[at] = high;
    return seen;
  }
}
