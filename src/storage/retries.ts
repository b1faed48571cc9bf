/**
 * Tries again what passes: slow-downs, resets, time-outs, answers cut short.
 *
 * Full jitter, since many requests that failed together must not come back together: each wait is uniform between nothing
 * and a ceiling that doubles. Attempts and the time spent on them are bounded, and the caller's signal ends a wait at
 * once. Which errors pass is decided where they are made (`isRetryable`), not here.
 */

import { type Clock, type Random, ServiceError, systemClock, systemRandom } from '../core/index.ts';
import { isRetryable } from './s3-errors.ts';

export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly maxAttempts: number;
  /** The first wait is up to this long, the second up to twice as long, and so on. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** No wait is begun that would end later than this after the first failure. */
  readonly maxElapsedMs: number;
}

export interface RetriesOptions extends Partial<RetryPolicy> {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onRetry?: (retry: Retry) => void;
}

export interface Retry {
  readonly op: 'head' | 'get' | 'list' | 'write';
  readonly key: string;
  /** Of the try that failed, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly error: ServiceError;
}

export const RETRY_POLICY: RetryPolicy = { maxAttempts: 5, baseDelayMs: 50, maxDelayMs: 2_000, maxElapsedMs: 30_000 };

export class Retries {
  readonly #policy: RetryPolicy;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onRetry: (retry: Retry) => void;

  constructor(options: RetriesOptions = {}) {
    const { clock = systemClock, random = systemRandom, onRetry = () => undefined, ...policy } = options;
    this.#policy = { ...RETRY_POLICY, ...policy };
    this.#clock = clock;
    this.#random = random;
    this.#onRetry = onRetry;
  }

  async run<T>(op: Retry['op'], key: string, signal: AbortSignal | undefined, request: () => Promise<T>): Promise<T> {
    const tries: Tries = { op, key, failed: 0, firstFailedMs: 0 };
    for (;;) {
      try {
        return await request();
      } catch (error) {
        await this.waitOrThrow(tries, error, signal);
      }
    }
  }

  /** Returns when the next try may begin, or throws what there is no other try after. */
  async waitOrThrow(tries: Tries, error: unknown, signal: AbortSignal | undefined): Promise<void> {
    if (!(error instanceof ServiceError) || !isRetryable(error)) throw error;
    signal?.throwIfAborted();
    const nowMs = this.#clock.nowMs();
    if (tries.failed === 0) tries.firstFailedMs = nowMs;
    tries.failed += 1;
    const { maxAttempts, baseDelayMs, maxDelayMs, maxElapsedMs } = this.#policy;
    const ceilingMs = Math.min(maxDelayMs, baseDelayMs * 2 ** (tries.failed - 1));
    const delayMs = this.#random() * ceilingMs;
    const elapsedMs = nowMs - tries.firstFailedMs;
    if (tries.failed >= maxAttempts || elapsedMs + delayMs > maxElapsedMs) throw error.with({ attempts: tries.failed });
    this.#onRetry({ op: tries.op, key: tries.key, attempt: tries.failed, delayMs, error });
    await this.#clock.sleep(delayMs, signal);
  }
}

export interface Tries {
  readonly op: Retry['op'];
  readonly key: string;
  failed: number;
  /** Set by the first failure. */
  firstFailedMs: number;
}
