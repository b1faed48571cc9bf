/** The body of a lookup: received within bounds, parsed with exact numbers, checked field by field. */

import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { asServiceError, ServiceError } from '../core/index.ts';
import type { OrderBy } from '../shard/index.ts';
import { ExactNumber, parseExactJson } from '../table/index.ts';
import type { ServerOptions } from './context.ts';

export interface LookupRequest {
  /** As the caller wrote them. */
  readonly keys: readonly unknown[];
  readonly columns: readonly string[] | undefined;
  /** The name of a projection, in place of columns. */
  readonly projection: string | undefined;
  /** The name of the key that they are values of; undefined: the table's own. */
  readonly by: string | undefined;
  readonly matches: 'first' | 'all';
  readonly limit: number;
  /** By which columns the rows of a key come; in file order where there is none. */
  readonly orderBy: readonly OrderBy[];
}

const DEFAULT_LIMIT = 100;
const LIMIT_MAX = 10_000;
const FIELDS = ['keys', 'by', 'columns', 'projection', 'matches', 'limit', 'order_by'] as const;
const ORDER_COLUMNS_MAX = 8;
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
  const request = lookupOf(objectOf(body, 'such as {"keys":[1,2]}'), options);
  checkRows([request], options);
  return request;
}

/** One of several tables' lookups: its own fault is its own result. */
export interface NamedLookup {
  readonly table: string | undefined;
  readonly lookup: LookupRequest | ServiceError;
}

const LOOKUPS_MAX = 100;

/** The body of a lookup in several tables. The limits hold for all of them together. */
export function parseLookups(body: Buffer, options: ServerOptions): readonly NamedLookup[] {
  const example = 'such as {"requests":[{"table":"users","keys":[1,2]}]}';
  const { requests, ...others } = objectOf(body, example);
  checkFields(Object.keys(others), ['requests']);
  if (!Array.isArray(requests)) throw bad('bad_request', `requests is an array, ${example}`, 'requests');
  if (requests.length > LOOKUPS_MAX) {
    const message = `${requests.length} requests came, but at most ${LOOKUPS_MAX} go into one body; send them in several`;
    throw new ServiceError('tooLarge', 'too_many_lookups', message, { limit: LOOKUPS_MAX, given: requests.length });
  }
  const lookups = requests.map((given: unknown) => namedLookup(given, options));
  const right = lookups.flatMap(({ lookup }) => (lookup instanceof ServiceError ? [] : [lookup]));
  const keys = right.reduce((sum, lookup) => sum + lookup.keys.length, 0);
  if (keys > options.keysMax) throw tooManyKeys(keys, options.keysMax);
  checkRows(right, options);
  return lookups;
}

function namedLookup(given: unknown, options: ServerOptions): NamedLookup {
  let name: string | undefined;
  try {
    const { table, ...fields } = asObject(given, 'a request is an object such as {"table":"users","keys":[1,2]}');
    if (typeof table !== 'string') throw bad('bad_request', 'table is the name of a table, such as "users"', 'table');
    name = table;
    return { table, lookup: lookupOf(fields, options) };
  } catch (thrown) {
    return { table: name, lookup: asServiceError(thrown) };
  }
}

function lookupOf(given: Readonly<Record<string, unknown>>, options: ServerOptions): LookupRequest {
  checkFields(Object.keys(given), FIELDS);
  const fields = given as Partial<Record<(typeof FIELDS)[number], unknown>>;
  return {
    keys: keysOf(fields.keys, options),
    columns: columnsOf(fields.columns),
    projection: projectionOf(fields.projection, fields.columns),
    by: nameOf(fields.by, 'by', 'a key'),
    matches: matchesOf(fields.matches),
    limit: limitOf(fields.limit, fields.matches),
    orderBy: orderByOf(fields.order_by, fields.matches),
  };
}

