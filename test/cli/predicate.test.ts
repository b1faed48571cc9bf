/** Predicates over a table whose files have several types. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { rowsThatMatch, ScanPredicate } from '../../src/cli/predicate.ts';
import { scan } from '../../src/shard/index.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

test('a predicate compares by the type of the table', async (context) => {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [{ name: 'n', type: 'INT32', data: [1, 5, null], nullable: true }]);
  writeParquet(join(folder, 'b.parquet'), [{ name: 'n', type: 'INT64', data: [2n ** 40n, 3n] }]);
  writeParquet(join(folder, 'c.parquet'), [{ name: 'other', type: 'INT64', data: [1n] }]);
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['n'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  const matches = async (predicate: string) => {
    const wanted = new ScanPredicate(snapshot, [predicate]);
    const rows: string[] = [];
    for await (const stretch of scan(node.loader, snapshot, wanted.columns, noDeadline)) {
      const name = stretch.file.file.object.key.slice(-9, -8);
      for (const row of rowsThatMatch(stretch, wanted, 0)) rows.push(`${name}${row}`);
    }
    return rows.join(' ');
  };
  assert.equal(await matches('n>=3'), 'a1 b0 b1');
  assert.equal(await matches('n<1099511627776'), 'a0 a1 b1');
  assert.equal(await matches('n=5'), 'a1');
  assert.equal(await matches('{"column":"n","op":"is_null"}'), 'a2 c0');
  assert.equal(await matches('{"not":{"column":"n","op":"in","value":[1,3]}}'), 'a1 b0');
  assert.equal(await matches('n!=1099511627776'), 'a0 a1 b1');
});
