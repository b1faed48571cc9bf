/** How old an answer may be, and answers of older snapshots: `pointlake-max-staleness-ms` and `pointlake-as-of`. */

import assert from 'node:assert/strict';
import { unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PointlakeNode } from '../../src/main.ts';
import { onSnapshot } from '../../src/server/pinned.ts';
import type { StoreProvider } from '../../src/storage/index.ts';
import { BrokenStorage } from '../support/broken-storage.ts';
import { IoTrace } from '../support/io-trace.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { expectProblem, post } from './fixture.ts';

const ROWS = 3000;

function write(folder: string, version: string, name = 'a'): void {
  const ids = Array.from({ length: ROWS }, (_, i) => i);
  const bytes = parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map((id) => `${version} of ${id}`), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes: 1024, codec: 'UNCOMPRESSED' },
  );
  writeFileSync(join(folder, `${name}.parquet`), bytes);
}

interface Lake {
  readonly folder: string;
  readonly clock: ManualClock;
  readonly storage: BrokenStorage;
  readonly trace: IoTrace;
  readonly node: PointlakeNode;
  readonly url: string;
}

async function start(
  context: TestContext,
  wrap: (stores: StoreProvider) => StoreProvider = (stores) => stores,
): Promise<Lake> {
  const folder = scratchFolder(context);
  const clock = new ManualClock();
  const storage = new BrokenStorage();
  const trace = new IoTrace();
  write(folder, 'v1');
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['id'] }], {
    clock,
    wrapStores: (stores: StoreProvider) => trace.wrap(storage.wrap(wrap(stores))),
  });
  await node.catalog.get('t').refresh();
  const server = await serve(node, {}, clock);
  context.after(() => server.close());
  return { folder, clock, storage, trace, node, url: `${server.url}/v1/tables/t` };
}

async function text(url: string, headers: Record<string, string>): Promise<string> {
  const answer = await fetch(url, { headers });
  const body = (await answer.json()) as { readonly text?: string; readonly code?: string };
  return answer.status === 200 ? String(body.text) : `${answer.status} ${body.code}`;
}

const atMost = (ms: number) => ({ 'pointlake-max-staleness-ms': String(ms) });

test('a snapshot that is young enough answers at once; an older one is confirmed first, or refused', async (context) => {
  const { folder, clock, storage, node, url } = await start(context);
  const { refreshes } = node.catalog.get('t');
  const row = `${url}/rows/5`;
  assert.equal(await text(row, {}), 'v1 of 5');
  clock.advance(60_000);
  write(folder, 'v2');
  assert.equal(await text(row, {}), 'v1 of 5', 'what is in memory answers as of the snapshot');
  assert.equal(await text(row, atMost(60_001)), 'v1 of 5');
  assert.equal(refreshes.begun, 1);
  assert.equal(await text(row, atMost(60_000)), 'v2 of 5');
  assert.equal(refreshes.begun, 2);
  write(folder, 'v3');
  assert.equal(await text(`${url}/rows/6`, atMost(0)), 'v3 of 6');
  const value = await fetch(`${url}/values/text/7`, { headers: atMost(0) });
  assert.equal(await value.text(), 'v3 of 7');
  assert.equal(value.headers.get('pointlake-snapshot-age'), '0');
  assert.equal(refreshes.begun, 4, '0 always lists');
  clock.advance(5000);
  storage.isDown = true;
  assert.equal(await text(row, atMost(6000)), 'v3 of 5');
  const stale = await expectProblem(row, 503, 'stale', { headers: atMost(5000) });
  assert.deepEqual([stale.age_ms, stale.max_staleness_ms], [5000, 5000]);
  assert.match(String(stale.detail), /nobody answers/);
  const body = JSON.stringify({ keys: [5] });
  assert.equal((await post(`${url}/lookup`, body, atMost(1000))).status, 503);
  storage.isDown = false;
  const batch = await post(`${url}/lookup`, body, atMost(1000));
  assert.match(await batch.text(), /v3 of 5/);
  for (const wrong of ['-1', '1.5', 'soon', '']) {
    await expectProblem(row, 400, 'bad_header', { headers: { 'pointlake-max-staleness-ms': wrong } });
  }
});

test('a listing that began before the request did is no news', async (context) => {
  const listed = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  let isHeld = false;
  const { folder, node, clock } = await start(context, (stores) => ({
    storeFor(source) {
      const inner = stores.storeFor(source);
      async function* list(prefix: string) {
        let objects = 0;
        for await (const object of inner.list(prefix)) {
          objects += 1;
          yield object;
        }
        // Listings that look for other table formats find nothing.
        if (!isHeld || objects === 0) return;
        isHeld = false;
        listed.resolve();
        await goOn.promise;
      }
      return {
        kind: inner.kind,
        cheapReads: inner.cheapReads,
        head: (key, options) => inner.head(key, options),
        getRange: (object, range, options) => inner.getRange(object, range, options),
        list,
        close: () => inner.close(),
      };
    },
  }));
  const table = node.catalog.get('t');
  isHeld = true;
  const earlier = table.refresh();
  await listed.promise;
  write(folder, 'v2');
  const time = { headers: atMost(0), clock, timeoutMs: 1000, signal: noDeadline };
  const answered = onSnapshot(table, undefined, time, async (snapshot) => snapshot.id);
  goOn.resolve();
  const old = await earlier;
  assert.notEqual(await answered, old.id);
  assert.equal(table.refreshes.begun, 3);
});

