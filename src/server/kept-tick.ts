/**
 * Keeps the hidden class of what `process.nextTick` makes, which every request needs a few times.
 *
 * Node defines that object's properties by computed names. V8 remembers for each of them one hidden class, weakly: when a
 * full collection finds no such object, it drops the class, takes the next one for another, and from then on has its slow
 * runtime define all of them, for as long as the process lives. Batches bring such collections; single rows after
 * them then spent 5 to 8 % of their time there. One object that stays keeps the class, and it can be had: it is the
 * resource that async hooks show for what runs in that tick.
 */

import { executionAsyncResource } from 'node:async_hooks';

const kept: object[] = [];

/** To be called before the first full collection; more calls do nothing. Gives what it keeps, once there is one. */
export function keepTick(): readonly object[] {
  if (kept.length === 0) {
    process.nextTick(() => {
      if (kept.length === 0) kept.push(executionAsyncResource());
    });
  }
  return kept;
}
