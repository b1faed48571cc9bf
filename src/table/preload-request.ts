/**
 * What is to be brought near before anyone asks for it: one form for `preload` of a table's configuration and for the body
 * of a request.
 *
 *     preload: all                                    every column
 *     preload: [keys, text]                           the key columns and one more; `keys` is what lookups search by
 *     preload: { columns: [text], from: 100, to: 200, into: disk, rate: 200MiB, pin: true, ttl: 1h }
 */

import { parseByteSize, parseDuration, ServiceError } from '../core/index.ts';
import { ExactNumber } from './exact-json.ts';

export interface PreloadRequest {
  /** Layouts, bloom filters and pages of the key columns. */
  readonly keys: boolean;
  readonly columns: 'all' | readonly string[];
  /** Values of the first key column, both included, in the form of a key in a URL. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly into: 'memory' | 'disk';
  /** Bytes a second that are read from storage. */
  readonly rateBytes: number;
  /** Whether what is evicted is brought back, for as long as `ttlMs` says, or for ever. */
  readonly pin: boolean;
  readonly ttlMs: number | undefined;
  /** Whether it is looked at in the end how much of it is still there. */
  readonly verify: boolean;
  /** Begins even if it seems not to fit. */
  readonly force: boolean;
}

const PRELOAD_RATE_BYTES = 200 * 2 ** 20;

const COLUMNS_MAX = 10_000;
const RATE_BYTES_MIN = 1024;
const FIELDS = ['keys', 'columns', 'from', 'to', 'into', 'rate', 'pin', 'ttl', 'verify', 'force'] as const;

/** Takes what YAML or JSON gave. Throws `bad_preload`. */
export function parsePreload(given: unknown): PreloadRequest {
  if (given === 'all') return fromFields({ columns: 'all' });
  if (Array.isArray(given)) {
    return fromFields({ keys: given.includes('keys'), columns: given.filter((name) => name !== 'keys') });
  }
  if (typeof given !== 'object' || given === null) {
    throw bad('a preload is all, a list of columns such as [keys, name], or an object with columns');
  }
  return fromFields(given as Readonly<Record<string, unknown>>);
}

function fromFields(given: Readonly<Record<string, unknown>>): PreloadRequest {
  const unknown = Object.keys(given).find((name) => !FIELDS.some((known) => known === name));
  if (unknown !== undefined) {
    throw bad(`a preload has no ${JSON.stringify(unknown.slice(0, 100))}; it has ${FIELDS.join(', ')}`);
  }
  const request: PreloadRequest = {
    keys: flag(given, 'keys', true),
    columns: columnsOf(given.columns),
    from: keyText(given, 'from'),
    to: keyText(given, 'to'),
    into: placeOf(given.into),
    rateBytes: given.rate === undefined ? PRELOAD_RATE_BYTES : rateOf(given.rate),
    pin: flag(given, 'pin', false),
    ttlMs: given.ttl === undefined ? undefined : durationOf(given.ttl),
    verify: flag(given, 'verify', false),
    force: flag(given, 'force', false),
  };
  if (!request.keys && request.columns.length === 0) throw bad('a preload of no columns and no keys brings nothing');
  if (request.ttlMs !== undefined && !request.pin) throw bad('ttl ends a pin; write pin: true beside it');
  if (request.pin && request.into === 'disk') throw bad('pin keeps in memory; write into: memory, or leave pin out');
  return request;
}

function columnsOf(given: unknown): 'all' | readonly string[] {
  if (given === undefined) return [];
  if (given === 'all') return 'all';
  const isList = Array.isArray(given) && given.length <= COLUMNS_MAX;
  if (isList && given.every((name) => typeof name === 'string')) return [...new Set<string>(given)];
  throw bad(`columns is all or a list of at most ${COLUMNS_MAX} names, such as [name, text]`);
}

function flag(given: Readonly<Record<string, unknown>>, name: string, otherwise: boolean): boolean {
  const value = given[name] ?? otherwise;
  if (typeof value !== 'boolean') throw bad(`${name} is true or false`);
  return value;
}

function keyText(given: Readonly<Record<string, unknown>>, name: 'from' | 'to'): string | undefined {
  const value = given[name];
  if (value instanceof ExactNumber) return value.source;
  if (value === undefined || typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  throw bad(`${name} is a value of the first key column, as text or number`);
}

function placeOf(given: unknown): 'memory' | 'disk' {
  if (given === undefined || given === 'memory') return 'memory';
  if (given === 'disk') return 'disk';
  throw bad('into is memory or disk');
}

/** `200MiB/s` or `200MiB`. */
function rateOf(given: unknown): number {
  const bytes = inUnits(() => parseByteSize(plain(given).replace(/\s*\/\s*s$/, '')));
  if (bytes === undefined || bytes < RATE_BYTES_MIN) throw bad('rate is bytes a second, from 1KiB, such as 200MiB/s');
  return bytes;
}

function durationOf(given: unknown): number {
  const ms = inUnits(() => parseDuration(plain(given)));
  if (ms === undefined || ms <= 0) throw bad('ttl is a duration, such as 1h or 30m');
  return ms;
}

function plain(given: unknown): string {
  return typeof given === 'string' || typeof given === 'number' ? String(given) : '';
}

function inUnits(parse: () => number): number | undefined {
  try {
    return parse();
  } catch (thrown) {
    if (thrown instanceof ServiceError) return undefined;
    throw thrown;
  }
}

function bad(message: string): ServiceError {
  return new ServiceError('invalid', 'bad_preload', message);
}
