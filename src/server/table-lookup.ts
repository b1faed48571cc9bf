/** A lookup of many keys in one table: what both routes for many keys do with each table that they are asked for. */

import { asServiceError, ServiceError } from '../core/index.ts';
import { type Batch, type BatchRequest, type LookupAnswer, MatchOrder, type Receipt } from '../shard/index.ts';
import { type Key, projectionNamed, type Snapshot, type Table, type TableKey } from '../table/index.ts';
import type { ServerContext } from './context.ts';
import { keyFromJson, leadingKeyFromJson } from './key-parts.ts';
import type { LookupRequest } from './lookup-body.ts';
import { onSnapshot, type RequestTime } from './pinned.ts';
import { columnsOrDefault, jsonOptions, parseQuery } from './query.ts';
import { isEmpty } from './row-replies.ts';

export interface TableLookup {
  readonly table: Table;
  readonly lookup: LookupRequest;
  /** Of the URL. */
  readonly query: string;
  readonly receipt: Receipt | undefined;
}

/** What begins on a snapshot; the answer is there when all of it was in memory and there was time for it. */
export type Begun<Row = string> = Pick<Batch<Row>, 'answer' | 'finish'>;

/** What is answered from memory, or not, needs of the table its name at most, and has no receipt. */
export type HotLookup = Pick<TableLookup, 'lookup' | 'query'> & {
  readonly table: Pick<Table, 'name'>;
  readonly receipt: undefined;
};

export interface BeginContext extends Pick<ServerContext, 'options'> {
  readonly engine: Pick<ServerContext['engine'], 'begin'>;
}

/** As JSON. */
export function beginLookup(context: BeginContext, of: TableLookup | HotLookup, snapshot: Snapshot): Begun {
  const request = requestOf(context, of, snapshot);
  return request === undefined ? noneFound(snapshot, of.lookup) : context.engine.begin(request, of.receipt);
}

/** Undefined for a table without a file: it has no schema to read a key by, and no row either. */
export function requestOf(
  { options }: Pick<ServerContext, 'options'>,
  { lookup, query, receipt }: TableLookup | HotLookup,
  snapshot: Snapshot,
): Omit<BatchRequest, 'form'> | undefined {
  receipt?.begin(snapshot);
  const json = jsonOptions(
    parseQuery(query, ['int64', 'nonfinite']),
    snapshot.definition.json,
    options.valueInRowBytes,
  );
  if (isEmpty(snapshot)) return undefined;
  const by = lookup.by === undefined ? snapshot.primaryKey : snapshot.key(lookup.by);
  const columns =
    lookup.projection === undefined
      ? columnsOrDefault(lookup.columns, snapshot)
      : projectionNamed(snapshot.definition, lookup.projection).columns;
  const projection = snapshot.projection(columns, json, by);
  const { matches, limit, orderBy } = lookup;
  const order = orderBy.length === 0 ? undefined : new MatchOrder(snapshot, orderBy);
  const keys = lookup.keys.map((given) => readKey(snapshot, given, by, matches));
  return { snapshot, keys, projection, options: { matches, limit, order } };
}

/**
 * Ends what was begun on the pinned snapshot, if it was; on a fresh one where an object changed meanwhile. What is open
 * when the signal aborts is `timeout`.
 */
export function finishLookup<Row>(
  table: Table,
  begin: (snapshot: Snapshot) => Pick<Batch<Row>, 'finish'>,
  pinned: Snapshot | undefined,
  begun: Pick<Batch<Row>, 'finish'> | undefined,
  time: RequestTime,
): Promise<LookupAnswer<Row>> {
  let first = begun;
  return onSnapshot(table, pinned, time, async (snapshot) => {
    const batch = first ?? begin(snapshot);
    first = undefined;
    return batch.finish(time.signal);
  });
}

/** With `all` also the leading parts of one. */
export function readKey(
  snapshot: Snapshot,
  given: unknown,
  by?: TableKey,
  matches: LookupRequest['matches'] = 'first',
): Key | ServiceError {
  try {
    return matches === 'all' ? leadingKeyFromJson(snapshot, given, by) : keyFromJson(snapshot, given, by);
  } catch (thrown) {
    return asServiceError(thrown);
  }
}

export function noneFound(snapshot: Snapshot, { keys }: LookupRequest): Begun<never> {
  const answer: LookupAnswer<never> = { items: keys.map(() => ({ status: 'not_found' })), tier: 'memory', snapshot };
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
