/** `GET /v1/tables`, `GET /v1/tables/{table}` and `POST /v1/tables/{table}/refresh`. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../core/index.ts';
import { exampleKeys, type IndexStatus } from '../shard/index.ts';
import {
  type Key,
  projectionStates,
  type Snapshot,
  type SnapshotFile,
  type Table,
  type TableDefinition,
  typeName,
} from '../table/index.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import { curlOf, EXAMPLE_KEYS, examplesOf } from './examples.ts';
import { changeState, refreshState, unsettledState } from './freshness-state.ts';
import { addressOf, isLoopbackAddress } from './loopback.ts';
import { preloadState } from './preload-route.ts';
import { choice, parseQuery } from './query.ts';
import { respondError, respondJson } from './respond.ts';
import { tableName } from './row-route.ts';
import { readTarget } from './target.ts';

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

const FILES_SHOWN = 100;
/** Reading example keys is a kindness; a slow store must not make the description slow. */
const EXAMPLES_TIMEOUT_MS = 2000;

export function tablesHandler(context: ServerContext): Handler {
  return (request, reply) => {
    checkRequestHeaders(request.raw.headers);
    refuseParameters(request);
    const tables = [...context.catalog.tables()].map((table) => summaryOf(context, table));
    respondJson(reply, { tables });
  };
}

export function tableHandler(context: ServerContext): Handler {
  const keysOf = new WeakMap<Snapshot, readonly Key[]>();
  return (request, reply) => {
    checkRequestHeaders(request.raw.headers);
    refuseParameters(request);
    const table = context.catalog.get(tableName(request));
    const timeoutMs = Math.min(timeoutOf(request.raw.headers, context.options.deadlineMs), EXAMPLES_TIMEOUT_MS);
    void sendTable(context, request, reply, table, keysOf, timeoutMs);
  };
}

async function sendTable(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  table: Table,
  keysOf: WeakMap<Snapshot, readonly Key[]>,
  timeoutMs: number,
): Promise<void> {
  try {
    const { snapshot } = table;
    const examples =
      snapshot === undefined ? {} : await readExamples(context, request, reply, snapshot, keysOf, timeoutMs);
    await context.loops.hear();
    respondJson(reply, { ...descriptionOf(context, table), ...examples });
  } catch (thrown) {
    respondError(reply, thrown, context.onInternalError);
  }
}

/** Examples, or why there are none: the rest of the description does not depend on them. */
async function readExamples(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  snapshot: Snapshot,
  keysOf: WeakMap<Snapshot, readonly Key[]>,
  timeoutMs: number,
): Promise<object> {
  try {
    const keys =
      keysOf.get(snapshot) ??
      (await underDeadline(reply, context.clock, timeoutMs, 'at deadline', (signal) =>
        exampleKeys(context.loader, snapshot, EXAMPLE_KEYS, signal),
      ));
    keysOf.set(snapshot, keys);
    const base = baseUrl(request);
    return {
      examples: examplesOf(snapshot, keys).map((example) => ({ ...example, curl: curlOf(example, base) })),
    };
  } catch (thrown) {
    if (!(thrown instanceof ServiceError)) throw thrown;
    return { examples: [], examples_error: { code: thrown.code, detail: thrown.message } };
  }
}

/** As the client sees us, if what it says is a plain host and port. */
function baseUrl(request: FastifyRequest): string {
  const { host } = request.raw.headers;
  const { localPort } = request.raw.socket;
  return `http://${host !== undefined && /^[\w.-]+(:\d+)?$|^\[[0-9a-f:.]+\](:\d+)?$/i.test(host) ? host : `127.0.0.1:${localPort}`}`;
}

function summaryOf(context: ServerContext, table: Table): object {
  const { snapshot, definition, error } = table;
  return {
    name: table.name,
    status: statusOf(table),
    key: definition.key,
    ...(snapshot === undefined ? {} : { rows: snapshot.rows, files: snapshot.files.length }),
    ...(snapshot === undefined ? {} : { snapshot: snapshotState(context, table, snapshot) }),
    ...unsettledState(table),
    ...(error === undefined ? {} : { error: { code: error.code, detail: error.message } }),
  };
}

