/**
 * What is refused before any handler: other methods, unknown paths, paths of later versions, and what Node's parser does
 * not take. All of it as problem+json, since a client that parses errors should not meet a second format.
 */

import { maxHeaderSize as nodeDefault } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { ServiceError } from '../core/index.ts';
import { PROBLEM_TYPE, type Problem, problemJson, problemOf } from './problem.ts';
import { headOf } from './reply-headers.ts';
import { respondProblem } from './respond.ts';

/** Headers and URL together: a key of 8 KiB, every byte percent-encoded, is 24 KiB; a composite one may be more. */
export const HEADER_BYTES_MAX = Math.max(64 * 1024, nodeDefault);

type OnRequest = (request: FastifyRequest, reply: FastifyReply) => void;
/** Counts what the handler answers. */
type Counted = (handler: OnRequest) => OnRequest;

/** Before the body is looked at, so that the refusal says what is wrong first. */
function refuseAll(
  server: FastifyInstance,
  url: string,
  methods: readonly string[],
  counted: Counted,
  problem: (request: FastifyRequest) => Problem,
): void {
  const onRequest = counted((request, reply) => respondProblem(reply, problem(request)));
  server.route({ method: methods as HTTPMethods[], url, onRequest, handler: () => undefined });
}

/** Every method but those allowed answers 405 and says which ones are. */
export function refuseOtherMethods(
  server: FastifyInstance,
  url: string,
  allowed: readonly string[],
  counted: Counted,
): void {
  const others = server.supportedMethods.filter((method) => !allowed.includes(method));
  const allow = allowed.join(', ');
  refuseAll(server, url, others, counted, (request) => {
    const message = `${request.method} is not allowed here; use ${allow}`;
    const error = new ServiceError('invalid', 'method_not_allowed', message, { allowed });
    return problemOf(error, ['allow', allow]);
  });
}

export function refuseLaterRoute(server: FastifyInstance, url: string, counted: Counted): void {
  refuseAll(server, url, server.supportedMethods, counted, (request) => {
    const message = `${pathOf(request)} is not in this version`;
    return problemOf(new ServiceError('invalid', 'not_in_this_version', message));
  });
}

export function refuseUnknownRoutes(server: FastifyInstance, counted: Counted): void {
  refuseAll(server, '*', server.supportedMethods, counted, unknownRoute);
}

export function unknownRoute(request: FastifyRequest): Problem {
  const message = `there is nothing at ${pathOf(request)}; tables are at /v1/tables, a row at /v1/tables/{table}/rows/{key}`;
  return problemOf(new ServiceError('notFound', 'unknown_route', message));
}

function pathOf(request: FastifyRequest): string {
  const [path = ''] = (request.raw.url ?? '').split('?');
  return path.length > 200 ? `${path.slice(0, 200)}…` : path;
}

/** Node's parser refused the request, so that there is no response object: the bytes are written by hand. */
export function refuseUnparsable(fault: NodeJS.ErrnoException, socket: Socket): void {
  const answering = (socket as { readonly _httpMessage?: { readonly headersSent: boolean } })._httpMessage;
  if (fault.code === 'ECONNRESET' || !socket.writable || answering?.headersSent === true) {
    socket.destroy();
    return;
  }
  const problem = problemOfFault(fault);
  const body = problemJson(problem);
  const length = `${Buffer.byteLength(body)}`;
  const head = headOf(problem.status, ['content-type', PROBLEM_TYPE, 'content-length', length, 'connection', 'close']);
  socket.end(`${head}\r\n${body}`);
}

function problemOfFault(fault: NodeJS.ErrnoException): Problem {
  if (fault.code === 'HPE_HEADER_OVERFLOW') {
    const message = `URL and headers together are larger than ${HEADER_BYTES_MAX} bytes; send long keys with POST to .../lookup`;
    return problemOf(new ServiceError('tooLarge', 'headers_too_large', message, { limit: HEADER_BYTES_MAX }));
  }
  if (fault.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return problemOf(
      new ServiceError('invalid', 'request_timeout', 'the request did not arrive in time; send it again'),
    );
  }
  if (fault.code === 'HPE_INVALID_URL') {
    const message =
      'the URL has a character that is not allowed there; write what is not ASCII as percent-encoded UTF-8';
    return problemOf(new ServiceError('invalid', 'bad_url', message));
  }
  const reason = fault.code?.startsWith('HPE_') ? ` (${fault.message.replace(/^Parse Error: /, '')})` : '';
  return problemOf(new ServiceError('invalid', 'bad_request', `this is no HTTP/1.1 request${reason}`));
}
