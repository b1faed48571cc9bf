/**
 * A small S3 server inside the test process that fails on command.
 *
 * It speaks as much S3 as Pointlake asks for (HEAD, ranged GET with If-Match, ListObjectsV2, HEAD of a bucket), holds its
 * objects in memory, records every request, and checks no signatures: a real server does that in the RGW tests. Faults
 * are queued by kind of request and each is used once, so a test can say exactly which answers go wrong.
 */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Op = 'head' | 'get' | 'list' | 'headBucket';

export type Fault =
  /** Another status than success, with S3's own code in the body. */
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  | { readonly kind: 'resetBeforeAnswer' }
  | { readonly kind: 'resetMidBody' }
  /** Fewer or more bytes than the range, in a body that is otherwise complete. `endless` never stops. */
  | { readonly kind: 'shortBody' }
  | { readonly kind: 'overlongBody'; readonly endless?: boolean }
  | { readonly kind: 'wrongContentLength' }
  | { readonly kind: 'wrongContentRange'; readonly contentRange: string }
  /** 200 and the whole object, as by a server that knows no ranges. */
  | { readonly kind: 'wholeBody' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'hangMidBody' }
  | { readonly kind: 'delay'; readonly ms: number }
  /** Answered when the test says so. */
  | { readonly kind: 'until'; readonly done: Promise<void> }
  | { readonly kind: 'noETag' }
  /** Another version, given in spite of If-Match. */
  | { readonly kind: 'ignoreIfMatch' }
  | { readonly kind: 'body'; readonly text: string };

export interface RecordedRequest {
  readonly op: Op;
  readonly bucket: string;
  readonly key: string;
  /** As in the header: `bytes=0-9`. */
  readonly range: string | undefined;
  readonly ifMatch: string | undefined;
  readonly signed: boolean;
}

interface StoredObject {
  readonly bytes: Buffer;
  readonly eTag: string;
}

