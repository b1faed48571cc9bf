/** `pointlake serve`: the server, from flags, from a configuration file, or from a bare path. */

import { Command, InvalidArgumentError } from 'commander';
import { type ServiceError, systemClock } from '../core/index.ts';
import { createNode, type PointlakeNode } from '../main.ts';
import { isLoopbackHost, type PointlakeServer, type ServerOptions, startServer } from '../server/index.ts';
import { exampleKeys, REQUEST_SHARE } from '../shard/index.ts';
import { parseSourceUri, tableNameOf } from '../storage/index.ts';
import { keyPath, type Table, type TableDefinition, tableDefinition } from '../table/index.ts';
import type { ServingThreads } from '../workers/index.ts';
import { defaultConfig, type NodeConfig, readConfig } from './config.ts';
import { WORKERS_MAX } from './config-schema.ts';
import { likelyKeys } from './likely-keys.ts';
import { memoryLimitBytes, memoryWarning } from './memory-limit.ts';
import { withOneTable } from './one-table.ts';
import { Reload } from './reload.ts';
import { ServedTables } from './served-tables.ts';
import { startServingLoops } from './serving-loops.ts';
import { asUsage, collectNames, UsageError } from './usage.ts';
import { VERSION } from './version.ts';

/** From SIGTERM to the end of the process, requests in flight included. */
const GRACE_MS = 10_000;
/** An example is a courtesy: a table whose storage is slow gets none. */
const EXAMPLE_MS_MAX = 2_000;

const LARGE_REPLY_BYTES_MIN = 64 * 2 ** 20;

interface ServeOptions {
  readonly config?: string;
  readonly table?: readonly string[];
  readonly key?: readonly string[];
  readonly host?: string;
  readonly port?: number;
  readonly workers?: number;
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('Serve point lookups over HTTP.')
    .argument('[uris...]', 'files, folders, globs or s3:// URIs; each is a table named after it')
    .option('--config <file>', 'a pointlake.yaml; flags win over it')
    .option('--table <name=uri>', 'a table under a name of your own; may be repeated', append)
    .option(
      '--key <columns>',
      'the key column, or columns as a,b; once for all tables, or once for each in order',
      append,
    )
    .option('--host <host>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', 'port to listen on, 0 for any (default: 8080)', portNumber)
    .option('--workers <count>', 'event loops that answer, at most one a core (default: 1)', workerCount)
    .addHelpText(
      'after',
      '\nExamples:\n  pointlake serve data/users.parquet --key user_id\n  pointlake serve --config pointlake.yaml',
    )
    .action((uris: readonly string[], options: ServeOptions) => runServe(uris, options));
}

async function runServe(uris: readonly string[], options: ServeOptions): Promise<void> {
  const config = await configOf(uris, options);
  if (config.tables.length === 0) {
    throw new UsageError(
      'there is nothing to serve: name a file or folder, or give --config; see pointlake serve --help',
    );
  }
  const tooLarge = memoryWarning(config.cacheMemoryBytes, memoryLimitBytes());
  if (tooLarge !== undefined) log(tooLarge);
  const { gets: getsMax, bytes: bytesMax } = config.limits;
  const { workers } = config.server;
  const node = createNode({ ...config, loops: workers, log, lookupBounds: { getsMax, bytesMax } });
  node.start();
  const limits = limitsOf(config);
  const server = await startServer(
    {
      catalog: node.catalog,
      engine: node.engine,
      loader: node.loader,
      tier: node.tier,
      rows: node.rows,
      preloader: node.preloader,
      indexings: node.indexings,
      disk: node.disk?.blocks,
      pool: node.pool,
      stores: node.stores,
      version: VERSION,
      clock: systemClock,
      otherLoops: node.others && (() => node.others?.publisher.takeReports() ?? Promise.resolve([])),
      onInternalError: (error) => log(`internal error: ${error.stack ?? error.message}`),
    },
    { host: config.server.host, port: config.server.port, isShared: workers > 1, ...limits },
  );
  const loops = startServingLoops(node, server, { ...config.server, port: server.port }, limits, log);
  const stopping = new AbortController();
  const events = { onSnapshot: logSnapshot, onError: logError, onReplaced: logReplaced };
  const tables = new ServedTables(node, systemClock, events, stopping.signal);
  const opened = Promise.withResolvers<void>();
  stopOnSignals(server, loops, node, stopping);
  reloadOnSignal(new Reload(tables, config, () => configOf(uris, options), log), opened.promise, options);
  if (!isLoopbackHost(config.server.host)) {
    log(
      `warning: listening on ${config.server.host} without authentication: anyone who reaches this port can read these tables`,
    );
  }
  await Promise.all([tables.open(), loops]);
  if (stopping.signal.aborted) return;
  // Tables that are still in error keep what their last snapshot names.
  void node.sweepDisk();
  log(`ready on ${server.url}`);
  for (const table of node.catalog.tables()) process.stdout.write(`${await exampleCurl(node, table, server.url)}\n`);
  opened.resolve();
}

function limitsOf({ limits, cacheMemoryBytes }: NodeConfig): Partial<ServerOptions> {
  return {
    keysMax: limits.keys,
    bodyBytesMax: limits.body,
    valueInRowBytes: limits.valueInRow,
    queryGetsMax: limits.gets * REQUEST_SHARE,
    queryBytesMax: limits.bytes * REQUEST_SHARE,
    largeReplyBytesMax: largeReplyBytes(cacheMemoryBytes),
  };
}

