/** Records come out in order whatever the memory, also where one merge is not enough. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { ExternalSort } from '../../src/rewrite/external-sort.ts';
import { scratchFolder } from '../support/scratch.ts';

function sortedBodies(sort: ExternalSort): string[] {
  return Array.from(sort.sorted(), ({ bytes, bodyStart, bodyEnd }) => bytes.toString('utf8', bodyStart, bodyEnd));
}

/** Equal keys, keys that begin others, and bodies that tell where the record was. */
function addAll(sort: ExternalSort, count: number): string[] {
  const records = Array.from({ length: count }, (_, i) => ({
    key: `${(i * 7919) % 1009}`.slice(0, 1 + (i % 4)),
    at: i,
  }));
  for (const { key, at } of records) sort.add(Buffer.from(key), Buffer.from(`${key} ${at} ${'.'.repeat(at % 60)}`));
  records.sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || a.at - b.at);
  return records.map(({ key, at }) => `${key} ${at} ${'.'.repeat(at % 60)}`);
}

test('by merging fewer runs than 64, more, and more than can be merged in one pass', (context) => {
  for (const [count, memoryBytes, runsMin] of [
    [50, 1e6, 0],
    [1000, 20_000, 2],
    [4000, 4096, 65],
    [20_000, 400, 64 * 64],
  ] as const) {
    const folder = scratchFolder(context);
    const sort = new ExternalSort(memoryBytes, folder);
    const expected = addAll(sort, count);
    assert.deepEqual(sortedBodies(sort), expected, `${count} records in ${memoryBytes} bytes`);
    assert.ok(sort.runs >= runsMin, `${sort.runs} runs, not ${runsMin}`);
    sort.close();
    assert.deepEqual(readdirSync(folder), []);
  }
});

test('one sort after another, each by itself', (context) => {
  const sort = new ExternalSort(20_000, scratchFolder(context));
  for (const count of [1000, 3, 700, 0, 2000]) {
    const expected = addAll(sort, count);
    assert.deepEqual(sortedBodies(sort), expected, `${count} records`);
  }
  sort.close();
});

test('a record larger than all the memory', (context) => {
  const sort = new ExternalSort(1000, scratchFolder(context));
  const large = 'x'.repeat(3_000_000);
  for (const [key, body] of [
    ['b', 'two'],
    ['c', large],
    ['a', large],
    ['d', 'four'],
  ] as const) {
    sort.add(Buffer.from(key), Buffer.from(body));
  }
  assert.deepEqual(sortedBodies(sort), [large, 'two', large, 'four']);
  sort.close();
});
