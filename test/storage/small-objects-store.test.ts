/** Small objects are read once and whole; what that must not do is mix versions, hold without bound, or keep a GET that nobody wants. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { HeldObjects, S3Connection, S3Store, SMALL_OBJECT_BYTES, SmallObjectsStore } from '../../src/storage/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { pattern, rejectsWith } from './object-store.contract.ts';

async function start(context: TestContext) {
  const s3 = await FaultyS3.start();
  const connection = new S3Connection({
    endpoint: s3.endpoint,
    credentials: { accessKeyId: 't', secretAccessKey: 's' },
  });
  context.after(async () => {
    await connection.close();
    await s3.stop();
  });
  const clock = new ManualClock();
  const store = new SmallObjectsStore(new S3Store(connection, 'lake'), 'lake', new HeldObjects(8 << 20, clock));
  const put = (key: string, bytes: Uint8Array) => {
    s3.put('lake', key, bytes);
    return store.head(key);
  };
  const gets = () => s3.requests.filter(({ op }) => op === 'get').map(({ range }) => range);
  return { s3, store, put, gets, clock };
}

describe('small objects', () => {
  it('are read whole by one GET, whatever parts are wanted at once or after one another', async (context) => {
    const { store, put, gets } = await start(context);
    const bytes = pattern(SMALL_OBJECT_BYTES - 1, 1);
    const meta = await put('a', bytes);
    const ranges = Array.from({ length: 50 }, (_, i) => ({ start: i * 1000, end: i * 1000 + 1 + i * 100 }));
    const together = await Promise.all(ranges.map((range) => store.getRange(meta, range)));
    const later = await store.getRange(meta, { start: 5, end: meta.sizeBytes });
    for (const [i, { start, end }] of ranges.entries()) {
      assert.ok(Buffer.from(together[i] ?? []).equals(bytes.subarray(start, end)));
    }
    assert.ok(Buffer.from(later).equals(bytes.subarray(5)));
    assert.deepEqual(gets(), [`bytes=0-${meta.sizeBytes - 1}`]);
    await assert.rejects(store.getRange(meta, { start: 0, end: meta.sizeBytes + 1 }), { kind: 'internal' });
  });

  it('are no larger: of others the range itself is read', async (context) => {
    const { store, put, gets } = await start(context);
    const meta = await put('a', pattern(SMALL_OBJECT_BYTES, 1));
    await store.getRange(meta, { start: 10, end: 20 });
    assert.deepEqual(gets(), ['bytes=10-19']);
  });

  it('are held by version: another one is another object, and a version that is gone has changed', async (context) => {
    const { store, put } = await start(context);
    const first = await put('a', pattern(1000, 1));
    await store.getRange(first, { start: 0, end: 10 });
    const second = await put('a', pattern(1000, 2));
    assert.deepEqual([...(await store.getRange(second, { start: 0, end: 1000 }))], [...pattern(1000, 2)]);
    assert.deepEqual([...(await store.getRange(first, { start: 0, end: 1000 }))], [...pattern(1000, 1)]);
    const third = await put('a', pattern(1000, 3));
    await put('a', pattern(1000, 4));
    await rejectsWith(store.getRange(third, { start: 0, end: 10 }), 'changed', 'changed');
    await rejectsWith(store.getRange(third, { start: 0, end: 10 }), 'changed', 'changed');
  });

  it('are held in few bytes and for a few seconds only', async (context) => {
    const { store, put, gets, clock } = await start(context);
    const metas = [];
    for (let i = 0; i < 40; i++) metas.push(await put(`${i}`, pattern(SMALL_OBJECT_BYTES - 1, i)));
    for (const meta of metas) await store.getRange(meta, { start: 0, end: 1 });
    const [first] = metas;
    const last = metas.at(-1);
    assert.ok(first && last);
    await store.getRange(last, { start: 0, end: 1 });
    assert.equal(gets().length, 40);
    await store.getRange(first, { start: 0, end: 1 });
    assert.equal(gets().length, 41, 'the first was let go');
    clock.advance(9_999);
    await store.getRange(first, { start: 5, end: 7 });
    assert.equal(gets().length, 41);
    clock.advance(1);
    await store.getRange(first, { start: 0, end: 1 });
    assert.equal(gets().length, 42);
  });

  it('are not read on when all who wanted them have left, and a failure is not kept', async (context) => {
    const { s3, store, put, gets } = await start(context);
    const meta = await put('a', pattern(1000, 1));
    s3.failNext('get', { kind: 'hang' });
    const leaving = [new AbortController(), new AbortController()];
    const reading = leaving.map(({ signal }) => store.getRange(meta, { start: 0, end: 1 }, { signal }));
    const left = Promise.allSettled(reading);
    while (gets().length === 0) await new Promise((next) => setImmediate(next));
    for (const controller of leaving) controller.abort(new Error('left'));
    assert.deepEqual(
      (await left).map((one) => one.status === 'rejected' && one.reason.message),
      ['left', 'left'],
    );
    s3.failNext('get', { kind: 'status', status: 503, code: 'SlowDown' });
    await rejectsWith(store.getRange(meta, { start: 0, end: 1 }), 'unavailable', 'unavailable');
    assert.equal((await store.getRange(meta, { start: 0, end: 9 })).length, 9);
  });
});
