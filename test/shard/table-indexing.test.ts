/** A table's index over its life: built beside lookups, kept over a restart, refused where it does not fit, tried again. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ServiceError } from '../../src/core/index.ts';
import type { NodeOptions, PointlakeNode } from '../../src/main.ts';
import type { IndexStatus } from '../../src/shard/index.ts';
import type { ObjectStore, StoreProvider } from '../../src/storage/index.ts';
import { randomFrom } from '../parquet/support/property.ts';
import { IoTrace } from '../support/io-trace.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 5000;

/** Keys 3 * n in no order. */
function writeShuffled(folder: string, ordinal: number, rowsPerRowGroup = 1000): void {
  const random = randomFrom(ordinal);
  const keys = Array.from({ length: ROWS }, (_, row) => (ordinal * ROWS + row) * 3);
  for (let i = keys.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [keys[i], keys[j]] = [keys[j]!, keys[i]!];
  }
  writeParquet(
    join(folder, `${ordinal}.parquet`),
    [
      { name: 'k', data: keys, type: 'INT32', nullable: false },
      { name: 'v', data: keys.map((key) => `value ${key}`), type: 'STRING' },
    ],
    { rowsPerRowGroup },
  );
}

function openTable(context: TestContext, source: string, options: Partial<NodeOptions> = {}) {
  const node = nodeOf(context, [{ name: 't', source, key: ['k'], options: { index: 'hash', maxShrink: 1 } }], options);
  const table = node.catalog.get('t');
  const indexing = node.indexings(table)[0];
  assert.ok(indexing !== undefined);
  return { node, table, indexing };
}

async function valueByKey(node: PointlakeNode, key: number): Promise<string | null> {
  const snapshot = node.catalog.get('t').current();
  return (await node.engine.row(snapshot, keyOf(snapshot, String(key)), snapshot.projection(['v']), noDeadline)).json;
}

function outline({ state, files, filesIndexed, runs }: IndexStatus) {
  return { state, files, filesIndexed, runs };
}

test('an index is built beside lookups, follows the files, and is charged to the budget', async (context) => {
  const folder = scratchFolder(context);
  writeShuffled(folder, 0);
  const { node, table, indexing } = openTable(context, `${folder}/`);
  assert.equal(indexing.status.state, 'none');
  await table.refresh();
  assert.equal(indexing.status.state, 'building');
  assert.equal(await valueByKey(node, 300), '{"v":"value 300"}');
  await indexing.idle();
  assert.deepEqual(outline(indexing.status), { state: 'ready', files: 1, filesIndexed: 1, runs: 1 });
  assert.equal(node.tier.budget.usedBytes('keys'), indexing.status.bytes);

  writeShuffled(folder, 1);
  await table.refresh();
  assert.deepEqual(outline(indexing.status), { state: 'building', files: 2, filesIndexed: 1, runs: 1 });
  assert.equal(
    await valueByKey(node, (ROWS + 7) * 3),
    `{"v":"value ${(ROWS + 7) * 3}"}`,
    'a file not indexed yet is searched',
  );
  await indexing.idle();
  assert.deepEqual(outline(indexing.status), { state: 'ready', files: 2, filesIndexed: 2, runs: 2 });
  for (const key of [0, 3, 2997, ROWS * 3, (2 * ROWS - 1) * 3])
    assert.equal(await valueByKey(node, key), `{"v":"value ${key}"}`);
  for (const key of [-3, 1, 2, 2 * ROWS * 3]) assert.equal(await valueByKey(node, key), null);
});

test('it is built of pages of key columns alone, each read once, and by threads', async (context) => {
  const folder = scratchFolder(context);
  writeShuffled(folder, 0, ROWS);
  const trace = new IoTrace();
  const { node, table, indexing } = openTable(context, `${folder}/`, { wrapStores: trace.wrap });
  // The footer came with all else of so small a file, and is none of it.
  const snapshot = await table.refresh().finally(() => trace.clear());
  await indexing.idle();
  const pages = trace
    .describe(snapshot)
    .flatMap((line) => line.replace(/^\d+ bytes: /, '').split(' + '))
    .filter((part) => part.includes('column'));
  assert.ok(pages.length > 1, pages.join('; '));
  assert.deepEqual(
    pages.filter((part) => !part.includes('column k')),
    [],
  );
  const values = pages.filter((part) => part.includes('data page'));
  assert.equal(new Set(values).size, values.length);
  assert.ok(node.pool.stats.threads > 0, 'many keys are hashed in threads');
});