/** An eighth of the node's memory, as pages on their way have, but room for two of the largest values. */
function largeReplyBytes(memoryBytes: number): number {
  return Math.max(LARGE_REPLY_BYTES_MIN, Math.floor(memoryBytes / 8));
}

/** Flags over the file, bare URIs beside both. */
async function configOf(uris: readonly string[], options: ServeOptions): Promise<NodeConfig> {
  const base =
    options.config === undefined ? defaultConfig() : asUsage(() => readConfig(options.config ?? '', process.env));
  const named = [
    ...uris.map((uri) => ({ name: asUsage(() => tableNameOf(parseSourceUri(uri))), uri })),
    ...(options.table ?? []).map(nameAndUri),
  ];
  const tables: TableDefinition[] = [...base.tables];
  for (const [i, { name, uri }] of named.entries()) {
    const key = options.key?.length === 1 ? options.key[0] : options.key?.[i];
    if (key === undefined) throw await keyMissing(uri);
    if (tables.some((table) => table.name === name)) {
      throw new UsageError(`two tables are called ${name}; name one with --table other=${uri}`);
    }
    const definition = asUsage(() => tableDefinition(name, uri, collectNames(key, undefined)));
    tables.push({ ...definition, index: 'auto' });
  }
  return {
    ...base,
    tables,
    server: {
      host: options.host ?? base.server.host,
      port: options.port ?? base.server.port,
      workers: options.workers ?? base.server.workers,
    },
  };
}

/** Without a key there is nothing to look up by; the file itself tells what may serve. */
async function keyMissing(uri: string): Promise<UsageError> {
  let error = new UsageError(`${uri} has no --key`);
  await withOneTable(uri, [], async ({ snapshot }) => {
    const keys = likelyKeys(snapshot);
    const [first] = keys;
    const list = keys.slice(0, 5).map(({ name, reason }) => `${name} (${reason})`);
    error = new UsageError(
      first === undefined
        ? `${uri} has no column that can be a key`
        : `${uri} needs a key column: pointlake serve ${uri} --key ${first.name}. Likely keys: ${list.join('; ')}`,
    );
  });
  return error;
}

function logSnapshot(table: Table): void {
  const { snapshot } = table;
  if (snapshot === undefined) return;
  const broken = snapshot.files.filter((file) => file.kind === 'broken');
  const files = snapshot.files.length === 1 ? '1 file' : `${snapshot.files.length} files`;
  log(`table ${table.name}: ${snapshot.rows} rows in ${files}, snapshot ${snapshot.id}`);
  for (const file of broken.slice(0, 5)) log(`table ${table.name}: ${file.error.message}`);
}

function logReplaced(table: Table): void {
  log(`table ${table.name}: its new definition serves from now on`);
}

function logError(table: Table, error: ServiceError): void {
  const serving = table.snapshot === undefined ? 'has nothing to serve' : 'serves its last snapshot';
  log(`table ${table.name} ${serving}: ${error.message} (${error.code})`);
}

async function exampleCurl(node: PointlakeNode, table: Table, url: string): Promise<string> {
  const path = `${url}/v1/tables/${table.name}`;
  const { snapshot } = table;
  if (snapshot === undefined) return `curl ${path}`;
  try {
    const [key] = await exampleKeys(node.loader, snapshot, 1, AbortSignal.timeout(EXAMPLE_MS_MAX));
    const keyPart = key && keyPath(snapshot.keyLeaves, key);
    return keyPart === undefined ? `curl ${path}` : `curl '${path}/rows/${keyPart}'`;
  } catch {
    return `curl ${path}`;
  }
}

/** The first signal drains; a second one ends at once. */
function stopOnSignals(
  server: PointlakeServer,
  loops: Promise<ServingThreads | undefined>,
  node: PointlakeNode,
  stopping: AbortController,
): void {
  const stop = async (name: string) => {
    if (stopping.signal.aborted) process.exit(1);
    stopping.abort(new Error(`stopped by ${name}`));
    log(`${name}: finishing what is in flight`);
    setTimeout(() => process.exit(0), GRACE_MS).unref();
    await Promise.all([server.close(), loops.then((threads) => threads?.close())]);
    await node.close();
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** Not before the tables were opened; the signal is taken from the first moment, since by default it ends a process. */
function reloadOnSignal(reload: Reload, opened: Promise<void>, { config }: ServeOptions): void {
  process.on('SIGHUP', () => {
    if (config === undefined) log('SIGHUP: nothing was changed: the server was started without --config');
    else void opened.then(() => reload.request());
  });
}

function nameAndUri(text: string): { readonly name: string; readonly uri: string } {
  const at = text.indexOf('=');
  if (at <= 0) throw new UsageError(`${JSON.stringify(text)} is no table; write --table name=URI`);
  return { name: text.slice(0, at), uri: text.slice(at + 1) };
}

function append(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

function portNumber(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new InvalidArgumentError('expected a port from 0 to 65535');
  return port;
}

function workerCount(text: string): number {
  const count = /^[0-9]{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > WORKERS_MAX) throw new InvalidArgumentError(`expected a number from 1 to ${WORKERS_MAX}`);
  return count;
}

function log(line: string): void {
  process.stdout.write(`pointlake: ${line}\n`);
}