export class FaultyS3 {
  readonly requests: RecordedRequest[] = [];
  /** Bytes of bodies handed to sockets, to see that nobody reads an endless one. */
  bodyBytesSent = 0;
  /** Keys a page of a listing. */
  pageSize: number;
  connections = 0;
  /** Asked at every request that no queued fault meets: what goes wrong with it, for as long as this stands. */
  faultOf: (request: RecordedRequest) => Fault | undefined = () => undefined;
  readonly #buckets = new Map<string, Map<string, StoredObject>>();
  readonly #faults = new Map<Op, Fault[]>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error) => response.destroy(error));
    });
    this.#server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start({ pageSize = 1000, buckets = ['lake'] } = {}): Promise<FaultyS3> {
    const s3 = new FaultyS3(pageSize);
    for (const bucket of buckets) s3.#buckets.set(bucket, new Map());
    await new Promise<void>((done) => s3.#server.listen(0, '127.0.0.1', done));
    return s3;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  put(bucket: string, key: string, bytes: Uint8Array | string): void {
    const content = Buffer.from(bytes as Uint8Array);
    const eTag = `"${createHash('md5').update(content).digest('hex')}"`;
    this.#bucket(bucket).set(key, { bytes: content, eTag });
  }

  delete(bucket: string, key: string): void {
    this.#bucket(bucket).delete(key);
  }

  /** The next requests of this kind each meet one of these, in order. */
  failNext(op: Op, ...faults: readonly Fault[]): void {
    this.#faults.set(op, [...(this.#faults.get(op) ?? []), ...faults]);
  }

  /** Faults that no request has met yet: a test that leaves any has not tested what it meant to. */
  get pendingFaults(): number {
    return [...this.#faults.values()].reduce((sum, faults) => sum + faults.length, 0);
  }

  /** Forgets faults and requests, keeps objects. */
  reset(): void {
    this.#faults.clear();
    this.faultOf = () => undefined;
    this.requests.length = 0;
    this.bodyBytesSent = 0;
  }

  async stop(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #bucket(name: string): Map<string, StoredObject> {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new Error(`the test made no bucket ${name}`);
    return bucket;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.endpoint);
    const [, bucketName = '', rawKey = ''] = /^\/([^/]*)\/?(.*)$/s.exec(url.pathname) ?? [];
    const key = decodeURIComponent(rawKey);
    const op = opOf(request.method, key, url);
    if (op === undefined) return answerError(response, 501, 'NotImplemented');
    const prefix = url.searchParams.get('prefix') ?? '';
    const recorded: RecordedRequest = {
      op,
      bucket: bucketName,
      key: op === 'list' ? prefix : key,
      range: request.headers.range,
      ifMatch: request.headers['if-match'],
      signed: request.headers.authorization !== undefined,
    };
    this.requests.push(recorded);
    const fault = this.#faults.get(op)?.shift() ?? this.faultOf(recorded);
    if (fault !== undefined && (await this.#failed(fault, response))) return;
    const bucket = this.#buckets.get(bucketName);
    if (bucket === undefined) return answerError(response, 404, 'NoSuchBucket', request.method === 'HEAD');
    if (op === 'headBucket') response.end();
    else if (op === 'list') this.#answerList(response, bucket, url);
    else await this.#answerObject(request, response, bucket.get(key), fault);
  }

  /** Faults that need no object; true when the request is done with. */
  async #failed(fault: Fault, response: ServerResponse): Promise<boolean> {
    switch (fault.kind) {
      case 'status':
        answerError(response, fault.status, fault.code);
        return true;
      case 'resetBeforeAnswer':
        response.socket?.resetAndDestroy();
        return true;
      case 'hang':
        return true;
      case 'body':
        response.setHeader('content-type', 'application/xml');
        response.end(fault.text);
        return true;
      case 'delay':
        await sleep(fault.ms);
        return false;
      case 'until':
        await fault.done;
        return false;
      default:
        return false;
    }
  }

  async #answerObject(
    request: IncomingMessage,
    response: ServerResponse,
    stored: StoredObject | undefined,
    fault: Fault | undefined,
  ): Promise<void> {
    const isHead = request.method === 'HEAD';
    if (stored === undefined) return answerError(response, 404, 'NoSuchKey', isHead);
    const ifMatch = request.headers['if-match'];
    if (ifMatch !== undefined && ifMatch !== stored.eTag && fault?.kind !== 'ignoreIfMatch') {
      return answerError(response, 412, 'PreconditionFailed');
    }
    if (fault?.kind !== 'noETag') response.setHeader('etag', stored.eTag);
    const total = stored.bytes.length;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (isHead || first === undefined || last === undefined || fault?.kind === 'wholeBody') {
      response.setHeader('content-length', total);
      response.end(isHead ? undefined : stored.bytes);
      return;
    }
    if (Number(first) >= total) return answerError(response, 416, 'InvalidRange');
    const range = stored.bytes.subarray(Number(first), Math.min(Number(last) + 1, total));
    response.statusCode = 206;
    const contentRange = `bytes ${first}-${Number(first) + range.length - 1}/${total}`;
    response.setHeader('content-range', fault?.kind === 'wrongContentRange' ? fault.contentRange : contentRange);
    await this.#sendBody(response, range, fault);
  }

  async #sendBody(response: ServerResponse, range: Buffer, fault: Fault | undefined): Promise<void> {
    const half = range.subarray(0, range.length >> 1);
    switch (fault?.kind) {
      case 'shortBody':
        // Without a Content-Length, so that the body is complete as HTTP sees it.
        response.end(range.subarray(0, range.length - 1));
        return;
      case 'overlongBody':
        response.write(range);
        if (fault.endless) await this.#pourEndlessly(response);
        else response.end('!');
        return;
      case 'wrongContentLength':
        response.setHeader('content-length', range.length - 1);
        response.end(range.subarray(0, range.length - 1));
        return;
      case 'resetMidBody':
        response.setHeader('content-length', range.length);
        response.write(half, () => setImmediate(() => response.socket?.resetAndDestroy()));
        return;
      case 'hangMidBody':
        response.setHeader('content-length', range.length);
        response.write(half);
        return;
      default:
        response.setHeader('content-length', range.length);
        this.bodyBytesSent += range.length;
        response.end(range);
    }
  }

  async #pourEndlessly(response: ServerResponse): Promise<void> {
    const chunk = Buffer.alloc(64 << 10, '!');
    const closed = new Promise((resolve) => response.once('close', resolve));
    while (!response.destroyed) {
      this.bodyBytesSent += chunk.length;
      const more = response.write(chunk);
      if (!more) await Promise.race([closed, new Promise((resolve) => response.once('drain', resolve))]);
    }
  }

  #answerList(response: ServerResponse, bucket: Map<string, StoredObject>, url: URL): void {
    const query = url.searchParams;
    const token = query.get('continuation-token');
    const after = token === null ? query.get('start-after') : Buffer.from(token, 'base64url').toString();
    const prefix = query.get('prefix') ?? '';
    const encode = query.get('encoding-type') === 'url' ? urlEncode : xmlEscape;
    const keys = [...bucket.keys()]
      .filter((key) => key.startsWith(prefix) && (after === null || byBytes(key, after) > 0))
      .sort(byBytes);
    const page = keys.slice(0, this.pageSize);
    const isTruncated = keys.length > page.length;
    const contents = page.map((key) => {
      const { bytes, eTag } = bucket.get(key) as StoredObject;
      return `<Contents><Key>${encode(key)}</Key><Size>${bytes.length}</Size><ETag>${xmlEscape(eTag)}</ETag></Contents>`;
    });
    const next = Buffer.from(page.at(-1) ?? '').toString('base64url');
    response.setHeader('content-type', 'application/xml');
    response.end(
      `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` +
        (query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : '') +
        `<IsTruncated>${isTruncated}</IsTruncated>${isTruncated ? `<NextContinuationToken>${next}</NextContinuationToken>` : ''}` +
        `${contents.join('')}</ListBucketResult>`,
    );
  }
}

function opOf(method: string | undefined, key: string, url: URL): Op | undefined {
  if (method === 'HEAD') return key === '' ? 'headBucket' : 'head';
  if (method !== 'GET') return undefined;
  if (key !== '') return 'get';
  return url.searchParams.get('list-type') === '2' ? 'list' : undefined;
}

function answerError(response: ServerResponse, status: number, code: string, isHead = false): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}, said the test</Message></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(isHead ? undefined : body);
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** As S3 does it: a space is a plus, a slash stays. */
function urlEncode(key: string): string {
  return encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/');
}

function xmlEscape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0)};`);
}
