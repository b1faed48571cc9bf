/** What is remembered of blocks that were wanted, and what makes it forgotten. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ghosts } from '../../src/cache/disk-ghosts.ts';

test('a hash is new once, then remembered', () => {
  const ghosts = new Ghosts(256);
  assert.equal(ghosts.wasSeen(7, 9), false);
  assert.equal(ghosts.wasSeen(7, 9), true);
  assert.equal(ghosts.wasSeen(8, 9), false);
});

test('two that share a place do not make each other forgotten, however often they come in turn', () => {
  for (const [first, second] of [
    [4, 4],
    [4, 5],
    [5, 4],
  ] as const) {
    const ghosts = new Ghosts(256);
    assert.deepEqual([ghosts.wasSeen(1, first), ghosts.wasSeen(2, second)], [false, false]);
    for (let i = 0; i < 3; i++) assert.deepEqual([ghosts.wasSeen(1, first), ghosts.wasSeen(2, second)], [true, true]);
  }
});

test('of three that share a place the one that was wanted longest ago is forgotten', () => {
  const ghosts = new Ghosts(256);
  for (const high of [1, 2, 1, 3]) ghosts.wasSeen(high, 4);
  assert.equal(ghosts.wasSeen(1, 4), true);
  assert.equal(ghosts.wasSeen(2, 4), false);
});