function statusOf(table: Table): 'serving' | 'held' | 'error' | 'loading' {
  if (table.held !== undefined) return 'held';
  if (table.snapshot !== undefined) return 'serving';
  return table.error === undefined ? 'loading' : 'error';
}

/** Stale is one from disk that no listing has confirmed since the start. */
function snapshotState(context: ServerContext, table: Table, snapshot: Snapshot): object {
  const ageSeconds = Math.max(0, Math.floor((context.clock.nowMs() - snapshot.confirmedAtMs) / 1000));
  return {
    id: snapshot.id,
    created_at: new Date(snapshot.createdAtMs).toISOString(),
    age_seconds: ageSeconds,
    ...(table.isRestored ? { stale: true } : {}),
  };
}

function descriptionOf(context: ServerContext, table: Table): object {
  const { snapshot, definition } = table;
  return {
    ...summaryOf(context, table),
    source: definition.source,
    unique: definition.unique,
    ...namedKeysOf(context, table),
    duplicates: definition.duplicates.kind,
    ...(definition.duplicates.kind === 'latest' ? { latest_by: definition.duplicates.by } : {}),
    ...projectionsOf(definition, snapshot),
    json: definition.json,
    ...(snapshot === undefined ? {} : { columns: columnsOf(snapshot), files: filesOf(snapshot) }),
    // What its reads and listings have cost since the server started.
    storage: table.source.account.bill(),
    refresh: refreshState(table),
    index: indexState(context.indexings(table)[0]?.status),
    cache: { memory: memoryState(context), table: quotaState(table), ...diskState(context) },
    preload: preloadState(context.preloader.of(table.name), table, context.clock.nowMs()),
  };
}

function namedKeysOf(context: ServerContext, table: Table): object {
  const { keys } = table.definition;
  if (keys.length === 0) return {};
  const indexings = context.indexings(table).slice(1);
  return {
    keys: Object.fromEntries(
      keys.map(({ name, columns }, i) => [name, { columns, index: indexState(indexings[i]?.status) }]),
    ),
  };
}

function projectionsOf({ projections, defaultColumns }: TableDefinition, snapshot: Snapshot | undefined): object {
  const defaults = defaultColumns === undefined ? {} : { default_columns: defaultColumns };
  if (projections.length === 0 || snapshot === undefined) return defaults;
  const states = projectionStates(snapshot).map(({ name, columns, unknown }) => [
    name,
    { columns, ...(unknown.length === 0 ? {} : { unknown_columns: unknown }) },
  ]);
  return { ...defaults, projections: Object.fromEntries(states) };
}

function indexState(status: IndexStatus | undefined): object {
  if (status === undefined || status.state === 'none') {
    return { kind: 'none', ...(status === undefined ? {} : { reason: status.reason }) };
  }
  const {
    state,
    reason,
    bytes,
    runs,
    runsOnDisk,
    bytesOnDisk,
    entries,
    count,
    pagesRead,
    pagesHit,
    files,
    filesIndexed,
    progress,
    error,
  } = status;
  return {
    kind: 'hash',
    state,
    reason,
    bytes,
    keys: entries,
    ...(count === undefined ? {} : duplicatesState(count)),
    runs,
    ...(runsOnDisk === 0
      ? {}
      : { runs_on_disk: runsOnDisk, bytes_on_disk: bytesOnDisk, pages_read: pagesRead, pages_in_memory: pagesHit }),
    files_indexed: filesIndexed,
    files,
    ...(progress === undefined ? {} : { progress: { rows: progress.rows, rows_done: progress.rowsDone } }),
    ...(error === undefined ? {} : { error: { code: error.code, detail: error.message } }),
  };
}

/** Keys that share a fingerprint by chance pass for one, so that of duplicates it is the most that there can be. */
function duplicatesState({ rows, keysAtLeast, alikeByChance }: Exclude<IndexStatus['count'], undefined>): object {
  const byChance = Number(alikeByChance.toPrecision(2));
  return { duplicates: { at_most: rows - keysAtLeast, by_chance: byChance, rows, keys_at_least: keysAtLeast } };
}

