/** A row that was kept for one snapshot and serves for another says which snapshot it answers for. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeOf } from '../support/one-node.ts';
import { parseMetrics, sampleValue } from '../support/prometheus.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

function write(folder: string, name: string, ids: readonly number[]): void {
  writeParquet(join(folder, name), [{ name: 'id', data: [...ids], type: 'INT32', nullable: false }]);
}

test('a kept row carries the snapshot and the tag of the snapshot that the request pinned', async (context) => {
  const folder = scratchFolder(context);
  write(folder, 'a.parquet', [1, 2, 3]);
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'] }]);
  const table = node.catalog.get('t');
  const first = await table.refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const { url } = server;
  const ask = async (headers: Record<string, string> = {}) => {
    const answer = await fetch(`${url}/v1/tables/t/rows/2`, { headers });
    const of = (name: string) => answer.headers.get(name) ?? '';
    return { status: answer.status, body: await answer.text(), snapshot: of('pointlake-snapshot'), etag: of('etag') };
  };
  const crossed = async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return sampleValue(parseMetrics(text), 'pointlake_row_cache_crossed_total');
  };
  for (let asked = 0; asked < 3; asked++) await ask();
  const before = await ask();
  assert.deepEqual([before.body, before.snapshot], ['{"id":2}', first.id]);
  assert.equal(await crossed(), 0);

  write(folder, 'b.parquet', [11, 12]);
  const second = await table.refresh();
  const after = await ask();
  assert.equal(await crossed(), 1, 'without a look at any block');
  assert.deepEqual([after.body, after.snapshot], ['{"id":2}', second.id]);
  assert.notEqual(after.etag, before.etag);
  assert.ok(after.etag.includes(second.id));
  assert.deepEqual(await ask({ 'pointlake-as-of': first.id }), before);
  assert.equal(await crossed(), 2, 'the other way too');
  assert.equal((await ask({ 'if-none-match': after.etag })).status, 304);
  assert.equal((await ask({ 'if-none-match': before.etag })).status, 200);
});
