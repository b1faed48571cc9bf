/**
 * The memory of the memory tier: slabs of one size, allocated one by one as they are needed and given back when others
 * need the bytes. Memory that the system has not been asked for costs nothing, so a node starts small.
 *
 * A place in the slabs is one positive 32-bit integer, its location: slab and offset in units of 64 bytes, a cache
 * line. The first unit of a slab is never used, so that 0 is no location.
 */

import { BufferViews } from '../core/index.ts';

export const UNIT_BYTES = 64;
const UNIT_SHIFT = 6;
/** A slab is about this share of all, so that those which are being filled or emptied waste little. */
const SLABS_WANTED = 128;
const SLAB_BYTES_MIN = 16 * 1024;
const SLAB_BYTES_MAX = 4 * 2 ** 20;
/** What 31 bits of units reach. */
export const SLAB_MEMORY_BYTES_MAX: number = 2 ** 31 * UNIT_BYTES;

/**
 * The one place that allocates slabs, so that one day they may be shared by several event loops. Undefined where the
 * system has no memory: a cache does with less.
 */
function allocateSlab(bytes: number): ArrayBufferLike | undefined {
  try {
    return new ArrayBuffer(bytes);
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}

export class MemorySlabs {
  readonly slabBytes: number;
  /** From a location to its slab. */
  readonly #slabShift: number;
  readonly #offsetMask: number;
  readonly #views: (BufferViews | undefined)[] = [];
  /** Slabs that are allocated and hold nothing. */
  readonly #free: number[] = [];
  /** Places in `#views` whose slab was given back. */
  readonly #vacant: number[] = [];

  constructor(memoryBytes: number) {
    const wanted = 2 ** Math.floor(Math.log2(Math.max(1, memoryBytes / SLABS_WANTED)));
    this.slabBytes = Math.min(SLAB_BYTES_MAX, Math.max(SLAB_BYTES_MIN, wanted));
    this.#slabShift = Math.log2(this.slabBytes) - UNIT_SHIFT;
    this.#offsetMask = 2 ** this.#slabShift - 1;
  }

  get allocated(): number {
    return this.#views.length - this.#vacant.length;
  }

  /** An empty slab, or undefined where there is no memory. */
  take(): number | undefined {
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    const buffer = allocateSlab(this.slabBytes);
    if (buffer === undefined) return undefined;
    const slab = this.#vacant.pop() ?? this.#views.length;
    this.#views[slab] = new BufferViews(buffer);
    return slab;
  }

  /** Takes back a slab that holds nothing any more. */
  give(slab: number): void {
    this.#free.push(slab);
  }

  /** Gives an empty slab's memory back to the system; false where there is none. */
  shrink(): boolean {
    const slab = this.#free.pop();
    if (slab === undefined) return false;
    this.#views[slab] = undefined;
    this.#vacant.push(slab);
    return true;
  }

  locationOf(slab: number, offset: number): number {
    return (slab << this.#slabShift) | (offset >>> UNIT_SHIFT);
  }

  /** The views of the slab that a location is in. */
  viewsOf(location: number): BufferViews {
    return this.#views[location >>> this.#slabShift]!;
  }

  /** The byte of its slab that a location is at. */
  offsetOf(location: number): number {
    return (location & this.#offsetMask) << UNIT_SHIFT;
  }
}
