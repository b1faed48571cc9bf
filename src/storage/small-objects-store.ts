/**
 * Small objects are read whole, by one GET, whatever part of them is wanted.
 *
 * A GET of 256 KiB takes hardly longer than one of a footer, and a lookup in a small file would otherwise go through as
 * many round trips as in a large one. What was read stays for a few seconds, so that footer, keys and values of one file
 * come of one GET; then the block cache has what is worth keeping, and a version that is gone is soon noticed. Many that
 * want parts at once share one flight, which is called off when all have left.
 */

import { assert, type ByteRange, type Clock, systemClock } from '../core/index.ts';
import { abortable } from './abortable.ts';
import {
  assertRangeInside,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type RequestAccount,
  type RequestOptions,
} from './object-store.ts';

/** Objects of less than this are read whole. */
export const SMALL_OBJECT_BYTES: number = 256 << 10;
const HELD_MS_MAX = 10_000;

/** Small objects that were read lately, of all tables of a node: bounded in bytes, and each in time. */
export class HeldObjects {
  readonly #bytesMax: number;
  readonly #clock: Clock;
  /** By object and version, the one read longest ago first. */
  readonly #held = new Map<string, { readonly bytes: Uint8Array; readonly untilMs: number }>();
  #heldBytes = 0;

  constructor(bytesMax: number, clock: Clock = systemClock) {
    this.#bytesMax = bytesMax;
    this.#clock = clock;
  }

  get(id: string): Uint8Array | undefined {
    const held = this.#held.get(id);
    if (held !== undefined && held.untilMs > this.#clock.nowMs()) return held.bytes;
    this.#drop(id);
    return undefined;
  }

  put(id: string, bytes: Uint8Array): void {
    this.#drop(id);
    this.#held.set(id, { bytes, untilMs: this.#clock.nowMs() + HELD_MS_MAX });
    this.#heldBytes += bytes.length;
    for (const oldest of this.#held.keys()) {
      if (this.#heldBytes <= this.#bytesMax) break;
      this.#drop(oldest);
    }
  }

  #drop(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#heldBytes -= held.bytes.length;
  }
}

interface Flight {
  readonly bytes: Promise<Uint8Array>;
  readonly controller: AbortController;
  readonly account: RequestAccount | undefined;
  waiting: number;
}

export class SmallObjectsStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads: boolean;
  readonly #inner: ObjectStore;
  readonly #name: string;
  readonly #held: HeldObjects;
  readonly #flights = new Map<string, Flight>();

  /** `name` tells its objects from those of other stores. */
  constructor(inner: ObjectStore, name: string, held: HeldObjects) {
    this.#name = name;
    this.#held = held;
    this.kind = inner.kind;
    this.cheapReads = inner.cheapReads;
    this.#inner = inner;
  }

  async getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    if (this.cheapReads || object.sizeBytes >= SMALL_OBJECT_BYTES) return this.#inner.getRange(object, range, options);
    assertRangeInside(object, range);
    options.signal?.throwIfAborted();
    const id = `${this.#name} ${object.eTag} ${object.key}`;
    const whole = this.#held.get(id) ?? (await this.#join(id, object, options));
    assert(whole.length === object.sizeBytes, 'a whole object has its size');
    // A copy, since what is sent to a decode thread takes its whole memory along.
    return whole.slice(range.start, range.end);
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

  async #join(id: string, object: ObjectMeta, { signal, account }: RequestOptions): Promise<Uint8Array> {
    const known = this.#flights.get(id);
    if (known !== undefined && known.account !== account) account?.shares?.();
    const flight = known ?? this.#start(id, object, account);
    flight.waiting += 1;
    try {
      return await abortable(flight.bytes, signal);
    } finally {
      flight.waiting -= 1;
      // One that is over was forgotten when it ended.
      if (flight.waiting === 0 && this.#flights.get(id) === flight) this.#leave(id, flight);
    }
  }

  #start(id: string, object: ObjectMeta, account: RequestAccount | undefined): Flight {
    const controller = new AbortController();
    const range = { start: 0, end: object.sizeBytes };
    const bytes = this.#inner.getRange(object, range, { signal: controller.signal, account });
    const flight: Flight = { bytes, controller, account, waiting: 0 };
    this.#flights.set(id, flight);
    bytes.then(
      (whole) => {
        this.#forget(id, flight);
        this.#held.put(id, whole);
      },
      () => this.#forget(id, flight),
    );
    return flight;
  }

  /** Nobody may join a flight that is being called off. */
  #leave(id: string, flight: Flight): void {
    this.#forget(id, flight);
    flight.controller.abort(new Error('nobody waits for this object any more'));
  }

  #forget(id: string, flight: Flight): void {
    if (this.#flights.get(id) === flight) this.#flights.delete(id);
  }
}
