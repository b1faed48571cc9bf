/** Texts of numbers leave nothing behind that V8 frees only when it collects all of its heap. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { jsonText } from '../../src/table/json-format.ts';

const NUMBERS = 10_000;

setFlagsFromString('--expose-gc');
// Else V8 collects all of its heap meanwhile.
setFlagsFromString('--heap-growing-percent=400');
const collect = runInNewContext('gc') as (options: { readonly type: 'minor' }) => void;

/** Bytes of the old generation, when nothing is young any more. */
function oldBytes(): number {
  // What is alive is old after the second.
  collect({ type: 'minor' });
  collect({ type: 'minor' });
  const old = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space');
  assert.ok(old !== undefined);
  return old.space_used_size;
}

function bytesANumber(textOf: (number: number) => string): number {
  let length = 0;
  for (let i = 0; i < NUMBERS; i++) length += textOf(Math.sin(i)).length;
  const before = oldBytes();
  for (let i = NUMBERS; i < 2 * NUMBERS; i++) length += textOf(Math.sin(i)).length;
  assert.ok(length > 2 * NUMBERS * 10, `${length} characters`);
  return (oldBytes() - before) / NUMBERS;
}

test('the text of a number is gone with its request', () => {
  const bytes = bytesANumber(jsonText);
  assert.ok(bytes < 4, `${bytes.toFixed(1)} bytes of each stay`);
});

test('texts that are made in another way are not, which is what this would show', () => {
  const bytes = bytesANumber(String);
  assert.ok(bytes > 20, `${bytes.toFixed(1)} bytes of each stay`);
});
