/** Two tables on two buckets of one S3 server: whatever befalls the one, the other serves as if nothing were. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Asker } from '../support/ask.ts';
import { type Fault, FaultyS3 } from '../support/faulty-s3.ts';
import { nodeOf } from '../support/one-node.ts';
import { parquetBytes } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const ROWS = 40_000;
const HUNG_LOOKUPS = 2500;
const textOf = (id: number) => `text of ${id} ${'.'.repeat(60)}`;

async function start(context: TestContext, requestTimeoutMs?: number) {
  const s3 = await FaultyS3.start({ buckets: ['good', 'bad'] });
  context.after(() => s3.stop());
  const ids = Array.from({ length: ROWS }, (_, id) => id);
  const bytes = parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map(textOf), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes: 2048, codec: 'UNCOMPRESSED' },
  );
  for (const bucket of ['good', 'bad']) s3.put(bucket, 't/a.parquet', bytes);
  const tables = ['good', 'bad'].map((name) => ({ name, source: `s3://${name}/t/`, key: ['id'] }));
  const s3Settings = {
    endpoint: s3.endpoint,
    requestTimeoutMs,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  };
  const node = nodeOf(context, tables, { s3: s3Settings, cacheMemoryBytes: 32 * 2 ** 20 });
  for (const table of node.catalog.tables()) await table.refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const asker = new Asker(server.url, 4096);
  context.after(() => asker.close());
  return { s3, asker };
}

/** Cold lookups, each of pages of its own, and each answered right. */
async function goodLookups(asker: Asker, count: number, first: number): Promise<void> {
  const lanes = Array.from({ length: 8 }, async (_, lane) => {
    for (let i = lane; i < count; i += 8) {
      const id = (first + i * 211) % ROWS;
      const answer = await asker.ask(`/v1/tables/good/rows/${id}`);
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.text, JSON.stringify({ id, text: textOf(id) }));
    }
  });
  await Promise.all(lanes);
}

test('while every read of one bucket hangs, cold lookups of the other are answered, and before any of the first', async (context) => {
  const { s3, asker } = await start(context);
  s3.faultOf = ({ bucket, op }) => (bucket === 'bad' && op === 'get' ? { kind: 'hang' } : undefined);
  const leaving = new AbortController();
  const statuses: number[] = [];
  const hung = Array.from({ length: HUNG_LOOKUPS }, (_, i) =>
    asker.ask(`/v1/tables/bad/rows/${(i * 13) % ROWS}`, { signal: leaving.signal }).then(
      ({ status, headers }) => {
        statuses.push(status);
        if (status === 429) assert.ok(Number(headers['retry-after']) > 0);
      },
      () => undefined,
    ),
  );
  // More hang than may run and wait: those past the bounds are told to come back.
  while (statuses.length < HUNG_LOOKUPS / 4) await new Promise((next) => setImmediate(next));
  await goodLookups(asker, 400, 3);
  assert.deepEqual(new Set(statuses), new Set([429]), 'nothing of the bucket that hangs was answered meanwhile');
  leaving.abort();
  await Promise.all(hung);
  s3.reset();
  // Its clients have left, and as soon as the server has seen that there is room again.
  let answer = await asker.ask('/v1/tables/bad/rows/77');
  while (answer.status === 429) answer = await asker.ask('/v1/tables/bad/rows/77');
  assert.equal(answer.text, JSON.stringify({ id: 77, text: textOf(77) }));
});

const FAULTS: readonly Fault[] = [
  { kind: 'status', status: 503, code: 'SlowDown' },
  { kind: 'status', status: 500, code: 'InternalError' },
  { kind: 'status', status: 403, code: 'AccessDenied' },
  { kind: 'resetBeforeAnswer' },
  { kind: 'resetMidBody' },
  { kind: 'shortBody' },
  { kind: 'overlongBody' },
  { kind: 'wrongContentLength' },
  { kind: 'wrongContentRange', contentRange: 'bytes 0-9/10' },
  { kind: 'wholeBody' },
  { kind: 'hangMidBody' },
  { kind: 'noETag' },
  { kind: 'delay', ms: 300 },
];

test('every fault of one bucket, at once and mixed: it says 503 or 504, and the other serves', async (context) => {
  const { s3, asker } = await start(context, 1000);
  let met = 0;
  s3.faultOf = ({ bucket, op }) => (bucket === 'bad' && op === 'get' ? FAULTS[met++ % FAULTS.length] : undefined);
  const outcomes = new Map<number, number>();
  const bad = Array.from({ length: 60 }, async (_, i) => {
    const id = (i * 601) % ROWS;
    const headers = { 'pointlake-timeout-ms': '1500' };
    const answer = await asker.ask(`/v1/tables/bad/rows/${id}`, { headers });
    outcomes.set(answer.status, (outcomes.get(answer.status) ?? 0) + 1);
    if (answer.status === 200) assert.equal(answer.text, JSON.stringify({ id, text: textOf(id) }));
    else assert.ok([503, 504].includes(answer.status), answer.text);
  });
  await goodLookups(asker, 150, 5);
  await Promise.all(bad);
  context.diagnostic(`${met} faults met; statuses of the bad bucket: ${JSON.stringify([...outcomes])}`);
  assert.ok(met > 60);
  // What was on its way to the store when the last request ended comes within some turns; a retry would come later than that.
  for (let turn = 0; turn < 50; turn++) await new Promise((next) => setImmediate(next));
  const sent = s3.requests.length;
  await goodLookups(asker, 20, 7);
  const late = s3.requests.slice(sent).filter(({ bucket }) => bucket === 'bad');
  assert.deepEqual(late, [], 'nothing goes on for requests that were answered');
  s3.reset();
  for (let id = 9; id < ROWS; id += 4001) {
    assert.equal((await asker.ask(`/v1/tables/bad/rows/${id}`)).text, JSON.stringify({ id, text: textOf(id) }));
  }
});
