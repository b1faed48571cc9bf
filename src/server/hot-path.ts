/**
 * Rows, values and absent keys that are in memory, answered before Fastify makes its objects of the request.
 *
 * Everything from request to reply happens in one synchronous stretch: no promise is made. Whatever is not plainly of
 * this kind is left to Fastify untouched: what has to be fetched, other routes and methods, unknown tables, and all
 * requests once the server closes. Fastify's routing and its objects are a fifth of what such an answer costs, see
 * `docs/adr/0033-hot-rows-before-the-framework.md`.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LookupEngine } from '../shard/index.ts';
import type { Key, Snapshot, Table } from '../table/index.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import type { RowEncoder } from './encoders.ts';
import { receiptFor } from './explain.ts';
import { keyFromPath } from './key-parts.ts';
import { withValueUrl } from './large-value.ts';
import { countAnswer, type RouteMetrics } from './metrics-requests.ts';
import { snapshotNow } from './pinned.ts';
import { PlainReply, type Reply } from './reply.ts';
import {
  type Answering,
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
import { decodePart, readTarget } from './target.ts';

const PREFIX = '/v1/tables/';

/** A table, as far as what is in memory needs it. */
export type HotTable = Pick<Table, 'name' | 'current' | 'asOf'>;

/** What answering from memory needs, in whichever event loop. */
export interface HotContext extends Answering, Pick<ServerContext, 'encoders' | 'options' | 'isDraining'> {
  readonly catalog: { find(name: string): HotTable | undefined };
  readonly engine: Pick<LookupEngine, 'tryRow' | 'tryValue'>;
}

/** Whether it answered what was thrown while nothing was written yet. */
type AnswerThrown = (reply: Reply, thrown: unknown) => boolean;

/** False, and nothing written, where the answer is not all in memory. Throws what is wrong with the request. */
type HotAnswer = (table: HotTable, request: IncomingMessage, reply: Reply) => boolean;

interface HotRoute {
  /** The path after the table's name. */
  readonly path: string;
  readonly metrics: RouteMetrics;
  readonly answer: HotAnswer;
}

export interface HotRoutes {
  readonly row: RouteMetrics;
  readonly by: RouteMetrics;
  readonly value: RouteMetrics;
}

export class HotPath {
  readonly #context: HotContext;
  readonly #answerThrown: AnswerThrown;
  readonly #routes: readonly HotRoute[];
  /** One for all: what is answered here is written within the call. */
  #reply: PlainReply | undefined;

  constructor(context: HotContext, { row, by, value }: HotRoutes, answerThrown: AnswerThrown) {
    this.#context = context;
    this.#answerThrown = answerThrown;
    this.#routes = [
      { path: '/rows/', metrics: row, answer: hotRow(context, byOwnKey) },
      { path: '/values/', metrics: value, answer: hotValue(context) },
      { path: '/by/', metrics: by, answer: hotRow(context, byNamedKey) },
    ];
  }

  /** Whether it answered; if not, nothing was done. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const { url = '', method } = request;
    if ((method !== 'GET' && method !== 'HEAD') || !url.startsWith(PREFIX)) return false;
    const nameEnd = url.indexOf('/', PREFIX.length);
    const route = this.#routes.find(({ path }) => url.startsWith(path, nameEnd));
    if (nameEnd < 0 || route === undefined || this.#context.isDraining()) return false;
    const startedMs = performance.now();
    const name = url.slice(PREFIX.length, nameEnd);
    const table = this.#context.catalog.find(name);
    if (table === undefined) return false;
    const reply = this.#replyOf(response);
    try {
      if (!route.answer(table, request, reply)) return false;
    } catch (thrown) {
      const hasBegun = response.headersSent;
      if (hasBegun) response.destroy();
      if (!this.#answerThrown(reply, thrown) && !hasBegun) return false;
    }
    // One that goes on being written is its own until its end.
    if (!response.writableEnded) this.#reply = undefined;
    countAnswer(route.metrics, name, reply, startedMs);
    return true;
  }

  #replyOf(response: ServerResponse): PlainReply {
    const reply = this.#reply;
    if (reply === undefined) {
      this.#reply = new PlainReply(response);
      return this.#reply;
    }
    reply.raw = response;
    reply.tier = undefined;
    return reply;
  }
}

function hotRow(context: HotContext, path: KeyPath): HotAnswer {
  const { engine, encoders, clock, options } = context;
  return (table, request, reply) => {
    const { headers, url = '' } = request;
    checkRequestHeaders(headers);
    const snapshot = snapshotNow(table, headers, clock);
    if (snapshot === undefined || receiptFor(headers) !== undefined) return false;
    timeoutOf(headers, options.deadlineMs);
    const target = readTarget(url, PREFIX_PARTS);
    const { by, parts } = path.address(snapshot, target.parts);
    if (isEmpty(snapshot)) {
      sendAbsent(context, reply, snapshot, parts, 'memory');
      return true;
    }
    const encoder = encoders.row(snapshot, by, target.query);
    const key = keyFromPath(snapshot, by, parts);
    const pagesRead = by.indexPagesRead;
    const json = rowNow(engine, snapshot, key, encoder, path, parts);
    if (json === undefined) return false;
    // Nothing else that is on disk is read in this stretch.
    const tier = by.indexPagesRead === pagesRead ? 'memory' : 'disk';
    if (json === null) sendAbsent(context, reply, snapshot, parts, tier);
    else sendFound(context, request, reply, snapshot, encoder, tier, json);
    return true;
  };
}

/** As `tryRow`, but what is too large for the row is refused with its own URL. */
function rowNow(
  engine: HotContext['engine'],
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

function hotValue(context: HotContext): HotAnswer {
  const { engine, encoders, clock, options } = context;
  return (table, request, reply) => {
    const { headers, url = '' } = request;
    checkRequestHeaders(headers, VALUE_TYPES);
    const snapshot = snapshotNow(table, headers, clock);
    if (snapshot === undefined || receiptFor(headers) !== undefined) return false;
    timeoutOf(headers, options.deadlineMs);
    const target = readTarget(url, PREFIX_PARTS);
    const [column = '', ...parts] = target.parts;
    if (isEmpty(snapshot)) {
      sendAbsent(context, reply, snapshot, parts, 'memory');
      return true;
    }
    const encoder = encoders.value(snapshot, decodePart(column), target.query);
    const key = keyFromPath(snapshot, snapshot.primaryKey, parts);
    const answer = engine.tryValue(snapshot, key, encoder.column, encoder.writer);
    if (answer === undefined) return false;
    sendValue(context, request, reply, encoder, parts, answer);
    return true;
  };
}
