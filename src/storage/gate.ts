/**
 * A bounded number at once, a bounded queue behind it, first come first served.
 *
 * Without the second bound a slow store would collect waiters until memory ends; with it the caller learns at once that
 * it should come back later. A waiter whose signal aborts leaves the queue and takes no turn.
 */

import { ServiceError } from '../core/index.ts';

export interface GateOptions {
  readonly maxConcurrent: number;
  readonly maxQueued: number;
  /** What is being waited for, for the message: `requests to s3://lake`. */
  readonly name: string;
  /** Of the refusal, when it should be told from storage's. */
  readonly code?: string;
}

export class Gate {
  readonly #options: GateOptions;
  readonly #waiters = new Set<() => void>();
  #running = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#waiters.size;
  }

  /** Runs `work` when its turn comes; throws `overloaded` when the queue is full. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#running < this.#options.maxConcurrent) this.#running += 1;
    else await this.#wait(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Runs `work` if there is a turn for it now; undefined when it would have to wait. */
  tryRun<T>(work: () => Promise<T>): Promise<T> | undefined {
    return this.#running < this.#options.maxConcurrent ? this.run(work) : undefined;
  }

  /** The turn is handed over by `#leave`, which keeps it counted, so that nobody slips in between. */
  #wait(signal: AbortSignal | undefined): Promise<void> {
    const { maxConcurrent, maxQueued, name, code = 'storage_overloaded' } = this.#options;
    if (this.#waiters.size >= maxQueued) {
      const message = `${maxConcurrent} ${name} run and ${maxQueued} wait already; come back later or raise the limit`;
      throw new ServiceError('overloaded', code, message, { maxConcurrent, maxQueued });
    }
    return new Promise<void>((resolve, reject) => {
      const onTurn = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#waiters.delete(onTurn);
        reject(signal?.reason);
      };
      this.#waiters.add(onTurn);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #leave(): void {
    const [next] = this.#waiters;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    this.#waiters.delete(next);
    next();
  }
}
