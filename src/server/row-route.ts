/**
 * `GET /v1/tables/{table}/rows/{key}`, `.../by/{keyName}/{value}` and `.../values/{column}/{key}`.
 *
 * When the row is in memory everything from request to reply happens in one synchronous stretch: no promise is made.
 * Only a row that has to be fetched opens a deadline and waits; it then may be read from a fresh snapshot, because an
 * object changed meanwhile, so that key and encoder are made again for it.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../core/index.ts';
import type { LookupEngine, Receipt, ValueAnswer } from '../shard/index.ts';
import type { Key, Snapshot, Table, TableKey } from '../table/index.ts';
import { checkAccepts, checkRequestHeaders, isNotModified, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import type { CacheTier, Encoder, RowEncoder } from './encoders.ts';
import { addReceipt, receiptFor } from './explain.ts';
import { keyFromPath } from './key-parts.ts';
import { COPIED_BYTES_MAX } from './large-replies.ts';
import { withValueUrl } from './large-value.ts';
import { onSnapshot, snapshotNow } from './pinned.ts';
import { problemOf } from './problem.ts';
import { respond, respondEmpty, respondError, respondProblem, respondText } from './respond.ts';
import { decodePart, readTarget, type Target } from './target.ts';

/** `/v1/tables/{table}/rows/`, and with `by` or `values` in its place, are four parts. */
const PREFIX_PARTS = 4;

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

/** By which key a path asks, and the parts of it that are the key. */
interface KeyPath {
  address(snapshot: Snapshot, parts: readonly string[]): { readonly by: TableKey; readonly parts: readonly string[] };
  /** The key as it stands in the URL of a value; undefined where values are not to be had by this key. */
  valuePath(parts: readonly string[]): string | undefined;
}

/** `.../rows/{key}` */
const byOwnKey: KeyPath = {
  address: (snapshot, parts) => ({ by: snapshot.primaryKey, parts }),
  valuePath: (parts) => parts.join('/'),
};

/** `.../by/{keyName}/{value}` */
const byNamedKey: KeyPath = {
  address: (snapshot, [name = '', ...parts]) => ({ by: snapshot.key(decodePart(name)), parts }),
  valuePath: () => undefined,
};

export function rowHandler(context: ServerContext): Handler {
  return handlerOf(context, byOwnKey);
}

export function namedKeyHandler(context: ServerContext): Handler {
  return handlerOf(context, byNamedKey);
}

function handlerOf(context: ServerContext, path: KeyPath): Handler {
  const { catalog, engine, encoders } = context;
  return (request, reply) => {
    const { raw } = request;
    checkRequestHeaders(raw.headers);
    const table = catalog.get(tableName(request));
    const snapshot = snapshotNow(table, raw.headers, context.clock);
    const target = readTarget(raw.url ?? '', PREFIX_PARTS);
    const timeoutMs = timeoutOf(raw.headers, context.options.deadlineMs);
    const receipt = receiptFor(raw.headers);
    if (snapshot === undefined || receipt !== undefined) {
      return void sendColdRow(context, request, reply, table, snapshot, path, target, timeoutMs, receipt);
    }
    const { by, parts } = path.address(snapshot, target.parts);
    if (isEmpty(snapshot)) return sendAbsent(context, reply, snapshot, parts, 'memory');
    const encoder = encoders.row(snapshot, by, target.query);
    const key = keyFromPath(snapshot, by, parts);
    const pagesRead = by.indexPagesRead;
    const json = rowNow(engine, snapshot, key, encoder, path, parts);
    if (json === undefined) return void sendColdRow(context, request, reply, table, snapshot, path, target, timeoutMs);
    // Nothing else that is on disk is read in this stretch.
    const tier = by.indexPagesRead === pagesRead ? 'memory' : 'disk';
    if (json === null) return sendAbsent(context, reply, snapshot, parts, tier);
    sendFound(context, request, reply, snapshot, encoder, tier, json);
  };
}

