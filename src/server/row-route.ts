/**
 * `GET /v1/tables/{table}/rows/{key}`, `.../by/{keyName}/{value}` and `.../values/{column}/{key}` where the answer is not
 * all in memory: what is has been answered already, see `hot-path.ts`.
 *
 * Such a request opens a deadline and waits; it then may be read from a fresh snapshot, because an object changed
 * meanwhile, so that key and encoder are made again for it.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../core/index.ts';
import type { Receipt } from '../shard/index.ts';
import type { Snapshot, Table } from '../table/index.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import { addReceipt, receiptFor } from './explain.ts';
import { keyFromPath } from './key-parts.ts';
import { withValueUrl } from './large-value.ts';
import { onSnapshot, snapshotNow } from './pinned.ts';
import { respondError, respondText } from './respond.ts';
import {
  byNamedKey,
  byOwnKey,
  isEmpty,
  type KeyPath,
  PREFIX_PARTS,
  sendAbsent,
  sendFound,
  sendValue,
  VALUE_TYPES,
} from './row-replies.ts';
import { decodePart, readTarget, type Target } from './target.ts';

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

export function rowHandler(context: ServerContext): Handler {
  return handlerOf(context, byOwnKey);
}

export function namedKeyHandler(context: ServerContext): Handler {
  return handlerOf(context, byNamedKey);
}

function handlerOf(context: ServerContext, path: KeyPath): Handler {
  return (request, reply) => {
    checkRequestHeaders(request.raw.headers);
    void sendRow(context, request, reply, path, beginningOf(context, request));
  };
}

export function valueHandler(context: ServerContext): Handler {
  return (request, reply) => {
    checkRequestHeaders(request.raw.headers, VALUE_TYPES);
    void sendWaitedValue(context, request, reply, beginningOf(context, request));
  };
}

interface Beginning {
  readonly table: Table;
  /** Undefined where it has to be confirmed first. */
  readonly pinned: Snapshot | undefined;
  readonly target: Target;
  readonly timeoutMs: number;
  readonly receipt: Receipt | undefined;
}

/** What a request asks for, as far as that takes no wait. */
function beginningOf({ catalog, clock, options }: ServerContext, request: FastifyRequest): Beginning {
  const { headers, url = '' } = request.raw;
  const table = catalog.get(tableName(request));
  return {
    table,
    pinned: snapshotNow(table, headers, clock),
    target: readTarget(url, PREFIX_PARTS),
    timeoutMs: timeoutOf(headers, options.deadlineMs),
    receipt: receiptFor(headers),
  };
}

async function sendRow(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  path: KeyPath,
  { table, pinned, target, timeoutMs, receipt }: Beginning,
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
    else sendFound(context, request.raw, reply, { snapshot, encoder, tier, json }, respondText);
  } catch (thrown) {
    addReceipt(reply, receipt, table);
    respondError(reply, withValueUrl(thrown, table.name, path.valuePath(target.parts)), context.onInternalError);
  }
}

async function sendWaitedValue(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  { table, pinned, target, timeoutMs, receipt }: Beginning,
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
    else sendValue(context, request.raw, reply, encoder, parts, answer);
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

export function tableName(request: FastifyRequest): string {
  const { table } = request.params as { readonly table?: string };
  if (table === undefined) throw new ServiceError('internal', 'internal', 'a route of a table names no table');
  return table;
}
