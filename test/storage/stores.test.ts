/** Sources through the stores of a process: what belongs to a source, what is counted, and what is loaded only when needed. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  FileStore,
  fetchRanges,
  InstrumentedStore,
  type ListSourceOptions,
  listSource,
  openSource,
  type StorageRequest,
  Stores,
} from '../../src/storage/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { pattern, rejectsWith } from './object-store.contract.ts';

const credentials = { accessKeyId: 'tester', secretAccessKey: 'secret' };

const FILES = [
  'users/a.parquet',
  'users/b.snappy',
  'users/no-extension',
  'users/_p=1/c.parquet',
  'users/dt=2026-01-01/d.parquet',
  'users/sub/deep/e.parquet',
] as const;
const NOT_DATA = [
  'users/_SUCCESS',
  'users/_metadata',
  'users/_temporary/0/f.parquet',
  'users/.part-0.crc',
  'users/.hoodie/x',
  'users/sub/_delta_log/0.json',
  'users/_file=1',
] as const;
const EMPTY = ['users/empty.parquet', 'users/sub/empty'] as const;
const ELSEWHERE = ['users2/x.parquet', 'usersx'] as const;

describe('sources', () => {
  let root: string;
  let s3: FaultyS3;
  let stores: Stores;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'pointlake-sources-'));
    s3 = await FaultyS3.start({ pageSize: 3 });
    stores = new Stores({ s3: { endpoint: s3.endpoint, credentials } });
    for (const name of [...FILES, ...NOT_DATA, ...EMPTY, ...ELSEWHERE]) {
      const bytes = EMPTY.some((empty) => empty === name) ? Buffer.alloc(0) : pattern(100, 1);
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), bytes);
      s3.put('lake', name, bytes);
    }
    s3.put('lake', 'users/', Buffer.alloc(0));
  });
  after(async () => {
    await stores.close();
    await s3.stop();
    await rm(root, { recursive: true });
  });

  const keysOf = async (uri: string, base: string, options?: ListSourceOptions) => {
    const { source, store } = await openSource(uri, stores);
    const objects = await Array.fromAsync(listSource(store, source, options));
    return objects.map(({ key }) => key.slice(base.length)).sort();
  };
  const places = () => [
    { name: 'files', at: `${root}/`, base: `${root}/` },
    { name: 'S3', at: 's3://lake/', base: '' },
  ];

  it('below a prefix take everything but what is empty or hidden', async () => {
    for (const { name, at, base } of places()) {
      assert.deepEqual(await keysOf(`${at}users/`, base), [...FILES].sort(), name);
      assert.deepEqual(await keysOf(`${at}users`, base), [...FILES].sort(), `${name}, without the slash`);
      assert.deepEqual(await keysOf(`${at}users/**`, base), [...FILES].sort(), `${name}, as a glob`);
      assert.deepEqual(await keysOf(`${at}users/_temporary/`, base), ['users/_temporary/0/f.parquet'], 'as was asked');
    }
  });

  it('by a glob take what it matches', async () => {
    for (const { name, at, base } of places()) {
      assert.deepEqual(await keysOf(`${at}users/*.parquet`, base), ['users/a.parquet'], name);
      assert.deepEqual(await keysOf(`${at}users/dt=*/*.parquet`, base), ['users/dt=2026-01-01/d.parquet'], name);
      assert.deepEqual(await keysOf(`${at}users?/*`, base), ['users2/x.parquet'], name);
      assert.deepEqual(await keysOf(`${at}users/nothing-*`, base), [], name);
    }
  });

  it('by a name take that object, whatever it is called and however empty it is', async () => {
    for (const { name, at, base } of places()) {
      assert.deepEqual(await keysOf(`${at}users/_SUCCESS`, base), ['users/_SUCCESS'], name);
      assert.deepEqual(await keysOf(`${at}users/empty.parquet`, base), ['users/empty.parquet'], name);
      await rejectsWith(openSource(`${at}users/none.parquet`, stores), 'notFound', 'object_not_found', 'none.parquet');
    }
  });

  it('are not found when a local folder is not there', async () => {
    await rejectsWith(openSource(`${root}/nowhere/`, stores), 'notFound', 'object_not_found', 'nowhere');
    await rejectsWith(openSource(`${root}/usersx/`, stores), 'notFound', 'object_not_found', 'usersx');
    assert.deepEqual(await keysOf('s3://lake/nowhere/', ''), []);
  });

  it('are refused when they have too many objects, or a glob has too much to look through', async () => {
    for (const { at, base } of places()) {
      assert.equal((await keysOf(`${at}users/`, base, { maxObjects: FILES.length })).length, FILES.length);
      const listing = keysOf(`${at}users/`, base, { maxObjects: FILES.length - 1 });
      await rejectsWith(listing, 'tooLarge', 'too_many_objects', `${FILES.length - 1}`);
      await rejectsWith(keysOf(`${at}users/no*`, base, { maxObjects: 1 }), 'tooLarge', 'too_many_objects');
    }
  });

  it('can be left', async () => {
    const { source, store } = await openSource('s3://lake/users/', stores);
    const reason = new Error('left');
    const listing = Array.fromAsync(listSource(store, source, { signal: AbortSignal.abort(reason) }));
    await assert.rejects(listing, (error) => error === reason);
  });
});

describe('counting', () => {
  it('tells every request, its bytes and its errors', async () => {
    const s3 = await FaultyS3.start({ pageSize: 2 });
    for (const key of ['p/1', 'p/2', 'p/3', 'p/4', 'p/5']) s3.put('lake', key, pattern(1000, 1));
    const told: (readonly [string, StorageRequest])[] = [];
    const clock = new ManualClock();
    // Only retries sleep on this clock: the requests' own time limits must not come.
    const stores = new Stores(
      { s3: { endpoint: s3.endpoint, credentials, requestTimeoutMs: 2 ** 31 } },
      { clock, random: () => 0, onRequest: (store, request) => told.push([store, request]) },
    );
    const store = stores.storeFor({ bucket: 'lake' });
    assert.equal(stores.storeFor({ bucket: 'lake' }), store, 'one store a bucket');
    const objects = await Array.fromAsync(store.list('p/'));
    const [first] = objects;
    assert.ok(first);
    s3.failNext('get', { kind: 'status', status: 503, code: 'SlowDown' });
    const reading = fetchRanges(store, first, [
      { start: 0, end: 10 },
      { start: 20, end: 30 },
    ]);
    while (clock.slept.filter((ms) => ms < 2 ** 31).length === 0) await new Promise((next) => setImmediate(next));
    clock.advance(0);
    await reading;
    await rejectsWith(store.head('none'), 'notFound', 'object_not_found');
    await assert.rejects(store.head('p/1', { signal: AbortSignal.abort(new Error('left')) }), /left/);
    assert.deepEqual(
      told.map(([name, { op, key, range, bytes, error }]) => [name, op, key, range, bytes, error?.code]),
      [
        ['s3://lake', 'list', 'p/', undefined, 0, undefined],
        ['s3://lake', 'get', 'p/1', { start: 0, end: 30 }, 30, undefined],
        ['s3://lake', 'head', 'none', undefined, 0, 'object_not_found'],
        ['s3://lake', 'head', 'p/1', undefined, 0, undefined],
      ],
    );
    assert.deepEqual(stores.status(), [
      {
        name: 's3://lake',
        heads: 2,
        gets: 1,
        lists: 1,
        listed: 5,
        bytes: 30,
        errors: 1,
        // 3 pages, 2 GETs, a HEAD and the HEAD of its bucket.
        httpRequests: 7,
        retries: 1,
        hedges: 0,
        hedgesWon: 0,
      },
    ]);
    assert.equal(s3.requests.length, 7);
    await stores.close();
    await s3.stop();
  });

  it('counts a listing that fails or is left', async () => {
    const store = new InstrumentedStore(new FileStore(), 'file');
    await assert.rejects(Array.fromAsync(store.list('relative/')), { code: 'invalid_path' });
    for await (const _ of store.list(`${import.meta.dirname}/`)) break;
    const { lists, listed, errors } = store.counts();
    assert.deepEqual({ lists, listed, errors }, { lists: 2, listed: 1, errors: 1 });
    assert.equal(store.kind, 'file');
    assert.equal(store.cheapReads, true);
    await store.close();
  });

  it('keeps its connections for the next request', async () => {
    const s3 = await FaultyS3.start();
    s3.put('lake', 'a', pattern(1000, 1));
    // A second GET that is called off closes its connection, and a slow moment of the machine may cause one.
    const stores = new Stores({ s3: { endpoint: s3.endpoint, credentials }, maxConcurrent: 5, hedge: false });
    const store = stores.storeFor({ bucket: 'lake' });
    const meta = await store.head('a');
    for (let start = 0; start < 50; start += 1) await store.getRange(meta, { start, end: start + 5 });
    assert.equal(s3.connections, 1, 'one after another need one');
    await Promise.all(Array.from({ length: 200 }, (_, start) => store.getRange(meta, { start, end: start + 5 })));
    assert.ok(s3.connections <= 5, `${s3.connections} connections`);
    await stores.close();
    await s3.stop();
  });
});

describe('local use', () => {
  it('does not load the SDK', () => {
    const index = new URL('../../src/storage/index.ts', import.meta.url).href;
    const script = `
      import { registerHooks } from 'node:module';
      const loaded = [];
      registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
      const { Stores, openSource, listSource } = await import(${JSON.stringify(index)});
      const { source, store } = await openSource(${JSON.stringify(import.meta.dirname)}, new Stores());
      for await (const object of listSource(store, source)) await store.getRange(object, { start: 0, end: 1 });
      console.log(JSON.stringify(loaded));`;
    const out = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
    const loaded: readonly string[] = JSON.parse(out);
    assert.ok(
      loaded.some((url) => url.endsWith('/s3-store.ts')),
      'the hook saw what was loaded',
    );
    assert.deepEqual(
      loaded.filter((url) => /aws-sdk|smithy/.test(url)),
      [],
    );
  });
});
