/**
 * Round trips by logical time: every GET is held until nobody asks for more, then all held ones go together. So a round
 * is what could be asked without the answer of another, and their number is the longest chain of GETs that wait for each other.
 */

import type { ByteRange } from '../../src/core/index.ts';
import type { ObjectMeta, ObjectStore, StoreProvider } from '../../src/storage/index.ts';

/** Longer than anything between two GETs of one round takes: a turn of the event loop, or a page to decode. */
const QUIET_MS = 15;

export class RoundTrips {
  /** The ranges of each round. */
  readonly rounds: ByteRange[][] = [];
  heads = 0;
  #held: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** For `NodeOptions.wrapStores`. */
  wrap = (stores: StoreProvider): StoreProvider => {
    const kept = new Map<ObjectStore, ObjectStore>();
    return {
      storeFor: (source) => {
        const inner = stores.storeFor(source);
        const known = kept.get(inner) ?? this.#counted(inner);
        kept.set(inner, known);
        return known;
      },
    };
  };

  get gets(): number {
    return this.rounds.reduce((sum, round) => sum + round.length, 0);
  }

  bytes(): number {
    return this.rounds.flat().reduce((sum, { start, end }) => sum + end - start, 0);
  }

  clear(): void {
    this.rounds.length = 0;
    this.heads = 0;
  }

  #counted(inner: ObjectStore): ObjectStore {
    return {
      kind: inner.kind,
      cheapReads: inner.cheapReads,
      list: (prefix, options) => inner.list(prefix, options),
      close: () => inner.close(),
      head: (key, options) => {
        this.heads += 1;
        return inner.head(key, options);
      },
      getRange: async (object: ObjectMeta, range, options) => {
        await this.#nextRound(range);
        return inner.getRange(object, range, options);
      },
    };
  }

  #nextRound(range: ByteRange): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#held.length === 0) this.rounds.push([]);
    this.rounds.at(-1)?.push(range);
    this.#timer = setTimeout(() => {
      const held = this.#held;
      this.#held = [];
      for (const release of held) release();
    }, QUIET_MS);
    return new Promise((release) => this.#held.push(release));
  }
}
