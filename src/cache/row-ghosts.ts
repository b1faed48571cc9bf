/**
 * Hashes of rows that left unread or were not kept, remembered until as many others were as there are rows: a table in which they overwrite
 * each other, each with its age. One word a place.
 *
 *     upper half of the hash | age
 */

/** Told in eighths of how long a hash is remembered. */
const AGES = 8;
const AGE_BITS = 16;
const AGE_MASK = 2 ** AGE_BITS - 1;

export class RowGhosts {
  readonly #words: Uint32Array;
  readonly #mask: number;
  /** Counted on; the first is so late that places never written are too old. */
  #age = AGES + 1;
  #ofAge = 0;

  /** `places` is a power of two. */
  constructor(places: number) {
    this.#words = new Uint32Array(places);
    this.#mask = places - 1;
  }

  /** `rows` is how many there are now. */
  remember(hash: number, rows: number): void {
    this.#words[hash & this.#mask] = ((hash & ~AGE_MASK) | this.#age) >>> 0;
    this.#ofAge += 1;
    if (this.#ofAge < rows / AGES) return;
    this.#ofAge = 0;
    this.#age = (this.#age + 1) & AGE_MASK;
  }

  has(hash: number): boolean {
    const ghost = this.#words[hash & this.#mask] ?? 0;
    if (((ghost ^ hash) & ~AGE_MASK) !== 0) return false;
    return ((this.#age - ghost) & AGE_MASK) <= AGES;
  }
}
