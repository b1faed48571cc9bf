/**
 * Rows, values and absent keys that are in memory, and rows that the disk has at once, answered before Fastify makes its objects of the
 * request.
 *
 * Those that came in one turn of the event loop wait for its end; then all are found and then all are written, in one
 * synchronous stretch: no promise is made. Work of one kind at a time finds its code and data at hand, and a client that is
 * woken by the first answer is still there for the next (`docs/adr/0036-rows-of-a-turn-together.md`). Rows from disk are found and
 * written after them, one by one, in this turn or in the next that may read the disk (`docs/adr/0039-rows-from-disk-in-their-turn.md`). Whatever is not plainly of
 * this kind is left to Fastify untouched: what has to be fetched, other routes and methods, unknown tables, and all
 * requests once the server closes. Fastify's routing and its objects are a fifth of what such an answer costs, see
 * `docs/adr/0033-hot-rows-before-the-framework.md`.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LookupEngine } from '../shard/index.ts';
import type { Key, Projection, Snapshot, Table } from '../table/index.ts';
import type { AlikeHandler, AlikeRequest } from './alike-requests.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { DiskState, ServerContext } from './context.ts';
import { timedOut } from './deadline.ts';
import { receiptFor } from './explain.ts';
import { HotReply, hold } from './hot-reply.ts';
import { keyFromPath } from './key-parts.ts';
import { withValueUrl } from './large-value.ts';
import { countAnswer, type RouteMetrics } from './metrics-requests.ts';
import { snapshotNow } from './pinned.ts';
import { canStream, type RawReply, type Reply } from './reply.ts';
import {
  type Answering,
  type Asked,
  byNamedKey,
  byOwnKey,
  isEmpty,
  isLarge,
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
/** Requests that wait for the disk at most: one client may send more than there are connections. Others go the usual way, which refuses what is too much. */
const FOR_DISK_MAX = 4096;

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A table, as far as what is in memory needs it. */
export type HotTable = Pick<Table, 'name' | 'current' | 'asOf'>;

/** What answering from memory needs, in whichever event loop. */
export interface HotContext extends Answering, Pick<ServerContext, 'encoders' | 'options' | 'isDraining'> {
  readonly catalog: { find(name: string): HotTable | undefined };
  readonly engine: Pick<LookupEngine, 'tryRow' | 'tryStoredRow' | 'tryValue'>;
  /** Where rows are looked for as well; undefined where there is none. */
  readonly disk?: Pick<DiskState, 'pace'> | undefined;
  /** Around each stretch in which memory is read; false, and nothing called, where that may not be done now. */
  readonly inStretch?: (reads: () => true) => boolean;
}

/** Whether it answered what was thrown while nothing was written yet. */
type AnswerThrown = (reply: Reply, thrown: unknown) => boolean;

/**
 * False, and nothing written, where the answer is not all in memory; else the answer is written, or held by the reply.
 * Throws what is wrong with the request, also that it has waited for too long.
 */
type HotAnswer = (table: HotTable, request: Asked, reply: HotReply, waitedMs: number) => boolean;

/** The server's other way of answering a request. */
interface OtherWay {
  passOn(): void;
  /** To be found again, for a reply that can be sent in pieces. */
  leaveToNode(): void;
  /** Then it is answered so and not otherwise. */
  readonly isPassedOn: boolean;
}

/** One that waits for the end of the turn, or for a turn in which the disk may be read. */
interface HotRequest {
  readonly request: Asked;
  readonly reply: HotReply;
  readonly route: HotRoute;
  readonly table: string;
  readonly startedMs: number;
  readonly otherWay: OtherWay;
}

interface HotRoute {
  /** The path after the table's name. */
  readonly path: string;
  readonly metrics: RouteMetrics;
  readonly answer: HotAnswer;
  /** The same where memory has not all of it, but the disk. */
  readonly answerFromDisk: HotAnswer | undefined;
}

export interface HotRoutes {
  readonly row: RouteMetrics;
  readonly by: RouteMetrics;
  readonly value: RouteMetrics;
}

