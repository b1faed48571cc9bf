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
import { ServiceError } from '../core/index.ts';
import { Gate } from '../storage/index.ts';
import type { Key, NestedWriter, Projection, Snapshot, Table, TableColumn, ValueWriter } from '../table/index.ts';
import { ArrowLookup } from './arrow-lookup.ts';
import type { Arrow } from './arrow-types.ts';
import {
  type Batch,
  Batches,
  type BatchRequest,
  itemOfRow,
  type KeyLookup,
  type LookupAnswer,
  type LookupOptions,
  type ReadOfKey,
  type RowForm,
} from './batch.ts';
import { allNow, readAll } from './batch-matches.ts';
import type { BatchPages } from './batch-pages.ts';
import { ColdRead } from './cold-read.ts';
import { encodeRow, encodeValue, missingPages, type Tier, type ValueAnswer } from './encode-row.ts';
import { KEPT_TEXT, KeptRows } from './kept-rows.ts';
import { locatedRow } from './located-row.ts';
import { LookupCeiling } from './lookup-ceiling.ts';
import { LookupTrace, StageTimes } from './lookup-trace.ts';
import type { PageLoader } from './page-loader.ts';
import type { QueryBounds } from './query.ts';
import type { Receipt } from './receipt.ts';
import { storedRow } from './stored-row.ts';

export interface RowAnswer {
  /** The row as a JSON object; null when the key is provably absent. */
  readonly json: string | null;
  readonly tier: Tier;
  readonly snapshot: Snapshot;
}

export interface LookupEngineOptions {
  /** Lookups that may wait for storage at once, those of one table alone half of them; four times as many may queue. */
  readonly coldLookupsMax: number;
  /** What finding a key may take of storage; a request of many keys may take `REQUEST_SHARE` times that. None: whatever it takes. */
  readonly bounds: QueryBounds | undefined;
}

const LOOKUP_ENGINE_DEFAULTS: LookupEngineOptions = { coldLookupsMax: 512, bounds: undefined };