/** As `tryRow`, but what is too large for the row is refused with its own URL. */
function rowNow(
  engine: LookupEngine,
  snapshot: Snapshot,
  key: Key,
  { projection }: RowEncoder,
  path: KeyPath,
  parts: readonly string[],
): string | null | undefined {
  try {
    return engine.tryRow(snapshot, key, projection);
  } catch (thrown) {
    throw withValueUrl(thrown, snapshot.definition.name, path.valuePath(parts));
  }
}

async function sendColdRow(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  table: Table,
  pinned: Snapshot | undefined,
  path: KeyPath,
  target: Target,
  timeoutMs: number,
  receipt?: Receipt,
): Promise<void> {
  const { engine, encoders, clock } = context;
  const { headers } = request.raw;
  try {
    const read = async (snapshot: Snapshot, signal: AbortSignal) => {
      receipt?.begin(snapshot);
      const { by, parts } = path.address(snapshot, target.parts);
      if (isEmpty(snapshot)) return { ...absentIn(snapshot), parts };
      const encoder = encoders.row(snapshot, by, target.query);
      const key = keyFromPath(snapshot, by, parts);
      return { parts, encoder, answer: await engine.row(snapshot, key, encoder.projection, signal, receipt) };
    };
    const { parts, encoder, answer } = await underDeadline(reply, clock, timeoutMs, 'at deadline', (signal) =>
      onSnapshot(table, pinned, { headers, clock, timeoutMs, signal }, (fresh) => read(fresh, signal)),
    );
    const { json, snapshot, tier } = answer;
    addReceipt(reply, receipt, table);
    if (json === null || encoder === undefined) sendAbsent(context, reply, snapshot, parts, tier);
    else sendFound(context, request, reply, snapshot, encoder, tier, json);
  } catch (thrown) {
    addReceipt(reply, receipt, table);
    respondError(reply, withValueUrl(thrown, table.name, path.valuePath(target.parts)), context.onInternalError);
  }
}

export function valueHandler(context: ServerContext): Handler {
  const { catalog, engine, encoders } = context;
  return (request, reply) => {
    const { raw } = request;
    checkRequestHeaders(raw.headers, ['text/plain', 'application/json', 'application/octet-stream']);
    const table = catalog.get(tableName(request));
    const snapshot = snapshotNow(table, raw.headers, context.clock);
    const target = readTarget(raw.url ?? '', PREFIX_PARTS);
    const [column = '', ...parts] = target.parts;
    const timeoutMs = timeoutOf(raw.headers, context.options.deadlineMs);
    const receipt = receiptFor(raw.headers);
    if (snapshot === undefined || receipt !== undefined) {
      return void sendColdValue(context, request, reply, table, snapshot, target, timeoutMs, receipt);
    }
    if (isEmpty(snapshot)) return sendAbsent(context, reply, snapshot, parts, 'memory');
    const encoder = encoders.value(snapshot, decodePart(column), target.query);
    const key = keyFromPath(snapshot, snapshot.primaryKey, parts);
    const answer = engine.tryValue(snapshot, key, encoder.column, encoder.writer);
    if (answer === undefined) return void sendColdValue(context, request, reply, table, snapshot, target, timeoutMs);
    sendValue(context, request, reply, encoder, parts, answer);
  };
}

async function sendColdValue(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  table: Table,
  pinned: Snapshot | undefined,
  target: Target,
  timeoutMs: number,
  receipt?: Receipt,
): Promise<void> {
  const { engine, encoders, clock } = context;
  const { headers } = request.raw;
  const [column = '', ...parts] = target.parts;
  try {
    const read = async (snapshot: Snapshot, signal: AbortSignal) => {
      receipt?.begin(snapshot);
      if (isEmpty(snapshot)) return absentIn(snapshot);
      const encoder = encoders.value(snapshot, decodePart(column), target.query);
      const key = keyFromPath(snapshot, snapshot.primaryKey, parts);
      return { encoder, answer: await engine.value(snapshot, key, encoder.column, encoder.writer, signal, receipt) };
    };
    const { encoder, answer } = await underDeadline(reply, clock, timeoutMs, 'at deadline', (signal) =>
      onSnapshot(table, pinned, { headers, clock, timeoutMs, signal }, (fresh) => read(fresh, signal)),
    );
    addReceipt(reply, receipt, table);
    if (encoder === undefined) sendAbsent(context, reply, answer.snapshot, parts, answer.tier);
    else sendValue(context, request, reply, encoder, parts, answer);
  } catch (thrown) {
    addReceipt(reply, receipt, table);
    respondError(reply, thrown, context.onInternalError);
  }
}

