/** Keys are drawn as their distribution says: frequencies against theory by chi-square, with fixed seeds. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Distribution, type KeySpace, KeyStream } from '../../src/bench/key-stream.ts';
import { seededRandom } from '../../src/bench/random.ts';
import { zipfRanks } from '../../src/bench/zipf.ts';

const DRAWS = 200_000;
const RANGE: KeySpace = { kind: 'range', first: 1000, count: 50 };
const WHOLE = { part: 0, parts: 1 };
/** Of 49 degrees of freedom, exceeded by one seed in a thousand. */
const CHI_SQUARE_MAX = 85.35;

function counted(count: number, draw: () => number): readonly number[] {
  const counts = new Array<number>(count).fill(0);
  for (let i = 0; i < DRAWS; i++) {
    const at = draw();
    counts[at] = counts[at]! + 1;
  }
  return counts;
}

function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return counts.reduce((total, count, i) => {
    const expected = (DRAWS * weights[i]!) / sum;
    return total + (count - expected) ** 2 / expected;
  }, 0);
}

const zipfWeights = (theta: number) => Array.from({ length: 50 }, (_, rank) => (rank + 1) ** -theta);

function streamOf(distribution: Distribution, absentShare = 0, space = RANGE, share = WHOLE): KeyStream {
  return new KeyStream(space, distribution, absentShare, seededRandom(7), share);
}

for (const theta of [0.2, 0.99, 1, 1.5]) {
  test(`zipf ranks with theta ${theta} are as frequent as theory says, and of another theta they are not`, () => {
    const counts = counted(50, zipfRanks(50, theta, seededRandom(42)));
    assert.ok(chiSquare(counts, zipfWeights(theta)) < CHI_SQUARE_MAX);
    assert.ok(chiSquare(counts, zipfWeights(theta + 0.05)) > CHI_SQUARE_MAX);
  });
}

test('ranks of a thousand million keys are drawn too, and of one key', () => {
  const ranks = zipfRanks(1e9, 0.99, seededRandom(1));
  for (let i = 0; i < 1000; i++) {
    const rank = ranks();
    assert.ok(Number.isInteger(rank) && rank >= 0 && rank < 1e9);
  }
  assert.equal(zipfRanks(1, 0.99, seededRandom(1))(), 0);
});

test('uniform keys are equally frequent', () => {
  const stream = streamOf({ kind: 'uniform' });
  const counts = counted(50, () => Number(stream.next()) - 1000);
  assert.ok(
    chiSquare(
      counts,
      counts.map(() => 1),
    ) < CHI_SQUARE_MAX,
  );
});

test('the hot keys of zipf are strewn and keep their frequencies; those of latest are the last', () => {
  const zipf = streamOf({ kind: 'zipf', theta: 0.99 });
  const strewn = counted(50, () => Number(zipf.next()) - 1000);
  const hottest = strewn.map((count, at) => ({ count, at })).sort((a, b) => b.count - a.count);
  assert.ok(Math.abs(hottest[0]!.at - hottest[1]!.at) > 1);
  assert.ok(
    chiSquare(
      hottest.map(({ count }) => count),
      zipfWeights(0.99),
    ) < CHI_SQUARE_MAX,
  );
  const latest = streamOf({ kind: 'latest', theta: 0.99 });
  const counts = counted(50, () => 1049 - Number(latest.next()));
  assert.ok(chiSquare(counts, zipfWeights(0.99)) < CHI_SQUARE_MAX);
});

test('zipf reaches every key of a small space', () => {
  for (const count of [1, 2, 3, 10, 49]) {
    const stream = streamOf({ kind: 'zipf', theta: 0.1 }, 0, { kind: 'range', first: 0, count });
    const seen = new Set(Array.from({ length: 5000 }, () => stream.next()));
    assert.equal(seen.size, count);
  }
});

test('sequential keys come in order, each thread from its own place, round and round', () => {
  const space: KeySpace = { kind: 'list', paths: ['a', 'b', 'c', 'd'], absent: [] };
  const first = streamOf({ kind: 'sequential' }, 0, space, { part: 0, parts: 2 });
  const second = streamOf({ kind: 'sequential' }, 0, space, { part: 1, parts: 2 });
  assert.equal(Array.from({ length: 6 }, () => first.next()).join(''), 'abcdab');
  assert.equal(Array.from({ length: 6 }, () => second.next()).join(''), 'cdabcd');
});

test('the absent share is kept, and absent keys are none of the others', () => {
  const stream = streamOf({ kind: 'uniform' }, 0.25);
  let absent = 0;
  for (let i = 0; i < DRAWS; i++) {
    const key = Number(stream.next());
    assert.equal(stream.isAbsent, key >= 1050);
    if (stream.isAbsent) absent += 1;
  }
  // Five standard deviations.
  assert.ok(Math.abs(absent - DRAWS / 4) < 5 * Math.sqrt(DRAWS * 0.25 * 0.75));
});

test('one seed gives one order of keys, another another', () => {
  const keys = (seed: number) => {
    const stream = new KeyStream(RANGE, { kind: 'uniform' }, 0.1, seededRandom(seed), WHOLE);
    return Array.from({ length: 100 }, () => stream.next()).join();
  };
  assert.equal(keys(1), keys(1));
  assert.notEqual(keys(1), keys(2));
});
