/**
 * A far store that has no bytes: it notes what is asked for, and answers with zeros.
 *
 * Its time is logical. A read is held until nobody asks for more and nothing that would lead to more is under way; then
 * all held ones are answered together. So a round is what could be asked for without the answer of another read, and the
 * rounds are the reads that wait for each other.
 */

import { assert, type ByteRange, rangeLength } from '../core/index.ts';
import type { ObjectMeta, ObjectStore } from '../storage/index.ts';

/** Turns of the event loop in which nothing was asked for: ranges are gathered for one of them, and sent in the next. */
const QUIET_TURNS = 4;

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

export class RehearsedStore implements ObjectStore {
  readonly kind = 's3';
  readonly cheapReads = false;
  readonly rounds: ByteRange[][] = [];
  #held: (() => void)[] = [];
  #asked = 0;
  #busy = 0;
  readonly #ready: (() => void)[] = [];

  async getRange(_object: ObjectMeta, range: ByteRange): Promise<Uint8Array> {
    this.#asked += 1;
    if (this.#held.length === 0) {
      this.rounds.push([]);
      void this.#release();
    }
    this.rounds.at(-1)?.push(range);
    await new Promise<void>((resolve) => this.#held.push(resolve));
    return new Uint8Array(rangeLength(range));
  }

  /**
   * Work of the rehearsal itself, which takes no time of the rehearsed lookup: who began such work side by side goes on
   * side by side, in one turn, when the last of it is done.
   */
  async meanwhile<T>(work: Promise<T>): Promise<T> {
    this.#busy += 1;
    try {
      return await work;
    } finally {
      this.#busy -= 1;
      if (this.#busy > 0) await new Promise<void>((resolve) => this.#ready.push(resolve));
      else for (const goOn of this.#ready.splice(0)) goOn();
    }
  }

  head(): Promise<ObjectMeta> {
    assert(false, 'a lookup asks for no object but those of its snapshot');
  }

  list(): AsyncIterable<ObjectMeta> {
    assert(false, 'a lookup lists nothing');
  }

  async close(): Promise<void> {}

  async #release(): Promise<void> {
    let seen = -1;
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await nextTurn();
      if (this.#busy === 0 && this.#asked === seen) continue;
      seen = this.#asked;
      quiet = 0;
    }
    const held = this.#held;
    this.#held = [];
    for (const answer of held) answer();
  }
}

export interface NotedRead {
  readonly range: ByteRange;
  readonly keep: boolean;
}

/** Reads that were made without the answer of another, then those that waited for them, and so on. */
export type ReadLinks = readonly (readonly NotedRead[])[];

/** Passes reads on, and notes which of them wait for each other. */
export class NotingStore implements ObjectStore {
  readonly kind: ObjectStore['kind'];
  readonly cheapReads = false;
  readonly links: NotedRead[][] = [];
  readonly #inner: ObjectStore;
  #open = 0;

  constructor(inner: ObjectStore) {
    this.kind = inner.kind;
    this.#inner = inner;
  }

  async getRange(object: ObjectMeta, range: ByteRange, options?: Parameters<ObjectStore['getRange']>[2]) {
    if (this.#open === 0) this.links.push([]);
    this.links.at(-1)?.push({ range, keep: options?.keep === true });
    this.#open += 1;
    try {
      return await this.#inner.getRange(object, range, options);
    } finally {
      this.#open -= 1;
    }
  }

  head: ObjectStore['head'] = (key, options) => this.#inner.head(key, options);

  list: ObjectStore['list'] = (prefix, options) => this.#inner.list(prefix, options);

  async close(): Promise<void> {}
}
