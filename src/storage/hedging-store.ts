/**
 * A second GET of the same range when the first takes longer than nearly all do: the answer that comes first counts.
 *
 * The slowest few reads of S3 are slow by chance, not by what they read, so asking again is likely to be quicker than
 * waiting on. Load is bounded three ways: each read earns a share of a second one (`maxExtra`), few can be saved up, and
 * a second one runs only where the limit on concurrency has room to spare. While storage is slow as a whole the
 * percentile rises with it. A timer of an event loop that was held up fires before the sockets are read, so the second
 * request waits for that too: its answer may be there already.
 *
 *     first    |----------------------- ... called off
 *     second   |<-- delay -->|-------|  answers
 *
 * Both carry the same `If-Match`, so whichever answers gives that version. An error that would not pass by itself
 * (`changed`, refused credentials) ends the race at once, whatever the other does; one that may pass leaves it to the other.
 */

import { type ByteRange, type Clock, rangeLength, systemClock } from '../core/index.ts';
import { LatencyEstimate } from './latency-estimate.ts';
import type { ListOptions, ObjectMeta, ObjectStore, RequestOptions } from './object-store.ts';
import { isRetryable } from './s3-errors.ts';

export interface HedgePolicy {
  /** Of recent reads of similar size, as a share; a read that takes longer is hedged. */
  readonly percentile: number;
  /** Second requests a request, at most. */
  readonly maxExtra: number;
  /** No read is hedged sooner than this. */
  readonly minDelayMs: number;
  /** Longer reads take their time for their bytes, and a second one would double those. */
  readonly maxBytes: number;
}

export interface HedgingStoreOptions extends Partial<HedgePolicy> {
  readonly clock?: Clock;
  /** Runs the second request if there is room for it now, else answers undefined. */
  readonly spareTurn?: <T>(work: () => Promise<T>) => Promise<T> | undefined;
}

export interface HedgeCounts {
  /** Second requests sent. */
  readonly hedges: number;
  /** Those that answered first. */
  readonly hedgesWon: number;
}

export const HEDGE_POLICY: HedgePolicy = { percentile: 0.95, maxExtra: 0.05, minDelayMs: 10, maxBytes: 4 << 20 };

/** Second requests that quiet times may save up for a slow moment. */
const SAVED_MAX = 10;

/** The reason of every race that is over: a new one each would cost more than the rest of a race. */
const OVER = new Error('the race is over');

type Attempt = (signal: AbortSignal) => Promise<Uint8Array>;

export class HedgingStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads: boolean;
  readonly #store: ObjectStore;
  readonly #policy: HedgePolicy;
  readonly #clock: Clock;
  readonly #spareTurn: NonNullable<HedgingStoreOptions['spareTurn']>;
  readonly #latency: LatencyEstimate;
  #hedges = 0;
  #hedgesWon = 0;
  /** Second requests earned and not yet spent. */
  #saved = 0;

  constructor(store: ObjectStore, options: HedgingStoreOptions = {}) {
    const { clock = systemClock, spareTurn = (work) => work(), ...policy } = options;
    this.kind = store.kind;
    this.cheapReads = store.cheapReads;
    this.#store = store;
    this.#policy = { ...HEDGE_POLICY, ...policy };
    this.#clock = clock;
    this.#spareTurn = spareTurn;
    this.#latency = new LatencyEstimate(this.#policy.percentile);
  }

  counts(): HedgeCounts {
    return { hedges: this.#hedges, hedgesWon: this.#hedgesWon };
  }

  async getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    const startedMs = this.#clock.nowMs();
    const bytes = await this.#get(object, range, options);
    this.#latency.record(rangeLength(range), this.#clock.nowMs() - startedMs);
    return bytes;
  }

  head(key: string, options?: RequestOptions): Promise<ObjectMeta> {
    return this.#store.head(key, options);
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta> {
    return this.#store.list(prefix, options);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #get(object: ObjectMeta, range: ByteRange, options: RequestOptions): Promise<Uint8Array> {
    const { maxBytes, maxExtra, minDelayMs } = this.#policy;
    this.#saved = Math.min(SAVED_MAX, this.#saved + maxExtra);
    const usualMs = this.#latency.percentileMs(rangeLength(range));
    if (usualMs === undefined || rangeLength(range) > maxBytes) return this.#store.getRange(object, range, options);
    const attempt: Attempt = (signal) => this.#store.getRange(object, range, { ...options, signal });
    return this.#race(attempt, Math.max(minDelayMs, usualMs), options.signal);
  }

  #race(attempt: Attempt, delayMs: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const running = new Set<AbortController>();
    const over = new AbortController();
    let firstError: unknown;
    const end = (reason?: unknown) => {
      signal?.removeEventListener('abort', onAbort);
      over.abort(OVER);
      for (const controller of running) controller.abort(reason);
    };
    const onAbort = () => {
      reject(signal?.reason);
      end(signal?.reason);
    };
    const run = (controller: AbortController, work: Promise<Uint8Array>, onWin: () => void) => {
      running.add(controller);
      work.then(
        (bytes) => {
          running.delete(controller);
          if (over.signal.aborted) return;
          onWin();
          resolve(bytes);
          end();
        },
        (error: unknown) => {
          running.delete(controller);
          firstError ??= error;
          if (over.signal.aborted || (isRetryable(error) && running.size > 0)) return;
          reject(isRetryable(error) ? firstError : error);
          end();
        },
      );
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const first = new AbortController();
    run(first, attempt(first.signal), () => undefined);
    const due = this.#clock.sleep(delayMs, over.signal).then(whatCameIsRead);
    due.then(
      () => {
        const second = new AbortController();
        const work = this.#second(() => attempt(second.signal), over.signal);
        if (work !== undefined) run(second, work, () => (this.#hedgesWon += 1));
      },
      () => undefined,
    );
    return promise;
  }

  /** Undefined where the race is over, or nothing was saved up, or there is no room. */
  #second(attempt: () => Promise<Uint8Array>, over: AbortSignal): Promise<Uint8Array> | undefined {
    if (over.aborted || this.#saved < 1) return undefined;
    const work = this.#spareTurn(attempt);
    if (work === undefined) return undefined;
    this.#saved -= 1;
    this.#hedges += 1;
    return work;
  }
}

/** A turn for what the sockets hold, and one for the stream of a body to end. */
async function whatCameIsRead(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise<void>((next) => setImmediate(next));
}
