import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const columnsOf = (first: number) => [
  { name: 'id', data: Array.from({ length: 1000 }, (_, row) => first + row), type: 'INT32' as const, nullable: false },
  { name: 'text', data: Array.from({ length: 1000 }, (_, row) => `text ${first + row}`), type: 'STRING' as const },
];

test('footers that take more than their share are refused, and the snapshot before serves on', async (context) => {
  const folder = join(scratchFolder(context), 't');
  mkdirSync(folder);
  writeParquet(join(folder, 'a.parquet'), columnsOf(0));
  const node = nodeOf(context, [{ name: 't', source: folder, key: ['id'] }]);
  const table = node.catalog.get('t');
  const { budget } = node.tier;
  const others = budget.limitBytes('metadata') - 100;
  budget.charge('metadata', others);
  await assert.rejects(table.refresh(), ({ kind, code, message, context: { neededBytes, limitBytes } }) => {
    assert.deepEqual([kind, code], ['unavailable', 'metadata_too_large']);
    assert.match(message, /`cache\.memory`/);
    return neededBytes > limitBytes && limitBytes === budget.limitBytes('metadata');
  });
  assert.throws(() => table.current(), { code: 'metadata_too_large' });
  assert.equal(budget.usedBytes('metadata'), others, 'nothing of the refused snapshot stays charged');

  budget.release('metadata', others);
  const snapshot = await table.refresh();
  budget.charge('metadata', others - budget.usedBytes('metadata'));
  writeParquet(join(folder, 'b.parquet'), columnsOf(1000));
  await assert.rejects(table.refresh(), { code: 'metadata_too_large' });
  assert.equal(table.current(), snapshot);
  const row = await node.engine.row(snapshot, keyOf(snapshot, '7'), snapshot.projection(undefined), noDeadline);
  assert.equal(row.json, '{"id":7,"text":"text 7"}');
});

test('the blocks of a dictionary column charge it once, and the last of them frees it', async (context) => {
  const path = join(scratchFolder(context), 't.parquet');
  const ids = Array.from({ length: 40_000 }, (_, row) => row);
  const kinds = ids.map((row) => `kind ${row % 50} ${'x'.repeat(100)}`);
  writeParquet(path, [
    { name: 'id', data: ids, type: 'INT32', nullable: false },
    { name: 'kind', data: kinds, type: 'STRING', nullable: false, encoding: 'RLE_DICTIONARY' },
  ]);
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['kind']);
  for (const row of [0, 20_000, 39_999]) {
    const { json } = await node.engine.row(snapshot, keyOf(snapshot, `${row}`), projection, noDeadline);
    assert.equal(json, JSON.stringify({ kind: kinds[row] }));
  }
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const leaf = file.file.index.schema.leaves.find(({ name }) => name === 'kind');
  const chunks = Array.from({ length: file.file.index.rowGroups }, (_, i) => file.file.chunk(i, leaf?.ordinal ?? -1));
  const withDictionary = chunks.filter((chunk) => chunk.dictionary !== undefined);
  assert.ok(withDictionary.length > 0);
  const { stats, budget } = node.tier;
  assert.ok(stats.bytes > withDictionary.reduce((sum, chunk) => sum + (chunk.dictionary?.byteLength ?? 0), 0));
  budget.charge('metadata', budget.totalBytes);
  node.tier.trim();
  await node.tier.settled();
  assert.ok(chunks.every((chunk) => chunk.dictionary === undefined));
  assert.deepEqual([node.tier.stats.entries, node.tier.stats.bytes, budget.usedBytes('blocks')], [0, 0, 0]);
  budget.release('metadata', budget.totalBytes);
  // Blocks that were admitted again after all of that answer as before.
  const again = await node.engine.row(snapshot, keyOf(snapshot, '123'), projection, noDeadline);
  assert.equal(again.json, JSON.stringify({ kind: kinds[123] }));
});

test('a released file gives back what was charged for it, and admits nothing more', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columnsOf(0));
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  const lookUp = (id: string) =>
    node.engine.row(snapshot, keyOf(snapshot, id), snapshot.projection(undefined), noDeadline);
  await lookUp('7');
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  assert.equal(node.tier.budget.usedBytes('metadata'), file.file.metadataBytes);
  const { admitted } = node.tier.stats;
  assert.ok(admitted > 0);
  file.file.release();
  file.file.release();
  assert.equal(node.tier.budget.usedBytes('metadata'), 0);
  // A request that still has the snapshot is answered, and leaves nothing behind.
  assert.equal((await lookUp('999')).json, '{"id":999,"text":"text 999"}');
  assert.deepEqual([node.tier.budget.usedBytes('metadata'), node.tier.stats.admitted], [0, admitted]);
});
