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
