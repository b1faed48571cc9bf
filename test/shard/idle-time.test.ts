/** Whether a loop is mostly idle, told by one that is and by one that is kept busy. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { IdleTime } from '../../src/shard/idle-time.ts';

const WINDOW_MS = 500;

/** In pieces, so that the loop turns. */
async function busy(ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end; ) {
    for (const pieceEnd = performance.now() + 5; performance.now() < pieceEnd; );
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a loop is idle until it was seen to be busy, and again when it was seen idle', async () => {
  const idle = new IdleTime();
  assert.equal(idle.isMost, true);
  await busy(1.2 * WINDOW_MS);
  assert.equal(idle.isMost, false);
  assert.equal(idle.isMost, false, 'until it was looked at for another while');
  await sleep(3 * WINDOW_MS);
  assert.equal(idle.isMost, true);
});

test('what a loop does only since it is idle does not count', async () => {
  const idle = new IdleTime();
  const startedMs = performance.now();
  await busy(1.2 * WINDOW_MS);
  idle.helped(performance.now() - startedMs);
  assert.equal(idle.isMost, true);
});
