/**
 * The stores of one process: one for local files, one for URLs, one for each S3 bucket, made when a source first needs it.
 *
 * Every store is dressed the same way, from the inside: hedging and a limit (not files), retries, counting. All buckets
 * share one connection, and with URLs one queue before it; files are limited by their descriptors.
 */

import { type Clock, type Random, ServiceError, systemClock, systemRandom } from '../core/index.ts';
import { FileStore, type FileStoreOptions } from './file-store.ts';
import { Gate } from './gate.ts';
import { type HedgeCounts, type HedgePolicy, HedgingStore } from './hedging-store.ts';
import { HttpStore } from './http-store.ts';
import { InstrumentedStore, type StorageCounts, type StorageRequest } from './instrumented-store.ts';
import { LimitedStore } from './limited-store.ts';
import type { StoreProvider } from './list-source.ts';
import type { ObjectStore } from './object-store.ts';
import type { RetryPolicy } from './retries.ts';
import { RetryingStore } from './retrying-store.ts';
import { type S3Attempt, S3Connection, type S3Settings } from './s3-connection.ts';
import { S3Store } from './s3-store.ts';
import type { Source } from './source-uri.ts';

export interface StorageSettings {
  readonly s3?: S3Settings;
  readonly file?: FileStoreOptions;
  readonly retry?: Partial<RetryPolicy>;
  /** When slow GETs to S3 are asked a second time; false: never. */
  readonly hedge?: Partial<HedgePolicy> | false;
  /** GETs and HEADs to S3 at once, a bucket alone half of them; also the size of its pool of sockets unless that is set itself. */
  readonly maxConcurrent?: number;
  /** Requests that may wait for their turn. */
  readonly maxQueued?: number;
}

export interface StorageDependencies {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Called for every request of the engine, with the name of its store. */
  readonly onRequest?: (store: string, request: StorageRequest) => void;
}

export interface StoreStatus extends StorageCounts, HedgeCounts {
  readonly name: string;
  /** HTTP requests really sent, retries, hedges and pages of listings included; 0 for files. */
  readonly httpRequests: number;
  readonly retries: number;
}

const MAX_CONCURRENT = 128;
const MAX_QUEUED = 8_192;
/** Each bucket is named by a table's definition; more than this is a mistake in a loop somewhere. */
const MAX_STORES = 1_024;

interface Kept {
  readonly store: InstrumentedStore;
  readonly sent: { httpRequests: number; retries: number };
  readonly hedging: HedgingStore | undefined;
}

const NO_HEDGES: HedgeCounts = { hedges: 0, hedgesWon: 0 };

export class Stores implements StoreProvider {
  readonly #settings: StorageSettings;
  readonly #dependencies: StorageDependencies;
  readonly #gate: Gate;
  readonly #kept = new Map<string, Kept>();
  #connection: S3Connection | undefined;

  constructor(settings: StorageSettings = {}, dependencies: StorageDependencies = {}) {
    const { maxConcurrent = MAX_CONCURRENT, maxQueued = MAX_QUEUED } = settings;
    this.#settings = settings;
    this.#dependencies = dependencies;
    this.#gate = new Gate({ maxConcurrent, maxQueued, name: 'requests to S3 and web servers' });
  }

  storeFor(source: Pick<Source, 'bucket'> & Partial<Pick<Source, 'scheme'>>): ObjectStore {
    const name = nameOf(source);
    const kept = this.#kept.get(name);
    if (kept !== undefined) return kept.store;
    if (this.#kept.size >= MAX_STORES) {
      throw new ServiceError('tooLarge', 'too_many_buckets', `more than ${MAX_STORES} buckets are in use`);
    }
    const sent = { httpRequests: 0, retries: 0 };
    const plain = this.#plain(name, source.bucket);
    const hedging = plain.cheapReads ? undefined : this.#hedging(plain, name);
    const limited = plain.cheapReads ? plain : new LimitedStore(hedging ?? plain, this.#gate, name);
    const retrying = this.#retrying(limited, sent);
    const store = new InstrumentedStore(retrying, name, (request) => this.#dependencies.onRequest?.(name, request));
    this.#kept.set(name, { store, sent, hedging });
    return store;
  }

  /** The counts of every store so far. */
  status(): StoreStatus[] {
    return [...this.#kept.values()].map(({ store, sent, hedging }) => ({
      name: store.name,
      ...store.counts(),
      ...sent,
      ...(hedging?.counts() ?? NO_HEDGES),
    }));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#kept.values()].map(({ store }) => store.close()));
    await this.#connection?.close();
  }

  #retrying(store: ObjectStore, sent: Kept['sent']): ObjectStore {
    const { clock = systemClock, random = systemRandom } = this.#dependencies;
    const onRetry = () => {
      sent.retries += 1;
    };
    return new RetryingStore(store, { ...this.#settings.retry, clock, random, onRetry });
  }

  #plain(name: string, bucket: string | undefined): ObjectStore {
    if (bucket !== undefined) return new S3Store(this.#s3Connection(), bucket);
    const { clock = systemClock } = this.#dependencies;
    return name === 'http' ? new HttpStore({ clock }) : new FileStore(this.#settings.file);
  }

  /** Inside the limit, so that its clock runs from when a GET is sent; a second GET takes a turn of its own. */
  #hedging(plain: ObjectStore, group: string): HedgingStore | undefined {
    const { hedge = {} } = this.#settings;
    if (hedge === false) return undefined;
    const { clock = systemClock } = this.#dependencies;
    const spareTurn = <T>(work: () => Promise<T>) => this.#gate.tryRun(work, group);
    return new HedgingStore(plain, { ...hedge, clock, spareTurn });
  }

  #s3Connection(): S3Connection {
    const { clock = systemClock } = this.#dependencies;
    const { s3 = {}, maxConcurrent = MAX_CONCURRENT } = this.#settings;
    const settings = { ...s3, maxSockets: s3.maxSockets ?? maxConcurrent };
    const onAttempt = ({ bucket }: S3Attempt) => {
      const kept = this.#kept.get(`s3://${bucket}`);
      if (kept !== undefined) kept.sent.httpRequests += 1;
    };
    this.#connection ??= new S3Connection(settings, { clock, onAttempt });
    return this.#connection;
  }
}

function nameOf({ bucket, scheme = 'file' }: Pick<Source, 'bucket'> & Partial<Pick<Source, 'scheme'>>): string {
  if (bucket !== undefined) return `s3://${bucket}`;
  return scheme === 'http' ? 'http' : 'file';
}
