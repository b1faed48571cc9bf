/** What `pointlake bench` was told, checked, as a load and where it goes. */

import { availableParallelism } from 'node:os';
import type { Distribution, HttpTarget } from '../bench/index.ts';
import { parseByteSize, parseDuration } from '../core/index.ts';
import type { TableDefinition } from '../table/index.ts';
import { defaultConfig, readConfig, type S3Config } from './config.ts';
import { asUsage, UsageError } from './usage.ts';

export interface BenchOptions {
  readonly config?: string;
  readonly table?: string;
  readonly inProcess?: string;
  readonly key?: readonly string[];
  readonly keysFrom?: string;
  readonly range?: string;
  readonly keysFile?: string;
  readonly distribution: string;
  readonly absent: string;
  readonly batch?: string;
  readonly columns?: readonly string[];
  readonly value?: string;
  readonly body?: string;
  readonly bytes?: string;
  readonly header?: readonly string[];
  readonly connections: string;
  readonly threads?: string;
  readonly rate?: string;
  readonly warmup: string;
  readonly duration: string;
  readonly timeout: string;
  readonly ceiling: string;
  readonly seed: string;
  readonly check: string;
  readonly json?: string;
  readonly hdr?: string;
  readonly html?: string;
}

/** Where the load goes, and the table's own source and key where they are known. */
export type BenchTarget =
  | {
      readonly kind: 'http';
      readonly http: HttpTarget;
      readonly definition: TableDefinition | undefined;
      /** Where the configuration says that its S3 is. */
      readonly s3: S3Config | undefined;
    }
  | { readonly kind: 'inProcess'; readonly source: string; readonly key: readonly string[] }
  /** Ranged GETs of so many bytes, with no table and no server of ours. */
  | { readonly kind: 'storage'; readonly uri: string; readonly bytes: number; readonly s3: S3Config };

export interface LoadNumbers {
  readonly distribution: Distribution;
  readonly absentShare: number;
  readonly batch: number;
  readonly connections: number;
  readonly threads: number;
  readonly rate: number | undefined;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly seed: number;
}

/** For how long the client itself is measured. */
export function ceilingMsOf({ ceiling }: BenchOptions): number {
  return ceiling === '0' ? 0 : duration('--ceiling', ceiling, 100, HOUR_MS);
}

const CONNECTIONS_MAX = 10_000;
const RATE_MAX = 1e7;
const BATCH_MAX = 100_000;
const THETA_DEFAULT = 0.99;
const THETA_MAX = 10;
const HOUR_MS = 3_600_000;
const GET_BYTES_MAX = 2 ** 26;
/** Points of the plots over time. */
const INTERVALS_MAX = 300;

export function numbersOf(options: BenchOptions): LoadNumbers {
  const connections = whole('--connections', options.connections, 1, CONNECTIONS_MAX);
  const durationMs = duration('--duration', options.duration, 100, 24 * HOUR_MS);
  // One core is left for what else runs; the server often does.
  const threads = Math.min(connections, Math.max(1, availableParallelism() - 1));
  return {
    distribution: distributionOf(options.distribution),
    absentShare: share('--absent', options.absent),
    batch: options.batch === undefined ? 0 : whole('--batch', options.batch, 1, BATCH_MAX),
    connections,
    threads: options.threads === undefined ? threads : whole('--threads', options.threads, 1, connections),
    rate: options.rate === undefined ? undefined : whole('--rate', options.rate, 1, RATE_MAX),
    warmupMs: duration('--warmup', options.warmup, 0, HOUR_MS),
    durationMs,
    intervalMs: Math.max(Math.min(1000, durationMs / 10), durationMs / INTERVALS_MAX),
    timeoutMs: duration('--timeout', options.timeout, 1, HOUR_MS),
    seed: whole('--seed', options.seed, 0, 2 ** 40),
  };
}

export function targetOf(url: string | undefined, options: BenchOptions): BenchTarget {
  if (url?.startsWith('s3://')) return storageTarget(url, options);
  if (options.bytes !== undefined) throw new UsageError('--bytes is of ranged GETs; it goes with s3://bucket/...');
  const given = [url, options.config, options.inProcess].filter((place) => place !== undefined);
  if (given.length !== 1) {
    throw new UsageError(
      "say one target: a table's URL, a URL with {key} in it, --config FILE --table NAME, s3://bucket/..., or --in-process SOURCE --key COLUMN",
    );
  }
  if (options.inProcess !== undefined) return inProcessTarget(options.inProcess, options);
  if (options.config !== undefined) return configTarget(options.config, options);
  if (options.table !== undefined) throw new UsageError('--table goes with --config; a URL names its table itself');
  return { kind: 'http', http: httpTarget(url ?? '', options), definition: undefined, s3: undefined };
}

function inProcessTarget(source: string, options: BenchOptions): BenchTarget {
  const { key } = options;
  if (key === undefined) throw new UsageError(`--in-process ${source} needs the --key that rows are looked up by`);
  for (const [name, value] of Object.entries({
    '--body': options.body,
    '--header': options.header,
    '--threads': options.threads,
  })) {
    if (value !== undefined) throw new UsageError(`${name} is of requests over HTTP; --in-process sends none`);
  }
  return { kind: 'inProcess', source, key };
}

