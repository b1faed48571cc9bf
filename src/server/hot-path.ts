/**
 * Rows, values and absent keys that are in memory, answered before Fastify makes its objects of the request.
 *
 * Those that came in one turn of the event loop wait for its end; then all are found and then all are written, in one
 * synchronous stretch: no promise is made. Work of one kind at a time finds its code and data at hand, and a client that is
 * woken by the first answer is still there for the next (`docs/adr/0036-rows-of-a-turn-together.md`). Whatever is not plainly of
 * this kind is left to Fastify untouched: what has to be fetched, other routes and methods, unknown tables, and all
 * requests once the server closes. Fastify's routing and its objects are a fifth of what such an answer costs, see
 * `docs/adr/0033-hot-rows-before-the-framework.md`.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LookupEngine } from '../shard/index.ts';
import type { Key, Snapshot, Table } from '../table/index.ts';
import type { AlikeHandler, AlikeRequest } from './alike-requests.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import type { RowEncoder } from './encoders.ts';
import { receiptFor } from './explain.ts';
import { HotReply, hold } from './hot-reply.ts';
import type { Handler } from './http-server.ts';
import { keyFromPath } from './key-parts.ts';
import { withValueUrl } from './large-value.ts';
import { countAnswer, type RouteMetrics } from './metrics-requests.ts';
import { snapshotNow } from './pinned.ts';
import type { RawReply, Reply } from './reply.ts';
import {
  type Answering,
  type Asked,
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
/** Requests that are answered together at most. */
const TURN_MAX = 32;

/** A table, as far as what is in memory needs it. */
export type HotTable = Pick<Table, 'name' | 'current' | 'asOf'>;

/** What answering from memory needs, in whichever event loop. */
export interface HotContext extends Answering, Pick<ServerContext, 'encoders' | 'options' | 'isDraining'> {
  readonly catalog: { find(name: string): HotTable | undefined };
  readonly engine: Pick<LookupEngine, 'tryRow' | 'tryValue'>;
  /** Around each stretch in which memory is read; false, and nothing called, where that may not be done now. */
  readonly inStretch?: (reads: () => true) => boolean;
}

/** Whether it answered what was thrown while nothing was written yet. */
type AnswerThrown = (reply: Reply, thrown: unknown) => boolean;

/**
 * False, and nothing written, where the answer is not all in memory; else the answer is written, or held by the reply.
 * Throws what is wrong with the request.
 */
type HotAnswer<Raw extends RawReply> = (table: HotTable, request: Asked, reply: HotReply<Raw>) => boolean;

interface HotRoute<Raw extends RawReply = RawReply> {
  /** The path after the table's name. */
  readonly path: string;
  readonly metrics: RouteMetrics;
  readonly answer: HotAnswer<Raw>;
}

/** Where a path leads, and the table that it names. */
interface Led<Raw extends RawReply> {
  readonly route: HotRoute<Raw>;
  readonly table: string;
}

/** One that waits for the end of the turn. */
interface Waiting {
  readonly table: string;
  readonly reply: HotReply;
  answer(table: HotTable): boolean;
  count(): void;
  passOn(): void;
}

class HotRequest<Raw extends RawReply> implements Waiting {
  readonly #request: Asked;
  readonly #answer: HotAnswer<Raw>;
  readonly #metrics: RouteMetrics;
  readonly #startedMs = performance.now();
  readonly table: string;
  readonly reply: HotReply<Raw>;
  readonly passOn: () => void;

  constructor({ route, table }: Led<Raw>, request: Asked, raw: Raw, passOn: () => void) {
    this.#request = request;
    this.#answer = route.answer;
    this.#metrics = route.metrics;
    this.table = table;
    this.reply = new HotReply(raw);
    this.passOn = passOn;
  }

  answer(table: HotTable): boolean {
    return this.#answer(table, this.#request, this.reply);
  }

