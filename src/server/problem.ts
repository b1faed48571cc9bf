/**
 * Errors as `application/problem+json` (RFC 9457).
 *
 * One table says which status a kind of error has, so that a caller's fault is always 4xx and a fault behind the server
 * always 5xx: error budgets and retries depend on it. `code` is for programs and never changes its meaning; `detail` is
 * one sentence that says what would be right; the fields of the case follow beside them.
 */

import type { ErrorContext, ErrorKind, PlainError } from '../core/index.ts';

export const PROBLEM_TYPE = 'application/problem+json';

export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly context: ErrorContext;
  /** Further headers, names and values in turn. */
  readonly headers: readonly string[];
}

const STATUS_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthorized: 401,
  notFound: 404,
  tooLarge: 413,
  overloaded: 429,
  corrupt: 502,
  unsupported: 502,
  changed: 503,
  unavailable: 503,
  timeout: 504,
  internal: 500,
};

/** Where HTTP has a more exact status than the kind's, for faults of the caller. */
const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  forbidden: 403,
  method_not_allowed: 405,
  not_acceptable: 406,
  request_timeout: 408,
  preload_running: 409,
  snapshot_gone: 410,
  key_too_long: 414,
  unsupported_media_type: 415,
  value_too_large: 422,
  preload_too_large: 422,
  plan_too_expensive: 422,
  unsupported: 422,
  headers_too_large: 431,
  not_in_this_version: 501,
};

const TITLE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'The request is wrong',
  401: 'Credentials are needed',
  403: 'This is not allowed from here',
  404: 'There is no such thing',
  405: 'The method is not allowed',
  406: 'The format is not served',
  408: 'The request came too slowly',
  409: 'Something else is under way',
  410: 'This was there and is no more',
  413: 'The request is too large',
  414: 'The key is too long',
  415: 'The body has the wrong type',
  422: 'It would be too large',
  429: 'Too much at once',
  431: 'The headers are too large',
  500: 'An internal fault',
  501: 'Not in this version',
  502: 'A file cannot be read',
  503: 'Not available now',
  504: 'The deadline passed',
};

/** Seconds after which trying again may help. A source with nothing in it seldom fills within one. */
const RETRY_AFTER_OF_CODE: Readonly<Record<string, number>> = {
  no_files: 30,
  indexing: 5,
  snapshot_changing: 30,
  table_format_unsupported: 300,
};
const RETRY_AFTER_SECONDS = 1;

export function problemOf(error: PlainError, headers: readonly string[] = []): Problem {
  const ofKind = STATUS_OF_KIND[error.kind];
  const status = ofKind < 500 ? (STATUS_OF_CODE[error.code] ?? ofKind) : ofKind;
  const { code, message: detail, context } = error;
  return { status, code, detail, context, headers: [...headers, ...retryAfter(status, code)] };
}

function retryAfter(status: number, code: string): readonly string[] {
  if (status !== 429 && status !== 503) return [];
  return ['retry-after', String(RETRY_AFTER_OF_CODE[code] ?? RETRY_AFTER_SECONDS)];
}

/** The body. What RFC 9457 names cannot be replaced by a field of the case. */
export function problemJson({ status, code, detail, context }: Problem): string {
  const type = `urn:pointlake:problem:${code}`;
  const title = TITLE_OF_STATUS[status] ?? 'The request failed';
  return JSON.stringify({ type, title, status, detail, code, ...withoutStandardFields(context) });
}

function withoutStandardFields(context: ErrorContext): ErrorContext {
  const { type: _type, title: _title, status: _status, detail: _detail, code: _code, ...fields } = context;
  return fields;
}

/** An error inside a batch answer: the same fields without the ones that belong to a whole response. */
export function itemErrorJson(error: PlainError): string {
  return JSON.stringify({ code: error.code, detail: error.message, ...withoutStandardFields(error.context) });
}
