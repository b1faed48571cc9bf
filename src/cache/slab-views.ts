/** Slabs of one size and the places in them, whoever allocated them. */

import { BufferViews } from '../core/index.ts';

export const UNIT_BYTES = 64;
const UNIT_SHIFT = 6;
const NO_WORDS = new Int32Array(0);

/**
 * A place in the slabs is one positive 32-bit integer, its location: slab and offset in units of 64 bytes, a cache
 * line. The first unit of a slab is never used, so that 0 is no location.
 */
export class SlabViews {
  readonly slabBytes: number;
  protected readonly views: (BufferViews | undefined)[] = [];
  /** By slab, so that to load a word takes few instructions: then the processor waits for many at the same time. */
  readonly #words: Int32Array[] = [];
  /** From a location to its slab. */
  readonly #slabShift: number;
  readonly #offsetMask: number;

  /** `slabBytes` is a power of two. */
  constructor(slabBytes: number) {
    this.slabBytes = slabBytes;
    this.#slabShift = Math.log2(slabBytes) - UNIT_SHIFT;
    this.#offsetMask = 2 ** this.#slabShift - 1;
  }

  protected put(slab: number, buffer: ArrayBufferLike): void {
    const views = new BufferViews(buffer);
    this.views[slab] = views;
    this.#words[slab] = views.int32s;
  }

  protected drop(slab: number): void {
    this.views[slab] = undefined;
    this.#words[slab] = NO_WORDS;
  }

  /** The words of the slab that a location is in; undefined where it is not there. */
  wordsOf(location: number): Int32Array | undefined {
    return this.#words[location >>> this.#slabShift];
  }

  /** The word that has the byte `at` from a location on; 0 where the slab is not there. */
  wordAt(location: number, at: number): number {
    const words = this.#words[location >>> this.#slabShift];
    return words === undefined ? 0 : (words[((location & this.#offsetMask) << (UNIT_SHIFT - 2)) + (at >>> 2)] ?? 0);
  }

  locationOf(slab: number, offset: number): number {
    return (slab << this.#slabShift) | (offset >>> UNIT_SHIFT);
  }

  /** The views of the slab that a location is in, which is there. */
  viewsOf(location: number): BufferViews {
    return this.views[location >>> this.#slabShift]!;
  }

  /** The byte of its slab that a location is at. */
  offsetOf(location: number): number {
    return (location & this.#offsetMask) << UNIT_SHIFT;
  }
}