  count(): void {
    countAnswer(this.#metrics, this.table, this.reply, this.#startedMs);
  }
}

export interface HotRoutes {
  readonly row: RouteMetrics;
  readonly by: RouteMetrics;
  readonly value: RouteMetrics;
}

export class HotPath implements AlikeHandler {
  readonly #context: HotContext;
  readonly #answerThrown: AnswerThrown;
  readonly #routes: readonly HotRoute<ServerResponse>[];
  /** Whose answers are of one piece. */
  readonly #textRoutes: readonly HotRoute[];
  #turn: Waiting[] = [];
  readonly #endTurn = () => this.answerTurn();

  constructor(context: HotContext, { row, by, value }: HotRoutes, answerThrown: AnswerThrown) {
    this.#context = context;
    this.#answerThrown = answerThrown;
    const rows: HotRoute = { path: '/rows/', metrics: row, answer: hotRow(context, byOwnKey) };
    const named: HotRoute = { path: '/by/', metrics: by, answer: hotRow(context, byNamedKey) };
    this.#textRoutes = [rows, named];
    this.#routes = [rows, { path: '/values/', metrics: value, answer: hotValue(context) }, named];
  }

  /** Whether it answers this, or has `otherwise` do so, at the end of this turn of the event loop. If not, `otherwise` has done so. */
  serve(request: IncomingMessage, response: ServerResponse, otherwise: Handler): boolean {
    const { url = '', method } = request;
    const led = method === 'GET' || method === 'HEAD' ? ledTo(this.#routes, url) : undefined;
    if (led === undefined) {
      otherwise(request, response);
      return false;
    }
    this.#join(new HotRequest(led, request, response, () => otherwise(request, response)));
    return true;
  }

  serveAlike(request: AlikeRequest): boolean {
    const led = this.#context.isDraining() ? undefined : ledTo(this.#textRoutes, request.url);
    if (led === undefined) return false;
    this.#join(new HotRequest(led, request, request.reply, request.passOn));
    return true;
  }

  #join(request: Waiting): void {
    const turn = this.#turn;
    turn.push(request);
    if (turn.length === 1) setImmediate(this.#endTurn);
    else if (turn.length === TURN_MAX) this.answerTurn();
  }

  answerTurn(): void {
    const turn = this.#turn;
    if (turn.length === 0) return;
    this.#turn = [];
    const left = this.#findAll(turn);
    for (const hot of turn) {
      if (!hot.reply.isHeld) continue;
      hot.reply.writeHeld();
      hot.count();
    }
    for (const hot of left) hot.passOn();
  }

  /** Gives those that are not all in memory, or not for this event loop to answer. */
  #findAll(turn: readonly Waiting[]): readonly Waiting[] {
    const { inStretch, isDraining } = this.#context;
    if (isDraining()) return turn;
    const left: Waiting[] = [];
    const find = (): true => {
      for (const hot of turn) if (!this.#find(hot)) left.push(hot);
      return true;
    };
    return (inStretch?.(find) ?? find()) ? left : turn;
  }

  #find(hot: Waiting): boolean {
    const table = this.#context.catalog.find(hot.table);
    if (table === undefined) return false;
    try {
      if (!hot.answer(table)) return false;
    } catch (thrown) {
      if (!this.#answeredThrown(hot.reply, thrown)) return false;
    }
    if (!hot.reply.isHeld) hot.count();
    return true;
  }

  #answeredThrown(reply: HotReply, thrown: unknown): boolean {
    const hasBegun = reply.raw.headersSent;
    if (hasBegun) reply.raw.destroy();
    return this.#answerThrown(reply, thrown) || hasBegun;
  }
}

function ledTo<Raw extends RawReply>(routes: readonly HotRoute<Raw>[], url: string): Led<Raw> | undefined {
  const nameEnd = url.startsWith(PREFIX) ? url.indexOf('/', PREFIX.length) : -1;
  const route = nameEnd < 0 ? undefined : routes.find(({ path }) => url.startsWith(path, nameEnd));
  return route && { route, table: url.slice(PREFIX.length, nameEnd) };
}

function hotRow(context: HotContext, path: KeyPath): HotAnswer<RawReply> {
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
    else sendFound(context, request, reply, { snapshot, encoder, tier, json }, hold);
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

function hotValue(context: HotContext): HotAnswer<ServerResponse> {
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
