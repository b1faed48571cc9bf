/**
 * Waiting that ends when the caller gives up.
 *
 * File reads cannot be cancelled, so the work goes on behind and cleans up after itself; only the wait ends. A signal's
 * reason is rethrown as it is, since it says why the caller left (its deadline, its disconnect).
 */

/** Settles as `work` does, or rejects with the signal's reason as soon as it aborts, whichever comes first. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
