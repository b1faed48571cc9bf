/**
 * `pointlake preload`: has a running server preload a table, and shows how far it is until it is done.
 *
 * The server is asked over HTTP, so that what comes is where lookups find it. Given a configuration instead of a URL, the
 * `preload` of each of its tables is asked for, at the address that the configuration says.
 */

import { Command } from 'commander';
import { formatBytes, ServiceError, systemClock } from '../core/index.ts';
import type { PreloadRequest } from '../table/index.ts';
import { readConfig } from './config.ts';
import { asUsage, collectNames, UsageError } from './usage.ts';

const POLL_MS = 500;
const REQUEST_MS_MAX = 30_000;

interface PreloadOptions {
  readonly table?: readonly string[];
  readonly columns?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly into?: string;
  readonly rate?: string;
  readonly ttl?: string;
  readonly pin?: boolean;
  readonly verify?: boolean;
  readonly force?: boolean;
}

/** One table to preload; the body is what its route takes. */
interface Target {
  readonly url: string;
  readonly body: object;
}

/** What the server answers of a preload, as far as it is shown. */
interface Progress {
  readonly state: 'running' | 'done' | 'failed' | 'cancelled' | 'none';
  readonly id: string;
  readonly chunks: { readonly done: number; readonly total: number };
  readonly bytes: { readonly done: number; readonly total: number };
  readonly eta_seconds?: number;
  readonly storage: { readonly reads: number; readonly read_bytes: number; readonly usd: number };
  readonly errors: number;
  readonly first_errors?: readonly { readonly detail: string }[];
  readonly verified?: { readonly pages: number; readonly resident: number; readonly evicted: number };
}

export function preloadCommand(): Command {
  return new Command('preload')
    .description('Have a running server read tables ahead of their lookups, and show the progress.')
    .argument('<target>', "a table's URL, http://host:port/v1/tables/NAME, or a pointlake.yaml")
    .option('--table <names>', 'of a configuration only these tables, as a,b', collectNames)
    .option('--columns <names>', 'these columns beside the key, as a,b, or all', collectNames)
    .option('--from <key>', 'from this value of the first key column on')
    .option('--to <key>', 'up to this value of the first key column')
    .option('--into <tier>', 'memory (default) or disk')
    .option('--rate <bytes>', 'bytes a second, such as 200MiB')
    .option('--pin', 'bring back what is evicted')
    .option('--ttl <duration>', 'how long it is pinned, such as 1h')
    .option('--verify', 'look in the end how much of it is there')
    .option('--force', 'even if it seems not to fit')
    .addHelpText(
      'after',
      '\nExamples:\n  pointlake preload http://127.0.0.1:8080/v1/tables/users --columns name,age --verify\n  pointlake preload pointlake.yaml',
    )
    .action((target: string, options: PreloadOptions) => runPreload(target, options));
}

async function runPreload(target: string, options: PreloadOptions): Promise<void> {
  for (const { url, body } of targetsOf(target, options)) {
    const begun = await ask(url, 'POST', body);
    const ended = await shown(url, begun);
    if (ended.state !== 'done' || ended.errors > 0) process.exitCode = 1;
  }
}

function targetsOf(target: string, { table: only, ...options }: PreloadOptions): readonly Target[] {
  if (/^https?:\/\//i.test(target)) return [{ url: preloadUrl(target), body: bodyOf(options) }];
  if (Object.keys(options).length > 0) {
    throw new UsageError("a configuration says itself what is preloaded; give a table's URL to say it here");
  }
  const config = asUsage(() => readConfig(target, process.env));
  const { port } = config.server;
  const host = ['0.0.0.0', '::'].includes(config.server.host) ? '127.0.0.1' : config.server.host;
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const targets = config.tables.flatMap(({ name, preload }) =>
    preload === undefined || only?.includes(name) === false
      ? []
      : [{ url: preloadUrl(`${base}/v1/tables/${encodeURIComponent(name)}`), body: bodyOfRequest(preload) }],
  );
  if (targets.length === 0) throw new UsageError(`${target} has no table with a preload`);
  return targets;
}

function preloadUrl(table: string): string {
  const url = new URL(table);
  if (!/^\/v1\/tables\/[^/]+(\/preload)?\/?$/.test(url.pathname)) {
    throw new UsageError(`${table} is no table's URL; write http://host:port/v1/tables/NAME`);
  }
  return `${url.origin}${url.pathname.replace(/\/$/, '').replace(/\/preload$/, '')}/preload`;
}

function bodyOf({ columns, ...options }: Omit<PreloadOptions, 'table'>): object {
  const isAll = columns?.length === 1 && columns[0] === 'all';
  return { ...options, ...(columns === undefined ? {} : { columns: isAll ? 'all' : columns }) };
}

function bodyOfRequest({ rateBytes: rate, ttlMs: ttl, ...same }: PreloadRequest): object {
  return { ...same, rate, ...(ttl === undefined ? {} : { ttl }) };
}

/** Shows the progress until the preload ends. */
async function shown(url: string, begun: Progress): Promise<Progress> {
  let progress = begun;
  while (progress.state === 'running') {
    await systemClock.sleep(POLL_MS);
    progress = await ask(url, 'GET');
    if (progress.id !== begun.id) {
      throw new ServiceError(
        'changed',
        'changed',
        `another preload of this table was begun at ${url}; it goes on there`,
      );
    }
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${lineOf(progress)}`);
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  process.stdout.write(`${url}: ${progress.state}, ${lineOf(progress)}\n`);
  for (const { detail } of progress.first_errors ?? []) process.stderr.write(`pointlake: ${detail}\n`);
  return progress;
}

function lineOf({ chunks, bytes, storage, eta_seconds: eta, errors, verified }: Progress): string {
  const parts = [
    `${chunks.done} of ${chunks.total} column chunks`,
    `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`,
    `${storage.reads} reads of ${formatBytes(storage.read_bytes)} for $${storage.usd}`,
    ...(eta === undefined ? [] : [`${eta} s left`]),
    ...(errors === 0 ? [] : [`${errors} errors`]),
    ...(verified === undefined
      ? []
      : [`${verified.resident} of ${verified.pages} pages there, ${verified.evicted} blocks evicted meanwhile`]),
  ];
  return parts.join(', ');
}

async function ask(url: string, method: 'GET' | 'POST', body?: object): Promise<Progress> {
  const answer = await answerOf(url, method, body);
  const text = await answer.text();
  if (answer.ok) return JSON.parse(text) as Progress;
  const detail = /"detail":("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  throw new ServiceError(
    'unavailable',
    'unavailable',
    `${url} answered ${answer.status}: ${detail === undefined ? text.slice(0, 200) : JSON.parse(detail)}`,
  );
}

async function answerOf(url: string, method: 'GET' | 'POST', body: object | undefined): Promise<Response> {
  try {
    return await fetch(url, {
      method,
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  } catch (thrown) {
    const { cause, message } = thrown as Error;
    const reason = cause instanceof Error ? cause.message : message;
    throw new ServiceError('unavailable', 'unavailable', `no server answers at ${url}: ${reason}`, {}, thrown);
  }
}
