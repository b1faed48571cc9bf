/** Files that are no Parquet appear among good ones under load, and decode threads die: the good rows go on serving. */

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RowCache } from '../../src/cache/index.ts';
import { DecodePool, LookupEngine, PageLoader } from '../../src/shard/index.ts';
import { Asker } from '../support/ask.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { askSteady, ROWS, rowOf, steadyBytes } from './steady-table.ts';

/** By what is wrong with it. */
function brokenFiles(good: Buffer): readonly (readonly [string, Buffer])[] {
  const longFooter = Buffer.from(good);
  longFooter.writeUInt32LE(0x7fffffff, good.length - 8);
  const noFooter = Buffer.from(good);
  noFooter.fill(0xff, good.length - 3000, good.length - 8);
  return [
    ['text', Buffer.from('this is a table of text, and long enough to hold a footer')],
    ['only the magic', Buffer.from('PAR1')],
    ['two magics', Buffer.from('PAR1PAR1')],
    ['a file cut short', good.subarray(0, good.length >> 1)],
    ['a file without its head', good.subarray(good.length >> 1)],
    ['a footer longer than the file', longFooter],
    ['a footer of nonsense', noFooter],
    ['zeros', Buffer.alloc(100_000)],
  ];
}

test('broken files come and go: what is there is found, what is not is not_covered and never absent', async (context) => {
  const folder = scratchFolder(context);
  const files = join(folder, 'files');
  mkdirSync(files);
  const good = steadyBytes();
  writeFileSync(join(files, 'b-good.parquet'), good);
  const node = nodeOf(context, [{ name: 't', source: `${files}/`, key: ['id'] }], { cacheMemoryBytes: 2 ** 21 });
  await node.catalog.get('t').refresh();
  const server = await serve(node);
  const asker = new Asker(server.url);
  const over = new AbortController();
  let asked = 0;
  const reader = async (lane: number) => {
    for (let i = lane; !over.signal.aborted; i += 4) {
      const id = ((i * 7919) % ROWS) * 2;
      const { status, text } = await asker.ask(`/v1/tables/t/rows/${id}`);
      assert.equal(text, JSON.stringify(rowOf(id)), `${id}: ${status}`);
      asked += 1;
    }
  };
  const readers = Promise.all([0, 1, 2, 3].map(reader));
  const absent = async () => (await asker.ask('/v1/tables/t/rows/7777')).status;
  try {
    for (const [name, bytes] of brokenFiles(good)) {
      for (const at of ['a-broken', 'c-broken']) {
        writeFileSync(join(folder, 'aside'), bytes);
        renameSync(join(folder, 'aside'), join(files, `${at}.parquet`));
        await node.catalog.get('t').refresh();
        const { status, text } = await asker.ask('/v1/tables/t/rows/7777');
        assert.deepEqual([status, JSON.parse(text).code], [503, 'not_covered'], `${name}: ${text}`);
        rmSync(join(files, `${at}.parquet`));
        await node.catalog.get('t').refresh();
        assert.equal(await absent(), 404, name);
      }
    }
  } finally {
    over.abort();
    await readers;
    asker.close();
    await server.close();
  }
  context.diagnostic(`${asked} rows right meanwhile`);
  assert.ok(asked > 50);
});

test('decode threads die under load: their pages are decoded by others', async (context) => {
  const folder = scratchFolder(context);
  writeFileSync(join(folder, 't.parquet'), steadyBytes({ pageBytes: 2 ** 24, rowsPerRowGroup: 2000 }));
  const deaths = join(folder, 'deaths');
  writeFileSync(deaths, '0');
  process.env.DEATHS_FILE = deaths;
  const worker = new URL('../shard/dying-worker.ts', import.meta.url);
  const pool = new DecodePool({ inlineCostUsMax: 0, threads: 2, worker });
  context.after(() => pool.close());
  const node = nodeOf(context, [{ name: 't', source: join(folder, 't.parquet'), key: ['id'] }], {
    cacheMemoryBytes: 2 ** 20,
  });
  await node.catalog.get('t').refresh();
  const loader = new PageLoader(pool);
  const server = await serve({ ...node, pool, loader, engine: new LookupEngine(loader, new RowCache(0)) });
  const asker = new Asker(server.url);
  try {
    let killed = 0;
    // A page whose thread died is over once every reader has had an answer since: the next must not die on its second try.
    const answered = new Set<number>();
    const reader = async (lane: number) => {
      for (let i = 0; i < 150; i++) {
        await askSteady(asker, 't', (lane * 150 + i) * 7919);
        if (readFileSync(deaths, 'utf8') === '0') answered.add(lane);
        if (answered.size < 4) continue;
        writeFileSync(deaths, '1');
        answered.clear();
        killed += 1;
      }
    };
    await Promise.all([0, 1, 2, 3].map(reader));
    assert.ok(killed >= 5 && pool.stats.pooled > 100, `${killed} deaths, ${pool.stats.pooled} pages`);
  } finally {
    asker.close();
    await server.close();
  }
});
