/** Copies from S3 to S3 on a real server: nothing is seen of one before it is whole, and nothing is left of one that fails. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
} from '@aws-sdk/client-s3';
import { openTarget, type RewriteTarget, rewrite } from '../../src/rewrite/index.ts';
import { S3Connection, type S3Settings, S3Writer } from '../../src/storage/index.ts';
import { type S3Admin, s3Admin } from '../storage/s3-client.ts';
import { scannedRows } from '../support/nested-oracles.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { type Rgw, startRgw } from '../support/rgw.ts';
import { parquetBytes, scratchFolder } from '../support/scratch.ts';
import { SMALL } from './copying.ts';

const BUCKET = 'lake';
const ROWS = 4000;

let rgw: Rgw;
let admin: S3Admin;
let s3: S3Settings;

before(async () => {
  rgw = await startRgw();
  admin = s3Admin(rgw);
  const { endpoint, accessKeyId, secretAccessKey } = rgw;
  s3 = { endpoint, credentials: { accessKeyId, secretAccessKey } };
  await admin.makeBucket(BUCKET);
  await putSource('a');
});

after(async () => {
  admin?.client.destroy();
  await rgw?.stop();
});

/** 4,000 rows whose ids are shuffled, in an object that is too large to be read whole when it is opened. */
async function putSource(text: string): Promise<void> {
  const ids = Array.from({ length: ROWS }, (_, i) => (i * 2741) % ROWS);
  const bytes = parquetBytes([
    { name: 'id', data: ids, type: 'INT32', nullable: false },
    {
      name: 'text',
      data: ids.map((id) => `${text} ${id} ${createHash('sha512').update(`${text} ${id}`).digest('hex')}`),
      type: 'STRING',
    },
  ]);
  await admin.put(BUCKET, 'source/a.parquet', bytes);
}

async function keysBelow(prefix: string): Promise<string[]> {
  const { Contents = [] } = await admin.client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: prefix }));
  return Contents.map(({ Key = '' }) => Key);
}

async function uploads(): Promise<readonly string[]> {
  const { Uploads = [] } = await admin.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
  return Uploads.map(({ Key = '' }) => Key);
}

interface More {
  readonly force?: boolean;
  /** What happens at a step of the target. */
  readonly meanwhile?: (target: RewriteTarget) => RewriteTarget;
  readonly signal?: AbortSignal;
  /** Once the source has been listed. */
  readonly listed?: () => Promise<void>;
}

async function copied(context: TestContext, to: string, { force = false, meanwhile, signal, listed }: More = {}) {
  const source = `s3://${BUCKET}/source/`;
  const node = nodeOf(context, [{ name: 'source', source, key: ['id'] }], { s3 });
  const snapshot = await node.catalog.get('source').refresh();
  const opened = await openTarget(to, source, force, s3);
  const target = meanwhile?.(opened) ?? opened;
  await listed?.();
  try {
    return await rewrite(node.loader, snapshot, target, {
      ...SMALL,
      uri: source,
      fileBytes: 8000,
      temporaryFolder: scratchFolder(context),
      signal: signal ?? noDeadline,
    });
  } finally {
    await opened.close();
  }
}

async function rowsOf(context: TestContext, source: string) {
  const node = nodeOf(context, [{ name: 'copy', source, key: ['id'] }], { s3 });
  return scannedRows(node, await node.catalog.get('copy').refresh());
}

function assertWhole(rows: readonly Readonly<Record<string, unknown>>[], text: string): void {
  assert.deepEqual(
    rows.map(({ id }) => Number(id)).sort((a, b) => a - b),
    Array.from({ length: ROWS }, (_, i) => i),
  );
  for (const row of rows) assert.ok(String(row.text).startsWith(`${text} ${row.id} `));
}

/** The same target with a step that is watched or fails. */
function withStep(step: 'endFile' | 'commit', before: (calls: number) => Promise<void>) {
  let calls = 0;
  return (target: RewriteTarget): RewriteTarget => {
    const original = target[step].bind(target);
    target[step] = async () => {
      calls += 1;
      await before(calls);
      await original();
    };
    return target;
  };
}