export class HotPath implements AlikeHandler {
  readonly #context: HotContext;
  readonly #answerThrown: AnswerThrown;
  readonly #routes: readonly HotRoute[];
  #turn: HotRequest[] = [];
  /** Those that wait for the disk, first come first served. */
  readonly #forDisk: HotRequest[] = [];
  readonly #endTurn = () => this.answerTurn();
  readonly #readDisk = () => this.#answerFromDisk();

  constructor(context: HotContext, { row, by, value }: HotRoutes, answerThrown: AnswerThrown) {
    this.#context = context;
    this.#answerThrown = answerThrown;
    this.#routes = [
      rowRoute(context, '/rows/', row, byOwnKey),
      { path: '/values/', metrics: value, answer: hotValue(context), answerFromDisk: undefined },
      rowRoute(context, '/by/', by, byNamedKey),
    ];
  }

  /**
   * Answers at the end of this turn of the event loop, or has `otherwise` do so then. False where that cannot be, and
   * `otherwise` has it already.
   */
  serve(request: IncomingMessage, response: ServerResponse, otherwise: Handler): boolean {
    const { url = '', method } = request;
    const isRead = method === 'GET' || method === 'HEAD';
    if (isRead && this.#joins(url, request, response, new Unserved(request, response, otherwise))) return true;
    otherwise(request, response);
    return false;
  }

  serveAlike(request: AlikeRequest): boolean {
    return !this.#context.isDraining() && this.#joins(request.url, request, request.raw, request);
  }

  /** Whether the path is of this kind. If so, it waits for the end of the turn. */
  #joins(url: string, request: Asked, raw: RawReply, otherWay: OtherWay): boolean {
    const nameEnd = url.startsWith(PREFIX) ? url.indexOf('/', PREFIX.length) : -1;
    const route = nameEnd < 0 ? undefined : this.#routes.find(({ path }) => url.startsWith(path, nameEnd));
    if (route === undefined) return false;
    const table = url.slice(PREFIX.length, nameEnd);
    const turn = this.#turn;
    turn.push({ request, reply: new HotReply(raw), route, table, startedMs: performance.now(), otherWay });
    if (turn.length === 1) setImmediate(this.#endTurn);
    else if (turn.length === TURN_MAX) this.answerTurn();
    return true;
  }

  /** Ends the turn, at once for what came in it so far. */
  answerTurn(): void {
    const turn = this.#turn;
    if (turn.length === 0) return;
    this.#turn = [];
    const left = this.#findAll(turn);
    for (const hot of turn) this.#write(hot);
    for (const hot of left) {
      if (hot.reply.needsStream) hot.otherWay.leaveToNode();
      else if (this.#mayAwaitDisk(hot)) this.#awaitDisk(hot);
      else hot.otherWay.passOn();
    }
  }

  /** Answers or passes on all that wait, for whatever. */
  settle(): void {
    this.answerTurn();
    for (const { otherWay } of this.#forDisk) if (!otherWay.isPassedOn) otherWay.passOn();
  }

  #mayAwaitDisk({ route }: HotRequest): boolean {
    return route.answerFromDisk !== undefined && this.#forDisk.length < FOR_DISK_MAX && !this.#context.isDraining();
  }

  #awaitDisk(hot: HotRequest): void {
    this.#forDisk.push(hot);
    this.#context.disk?.pace.inTurn(this.#readDisk);
  }

  #answerFromDisk(): void {
    const hot = this.#forDisk.shift();
    if (hot === undefined || hot.otherWay.isPassedOn) return;
    const { answerFromDisk } = hot.route;
    const waitedMs = performance.now() - hot.startedMs;
    if (answerFromDisk !== undefined && this.#isFound(hot, answerFromDisk, waitedMs)) this.#write(hot);
    else hot.otherWay.passOn();
  }

  /** Gives those that are not all in memory, or not for this event loop to answer. */
  #findAll(turn: readonly HotRequest[]): readonly HotRequest[] {
    const { inStretch, isDraining } = this.#context;
    if (isDraining()) return turn;
    const left: HotRequest[] = [];
    const find = (): true => {
      for (const hot of turn) if (!this.#isFound(hot, hot.route.answer)) left.push(hot);
      return true;
    };
    return (inStretch?.(find) ?? find()) ? left : turn;
  }

  #isFound(hot: HotRequest, answer: HotAnswer, waitedMs = 0): boolean {
    const { request, reply, route } = hot;
    const table = this.#context.catalog.find(hot.table);
    if (table === undefined) return false;
    try {
      if (!answer(table, request, reply, waitedMs)) return false;
    } catch (thrown) {
      if (!this.#answeredThrown(reply, thrown)) return false;
    }
    if (!reply.isHeld) countAnswer(route.metrics, hot.table, reply, hot.startedMs);
    return true;
  }

  #answeredThrown(reply: HotReply, thrown: unknown): boolean {
    const hasBegun = reply.raw.headersSent;
    if (hasBegun) reply.raw.destroy();
    return this.#answerThrown(reply, thrown) || hasBegun;
  }

  /** Unless it was written when it was found. */
  #write({ reply, route, table, startedMs }: HotRequest): void {
    if (!reply.isHeld) return;
    reply.writeHeld();
    countAnswer(route.metrics, table, reply, startedMs);
  }
}

