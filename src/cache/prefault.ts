/**
 * Memory that is there before it is written.
 *
 * The system gives memory when it is first written to, and clears it then: huge pages 2 MiB at a time, which took 3 to 6 ms
 * on a virtual machine whose host had to find them. No lookup shall wait for that, so a thread of libuv reads zeros into it ahead
 * of its use: whoever reads into memory writes to it.
 */

import { open } from 'node:fs/promises';
import { systemClock } from '../core/index.ts';

const ZEROS = '/dev/zero';
/** Of one read, which others on its core or for its thread wait for. */
const PIECE_BYTES = 2 * 2 ** 20;
/** Less is taken as it comes. */
export const PREFAULTED_BYTES_MIN: number = 2 ** 20;
/** Memory that is there beyond four times what is used. */
const AHEAD_BYTES = 64 * 2 ** 20;
/** As long as the work itself took. */
const AHEAD_PAUSES = 1;

/**
 * Writes zeros to the bytes, and to no others, piece by piece. After each it says how far all is there, and goes on unless it is told not to, after
 * `pauses` times as long as the piece took. Where it cannot be done it says at once that all is there: then the memory comes when it is written, as
 * it does elsewhere.
 */
export async function prefault(bytes: Uint8Array, pauses: number, goesOn: (end: number) => boolean): Promise<void> {
  const zeros = await open(ZEROS).catch(() => undefined);
  try {
    for (let at = 0; zeros !== undefined && goesOn(at) && at < bytes.length; ) {
      const begun = performance.now();
      const { bytesRead } = await zeros.read(bytes, at, Math.min(PIECE_BYTES, bytes.length - at));
      if (bytesRead === 0) break;
      at += bytesRead;
      if (pauses > 0) await systemClock.sleep(pauses * (performance.now() - begun));
    }
  } catch {
    // What is missing comes when it is written.
  } finally {
    await zeros?.close();
    goesOn(bytes.length);
  }
}

/** Of bytes that are first written from their start to their end: how far their memory is there. */
export class PrefaultedBytes {
  readonly #bytes: Uint8Array;
  #end: number;
  #isReading = false;
  #isClosed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = Math.min(bytes.length, PREFAULTED_BYTES_MIN);
  }

  /** Whether they may be written up to here. Sees to it that soon four times as many may. */
  has(end: number): boolean {
    if (2 * end + AHEAD_BYTES / 2 > this.#end) this.#bring(4 * end + AHEAD_BYTES);
    return end <= this.#end;
  }

  close(): void {
    this.#isClosed = true;
  }

  #bring(wanted: number): void {
    const from = this.#end;
    const to = Math.min(this.#bytes.length, wanted);
    if (this.#isReading || from >= to) return;
    this.#isReading = true;
    const goesOn = (bytes: number) => {
      this.#end = from + bytes;
      return !this.#isClosed;
    };
    void prefault(this.#bytes.subarray(from, to), AHEAD_PAUSES, goesOn).then(() => {
      this.#isReading = false;
    });
  }
}
