/** A clock that moves only when a test says so, or by itself from sleep to sleep when nobody should wait. */

import type { Clock } from '../../src/core/index.ts';

/** What a wake-up begins may take so many turns until it sleeps again. */
const IDLE_TURNS = 3;

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

export class ManualClock implements Clock {
  /** Every sleep that was asked for, in order. */
  readonly slept: number[] = [];
  readonly #sleepers = new Set<Sleeper>();
  #now = 1_700_000_000_000;

  nowMs(): number {
    return this.#now;
  }

  /** Sleeps that have neither ended nor been called off. */
  get sleeping(): number {
    return this.#sleepers.size;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.slept.push(ms);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const wake = () => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper = { atMs: this.#now + ms, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Moves on by `ms` and wakes those whose time has come, the earliest first. */
  advance(ms: number): void {
    this.#now += ms;
    const due = [...this.#sleepers].filter(({ atMs }) => atMs <= this.#now).sort((a, b) => a.atMs - b.atMs);
    for (const { wake } of due) wake();
  }

  /** Moves to the next wake-up whenever the event loop is idle, until `work` settles. */
  async runThrough<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = work.finally(() => {
      settled = true;
    });
    done.catch(() => undefined);
    while (!settled) {
      for (let turn = 0; turn < IDLE_TURNS; turn++) await new Promise((next) => setImmediate(next));
      const next = Math.min(...[...this.#sleepers].map(({ atMs }) => atMs));
      if (!settled && Number.isFinite(next)) this.advance(Math.max(0, next - this.#now));
    }
    return done;
  }
}
