/** Waiting for a client to take what was written to it, for as long as one that takes nothing is borne. */

import type { ServerResponse } from 'node:http';
import type { Clock } from '../core/index.ts';

/** False when the client left, or was cut off because it took nothing for so long. */
export function drained(raw: ServerResponse, clock: Clock, stallMs: number): Promise<boolean> {
  return comes(raw, 'drain', clock, stallMs);
}

/** Ends the reply. The last bytes have as long as those before them: a client that leaves them lying is cut off. */
export function ended(raw: ServerResponse, clock: Clock, stallMs: number): Promise<boolean> {
  const isTaken = comes(raw, 'finish', clock, stallMs);
  raw.end();
  return isTaken;
}

async function comes(raw: ServerResponse, event: 'drain' | 'finish', clock: Clock, stallMs: number): Promise<boolean> {
  const settled = new AbortController();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onEvent = () => resolve(true);
  const onClose = () => resolve(false);
  raw.once(event, onEvent);
  raw.once('close', onClose);
  clock.sleep(stallMs, settled.signal).then(
    () => raw.destroy(),
    () => undefined,
  );
  const hasCome = await promise;
  settled.abort();
  raw.off(event, onEvent);
  raw.off('close', onClose);
  return hasCome;
}