export class LookupEngine {
  readonly #loader: PageLoader;
  readonly #kept: KeptRows;
  readonly #cold: Gate;
  readonly #batches: Batches;
  readonly #bounds: QueryBounds | undefined;
  readonly #json: RowForm<string> = {
    tryRow: (snapshot, key, projection) => this.tryRow(snapshot, key, projection),
    kept: (snapshot, key, projection) => this.#kept.get(snapshot, key, projection, KEPT_TEXT),
    loadAhead: (keys, from, to, projection) => this.#kept.loadAhead(keys, from, to, projection, KEPT_TEXT),
    encode: encodeRow,
    keep: (snapshot, key, projection, place, json) => {
      this.#kept.put(snapshot, key, projection, place, json, KEPT_TEXT);
    },
  };
  /** Of the lookups that memory alone did not answer. */
  readonly stages: StageTimes = new StageTimes();

  constructor(loader: PageLoader, rows: RowCache, options: Partial<LookupEngineOptions> = {}) {
    const { coldLookupsMax, bounds } = { ...LOOKUP_ENGINE_DEFAULTS, ...options };
    this.#loader = loader;
    this.#bounds = bounds;
    this.#batches = new Batches(loader, this.#keyLookup());
    this.#kept = new KeptRows(rows);
    this.#cold = new Gate({
      maxConcurrent: coldLookupsMax,
      maxQueued: coldLookupsMax * 4,
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
    const kept = this.#kept.get(snapshot, key, projection, KEPT_TEXT);
    if (kept !== undefined) return kept;
    const place = locatedRow(snapshot, key, projection.key);
    if (place === null || place === undefined) return place;
    const same = this.#kept.confirm(snapshot, key, projection, place, KEPT_TEXT);
    if (same !== undefined) return same;
    const json = encodeRow(place, projection, undefined);
    if (json !== undefined) this.#json.keep(snapshot, key, projection, place, json);
    return json;
  }

  /**
   * The row where disk has what memory lacks of it, and can be read now; undefined where it has to be waited for. It was asked for so
   * many milliseconds ago.
   */
  tryStoredRow(snapshot: Snapshot, key: Key, projection: Projection, waitedMs: number): string | null | undefined {
    // Who asked for the same before may have had it read since memory was looked at.
    const kept = this.#kept.get(snapshot, key, projection, KEPT_TEXT);
    if (kept !== undefined) return kept;
    const trace = new LookupTrace();
    trace.stages.queue = waitedMs;
    const found = storedRow(snapshot, key, projection, trace);
    if (found === undefined) return undefined;
    this.stages.record(trace);
    const { place, json } = found;
    if (place !== null) this.#json.keep(snapshot, key, projection, place, json);
    return json;
  }

  /** The value, or undefined when something is not in memory. */
  tryValue(
    snapshot: Snapshot,
    key: Key,
    column: TableColumn,
    writer: ValueWriter | NestedWriter,
  ): ValueAnswer | undefined {
    const pagesRead = snapshot.primaryKey.indexPagesRead;
    const place = locatedRow(snapshot, key);
    if (place === undefined) return undefined;
    const tier = snapshot.primaryKey.indexPagesRead === pagesRead ? 'memory' : 'disk';
    if (place === null) return { kind: 'absent', tier, snapshot };
    return encodeValue(place, column, writer, undefined, tier, snapshot);
  }

  /** With a receipt also a row that is in memory is answered here, and its receipt says so. */
  async row(
    snapshot: Snapshot,
    key: Key,
    projection: Projection,
    signal: AbortSignal,
    receipt?: Receipt,
  ): Promise<RowAnswer> {
    const kept = receipt && this.#kept.get(snapshot, key, projection, KEPT_TEXT);
    if (kept !== undefined) {
      receipt?.keptRow();
      return { json: kept, tier: 'memory', snapshot };
    }
    return this.#read(snapshot, signal, receipt, async (read) => {
      const json = await readRow(read, { snapshot, projection, form: this.#json }, key);
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
      const place = await read.chosen(snapshot, snapshot.primaryKey, key, [column]);
      if (place === null) return { kind: 'absent', tier: read.tier, snapshot };
      const answer = await read.until(
        () => encodeValue(place, column, writer, read.pins, read.tier, snapshot),
        () => missingPages(place, [column], read.pins),
      );
      read.explain(place, [column]);
      return answer;
    });
  }

  /** Many keys of one snapshot as JSON; what is in memory, as far as there is time now, is answered already. */
  begin(request: Omit<BatchRequest, 'form'>, receipt?: Receipt): Batch {
    return this.beginAs(this.#json, request, receipt);
  }

  /** The same in another form. */
  beginAs<Row>(form: RowForm<Row>, request: Omit<BatchRequest, 'form'>, receipt?: Receipt): Batch<Row> {
    return this.#batches.begin({ ...request, form }, receipt);
  }

  /** The form of an answer as Arrow, for one request. Throws `unsupported` for columns that cannot be had so. */
  arrowRows(arrow: Arrow, projection: Projection, matches: 'first' | 'all', keys: number): ArrowLookup {
    return new ArrowLookup(arrow, projection, matches, this.#kept, keys);
  }

  /** Many keys of one snapshot. When the signal aborts, what is still open answers `timeout`. */
  lookup(
    snapshot: Snapshot,
    keys: readonly (Key | ServiceError)[],
    projection: Projection,
    options: LookupOptions,
    signal: AbortSignal,
    receipt?: Receipt,
  ): LookupAnswer | Promise<LookupAnswer> {
    const batch = this.begin({ snapshot, keys, projection, options }, receipt);
    return batch.answer ?? batch.finish(signal);
  }

  #keyLookup(): KeyLookup {
    return {
      now: (request, key) => {
        const { snapshot, projection, options, form } = request;
        if (options.matches === 'all') return allNow(request, key);
        const row = form.tryRow(snapshot, key, projection);
        return row === undefined ? undefined : itemOfRow(row);
      },
      kept: ({ snapshot, projection, options, form }, key) => {
        const row = options.matches === 'first' ? form.kept(snapshot, key, projection) : undefined;
        return row === undefined ? undefined : itemOfRow(row);
      },
      cold: async (request, key, read) => {
        if (request.options.matches === 'all') return readAll(read, request, key);
        return itemOfRow(await readRow(read, request, key));
      },
      inTurn: ({ snapshot }, signal, work) => {
        const queuedMs = performance.now();
        return this.#cold.run(
          () => {
            const queueMs = performance.now() - queuedMs;
            const ceiling = this.#ceiling();
            return work((receipt, pages) => this.#readOfKey(receipt, pages, signal, queueMs, ceiling));
          },
          signal,
          snapshot.definition.name,
        );
      },
    };
  }

  #ceiling(): LookupCeiling | undefined {
    return this.#bounds && new LookupCeiling(this.#bounds);
  }

  #readOfKey(
    receipt: Receipt | undefined,
    pages: BatchPages,
    signal: AbortSignal,
    queueMs: number,
    ceiling: LookupCeiling | undefined,
  ): ReadOfKey {
    const trace = new LookupTrace(receipt?.search);
    receipt?.add(trace);
    trace.stages.queue = queueMs;
    const done = () => {
      pages.release(trace);
      this.stages.record(trace);
    };
    return { read: new ColdRead(pages, signal, trace, ceiling), done };
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
          return await work(new ColdRead(this.#loader, signal, trace, this.#ceiling()));
        } finally {
          this.stages.record(trace);
        }
      },
      signal,
      snapshot.definition.name,
    );
  }
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

/** Null when the key is provably absent. What was waited for is kept: where blocks do not fit in memory, hot rows may. */
async function readRow<Row>(
  read: ColdRead,
  { snapshot, projection, form }: Pick<BatchRequest<Row>, 'snapshot' | 'projection' | 'form'>,
  key: Key,
): Promise<Row | null> {
  const place = await read.chosen(snapshot, projection.key, key, projection.columns);
  if (place === null) return null;
  read.letGo();
  const row = await read.until(
    () => {
      const encoded = form.encode(place, projection, read.pins);
      // Where a part of the search failed, the next one may know better.
      if (encoded !== undefined && !read.hasFailures) form.keep(snapshot, key, projection, place, encoded);
      return encoded;
    },
    () => missingPages(place, projection.columns, read.pins),
  );
  read.explain(place, projection.columns);
  return row;
}
