/** After any operations the budget says what its owners hold, as a walk over all of them counts it again. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Budget, MemoryQuota, MemoryTier } from '../../src/cache/index.ts';
import { Pins } from '../../src/table/index.ts';
import { TableFile } from '../../src/table/table-file.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const MIB = 2 ** 20;
/** A header of 32 bytes before each block, in units of 64. */
const entryBytes = (blockBytes: number) => Math.ceil((32 + blockBytes) / 64) * 64;
const STEPS = 12_000;
const FILES_MAX = 600;
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`FUZZ_SEED=${seed}`);

test('random files, layouts, blocks, pressure and releases: the budget is the sum of what is held', async (context) => {
  const ids = Array.from({ length: 200 }, (_, row) => row);
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: ids, type: 'INT32', nullable: false },
    { name: 'text', data: ids.map((id) => `text ${id}`), type: 'STRING' },
    { name: 'kind', data: ids.map((id) => `kind ${id % 7}`), type: 'STRING', encoding: 'RLE_DICTIONARY' },
    { name: 'large', data: ids.map((id) => `${id}`.repeat(400)), type: 'STRING', encoding: 'PLAIN' },
  ]);
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  await node.engine.row(snapshot, keyOf(snapshot, '0'), snapshot.projection(undefined), noDeadline);
  const [first] = snapshot.files;
  assert.ok(first?.kind === 'readable');
  const { store, object, index } = first.file;
  const columns = index.schema.leaves.map(({ ordinal }) => {
    const chunk = first.file.chunk(0, ordinal);
    const block = chunk.at(0, undefined)?.block.copy();
    assert.ok(chunk.layout !== undefined && block !== undefined);
    return { layout: chunk.layout, block, rows: chunk.layout.locations.rowEnd(0) };
  });
  const tier = new MemoryTier(new Budget(6 * MIB));
  const { budget } = tier;
  const kinds = columns.map(({ block }) => [block.kind, block.byteLength > tier.slabBlockBytesMax] as const);
  assert.ok(kinds.some(([kind]) => kind === 'CODES') && kinds.some(([, isOutside]) => isOutside));

  let state = seed;
  const next = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const quotas = [new MemoryQuota(), new MemoryQuota(MIB)];
  const files: TableFile[] = [];
  const released: TableFile[] = [];
  let pressure = 0;
  const heldIn = (file: TableFile) => {
    const places = file.placesOf(0);
    let [entries, bytes] = [0, 0];
    for (const [column, { block }] of columns.entries()) {
      if (places === undefined || places.locationAt(places.slotOf(column, 0, 0)) === 0) continue;
      const isOutside = block.byteLength > tier.slabBlockBytesMax;
      entries += 1;
      bytes += isOutside ? entryBytes(0) + block.views.buffer.byteLength : entryBytes(block.byteLength);
      bytes += block.dictionary?.byteLength ?? 0;
    }
    assert.equal(places?.residents ?? 0, entries);
    return { entries, bytes };
  };
  const check = () => {
    const footers = files.length * index.byteSize;
    assert.equal(budget.usedBytes('metadata') - budget.usedBytes('layouts'), footers + pressure);
    const layouts = files.reduce((sum, file) => sum + file.chargedBytes(), 0);
    assert.equal(budget.usedBytes('layouts'), layouts, `layouts of ${files.length} files`);
    const held = [...files, ...released].map(heldIn);
    const bytes = held.reduce((sum, file) => sum + file.bytes, 0);
    assert.deepEqual(
      { entries: tier.stats.entries, bytes: tier.stats.bytes },
      { entries: held.reduce((sum, file) => sum + file.entries, 0), bytes },
    );
    assert.equal(
      quotas.reduce((sum, quota) => sum + quota.usedBytes, 0),
      bytes,
      'tables hold what the tier holds',
    );
    assert.ok(quotas.every((quota) => !quota.isOver));
    assert.ok(budget.usedBytes('blocks') >= bytes, 'slabs are charged whole');
    const all = budget.usedBytes('metadata') + budget.usedBytes('blocks');
    assert.ok(all <= budget.totalBytes, `${all} of ${budget.totalBytes}`);
  };

  for (let step = 0; step < STEPS; step++) {
    const file = files[next(files.length)];
    const column = next(columns.length);
    const { layout, block, rows } = columns[column] ?? assert.fail();
    const chunk = () => (file ?? assert.fail()).chunk(0, column);
    const kind = next(20);
    if (file === undefined || (kind < 2 && files.length < FILES_MAX)) {
      files.push(new TableFile(store, object, index, ['id'], tier, quotas[next(2)] ?? assert.fail()));
    } else if (kind === 2 && next(6) === 0) {
      file.release();
      files.splice(files.indexOf(file), 1);
      released.push(file);
    } else if (kind === 3) {
      const change = next(MIB) - pressure;
      if (change > 0) budget.charge('metadata', change);
      else budget.release('metadata', -change);
      pressure += change;
      tier.trim();
    } else if (kind < 6) {
      if (chunk().layout !== undefined) chunk().holdLearned(new Pins());
    } else if (kind < 8) chunk().learnBloomFilter('none');
    else if (kind < 10) chunk().at(0, undefined);
    else {
      chunk().learn(layout);
      void chunk().admit(0, { firstRow: 0, rows, shift: 31, blocks: [block.copy()] }, layout.locations);
    }
    if (next(8) > 0) continue;
    await tier.settled();
    if (next(4) === 0) await nextTurn();
    check();
  }
  await tier.settled();
  check();
  const { admitted, evicted } = tier.stats;
  context.diagnostic(
    `${admitted} blocks admitted, ${evicted} evicted, ${tier.learned.evicted} times something forgotten`,
  );
  assert.ok(evicted > 100 && tier.learned.evicted > 0);

  budget.release('metadata', pressure);
  for (const file of files) file.release();
  budget.charge('metadata', budget.totalBytes);
  tier.trim();
  await tier.settled();
  assert.deepEqual([tier.stats.entries, tier.stats.bytes, budget.usedBytes('blocks')], [0, 0, 0]);
  assert.equal(budget.usedBytes('metadata'), budget.totalBytes, 'nothing is charged but what was asked for here');
});
