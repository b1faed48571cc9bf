/**
 * Small objects are read whole, by one GET, whatever part of them is wanted.
 *
 * A GET of 256 KiB takes hardly longer than one of a footer, and a lookup in a small file would otherwise go through as
 * many round trips as in a large one. What was read stays for a few seconds, so that footer, keys and values of one file
 * come of one GET; then the block cache has what is worth keeping, and a version that is gone is soon noticed. Many that
 * want parts at once share one flight, which is called off when all have left.
 *
 * Of a large object a range is held in the same way where whoever reads it says that parts of it come next: a chunk that
 * is read to find its pages is not fetched again for them.
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
/** Ranges of one large object; each read of it looks through them. */
const PARTS_MAX = 256;

/** Of a large object: in the order of `#held` they are objects of their own. */
interface Part {
  readonly object: string;
  readonly start: number;
}

/** Small objects, and ranges of large ones, that were read lately, of all tables of a node: bounded in bytes, and each in time. */
export class HeldObjects {
  readonly #bytesMax: number;
  readonly #clock: Clock;
  /** By object and version, the one read longest ago first. */
  readonly #held = new Map<string, { readonly bytes: Uint8Array; readonly untilMs: number; readonly part?: Part }>();
  /** By large object and version, where the ranges begin that are held of it. */
  readonly #parts = new Map<string, Set<number>>();
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

  put(id: string, bytes: Uint8Array, part?: Part): void {
    this.#drop(id);
    this.#held.set(id, { bytes, untilMs: this.#clock.nowMs() + HELD_MS_MAX, ...(part && { part }) });
    this.#heldBytes += bytes.length;
    for (const oldest of this.#held.keys()) {
      if (this.#heldBytes <= this.#bytesMax) break;
      this.#drop(oldest);
    }
  }

  get hasParts(): boolean {
    return this.#parts.size > 0;
  }

  /** The range, from one that is held and has all of it. */
  part(object: string, { start, end }: ByteRange): Uint8Array | undefined {
    for (const first of this.#parts.get(object) ?? []) {
      if (first > start) continue;
      const bytes = this.get(partId(object, first));
      if (bytes !== undefined && end - first <= bytes.length) return copyOf(bytes, start - first, end - first);
    }
    return undefined;
  }

  putPart(object: string, start: number, bytes: Uint8Array): void {
    const starts = this.#parts.get(object);
    if (bytes.length > this.#bytesMax || (starts?.size ?? 0) >= PARTS_MAX) return;
    // What is a view of a larger GET would hold all of it.
    const own = bytes.length === bytes.buffer.byteLength ? bytes : copyOf(bytes, 0, bytes.length);
    this.put(partId(object, start), own, { object, start });
    const now = this.#parts.get(object);
    if (now === undefined) this.#parts.set(object, new Set([start]));
    else now.add(start);
  }

  #drop(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#heldBytes -= held.bytes.length;
    if (held.part === undefined) return;
    const starts = this.#parts.get(held.part.object);
    starts?.delete(held.part.start);
    if (starts?.size === 0) this.#parts.delete(held.part.object);
  }
}

/** In memory of its own; `slice` of a `Buffer` would be a view. */
function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.subarray(start, end));
}

function partId(object: string, start: number): string {
  return `${object} from ${start}`;
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
    if (this.cheapReads) return this.#inner.getRange(object, range, options);
    if (object.sizeBytes >= SMALL_OBJECT_BYTES) return this.#ofLarge(object, range, options);
    assertRangeInside(object, range);
    options.signal?.throwIfAborted();
    const id = this.#idOf(object);
    const whole = this.#held.get(id) ?? (await this.#join(id, object, options));
    assert(whole.length === object.sizeBytes, 'a whole object has its size');
    // A copy, since what is sent to a decode thread takes its whole memory along.
    return copyOf(whole, range.start, range.end);
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

  async #ofLarge(object: ObjectMeta, range: ByteRange, options: RequestOptions): Promise<Uint8Array> {
    if (this.#held.hasParts) {
      assertRangeInside(object, range);
      options.signal?.throwIfAborted();
      const held = this.#held.part(this.#idOf(object), range);
      if (held !== undefined) return held;
    }
    const bytes = await this.#inner.getRange(object, range, options);
    if (options.keep === true) this.#held.putPart(this.#idOf(object), range.start, bytes);
    return bytes;
  }

  #idOf({ key, eTag }: ObjectMeta): string {
    return `${this.#name} ${eTag} ${key}`;
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
