/** Runs queries, few at once, each under its bounds: rows go to a sink in order, and after each batch the caller has a turn. */

import { Gate } from '../storage/index.ts';
import { Pins, type Snapshot } from '../table/index.ts';
import type { PageLoader } from './page-loader.ts';
import type { Query, QueryBounds, QueryPlace, QueryPosition, QueryTrace, RowSink } from './query.ts';
import { takeInOrder } from './query-held.ts';
import { orderedRows } from './query-order.ts';
import { planQuery } from './query-plan.ts';
import { type CarriedPages, QueryReader } from './query-reader.ts';

interface QueryEngineOptions extends QueryBounds {
  /** Queries that run at once; four times as many may wait. */
  readonly queriesMax: number;
}

const QUERY_DEFAULTS: QueryEngineOptions = { getsMax: 6_400, bytesMax: 6_400 * 2 ** 20, queriesMax: 4 };

const QUEUED_SHARE = 4;
/** Rows that were read before their turn take this share of what pages in flight may, within these bounds. */
const HELD_BYTES_MIN = 2 ** 20;
const HELD_BYTES_MAX = 64 * 2 ** 20;
const HELD_SHARE = 1 / 4;

export class QueryEngine {
  readonly #loader: PageLoader;
  readonly #options: QueryEngineOptions;
  readonly #gate: Gate;

  constructor(loader: PageLoader, options: Partial<QueryEngineOptions> = {}) {
    this.#loader = loader;
    this.#options = { ...QUERY_DEFAULTS, ...options };
    const { queriesMax } = this.#options;
    const maxQueued = queriesMax * QUEUED_SHARE;
    this.#gate = new Gate({ maxConcurrent: queriesMax, maxQueued, name: 'queries', code: 'overloaded' });
  }

  /** When its turn has come: `work` runs one query. Throws `overloaded`. */
  admit<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#gate.run(work, signal);
  }

  /**
   * Hands the rows to the sink, and after each batch says where it is: what to begin the next page with. Stops at the
   * limit; whoever stops asking for batches stops all reading.
   */
  async *run(
    snapshot: Snapshot,
    query: Query,
    sink: RowSink,
    signal: AbortSignal,
    trace: QueryTrace,
  ): AsyncGenerator<QueryPosition, void> {
    const units = trace.timed('locate', () => planQuery(snapshot, query, this.#options, trace));
    const reader = new QueryReader(this.#loader, this.#options, signal, trace);
    if (query.order.length > 0) {
      const rows = await orderedRows(reader, units, query);
      const places = rows.map(({ place }) => place);
      const heldBytesWanted = this.#loader.inFlight.capacityBytes * HELD_SHARE;
      const heldBytesMax = Math.max(HELD_BYTES_MIN, Math.min(HELD_BYTES_MAX, heldBytesWanted));
      let taken = 0;
      for await (const count of takeInOrder(reader, places, query.columns, sink, heldBytesMax)) {
        taken += count;
        trace.rowsMatched += count;
        const last = rows[taken - 1];
        if (last !== undefined) yield { fileOrdinal: last.place.fileOrdinal, row: last.row, values: last.values };
      }
      return;
    }
    let left = query.limit;
    for (const { file, fileOrdinal, rowGroup, ...unit } of units) {
      const firstRow = file.file.index.rowGroupFirstRow(rowGroup);
      const carried: CarriedPages = { pins: new Pins() };
      for await (const found of reader.matches({ file, fileOrdinal, rowGroup, ...unit }, () => left)) {
        const places = found.slice(0, left).map((row): QueryPlace => ({ file, fileOrdinal, rowGroup, row }));
        let taken = 0;
        for await (const count of reader.take(places, query.columns, sink, carried)) {
          taken += count;
          left -= count;
          trace.rowsMatched += count;
          const last = places[taken - 1];
          if (last !== undefined) yield { fileOrdinal, row: firstRow + last.row, values: [] };
        }
        if (left <= 0) return;
      }
    }
  }
}