test('after a restart the index is there, and absent keys cost no read', async (context) => {
  const folder = scratchFolder(context);
  const disk = { path: scratchFolder(context), sizeBytes: 64 * 2 ** 20 };
  writeShuffled(folder, 0);
  const first = openTable(context, `${folder}/`, { disk });
  await first.table.refresh();
  await first.indexing.idle();
  await first.node.close();

  const trace = new IoTrace();
  const second = openTable(context, `${folder}/`, { disk, wrapStores: trace.wrap });
  await second.table.refresh();
  assert.equal(second.indexing.status.filesIndexed, 1, 'before anything was built');
  await second.indexing.idle();
  await second.node.sweepDisk();
  assert.equal(second.indexing.named().length, 1);
  assert.equal(await valueByKey(second.node, 1), null);
  assert.deepEqual(trace.gets, []);
});

test('an index that does not fit is not begun, and lookups go without', async (context) => {
  const folder = scratchFolder(context);
  writeShuffled(folder, 0);
  const { node, table, indexing } = openTable(context, `${folder}/`, { cacheMemoryBytes: 300_000 });
  await table.refresh();
  assert.equal(indexing.status.state, 'too_large');
  assert.match(
    indexing.status.reason,
    /^an index of 45500 bytes does not fit in what cache\.memory leaves for key indexes, 37500 bytes$/,
  );
  assert.equal(await valueByKey(node, 300), '{"v":"value 300"}');
});

test('storage that fails while the index is built leaves it to the next refresh', async (context) => {
  const folder = scratchFolder(context);
  writeShuffled(folder, 0);
  let isBroken = false;
  const wrapStores = (stores: StoreProvider): StoreProvider => ({
    storeFor: (source) => failing(stores.storeFor(source), () => isBroken),
  });
  const { node, table, indexing } = openTable(context, `${folder}/`, { wrapStores });
  const refreshed = table.refresh();
  // The footer is read by then, and the keys are not.
  await refreshed.then(() => {
    isBroken = true;
  });
  await indexing.idle();
  assert.equal(indexing.status.state, 'failed');
  assert.equal(indexing.status.error?.code, 'unavailable');
  isBroken = false;
  assert.equal(await valueByKey(node, 300), '{"v":"value 300"}');
  await table.refresh();
  await indexing.idle();
  assert.deepEqual(outline(indexing.status), { state: 'ready', files: 1, filesIndexed: 1, runs: 1 });
});

test('a read that fails while one before it is still under way ends the round, and nothing else', async (context) => {
  const folder = scratchFolder(context);
  for (const ordinal of [0, 1, 2, 3]) writeShuffled(folder, ordinal, ROWS);
  let isListed = false;
  const wrapStores = (stores: StoreProvider): StoreProvider => ({
    storeFor: (source) => failingOutOfTurn(stores.storeFor(source), () => isListed),
  });
  // Whoever waits for nobody's promise would be told here, and a server would end.
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', onUnhandled);
  context.after(() => process.off('unhandledRejection', onUnhandled));
  const { node, table, indexing } = openTable(context, `${folder}/`, { wrapStores });
  await table.refresh().then(() => {
    isListed = true;
  });
  await indexing.idle();
  assert.deepEqual([indexing.status.state, indexing.status.error?.code], ['failed', 'unavailable']);
  assert.deepEqual(unhandled, []);
  isListed = false;
  assert.equal(await valueByKey(node, 300), '{"v":"value 300"}');
  await table.refresh();
  await indexing.idle();
  assert.equal(indexing.status.state, 'ready');
});

/** Of pages of values, which lie before all else, the first read takes long, and those after it fail at once. */
function failingOutOfTurn(inner: ObjectStore, isBroken: () => boolean): ObjectStore {
  let reads = 0;
  return {
    kind: inner.kind,
    cheapReads: inner.cheapReads,
    head: (key, options) => inner.head(key, options),
    list: (prefix, options) => inner.list(prefix, options),
    close: () => inner.close(),
    getRange: async (object, range, options) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (!isBroken() || range.start > object.sizeBytes / 2) return inner.getRange(object, range, options);
      reads += 1;
      if (reads > 1) throw new ServiceError('unavailable', 'unavailable', 'storage is down');
      for (let turns = 0; turns < 200; turns++) await new Promise((resolve) => setImmediate(resolve));
      throw new ServiceError('unavailable', 'unavailable', 'storage is down');
    },
  };
}

function failing(inner: ObjectStore, isBroken: () => boolean): ObjectStore {
  return {
    kind: inner.kind,
    cheapReads: inner.cheapReads,
    head: (key, options) => inner.head(key, options),
    list: (prefix, options) => inner.list(prefix, options),
    close: () => inner.close(),
    getRange: async (object, range, options) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (isBroken()) throw new ServiceError('unavailable', 'unavailable', 'storage is down');
      return inner.getRange(object, range, options);
    },
  };
}