/** Of the whole node, as memory is. */
function diskState({ disk }: ServerContext): object {
  if (disk === undefined) return {};
  const { budgetBytes, bytes, blocks, hits, written, evicted, dropped, invalid, faults } = disk.state;
  const { reads, aside, sectors, bytesRead } = disk.state;
  return {
    disk: {
      budget_bytes: budgetBytes,
      bytes,
      blocks,
      hits,
      reads,
      reads_in_threads: aside,
      sectors,
      bytes_read: bytesRead,
      written,
      evicted,
      dropped,
      invalid,
      faults,
    },
  };
}

/** What the blocks of the table itself take in memory. */
function quotaState({ quota }: Table): object {
  return {
    blocks_bytes: quota.usedBytes,
    ...(quota.isLimited ? { quota_bytes: quota.limitBytes } : {}),
  };
}

/** Of the whole node: all tables share one budget. */
function memoryState({ tier: { budget, stats }, rows }: ServerContext): object {
  return {
    budget_bytes: budget.totalBytes,
    metadata_bytes: budget.usedBytes('metadata'),
    blocks_bytes: budget.usedBytes('blocks'),
    blocks: stats.entries,
    admitted: stats.admitted,
    evicted: stats.evicted,
    rows_budget_bytes: rows.stats.capacityBytes,
    rows: rows.stats.entries,
    rows_hits: rows.stats.hits,
    rows_misses: rows.stats.misses,
  };
}

function columnsOf(snapshot: Snapshot): readonly object[] {
  return snapshot.columns.map((column) => ({
    name: column.name,
    type: typeName(column),
    ...(column.unsupported === undefined ? { nullable: column.isNullable } : { readable: false }),
    ...(snapshot.keyColumns.includes(column) ? { key: true } : {}),
    ...(column.partition === undefined ? {} : { partition: true }),
  }));
}

function filesOf(snapshot: Snapshot): object {
  const { files } = snapshot;
  return {
    count: files.length,
    bytes: files.reduce((bytes, file) => bytes + objectOf(file).sizeBytes, 0),
    unreadable: files.filter((file) => file.kind === 'broken').length,
    first: files.slice(0, FILES_SHOWN).map(fileState),
  };
}

function objectOf(file: SnapshotFile): { readonly key: string; readonly sizeBytes: number } {
  return file.kind === 'readable' ? file.file.object : file.object;
}

function fileState(file: SnapshotFile): object {
  const { key, sizeBytes: bytes } = objectOf(file);
  if (file.kind === 'broken') return { key, bytes, error: { code: file.error.code, detail: file.error.message } };
  const { rows, rowGroups } = file.file.index;
  return { key, bytes, rows, row_groups: rowGroups };
}

function refuseParameters(request: FastifyRequest): void {
  const { query } = readTarget(request.raw.url ?? '', 0);
  if (query !== '') parseQuery(query, []);
}

/** While nobody has to prove who they are, only this machine may make the server list its storage. */
export function refreshHandler(context: ServerContext): Handler {
  return (request, reply) => {
    checkRequestHeaders(request.raw.headers);
    const force = forceOf(request);
    const address = addressOf(request.raw);
    if (!isLoopbackAddress(address)) {
      const message =
        'refresh answers this machine only, since there is no authentication; send it from the server itself';
      throw new ServiceError('unauthorized', 'forbidden', message);
    }
    const table = context.catalog.get(tableName(request));
    const timeoutMs = timeoutOf(request.raw.headers, context.options.deadlineMs);
    void sendRefreshed(context, reply, table, force, timeoutMs);
  };
}

/** `?force=true` takes what is there, however much is lost. */
function forceOf(request: FastifyRequest): boolean {
  const { query } = readTarget(request.raw.url ?? '', 0);
  return choice(parseQuery(query, ['force']), 'force', ['true', 'false'], 'false') === 'true';
}

async function sendRefreshed(
  context: ServerContext,
  reply: FastifyReply,
  table: Table,
  force: boolean,
  timeoutMs: number,
): Promise<void> {
  const before = table.snapshot?.id;
  try {
    const { snapshot, change } = await underDeadline(reply, context.clock, timeoutMs, 'at deadline', (signal) =>
      table.refreshed(signal, { force }),
    );
    const changed = snapshot.id !== before;
    respondJson(reply, { ...summaryOf(context, table), changed, change: changeState(change) });
  } catch (thrown) {
    respondError(reply, thrown, context.onInternalError);
  }
}
