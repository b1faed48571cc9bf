/** What a request's headers ask for beside its target: formats, freshness of the client's copy, time, versions. */

import type { IncomingHttpHeaders } from 'node:http';
import { ServiceError } from '../core/index.ts';

const JSON_ONLY = ['application/json'];

/** Refuses what this version cannot honour. Called on every request, so that the usual headers cost nothing. */
export function checkRequestHeaders(headers: IncomingHttpHeaders, served: readonly string[] = JSON_ONLY): void {
  const { accept } = headers;
  if (accept !== undefined && accept !== '*/*' && accept !== 'application/json') checkAccept(accept, served);
}

/** Once the type of the answer is known. */
export function checkAccepts(headers: IncomingHttpHeaders, contentType: string): void {
  const { accept } = headers;
  if (accept !== undefined && accept !== '*/*') checkAccept(accept, [contentType.replace(/;.*/, '')]);
}

function checkAccept(accept: string, served: readonly string[]): void {
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const refused = parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter));
    if (!refused && served.some((candidate) => matches(type, candidate))) return;
  }
  const message = `this answer is served as ${served.join(', ')}, none of which the request accepts`;
  throw new ServiceError('invalid', 'not_acceptable', message, { served });
}

function matches(range: string, type: string): boolean {
  return range === '*/*' || range === type || (range.endsWith('/*') && type.startsWith(range.slice(0, -1)));
}

/** True when the client's copy is this very answer. Tags are compared weakly, as RFC 9110 says for `if-none-match`. */
export function isNotModified(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  return ifNoneMatch.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag);
}

/** The request's own bound on its time, never above the server's. */
export function timeoutOf(headers: IncomingHttpHeaders, deadlineMs: number): number {
  const header = headers['pointlake-timeout-ms'];
  if (header === undefined) return deadlineMs;
  if (typeof header !== 'string' || !/^[1-9][0-9]{0,8}$/.test(header)) {
    const message = 'the header pointlake-timeout-ms is a whole number of milliseconds from 1 on, such as 250';
    throw badHeader('pointlake-timeout-ms', message);
  }
  return Math.min(Number(header), deadlineMs);
}

export function badHeader(header: string, message: string): ServiceError {
  return new ServiceError('invalid', 'bad_header', message, { header });
}