/** Of a snapshot without a file. */
function absentIn(snapshot: Snapshot) {
  const answer = { kind: 'absent', json: null, tier: 'memory', snapshot } as const;
  return { encoder: undefined, answer };
}

function sendValue(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  encoder: Encoder,
  parts: readonly string[],
  answer: ValueAnswer,
): void {
  const { snapshot, tier } = answer;
  reply.tier = tier;
  if (answer.kind === 'absent') {
    sendAbsent(context, reply, snapshot, parts, tier);
    return;
  }
  const headers = encoder.headers[tier].list(ageSeconds(context, snapshot));
  if (answer.kind === 'value') checkAccepts(request.raw.headers, answer.value.contentType);
  if (isNotModified(request.raw.headers['if-none-match'], encoder.etag)) respondEmpty(reply, 304, headers);
  else if (answer.kind === 'value') {
    const { body, contentType } = answer.value;
    const all = [...headers, 'content-type', contentType];
    if (typeof body === 'string' && body.length <= COPIED_BYTES_MAX) respond(reply, 200, all, body);
    else context.largeReplies.send(reply, all, typeof body === 'string' ? Buffer.from(body) : body);
  } else respondEmpty(reply, 204, headers);
}

function sendFound(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  snapshot: Snapshot,
  encoder: Encoder,
  tier: CacheTier,
  json: string,
): void {
  reply.tier = tier;
  const headers = encoder.headers[tier];
  const age = ageSeconds(context, snapshot);
  if (isNotModified(request.raw.headers['if-none-match'], encoder.etag)) respondEmpty(reply, 304, headers.list(age));
  else respondText(reply, headers, age, json);
}

/** 404 only ever says that the key is provably in no file of the snapshot. */
function sendAbsent(
  context: ServerContext,
  reply: FastifyReply,
  snapshot: Snapshot,
  parts: readonly string[],
  tier: CacheTier,
): void {
  reply.tier = tier;
  const table = snapshot.definition.name;
  const shown = parts.map((part) => shorten(decodePart(part)));
  const detail = `no row of table ${table} has the key ${shown.join('/')}`;
  const error = { kind: 'notFound', code: 'key_not_found', message: detail, context: { table, key: shown } } as const;
  const headers = ['pointlake-snapshot', snapshot.id, 'pointlake-cache', tier, ...ageHeader(context, snapshot)];
  respondProblem(reply, problemOf(error, headers));
}

function shorten(part: string): string {
  return part.length > 100 ? `${part.slice(0, 100).toWellFormed()}…` : part;
}

export function ageHeader(context: ServerContext, snapshot: Snapshot): readonly string[] {
  return ['pointlake-snapshot-age', `${ageSeconds(context, snapshot)}`];
}

/** Since a listing last confirmed the snapshot. */
function ageSeconds(context: ServerContext, snapshot: Snapshot): number {
  return Math.max(0, Math.floor((context.clock.nowMs() - snapshot.confirmedAtMs) / 1000));
}

/** A table without a file has no schema to read a key by, and no row either. */
export function isEmpty(snapshot: Snapshot): boolean {
  return snapshot.keyLeaves.length === 0;
}

export function tableName(request: FastifyRequest): string {
  const { table } = request.params as { readonly table?: string };
  if (table === undefined) throw new ServiceError('internal', 'internal', 'a route of a table names no table');
  return table;
}
