/** Waiting for a client to take what was written to it. */

import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/index.ts';

/** False when the client left, or was cut off because it took nothing for so long. */
export async function drained(raw: ServerResponse, clock: Clock, stallMs: number): Promise<boolean> {
  const settled = new AbortController();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onDrain = () => resolve(true);
  const onClose = () => resolve(false);
  raw.once('drain', onDrain);
  raw.once('close', onClose);
  clock.sleep(stallMs, settled.signal).then(
    () => raw.destroy(),
    () => undefined,
  );
  const isDrained = await promise;
  settled.abort();
  raw.off('drain', onDrain);
  raw.off('close', onClose);
  return isDrained;
}
