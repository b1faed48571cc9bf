/** A table of very many small files that is gone through once: what is held of them does not grow with them. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Budget, MemoryQuota, MemoryTier } from '../../src/cache/index.ts';
import { TableFile } from '../../src/table/table-file.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const FILES = 20_000;

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i++) {
    await nextTurn();
    collect();
  }
}

test('of files that were looked at once, chunks and places go, and what is read of them then is right', async (context) => {
  const ids = Array.from({ length: 200 }, (_, row) => row);
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: ids, type: 'INT32', nullable: false },
    { name: 'text', data: ids.map((id) => `text ${id}`), type: 'STRING' },
  ]);
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  await node.engine.row(snapshot, keyOf(snapshot, '7'), snapshot.projection(undefined), noDeadline);
  const [first] = snapshot.files;
  assert.ok(first?.kind === 'readable');
  const { store, object, index } = first.file;
  const columns = [0, 1].map((column) => {
    const chunk = first.file.chunk(0, column);
    const block = chunk.at(0, undefined)?.block.copy();
    assert.ok(chunk.layout !== undefined && block !== undefined);
    return { layout: chunk.layout, page: { firstRow: 0, rows: 200, shift: 31, blocks: [block] } };
  });

  // The same file again and again stands for files that are all alike.
  // Footers are nearly all of their share, so that what is learned beside has the least of its own.
  const tier = new MemoryTier(new Budget(Math.ceil(2.1 * FILES * index.byteSize)));
  const quota = new MemoryQuota();
  const files: TableFile[] = [];
  const chunks: WeakRef<object>[] = [];
  const look = (file: TableFile) => {
    for (const [column, { layout, page }] of columns.entries()) {
      const chunk = file.chunk(0, column);
      chunk.learn(layout);
      chunk.admit(0, page, layout.locations);
      chunks.push(new WeakRef(chunk));
    }
  };
  for (let i = 0; i < FILES; i++) {
    const file = new TableFile(store, object, index, ['id'], tier, quota);
    files.push(file);
    look(file);
    await tier.settled();
    if (i % 100 === 0) await nextTurn();
    assert.ok(tier.budget.fits('layouts', 0), `${tier.budget.usedBytes('layouts')} bytes of layouts`);
  }
  const charged = files.reduce((sum, file) => sum + file.chargedBytes(), 0);
  assert.equal(tier.budget.usedBytes('layouts'), charged, 'what is charged is what is held');

  // As when others need the memory: all blocks leave, and then nothing keeps the places.
  const rest = tier.budget.totalBytes - tier.budget.usedBytes('metadata');
  tier.budget.charge('metadata', rest);
  tier.trim();
  await tier.settled();
  tier.learned.trim();
  await nextTurn();
  assert.equal(tier.stats.entries, 0);
  assert.ok(tier.budget.fits('layouts', 0));
  await collectGarbage();
  const alive = chunks.filter((chunk) => chunk.deref() !== undefined).length;
  const withPlaces = files.filter((file) => file.placesOf(0) !== undefined).length;
  const layouts = tier.budget.usedBytes('layouts');
  context.diagnostic(`${alive} of ${2 * FILES} chunks, ${withPlaces} of ${FILES} places, ${layouts} bytes are left`);
  assert.ok(alive < FILES, `${alive} of ${2 * FILES} chunks are alive`);
  assert.ok(withPlaces < FILES / 2, `${withPlaces} of ${FILES} files have places`);

  // One that forgot all is looked at again.
  tier.budget.release('metadata', rest);
  const again = files.find((file) => file.placesOf(0) === undefined);
  assert.ok(again !== undefined);
  look(again);
  await tier.settled();
  for (const [column, { page }] of columns.entries()) {
    const at = again.chunk(0, column).at(123, undefined);
    assert.deepEqual(at?.block.copy(), page.blocks[0]?.copy());
  }
  for (const file of files) file.release();
  assert.equal(tier.budget.usedBytes('metadata'), 0);
});
