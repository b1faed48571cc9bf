/**
 * Keeps the hidden classes of objects that every request needs: one object of each that stays.
 *
 * V8 remembers weakly which hidden class follows when a property is added. When a full collection finds no object of a class, it
 * is dropped, and what is made then is slow from there on, for as long as the process lives:
 *
 * - what `process.nextTick` makes has properties with computed names, which the runtime defines one by one from then on. Batches
 *   bring such collections; single rows after them spent 5 to 8 % of their time there. The object can be had: it is the
 *   resource that async hooks show for what runs in that tick;
 * - requests and responses of Node's server, of which there are none between two polls of a server that preloads a table. Ten million
 *   rows were loaded, the table's status was asked for meanwhile, and each lookup after that took 20 us more.
 */

import { executionAsyncResource } from 'node:async_hooks';

const kept: object[] = [];
let first: readonly [request: object, response: object] | undefined;

/** To be called before the first full collection; more calls do nothing. Gives what it keeps, once there is one. */
export function keepTick(): readonly object[] {
  if (kept.length === 0) {
    process.nextTick(() => {
      if (kept.length === 0) kept.push(executionAsyncResource());
    });
  }
  return kept;
}

/** To be called with each request; the first pair stays. */
export function keepFirst(request: object, response: object): readonly [request: object, response: object] {
  first ??= [request, response];
  return first;
}
