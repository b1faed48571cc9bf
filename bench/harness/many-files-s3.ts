/**
 * An S3 bucket of very many small Parquet files, each made when it is asked for, behind a real S3's latency; in a process
 * of its own. No server at hand takes 100,000 objects of 100 kB in a reasonable time, nor would their 10 GB fit.
 *
 * The files are one template, in which the upper 48 bits of the key are the file's number: `id` is number * 65,536 + row,
 * in the values and in every bound. Run by itself it says where it serves on its first line, and ends with its starter.
 *
 *     node many-files-s3.ts FILES FOLDERS latency|none
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { S3Settings } from '../../src/storage/index.ts';
import { logNormal, S3_LATENCY } from '../../test/support/latency-proxy.ts';
import { parquetBytes } from '../../test/support/scratch.ts';

export const ROWS_A_FILE = 1000;
const COLUMNS = 11;
/** Upper bytes that the template's keys have and nothing else in it. */
const MARK = Buffer.from('a1b2c3d4e516', 'hex');
const PAGE_KEYS = 1000;

export interface ManyFilesS3 {
  readonly settings: S3Settings & { readonly endpoint: string };
  stop(): Promise<void>;
}

export async function startManyFilesS3(files: number, folders: number, latency: boolean): Promise<ManyFilesS3> {
  const args = [files, folders, latency ? 'latency' : 'none'].map(String);
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), failed(child)]);
  return {
    settings: { endpoint: line, region: 'us-east-1', credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' } },
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

export function idOf(file: number, row: number): bigint {
  return BigInt(file) * 65_536n + BigInt(row);
}

export function cellAt(row: number, column: number): number {
  return row * 16 + column;
}

/** Ascending, as a listing gives them; files of neighbouring numbers share a folder. */
function keyOfFile(file: number, files: number, folders: number): string {
  const folder = Math.floor((file * folders) / files);
  const day = new Date(Date.UTC(2026, 0, 1 + folder)).toISOString().slice(0, 10);
  return `lake/dt=${day}/part-${String(file).padStart(6, '0')}.parquet`;
}

function template(): { readonly bytes: Buffer; readonly marks: readonly number[] } {
  const base = BigInt(`0x${Buffer.from(MARK).reverse().toString('hex')}0000`);
  const id = {
    name: 'id',
    data: BigInt64Array.from({ length: ROWS_A_FILE }, (_, row) => BigInt.asIntN(64, base + BigInt(row))),
    type: 'INT64' as const,
    encoding: 'PLAIN' as const,
    nullable: false,
  };
  const columns = Array.from({ length: COLUMNS }, (_, column) => ({
    name: `c${column}`,
    data: Float64Array.from({ length: ROWS_A_FILE }, (_value, row) => cellAt(row, column)),
    type: 'DOUBLE' as const,
    encoding: 'PLAIN' as const,
    nullable: false,
  }));
  const bytes = parquetBytes([id, ...columns], { codec: 'UNCOMPRESSED' });
  const marks: number[] = [];
  for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + 1)) marks.push(at);
  return { bytes, marks };
}

async function serve([fileCount, folderCount, latency]: readonly string[]): Promise<void> {
  const files = Number(fileCount);
  const keys = Array.from({ length: files }, (_, file) => keyOfFile(file, files, Number(folderCount)));
  const numbers = new Map(keys.map((key, file) => [key, file]));
  const { bytes, marks } = template();
  const draw = logNormal(S3_LATENCY, 1);
  const body = (file: number) => {
    const made = Buffer.from(bytes);
    for (const mark of marks) made.writeUIntLE(file, mark, MARK.length);
    return made;
  };
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    if (latency === 'latency') await sleep(draw());
    const url = new URL(request.url ?? '/', 'http://s3');
    const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'));
    const file = numbers.get(key);
    if (file !== undefined) answerObject(request, response, file, body(file));
    else if (url.searchParams.get('list-type') === '2') answerList(response, keys, bytes.length, url);
    else response.writeHead(404).end();
  };
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => void handle(request, response));
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
  });
  process.stdin.resume();
  await once(process.stdin, 'end');
  server.closeAllConnections();
  server.close();
}

function answerObject(request: IncomingMessage, response: ServerResponse, file: number, whole: Buffer): void {
  const [, first = '0', last = String(whole.length - 1)] =
    /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const part = whole.subarray(Number(first), Number(last) + 1);
  response.writeHead(206, {
    etag: `"${file}"`,
    'content-length': part.length,
    'content-range': `bytes ${first}-${Number(first) + part.length - 1}/${whole.length}`,
  });
  response.end(part);
}

function answerList(response: ServerResponse, keys: readonly string[], sizeBytes: number, url: URL): void {
  const prefix = url.searchParams.get('prefix') ?? '';
  const from = Number(url.searchParams.get('continuation-token') ?? 0);
  const page = 'lake/'.startsWith(prefix) || prefix === 'lake/' ? keys.slice(from, from + PAGE_KEYS) : [];
  const next = from + page.length;
  const contents = page.map((key, i) => {
    return `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${sizeBytes}</Size><ETag>"${from + i}"</ETag></Contents>`;
  });
  const isTruncated = page.length > 0 && next < keys.length;
  response.writeHead(200, { 'content-type': 'application/xml' });
  response.end(
    `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>` +
      `<IsTruncated>${isTruncated}</IsTruncated>${isTruncated ? `<NextContinuationToken>${next}</NextContinuationToken>` : ''}${contents.join('')}</ListBucketResult>`,
  );
}

if (import.meta.main) await serve(process.argv.slice(2));
