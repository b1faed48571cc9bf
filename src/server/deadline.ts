/**
 * How long a request may wait, and that it stops waiting when its client leaves.
 *
 * Only requests that have to wait for storage open a deadline; a hot answer is out before a timer could matter.
 */

import type { FastifyReply } from 'fastify';
import { type Clock, ServiceError } from '../core/index.ts';

/** Made once: an error takes its time, and without one the platform makes one of its own. */
const OVER = new ServiceError('timeout', 'timeout', 'the request was answered before this read was done');

/**
 * Runs `work` under a signal that aborts when the time is up or the client disconnects. `settle: 'at deadline'` rejects
 * then even if the work goes on; `'with work'` leaves it to the work to end with what it has.
 */
export async function underDeadline<T>(
  reply: FastifyReply,
  clock: Clock,
  timeoutMs: number,
  settle: 'at deadline' | 'with work',
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = new AbortController();
  const onClose = () => deadline.abort(clientGone());
  reply.raw.once('close', onClose);
  clock.sleep(timeoutMs, timer.signal).then(
    () => deadline.abort(timedOut(timeoutMs)),
    () => undefined,
  );
  try {
    const running = work(deadline.signal);
    return await (settle === 'at deadline' ? Promise.race([running, aborted(deadline.signal, running)]) : running);
  } catch (thrown) {
    // Libraries wrap or replace the reason; ours says what happened.
    throw deadline.signal.aborted ? deadline.signal.reason : thrown;
  } finally {
    timer.abort(OVER);
    reply.raw.off('close', onClose);
    // A request that failed by one of its reads has no use for the others.
    deadline.abort(OVER);
  }
}

/** Rejects when the signal aborts. The work that was left behind may fail later, which then interests nobody. */
function aborted(signal: AbortSignal, running: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => {
    const onAbort = () => {
      running.catch(() => undefined);
      reject(signal.reason);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

export function timedOut(timeoutMs: number): ServiceError {
  const message = `there was no answer within ${timeoutMs} ms; ask again, since what was fetched is kept, or allow more time`;
  return new ServiceError('timeout', 'timeout', message, { timeout_ms: timeoutMs });
}

function clientGone(): ServiceError {
  return new ServiceError('timeout', 'client_gone', 'the client closed the connection before the answer was ready');
}