describe('a copy in S3', () => {
  it('appears when it is whole, its _SUCCESS last', async (context) => {
    const seen: (readonly string[])[] = [];
    const watch = withStep('endFile', async () => void seen.push(await keysBelow('copy/')));
    const { files } = await copied(context, `s3://${BUCKET}/copy/`, { meanwhile: watch });
    assert.ok(files >= 3, `${files} files`);
    assert.deepEqual(seen.flat(), [], 'nothing is seen while it is written');
    const keys = await keysBelow('copy/');
    assert.equal(keys.filter((key) => /part-[0-9]{5}-[0-9a-f]{8}\.parquet$/.test(key)).length, files);
    assert.ok(keys.includes('copy/_SUCCESS'));
    assert.deepEqual(await uploads(), []);
    assertWhole(await rowsOf(context, `s3://${BUCKET}/copy/`), 'a');
  });

  it('is refused where something is, and takes its place when forced', async (context) => {
    await assert.rejects(copied(context, `s3://${BUCKET}/copy/`), /exists; .*--force/);
    const before = await keysBelow('copy/');
    await putSource('b');
    await copied(context, `s3://${BUCKET}/copy`, { force: true });
    const keys = await keysBelow('copy/');
    assert.ok(keys.every((key) => key.endsWith('_SUCCESS') || !before.includes(key)));
    assertWhole(await rowsOf(context, `s3://${BUCKET}/copy/`), 'b');
    await admin.put(BUCKET, 'mine/notes.txt', Buffer.from('x'));
    await assert.rejects(
      copied(context, `s3://${BUCKET}/mine/`, { force: true }),
      /mine\/notes.txt, which no rewrite made/,
    );
    await assert.rejects(copied(context, `s3://${BUCKET}/source/copy/`), /lies in the source/);
  });

  it('is one object where it is to be one', async (context) => {
    const to = `s3://${BUCKET}/one.parquet`;
    await copied(context, to);
    assertWhole(await rowsOf(context, to), 'b');
    await assert.rejects(copied(context, to), /exists; .*--force/);
    await putSource('c');
    await copied(context, to, { force: true });
    assertWhole(await rowsOf(context, to), 'c');
    assert.deepEqual(await keysBelow('one'), ['one.parquet']);
  });

  it('leaves nothing when it fails or is interrupted while it is written', async (context) => {
    const fail = withStep('endFile', async (calls) => {
      if (calls === 3) throw new Error('a fault of the test');
    });
    await assert.rejects(copied(context, `s3://${BUCKET}/failed/`, { meanwhile: fail }), /a fault of the test/);
    const stop = new AbortController();
    const interrupt = withStep('endFile', async () => stop.abort(new Error('interrupted')));
    const stopped = copied(context, `s3://${BUCKET}/failed/`, { meanwhile: interrupt, signal: stop.signal });
    await assert.rejects(stopped, /interrupted/);
    assert.deepEqual(await keysBelow('failed/'), []);
    assert.deepEqual(await uploads(), []);
  });

  it('that cannot be completed leaves the old one as it was', async (context) => {
    const before = await keysBelow('copy/');
    const takeAway = withStep('commit', async () => {
      const { Uploads = [] } = await admin.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
      const last = Uploads.map(({ Key = '', UploadId }) => ({ Key, UploadId })).sort((a, b) =>
        a.Key < b.Key ? 1 : -1,
      )[0];
      assert.ok(last !== undefined && Uploads.length >= 3);
      await admin.client.send(new AbortMultipartUploadCommand({ Bucket: BUCKET, ...last, UploadId: last.UploadId }));
    });
    await assert.rejects(copied(context, `s3://${BUCKET}/copy/`, { force: true, meanwhile: takeAway }), {
      kind: 'unavailable',
    });
    assert.deepEqual(await keysBelow('copy/'), before);
    assert.deepEqual(await uploads(), []);
    assertWhole(await rowsOf(context, `s3://${BUCKET}/copy/`), 'b');
  });

  it('is whole though the answer to a completion was lost', async () => {
    const connection = new S3Connection(s3);
    const writer = new S3Writer(connection, BUCKET);
    const upload = await writer.begin('lost.parquet', noDeadline);
    const bytes = Buffer.alloc(20 << 20, 'some bytes of more than two parts');
    await upload.write(bytes.subarray(0, 3));
    await upload.write(bytes.subarray(3));
    await upload.flush();
    const { Uploads = [] } = await admin.client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
    const [{ Key, UploadId } = {}] = Uploads;
    const { Parts = [] } = await admin.client.send(new ListPartsCommand({ Bucket: BUCKET, Key, UploadId }));
    assert.equal(Parts.length, 3);
    const done = { Parts: Parts.map(({ ETag, PartNumber }) => ({ ETag, PartNumber })) };
    await admin.client.send(
      new CompleteMultipartUploadCommand({ Bucket: BUCKET, Key, UploadId, MultipartUpload: done }),
    );
    await upload.complete({ isNew: true });
    const object = await writer.find('lost.parquet');
    assert.equal(object?.sizeBytes, bytes.length);
    await connection.close();
  });

  it('fails when the source changes meanwhile, and nothing is written', async (context) => {
    const changed = copied(context, `s3://${BUCKET}/changed/`, { listed: () => putSource('d') });
    await assert.rejects(changed, { kind: 'changed' });
    assert.deepEqual(await keysBelow('changed/'), []);
    assert.deepEqual(await uploads(), []);
  });
});
