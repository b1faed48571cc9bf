/** The body of a lookup: received within bounds, parsed with exact numbers, checked field by field. */

import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { ServiceError } from '../core/index.ts';
import { ExactNumber, parseExactJson } from '../table/index.ts';
import type { ServerOptions } from './context.ts';

export interface LookupRequest {
  /** As the caller wrote them. */
  readonly keys: readonly unknown[];
  readonly columns: readonly string[] | undefined;
  readonly matches: 'first' | 'all';
  readonly limit: number;
}

const DEFAULT_LIMIT = 100;
const LIMIT_MAX = 10_000;
const FIELDS = ['keys', 'columns', 'matches', 'limit'] as const;
const LATER_FIELDS = new Set(['order_by']);
/** How much of a body that is refused is read away, so that a client still sending gets to read the refusal. */
const REFUSED_BYTES_MAX = 64 * 2 ** 20;

/** Collects the body; calls back once. A body over the limit is refused at once and read away unkept. */
export function receiveBody(
  request: IncomingMessage,
  bytesMax: number,
  done: (error: Error | null, body?: unknown) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let refused = false;
  const refuse = () => {
    refused = true;
    chunks.length = 0;
    const message = `the body is larger than ${bytesMax} bytes; send fewer keys at a time`;
    done(new ServiceError('tooLarge', 'body_too_large', message, { limit: bytesMax }));
  };
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) refuse();
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (refused) {
      if (bytes > REFUSED_BYTES_MAX) request.destroy();
      return;
    }
    if (bytes > bytesMax) refuse();
    else chunks.push(chunk);
  });
  request.on('end', () => {
    if (!refused) done(null, Buffer.concat(chunks));
  });
  request.on('error', (error) => {
    if (!refused) done(error);
    refused = true;
  });
}

export function parseLookup(body: Buffer, options: ServerOptions): LookupRequest {
  if (!isUtf8(body)) throw bad('bad_json', 'the body is not UTF-8, which JSON is');
  const parsed = parseExactJson(body.toString('utf8'));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed) || parsed instanceof ExactNumber) {
    throw bad('bad_request', 'the body is a JSON object such as {"keys":[1,2]}');
  }
  checkFields(Object.keys(parsed));
  const fields = parsed as Partial<Record<(typeof FIELDS)[number], unknown>>;
  const request = {
    keys: keysOf(fields.keys, options),
    columns: columnsOf(fields.columns),
    matches: matchesOf(fields.matches),
    limit: limitOf(fields.limit, fields.matches),
  };
  const rows = request.matches === 'all' ? request.keys.length * request.limit : request.keys.length;
  if (rows <= options.rowsMax) return request;
  const message = `${request.keys.length} keys with up to ${request.limit} rows each are more than ${options.rowsMax} rows; ask for fewer keys or a lower limit`;
  throw new ServiceError('tooLarge', 'too_many_rows', message, { limit: options.rowsMax });
}

function checkFields(names: readonly string[]): void {
  for (const name of names) {
    if (FIELDS.some((field) => field === name)) continue;
    if (LATER_FIELDS.has(name)) throw bad('not_in_this_version', `the field ${name} is not in this version`, name);
    const shown = JSON.stringify(name.slice(0, 100).toWellFormed());
    throw bad('unknown_field', `the body has no field ${shown}; the known ones are ${FIELDS.join(', ')}`, name);
  }
}

function keysOf(keys: unknown, options: ServerOptions): readonly unknown[] {
  if (!Array.isArray(keys))
    throw bad('bad_request', 'keys is an array, such as "keys":[1,2] or "keys":[["eu",3]]', 'keys');
  if (keys.length <= options.keysMax) return keys;
  const message = `${keys.length} keys came, but limits.keys allows ${options.keysMax} at a time; send them in several requests`;
  throw new ServiceError('tooLarge', 'too_many_keys', message, { limit: options.keysMax, given: keys.length });
}

function columnsOf(columns: unknown): readonly string[] | undefined {
  if (columns === undefined) return undefined;
  const isList = Array.isArray(columns) && columns.every((column) => typeof column === 'string');
  // Once each, since the projection is kept under their names.
  if (isList) return [...new Set(columns as readonly string[])];
  throw bad('bad_request', 'columns is an array of column names, such as "columns":["name","age"]', 'columns');
}

function matchesOf(matches: unknown): 'first' | 'all' {
  if (matches === undefined) return 'first';
  if (matches === 'first' || matches === 'all') return matches;
  throw bad('bad_request', 'matches is "first" or "all"', 'matches');
}

function limitOf(limit: unknown, matches: unknown): number {
  if (limit === undefined) return DEFAULT_LIMIT;
  if (matches !== 'all')
    throw bad('bad_request', 'limit bounds the rows of a key and goes with "matches":"all"', 'limit');
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX) return limit;
  throw bad('bad_request', `limit is a whole number from 1 to ${LIMIT_MAX}`, 'limit');
}

function bad(code: string, message: string, field?: string): ServiceError {
  return new ServiceError('invalid', code, message, field === undefined ? {} : { field: field.slice(0, 100) });
}
