/**
 * Warming the next snapshot before the switch to it: what was hot in files that are replaced would be cold otherwise.
 *
 * It is a kindness. It has its time and no more, what it throws is logged, and a request that waits for the refresh ends
 * it at once.
 */

import type { Clock } from '../core/index.ts';
import type { Snapshot } from './snapshot.ts';

/** Should end when the signal aborts; it is not waited for longer than that. */
export type Prepare = (next: Snapshot, before: Snapshot, signal: AbortSignal) => Promise<void>;

const PREPARE_MS_MAX = 10_000;

export class Preparing {
  readonly #table: string;
  readonly #clock: Clock;
  readonly #prepare: Prepare | undefined;
  readonly #log: (line: string) => void;
  #isHurried = false;
  #running: AbortController | undefined = undefined;

  constructor(
    table: string,
    clock: Clock,
    prepare: Prepare | undefined,
    log: (line: string) => void = () => undefined,
  ) {
    this.#table = table;
    this.#clock = clock;
    this.#prepare = prepare;
    this.#log = log;
  }

  /** Ends what runs, and lets nothing run until the refresh is done. */
  hurry(): void {
    this.#isHurried = true;
    this.#running?.abort(new Error('a request waits for the snapshot'));
  }

  done(): void {
    this.#isHurried = false;
  }

  /** Throws only the signal's reason. */
  async run(next: Snapshot, before: Snapshot, signal: AbortSignal): Promise<void> {
    if (this.#prepare === undefined || this.#isHurried) return;
    const running = new AbortController();
    this.#running = running;
    const ended = new Promise<void>((resolve) => {
      running.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const onAbort = () => running.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#clock.sleep(PREPARE_MS_MAX, running.signal).then(
      () => running.abort(new Error(`preparing took more than ${PREPARE_MS_MAX} ms`)),
      () => undefined,
    );
    try {
      await Promise.race([this.#attempt(this.#prepare, next, before, running.signal), ended]);
    } finally {
      running.abort(new Error('preparing is over'));
      signal.removeEventListener('abort', onAbort);
      this.#running = undefined;
    }
    signal.throwIfAborted();
  }

  async #attempt(prepare: Prepare, next: Snapshot, before: Snapshot, signal: AbortSignal): Promise<void> {
    try {
      await prepare(next, before, signal);
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message : String(thrown);
      if (!signal.aborted) this.#log(`table ${this.#table}: its next snapshot was not warmed: ${reason}`);
    }
  }
}
