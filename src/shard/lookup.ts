/**
 * The lookup engine: from a key and a projection to the text of a row.
 *
 * Each question has two doors. `try...` is synchronous and answers from memory alone, or says `undefined` when something
 * is missing; no promise is made between request and reply. The asynchronous door runs the same search and the same
 * encoders, and loads what they need between their steps, holding every page it waited for.
 *
 *     locate:  KeySearch.next()  -> needs -> load -> next() ...  -> (file, row group, row), or provably absent
 *     read:    one block a column, missing ones loaded together  -> encode
 */

import type { RowCache } from '../cache/index.ts';
import { asServiceError, type PlainError, ServiceError } from '../core/index.ts';
import { Gate } from '../storage/index.ts';
import {
  type Key,
  KeySearch,
  type NestedWriter,
  type Projection,
  type Snapshot,
  type Table,
  type TableColumn,
  type ValueWriter,
} from '../table/index.ts';
import { absence, ColdRead, rowsWanted } from './cold-read.ts';
import {
  encodeRow,
  encodeValue,
  missingPages,
  type RowPlace,
  slowerTier,
  type Tier,
  type ValueAnswer,
} from './encode-row.ts';
import { KeptRows } from './kept-rows.ts';
import { LookupTrace, StageTimes } from './lookup-trace.ts';
import type { PageLoader } from './page-loader.ts';
import type { Receipt } from './receipt.ts';

export interface RowAnswer {
  /** The row as a JSON object; null when the key is provably absent. */
  readonly json: string | null;
  readonly tier: Tier;
  readonly snapshot: Snapshot;
}

export type LookupItem =
  | { readonly status: 'found'; readonly row: string }
  | { readonly status: 'found'; readonly rows: readonly string[]; readonly truncated: boolean }
  | { readonly status: 'not_found' | 'timeout' }
  | { readonly status: 'error' | 'not_covered'; readonly error: PlainError };

export interface LookupOptions {
  readonly matches: 'first' | 'all';
  /** Rows a key with `matches: all`. */
  readonly limit: number;
}

export interface LookupAnswer {
  /** In the order of the keys. */
  readonly items: readonly LookupItem[];
  readonly tier: Tier;
  readonly snapshot: Snapshot;
}

export interface LookupEngineOptions {
  /** Lookups that may wait for storage at once, those of one table alone half of them; four times as many may queue. */
  readonly coldLookupsMax: number;
}

const LOOKUP_ENGINE_DEFAULTS: LookupEngineOptions = { coldLookupsMax: 512 };

/** Keys of one batch that wait for storage at once. */
const BATCH_COLD_MAX = 64;

export class LookupEngine {
  readonly #loader: PageLoader;
  readonly #kept: KeptRows;
  readonly #cold: Gate;
  /** Of the lookups that waited. */
  readonly stages: StageTimes = new StageTimes();

