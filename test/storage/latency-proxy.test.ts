/** The proxy that stands for S3's latency: it must draw what it says and change nothing else. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { S3Connection, S3Store } from '../../src/storage/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { LatencyProxy, logNormal, S3_LATENCY } from '../support/latency-proxy.ts';
import { pattern, rejectsWith } from './object-store.contract.ts';

const credentials = { accessKeyId: 'tester', secretAccessKey: 'secret' };

describe('the latency proxy', () => {
  it('draws the percentiles of its shape, the same again from the same seed', () => {
    for (const seed of [1, 2, 3]) {
      const draw = logNormal(S3_LATENCY, seed);
      const drawn = Array.from({ length: 100_000 }, draw);
      const again = logNormal(S3_LATENCY, seed);
      assert.deepEqual(drawn.slice(0, 100), Array.from({ length: 100 }, again));
      drawn.sort((a, b) => a - b);
      for (const [share, ms] of [
        [0.5, S3_LATENCY.p50Ms],
        [0.95, S3_LATENCY.p95Ms],
        [0.99, S3_LATENCY.p99Ms],
      ] as const) {
        const found = drawn[Math.floor(share * drawn.length)] ?? 0;
        assert.ok(Math.abs(found / ms - 1) < 0.06, `p${share * 100} is ${found} ms, meant ${ms}`);
      }
    }
  });

  it('passes requests and answers as they are, signed for its own address, after its delay', async () => {
    const s3 = await FaultyS3.start();
    const bytes = pattern(50_000, 1);
    s3.put('lake', 'a b+c/ü.parquet', bytes);
    const latency = { p50Ms: 30, p95Ms: 30, p99Ms: 30 };
    const proxy = await LatencyProxy.start(s3.endpoint, { latency, bytesPerSecond: 50e6 });
    const connection = new S3Connection({ endpoint: proxy.endpoint, credentials });
    const store = new S3Store(connection, 'lake');
    const [meta] = await Array.fromAsync(store.list(''));
    assert.ok(meta);
    assert.deepEqual(meta, await store.head('a b+c/ü.parquet'));
    const started = performance.now();
    const read = await store.getRange(meta, { start: 100, end: 40_000 });
    assert.ok(performance.now() - started >= 29);
    assert.ok(Buffer.from(read).equals(bytes.subarray(100, 40_000)));
    assert.ok(s3.requests.every(({ signed }) => signed));
    assert.equal(s3.requests.at(-1)?.ifMatch, meta.eTag);
    s3.put('lake', meta.key, pattern(50_000, 2));
    await rejectsWith(store.getRange(meta, { start: 0, end: 9 }), 'changed', 'changed');
    assert.equal(proxy.delaysMs.length, 4);
    await connection.close();
    await proxy.stop();
    await s3.stop();
  });

  it('passes on that a caller left', async () => {
    const s3 = await FaultyS3.start();
    s3.put('lake', 'a', pattern(1000, 1));
    const proxy = await LatencyProxy.start(s3.endpoint, { latency: { p50Ms: 200, p95Ms: 200, p99Ms: 200 } });
    const connection = new S3Connection({ endpoint: proxy.endpoint, credentials });
    const store = new S3Store(connection, 'lake');
    await assert.rejects(store.head('a', { signal: AbortSignal.timeout(50) }));
    await new Promise((done) => setTimeout(done, 250));
    assert.equal(s3.requests.length, 0, 'a request that was called off while it waited is never sent');
    await connection.close();
    await proxy.stop();
    await s3.stop();
  });
});
