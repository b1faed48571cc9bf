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

describe('ranges of large objects', () => {
  const BYTES = pattern(SMALL_OBJECT_BYTES * 2, 1);

  it('that are to be kept answer for their parts a while, and for nothing else', async (context) => {
    const { store, put, gets, clock } = await start(context);
    const meta = await put('a', BYTES);
    const whole = await store.getRange(meta, { start: 1000, end: 90_000 }, { keep: true });
    assert.ok(Buffer.from(whole).equals(BYTES.subarray(1000, 90_000)));
    for (const [start, end] of [
      [1000, 90_000],
      [1000, 1001],
      [40_000, 90_000],
    ] as const) {
      const part = await store.getRange(meta, { start, end });
      assert.ok(Buffer.from(part).equals(BYTES.subarray(start, end)));
      part.fill(0);
    }
    assert.equal(gets().length, 1);
    for (const [start, end] of [
      [999, 1001],
      [89_999, 90_001],
      [200_000, 200_010],
    ] as const) {
      const other = await store.getRange(meta, { start, end });
      assert.ok(Buffer.from(other).equals(BYTES.subarray(start, end)));
    }
    assert.equal(gets().length, 4);
    clock.advance(10_000);
    await store.getRange(meta, { start: 2000, end: 2001 });
    assert.equal(gets().length, 5, 'a while and no longer');
  });

  it('are held by version, and not where they are no part of what was to be kept', async (context) => {
    const { store, put, gets } = await start(context);
    const first = await put('a', BYTES);
    await store.getRange(first, { start: 0, end: 10_000 }, { keep: true });
    const second = await put('a', pattern(BYTES.length, 2));
    const read = await store.getRange(second, { start: 0, end: 10 });
    assert.ok(Buffer.from(read).equals(pattern(BYTES.length, 2).subarray(0, 10)));
    await rejectsWith(store.getRange(first, { start: 20_000, end: 20_010 }), 'changed', 'changed');
    await store.getRange(second, { start: 0, end: 20_000 });
    await store.getRange(second, { start: 0, end: 20_000 });
    assert.equal(gets().length, 5);
  });

  it('give way to others, the oldest first, and those that are too large are not held', async (context) => {
    const { store, put, gets } = await start(context);
    const meta = await put('a', pattern(9 << 20, 1));
    const read = (start: number, bytes: number, keep = false) =>
      store.getRange(meta, { start, end: start + bytes }, { keep });
    await read(0, 9 << 20, true);
    await read(0, 10);
    assert.equal(gets().length, 2, 'more than is held in all');
    for (let i = 0; i < 3; i++) await read(i * (3 << 20), 3 << 20, true);
    assert.equal(gets().length, 5);
    await read(6 << 20, 10);
    await read(3 << 20, 10);
    assert.equal(gets().length, 5);
    await read(10, 10);
    assert.equal(gets().length, 6, 'the first has left');
  });
});

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
    later.fill(0);
    const again = await store.getRange(meta, { start: 5, end: 1000 });
    assert.ok(Buffer.from(again).equals(bytes.subarray(5, 1000)), 'what was given is the caller’s to change');
    assert.equal(again.buffer.byteLength, 995);
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
