/**
 * S3 itself is away: a restart over a warm disk serves what is there, right, and the rest is 503 and never absent; and a
 * partition that is gone from a bucket for ten minutes is never taken for one that never was.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Asker } from '../support/ask.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const ROWS = 20_000;

const textOf = (version: string, id: number) => `${version} of ${id} ${Math.sin(id)}`;

function rowsOf(from: number, version: string): Buffer {
  const ids = Array.from({ length: ROWS }, (_, i) => from + i);
  return parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map((id) => textOf(version, id)), type: 'STRING', encoding: 'PLAIN' },
    ],
    { codec: 'UNCOMPRESSED' },
  );
}

const settingsOf = (s3: FaultyS3) => ({
  endpoint: s3.endpoint,
  credentials: { accessKeyId: 't', secretAccessKey: 's' },
});

async function askerOf(context: TestContext, node: ReturnType<typeof nodeOf>, clock?: ManualClock) {
  const server = await serve(node, {}, ...(clock === undefined ? [] : [clock]));
  const asker = new Asker(server.url);
  const close = async () => {
    asker.close();
    await server.close();
  };
  context.after(close);
  return { asker, close };
}

test('a restart while S3 is down serves from disk what was read before, and nothing becomes absent', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop().catch(() => undefined));
  s3.put('lake', 't/a.parquet', rowsOf(0, 'v1'));
  const tables = [{ name: 't', source: 's3://lake/t/', key: ['id'] }];
  const disk = { path: join(scratchFolder(context), 'cache'), sizeBytes: 2 ** 26 };
  const options = { s3: settingsOf(s3), disk };
  const first = nodeOf(context, tables, options);
  await first.catalog.get('t').refresh();
  const before = await askerOf(context, first);
  const asked = Array.from({ length: 200 }, (_, i) => (i * 53) % (ROWS / 2));
  for (const id of asked) assert.equal((await before.asker.ask(`/v1/tables/t/rows/${id}`)).status, 200);
  await before.close();
  await first.close();
  await s3.stop();

  const second = nodeOf(context, tables, options);
  await assert.rejects(second.catalog.get('t').refresh(), { kind: 'unavailable' });
  const { asker } = await askerOf(context, second);
  assert.equal((await asker.ask('/readyz')).status, 200);
  for (const id of asked) {
    const { status, text } = await asker.ask(`/v1/tables/t/rows/${id}`);
    assert.equal(status, 200, text);
    assert.deepEqual(JSON.parse(text), { id, text: textOf('v1', id) });
  }
  assert.equal((await asker.ask(`/v1/tables/t/rows/${ROWS}`)).status, 404, 'out of all bounds, which are on disk');
  const unread = await asker.ask(`/v1/tables/t/rows/${ROWS - 5}`);
  assert.equal(unread.status, 503, unread.text);
});

test('a partition of a bucket is deleted, gone for ten minutes, and written anew: its keys are never 404', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  const key = (dt: number, name = 'a') => `t/dt=${dt}/${name}.parquet`;
  for (let dt = 0; dt < 10; dt++) s3.put('lake', key(dt), rowsOf(dt * ROWS, 'v1'));
  const clock = new ManualClock();
  const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], { s3: settingsOf(s3), clock });
  const table = node.catalog.get('t');
  await table.refresh();
  const { asker } = await askerOf(context, node, clock);
  const counts = new Map<string, number>();
  const askAll = async () => {
    for (let id = 3 * ROWS; id < 4 * ROWS; id += 499) {
      const { status, text } = await asker.ask(`/v1/tables/t/rows/${id}`);
      const answer = JSON.parse(text) as { readonly text?: string; readonly code?: string };
      const version = answer.text?.slice(0, 2) ?? '';
      if (status === 200) assert.equal(answer.text, textOf(version, id));
      const what = status === 200 ? version : `${status} ${answer.code}`;
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
  };
  for (let id = 3 * ROWS; id < 3 * ROWS + 4000; id += 499) await asker.ask(`/v1/tables/t/rows/${id}`);
  s3.delete('lake', key(3));
  for (let minute = 0; minute <= 10; minute++) {
    // Before the listing that misses it too: its objects answer 404, which is no proof of absence.
    await askAll();
    await table.refresh();
    clock.advance(60_000);
  }
  assert.deepEqual([...counts.keys()].sort(), ['503 snapshot_changing', 'v1'], JSON.stringify([...counts]));
  counts.clear();
  s3.put('lake', key(3, 'b'), rowsOf(3 * ROWS, 'v2'));
  await askAll();
  await table.refresh();
  assert.ok([...counts.keys()].every((what) => ['503 snapshot_changing', 'v1', 'v2'].includes(what)));
  counts.clear();
  await askAll();
  assert.deepEqual([...counts.keys()], ['v2']);
  context.diagnostic(JSON.stringify([...counts]));
});
