/**
 * Waiting that ends when the caller gives up.
 *
 * File reads cannot be cancelled, so the work goes on behind and cleans up after itself; only the wait ends. A signal's
 * reason is rethrown as it is, since it says why the caller left (its deadline, its disconnect).
 */

/**
 * The waits of a signal that has any, behind one listener: a signal compares each new listener with all it has, and one
 * caller may wait for the tens of thousands of pages of a row group at once.
 */
const waits = new WeakMap<AbortSignal, SignalWaits>();

interface SignalWaits {
  readonly leave: Set<() => void>;
  readonly onAbort: () => void;
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it aborts, whichever comes first. */
export function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const leave = () => reject(signal.reason);
    if (signal.aborted) leave();
    else begin(signal, leave);
    work.then(
      (value) => {
        end(signal, leave);
        resolve(value);
      },
      (thrown) => {
        end(signal, leave);
        reject(thrown);
      },
    );
  });
}

function begin(signal: AbortSignal, leave: () => void): void {
  let known = waits.get(signal);
  if (known === undefined) {
    const all = new Set<() => void>();
    const onAbort = () => {
      for (const one of all) one();
    };
    known = { leave: all, onAbort };
    waits.set(signal, known);
    signal.addEventListener('abort', onAbort, { once: true });
  }
  known.leave.add(leave);
}

function end(signal: AbortSignal, leave: () => void): void {
  const known = waits.get(signal);
  if (known?.leave.delete(leave) !== true || known.leave.size > 0) return;
  waits.delete(signal);
  signal.removeEventListener('abort', known.onAbort);
}
