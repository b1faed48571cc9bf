/**
 * What finding a key may cost at most: of one key, and of all keys of a request together.
 *
 * A lookup is held to it when it first has to wait for storage, before anything is fetched: one that finds its key in memory
 * or on disk is never refused, whatever a miss would have cost. Where bounds that are not read yet may rule out most of it,
 * it goes on to read these and is asked again. The columns of the row that is found are not counted: they were asked for.
 */

import { ServiceError } from '../core/index.ts';
import {
  type CostQuestion,
  type CountedPages,
  type IndexProgress,
  type SearchCost,
  type StorageCost,
  searchCost,
} from '../table/index.ts';
import type { QueryBounds } from './query.ts';

/** A request of many keys, and a query, may cost as much as so many keys. */
export const REQUEST_SHARE = 100;

const otherRequests = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Of one request. */
export class LookupCeiling {
  readonly #bounds: QueryBounds;
  readonly #counted: CountedPages = new Map();
  #gets = 0;
  #bytes = 0;

  constructor(bounds: QueryBounds) {
    this.#bounds = bounds;
  }

  /** What the search may take; undefined where that is to be asked again. Throws `plan_too_expensive` and `indexing`. */
  async admit(question: CostQuestion, signal: AbortSignal): Promise<StorageCost | undefined> {
    const steps = searchCost({ ...question, counted: this.#counted });
    let step = steps.next();
    for (; step.done !== true; step = steps.next()) {
      await otherRequests();
      signal.throwIfAborted();
    }
    const cost = step.value;
    const { getsMax, bytesMax } = this.#bounds;
    if (isOver(cost.least, this.#bounds)) throw refused(question, cost.most, this.#bounds, 'a key');
    if (isOver(cost.most, this.#bounds)) return undefined;
    const request = { getsMax: getsMax * REQUEST_SHARE, bytesMax: bytesMax * REQUEST_SHARE };
    const all = { gets: this.#gets + cost.own.gets, bytes: this.#bytes + cost.own.bytes };
    if (isOver(all, request)) throw refused(question, all, request, 'a request');
    this.#take(cost, all);
    return cost.most;
  }

  #take({ pages }: SearchCost, { gets, bytes }: StorageCost): void {
    this.#gets = gets;
    this.#bytes = bytes;
    for (const [chunk, page] of pages) {
      const counted = this.#counted.get(chunk) ?? new Set();
      this.#counted.set(chunk, counted.add(page));
    }
  }
}

function isOver({ gets, bytes }: StorageCost, { getsMax, bytesMax }: QueryBounds): boolean {
  return gets > getsMax || bytes > bytesMax;
}

/** While an index is built it is worth coming back. */
function refused(
  { snapshot, by }: CostQuestion,
  { gets, bytes }: StorageCost,
  { getsMax, bytesMax }: QueryBounds,
  a: 'a key' | 'a request',
): ServiceError {
  const table = snapshot.definition.name;
  const found = a === 'a key' ? 'finding the key' : 'finding the keys up to this one';
  const plan = `${found} may take ${gets} GETs of ${bytes} bytes, and ${getsMax} GETs of ${bytesMax} bytes are allowed ${a}`;
  const context = { table, gets, bytes, gets_max: getsMax, bytes_max: bytesMax };
  if (by.building !== undefined) return indexing(by.building, plan, context);
  const advice =
    a === 'a key'
      ? 'have the table index it (`index: auto` or `hash`), cluster the files by it, or raise limits.gets and limits.bytes'
      : 'send fewer keys in a request, have the table index them, or raise limits.gets and limits.bytes';
  return new ServiceError('invalid', 'plan_too_expensive', `${plan}; ${advice}`, context);
}

function indexing({ rows, rowsDone }: IndexProgress, plan: string, context: ServiceError['context']): ServiceError {
  const message = `the key's index is being built (${rowsDone} of ${rows} rows), and without it ${plan}; ask again when it is there`;
  return new ServiceError('unavailable', 'indexing', message, { ...context, rows, rows_done: rowsDone });
}
