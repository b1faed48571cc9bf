/** What an upload makes of answers that a real server seldom gives. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import * as sdk from '@aws-sdk/client-s3';
import { type S3Connection, S3Writer } from '../../src/storage/index.ts';
import { ManualClock } from '../support/manual-clock.ts';

type Input = Readonly<Record<string, unknown>>;

/** `answer` says what the server says to each command. */
function writerTo(answer: (name: string, input: Input, calls: number) => unknown) {
  const calls = new Map<string, number>();
  const client = {
    async send(command: { readonly input: Input }) {
      const { input } = command;
      const name = command.constructor.name.replace('Command', '');
      calls.set(name, (calls.get(name) ?? 0) + 1);
      const said = answer(name, input, calls.get(name) ?? 0);
      if (said instanceof Error) throw said;
      return said;
    },
  };
  const clock = new ManualClock();
  const connection = {
    endpoint: 'http://test',
    requestTimeoutMs: 1000,
    clock,
    onAttempt: () => undefined,
    use: async () => ({ sdk, client }),
  };
  const writer = new S3Writer(connection as unknown as S3Connection, 'lake', { baseDelayMs: 0, random: () => 0 });
  return { writer, calls };
}

function fault(status: number, name: string): Error {
  return Object.assign(new Error(name), { name, $metadata: { httpStatusCode: status } });
}

const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest();
const BYTES = Buffer.from('an object');
const PART_ETAG = `"${md5(BYTES).toString('hex')}"`;
const OBJECT_ETAG = `"${md5(md5(BYTES)).toString('hex')}-1"`;

function answers(complete: (calls: number, input: Input) => unknown, head: unknown) {
  return (name: string, input: Input, calls: number): unknown => {
    if (name === 'CreateMultipartUpload') return { UploadId: 'u' };
    if (name === 'UploadPart') return { ETag: PART_ETAG };
    if (name === 'HeadObject') return head;
    if (name === 'CompleteMultipartUpload') return complete(calls, input);
    return {};
  };
}

async function uploaded(answer: Parameters<typeof writerTo>[0]) {
  const { writer, calls } = writerTo(answer);
  const upload = await writer.begin('a.parquet', new AbortController().signal);
  await upload.write(BYTES);
  await upload.flush();
  return { upload, calls };
}

test('a completion whose answer was lost is one, if the object that is there is its own', async () => {
  const lost = (calls: number) => (calls === 1 ? fault(503, 'ServiceUnavailable') : fault(404, 'NoSuchUpload'));
  const ours = { ContentLength: BYTES.length, ETag: OBJECT_ETAG };
  const { upload, calls } = await uploaded(answers(lost, ours));
  await upload.complete({ isNew: true });
  assert.equal(calls.get('CompleteMultipartUpload'), 2);
  const another = await uploaded(answers(lost, { ...ours, ETag: '"0123-1"' }));
  await assert.rejects(another.upload.complete({ isNew: true }), /NoSuchUpload/);
});

test('a new object is asked for as such, and one of another is not replaced', async () => {
  let asked: unknown;
  const taken = (_: number, input: Input) => {
    asked = input.IfNoneMatch;
    return fault(412, 'PreconditionFailed');
  };
  const { upload } = await uploaded(answers(taken, { ContentLength: 3, ETag: '"theirs"' }));
  await assert.rejects(upload.complete({ isNew: true }), /was made meanwhile by somebody else/);
  assert.equal(asked, '*');
  const replacing = await uploaded(answers((_, input) => input, undefined));
  await replacing.upload.complete({ isNew: false });
});

test('a part that fails for good fails the upload, and its rights are named', async () => {
  const { writer, calls } = writerTo((name) => {
    if (name === 'CreateMultipartUpload') return { UploadId: 'u' };
    return name === 'UploadPart' ? fault(403, 'AccessDenied') : {};
  });
  const upload = await writer.begin('a.parquet', new AbortController().signal);
  await upload.write(BYTES);
  await assert.rejects(upload.flush(), /s3:PutObject/);
  await upload.abort();
  assert.equal(calls.get('UploadPart'), 1);
  assert.equal(calls.get('AbortMultipartUpload'), 1);
});

test('writes of any length become parts of one size', async () => {
  const sizes: number[] = [];
  const { writer } = writerTo((name, input) => {
    if (name === 'CreateMultipartUpload') return { UploadId: 'u' };
    if (name === 'UploadPart') sizes.push((input.Body as Uint8Array).length);
    return { ETag: PART_ETAG };
  });
  const upload = await writer.begin('a.parquet', new AbortController().signal);
  const piece = Buffer.alloc(5 << 20);
  for (let i = 0; i < 8; i += 1) await upload.write(piece);
  await upload.flush();
  assert.deepEqual(
    sizes,
    Array.from({ length: 5 }, () => 8 << 20),
  );
});
