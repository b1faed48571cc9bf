/**
 * An S3 server behind a real S3's latency, in a process of its own, so that it does not share an event loop with what is
 * measured. Run by itself it serves the files it is told, says where on its first line, and ends with its starter.
 *
 *     node distant-s3.ts faulty|rgw SEED KEY=PATH...
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3Settings } from '../../src/storage/index.ts';
import { FaultyS3 } from '../../test/support/faulty-s3.ts';
import { LatencyProxy } from '../../test/support/latency-proxy.ts';
import { startRgw } from '../../test/support/rgw.ts';

export interface DistantS3 {
  readonly settings: S3Settings & { readonly endpoint: string };
  stop(): Promise<void>;
}

export const BUCKET = 'lake';

/** `files`: key to path. */
export async function startDistantS3(
  server: 'faulty' | 'rgw',
  seed: number,
  files: Readonly<Record<string, string>>,
): Promise<DistantS3> {
  const pairs = Object.entries(files).map(([key, path]) => `${key}=${path}`);
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), server, String(seed), ...pairs], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failed(child)]);
  return {
    settings: JSON.parse(line) as DistantS3['settings'],
    async stop() {
      const exited = once(child, 'exit');
      child.stdin.end();
      await exited;
    },
  };
}

async function failed(child: ChildProcess): Promise<never> {
  const [status] = await once(child, 'exit');
  throw new Error(`the S3 server ended with status ${status} before it was ready`);
}

async function serve([server, seed, ...pairs]: readonly string[]): Promise<void> {
  const files = pairs.map((pair) => {
    const at = pair.indexOf('=');
    return { key: pair.slice(0, at), bytes: readFileSync(pair.slice(at + 1)) };
  });
  const origin = server === 'rgw' ? await rgwWith(files) : await faultyWith(files);
  const proxy = await LatencyProxy.start(origin.endpoint, { seed: Number(seed) });
  const { credentials } = origin;
  process.stdout.write(`${JSON.stringify({ endpoint: proxy.endpoint, region: 'us-east-1', credentials })}\n`);
  process.stdin.resume();
  await once(process.stdin, 'end');
  await proxy.stop();
  await origin.stop();
}

type Files = readonly { readonly key: string; readonly bytes: Buffer }[];

async function faultyWith(files: Files) {
  const s3 = await FaultyS3.start({ buckets: [BUCKET] });
  for (const { key, bytes } of files) s3.put(BUCKET, key, bytes);
  const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench' };
  return { endpoint: s3.endpoint, credentials, stop: () => s3.stop() };
}

async function rgwWith(files: Files) {
  const { endpoint, region, accessKeyId, secretAccessKey, stop } = await startRgw();
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  for (const { key, bytes } of files) {
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: bytes }));
  }
  client.destroy();
  return { endpoint, credentials, stop };
}

if (import.meta.main) await serve(process.argv.slice(2));
