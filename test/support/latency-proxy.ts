/**
 * A real S3's latency in front of a server that has none.
 *
 * Each request waits before it is passed on, for a time drawn from a log-normal distribution; its answer may also be
 * held to a bandwidth of its own, as S3 holds a connection. Everything else passes as it came, the Host header included,
 * so that signatures stay valid: sign for the proxy's address, and use path-style URLs. Delays are drawn in the order of
 * arrival from a seeded generator, so that two runs of the same requests wait alike.
 */

import {
  Agent,
  createServer,
  type IncomingMessage,
  request as requestOf,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LatencyShape {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface LatencyProxyOptions {
  readonly latency?: LatencyShape;
  readonly seed?: number;
  /** Of each answer by itself; unlimited by default. */
  readonly bytesPerSecond?: number;
}

/** Of GETs of small ranges from a machine in the bucket's own region. */
export const S3_LATENCY: LatencyShape = { p50Ms: 27, p95Ms: 70, p99Ms: 113 };

/** z of the normal distribution at these shares. */
const Z95 = 1.6449;
const Z99 = 2.3263;

export class LatencyProxy {
  /** Milliseconds that each request was held, in order of arrival. */
  readonly delaysMs: number[] = [];
  readonly #target: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1024 });
  readonly #server: Server;
  readonly #draw: () => number;
  readonly #bytesPerSecond: number | undefined;

  private constructor(target: string, { latency = S3_LATENCY, seed = 1, bytesPerSecond }: LatencyProxyOptions) {
    this.#target = new URL(target);
    this.#draw = logNormal(latency, seed);
    this.#bytesPerSecond = bytesPerSecond;
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      this.#handle(request, response).catch(() => response.destroy());
    });
    this.#server.on('connection', (socket) => socket.setNoDelay(true));
  }

  static async start(target: string, options: LatencyProxyOptions = {}): Promise<LatencyProxy> {
    const proxy = new LatencyProxy(target, options);
    await new Promise<void>((done) => proxy.#server.listen(0, '127.0.0.1', done));
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
    this.#agent.destroy();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const delayMs = this.#draw();
    this.delaysMs.push(delayMs);
    const left = new AbortController();
    response.once('close', () => left.abort());
    await sleep(delayMs, undefined, { signal: left.signal });
    const { hostname, port } = this.#target;
    const { method, url, rawHeaders } = request;
    const upstream = requestOf({
      hostname,
      port,
      method,
      path: url,
      headers: rawHeaders,
      agent: this.#agent,
      signal: left.signal,
    });
    request.pipe(upstream);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      upstream.once('response', resolve).once('error', reject);
    });
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (this.#bytesPerSecond !== undefined) await sleep((chunk.length / this.#bytesPerSecond) * 1000);
      response.write(chunk);
    }
    response.end();
  }
}

/**
 * The log-normal distribution of this median and nearest to the two tails: the mean of the two sigmas that they ask for.
 * A log-normal has two parameters for three percentiles, so each tail is met to a few percent.
 */
export function logNormal({ p50Ms, p95Ms, p99Ms }: LatencyShape, seed: number): () => number {
  const mu = Math.log(p50Ms);
  const sigma = ((Math.log(p95Ms) - mu) / Z95 + (Math.log(p99Ms) - mu) / Z99) / 2;
  const random = seeded(seed);
  return () => Math.exp(mu + sigma * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
}

/** The generator mulberry32: small, fast, and the same everywhere. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
