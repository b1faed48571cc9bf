/**
 * Many keys of one snapshot in one request: results in the order of the keys, each key with its own.
 *
 *     keys -> in memory: answered in stretches of about a millisecond, between which others have their turn
 *               \-> the rest: equal keys once, in the order of the keys, all at the same time, over pages that they share
 *
 * Since all keys search at the same time, and what they ask for in one turn of the event loop goes to storage together, a
 * cold batch waits for as many round trips as its slowest key would alone. What is read at once has a bound (`BatchPages`).
 */

import { asServiceError, type PlainError, ServiceError } from '../core/index.ts';
import type { Key, Pins, Projection, Snapshot } from '../table/index.ts';
import { BatchPages } from './batch-pages.ts';
import { BatchTurns } from './batch-turns.ts';
import type { ColdRead } from './cold-read.ts';
import { distinctKeys } from './distinct-keys.ts';
import { type RowPlace, slowerTier, type Tier } from './encode-row.ts';
import type { MatchOrder } from './match-order.ts';
import type { PageLoader } from './page-loader.ts';
import type { Receipt } from './receipt.ts';

/** `Row` is what the form of the answer makes of a row: of JSON its text. */
export type LookupItem<Row = string> =
  | { readonly status: 'found'; readonly row: Row }
  | { readonly status: 'found'; readonly rows: readonly Row[]; readonly truncated: boolean }
  | { readonly status: 'not_found' | 'timeout' }
  | { readonly status: 'error' | 'not_covered'; readonly error: PlainError };

export interface LookupOptions {
  readonly matches: 'first' | 'all';
  /** Rows a key with `matches: all`. */
  readonly limit: number;
  /** Of the rows of a key; file order where there is none. */
  readonly order?: MatchOrder | undefined;
}

export interface LookupAnswer<Row = string> {
  /** In the order of the keys. */
  readonly items: readonly LookupItem<Row>[];
  readonly tier: Tier;
  readonly snapshot: Snapshot;
}

/** What becomes of the rows that are found. Undefined throughout: something is not in memory. */
export interface RowForm<Row> {
  /** Null where the key is provably absent. */
  tryRow(snapshot: Snapshot, key: Key, projection: Projection): Row | null | undefined;
  /** Only a row that is kept as it was sent. */
  kept(snapshot: Snapshot, key: Key, projection: Projection): Row | undefined;
  /** These keys will be looked for next. */
  loadAhead(keys: BatchRequest['keys'], from: number, to: number, projection: Projection): void;
  encode(place: RowPlace, projection: Projection, pins: Pins | undefined): Row | undefined;
  /** Keeps the row that was encoded last for the next who asks; a key that is asked once pushes out no hot one. */
  keep(snapshot: Snapshot, key: Key, projection: Projection, place: RowPlace, row: Row): void;
}

export interface BatchRequest<Row = string> {
  readonly snapshot: Snapshot;
  /** A key that could not be read is its own error. */
  readonly keys: readonly (Key | ServiceError)[];
  readonly projection: Projection;
  readonly options: LookupOptions;
  readonly form: RowForm<Row>;
}

/** How one key is answered; the engine's, so that a key in a batch is what it is alone. */
export interface KeyLookup {
  /** Undefined where something is not in memory. */
  now<Row>(request: BatchRequest<Row>, key: Key): LookupItem<Row> | undefined;
  /** Only the row that is kept as it was sent. */
  kept<Row>(request: BatchRequest<Row>, key: Key): LookupItem<Row> | undefined;
  cold<Row>(request: BatchRequest<Row>, key: Key, read: ColdRead): Promise<LookupItem<Row>>;
  /** Gives every waiting key of a batch its own read; the batch is one of those that may read storage. */
  inTurn<T>(
    request: Pick<BatchRequest, 'snapshot'>,
    signal: AbortSignal,
    work: (readFor: (receipt: Receipt | undefined, pages: BatchPages) => ReadOfKey) => Promise<T>,
  ): Promise<T>;
}

export interface ReadOfKey {
  readonly read: ColdRead;
  /** Its times count from here. */
  done(): void;
}

/** Keys between two looks at the clock. */
const KEYS_A_LOOK = 8;

export class Batches {
  readonly #loader: PageLoader;
  readonly #lookup: KeyLookup;
  readonly #turns = new BatchTurns();

  constructor(loader: PageLoader, lookup: KeyLookup) {
    this.#loader = loader;
    this.#lookup = lookup;
  }

  /** Answers at once what this turn has time for; `Batch.answer` is there when that was all. */
  begin<Row>(request: BatchRequest<Row>, receipt?: Receipt): Batch<Row> {
    const batch = new Batch(request, this.#lookup, this.#loader, this.#turns, receipt);
    batch.beginNow();
    return batch;
  }
}

export class Batch<Row = string> {
  readonly #request: BatchRequest<Row>;
  readonly #lookup: KeyLookup;
  readonly #loader: PageLoader;
  readonly #turns: BatchTurns;
  readonly #receipt: Receipt | undefined;
  readonly #items: (LookupItem<Row> | undefined)[];
  readonly #open: number[] = [];
  #next = 0;
  #tier: Tier = 'memory';
  #changed: ServiceError | undefined = undefined;

