/** At most so many jobs at once, a bounded number waiting in order, the rest refused: no queue without an end. */

import { ServiceError } from '../core/index.ts';

export class Semaphore {
  readonly #max: number;
  readonly #waitingMax: number;
  #running = 0;
  readonly #waiting = new Set<() => void>();

  constructor(max: number, waitingMax: number) {
    this.#max = max;
    this.#waitingMax = waitingMax;
  }

  get running(): number {
    return this.#running;
  }

  /** Runs the job when its turn comes; rejects with the signal's reason when that aborts first. */
  async run<T>(signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#running >= this.#max) await this.#turn(signal);
    else this.#running += 1;
    try {
      return await job();
    } finally {
      this.#leave();
    }
  }

  /** Resolves when a leaver has handed over its place. */
  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= this.#waitingMax) {
      const message = `${this.#max} lookups are running and ${this.#waitingMax} waiting; try again shortly`;
      return Promise.reject(new ServiceError('overloaded', 'overloaded', message));
    }
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(proceed);
        reject(signal.reason);
      };
      const proceed = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(proceed);
    });
  }

  #leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
