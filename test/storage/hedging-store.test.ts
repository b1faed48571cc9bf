/** Hedged GETs: who wins, what it may cost, and what a second request must never hide. Time moves by hand. */

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import {
  HedgingStore,
  type HedgingStoreOptions,
  type ObjectMeta,
  type ObjectStore,
  S3Connection,
  S3Store,
  Stores,
} from '../../src/storage/index.ts';
import { LatencyEstimate } from '../../src/storage/latency-estimate.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { logNormal, S3_LATENCY } from '../support/latency-proxy.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { pattern, rejectsWith } from './object-store.contract.ts';

const OBJECT: ObjectMeta = { key: 'a', sizeBytes: 1 << 20, eTag: '"a"' };
const RANGE = { start: 0, end: 1000 };
const USUAL_MS = 20;

const slowDown = () => new ServiceError('unavailable', 'unavailable', 'slow down', { retryable: true });
const changed = () => new ServiceError('changed', 'changed', 'another version');
const turns = async (count = 5) => {
  for (let i = 0; i < count; i++) await new Promise((next) => setImmediate(next));
};

interface Asked {
  readonly signal: AbortSignal | undefined;
  answer(text: string): void;
  fail(error: Error): void;
}

/** A store whose every GET the test answers by hand. */
class AnsweredByHand implements ObjectStore {
  readonly kind = 's3';
  readonly cheapReads = false;
  readonly asked: Asked[] = [];
  getRange(_object: ObjectMeta, _range: unknown, { signal }: { signal?: AbortSignal | undefined } = {}) {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    signal?.addEventListener('abort', () => reject(signal.reason ?? new Error('called off')), { once: true });
    this.asked.push({ signal, answer: (text) => resolve(Buffer.from(text)), fail: reject });
    return promise;
  }
  head(): Promise<ObjectMeta> {
    return Promise.resolve(OBJECT);
  }
  async *list(): AsyncIterable<ObjectMeta> {
    yield OBJECT;
  }
  async close(): Promise<void> {}
}

