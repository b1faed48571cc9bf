/**
 * Ranges that one turn of the event loop asks for, fetched as few GETs.
 *
 * Callers ask for each page by itself and need not know of one another; what they ask for in one turn is gathered until
 * the turn ends, merged by cost, fetched in parallel and sliced back. A GET is called off when all who share it have
 * left. One that fails fails all of its sharers alike.
 */

import type { ByteRange } from '../core/index.ts';
import { abortable } from './abortable.ts';
import { type CoalesceOptions, coalescingFor, planFetches, sliceFetched } from './coalesce.ts';
import {
  assertRangeInside,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type RequestAccount,
  type RequestOptions,
} from './object-store.ts';

interface Wanted {
  readonly range: ByteRange;
  readonly signal: AbortSignal | undefined;
  readonly account: RequestAccount | undefined;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

interface Batch {
  readonly object: ObjectMeta;
  readonly wanted: Wanted[];
}

export class CoalescingStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads: boolean;
  readonly #inner: ObjectStore;
  readonly #options: CoalesceOptions;
  readonly #onJoined: (ranges: number) => void;
  /** What this turn asked for, by object and version. */
  #batches = new Map<string, Batch>();

  /** `onJoined` is told of ranges that came with the GET of another one. */
  constructor(
    inner: ObjectStore,
    options: CoalesceOptions = coalescingFor(inner),
    onJoined: (ranges: number) => void = () => undefined,
  ) {
    this.#onJoined = onJoined;
    this.kind = inner.kind;
    this.cheapReads = inner.cheapReads;
    this.#inner = inner;
    this.#options = options;
  }

  head(key: string, options?: RequestOptions): Promise<ObjectMeta> {
    return this.#inner.head(key, options);
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta> {
    return this.#inner.list(prefix, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    assertRangeInside(object, range);
    const { signal, account, into } = options;
    // A read into somebody's own memory is nobody else's.
    if (into !== undefined) return this.#inner.getRange(object, range, options);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#batchOf(object).wanted.push({ range, signal, account, resolve, reject });
    return abortable(promise, signal);
  }

  #batchOf(object: ObjectMeta): Batch {
    if (this.#batches.size === 0) setImmediate(() => this.#flush());
    const id = `${object.eTag} ${object.key}`;
    let batch = this.#batches.get(id);
    if (batch === undefined) {
      batch = { object, wanted: [] };
      this.#batches.set(id, batch);
    }
    return batch;
  }

  #flush(): void {
    const batches = this.#batches;
    this.#batches = new Map();
    for (const { object, wanted } of batches.values()) this.#fetch(object, wanted.filter(isWaiting));
  }

  #fetch(object: ObjectMeta, wanted: readonly Wanted[]): void {
    const plan = planFetches(
      wanted.map(({ range }) => range),
      this.#options,
    );
    for (const [index, fetch] of plan.fetches.entries()) {
      const sharers = wanted.filter((_, i) => plan.fetchOf[i] === index);
      const one = { fetches: [fetch], fetchOf: sharers.map(() => 0) };
      const ranges = sharers.map(({ range }) => range);
      this.#onJoined(sharers.length - 1);
      this.#inner.getRange(object, fetch, { signal: whenAllLeft(sharers), account: accountOf(sharers) }).then(
        (bytes) => {
          for (const [i, slice] of sliceFetched(ranges, one, [bytes]).entries()) sharers[i]?.resolve(slice);
        },
        (reason) => {
          for (const sharer of sharers) sharer.reject(reason);
        },
      );
    }
  }
}

function isWaiting(wanted: Wanted): boolean {
  return wanted.signal?.aborted !== true;
}

/** A GET stands on one account, that of who wanted it first; each other one is told that it shares it. */
function accountOf(sharers: readonly Wanted[]): RequestAccount | undefined {
  const [first, ...others] = new Set(sharers.map(({ account }) => account));
  for (const other of others) other?.shares?.();
  return first;
}

/** A signal that aborts when every sharer's has; undefined when one of them cannot leave. */
function whenAllLeft(sharers: readonly Wanted[]): AbortSignal | undefined {
  const signals = new Set(sharers.map(({ signal }) => signal));
  if (signals.has(undefined)) return undefined;
  const controller = new AbortController();
  let waiting = signals.size;
  for (const signal of signals) {
    signal?.addEventListener(
      'abort',
      () => {
        waiting -= 1;
        if (waiting === 0) controller.abort(signal.reason);
      },
      { once: true },
    );
  }
  return controller.signal;
}
