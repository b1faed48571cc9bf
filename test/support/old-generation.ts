/** What V8 frees only when it collects all of its heap: to be held to next to nothing a request, since it stops everything. */

import assert from 'node:assert/strict';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
// Else V8 collects all of its heap meanwhile.
setFlagsFromString('--heap-growing-percent=400');
const collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void;

/** Bytes of the old generation, when nothing is young any more. */
export function oldBytes(): number {
  // What is alive is old after the second.
  collect({ type: 'minor' });
  collect({ type: 'minor' });
  const old = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space');
  assert.ok(old !== undefined);
  return old.space_used_size;
}
