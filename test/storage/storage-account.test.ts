/** The bill of a table: every HTTP request that it caused, retries, second requests and pages of listings included. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeldObjects, StorageAccount, Stores, tableStores } from '../../src/storage/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { pattern } from './object-store.contract.ts';

describe('the account of a table', () => {
  it('has what was sent for it, at the prices given, and nothing of other tables', async () => {
    const s3 = await FaultyS3.start({ pageSize: 2 });
    for (const key of ['p/1', 'p/2', 'p/3']) s3.put('lake', key, pattern(1_000_000, 1));
    const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } };
    const stores = new Stores({ s3: settings }, { random: () => 0 });
    const prices = { getUsdPerThousand: 1, listUsdPerThousand: 10, transferUsdPerGb: 2 };
    const [account, other] = [new StorageAccount(prices), new StorageAccount()];
    const held = new HeldObjects(0);
    const store = tableStores(stores, { account, held, coalesce: { maxGapBytes: 0 } }).storeFor({
      bucket: 'lake',
    } as never);
    const others = tableStores(stores, { account: other, held }).storeFor({ bucket: 'lake' } as never);
    const [object] = await Array.fromAsync(store.list('p/'));
    assert.ok(object);
    assert.deepEqual(account.bill(), { requests: 2, bytes: 0, usd: 0.02 });
    s3.failNext('get', { kind: 'status', status: 503, code: 'SlowDown' });
    await Promise.all([
      store.getRange(object, { start: 0, end: 400_000 }),
      store.getRange(object, { start: 500_000, end: 600_000 }),
      store.head('p/2'),
    ]);
    assert.deepEqual(account.bill(), { requests: 6, bytes: 500_000, usd: 0.02 + 0.004 + 0.001 });
    await others.getRange(object, { start: 0, end: 10 });
    assert.deepEqual(other.bill(), { requests: 1, bytes: 10, usd: 0.0000004 });
    assert.equal(account.bill().requests + other.bill().requests, s3.requests.length);
    await stores.close();
    await s3.stop();
  });
});
