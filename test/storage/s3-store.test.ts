/** S3 stores against a server that fails on command: the contract, and every wrong answer by itself, with no retries. */

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isRetryable, type ObjectMeta, S3Connection, type S3Settings, S3Store } from '../../src/storage/index.ts';
import { s3Error } from '../../src/storage/s3-errors.ts';
import { type Fault, FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { sampled } from '../support/sampled.ts';
import { describeObjectStore, pattern, rejectsWith } from './object-store.contract.ts';

/** Of listings: millions of keys in a long run. */
const PAGES = sampled(150, 2500);

const credentials = { accessKeyId: 'tester', secretAccessKey: 'secret' };

describeObjectStore('S3 with pages of 100 keys', async () => {
  const s3 = await FaultyS3.start({ pageSize: 100 });
  const connection = new S3Connection({ endpoint: s3.endpoint, credentials });
  return {
    store: new S3Store(connection, 'lake'),
    secondStore: () => new S3Store(connection, 'lake'),
    keyOf: (name) => name,
    put: async (name, bytes) => s3.put('lake', name, bytes),
    remove: async (name) => s3.delete('lake', name),
    stop: async () => {
      await connection.close();
      await s3.stop();
    },
  };
});

describe('an S3 store', () => {
  const bytes = pattern(10_000, 1);
  const connections: S3Connection[] = [];
  let s3: FaultyS3;
  let store: S3Store;
  let meta: ObjectMeta;

  const storeWith = (settings: S3Settings, clock?: ManualClock) => {
    const connection = new S3Connection({ endpoint: s3.endpoint, credentials, ...settings }, clock && { clock });
    connections.push(connection);
    return new S3Store(connection, 'lake');
  };

  before(async () => {
    s3 = await FaultyS3.start();
    s3.put('lake', 'a.parquet', bytes);
    store = storeWith({});
    meta = await store.head('a.parquet');
  });
  beforeEach(() => s3.reset());
  after(async () => {
    await Promise.all(connections.map((connection) => connection.close()));
    await s3.stop();
  });

  const get = (start = 100, end = 200) => store.getRange(meta, { start, end });

  it('asks for the range and the version', async () => {
    await get(100, 200);
    assert.deepEqual(s3.requests, [
      { op: 'get', bucket: 'lake', key: 'a.parquet', range: 'bytes=100-199', ifMatch: meta.eTag, signed: true },
    ]);
  });

  it('sends no signature when anonymous', async () => {
    const anonymous = storeWith({ anonymous: true, credentials: undefined });
    await anonymous.head('a.parquet');
    assert.equal(s3.requests[0]?.signed, false);
  });

  describe('with a wrong answer to a ranged GET', () => {
    const wrong: Readonly<Record<string, Fault>> = {
      'a body one byte short': { kind: 'shortBody' },
      'a body one byte too long': { kind: 'overlongBody' },
      'a shorter Content-Length': { kind: 'wrongContentLength' },
      'another range': { kind: 'wrongContentRange', contentRange: 'bytes 0-99/10000' },
      'the range of another size of object': { kind: 'wrongContentRange', contentRange: 'bytes 100-199/10001' },
      'no sense in Content-Range': { kind: 'wrongContentRange', contentRange: 'all of it' },
      'the whole object': { kind: 'wholeBody' },
      'no ETag': { kind: 'noETag' },
    };
    for (const [what, fault] of Object.entries(wrong)) {
      it(`refuses ${what}, as worth another try, and reads on`, async () => {
        s3.failNext('get', fault);
        const error = await get().catch((thrown) => thrown);
        assert.equal(error.code, 'bad_response', error.message);
        assert.ok(isRetryable(error));
        assert.ok(error.message.includes(s3.endpoint) && error.message.includes('s3://lake/a.parquet'), error.message);
        assert.ok(Buffer.from(await get()).equals(bytes.subarray(100, 200)));
        assert.equal(s3.pendingFaults, 0);
      });
    }

    it('takes a 200 where the range is the whole object', async () => {
      s3.failNext('get', { kind: 'wholeBody' });
      assert.ok(Buffer.from(await get(0, bytes.length)).equals(bytes));
    });

    it('reads little more than it asked for of a body without end', async () => {
      s3.failNext('get', { kind: 'overlongBody', endless: true });
      await rejectsWith(get(), 'unavailable', 'bad_response', 'longer');
      // What the sockets between them had in flight.
      assert.ok(s3.bodyBytesSent < 16 << 20, `${s3.bodyBytesSent} bytes`);
    });

    it('trusts no server that ignores If-Match', async () => {
      s3.put('lake', 'ignored', pattern(100, 1));
      const listed = await store.head('ignored');
      s3.put('lake', 'ignored', pattern(100, 2));
      s3.failNext('get', { kind: 'ignoreIfMatch' });
      await rejectsWith(store.getRange(listed, { start: 0, end: 10 }), 'changed', 'changed', 's3://lake/ignored');
    });
  });

  describe('with an error', () => {
    const answers: readonly (readonly [number, string, string, boolean, string])[] = [
      [503, 'SlowDown', 'unavailable', true, '503'],
      [500, 'InternalError', 'unavailable', true, '500'],
      [502, 'BadGateway', 'unavailable', true, '502'],
      [429, 'TooManyRequests', 'unavailable', true, '429'],
      [400, 'RequestTimeout', 'unavailable', true, '400'],
      [400, 'InvalidRequest', 'unavailable', false, 'InvalidRequest'],
      [501, 'NotImplemented', 'unavailable', false, '501'],
      [403, 'AccessDenied', 'access_denied', false, 's3:GetObject'],
      [403, 'InvalidAccessKeyId', 'access_denied', false, 'AWS_ACCESS_KEY_ID'],
      [403, 'SignatureDoesNotMatch', 'access_denied', false, 'AWS_SECRET_ACCESS_KEY'],
      [400, 'ExpiredToken', 'access_denied', false, 'renew'],
      [403, 'RequestTimeTooSkewed', 'access_denied', true, 'clock'],
      [403, 'InvalidObjectState', 'object_archived', false, 'restore'],
      [404, 'NoSuchBucket', 'no_such_bucket', false, 'lake'],
      [301, 'PermanentRedirect', 'wrong_region', false, 'region'],
      [400, 'AuthorizationHeaderMalformed', 'wrong_region', false, 'region'],
    ];
    for (const [status, s3Code, code, retryable, says] of answers) {
      it(`${status} ${s3Code} is ${code}${retryable ? ', worth another try' : ''}`, async () => {
        s3.failNext('get', { kind: 'status', status, code: s3Code });
        s3.failNext('list', { kind: 'status', status, code: s3Code });
        for (const work of [get, () => Array.fromAsync(store.list(''))]) {
          const error = await work().then(
            () => assert.fail('it must fail'),
            (thrown) => thrown,
          );
          assert.equal(error.kind, 'unavailable', error.message);
          assert.equal(error.code, code, error.message);
          assert.equal(isRetryable(error), retryable);
          assert.ok(error.message.includes(says), error.message);
        }
        assert.equal(s3.requests.length, 2, 'the SDK itself tries once');
      });
    }

    it('412 and 416 mean that the object changed', async () => {
      for (const [status, code] of [
        [412, 'PreconditionFailed'],
        [416, 'InvalidRange'],
        [404, 'NoSuchKey'],
      ] as const) {
        s3.failNext('get', { kind: 'status', status, code });
        await rejectsWith(get(), 'changed', 'changed');
      }
    });

    it('a reset, before or in the answer, is worth another try', async () => {
      s3.failNext('get', { kind: 'resetBeforeAnswer' }, { kind: 'resetMidBody' });
      for (const work of [get, get]) {
        const error = await work().catch((thrown) => thrown);
        assert.equal(error.code, 'unavailable', error.message);
        assert.ok(isRetryable(error), error.message);
      }
    });
  });

  describe('with nobody there', () => {
    it('names the endpoint that refuses connections', async () => {
      const port = await unusedPort();
      const endpoint = `http://127.0.0.1:${port}`;
      const absent = storeWith({ endpoint });
      await rejectsWith(absent.head('a'), 'unavailable', 'unavailable', `${endpoint} refuses connections`);
      await rejectsWith(Array.fromAsync(absent.list('')), 'unavailable', 'unavailable', endpoint);
      await rejectsWith(absent.getRange(meta, { start: 0, end: 1 }), 'unavailable', 'unavailable', endpoint);
    });

    it('names a host that DNS does not know', () => {
      const place = { bucket: 'lake', endpoint: 'http://s3.nowhere' };
      for (const [errno, retryable] of [
        ['ENOTFOUND', false],
        ['EAI_AGAIN', true],
      ] as const) {
        const error = s3Error(Object.assign(new Error(`getaddrinfo ${errno}`), { code: errno }), place, 'k');
        assert.equal(error.code, 'unavailable');
        assert.ok(error.message.includes('http://s3.nowhere') && error.message.includes('DNS'), error.message);
        assert.equal(isRetryable(error), retryable);
      }
    });

    it('says where credentials come from when there are none', async () => {
      const saved = { ...process.env };
      for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
      Object.assign(process.env, {
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_CONFIG_FILE: '/dev/null',
        AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      });
      try {
        const bare = storeWith({ credentials: undefined });
        await rejectsWith(bare.head('a.parquet'), 'unavailable', 'access_denied', 'AWS_ACCESS_KEY_ID');
        const nowhere = new S3Store(new S3Connection({ credentials }), 'lake');
        await rejectsWith(nowhere.head('a.parquet'), 'unavailable', 'region_missing', 'AWS_REGION');
        assert.equal(s3.requests.length, 0);
      } finally {
        process.env = saved;
      }
    });

    it('refuses an endpoint that is no URL', () => {
      for (const endpoint of ['127.0.0.1:9000', 'ftp://x', '']) {
        assert.throws(() => new S3Connection({ endpoint }), { kind: 'invalid', code: 'invalid_endpoint' });
      }
    });
  });

  describe('with a server that hangs', () => {
    for (const fault of [{ kind: 'hang' }, { kind: 'hangMidBody' }] as const) {
      it(`gives up at the time limit (${fault.kind}), as worth another try`, async () => {
        const clock = new ManualClock();
        const patient = storeWith({ requestTimeoutMs: 7_000 }, clock);
        s3.failNext('get', fault);
        const reading = patient.getRange(meta, { start: 0, end: 1000 }).catch((thrown) => thrown);
        while (s3.requests.length === 0) await new Promise((next) => setImmediate(next));
        clock.advance(6_999);
        await new Promise((next) => setTimeout(next, 20));
        assert.equal(clock.sleeping, 1, 'not yet');
        clock.advance(1);
        const error = await reading;
        assert.equal(error.code, 'request_timeout');
        assert.ok(isRetryable(error) && error.message.includes('7000 ms'), error.message);
        assert.equal(clock.sleeping, 0);
        assert.ok(Buffer.from(await patient.getRange(meta, { start: 0, end: 9 })).equals(bytes.subarray(0, 9)));
        assert.equal(clock.sleeping, 0, 'no timer is left behind by a read that succeeded');
      });

      it(`lets the caller leave (${fault.kind})`, async () => {
        s3.failNext('get', fault);
        const leaving = new AbortController();
        const reading = store.getRange(meta, { start: 0, end: 1000 }, { signal: leaving.signal });
        const reason = new Error('the client went away');
        setTimeout(() => leaving.abort(reason), 30);
        await assert.rejects(reading, (error) => error === reason);
      });
    }
  });

  describe('listing', () => {
    const listWith = async (text: string) => {
      s3.failNext('list', { kind: 'body', text });
      return Array.fromAsync(store.list('p/'));
    };
    const entry = (key: string, size = '3', eTag = '&quot;e&quot;') =>
      `<Contents><Key>${key}</Key><Size>${size}</Size><ETag>${eTag}</ETag></Contents>`;
    const page = (inner: string, more = '<IsTruncated>false</IsTruncated>') =>
      `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${more}${inner}</ListBucketResult>`;

    it('takes keys as they are from a server that does not encode them', async () => {
      assert.deepEqual(await listWith(page(entry('p/a+b%20&amp;'))), [{ key: 'p/a+b%20&', sizeBytes: 3, eTag: '"e"' }]);
    });

    it('refuses what breaks the contract of a listing', async () => {
      await rejectsWith(listWith(page(entry('q/a'))), 'unavailable', 'bad_response', 'q/a');
      await rejectsWith(listWith(page(entry('p/a', '-1'))), 'unavailable', 'bad_response', 'size');
      await rejectsWith(listWith(page(entry('p/a', '3', ''))), 'unavailable', 'bad_response', 'ETag');
      await rejectsWith(listWith(page(entry('p/b') + entry('p/a'))), 'unsupported', 'unordered_listing', 'p/a');
      await rejectsWith(listWith(page(entry('p/a'), '<IsTruncated>true</IsTruncated>')), 'unavailable', 'bad_response');
      const encoded = '<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>';
      await rejectsWith(listWith(page(entry('p/%ff'), encoded)), 'unavailable', 'bad_response', 'p/%ff');
    });

    it('refuses a page that repeats for ever', async () => {
      const repeating = page(
        entry('p/a'),
        '<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>',
      );
      s3.failNext('list', { kind: 'body', text: repeating }, { kind: 'body', text: repeating });
      await rejectsWith(Array.fromAsync(store.list('p/')), 'unsupported', 'unordered_listing');
    });

    it('is an error when it is no listing, never an empty one', async () => {
      for (const text of ['', 'no xml', '<a><b></a>', '<html></html>', '{"json":true}', page('').slice(0, -30)]) {
        await rejectsWith(listWith(text), 'unavailable', 'bad_response', 's3://lake/p/');
      }
    });

    it(`gives ${PAGES * 1000} keys as they come: no page ahead of its reader, nothing kept of what it has passed`, async () => {
      let sent = 0;
      s3.faultOf = ({ op }) => {
        if (op !== 'list') return undefined;
        const first = sent * 1000;
        sent += 1;
        const entries = Array.from({ length: 1000 }, (_, i) => entry(`p/${String(first + i).padStart(12, '0')}`));
        const more = `<IsTruncated>${sent < PAGES}</IsTruncated><NextContinuationToken>${sent}</NextContinuationToken>`;
        return { kind: 'body', text: page(entries.join(''), more) };
      };
      let listed = 0;
      let heldEarly = 0;
      for await (const { key } of store.list('p/')) {
        assert.ok(key.endsWith(String(listed).padStart(12, '0')));
        listed += 1;
        assert.equal(sent, Math.ceil(listed / 1000));
        if (listed === 20_000) heldEarly = heldBytes();
      }
      assert.equal(listed, PAGES * 1000);
      const grown = heldBytes() - heldEarly;
      // Held, each object would take more than a hundred bytes; the requests that this server remembers take fewer.
      assert.ok(grown < 4 * 2 ** 20, `${grown} bytes more`);
    });

    it('does not read a page without end', async () => {
      const text = page(entry('p/a').repeat(200_000));
      await rejectsWith(listWith(text), 'unavailable', 'bad_response', 'bytes');
    });
  });
});

/** What the heap holds after a collection. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { readonly port: number };
  await new Promise((done) => server.close(done));
  return port;
}