/** A store that has learned that a GET takes 20 ms, with hedges to spend. */
async function experienced(options: HedgingStoreOptions = {}, reads = 32) {
  const clock = new ManualClock();
  const inner = new AnsweredByHand();
  const store = new HedgingStore(inner, { clock, ...options });
  for (let i = 0; i < reads; i++) {
    const reading = store.getRange(OBJECT, RANGE);
    clock.advance(USUAL_MS);
    inner.asked.at(-1)?.answer('x');
    await reading;
  }
  assert.deepEqual(store.counts(), { hedges: 0, hedgesWon: 0 });
  inner.asked.length = 0;
  return { clock, inner, store };
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe('a hedging store', () => {
  it('asks once where the answer comes in the usual time', async () => {
    const { clock, inner, store } = await experienced();
    const reading = store.getRange(OBJECT, RANGE);
    clock.advance(USUAL_MS - 1);
    await turns();
    inner.asked[0]?.answer('first');
    assert.equal(text(await reading), 'first');
    assert.equal(inner.asked.length, 1);
    assert.equal(clock.sleeping, 0, 'no timer is left behind');
  });

  it('asks again past the percentile, takes the answer that comes first and calls the other off', async () => {
    for (const winner of [0, 1]) {
      const { clock, inner, store } = await experienced();
      const reading = store.getRange(OBJECT, RANGE);
      clock.advance(USUAL_MS);
      await turns();
      assert.equal(inner.asked.length, 2);
      inner.asked[winner]?.answer(`answer ${winner}`);
      assert.equal(text(await reading), `answer ${winner}`);
      assert.equal(inner.asked[1 - winner]?.signal?.aborted, true, 'the loser is called off');
      assert.equal(inner.asked[winner]?.signal?.aborted, false);
      assert.deepEqual(store.counts(), { hedges: 1, hedgesWon: winner });
    }
  });

  it('asks once where the answer came while the event loop was held up', async () => {
    const inner = new AnsweredByHand();
    let asked = 0;
    inner.getRange = async () => {
      asked += 1;
      // Done by another thread, and told by the event loop after its timers.
      await stat(import.meta.filename);
      return new Uint8Array(1);
    };
    const store = new HedgingStore(inner, { minDelayMs: 20 });
    for (let i = 0; i < 64; i++) await store.getRange(OBJECT, RANGE);
    for (let i = 1; i <= 10; i++) {
      const reading = store.getRange(OBJECT, RANGE);
      const started = performance.now();
      while (performance.now() - started < 60);
      await reading;
      assert.equal(asked, 64 + i);
    }
  });

  it('asks once while it does not know what is usual, and for ranges that are long', async () => {
    const clock = new ManualClock();
    const inner = new AnsweredByHand();
    const store = new HedgingStore(inner, { clock, maxBytes: 1000 });
    const reading = store.getRange(OBJECT, RANGE);
    assert.equal(clock.sleeping, 0);
    inner.asked[0]?.answer('x');
    await reading;
    const known = await experienced({ maxBytes: 999 });
    known.store.getRange(OBJECT, RANGE).catch(() => undefined);
    assert.equal(known.clock.sleeping, 0);
  });

  it('keeps second requests under their share of all, however slow storage is', async () => {
    const { clock, inner, store } = await experienced();
    for (let i = 0; i < 1000; i++) {
      const asked = inner.asked.length;
      const reading = store.getRange(OBJECT, RANGE);
      clock.advance(10_000);
      await turns();
      inner.asked[asked]?.answer('x');
      await reading;
    }
    const extra = inner.asked.length - 1000;
    assert.equal(extra, store.counts().hedges);
    assert.ok(extra <= (1000 + 32) * 0.05, `${extra} second requests`);
    // The percentile has risen to what is usual now long before the end, so few are asked at all.
    assert.ok(extra > 0);
  });

  it('sends no second request where the limit has no room, and keeps what it saved', async () => {
    let room = false;
    const { clock, inner, store } = await experienced({ spareTurn: (work) => (room ? work() : undefined) });
    for (const expected of [1, 2]) {
      inner.asked.length = 0;
      const reading = store.getRange(OBJECT, RANGE);
      clock.advance(USUAL_MS);
      await turns();
      assert.equal(inner.asked.length, expected);
      inner.asked[0]?.answer('x');
      await reading;
      room = true;
    }
  });

  it('lets the second answer when the first fails in passing, and the other way round', async () => {
    for (const failing of [0, 1]) {
      const { clock, inner, store } = await experienced();
      const reading = store.getRange(OBJECT, RANGE);
      clock.advance(USUAL_MS);
      await turns();
      inner.asked[failing]?.fail(slowDown());
      await turns();
      inner.asked[1 - failing]?.answer('the other');
      assert.equal(text(await reading), 'the other');
    }
  });

  it('fails when both fail, and at once when the first fails alone', async () => {
    const { clock, inner, store } = await experienced();
    const alone = store.getRange(OBJECT, RANGE);
    inner.asked[0]?.fail(slowDown());
    await rejectsWith(alone, 'unavailable', 'unavailable');
    assert.equal(clock.sleeping, 0);
    const both = store.getRange(OBJECT, RANGE);
    clock.advance(USUAL_MS);
    await turns();
    inner.asked[1]?.fail(slowDown());
    inner.asked[2]?.fail(slowDown());
    await rejectsWith(both, 'unavailable', 'unavailable');
  });

  it('never hides that an object changed, or that credentials are refused', async () => {
    const denied = () => new ServiceError('unavailable', 'access_denied', 'refused');
    for (const error of [changed(), denied()]) {
      for (const failing of [0, 1]) {
        const { clock, inner, store } = await experienced();
        const reading = store.getRange(OBJECT, RANGE);
        clock.advance(USUAL_MS);
        await turns();
        inner.asked[failing]?.fail(error);
        await rejectsWith(reading, error.kind, error.code);
        assert.equal(inner.asked[1 - failing]?.signal?.aborted, true);
      }
    }
  });

  it('says changed also where the other had only failed in passing', async () => {
    const { clock, inner, store } = await experienced();
    const reading = store.getRange(OBJECT, RANGE);
    clock.advance(USUAL_MS);
    await turns();
    inner.asked[0]?.fail(slowDown());
    await turns();
    inner.asked[1]?.fail(changed());
    await rejectsWith(reading, 'changed', 'changed');
  });

  it('calls both off when the caller leaves, and starts nothing for one that left before', async () => {
    const { clock, inner, store } = await experienced();
    const leaving = new AbortController();
    const reading = store.getRange(OBJECT, RANGE, { signal: leaving.signal });
    clock.advance(USUAL_MS);
    await turns();
    const reason = new Error('left');
    leaving.abort(reason);
    await assert.rejects(reading, (error) => error === reason);
    assert.deepEqual(
      inner.asked.map(({ signal }) => signal?.aborted),
      [true, true],
    );
    await assert.rejects(store.getRange(OBJECT, RANGE, { signal: leaving.signal }), (error) => error === reason);
    assert.equal(inner.asked.length, 2);
    assert.equal(clock.sleeping, 0);
  });
});

describe('hedging over the latency of a real S3', () => {
  /** 4 lanes of GETs one after another, in time that moves from wake-up to wake-up. */
  const simulate = async (hedged: boolean, seed: number) => {
    const clock = new ManualClock();
    const draw = logNormal(S3_LATENCY, seed);
    let sent = 0;
    const inner = new AnsweredByHand();
    inner.getRange = async (_object, _range, { signal } = {}) => {
      sent += 1;
      await clock.sleep(draw(), signal);
      return new Uint8Array(1);
    };
    const store = hedged ? new HedgingStore(inner, { clock }) : inner;
    const took: number[] = [];
    const lane = async () => {
      for (let i = 0; i < 2500; i++) {
        const startedMs = clock.nowMs();
        await store.getRange(OBJECT, RANGE);
        took.push(clock.nowMs() - startedMs);
      }
    };
    await clock.runThrough(Promise.all([lane(), lane(), lane(), lane()]));
    took.sort((a, b) => a - b);
    return { p50: took[took.length / 2] ?? 0, p99: took[took.length * 0.99] ?? 0, extra: sent / took.length - 1 };
  };

  it('makes p99 at least 8% better and leaves p50 as it is, at no more than 5% extra requests', async () => {
    for (const seed of [1, 2]) {
      const plain = await simulate(false, seed);
      const hedged = await simulate(true, seed);
      const said = `p50 ${hedged.p50} of ${plain.p50} ms, p99 ${hedged.p99} of ${plain.p99} ms, ${hedged.extra} extra`;
      assert.ok(hedged.p99 < plain.p99 * 0.92, said);
      assert.ok(Math.abs(hedged.p50 / plain.p50 - 1) < 0.05, said);
      assert.ok(hedged.extra > 0.03 && hedged.extra <= 0.05, said);
    }
  });
});

describe('hedging on S3', () => {
  const start = async (context: TestContext) => {
    const s3 = await FaultyS3.start();
    const bytes = pattern(100_000, 1);
    s3.put('lake', 'a', bytes);
    context.after(() => s3.stop());
    return { s3, bytes, settings: { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } } };
  };

  it('gets past an answer that hangs, and past one whose body hangs', async (context) => {
    const { s3, bytes, settings } = await start(context);
    const connection = new S3Connection(settings);
    context.after(() => connection.close());
    const store = new HedgingStore(new S3Store(connection, 'lake'), { maxExtra: 1, minDelayMs: 30 });
    const meta = await store.head('a');
    for (let i = 0; i < 64; i++) await store.getRange(meta, RANGE);
    for (const fault of [{ kind: 'hang' }, { kind: 'hangMidBody' }, { kind: 'delay', ms: 1_500 }] as const) {
      const before = store.counts().hedgesWon;
      s3.failNext('get', fault);
      const started = performance.now();
      assert.deepEqual(Buffer.from(await store.getRange(meta, RANGE)), Buffer.from(bytes.subarray(0, 1000)));
      assert.ok(performance.now() - started < 1_400);
      assert.equal(store.counts().hedgesWon, before + 1);
    }
  });

  it('says changed when the second request finds another version', async (context) => {
    const { s3, settings } = await start(context);
    const connection = new S3Connection(settings);
    context.after(() => connection.close());
    const store = new HedgingStore(new S3Store(connection, 'lake'), { maxExtra: 1, minDelayMs: 30 });
    const meta = await store.head('a');
    for (let i = 0; i < 64; i++) await store.getRange(meta, RANGE);
    s3.failNext('get', { kind: 'hang' });
    s3.put('lake', 'a', pattern(100_000, 2));
    await rejectsWith(store.getRange(meta, RANGE), 'changed', 'changed');
  });

  it('is counted as sent and not as asked, and can be switched off', async (context) => {
    const { s3, settings } = await start(context);
    for (const hedge of [{ maxExtra: 1, minDelayMs: 30 }, false] as const) {
      const stores = new Stores({ s3: settings, hedge });
      const store = stores.storeFor({ bucket: 'lake' });
      const meta = await store.head('a');
      for (let i = 0; i < 64; i++) await store.getRange(meta, RANGE);
      s3.failNext('get', { kind: 'delay', ms: 500 });
      await store.getRange(meta, RANGE);
      const [status] = stores.status();
      const extra = hedge === false ? 0 : 1;
      assert.deepEqual([status?.gets, status?.httpRequests], [65, 66 + (status?.hedges ?? 0)]);
      assert.ok(hedge === false ? status?.hedges === 0 : (status?.hedgesWon ?? 0) >= extra);
      await stores.close();
    }
  });
});

describe('the latency estimate', () => {
  it('is the percentile of the last durations of that size', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 32, maxLength: 600 }), (all) => {
        const estimate = new LatencyEstimate(0.95);
        for (const ms of all) estimate.record(5_000_000, ms);
        const known = all.slice(0, all.length - (all.length % 32));
        const sorted = known.slice(-256).sort((a, b) => a - b);
        assert.equal(estimate.percentileMs(6_000_000), sorted[Math.floor(sorted.length * 0.95)]);
        assert.equal(estimate.percentileMs(1000), undefined, 'other sizes are another matter');
      }),
    );
  });
});
