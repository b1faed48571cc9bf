/**
 * How a preload keeps out of the way: so many bytes a second, a wait where lookups wait for storage, and between the
 * decoding of two pages a turn of the event loop for everybody else.
 */

import type { Clock } from '../core/index.ts';
import { LookupTrace } from './lookup-trace.ts';

/** Looked again after this whether lookups still wait. */
const YIELD_MS = 5;
/** A busy server has always some that wait; a preload must come to an end all the same. */
const YIELD_MS_MAX = 100;

export interface WaitingLookups {
  readonly running: number;
  readonly queued: number;
}

export class PreloadPace {
  readonly #clock: Clock;
  readonly #rateBytes: number;
  readonly #lookups: () => WaitingLookups;
  #freeAtMs = 0;

  constructor(clock: Clock, rateBytes: number, lookups: () => WaitingLookups) {
    this.#clock = clock;
    this.#rateBytes = rateBytes;
    this.#lookups = lookups;
  }

  /** Resolves when so many bytes may be read. */
  async bytes(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const startMs = Math.max(nowMs, this.#freeAtMs);
    this.#freeAtMs = startMs + (bytes / this.#rateBytes) * 1000;
    if (startMs > nowMs) await this.#clock.sleep(Math.ceil(startMs - nowMs), signal);
    for (let waitedMs = 0; this.#areWaiting() && waitedMs < YIELD_MS_MAX; waitedMs += YIELD_MS) {
      await this.#clock.sleep(YIELD_MS, signal);
    }
    signal.throwIfAborted();
  }

  #areWaiting(): boolean {
    const { running, queued } = this.#lookups();
    return running + queued > 0;
  }
}

/** The reads of one preload; its pages are decoded one a turn. */
export class PreloadTrace extends LookupTrace {
  #turn: Promise<void> = Promise.resolve();

  override beforeDecode(): Promise<void> {
    this.#turn = this.#turn.then(nextTurn);
    return this.#turn;
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
