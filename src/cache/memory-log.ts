/**
 * A queue of entries of any size, in the order in which they came, over slabs: entries are appended in the newest slab and
 * leave from the oldest, which is handed back once it was gone through.
 *
 *     oldest slab                        newest slab
 *     [ gone | entry entry entry ] ... [ entry entry |  room  ]
 *            ^tail                                   ^head
 */

import { assert } from '../core/index.ts';
import { UNIT_BYTES } from './memory-entry.ts';
import type { MemorySlabs } from './memory-slabs.ts';

export class MemoryLog {
  readonly #slabs: MemorySlabs;
  /** From the oldest on; where the entries of each end. */
  readonly #order: number[] = [];
  readonly #ends: number[] = [];
  /** What its entries take, in memory elsewhere too, and of that what no owner has any more. */
  weightBytes = 0;
  goneBytes = 0;
  #tail = UNIT_BYTES;
  #head = UNIT_BYTES;

  constructor(slabs: MemorySlabs) {
    this.#slabs = slabs;
  }

  /** Slabs in use. */
  get slabs(): number {
    return this.#order.length;
  }

  hasRoom(bytes: number): boolean {
    return this.#order.length > 0 && this.#head + bytes <= this.#slabs.slabBytes;
  }

  /** Goes on in another slab. */
  open(slab: number): void {
    if (this.#order.length > 0) this.#ends[this.#ends.length - 1] = this.#head;
    this.#order.push(slab);
    this.#ends.push(this.#slabs.slabBytes);
    this.#head = UNIT_BYTES;
    if (this.#order.length === 1) this.#tail = UNIT_BYTES;
  }

  /** The location of so many bytes more, for which there is room. */
  append(bytes: number): number {
    const slab = this.#order.at(-1);
    assert(slab !== undefined && this.hasRoom(bytes), 'an entry is appended where there is room');
    const location = this.#slabs.locationOf(slab, this.#head);
    this.#head += bytes;
    return location;
  }

  /** The oldest entry's location; 0 where there is none. Slabs that were gone through are handed back. */
  oldest(): number {
    for (;;) {
      const [slab] = this.#order;
      if (slab === undefined) return 0;
      const end = this.#order.length === 1 ? this.#head : (this.#ends[0] ?? 0);
      if (this.#tail < end) return this.#slabs.locationOf(slab, this.#tail);
      this.#order.shift();
      this.#ends.shift();
      this.#tail = UNIT_BYTES;
      this.#slabs.give(slab);
    }
  }

  /** Leaves the oldest entry behind. */
  pass(bytes: number): void {
    this.#tail += bytes;
    this.oldest();
  }
}
