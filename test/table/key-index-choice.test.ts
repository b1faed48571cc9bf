/** Whether a key index is built: by how the rows lie, as far as bounds tell. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { chooseIndex } from '../../src/table/index.ts';
import { randomFrom } from '../parquet/support/property.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 30_000;
const inOrder = Array.from({ length: ROWS }, (_, row) => row);

function shuffled(values: readonly number[]): number[] {
  const random = randomFrom(7);
  const copy = [...values];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}

async function choiceFor(
  context: TestContext,
  keys: readonly number[],
  options: { readonly rowsPerRowGroup?: number; readonly pageBytes?: number; readonly pageIndex?: boolean } = {},
) {
  const path = join(scratchFolder(context), 't.parquet');
  writeParquet(path, [{ name: 'k', data: [...keys], type: 'INT32', nullable: false }], options);
  const node = nodeOf(context, [{ name: 't', source: path, key: ['k'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  return chooseIndex(snapshot, snapshot.primaryKey, 'auto');
}

test('rows in the order of their key need no index', async (context) => {
  const choice = await choiceFor(context, inOrder, { rowsPerRowGroup: 3000, pageIndex: false });
  assert.equal(choice.isWanted, false);
  assert.match(choice.reason, /^clustered: a key may be in 1\.0 of 10 row groups$/);
});

test('rows out of order are indexed', async (context) => {
  const choice = await choiceFor(context, shuffled(inOrder), { rowsPerRowGroup: 3000 });
  assert.equal(choice.isWanted, true);
  assert.match(choice.reason, /^a key may be in (9\.\d|10\.0) of 10 row groups$/);
});

test('one row group tells nothing, but the bounds of its pages do', async (context) => {
  const whole = { rowsPerRowGroup: ROWS, pageIndex: true };
  const clustered = await choiceFor(context, inOrder, whole);
  assert.equal(clustered.isWanted, false);
  assert.match(clustered.reason, /^clustered: a key may be in 1\.0 pages$/);
  assert.equal((await choiceFor(context, shuffled(inOrder), whole)).isWanted, true);
  assert.equal((await choiceFor(context, inOrder, { ...whole, pageIndex: false })).isWanted, true);
});

test('keys of many rows that lie together are nothing to index, whether pages are of one key or not', async (context) => {
  const sorted = await choiceFor(
    context,
    inOrder.map((row) => Math.floor(row / 9000)),
    { rowsPerRowGroup: 3000 },
  );
  assert.deepEqual(sorted, { isWanted: false, reason: 'clustered: a key may be in 0.0 of 10 row groups' });
  const oneGroup = { rowsPerRowGroup: ROWS, pageBytes: 512 };
  const within = await choiceFor(
    context,
    inOrder.map((row) => Math.floor(row / 9000)),
    oneGroup,
  );
  assert.equal(within.isWanted, false, within.reason);
  const scattered = await choiceFor(context, shuffled(inOrder.map((row) => Math.floor(row / 9000))), oneGroup);
  assert.equal(scattered.isWanted, true);
});

test('few rows are searched whatever their order, and what was asked for is done', async (context) => {
  const path = join(scratchFolder(context), 't.parquet');
  writeParquet(path, [{ name: 'k', data: shuffled(inOrder.slice(0, 100)), type: 'INT32', nullable: false }]);
  const node = nodeOf(context, [{ name: 't', source: path, key: ['k'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  assert.deepEqual(chooseIndex(snapshot, snapshot.primaryKey, 'auto'), {
    isWanted: false,
    reason: '100 rows are quickly searched',
  });
  assert.equal(chooseIndex(snapshot, snapshot.primaryKey, 'hash').isWanted, true);
  assert.equal(chooseIndex(snapshot, snapshot.primaryKey, 'none').isWanted, false);
});
