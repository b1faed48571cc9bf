/**
 * Ranged GETs of S3 itself, as a load sends them: what a cold lookup cannot be faster than. Plain ones, each at the listed
 * version: nothing retried, nothing asked twice, no ranges joined, no queue but the connections of the load.
 */

import type { Done, KeySpace, Sender } from '../bench/index.ts';
import { type ByteRange, formatBytes, ServiceError, systemClock } from '../core/index.ts';
import {
  listSource,
  type ObjectMeta,
  type ObjectStore,
  openSource,
  S3Connection,
  type S3Settings,
  S3Store,
} from '../storage/index.ts';
import { failed } from './bench-engine.ts';

/** Where an object's stretches begin among those of all; a stretch is what one GET asks for. */
interface Stretches {
  readonly object: ObjectMeta;
  readonly first: number;
  readonly count: number;
}

export interface OpenedStorage {
  readonly target: string;
  /** Stretches, numbered through all objects. */
  readonly keys: KeySpace;
  readonly sender: Sender;
}

export async function withStorage<T>(
  uri: string,
  s3: S3Settings,
  {
    bytes,
    connections,
    timeoutMs,
  }: { readonly bytes: number; readonly connections: number; readonly timeoutMs: number },
  use: (opened: OpenedStorage) => Promise<T>,
): Promise<T> {
  const connection = new S3Connection(
    { ...s3, maxSockets: connections, requestTimeoutMs: timeoutMs },
    { clock: systemClock },
  );
  try {
    const stores = {
      storeFor: ({ bucket = '' }: { readonly bucket?: string | undefined }) => new S3Store(connection, bucket),
    };
    const { source, store } = await openSource(uri, stores);
    const all = await stretchesOf(listSource(store, source), bytes);
    const count = all.reduce((sum, stretches) => sum + stretches.count, 0);
    if (count === 0)
      throw new ServiceError('notFound', 'no_files', `there is no byte to get below ${uri}; check the name`);
    return await use({
      target: `ranged GETs of ${formatBytes(bytes)} in ${all.length} objects of ${uri}`,
      keys: { kind: 'range', first: 0, count },
      sender: new StorageSender(store, all, bytes),
    });
  } finally {
    await connection.close();
  }
}

async function stretchesOf(objects: AsyncIterable<ObjectMeta>, bytes: number): Promise<readonly Stretches[]> {
  const all: Stretches[] = [];
  let first = 0;
  for await (const object of objects) {
    // What is left behind the last whole stretch is not asked for, but of an object shorter than one.
    const count = object.sizeBytes === 0 ? 0 : Math.max(1, Math.floor(object.sizeBytes / bytes));
    if (count > 0) all.push({ object, first, count });
    first += count;
  }
  return all;
}

class StorageSender implements Sender {
  readonly #store: ObjectStore;
  readonly #all: readonly Stretches[];
  readonly #bytes: number;

  constructor(store: ObjectStore, all: readonly Stretches[], bytes: number) {
    this.#store = store;
    this.#all = all;
    this.#bytes = bytes;
  }

  send(_lane: number, [position]: readonly string[], done: Done): void {
    const { object, range } = this.#placeOf(Number(position));
    this.#store.getRange(object, range).then(
      (got) => done('found', '206', got.length),
      (thrown) => failed(thrown, done),
    );
  }

  async close(): Promise<void> {}

  #placeOf(position: number): { readonly object: ObjectMeta; readonly range: ByteRange } {
    let low = 0;
    let high = this.#all.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#all[middle] as Stretches).first <= position) low = middle;
      else high = middle - 1;
    }
    const { object, first } = this.#all[low] as Stretches;
    const start = (position - first) * this.#bytes;
    return { object, range: { start, end: Math.min(object.sizeBytes, start + this.#bytes) } };
  }
}
