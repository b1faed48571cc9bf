/** The dictionary of a chunk whose code blocks left memory: at hand for the next ones, though nobody keeps it. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

test('a dictionary that was let go with the last code block is at hand until it is collected', async (context) => {
  const ids = Array.from({ length: 1000 }, (_, i) => i);
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
    { name: 'kind', data: ids.map((id) => `kind ${id % 7}`), type: 'STRING' },
  ]);
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const chunk = file.file.chunk(0, 1);
  assert.equal(chunk.dictionaryAtHand, undefined);
  const row = async () =>
    (await node.engine.row(snapshot, keyOf(snapshot, '15'), snapshot.projection(['kind']), noDeadline)).json;
  assert.equal(await row(), '{"kind":"kind 1"}');
  await node.tier.settled();
  const { dictionary } = chunk;
  assert.ok(dictionary !== undefined);
  assert.equal(chunk.dictionaryAtHand, dictionary);

  const { budget } = node.tier;
  const others = budget.totalBytes - budget.usedBytes('metadata');
  budget.charge('replies', others);
  node.tier.trim();
  await node.tier.settled();
  assert.equal(chunk.dictionary, undefined);
  assert.equal(chunk.dictionaryAtHand, dictionary, 'nothing was collected in this turn');
  budget.release('replies', others);
  assert.equal(await row(), '{"kind":"kind 1"}');
});
