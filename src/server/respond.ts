/**
 * Writes replies, in one place.
 *
 * Straight to Node's response with all headers in one array: Fastify's own `send` would give `application/problem+json`
 * a charset that its registration does not have, and looks at each header again. Bodies are strings where they can be,
 * since a small string costs less to send than a Buffer.
 */

import { asServiceError } from '../core/index.ts';
import { PROBLEM_TYPE, type Problem, problemJson, problemOf } from './problem.ts';
import type { Reply } from './reply.ts';
import type { ReplyHeaders } from './reply-headers.ts';
import { SocketReply } from './socket-reply.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';

/** `headers` are names and values in turn, without `content-length`. Node leaves the body out for HEAD. */
export function respond(reply: Reply, status: number, headers: readonly string[], body: string | Uint8Array): void {
  reply.hijack();
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength;
  reply.raw.writeHead(status, [...headers, 'content-length', `${length}`]);
  if (typeof body === 'string') endText(reply, body, length);
  else reply.raw.end(body);
}

/** `respond` with 200 for what is asked for most. */
export function respondText(reply: Reply, headers: ReplyHeaders, ageSeconds: number, body: string): void {
  reply.hijack();
  if (reply.raw instanceof SocketReply) {
    reply.raw.endText(headers, ageSeconds, body);
    return;
  }
  const length = Buffer.byteLength(body);
  reply.raw.writeHead(200, headers.withLength(ageSeconds, length));
  endText(reply, body, length);
}

/** A text of as many bytes as characters is ASCII, which Node writes faster where it need not look for more. */
function endText(reply: Reply, body: string, length: number): void {
  if (length === body.length) reply.raw.end(body, 'latin1');
  else reply.raw.end(body);
}

/** For 204 and 304, which have no body and no length. */
export function respondEmpty(reply: Reply, status: 204 | 304, headers: readonly string[]): void {
  reply.hijack();
  reply.raw.writeHead(status, [...headers]);
  reply.raw.end();
}

export function respondJson(reply: Reply, value: unknown, status = 200): void {
  respond(reply, status, ['content-type', JSON_TYPE], JSON.stringify(value));
}

export function respondProblem(reply: Reply, problem: Problem): void {
  const headers = ['content-type', PROBLEM_TYPE, 'vary', 'accept', ...problem.headers];
  respond(reply, problem.status, headers, problemJson(problem));
}

/** Whatever was thrown, as a problem; nothing when the client is gone or has its answer already. */
export function respondError(reply: Reply, thrown: unknown, onInternalError: (error: Error) => void): void {
  const error = asServiceError(thrown);
  // That two rows have one key is no fault of the program.
  if (error.kind === 'internal' && error.code !== 'duplicate_key')
    onInternalError(error.cause instanceof Error ? error.cause : error);
  if (reply.raw.headersSent || reply.raw.destroyed) return;
  respondProblem(reply, problemOf(error));
}
