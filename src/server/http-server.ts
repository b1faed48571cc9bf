/** Node's server under Fastify, which looks at each request before Fastify does. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ServerOptions } from './context.ts';
import { HEADER_BYTES_MAX } from './refusals.ts';

/** What Fastify would set: longer than the idle time-outs of usual load balancers, so that they close first. */
const KEEP_ALIVE_MS = 72_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** What `answers` a request, says so; the others are Fastify's. */
export function serverFactory(
  { requestTimeoutMs }: Pick<ServerOptions, 'requestTimeoutMs'>,
  answers: (request: IncomingMessage, response: ServerResponse) => boolean,
): (handler: Handler) => Server {
  return (handler) => {
    const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (request, response) => {
      if (!answers(request, response)) handler(request, response);
    });
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.requestTimeout = requestTimeoutMs;
    return server;
  };
}
