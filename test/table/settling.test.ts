/** Which listings are taken as they are, which leave partitions settling, and which hold the whole table. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL_SETTLED, type FileRows, judgeListing, partitionNamer, type Unsettled } from '../../src/table/settling.ts';

const RULE = { maxShrink: 0.2, settleMs: 30 };
const NOW = 1000;

/** `{ 'a/1': 10 }`: the object a/1 has 10 rows. */
function files(rows: Record<string, number | undefined>): FileRows[] {
  return Object.entries(rows).map(([key, count]) => ({ key, rows: count }));
}

function judge(
  before: Record<string, number | undefined>,
  now: Record<string, number | undefined>,
  {
    rule = RULE,
    unsettled = ALL_SETTLED,
    nowMs = NOW,
  }: { rule?: typeof RULE; unsettled?: Unsettled; nowMs?: number } = {},
): string {
  const partitionOf = (key: string) => key.slice(0, key.indexOf('/'));
  const verdict = judgeListing(files(before), files(now), partitionOf, rule, unsettled, nowMs);
  const settling = verdict.settling.map(
    ({ partition, sinceMs, rowsBefore, rowsNow }) => `${partition} since ${sinceMs}: ${rowsBefore} -> ${rowsNow}`,
  );
  if (verdict.kind === 'taken') return ['taken', ...settling].join(', ');
  const { sinceMs, rowsBefore, rowsNow } = verdict.held;
  return [`held since ${sinceMs}: ${rowsBefore} -> ${rowsNow}`, ...settling].join(', ');
}

const TEN = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`p${i}/1`, 100]));

function without(...keys: readonly string[]): Record<string, number> {
  return Object.fromEntries(Object.entries(TEN).filter(([key]) => !keys.includes(key)));
}

test('what is added, replaced or a little less is taken', () => {
  assert.equal(judge({}, TEN), 'taken');
  assert.equal(judge(TEN, TEN), 'taken');
  assert.equal(judge(TEN, { ...TEN, 'p10/1': 5 }), 'taken');
  assert.equal(judge(TEN, { ...TEN, 'p1/1': 1 }), 'taken', 'an object of the same key is a change and no loss');
  assert.equal(judge({ 'a/1': 80, 'a/2': 20 }, { 'a/1': 80 }), 'taken', 'a fifth is not more than a fifth');
  assert.equal(judge({ 'a/1': 100 }, { 'a/2': 80 }), 'taken', 'added rows make up for lost ones');
  assert.equal(judge({ 'a/1': 100 }, { 'b/1': 100, 'a/2': 100 }), 'taken');
});

test('a partition that vanished or lost much settles, from when that was first seen', () => {
  assert.equal(judge(TEN, without('p3/1')), 'taken, p3 since 1000: 100 -> 0');
  const two = { ...TEN, 'p3/2': 100 };
  assert.equal(judge(two, TEN), 'taken, p3 since 1000: 200 -> 100');
  assert.equal(judge(two, { ...TEN, 'p3/3': 60 }), 'taken', 'in the place of 100 come 60: a fifth of 200');
  assert.equal(judge(two, { ...TEN, 'p3/3': 59 }), 'taken, p3 since 1000: 200 -> 159');
  const unsettled = { settling: [{ partition: 'p3', sinceMs: 980 }], held: undefined };
  assert.equal(judge(TEN, without('p3/1'), { unsettled }), 'taken, p3 since 980: 100 -> 0');
  assert.equal(judge(TEN, TEN, { unsettled }), 'taken', 'it has its rows back');
  assert.equal(judge(TEN, without('p3/1'), { unsettled, nowMs: 1010 }), 'taken', 'its time is over');
  const ahead = { settling: [{ partition: 'p3', sinceMs: 5000 }], held: undefined };
  assert.equal(
    judge(TEN, without('p3/1'), { unsettled: ahead }),
    'taken, p3 since 1000: 100 -> 0',
    'the clock went back',
  );
});

test('a table that lost much is held, and its partitions do not run out of time meanwhile', () => {
  assert.equal(judge(TEN, without('p1/1', 'p2/1', 'p3/1')), 'held since 1000: 1000 -> 700');
  assert.equal(judge(TEN, without('p1/1', 'p2/1')), 'taken, p1 since 1000: 100 -> 0, p2 since 1000: 100 -> 0');
  assert.equal(judge({ 'a/1': 10 }, {}), 'held since 1000: 10 -> 0');
  const settling = [{ partition: 'p1', sinceMs: 900 }];
  const held = { sinceMs: 900 };
  const lost = without('p1/1', 'p2/1', 'p3/1');
  assert.equal(judge(TEN, lost, { unsettled: { settling, held } }), 'held since 900: 1000 -> 700');
  const accepted = judge(TEN, lost, { unsettled: { settling, held: undefined } });
  assert.equal(accepted, 'taken, p2 since 1000: 100 -> 0, p3 since 1000: 100 -> 0', 'what was waited for is no news');
  assert.equal(judge(TEN, without('p2/1'), { unsettled: { settling: [], held } }), 'taken, p2 since 1000: 100 -> 0');
  assert.equal(
    judge({ 'a/1': 100, 'b/1': 100 }, { 'c/1': 100, 'd/1': 100 }),
    'taken, a since 1000: 100 -> 0, b since 1000: 100 -> 0',
  );
});

test('it can be switched off', () => {
  const noSettling = { maxShrink: 0.2, settleMs: 0 };
  assert.equal(judge(TEN, without('p3/1'), { rule: noSettling }), 'taken');
  assert.equal(judge(TEN, {}, { rule: noSettling }), 'held since 1000: 1000 -> 0');
  assert.equal(judge(TEN, {}, { rule: { maxShrink: 1, settleMs: 30 } }), 'taken');
});

test('rows that are not known are neither lost nor won', () => {
  assert.equal(judge({ 'a/1': undefined }, {}), 'taken');
  assert.equal(judge({ ...TEN, 'p1/2': undefined }, TEN), 'taken');
  assert.equal(judge(TEN, { ...without('p3/1'), 'p3/2': undefined }), 'taken, p3 since 1000: 100 -> 0');
});

test('a partition is the innermost folder with a value, else the folder; values that are chosen are one', () => {
  const name = partitionNamer({ source: 's3://lake/k=1/users/', only: [] });
  assert.equal(name('k=1/users/a.parquet'), '');
  assert.equal(name('k=1/users/x/y/a.parquet'), 'x/y');
  assert.equal(name('k=1/users/dt=1/h=2/part/a.parquet'), 'dt=1/h=2');
  const latest = partitionNamer({ source: '/lake/users', only: [{ kind: 'latest', name: 'dt' }] });
  assert.equal(latest('/lake/users/dt=1/c=de/a.parquet'), 'dt=*/c=de');
  const glob = partitionNamer({ source: '/lake/*/a/*.parquet', only: [] });
  assert.equal(glob('/lake/x/a/1.parquet'), 'x/a');
});
