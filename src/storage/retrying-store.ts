/**
 * Tries again what passes: slow-downs, resets, time-outs, answers cut short.
 *
 * Full jitter, since many readers that failed together must not come back together: each wait is uniform between nothing
 * and a ceiling that doubles. Attempts and the time spent on them are bounded, and the caller's signal ends a wait at
 * once. Which errors pass is decided where they are made (`isRetryable`), not here. A listing that breaks goes on after
 * the last key it gave, with its attempts counted anew, so that millions of keys need no lucky run.
 */

import { type ByteRange, type Clock, type Random, ServiceError, systemClock, systemRandom } from '../core/index.ts';
import type { ListOptions, ObjectMeta, ObjectStore, RequestOptions } from './object-store.ts';
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

export interface RetryingStoreOptions extends Partial<RetryPolicy> {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly onRetry?: (retry: Retry) => void;
}

export interface Retry {
  readonly op: 'head' | 'get' | 'list';
  readonly key: string;
  /** Of the try that failed, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly error: ServiceError;
}

export const RETRY_POLICY: RetryPolicy = { maxAttempts: 5, baseDelayMs: 50, maxDelayMs: 2_000, maxElapsedMs: 30_000 };

export class RetryingStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads: boolean;
  readonly #store: ObjectStore;
  readonly #policy: RetryPolicy;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onRetry: (retry: Retry) => void;

  constructor(store: ObjectStore, options: RetryingStoreOptions = {}) {
    const { clock = systemClock, random = systemRandom, onRetry = () => undefined, ...policy } = options;
    this.kind = store.kind;
    this.cheapReads = store.cheapReads;
    this.#store = store;
    this.#policy = { ...RETRY_POLICY, ...policy };
    this.#clock = clock;
    this.#random = random;
    this.#onRetry = onRetry;
  }

  head(key: string, options: RequestOptions = {}): Promise<ObjectMeta> {
    return this.#retry('head', key, options.signal, () => this.#store.head(key, options));
  }

  getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    return this.#retry('get', object.key, options.signal, () => this.#store.getRange(object, range, options));
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectMeta> {
    let startAfter = options.startAfter;
    let tries: Tries = { op: 'list', key: prefix, failed: 0, firstFailedMs: 0 };
    for (;;) {
      try {
        for await (const object of this.#store.list(prefix, { ...options, startAfter })) {
          if (tries.failed > 0) tries = { ...tries, failed: 0 };
          startAfter = object.key;
          yield object;
        }
        return;
      } catch (error) {
        await this.#waitOrThrow(tries, error, options.signal);
      }
    }
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #retry<T>(
    op: Retry['op'],
    key: string,
    signal: AbortSignal | undefined,
    request: () => Promise<T>,
  ): Promise<T> {
    const tries: Tries = { op, key, failed: 0, firstFailedMs: 0 };
    for (;;) {
      try {
        return await request();
      } catch (error) {
        await this.#waitOrThrow(tries, error, signal);
      }
    }
  }

  async #waitOrThrow(tries: Tries, error: unknown, signal: AbortSignal | undefined): Promise<void> {
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

interface Tries {
  readonly op: Retry['op'];
  readonly key: string;
  failed: number;
  /** Set by the first failure. */
  firstFailedMs: number;
}
