/**
 * What left the probation of the memory tier unread not long ago, by hash: when it comes again it was no passer-by.
 *
 * Hashes overwrite each other, and each is good for as long as the tier takes in about what it holds.
 */

/** A block of each so many bytes is remembered; smaller ones overwrite each other more often. */
const BYTES_A_GHOST = 4096;
const GHOSTS_MIN = 1024;
const GHOSTS_MAX = 2 ** 22;

export class MemoryGhosts {
  /** Pairs of a hash and the time, in KiB that left. */
  readonly #words: Uint32Array;
  #leftBytes = 0;

  constructor(memoryBytes: number) {
    const ghosts = 2 ** Math.ceil(Math.log2(Math.max(1, memoryBytes / BYTES_A_GHOST)));
    this.#words = new Uint32Array(2 * Math.min(GHOSTS_MAX, Math.max(GHOSTS_MIN, ghosts)));
  }

  /** What this takes itself. */
  get byteLength(): number {
    return this.#words.byteLength;
  }

  remember(hash: number, bytes: number): void {
    this.#leftBytes += bytes;
    const at = this.#placeOf(hash);
    this.#words[at] = hash;
    this.#words[at + 1] = this.#nowKiB();
  }

  /** Whether it left within the last so many bytes; it is then forgotten. */
  recall(hash: number, windowBytes: number): boolean {
    const at = this.#placeOf(hash);
    if (this.#words[at] !== hash) return false;
    this.#words[at] = 0;
    return this.#nowKiB() - this.#words[at + 1]! <= windowBytes / 1024;
  }

  #nowKiB(): number {
    return Math.floor(this.#leftBytes / 1024);
  }

  #placeOf(hash: number): number {
    return 2 * ((hash >>> 1) & (this.#words.length / 2 - 1));
  }
}

/** Never 0, which stands for nothing. */
export function ghostHash(owner: number, slot: number): number {
  let hash = Math.imul(owner + 1, 0x9e37_79b1) ^ Math.imul(slot + 1, 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a_2d39);
  return ((hash ^ (hash >>> 15)) | 1) >>> 0;
}
