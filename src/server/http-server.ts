/** Node's server under Fastify: it looks at each request before Fastify does, and its connections end in order. */

import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../core/index.ts';
import { AlikeRequests } from './alike-requests.ts';
import type { ServerOptions } from './context.ts';
import type { Handler, HotPath } from './hot-path.ts';
import { keepFirst } from './kept-classes.ts';
import { HEADER_BYTES_MAX } from './refusals.ts';
import { NodeHeaders } from './socket-reply.ts';

/** What Fastify would set: longer than the idle time-outs of usual load balancers, so that they close first. */
const KEEP_ALIVE_MS = 72_000;
const IDLE_CHECK_MS = 100;

/**
 * Connections that are to end with their next answer. Which event loop has a connection is decided when it is made, so that a
 * loop that listens from now on gets none of those that stay open; made again, they are spread over all.
 */
export class LettingGo {
  readonly #open = new Set<Socket>();
  readonly #due = new Set<Socket>();

  /** Of all that are open now. */
  begin(): void {
    for (const socket of this.#open) this.#due.add(socket);
  }

  watch(server: Server): void {
    server.on('connection', (socket: Socket) => {
      this.#open.add(socket);
      socket.once('close', () => {
        this.#open.delete(socket);
        this.#due.delete(socket);
      });
    });
  }

  isDue(socket: Socket): boolean {
    return this.#due.size > 0 && this.#due.has(socket);
  }
}

/** Rows that are in memory or at once on disk are answered by `hotPath`, all else by Fastify's handler. */
export function serverFactory(
  { requestTimeoutMs }: Pick<ServerOptions, 'requestTimeoutMs'>,
  hotPath: HotPath,
  lettingGo: LettingGo,
  clock: Clock,
): (handler: Handler) => Server {
  return (handler) => {
    const ofNode = new NodeHeaders(clock, KEEP_ALIVE_MS);
    const alike = new AlikeRequests(hotPath, ofNode, (socket) => lettingGo.isDue(socket));
    const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (request, response) => {
      const { socket } = request;
      keepFirst(request, response);
      if (lettingGo.isDue(socket)) response.shouldKeepAlive = false;
      if (alike.parsed(request, response)) handler(request, response);
      else if (hotPath.serve(request, response, handler)) alike.watch(socket);
    });
    lettingGo.watch(server);
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.requestTimeout = requestTimeoutMs;
    return server;
  };
}

/**
 * Accepts nothing more, and resolves when all connections have ended: those that are idle now or have their answer, soon; the
 * others when `graceMs` are over.
 */
export async function drain(fastify: FastifyInstance, hotPath: HotPath, clock: Clock, graceMs: number): Promise<void> {
  const { server } = fastify;
  // What waits for its turn is no request yet to Node, which would end its connection for idle.
  hotPath.settle();
  const closing = fastify.close();
  const done = new AbortController();
  const over = () => undefined;
  clock.sleep(graceMs, done.signal).then(() => server.closeAllConnections(), over);
  // Whose request began before does not hear from the answer that the connection ends with it.
  const closeIdle = (): Promise<void> =>
    clock.sleep(IDLE_CHECK_MS, done.signal).then(() => {
      server.closeIdleConnections();
      return closeIdle();
    }, over);
  void closeIdle();
  await closing.finally(() => done.abort());
}
