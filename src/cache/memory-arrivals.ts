/** Blocks that wait to be taken in: all of a turn together, and where they are many over several turns of the event loop. */

import type { Admission } from './memory-owners.ts';

/** Bytes copied in one turn of the event loop; a page of more is admitted over several. */
const COPIED_A_TURN_BYTES = 4 * 2 ** 20;

export class MemoryArrivals {
  #waiting: Admission[] = [];
  #bytes = 0;
  #taken: PromiseWithResolvers<void> | undefined = undefined;

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(admission: Admission): void {
    this.#waiting.push(admission);
    this.#bytes += admission.block.byteLength;
  }

  /** Undefined where what waits is taken in one turn; else resolves when all that waits now was taken in. */
  taken(): Promise<void> | undefined {
    if (this.#bytes <= COPIED_A_TURN_BYTES) return undefined;
    this.#taken ??= Promise.withResolvers<void>();
    return this.#taken.promise;
  }

  /** All that waits now; `take` gives the bytes that it copied. */
  async takeAll(take: (admission: Admission) => number): Promise<void> {
    const waiting = this.#waiting;
    const taken = this.#taken;
    this.#waiting = [];
    this.#bytes = 0;
    this.#taken = undefined;
    let copied = 0;
    try {
      for (const admission of waiting) {
        if (copied > COPIED_A_TURN_BYTES) {
          await otherTurns();
          copied = 0;
        }
        copied += take(admission);
      }
    } finally {
      taken?.resolve();
    }
  }
}

const otherTurns = () => new Promise<void>((resolve) => setImmediate(resolve));