/** What Node's parser has read. */
class Unserved implements OtherWay {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #handler: Handler;
  #isPassedOn = false;

  constructor(request: IncomingMessage, response: ServerResponse, handler: Handler) {
    this.#request = request;
    this.#response = response;
    this.#handler = handler;
  }

  get isPassedOn(): boolean {
    return this.#isPassedOn;
  }

  passOn(): void {
    this.#isPassedOn = true;
    this.#handler(this.#request, this.#response);
  }

  /** Node's own reply can be sent in pieces. */
  leaveToNode(): void {
    this.passOn();
  }
}

function rowRoute(context: HotContext, path: string, metrics: RouteMetrics, keyPath: KeyPath): HotRoute {
  const { engine, disk } = context;
  const fromMemory: RowSource = (snapshot, key, projection) => engine.tryRow(snapshot, key, projection);
  const fromDisk: RowSource = (snapshot, key, projection, waitedMs) =>
    engine.tryStoredRow(snapshot, key, projection, waitedMs);
  return {
    path,
    metrics,
    answer: hotRow(context, keyPath, fromMemory, 'memory'),
    answerFromDisk: disk && hotRow(context, keyPath, fromDisk, 'disk'),
  };
}

/** The row's text; null where there is none, undefined where this source does not tell. */
type RowSource = (snapshot: Snapshot, key: Key, projection: Projection, waitedMs: number) => string | null | undefined;

function hotRow(context: HotContext, path: KeyPath, rowOf: RowSource, ofSource: 'memory' | 'disk'): HotAnswer {
  const { encoders, clock, options } = context;
  return (table, request, reply, waitedMs) => {
    const { headers, url = '' } = request;
    checkRequestHeaders(headers);
    const snapshot = snapshotNow(table, headers, clock);
    if (snapshot === undefined || receiptFor(headers) !== undefined) return false;
    const timeoutMs = timeoutOf(headers, options.deadlineMs);
    if (waitedMs > timeoutMs) throw timedOut(timeoutMs);
    const target = readTarget(url, PREFIX_PARTS);
    const { by, parts } = path.address(snapshot, target.parts);
    if (isEmpty(snapshot)) {
      sendAbsent(context, reply, snapshot, parts, 'memory');
      return true;
    }
    const encoder = encoders.row(snapshot, by, target.query);
    const key = keyFromPath(snapshot, by, parts);
    const pagesRead = by.indexPagesRead;
    let json: string | null | undefined;
    try {
      json = rowOf(snapshot, key, encoder.projection, waitedMs);
    } catch (thrown) {
      // What is too large for the row is refused with its own URL.
      throw withValueUrl(thrown, snapshot.definition.name, path.valuePath(parts));
    }
    if (json === undefined) return false;
    const tier = by.indexPagesRead === pagesRead ? ofSource : 'disk';
    if (json === null) sendAbsent(context, reply, snapshot, parts, tier);
    else sendFound(context, request, reply, { snapshot, encoder, tier, json }, hold);
    return true;
  };
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
    reply.needsStream = isLarge(answer) && !canStream(reply);
    if (reply.needsStream) return false;
    sendValue(context, request, reply, encoder, parts, answer);
    return true;
  };
}