  constructor(loader: PageLoader, rows: RowCache, options: LookupEngineOptions = LOOKUP_ENGINE_DEFAULTS) {
    this.#loader = loader;
    this.#kept = new KeptRows(rows);
    this.#cold = new Gate({
      maxConcurrent: options.coldLookupsMax,
      maxQueued: options.coldLookupsMax * 4,
      name: 'lookups that read storage',
      code: 'overloaded',
    });
  }

  /** Lookups that read storage, and those that wait for their turn. */
  get waiting(): { readonly running: number; readonly queued: number } {
    return this.#cold;
  }

  /** The row's JSON text, null when the key is provably absent, undefined when something is not in memory. */
  tryRow(snapshot: Snapshot, key: Key, projection: Projection): string | null | undefined {
    const kept = this.#kept.get(snapshot, key, projection);
    if (kept !== undefined) return kept;
    const place = locatedRow(snapshot, key);
    if (place === null || place === undefined) return place;
    const same = this.#kept.confirm(snapshot, key, projection, place);
    if (same !== undefined) return same;
    const json = encodeRow(place, projection, undefined);
    if (json !== undefined) this.#kept.put(snapshot, key, projection, place, json);
    return json;
  }

  /** The value, or undefined when something is not in memory. */
  tryValue(
    snapshot: Snapshot,
    key: Key,
    column: TableColumn,
    writer: ValueWriter | NestedWriter,
  ): ValueAnswer | undefined {
    const place = locatedRow(snapshot, key);
    if (place === undefined) return undefined;
    if (place === null) return { kind: 'absent', tier: 'memory', snapshot };
    return encodeValue(place, column, writer, undefined, 'memory', snapshot);
  }

  /** With a receipt also a row that is in memory is answered here, and its receipt says so. */
  async row(
    snapshot: Snapshot,
    key: Key,
    projection: Projection,
    signal: AbortSignal,
    receipt?: Receipt,
  ): Promise<RowAnswer> {
    const kept = receipt && this.#kept.get(snapshot, key, projection);
    if (kept !== undefined) {
      receipt?.keptRow();
      return { json: kept, tier: 'memory', snapshot };
    }
    return this.#read(snapshot, signal, receipt, async (read) => {
      const place = await read.first(snapshot, key, projection.columns);
      if (place === null) return { json: null, tier: read.tier, snapshot };
      const json = await read.until(
        () => encodeRow(place, projection, read.pins),
        () => missingPages(place, projection.columns, read.pins),
      );
      read.explain(place, projection.columns);
      return { json, tier: read.tier, snapshot };
    });
  }

  async value(
    snapshot: Snapshot,
    key: Key,
    column: TableColumn,
    writer: ValueWriter | NestedWriter,
    signal: AbortSignal,
    receipt?: Receipt,
  ): Promise<ValueAnswer> {
    return this.#read(snapshot, signal, receipt, async (read) => {
      const place = await read.first(snapshot, key, [column]);
      if (place === null) return { kind: 'absent', tier: read.tier, snapshot };
      const answer = await read.until(
        () => encodeValue(place, column, writer, read.pins, read.tier, snapshot),
        () => missingPages(place, [column], read.pins),
      );
      read.explain(place, [column]);
      return answer;
    });
  }

  /**
   * Many keys of one snapshot. Keys in memory are answered at once, the rest together; a bad key is its own item and
   * spoils no other. When the signal aborts, what is still open answers `timeout`.
   */
  lookup(
    snapshot: Snapshot,
    keys: readonly (Key | ServiceError)[],
    projection: Projection,
    options: LookupOptions,
    signal: AbortSignal,
    receipt?: Receipt,
  ): LookupAnswer | Promise<LookupAnswer> {
    const items = keys.map((key) => {
      // What is to be explained takes the way on which it is counted, unless the key itself is none.
      const isLater = receipt !== undefined && !(key instanceof ServiceError);
      return isLater ? undefined : this.#itemNow(snapshot, key, projection, options);
    });
    const open = items.flatMap((item, at) => (item === undefined ? [at] : []));
    if (open.length === 0) return { items: items as LookupItem[], tier: 'memory', snapshot };
    return this.#lookupCold(snapshot, keys, items, open, projection, options, signal, receipt);
  }

  #itemNow(
    snapshot: Snapshot,
    key: Key | ServiceError,
    projection: Projection,
    options: LookupOptions,
  ): LookupItem | undefined {
    if (key instanceof ServiceError) return { status: 'error', error: key.toPlain() };
    try {
      if (options.matches === 'all') {
        const rows = allNow(snapshot, key, projection, options.limit);
        return rows && itemOfAll(rows, options);
      }
      const json = this.tryRow(snapshot, key, projection);
      return json === undefined ? undefined : itemOfRow(json);
    } catch (thrown) {
      return itemOfError(asServiceError(thrown));
    }
  }

  async #lookupCold(
    snapshot: Snapshot,
    keys: readonly (Key | ServiceError)[],
    items: (LookupItem | undefined)[],
    open: readonly number[],
    projection: Projection,
    options: LookupOptions,
    signal: AbortSignal,
    receipt: Receipt | undefined,
  ): Promise<LookupAnswer> {
    const queue = open.values();
    let changed: ServiceError | undefined;
    let tier: Tier = 'memory';
    const lane = async () => {
      for (const at of queue) {
        const key = keys[at];
        if (key === undefined || key instanceof ServiceError) continue;
        try {
          const cold = await this.#itemCold(snapshot, key, projection, options, signal, receipt);
          items[at] = cold.item;
          tier = slowerTier(tier, cold.tier);
        } catch (thrown) {
          const error = asServiceError(thrown);
          if (error.kind === 'changed') changed = error;
          items[at] = signal.aborted ? { status: 'timeout' } : itemOfError(error);
          tier = 'origin';
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(BATCH_COLD_MAX, open.length) }, lane));
    // An object that changed under us spoils the snapshot, so the whole request starts again.
    if (changed !== undefined) throw changed;
    return { items: items as LookupItem[], tier, snapshot };
  }

  #itemCold(
    snapshot: Snapshot,
    key: Key,
    projection: Projection,
    options: LookupOptions,
    signal: AbortSignal,
    receipt: Receipt | undefined,
  ): Promise<ColdItem> {
    if (options.matches === 'first') {
      const row = this.row(snapshot, key, projection, signal, receipt);
      return row.then(({ json, tier }) => ({ item: itemOfRow(json), tier }));
    }
    return this.#read(snapshot, signal, receipt, async (read) => {
      const rows = await read.all(snapshot, key, projection, options.limit);
      return { item: itemOfAll(rows, options), tier: read.tier };
    });
  }

  /** One lookup that may wait, when its turn has come. */
  #read<T>(
    snapshot: Snapshot,
    signal: AbortSignal,
    receipt: Receipt | undefined,
    work: (read: ColdRead) => Promise<T>,
  ): Promise<T> {
    const trace = new LookupTrace(receipt?.search);
    receipt?.add(trace);
    const queuedMs = performance.now();
    return this.#cold.run(
      async () => {
        trace.stages.queue = performance.now() - queuedMs;
        try {
          return await work(new ColdRead(this.#loader, signal, trace));
        } finally {
          this.stages.record(trace);
        }
      },
      signal,
      snapshot.definition.name,
    );
  }
}

