/** Key indexes on disk, over HTTP: which tier an answer came from, and what metrics and the table's status tell of it. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { nodeOf } from '../support/one-node.ts';
import { parseMetrics } from '../support/prometheus.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { post } from './fixture.ts';

const ROWS = 20_000;
/** An eighth is for key indexes: some pages of the 45 that the index has. */
const CACHE_BYTES = 600_000;

test('an answer that needed a page of the index from disk says so, once', async (context) => {
  const keys = Array.from({ length: ROWS }, (_, i) => ((i * 7919) % ROWS) * 2);
  const source = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'k', data: keys, type: 'INT32', nullable: false },
    { name: 'v', data: keys.map((key) => `value ${key}`), type: 'STRING' },
  ]);
  const node = nodeOf(context, [{ name: 't', source, key: ['k'], options: { index: 'hash' } }], {
    cacheMemoryBytes: CACHE_BYTES,
    disk: { path: scratchFolder(context), sizeBytes: 64 * 2 ** 20 },
  });
  const table = node.catalog.get('t');
  await table.refresh();
  const indexing = node.indexings(table)[0];
  await indexing?.idle();
  assert.ok((indexing?.status.runsOnDisk ?? 0) > 0, 'the index does not fit in memory');
  const server = await serve(node);
  context.after(() => server.close());
  const url = `${server.url}/v1/tables/t`;
  const tierOf = async (path: string) => (await fetch(`${url}/${path}`)).headers.get('pointlake-cache');
  const receiptOf = async (path: string) => {
    const { headers } = await fetch(`${url}/${path}`, { headers: { 'pointlake-explain': '1' } });
    return { tier: headers.get('pointlake-cache'), receipt: JSON.parse(headers.get('pointlake-receipt') ?? '{}') };
  };
  const pagesRead = () => indexing?.status.pagesRead ?? 0;

  // Keys that are not there need the index alone.
  assert.equal(await tierOf('rows/20001'), 'disk');
  assert.equal(await tierOf('rows/20001'), 'memory');
  assert.equal(await tierOf('values/v/20003'), 'disk');
  assert.equal(await tierOf('values/v/20003'), 'memory');
  const cold = await receiptOf('rows/20005');
  assert.deepEqual([cold.tier, cold.receipt.index_pages], ['disk', { disk: 1 }]);
  const warm = await receiptOf('rows/20005');
  assert.deepEqual([warm.tier, warm.receipt.index_pages], ['memory', undefined]);
  const batch = async (body: string) => (await post(`${url}/lookup`, body)).headers.get('pointlake-cache');
  assert.equal(await batch('{"keys":[20007]}'), 'disk');
  assert.equal(await batch('{"keys":[20007]}'), 'memory');
  // Or a row whose pages are in memory: that of another key is read first, since all lie in few pages.
  await fetch(`${url}/rows/0`);
  const before = pagesRead();
  const tier = await tierOf(`rows/${keys[1]}`);
  if (tier !== 'origin') assert.equal(tier, pagesRead() > before ? 'disk' : 'memory');

  const families = parseMetrics(await (await fetch(`${server.url}/metrics`)).text());
  const value = (name: string, place?: string) =>
    families.get(name)?.samples.find(({ labels }) => labels.table === 't' && labels.place === place)?.value;
  assert.equal(value('pointlake_key_index_page_reads_total'), pagesRead());
  assert.equal(value('pointlake_key_index_page_hits_total'), indexing?.status.pagesHit);
  assert.equal(value('pointlake_key_index_keys'), ROWS);
  assert.equal(value('pointlake_key_index_bytes', 'disk'), indexing?.status.bytesOnDisk);
  assert.equal(value('pointlake_key_index_building'), 0);
  assert.equal(value('pointlake_key_index_rows_to_build'), 0);
  const { index } = (await (await fetch(url)).json()) as { index: Record<string, number> };
  assert.deepEqual(
    [index.keys, index.pages_read, index.runs_on_disk],
    [ROWS, pagesRead(), indexing?.status.runsOnDisk],
  );
});