test('many requests that want it fresh share listings', async (context) => {
  const { url, node } = await start(context);
  const { refreshes } = node.catalog.get('t');
  const answers = await Promise.all(Array.from({ length: 50 }, (_, id) => text(`${url}/rows/${id}`, atMost(0))));
  assert.deepEqual(
    answers,
    Array.from({ length: 50 }, (_, id) => `v1 of ${id}`),
  );
  assert.ok(refreshes.begun < 40, `${refreshes.begun} listings`);
});

test('what settles is too old for whoever says how old it may be', async (context) => {
  const { folder, clock, node, url } = await start(context);
  write(folder, 'v1', 'b');
  await node.catalog.get('t').refresh();
  clock.advance(1000);
  unlinkSync(join(folder, 'b.parquet'));
  await node.catalog.get('t').refresh();
  assert.ok(node.catalog.get('t').held !== undefined);
  assert.equal(await text(`${url}/rows/5`, atMost(2000)), 'v1 of 5');
  const { begun } = node.catalog.get('t').refreshes;
  await expectProblem(`${url}/rows/5`, 503, 'stale', { headers: atMost(1000) });
  assert.equal(node.catalog.get('t').refreshes.begun, begun, 'it was listed just now');
  await expectProblem(`${url}/rows/5`, 503, 'stale', { headers: atMost(0) });
  assert.equal((await fetch(`${url}/rows/5`)).headers.get('pointlake-snapshot-age'), '1');
});

test('the last four snapshots answer as they were; others, and what is gone of them, are 410', async (context) => {
  const { folder, node, url, trace } = await start(context);
  const table = node.catalog.get('t');
  const ids = [table.current().id];
  assert.equal(await text(`${url}/rows/5`, {}), 'v1 of 5');
  for (const version of ['v2', 'v3', 'v4']) {
    write(folder, version);
    await table.refresh();
    assert.equal(await text(`${url}/rows/5`, {}), `${version} of 5`);
    ids.push(table.current().id);
  }
  const asOf = (i: number) => ({ 'pointlake-as-of': ids[i] ?? '' });
  for (const i of [0, 1, 2, 3]) {
    const answer = await fetch(`${url}/rows/5`, { headers: asOf(i) });
    assert.equal(answer.headers.get('pointlake-snapshot'), ids[i]);
    assert.match(await answer.text(), new RegExp(`"v${i + 1} of 5"`));
    const batch = await post(`${url}/lookup`, '{"keys":[5]}', asOf(i));
    assert.match(await batch.text(), new RegExp(`"v${i + 1} of 5"`));
  }
  const before = table.refreshes.begun;
  const gone = await expectProblem(`${url}/rows/2900`, 410, 'snapshot_gone', { headers: asOf(1) });
  assert.equal(gone.snapshot, ids[1]);
  const batch = await post(`${url}/lookup`, '{"keys":[5,2900]}', asOf(1));
  assert.equal(batch.status, 410, 'not one key of another snapshot');
  assert.equal(table.refreshes.begun, before, 'nothing newer is looked for');
  assert.equal(await text(`${url}/rows/2900`, asOf(3)), 'v4 of 2900');
  assert.ok(trace.gets.length > 0);
  write(folder, 'v5');
  await table.refresh();
  await expectProblem(`${url}/rows/5`, 410, 'snapshot_gone', { headers: asOf(0) });
  assert.equal(await text(`${url}/rows/5`, asOf(1)), 'v2 of 5');
  await expectProblem(`${url}/rows/5`, 410, 'snapshot_gone', { headers: { 'pointlake-as-of': 'nonsense' } });
  await expectProblem(`${url}/rows/5`, 400, 'bad_header', { headers: { ...asOf(3), ...atMost(5) } });
});

test('metadata of files that no kept snapshot has is given back', async (context) => {
  const { folder, node } = await start(context);
  const table = node.catalog.get('t');
  const used = () => node.tier.budget.usedBytes('metadata');
  const one = used();
  for (let version = 2; version < 12; version++) {
    write(folder, `v${version}`);
    await table.refresh();
    assert.ok(used() <= one * 4.5, `${used()} bytes after version ${version}, ${one} for one`);
  }
  assert.ok(used() > one * 3);
  node.forgetTable(table);
  assert.ok(used() < one);
  await assert.rejects(table.refresh(), { code: 'changed' });
});