interface ColdItem {
  readonly item: LookupItem;
  readonly tier: Tier;
}

/** Runs a request on the table's snapshot, once more on a fresh one when an object changed while it was read. */
export async function withFreshSnapshot<T>(
  table: Table,
  snapshot: Snapshot,
  signal: AbortSignal,
  request: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  try {
    return await request(snapshot);
  } catch (thrown) {
    if (!(thrown instanceof ServiceError) || thrown.kind !== 'changed') throw thrown;
    return await request(await relisted(table, signal));
  }
}

/** The snapshot of a listing that began after now: a refresh that runs already may have listed before the change. */
async function relisted(table: Table, signal: AbortSignal): Promise<Snapshot> {
  const { begun } = table.refreshes;
  const joined = await table.refresh(signal, { isUrgent: true });
  return table.refreshes.lastSucceeded > begun ? joined : table.refresh(signal, { isUrgent: true });
}

/** Where the key is; null when it is provably absent, undefined when something is not in memory. */
export function locatedRow(snapshot: Snapshot, key: Key): RowPlace | null | undefined {
  const search = new KeySearch(snapshot, key, undefined);
  const step = search.next();
  if (step === 'needs' || step === 'paused') return undefined;
  return step === 'found' ? search.match : absence(search);
}

/** Every match up to one more than the limit, or undefined when something is not in memory. */
function allNow(snapshot: Snapshot, key: Key, projection: Projection, limit: number): readonly string[] | undefined {
  const search = new KeySearch(snapshot, key, undefined);
  const rows: string[] = [];
  while (rows.length < rowsWanted(snapshot, limit)) {
    const step = search.next();
    if (step === 'needs' || step === 'paused') return undefined;
    if (step === 'exhausted') {
      absence(search);
      break;
    }
    const row = search.match && encodeRow(search.match, projection, undefined);
    if (row === undefined) return undefined;
    rows.push(row);
  }
  return rows;
}

function itemOfRow(json: string | null): LookupItem {
  return json === null ? { status: 'not_found' } : { status: 'found', row: json };
}

function itemOfAll(rows: readonly string[], { limit }: LookupOptions): LookupItem {
  if (rows.length === 0) return { status: 'not_found' };
  return { status: 'found', rows: rows.slice(0, limit), truncated: rows.length > limit };
}

function itemOfError(error: ServiceError): LookupItem {
  return { status: error.code === 'not_covered' ? 'not_covered' : 'error', error: error.toPlain() };
}
