/** Far more than can be served: what is in memory is answered, what does not fit is told when to come back, nothing piles up. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Asker } from '../support/ask.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { nodeOf } from '../support/one-node.ts';
import { serve } from '../support/served.ts';
import { ROWS, rowOf, steadyBytes } from './steady-table.ts';

const CONNECTIONS = 5000;
const MIB = 2 ** 20;
/** However long a busy machine takes for thousands of connections, no lookup that waits is answered because of its time. */
const LONG_MS = 600_000;
/** Resident memory that thousands of connections, on both sides of them, may take here. */
const GROWTH_BYTES_MAX = 600 * MIB;

test('5,000 connections while storage hangs: 429 with a time to come back, hot rows answered, memory bounded', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', steadyBytes());
  const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
  const settings = { endpoint: s3.endpoint, credentials, requestTimeoutMs: LONG_MS };
  const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], { s3: settings });
  await node.catalog.get('t').refresh();
  const server = await serve(node, { deadlineMs: LONG_MS });
  context.after(() => server.close());
  const hot = new Asker(server.url, 8);
  const crowd = new Asker(server.url, CONNECTIONS);
  context.after(() => {
    hot.close();
    crowd.close();
  });
  const hotRow = async () => assert.equal((await hot.ask('/v1/tables/t/rows/10')).text, JSON.stringify(rowOf(10)));
  await hotRow();
  const before = process.memoryUsage.rss();
  s3.faultOf = ({ op }) => (op === 'get' ? { kind: 'hang' } : undefined);
  const leaving = new AbortController();
  const statuses = new Map<number, number>();
  const asked = Array.from({ length: CONNECTIONS }, async (_, i) => {
    const id = 5000 + ((i * 2 * 7) % (ROWS * 2 - 5000));
    const { status, headers, text } = await crowd.ask(`/v1/tables/t/rows/${id}`, { signal: leaving.signal });
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    assert.deepEqual([status, (JSON.parse(text) as { code: string }).code], [429, 'overloaded'], text);
    assert.ok(Number(headers['retry-after']) > 0);
  }).map((answer) => answer.catch((thrown) => assert.ok(leaving.signal.aborted, thrown)));
  // A lookup waits for its turn or runs, or is refused: all have come to one of these.
  const { running, queued } = await settled(node.engine, () => statuses.get(429) ?? 0);
  for (let i = 0; i < 200; i++) await hotRow();
  const grown = process.memoryUsage.rss() - before;
  context.diagnostic(
    `${running} run, ${queued} wait, ${statuses.get(429)} were refused; ${(grown / MIB).toFixed(0)} MiB more resident`,
  );
  assert.equal(running + queued + (statuses.get(429) ?? 0), CONNECTIONS);
  assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more`);
  leaving.abort();
  await Promise.all(asked);
  s3.reset();
  let answer = await hot.ask('/v1/tables/t/rows/30000');
  while (answer.status === 429) answer = await hot.ask('/v1/tables/t/rows/30000');
  assert.equal(answer.text, JSON.stringify(rowOf(30_000)));
});

async function settled(
  engine: { readonly waiting: { readonly running: number; readonly queued: number } },
  refused: () => number,
): Promise<{ readonly running: number; readonly queued: number }> {
  for (;;) {
    const { running, queued } = engine.waiting;
    if (running + queued + refused() >= CONNECTIONS) return { running, queued };
    await new Promise((next) => setImmediate(next));
  }
}