function storageTarget(uri: string, options: BenchOptions): BenchTarget {
  for (const [name, value] of Object.entries({
    '--in-process': options.inProcess,
    '--table': options.table,
    '--key': options.key,
    '--keys-from': options.keysFrom,
    '--range': options.range,
    '--keys-file': options.keysFile,
    '--batch': options.batch,
    '--columns': options.columns,
    '--value': options.value,
    '--body': options.body,
    '--header': options.header,
    '--threads': options.threads,
    '--absent': options.absent === '0' ? undefined : options.absent,
  })) {
    if (value !== undefined) throw new UsageError(`${name} does not go with ${uri}, of which ranges are got, not keys`);
  }
  const { bytes: text = '64KiB', config } = options;
  const bytes = asUsage(() => parseByteSize(text));
  if (!(bytes >= 1 && bytes <= GET_BYTES_MAX)) throw new UsageError(`--bytes takes 1B to 64MiB, not ${text}`);
  return {
    kind: 'storage',
    uri,
    bytes,
    s3: (config === undefined ? defaultConfig() : asUsage(() => readConfig(config, process.env))).s3,
  };
}

function configTarget(path: string, options: BenchOptions): BenchTarget {
  const config = asUsage(() => readConfig(path, process.env));
  const names = config.tables.map(({ name }) => name);
  const wanted = options.table ?? (names.length === 1 ? names[0] : undefined);
  const definition = config.tables.find(({ name }) => name === wanted);
  if (definition === undefined) {
    const which = wanted === undefined ? 'several tables' : `no table ${wanted}`;
    throw new UsageError(`${path} has ${which}; say --table with one of ${names.join(', ') || 'none'}`);
  }
  const { host, port } = config.server;
  const name = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
  const base = `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
  const http = httpTarget(`${base}/v1/tables/${encodeURIComponent(definition.name)}`, options);
  return { kind: 'http', http, definition, s3: config.s3 };
}

function httpTarget(text: string, { columns, value, body, header, batch }: BenchOptions): HttpTarget {
  const headers = Object.fromEntries((header ?? []).map(headerOf));
  const isTemplate = text.includes('{key}') || body !== undefined;
  const url = URL.parse(text.replaceAll('{key}', 'key'));
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`${text} is no URL; write http://host:port/v1/tables/NAME, or a URL with {key} in it`);
  }
  if (isTemplate) {
    if (columns !== undefined || value !== undefined) {
      throw new UsageError("--columns and --value are of a table's URL; write them into the URL with {key} itself");
    }
    if (batch !== undefined && !body?.includes('{keys}')) {
      throw new UsageError('--batch needs a --body with {keys}, where the JSON array of keys goes');
    }
    if (!text.includes('{key}') && !/\{keys?\}/.test(body ?? '')) {
      throw new UsageError('nothing says where the key goes: write {key} into the URL, or {key} or {keys} into --body');
    }
    return { kind: 'template', url: text, headers, body };
  }
  if (!/^\/v1\/tables\/[^/]+\/?$/.test(url.pathname) || url.search !== '') {
    throw new UsageError(`${text} is no table's URL; write http://host:port/v1/tables/NAME, or a URL with {key} in it`);
  }
  if (value !== undefined && (columns !== undefined || batch !== undefined)) {
    throw new UsageError('--value asks for one bare value a request; it goes with neither --columns nor --batch');
  }
  return { kind: 'table', url: `${url.origin}${url.pathname.replace(/\/$/, '')}`, headers, columns, value };
}

function headerOf(text: string): readonly [string, string] {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*([\x20-\x7e]*)$/.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new UsageError("a --header is no header; write it as 'name: value'");
  }
  return [name.toLowerCase(), value];
}

function distributionOf(text: string): Distribution {
  const [kind, theta, ...more] = text.split(':');
  if (more.length === 0 && theta === undefined && (kind === 'uniform' || kind === 'sequential')) return { kind };
  const skew = theta === undefined ? THETA_DEFAULT : Number(theta || Number.NaN);
  if (more.length === 0 && (kind === 'zipf' || kind === 'latest') && skew > 0 && skew <= THETA_MAX) {
    return { kind, theta: skew };
  }
  throw new UsageError(
    `--distribution ${text} is none of uniform, sequential, zipf, zipf:0.99, latest, latest:0.99 (above 0, up to ${THETA_MAX})`,
  );
}

function share(name: string, text: string): number {
  const value = /^(0|1|0?\.[0-9]{1,9}|1\.0+)$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw new UsageError(`${name} takes a share from 0 to 1 such as 0.1, not ${text}`);
  return value;
}

export function whole(name: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) {
    throw new UsageError(`${name} takes a whole number from ${least} to ${most}, not ${text}`);
  }
  return value;
}

function duration(name: string, text: string, leastMs: number, mostMs: number): number {
  const ms = asUsage(() => parseDuration(text));
  if (ms < leastMs || ms > mostMs) {
    throw new UsageError(`${name} takes ${leastMs} ms to ${mostMs / 1000} s, not ${text}`);
  }
  return ms;
}
