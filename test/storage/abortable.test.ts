/** Waits that end with their caller: what they settle as, and that many on one signal are one listener of it. */

import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { abortable } from '../../src/storage/abortable.ts';

const never = () => new Promise<never>(() => undefined);
const reason = new Error('the caller left');

test('it settles as the work does, with a signal or without', async () => {
  const { signal } = new AbortController();
  for (const one of [undefined, signal]) {
    assert.equal(await abortable(Promise.resolve(7), one), 7);
    await assert.rejects(abortable(Promise.reject(reason), one), reason);
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('it ends with the reason of a signal that aborts, or that has aborted', async () => {
  const leaving = new AbortController();
  const waits = [abortable(never(), leaving.signal), abortable(never(), leaving.signal)];
  leaving.abort(reason);
  for (const wait of waits) await assert.rejects(wait, reason);
  await assert.rejects(abortable(Promise.resolve(7), leaving.signal), reason);
});

test('many waits are one listener of their signal, which goes with the last and comes with the next', async () => {
  const leaving = new AbortController();
  const { signal } = leaving;
  const listeners = () => getEventListeners(signal, 'abort').length;
  const works = Array.from({ length: 1000 }, () => Promise.withResolvers<number>());
  const waits = works.map(({ promise }) => abortable(promise, signal));
  assert.equal(listeners(), 1);
  for (const [i, { resolve }] of works.slice(1).entries()) resolve(i + 1);
  assert.deepEqual(
    await Promise.all(waits.slice(1)),
    works.slice(1).map((_, i) => i + 1),
  );
  assert.equal(listeners(), 1, 'one still waits');
  works[0]?.resolve(0);
  assert.equal(await waits[0], 0);
  assert.equal(listeners(), 0);
  const next = abortable(never(), signal);
  assert.equal(listeners(), 1);
  leaving.abort(reason);
  await assert.rejects(next, reason);
});
