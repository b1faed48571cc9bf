/**
 * Requests that another event loop of this process is to answer, passed on as they came over a local socket, and its
 * answers as they come back: streams in both directions, at the pace of the slower side.
 */

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Dispatcher, Pool } from 'undici';
import { ServiceError } from '../core/index.ts';
import { PASSED_FROM } from './loopback.ts';
import { respondError } from './respond.ts';

/** They are of one connection, not of what goes over it. */
const OF_CONNECTION = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export class PassOn {
  readonly #pool: Pool;

  /** `socketPath` is where the other loop listens. It holds requests to their deadlines. */
  constructor(socketPath: string) {
    this.#pool = new Pool('http://pointlake', { socketPath, headersTimeout: 0, bodyTimeout: 0 });
  }

  /** A body that was received already is sent as it was. */
  send(request: FastifyRequest, reply: FastifyReply): void {
    const { raw, body } = request;
    reply.hijack();
    const options = {
      path: raw.url ?? '/',
      method: (raw.method ?? 'GET') as Dispatcher.HttpMethod,
      headers: { ...forwarded(raw.headers), [PASSED_FROM]: raw.socket.remoteAddress ?? '' },
      body: bodyOf(raw, body),
    };
    this.#pool.dispatch(options, new Relay(reply));
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

function bodyOf(raw: IncomingMessage, body: unknown): Buffer | IncomingMessage | null {
  if (Buffer.isBuffer(body)) return body;
  const hasBody = raw.headers['content-length'] !== undefined || raw.headers['transfer-encoding'] !== undefined;
  return hasBody ? raw : null;
}

function forwarded(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_CONNECTION.has(name)));
}

class Relay implements Dispatcher.DispatchHandler {
  readonly #reply: FastifyReply;
  readonly #raw: ServerResponse;

  constructor(reply: FastifyReply) {
    this.#reply = reply;
    this.#raw = reply.raw;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const abort = () => {
      if (!this.#raw.writableFinished) controller.abort(new Error('the client left'));
    };
    if (this.#raw.destroyed) abort();
    else this.#raw.once('close', abort);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    // What follows the body is announced before it, and passed on too.
    const { trailer } = headers;
    this.#raw.writeHead(status, { ...forwarded(headers), ...(trailer !== undefined && { trailer }) });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#raw.write(chunk)) return;
    controller.pause();
    this.#raw.once('drain', () => controller.resume());
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.#raw.addTrailers(trailers as Readonly<Record<string, string>>);
    this.#raw.end();
  }

  /** An answer that began and cannot go on is cut off, so that nobody takes it for whole. */
  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#raw.headersSent) this.#raw.destroy();
    else {
      const message = 'the part of this server that would answer does not; try again shortly';
      respondError(this.#reply, new ServiceError('unavailable', 'unavailable', message, {}, error), () => undefined);
    }
  }
}
