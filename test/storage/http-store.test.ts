/** Files on web servers, from well-mannered ones to those that ignore what they are asked: one version, exactly the range, or an error. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { ServiceError } from '../../src/core/index.ts';
import { HttpStore, isRetryable, NO_VERSION } from '../../src/storage/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';
import { GOOD_MANNERS, type WebManners, WebServer } from '../support/web-server.ts';
import { pattern, rejectsWith } from './object-store.contract.ts';

const BYTES = pattern(10_000, 1);
const RANGE = { start: 100, end: 5000 };

async function start(context: TestContext, manners: Partial<WebManners> = {}) {
  const server = await WebServer.start(BYTES);
  server.manners = { ...GOOD_MANNERS, ...manners };
  context.after(() => server.stop());
  const store = new HttpStore();
  return { server, store };
}

describe('a file on a web server', () => {
  const versions: readonly (readonly [string, Partial<WebManners>, string])[] = [
    ['a strong ETag', {}, 'if-match'],
    ['a strong ETag that is not looked at', { conditions: false }, 'if-match'],
    ['a weak ETag and Last-Modified', { eTag: 'weak' }, 'if-unmodified-since'],
    ['Last-Modified that is not looked at', { eTag: 'none', conditions: false }, 'if-unmodified-since'],
  ];
  for (const [what, manners, header] of versions) {
    it(`is read at its version by ${what}, and has changed when that has`, async (context) => {
      const { server, store } = await start(context, manners);
      const meta = await store.head(server.url);
      assert.equal(meta.sizeBytes, BYTES.length);
      assert.ok(Buffer.from(await store.getRange(meta, RANGE)).equals(BYTES.subarray(100, 5000)));
      assert.ok(server.requests.at(-1)?.[header] !== undefined);
      assert.equal(server.requests.at(-1)?.['accept-encoding'], 'identity');
      server.put(pattern(10_000, 2), '2026-01-02T00:00:00Z');
      await rejectsWith(store.getRange(meta, RANGE), 'changed', 'changed');
      const next = await store.head(server.url);
      assert.notEqual(next.eTag, meta.eTag);
      assert.ok(Buffer.from(await store.getRange(next, RANGE)).equals(pattern(10_000, 2).subarray(100, 5000)));
    });
  }

  it('without any version says so, and is another one at least when its length is', async (context) => {
    const { server, store } = await start(context, { eTag: 'weak', lastModified: false });
    const meta = await store.head(server.url);
    assert.equal(meta.eTag, NO_VERSION);
    assert.equal((await store.getRange(meta, RANGE)).length, 4900);
    server.put(pattern(10_001, 1), '2026-01-02T00:00:00Z');
    await rejectsWith(store.getRange(meta, RANGE), 'changed', 'changed');
  });

  it('is changed when it is gone, and not found when it never was', async (context) => {
    const { server, store } = await start(context);
    const meta = await store.head(server.url);
    server.instead.push((_, response) => response.writeHead(404).end());
    await rejectsWith(store.getRange(meta, RANGE), 'changed', 'changed');
    server.instead.push((_, response) => response.writeHead(404).end());
    await rejectsWith(store.head(server.url), 'notFound', 'object_not_found', '/data/t.parquet');
  });

  it('is refused from a server without ranges, and an empty one is empty', async (context) => {
    const { server, store } = await start(context, { ranges: false });
    await rejectsWith(store.head(server.url), 'unavailable', 'ranges_unsupported');
    server.manners = GOOD_MANNERS;
    server.put(new Uint8Array(0), '2026-01-02T00:00:00Z');
    assert.equal((await store.head(server.url)).sizeBytes, 0);
  });

  const wrong: readonly (readonly [string, number, Record<string, string>, Buffer])[] = [
    ['500', 500, {}, Buffer.of()],
    ['429', 429, {}, Buffer.of()],
    ['200 and the whole', 200, {}, BYTES],
    ['another range', 206, { 'content-range': 'bytes 0-4899/10000' }, BYTES.subarray(0, 4900)],
    ['no range', 206, {}, BYTES.subarray(100, 5000)],
    ['a length that is no number', 206, { 'content-range': 'bytes 100-4999/*' }, BYTES.subarray(100, 5000)],
    ['a short body', 206, { 'content-range': 'bytes 100-4999/10000' }, BYTES.subarray(100, 4999)],
    ['a long body', 206, { 'content-range': 'bytes 100-4999/10000' }, BYTES.subarray(100, 5001)],
    ['gzip', 206, { 'content-range': 'bytes 100-4999/10000', 'content-encoding': 'br' }, BYTES.subarray(100, 5000)],
  ];
  for (const [what, status, headers, body] of wrong) {
    it(`is worth another try when it answers ${what}`, async (context) => {
      const { server, store } = await start(context);
      const meta = await store.head(server.url);
      server.instead.push((_, response) => response.writeHead(status, { etag: meta.eTag, ...headers }).end(body));
      const error = await store.getRange(meta, RANGE).catch((thrown) => thrown);
      assert.ok(error instanceof ServiceError && isRetryable(error), String(error));
      assert.ok(!JSON.stringify(error.toPlain()).includes('secret'), 'the query of a signed URL is not shown');
      assert.equal((await store.getRange(meta, RANGE)).length, 4900);
    });
  }

  it('is not tried again where credentials are wrong; is where the connection broke', async (context) => {
    const { server, store } = await start(context);
    const meta = await store.head(server.url);
    server.instead.push(
      (_, response) => response.writeHead(403).end(),
      (request) => request.socket.destroy(),
    );
    const denied = await store.getRange(meta, RANGE).catch((thrown) => thrown);
    assert.deepEqual([denied.code, isRetryable(denied)], ['access_denied', false]);
    const reset = await store.getRange(meta, RANGE).catch((thrown) => thrown);
    assert.deepEqual([reset.code, isRetryable(reset)], ['unavailable', true]);
  });

  it('ends at the time limit, and when the caller leaves', async (context) => {
    const { server } = await start(context);
    const clock = new ManualClock();
    const store = new HttpStore({ clock, requestTimeoutMs: 5000 });
    const meta = await store.head(server.url);
    server.instead.push(
      () => undefined,
      () => undefined,
    );
    const late = store.getRange(meta, RANGE).catch((thrown) => thrown);
    while (server.requests.length < 2) await new Promise((next) => setImmediate(next));
    clock.advance(5000);
    assert.equal((await late).code, 'request_timeout');
    const leaving = new AbortController();
    const left = store.getRange(meta, RANGE, { signal: leaving.signal });
    while (server.requests.length < 3) await new Promise((next) => setImmediate(next));
    const reason = new Error('left');
    leaving.abort(reason);
    await assert.rejects(left, (error) => error === reason);
    assert.equal(clock.sleeping, 0);
  });
});

describe('a file on an HTTPS server', () => {
  it('is read by ranges at its version where its certificate is trusted, and says so where it is not', async (context) => {
    const folder = scratchFolder(context);
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const named = ['-subj', '/CN=pointlake test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const ran = spawnSync('openssl', [...made, ...named, '-keyout', key, '-out', cert], { encoding: 'utf8' });
    if (ran.error !== undefined) return context.skip(`a certificate cannot be made here: ${ran.error.message}`);
    assert.equal(ran.status, 0, ran.stderr);
    const identity = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
    const server = await WebServer.start(BYTES, identity);
    context.after(() => server.stop());
    assert.match(server.url, /^https:/);
    const store = new HttpStore();
    const refused = await store.head(server.url).catch((thrown) => thrown);
    assert.deepEqual([refused.code, isRetryable(refused)], ['unavailable', false]);
    assert.match(refused.message, /certificate/);
    const before = getCACertificates('default');
    context.after(() => setDefaultCACertificates(before));
    setDefaultCACertificates([...before, identity.cert]);
    const meta = await store.head(server.url);
    assert.ok(Buffer.from(await store.getRange(meta, RANGE)).equals(BYTES.subarray(100, 5000)));
    assert.equal(server.requests.at(-1)?.['if-match'], meta.eTag);
    server.put(pattern(10_000, 2), '2026-01-02T00:00:00Z');
    await rejectsWith(store.getRange(meta, RANGE), 'changed', 'changed');
  });
});

describe('a table on a web server', () => {
  const rows = (version: string) => {
    const ids = Array.from({ length: 20_000 }, (_, i) => i);
    const text = ids.map((id) => `${version} of ${id}`);
    return parquetBytes(
      [
        { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
        { name: 'text', data: text, type: 'STRING', encoding: 'PLAIN' },
      ],
      { codec: 'UNCOMPRESSED' },
    );
  };

  it('answers lookups, and the new version whole once the file is another', async (context) => {
    const { server } = await start(context);
    server.put(rows('v1'), '2026-01-01T00:00:00Z');
    const node = nodeOf(context, [{ name: 't', source: server.url, key: ['id'] }]);
    const table = node.catalog.get('t');
    const look = async (id: number) => {
      const snapshot = table.current();
      const projection = snapshot.projection(['text']);
      return (await node.engine.row(snapshot, keyOf(snapshot, String(id)), projection, noDeadline)).json;
    };
    await table.refresh();
    assert.equal(await look(7), '{"text":"v1 of 7"}');
    server.put(rows('v2'), '2026-01-02T00:00:00Z');
    await assert.rejects(look(19_999), { kind: 'changed' });
    await table.refresh();
    assert.equal(await look(19_999), '{"text":"v2 of 19999"}');
    assert.equal(table.source.account.bill().requests, server.requests.length);
    assert.equal(table.source.account.bill().usd, 0);
  });

  it('whose server names no version is refused, unless it is said to be immutable', async (context) => {
    const { server } = await start(context, { eTag: 'none', lastModified: false });
    server.put(rows('v1'), '2026-01-01T00:00:00Z');
    const node = nodeOf(context, [
      { name: 't', source: server.url, key: ['id'] },
      { name: 'i', source: server.url, key: ['id'], options: { immutable: true } },
    ]);
    await rejectsWith(node.catalog.get('t').refresh(), 'unavailable', 'no_version', 'immutable: true');
    assert.equal((await node.catalog.get('i').refresh()).rows, 20_000);
  });
});
