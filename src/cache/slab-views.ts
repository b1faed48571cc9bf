/** Slabs of one size and the places in them, whoever allocated them. */

import { BufferViews } from '../core/index.ts';
import { ENTRY_HEADER_BYTES, UNIT_SHIFT } from './memory-entry.ts';

/**
 * A place in the slabs is one positive 32-bit integer, its location: slab and offset in units of 64 bytes, a cache
 * line. The first unit of a slab is never used, so that 0 is no location.
 */
export class SlabViews {
  readonly slabBytes: number;
  protected readonly views: (BufferViews | undefined)[] = [];
  /**
   * By slab, for loops that load many values: they take few instructions a value then, so that the processor waits for many at the same
   * time. Undefined where the slab is not there.
   */
  readonly words: (Int32Array | undefined)[] = [];
  readonly doubles: (Float64Array | undefined)[] = [];
  readonly floats: (Float32Array | undefined)[] = [];
  /** A location is the slab, shifted by so much, and the unit within it. */
  readonly slabShift: number;
  readonly unitMask: number;

  /** `slabBytes` is a power of two. */
  constructor(slabBytes: number) {
    this.slabBytes = slabBytes;
    this.slabShift = Math.log2(slabBytes) - UNIT_SHIFT;
    this.unitMask = 2 ** this.slabShift - 1;
  }

  protected put(slab: number, buffer: ArrayBufferLike): void {
    const views = new BufferViews(buffer);
    this.views[slab] = views;
    this.words[slab] = views.int32s;
    this.doubles[slab] = views.float64s;
    this.floats[slab] = views.float32s;
  }

  protected drop(slab: number): void {
    this.views[slab] = undefined;
    this.words[slab] = undefined;
    this.doubles[slab] = undefined;
    this.floats[slab] = undefined;
  }

  /** The words of the slab that a location is in; undefined where it is not there. */
  wordsOf(location: number): Int32Array | undefined {
    return this.words[location >>> this.slabShift];
  }

  locationOf(slab: number, offset: number): number {
    return (slab << this.slabShift) | (offset >>> UNIT_SHIFT);
  }

  /** The views of the slab that a location is in, which is there. */
  viewsOf(location: number): BufferViews {
    return this.views[location >>> this.slabShift]!;
  }

  /** The byte of its slab that a location is at. */
  offsetOf(location: number): number {
    return (location & this.unitMask) << UNIT_SHIFT;
  }

  /** The same of the block, behind the header of its entry. */
  blockAt(location: number): number {
    return this.offsetOf(location) + ENTRY_HEADER_BYTES;
  }
}

/** As who reads blocks sees them. */
export type ReadableSlabs = Pick<SlabViews, keyof SlabViews>;
