/**
 * The memory of the memory tier: slabs of one size, allocated one by one as they are needed and given back when others
 * need the bytes. Memory that the system has not been asked for costs nothing, so a node starts small.
 *
 * Where other threads read the slabs they lie in shared memory. A slab that holds nothing any more then rests until no
 * reader can be in it, and its number is given to another one only when all readers have let go of it.
 */

import { UNIT_BYTES } from './memory-entry.ts';
import { PREFAULTED_BYTES_MIN, prefault } from './prefault.ts';
import type { ReaderEpochs } from './reader-epochs.ts';
import { SlabViews } from './slab-views.ts';

/** A slab is about this share of all, so that those which are being filled or emptied waste little. */
const SLABS_WANTED = 128;
const SLAB_BYTES_MIN = 16 * 1024;
const SLAB_BYTES_MAX = 16 * 2 ** 20;
/** What 31 bits of units reach. */
export const SLAB_MEMORY_BYTES_MAX: number = 2 ** 31 * UNIT_BYTES;
/** Slabs that may rest at once; with more, a reader is stuck, and nothing is admitted until it goes on. */
const RESTING_MAX = 4;

/** Threads that read the slabs. */
export interface SlabReaders {
  readonly epochs: ReaderEpochs;
  /** The slab of that number is this one from now on. */
  slabAdded(slab: number, buffer: SharedArrayBuffer): void;
  /** It is gone; resolves when no reader knows it any more. */
  slabDropped(slab: number): Promise<void>;
}

/** Undefined where the system has no memory: a cache does with less. */
function allocate(bytes: number, isShared: boolean): ArrayBuffer | SharedArrayBuffer | undefined {
  try {
    return isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  } catch (thrown) {
    if (thrown instanceof RangeError) return undefined;
    throw thrown;
  }
}

export class MemorySlabs extends SlabViews {
  readonly #readers: SlabReaders | undefined;
  /** Slabs that are allocated and hold nothing. */
  readonly #free: number[] = [];
  /** Of these, slabs that a reader may still be in, in the order in which they were emptied. */
  readonly #resting: { readonly slab: number; readonly epoch: number }[] = [];
  /** Numbers of slabs that were given back. */
  readonly #vacant: number[] = [];
  #allocated = 0;
  #isPreparing = false;

  constructor(memoryBytes: number, readers?: SlabReaders) {
    const wanted = 2 ** Math.floor(Math.log2(Math.max(1, memoryBytes / SLABS_WANTED)));
    super(Math.min(SLAB_BYTES_MAX, Math.max(SLAB_BYTES_MIN, wanted)));
    this.#readers = readers;
  }

  get allocated(): number {
    return this.#allocated;
  }

  /** What readers that come later have to know. */
  *shared(): Iterable<readonly [slab: number, buffer: SharedArrayBuffer]> {
    for (const [slab, views] of this.views.entries()) {
      if (views?.buffer instanceof SharedArrayBuffer) yield [slab, views.buffer];
    }
  }

  /** An empty slab, or undefined where there is no memory, or none that may be written yet. */
  take(): number | undefined {
    this.#wake();
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    const buffer =
      this.#resting.length < RESTING_MAX ? allocate(this.slabBytes, this.#readers !== undefined) : undefined;
    if (buffer === undefined) return undefined;
    this.#allocated += 1;
    return this.#number(buffer);
  }

  /** Sees to it that an empty slab will be at hand whose memory is there already; it counts from now on. Undefined where nothing is to be done. */
  prepare(): Promise<void> | undefined {
    this.#wake();
    if (this.#isPreparing || this.#free.length > 0 || this.slabBytes < PREFAULTED_BYTES_MIN) return undefined;
    const buffer = allocate(this.slabBytes, this.#readers !== undefined);
    if (buffer === undefined) return undefined;
    this.#allocated += 1;
    this.#isPreparing = true;
    return prefault(new Uint8Array(buffer), 0, () => true).then(() => {
      this.#isPreparing = false;
      this.#free.push(this.#number(buffer));
    });
  }

  /** Takes back a slab that nothing points into any more. */
  give(slab: number): void {
    if (this.#readers === undefined) this.#free.push(slab);
    else this.#resting.push({ slab, epoch: this.#readers.epochs.retire() });
  }

  /** Gives an empty slab's memory back to the system; false where there is none. */
  shrink(): boolean {
    // Whoever is still in it keeps its memory for as long.
    const slab = this.#free.pop() ?? this.#resting.shift()?.slab;
    if (slab === undefined) return false;
    this.drop(slab);
    this.#allocated -= 1;
    if (this.#readers === undefined) this.#vacant.push(slab);
    else void this.#readers.slabDropped(slab).then(() => this.#vacant.push(slab));
    return true;
  }

  #number(buffer: ArrayBuffer | SharedArrayBuffer): number {
    const slab = this.#vacant.pop() ?? this.views.length;
    this.put(slab, buffer);
    if (buffer instanceof SharedArrayBuffer) this.#readers?.slabAdded(slab, buffer);
    return slab;
  }

  /** Slabs that no reader can be in any more are free. */
  #wake(): void {
    for (;;) {
      const [oldest] = this.#resting;
      if (oldest === undefined || this.#readers?.epochs.isPassed(oldest.epoch) === false) return;
      this.#free.push(oldest.slab);
      this.#resting.shift();
    }
  }
}