function checkRows(lookups: readonly LookupRequest[], { rowsMax }: ServerOptions): void {
  const rowsOf = ({ matches, keys, limit }: LookupRequest) => (matches === 'all' ? keys.length * limit : keys.length);
  const rows = lookups.reduce((sum, lookup) => sum + rowsOf(lookup), 0);
  if (rows <= rowsMax) return;
  const message = `the keys with as many rows each as are allowed are ${rows} rows, more than ${rowsMax}; ask for fewer keys or a lower limit`;
  throw new ServiceError('tooLarge', 'too_many_rows', message, { limit: rowsMax });
}

function objectOf(body: Buffer, example: string): Readonly<Record<string, unknown>> {
  if (!isUtf8(body)) throw bad('bad_json', 'the body is not UTF-8, which JSON is');
  return asObject(parseExactJson(body.toString('utf8')), `the body is a JSON object ${example}`);
}

function asObject(parsed: unknown, message: string): Readonly<Record<string, unknown>> {
  const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
  if (!isObject || parsed instanceof ExactNumber) throw bad('bad_request', message);
  return parsed as Readonly<Record<string, unknown>>;
}

function checkFields(names: readonly string[], known: readonly string[]): void {
  for (const name of names) {
    if (known.includes(name)) continue;
    const shown = JSON.stringify(name.slice(0, 100).toWellFormed());
    throw bad('unknown_field', `there is no field ${shown} here; the known ones are ${known.join(', ')}`, name);
  }
}

function keysOf(keys: unknown, options: ServerOptions): readonly unknown[] {
  if (!Array.isArray(keys))
    throw bad('bad_request', 'keys is an array, such as "keys":[1,2] or "keys":[["eu",3]]', 'keys');
  if (keys.length <= options.keysMax) return keys;
  throw tooManyKeys(keys.length, options.keysMax);
}

function tooManyKeys(given: number, limit: number): ServiceError {
  const message = `${given} keys came, but limits.keys allows ${limit} at a time; send them in several requests`;
  return new ServiceError('tooLarge', 'too_many_keys', message, { limit, given });
}

function columnsOf(columns: unknown): readonly string[] | undefined {
  if (columns === undefined) return undefined;
  const isList = Array.isArray(columns) && columns.every((column) => typeof column === 'string');
  // Once each, since the projection is kept under their names.
  if (isList) return [...new Set(columns as readonly string[])];
  throw bad('bad_request', 'columns is an array of column names, such as "columns":["name","age"]', 'columns');
}

function projectionOf(projection: unknown, columns: unknown): string | undefined {
  if (projection !== undefined && columns !== undefined)
    throw bad('bad_request', 'projection is in place of columns; send one of them', 'projection');
  return nameOf(projection, 'projection', 'a projection');
}

function nameOf(name: unknown, field: string, what: string): string | undefined {
  if (name === undefined || typeof name === 'string') return name;
  throw bad('bad_request', `${field} is the name of ${what} of the table`, field);
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

function orderByOf(given: unknown, matches: unknown): readonly OrderBy[] {
  if (given === undefined) return [];
  const isList = Array.isArray(given) && given.every((one) => typeof one === 'string' && one !== '' && one !== '-');
  if (!isList || given.length === 0 || given.length > ORDER_COLUMNS_MAX) {
    const message = `order_by is an array of 1 to ${ORDER_COLUMNS_MAX} column names, such as "order_by":["-event_ts"], where - is for descending`;
    throw bad('bad_request', message, 'order_by');
  }
  if (matches !== 'all') {
    throw bad('bad_request', 'order_by sorts the rows of a key and goes with "matches":"all"', 'order_by');
  }
  return (given as readonly string[]).map((name) =>
    name.startsWith('-') ? { column: name.slice(1), isDescending: true } : { column: name, isDescending: false },
  );
}

function bad(code: string, message: string, field?: string): ServiceError {
  return new ServiceError('invalid', code, message, field === undefined ? {} : { field: field.slice(0, 100) });
}
