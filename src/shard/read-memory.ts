/**
 * Memory that bytes are read to, decoded from at once, and used again: what is allocated for them anew has to be cleared page by page
 * by the system, and makes the collector think that it has much to do. It is shared, so a decode thread sees it without a copy.
 *
 *     | lease | lease | lease |  free  ..  |     begun anew when the last one is given back
 */

import { assert } from '../core/index.ts';

/** Of what does not fit, each has memory of its own. */
const READ_MEMORY_BYTES = 16 * 2 ** 20;

export interface Lease {
  readonly bytes: Uint8Array;
  /** Nobody reads or writes the bytes any more. */
  giveBack(): void;
  /** Somebody may write to them still, who knows for how long: none of this memory is used again. */
  abandon(): void;
}

export class ReadMemory {
  readonly #sizeBytes: number;
  #memory: SharedArrayBuffer | undefined = undefined;
  #usedBytes = 0;
  #leases = 0;

  constructor(sizeBytes: number = READ_MEMORY_BYTES) {
    this.#sizeBytes = sizeBytes;
  }

  /** Has the system clear all of it now, which the first reads to it would wait for: as long as they take themselves. */
  prepare(): void {
    if (this.#memory !== undefined) return;
    this.#memory = new SharedArrayBuffer(this.#sizeBytes);
    new Uint8Array(this.#memory).fill(0);
  }

  /** Undefined where there is no room. */
  lease(bytes: number): Lease | undefined {
    if (this.#usedBytes + bytes > this.#sizeBytes) return undefined;
    this.#memory ??= new SharedArrayBuffer(this.#sizeBytes);
    const memory = this.#memory;
    const view = new Uint8Array(memory, this.#usedBytes, bytes);
    this.#usedBytes += bytes;
    this.#leases += 1;
    let isOver = false;
    const end = (how: () => void) => () => {
      assert(!isOver, 'a lease ends once');
      isOver = true;
      // What was abandoned in between concerns this memory no more.
      if (memory === this.#memory) how();
    };
    return { bytes: view, giveBack: end(() => this.#gaveBack()), abandon: end(() => this.#beginWith(undefined)) };
  }

  #gaveBack(): void {
    this.#leases -= 1;
    if (this.#leases === 0) this.#beginWith(this.#memory);
  }

  #beginWith(memory: SharedArrayBuffer | undefined): void {
    this.#memory = memory;
    this.#usedBytes = 0;
    this.#leases = 0;
  }
}
