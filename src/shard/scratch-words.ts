/**
 * Memory that is needed for the time of a request, again and again: without it the garbage collector would have to run for
 * what lies outside of its heap, and stop everything for milliseconds.
 */

/** Larger ones are rare, and left to the collector. */
const WORDS_MAX = 65_536;
const KEPT_MAX = 16;

export class ScratchWords {
  readonly #free: Uint32Array<ArrayBuffer>[] = [];

  /** At least so many, of whatever content. */
  take(words: number): Uint32Array<ArrayBuffer> {
    const last = this.#free.pop();
    return last !== undefined && last.length >= words ? last : new Uint32Array(words);
  }

  /** Nobody may use it any more. */
  give(words: Uint32Array<ArrayBuffer>): void {
    if (words.length <= WORDS_MAX && this.#free.length < KEPT_MAX) this.#free.push(words);
  }
}
