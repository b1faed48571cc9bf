/**
 * The chunks of one file that lookups have come to: kept, and charged, while something is known of them.
 *
 *     made -> kept -- forgets what it knew --> fading -- nobody has it any more --> gone
 *              ^------- learns it again ---------/
 *
 * A file of many chunks would else hold an object for each that was ever looked at. One that has blocks in memory, or that
 * a lookup goes on with, is found again while it fades: a chunk is never two objects, since its flights and pins go by it.
 */

import type { LearnedOwner } from '../cache/index.ts';

/** What the objects of a chunk of which nothing is known take, about. */
export const CHUNK_BYTES = 512;

export class FileChunks<Chunk extends LearnedOwner & object> {
  readonly #kept: (Chunk | undefined)[];
  #fading: Map<number, WeakRef<Chunk>> | undefined = undefined;

  constructor(count: number) {
    this.#kept = new Array(count);
  }

  at(at: number): Chunk | undefined {
    return this.#kept[at] ?? this.#fading?.get(at)?.deref();
  }

  keep(at: number, chunk: Chunk): void {
    this.#kept[at] = chunk;
    if (this.#fading?.delete(at) === true) faded.unregister(chunk);
  }

  fade(at: number, chunk: Chunk): void {
    this.#kept[at] = undefined;
    this.#fading ??= new Map();
    this.#fading.set(at, new WeakRef(chunk));
    faded.register(chunk, { fading: this.#fading, at }, chunk);
  }

  *kept(): Generator<readonly [at: number, chunk: Chunk]> {
    for (const [at, chunk] of this.#kept.entries()) if (chunk !== undefined) yield [at, chunk];
  }

  /** Those that fade too, of [from, to). */
  *all(from = 0, to: number = this.#kept.length): Generator<Chunk> {
    for (let at = from; at < to; at++) {
      const chunk = this.at(at);
      if (chunk !== undefined) yield chunk;
    }
  }
}

/** Rids a file of what is left of a chunk that is gone, unless it was made again meanwhile. */
const faded = new FinalizationRegistry<{ readonly fading: Map<number, WeakRef<object>>; readonly at: number }>(
  ({ fading, at }) => {
    if (fading.get(at)?.deref() === undefined) fading.delete(at);
  },
);
