/** S3 stores against a real server, Ceph's RGW: what only a real one can prove of signatures, rights and listings. */

import assert from 'node:assert/strict';
import dns from 'node:dns';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { DeleteBucketCommand, PutBucketRequestPaymentCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import {
  listSource,
  openSource,
  S3Connection,
  type S3Settings,
  S3Store,
  Stores,
  tableNameOf,
} from '../../src/storage/index.ts';
import { BUCKET_DOMAIN, type Rgw, startRgw } from '../support/rgw.ts';
import { scratchFolder } from '../support/scratch.ts';
import { describeObjectStore, pattern, rejectsWith } from './object-store.contract.ts';
import { type S3Admin, s3Admin } from './s3-client.ts';

let rgw: Rgw;
let admin: S3Admin;
const connections: S3Connection[] = [];

before(async () => {
  rgw = await startRgw();
  admin = s3Admin(rgw);
});

after(async () => {
  await Promise.all(connections.map((connection) => connection.close()));
  admin?.client.destroy();
  await rgw?.stop();
});

type LookUpHost = (
  host: string,
  options: dns.LookupOptions,
  done: (error: Error | null, address: string | dns.LookupAddress[], family: number) => void,
) => void;

function connect(settings: S3Settings = {}): S3Connection {
  const { endpoint, accessKeyId, secretAccessKey } = rgw;
  const connection = new S3Connection({ endpoint, credentials: { accessKeyId, secretAccessKey }, ...settings });
  connections.push(connection);
  return connection;
}

describeObjectStore('Ceph RGW', async () => {
  await admin.makeBucket('contract');
  const connection = connect();
  return {
    store: new S3Store(connection, 'contract'),
    secondStore: () => new S3Store(connection, 'contract'),
    keyOf: (name) => name,
    put: (name, bytes) => admin.put('contract', name, bytes),
    remove: (name) => admin.remove('contract', name),
    stop: async () => undefined,
  };
});

describe('S3 on Ceph RGW', () => {
  before(async () => {
    await admin.makeBucket('lake');
    await admin.put('lake', 'users/a.parquet', pattern(1000, 1));
  });

  const storeWith = (settings: S3Settings, bucket = 'lake') => new S3Store(connect(settings), bucket);
  const readOne = async (store: S3Store) => {
    const meta = await store.head('users/a.parquet');
    return store.getRange(meta, { start: 10, end: 20 });
  };

  it('refuses a wrong secret and an unknown access key, each with what to check', async () => {
    const { accessKeyId, secretAccessKey } = rgw;
    const wrongSecret = storeWith({ credentials: { accessKeyId, secretAccessKey: 'wrong' } });
    const wrongKey = storeWith({ credentials: { accessKeyId: 'NOBODY', secretAccessKey } });
    await rejectsWith(wrongSecret.head('users/a.parquet'), 'unavailable', 'access_denied', 'check');
    await rejectsWith(wrongKey.head('users/a.parquet'), 'unavailable', 'access_denied', 'check');
    await rejectsWith(Array.fromAsync(wrongSecret.list('')), 'unavailable', 'access_denied', 'AWS_SECRET_ACCESS_KEY');
    await rejectsWith(Array.fromAsync(wrongKey.list('')), 'unavailable', 'access_denied', 'AWS_ACCESS_KEY_ID');
    const meta = await storeWith({}).head('users/a.parquet');
    await rejectsWith(wrongSecret.getRange(meta, { start: 0, end: 1 }), 'unavailable', 'access_denied');
  });

  it('tells a bucket that is not there from a key that is not there', async () => {
    const store = storeWith({}, 'no-such-bucket');
    await rejectsWith(store.head('x'), 'unavailable', 'no_such_bucket', 'no-such-bucket');
    await rejectsWith(Array.fromAsync(store.list('')), 'unavailable', 'no_such_bucket', 'no-such-bucket');
    const meta = { key: 'x', sizeBytes: 10, eTag: '"abc"' };
    await rejectsWith(store.getRange(meta, { start: 0, end: 1 }), 'unavailable', 'no_such_bucket');
    await rejectsWith(storeWith({}).head('x'), 'notFound', 'object_not_found', 's3://lake/x');
  });

  it('tells that the whole bucket went after the listing', async () => {
    await admin.makeBucket('short-lived');
    await admin.put('short-lived', 'users/a.parquet', pattern(100, 1));
    const store = storeWith({}, 'short-lived');
    const [listed] = await Array.fromAsync(store.list(''));
    assert.ok(listed);
    await admin.remove('short-lived', 'users/a.parquet');
    await admin.client.send(new DeleteBucketCommand({ Bucket: 'short-lived' }));
    await rejectsWith(store.getRange(listed, { start: 0, end: 1 }), 'unavailable', 'no_such_bucket');
  });

  it('reads a public bucket without credentials, and no private one', async () => {
    await admin.makeBucket('public', 'public-read');
    await admin.put('public', 'users/a.parquet', pattern(1000, 1), 'public-read');
    const anonymous: S3Settings = { anonymous: true, credentials: undefined };
    const open = storeWith(anonymous, 'public');
    assert.equal((await readOne(open)).length, 10);
    assert.equal((await Array.fromAsync(open.list(''))).length, 1);
    await rejectsWith(storeWith(anonymous).head('users/a.parquet'), 'unavailable', 'access_denied');
  });

  it('reads a bucket whose readers pay only when it agrees to, and says so where it does not', async () => {
    await admin.makeBucket('paid', 'public-read');
    await admin.put('paid', 'users/a.parquet', pattern(1000, 1), 'public-read');
    const RequestPaymentConfiguration = { Payer: 'Requester' } as const;
    await admin.client.send(new PutBucketRequestPaymentCommand({ Bucket: 'paid', RequestPaymentConfiguration }));
    const reader = await rgw.addUser();
    const paying = storeWith({ credentials: reader, requesterPays: true }, 'paid');
    assert.equal((await readOne(paying)).length, 10);
    assert.equal((await Array.fromAsync(paying.list(''))).length, 1);
    const meta = await paying.head('users/a.parquet');
    const refusing = storeWith({ credentials: reader }, 'paid');
    for (const work of [
      () => refusing.head('users/a.parquet'),
      () => refusing.getRange(meta, { start: 0, end: 1 }),
      () => Array.fromAsync(refusing.list('')),
    ]) {
      await rejectsWith(work(), 'unavailable', 'access_denied', 'storage.s3.requesterPays');
    }
    const nobody = storeWith({ anonymous: true, credentials: undefined, requesterPays: true }, 'paid');
    await rejectsWith(nobody.head('users/a.parquet'), 'unavailable', 'access_denied');
  });

  it('finds buckets as host names', async (context) => {
    const hosts: string[] = [];
    // Stands in for the wildcard that an operator of such a server has in DNS.
    context.mock.method(dns, 'lookup', ((host, options, done) => {
      hosts.push(host);
      const isOurs = host.endsWith(BUCKET_DOMAIN);
      if (!isOurs) return done(Object.assign(new Error(`no ${host}`), { code: 'ENOTFOUND' }), '', 4);
      if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }], 4);
      else done(null, '127.0.0.1', 4);
    }) as LookUpHost);
    const { port } = new URL(rgw.endpoint);
    const store = storeWith({ endpoint: `http://${BUCKET_DOMAIN}:${port}`, forcePathStyle: false });
    assert.equal((await readOne(store)).length, 10);
    const keys = (await Array.fromAsync(store.list('users/'))).map(({ key }) => key);
    assert.ok(keys.includes('users/a.parquet'));
    assert.deepEqual([...new Set(hosts)], [`lake.${BUCKET_DOMAIN}`]);
    await rejectsWith(store.head('users/none'), 'notFound', 'object_not_found');
  });

  it('takes credentials from a profile', async (context) => {
    const { accessKeyId, secretAccessKey } = rgw;
    const path = join(scratchFolder(context), 'credentials');
    const other = '[default]\naws_access_key_id = NOBODY\naws_secret_access_key = nothing\n';
    const own = `[lake]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
    await writeFile(path, other + own);
    const saved = { ...process.env };
    for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
    Object.assign(process.env, {
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: path,
    });
    try {
      await rejectsWith(readOne(storeWith({ credentials: undefined })), 'unavailable', 'access_denied');
      process.env.AWS_PROFILE = 'lake';
      assert.equal((await readOne(storeWith({ credentials: undefined }))).length, 10);
    } finally {
      process.env = saved;
    }
  });

  it('takes endpoint and credentials from the standard environment', async () => {
    const saved = { ...process.env };
    process.env.AWS_ENDPOINT_URL_S3 = rgw.endpoint;
    process.env.AWS_REGION = rgw.region;
    process.env.AWS_ACCESS_KEY_ID = rgw.accessKeyId;
    process.env.AWS_SECRET_ACCESS_KEY = rgw.secretAccessKey;
    try {
      const connection = new S3Connection({ forcePathStyle: true });
      connections.push(connection);
      assert.equal(connection.endpoint, rgw.endpoint);
      assert.equal((await readOne(new S3Store(connection, 'lake'))).length, 10);
    } finally {
      process.env = saved;
    }
  });

  it('reads keys that no path could have', async () => {
    const keys = ['odd//double', 'odd/./dot', 'odd/../up', 'odd/\u0001control', 'odd/trailing/', '/odd-leading'];
    for (const key of keys) await admin.put('lake', key, Buffer.from(key));
    const store = storeWith({});
    for (const key of keys) {
      const meta = await store.head(key);
      const read = await store.getRange(meta, { start: 0, end: meta.sizeBytes });
      assert.equal(Buffer.from(read).toString(), key);
    }
    const listed = (await Array.fromAsync(store.list('odd/'))).map(({ key }) => key);
    assert.deepEqual(listed, keys.filter((key) => key.startsWith('odd/')).sort());
  });

  it('holds to one version in a versioned bucket too', async () => {
    await admin.makeBucket('versioned');
    const Status = 'Enabled';
    await admin.client.send(
      new PutBucketVersioningCommand({ Bucket: 'versioned', VersioningConfiguration: { Status } }),
    );
    await admin.put('versioned', 'users/a.parquet', pattern(100, 1));
    const store = storeWith({}, 'versioned');
    const [first] = await Array.fromAsync(store.list(''));
    assert.ok(first);
    await admin.put('versioned', 'users/a.parquet', pattern(100, 2));
    await rejectsWith(store.getRange(first, { start: 0, end: 10 }), 'changed', 'changed');
    await admin.remove('versioned', 'users/a.parquet');
    await rejectsWith(store.getRange(first, { start: 0, end: 10 }), 'changed', 'changed');
    assert.deepEqual(await Array.fromAsync(store.list('')), []);
  });

  it('opens sources: an object, a folder with and without its slash, a glob', async () => {
    for (const key of ['users/b.parquet', 'users/_SUCCESS', 'users/_temporary/c.parquet', 'users/dt=1/d.snappy']) {
      await admin.put('lake', key, key.endsWith('_SUCCESS') ? Buffer.alloc(0) : pattern(50, 3));
    }
    const { endpoint, accessKeyId, secretAccessKey } = rgw;
    const stores = new Stores({ s3: { endpoint, credentials: { accessKeyId, secretAccessKey } } });
    const namesOf = async (uri: string) => {
      const { source, store } = await openSource(uri, stores);
      const keys = (await Array.fromAsync(listSource(store, source))).map(({ key }) => key);
      return { kind: source.kind, table: tableNameOf(source), keys };
    };
    const folder = ['users/a.parquet', 'users/b.parquet', 'users/dt=1/d.snappy'];
    assert.deepEqual(await namesOf('s3://lake/users/'), { kind: 'prefix', table: 'users', keys: folder });
    assert.deepEqual(await namesOf('s3://lake/users'), { kind: 'prefix', table: 'users', keys: folder });
    assert.deepEqual(await namesOf('s3://lake/users/*.parquet'), {
      kind: 'glob',
      table: 'users',
      keys: folder.slice(0, 2),
    });
    assert.deepEqual(await namesOf('s3://lake/users/a.parquet'), {
      kind: 'object',
      table: 'a',
      keys: folder.slice(0, 1),
    });
    await rejectsWith(openSource('s3://lake/nothing', stores), 'notFound', 'object_not_found');
    await rejectsWith(openSource('s3://no-such-bucket/x', stores), 'unavailable', 'no_such_bucket');
    const [status] = stores.status();
    assert.equal(status?.name, 's3://lake');
    assert.equal(status?.retries, 0);
    await stores.close();
  });

  it('serves hundreds of reads over four connections', async () => {
    const store = storeWith({ maxSockets: 4 });
    const meta = await store.head('users/a.parquet');
    for (let start = 0; start < 100; start += 1) await store.getRange(meta, { start, end: start + 10 });
    const read = await Promise.all(
      Array.from({ length: 300 }, (_, start) => store.getRange(meta, { start, end: start + 10 })),
    );
    assert.ok(read.every((bytes, start) => Buffer.from(bytes).equals(pattern(1000, 1).subarray(start, start + 10))));
  });
});
