/** A lookup of many keys in one table: what both routes for many keys do with each table that they are asked for. */

import { asServiceError, ServiceError } from '../core/index.ts';
import type { Batch, LookupAnswer, Receipt } from '../shard/index.ts';
import type { Key, Snapshot, Table } from '../table/index.ts';
import type { ServerContext } from './context.ts';
import { keyFromJson } from './key-parts.ts';
import type { LookupRequest } from './lookup-body.ts';
import { onSnapshot, type RequestTime } from './pinned.ts';
import { jsonOptions, parseQuery } from './query.ts';
import { isEmpty } from './row-route.ts';

export interface TableLookup {
  readonly table: Table;
  readonly lookup: LookupRequest;
  /** Of the URL. */
  readonly query: string;
  readonly receipt: Receipt | undefined;
}

/** Begins on a snapshot; the answer is there when all of it was in memory and there was time for it. */
export function beginLookup(
  { engine, options }: ServerContext,
  { lookup, query, receipt }: TableLookup,
  snapshot: Snapshot,
): Pick<Batch, 'answer' | 'finish'> {
  receipt?.begin(snapshot);
  const json = jsonOptions(
    parseQuery(query, ['int64', 'nonfinite']),
    snapshot.definition.json,
    options.valueInRowBytes,
  );
  if (isEmpty(snapshot)) return noneFound(snapshot, lookup);
  const projection = snapshot.projection(lookup.columns, json);
  const keys = lookup.keys.map((given) => readKey(snapshot, given));
  return engine.begin({ snapshot, keys, projection, options: lookup }, receipt);
}

/**
 * Ends what was begun on the pinned snapshot, if it was; on a fresh one where an object changed meanwhile. What is open
 * when the signal aborts is `timeout`.
 */
export function finishLookup(
  context: ServerContext,
  of: TableLookup,
  pinned: Snapshot | undefined,
  begun: Pick<Batch, 'finish'> | undefined,
  time: RequestTime,
): Promise<LookupAnswer> {
  let first = begun;
  return onSnapshot(of.table, pinned, time, async (snapshot) => {
    const batch = first ?? beginLookup(context, of, snapshot);
    first = undefined;
    return batch.finish(time.signal);
  });
}

export function readKey(snapshot: Snapshot, given: unknown): Key | ServiceError {
  try {
    return keyFromJson(snapshot, given);
  } catch (thrown) {
    return asServiceError(thrown);
  }
}

/** A table without a file has no schema to read a key by, and no row either. */
function noneFound(snapshot: Snapshot, { keys }: LookupRequest): Pick<Batch, 'answer' | 'finish'> {
  const answer: LookupAnswer = { items: keys.map(() => ({ status: 'not_found' })), tier: 'memory', snapshot };
  return { answer, finish: async () => answer };
}

/** Batches are what can fill memory and starve single rows, so that those under way are counted until they are sent. */
export class LookupsUnderWay {
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  enter(reply: { readonly raw: { once(event: 'close', listener: () => void): unknown } }): void {
    if (this.#count >= this.#max) {
      const message = `${this.#count} lookups by body are under way already; come back in a moment`;
      throw new ServiceError('overloaded', 'overloaded', message, { limit: this.#max });
    }
    this.#count += 1;
    reply.raw.once('close', () => {
      this.#count -= 1;
    });
  }
}