  constructor(
    request: BatchRequest<Row>,
    lookup: KeyLookup,
    loader: PageLoader,
    turns: BatchTurns,
    receipt: Receipt | undefined,
  ) {
    this.#request = request;
    this.#lookup = lookup;
    this.#loader = loader;
    this.#turns = turns;
    this.#receipt = receipt;
    this.#items = new Array<LookupItem<Row> | undefined>(request.keys.length).fill(undefined);
  }

  /** Undefined until every key is answered. */
  get answer(): LookupAnswer<Row> | undefined {
    if (this.#next < this.#items.length || this.#open.length > 0) return undefined;
    return { items: this.#items as LookupItem<Row>[], tier: this.#tier, snapshot: this.#request.snapshot };
  }

  beginNow(): void {
    if (this.#turns.next() === undefined) this.#advance();
  }

  /** What is still open when the signal aborts is `timeout`. Throws only where the whole batch must start again. */
  async finish(signal: AbortSignal): Promise<LookupAnswer<Row>> {
    while (this.#next < this.#items.length && !signal.aborted) {
      await this.#turns.next();
      this.#advance();
    }
    for (; this.#next < this.#items.length; this.#next++) this.#items[this.#next] = { status: 'timeout' };
    if (this.#open.length > 0) await this.#readOpen(signal);
    // An object that changed under us spoils the snapshot, so the whole request starts again.
    if (this.#changed !== undefined) throw this.#changed;
    return { items: this.#items as LookupItem<Row>[], tier: this.#tier, snapshot: this.#request.snapshot };
  }

  /** One stretch of keys that are in memory. */
  #advance(): void {
    const { keys, projection, form, options } = this.#request;
    const pagesRead = projection.key.indexPagesRead;
    const startedMs = performance.now();
    const isAhead = options.matches === 'first' && this.#receipt === undefined;
    for (; this.#next < keys.length; this.#next++) {
      const ofLook = this.#next % KEYS_A_LOOK;
      if (ofLook === KEYS_A_LOOK - 1 && this.#turns.isOver(startedMs)) break;
      if (ofLook === 0 && isAhead) {
        form.loadAhead(keys, this.#next, Math.min(keys.length, this.#next + KEYS_A_LOOK), projection);
      }
      const item = this.#itemNow(keys[this.#next]);
      this.#items[this.#next] = item;
      if (item === undefined) this.#open.push(this.#next);
    }
    if (projection.key.indexPagesRead > pagesRead) this.#tier = slowerTier(this.#tier, 'disk');
    this.#turns.spent(startedMs);
  }

  #itemNow(key: Key | ServiceError | undefined): LookupItem<Row> | undefined {
    if (key === undefined) return undefined;
    if (key instanceof ServiceError) return itemOfError(key);
    try {
      // What is to be explained takes the way on which it is counted.
      return this.#receipt === undefined ? this.#lookup.now(this.#request, key) : undefined;
    } catch (thrown) {
      return itemOfError(asServiceError(thrown));
    }
  }

  async #readOpen(signal: AbortSignal): Promise<void> {
    const open = distinctKeys(this.#request.keys, this.#open);
    // Where one key finds that the batch must start again, the reads of the others are called off.
    const ending = new AbortController();
    const onAbort = () => ending.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await this.#lookup.inTurn(this.#request, ending.signal, async (readFor) => {
        const pages = new BatchPages(this.#loader);
        await Promise.all(
          open.map(async ({ key, at }) => {
            const item = await this.#itemCold(key, signal, readFor, pages);
            if (this.#changed !== undefined) ending.abort(this.#changed);
            for (const place of at) this.#items[place] = item;
          }),
        );
      });
    } catch (thrown) {
      // There was no turn: none of the keys was read.
      const error = asServiceError(thrown);
      const item: LookupItem<Row> = signal.aborted ? { status: 'timeout' } : itemOfError(error);
      for (const place of this.#open) this.#items[place] ??= item;
      this.#tier = 'origin';
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    this.#open.length = 0;
  }

  async #itemCold(
    key: Key,
    signal: AbortSignal,
    readFor: (receipt: Receipt | undefined, pages: BatchPages) => ReadOfKey,
    pages: BatchPages,
  ): Promise<LookupItem<Row>> {
    const kept = this.#receipt && this.#lookup.kept(this.#request, key);
    if (kept !== undefined) {
      this.#receipt?.keptRow();
      return kept;
    }
    const { read, done } = readFor(this.#receipt, pages);
    try {
      const item = await this.#lookup.cold(this.#request, key, read);
      this.#tier = slowerTier(this.#tier, read.tier);
      return item;
    } catch (thrown) {
      const error = asServiceError(thrown);
      if (error.kind === 'changed') this.#changed = error;
      this.#tier = 'origin';
      return signal.aborted ? { status: 'timeout' } : itemOfError(error);
    } finally {
      done();
    }
  }
}

export function itemOfRow<Row>(row: Row | null): LookupItem<Row> {
  return row === null ? { status: 'not_found' } : { status: 'found', row };
}

function itemOfError(error: ServiceError): LookupItem<never> {
  return { status: error.code === 'not_covered' ? 'not_covered' : 'error', error: error.toPlain() };
}
