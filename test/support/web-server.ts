/** A web server of one file in the test process, as good or as careless about versions and ranges as a test wants it. */

import { createHash } from 'node:crypto';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface WebManners {
  readonly eTag: 'strong' | 'weak' | 'none';
  readonly lastModified: boolean;
  /** Whether `If-Match` and `If-Unmodified-Since` are looked at. */
  readonly conditions: boolean;
  readonly ranges: boolean;
}

/** As PEM: what an HTTPS server shows. */
export interface ServerIdentity {
  readonly key: string;
  readonly cert: string;
}

export const GOOD_MANNERS: WebManners = { eTag: 'strong', lastModified: true, conditions: true, ranges: true };

export class WebServer {
  manners: WebManners = GOOD_MANNERS;
  readonly requests: IncomingHttpHeaders[] = [];
  /** Answers the next requests in the file's place, in order. */
  readonly instead: ((request: IncomingMessage, response: ServerResponse) => void)[] = [];
  #bytes: Buffer = Buffer.alloc(0);
  #modified = new Date(0);
  readonly #scheme: 'http' | 'https';
  readonly #server: Server;

  private constructor(identity: ServerIdentity | undefined) {
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response);
    this.#scheme = identity === undefined ? 'http' : 'https';
    this.#server = identity === undefined ? createServer(answer) : createSecureServer(identity, answer);
  }

  static async start(bytes: Uint8Array, identity?: ServerIdentity): Promise<WebServer> {
    const server = new WebServer(identity);
    server.put(bytes, '2026-01-01T00:00:00Z');
    await new Promise<void>((done) => server.#server.listen(0, '127.0.0.1', done));
    return server;
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${(this.#server.address() as AddressInfo).port}/data/t.parquet?signature=secret`;
  }

  put(bytes: Uint8Array, modified: string): void {
    this.#bytes = Buffer.from(bytes);
    this.#modified = new Date(modified);
  }

  async stop(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(request.headers);
    const instead = this.instead.shift();
    if (instead === undefined) this.#serve(request, response);
    else instead(request, response);
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { eTag, lastModified, conditions, ranges } = this.manners;
    const hash = `"${createHash('md5').update(this.#bytes).digest('hex')}"`;
    const since = request.headers['if-unmodified-since'];
    const wrongTag = request.headers['if-match'] !== undefined && request.headers['if-match'] !== hash;
    if (conditions && (wrongTag || (since !== undefined && new Date(since) < this.#modified))) {
      response.writeHead(412).end();
      return;
    }
    if (eTag !== 'none') response.setHeader('etag', eTag === 'weak' ? `W/${hash}` : hash);
    if (lastModified) response.setHeader('last-modified', this.#modified.toUTCString());
    const [, first = '0', last = '0'] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    if (!ranges) {
      response.end(this.#bytes);
    } else if (Number(first) >= this.#bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${this.#bytes.length}` }).end();
    } else {
      const part = this.#bytes.subarray(Number(first), Number(last) + 1);
      const contentRange = `bytes ${first}-${Number(first) + part.length - 1}/${this.#bytes.length}`;
      response.writeHead(206, { 'content-range': contentRange, 'content-length': part.length }).end(part);
    }
  }
}
