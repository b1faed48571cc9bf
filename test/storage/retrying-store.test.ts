/** Retries over a server that fails on command, with a clock that no test waits for. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ServiceError } from '../../src/core/index.ts';
import {
  type ObjectMeta,
  type ObjectStore,
  RETRY_POLICY,
  type RetriesOptions,
  type Retry,
  RetryingStore,
  S3Connection,
  S3Store,
} from '../../src/storage/index.ts';
import { type Fault, FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { pattern, rejectsWith } from './object-store.contract.ts';

const slowDown: Fault = { kind: 'status', status: 503, code: 'SlowDown' };

describe('a retrying store', () => {
  const bytes = pattern(10_000, 1);
  let s3: FaultyS3;
  let connection: S3Connection;
  let s3Clock: ManualClock;
  let plain: S3Store;
  let meta: ObjectMeta;
  let clock: ManualClock;
  let retries: Retry[];

  before(async () => {
    s3 = await FaultyS3.start({ pageSize: 10 });
    s3.put('lake', 'a', bytes);
    s3Clock = new ManualClock();
    const credentials = { accessKeyId: 'tester', secretAccessKey: 'secret' };
    connection = new S3Connection({ endpoint: s3.endpoint, credentials }, { clock: s3Clock });
    plain = new S3Store(connection, 'lake');
    meta = await plain.head('a');
  });
  beforeEach(() => {
    s3.reset();
    clock = new ManualClock();
    retries = [];
  });
  after(async () => {
    await connection.close();
    await s3.stop();
  });

  const retrying = (options: RetriesOptions = {}, store: ObjectStore = plain) =>
    new RetryingStore(store, { clock, random: () => 0.5, onRetry: (retry) => retries.push(retry), ...options });
  const get = (store: ObjectStore, signal?: AbortSignal) => store.getRange(meta, { start: 10, end: 1000 }, { signal });

  const passing: Readonly<Record<string, Fault>> = {
    '503 SlowDown': slowDown,
    '500': { kind: 'status', status: 500, code: 'InternalError' },
    'a reset before the answer': { kind: 'resetBeforeAnswer' },
    'a reset in the middle of the body': { kind: 'resetMidBody' },
    'a short body': { kind: 'shortBody' },
    'an overlong body': { kind: 'overlongBody' },
    'an endless body': { kind: 'overlongBody', endless: true },
    'a wrong Content-Range': { kind: 'wrongContentRange', contentRange: 'bytes 0-989/10000' },
    'a wrong Content-Length': { kind: 'wrongContentLength' },
    'the whole object': { kind: 'wholeBody' },
    'no ETag': { kind: 'noETag' },
  };
  for (const [what, fault] of Object.entries(passing)) {
    it(`gets over ${what}, twice`, async () => {
      s3.failNext('get', fault, fault);
      const read = await clock.runThrough(get(retrying()));
      assert.ok(Buffer.from(read).equals(bytes.subarray(10, 1000)));
      assert.equal(s3.requests.length, 3);
      assert.deepEqual(clock.slept, [25, 50], 'half of 50 ms, half of 100 ms');
      assert.deepEqual(
        retries.map(({ op, key, attempt }) => ({ op, key, attempt })),
        [1, 2].map((attempt) => ({ op: 'get', key: 'a', attempt })),
      );
      assert.equal(s3.pendingFaults, 0);
    });
  }

  for (const fault of [{ kind: 'hang' }, { kind: 'hangMidBody' }] as const) {
    it(`gets over a server that does not go on (${fault.kind})`, async () => {
      s3.failNext('get', fault);
      const reading = clock.runThrough(get(retrying()));
      while (s3.requests.length === 0) await new Promise((next) => setImmediate(next));
      s3Clock.advance(connection.requestTimeoutMs);
      assert.ok(Buffer.from(await reading).equals(bytes.subarray(10, 1000)));
      assert.equal(retries[0]?.error.code, 'request_timeout');
    });
  }

  const lasting: readonly (readonly [string, Fault, string, string])[] = [
    ['refused credentials', { kind: 'status', status: 403, code: 'AccessDenied' }, 'unavailable', 'access_denied'],
    ['a missing bucket', { kind: 'status', status: 404, code: 'NoSuchBucket' }, 'unavailable', 'no_such_bucket'],
    ['a changed object', { kind: 'status', status: 412, code: 'PreconditionFailed' }, 'changed', 'changed'],
    ['another version in spite of If-Match', { kind: 'ignoreIfMatch' }, 'changed', 'changed'],
    ['a bad request', { kind: 'status', status: 400, code: 'InvalidRequest' }, 'unavailable', 'unavailable'],
  ];
  for (const [what, fault, kind, code] of lasting) {
    it(`does not try again at ${what}`, async () => {
      const listed = { ...meta, eTag: fault.kind === 'ignoreIfMatch' ? '"other"' : meta.eTag };
      s3.failNext('get', fault);
      await rejectsWith(retrying().getRange(listed, { start: 0, end: 9 }), kind, code);
      assert.equal(s3.requests.length, 1);
      assert.deepEqual(clock.slept, []);
    });
  }

  it('gives up after its attempts, with the last error and their number', async () => {
    s3.failNext('get', ...Array.from({ length: 10 }, () => slowDown));
    const error = await clock.runThrough(get(retrying({ maxAttempts: 4 }))).catch((thrown) => thrown);
    assert.ok(error instanceof ServiceError);
    assert.equal(error.context.attempts, 4);
    assert.equal(error.context.s3Code, 'SlowDown');
    assert.equal(s3.requests.length, 4);
  });

  it('begins no wait that would end past its time', async () => {
    s3.failNext('get', ...Array.from({ length: 10 }, () => slowDown));
    const store = retrying({ maxAttempts: 10, maxElapsedMs: 100 });
    await rejectsWith(clock.runThrough(get(store)), 'unavailable', 'unavailable');
    assert.deepEqual(clock.slept, [25, 50], '100 ms more would end at 175');
  });

  it('waits between nothing and a ceiling that doubles up to a maximum', async () => {
    s3.failNext('head', ...Array.from({ length: 9 }, () => slowDown));
    const policy = { maxAttempts: 10, baseDelayMs: 100, maxDelayMs: 1000 };
    const random = [0, 0.999, 0.5, 1, 1, 1, 1, 0.1, 0];
    const head = retrying({ ...policy, random: () => random.shift() ?? 0 }).head('a');
    assert.deepEqual(await clock.runThrough(head), meta);
    assert.deepEqual(
      clock.slept.map((ms) => Math.round(ms * 10) / 10),
      [0, 199.8, 200, 800, 1000, 1000, 1000, 100, 0],
    );
    assert.ok(RETRY_POLICY.maxAttempts > 1);
  });

  it('ends a wait when the caller’s deadline comes, with the caller’s reason', async () => {
    s3.failNext('get', slowDown, slowDown);
    const leaving = new AbortController();
    const reading = get(retrying(), leaving.signal);
    const ended = assert.rejects(reading, (error) => error === deadline);
    const deadline = new ServiceError('timeout', 'timeout', 'the deadline of the request has come');
    while (clock.sleeping === 0) await new Promise((next) => setImmediate(next));
    leaving.abort(deadline);
    await ended;
    assert.equal(s3.requests.length, 1);
    assert.equal(clock.sleeping, 0);
  });

  it('does not try again for a caller who left during the request', async () => {
    s3.failNext('get', { kind: 'hang' });
    const leaving = new AbortController();
    const reason = new Error('left');
    const ended = assert.rejects(get(retrying(), leaving.signal), (error) => error === reason);
    while (s3.requests.length === 0) await new Promise((next) => setImmediate(next));
    leaving.abort(reason);
    await ended;
    assert.equal(s3.requests.length, 1);
    assert.deepEqual(clock.slept, []);
  });

  describe('listing', () => {
    const keys = Array.from({ length: 45 }, (_, i) => `k/${String(i).padStart(2, '0')}`);
    before(() => {
      for (const key of keys) s3.put('lake', key, key);
    });
    const list = async (store: ObjectStore) => (await Array.fromAsync(store.list('k/'))).map(({ key }) => key);

    it('goes on after the last key when a page fails', async () => {
      const ok: Fault = { kind: 'delay', ms: 0 };
      s3.failNext(
        'list',
        ok,
        slowDown,
        ok,
        { kind: 'resetBeforeAnswer' },
        { kind: 'body', text: 'no xml' },
        ok,
        slowDown,
      );
      assert.deepEqual(await clock.runThrough(list(retrying())), keys);
      assert.equal(s3.pendingFaults, 0);
      assert.equal(s3.requests.length, 5 + 4, 'five pages, four failures, nothing read twice');
    });

    it('counts its time from the first failure, however long the listing has gone on', async () => {
      const ok: Fault = { kind: 'delay', ms: 0 };
      s3.failNext('list', ok, slowDown);
      const listed: string[] = [];
      const walk = async () => {
        for await (const { key } of retrying({ maxElapsedMs: 100 }).list('k/')) {
          listed.push(key);
          if (listed.length === 1) clock.advance(60_000);
        }
      };
      await clock.runThrough(walk());
      assert.deepEqual(listed, keys);
      assert.equal(s3.pendingFaults, 0);
    });

    it('counts its attempts anew after progress, and gives up without', async () => {
      const ok: Fault = { kind: 'delay', ms: 0 };
      s3.failNext('list', ...Array.from({ length: 4 }, () => [slowDown, ok]).flat());
      assert.equal((await clock.runThrough(list(retrying({ maxAttempts: 2 })))).length, keys.length);
      s3.failNext('list', ok, slowDown, slowDown);
      await rejectsWith(clock.runThrough(list(retrying({ maxAttempts: 2 }))), 'unavailable', 'unavailable');
    });
  });
});
