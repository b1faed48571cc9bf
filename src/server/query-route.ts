/**
 * `POST /v1/tables/{table}/query`: rows by a predicate, as one JSON object, as lines of JSON, or as an Arrow stream.
 *
 * A JSON answer is sent when it is whole. A stream goes out batch by batch, each when the client has taken the one before;
 * what fails after its first byte ends it with an error record, since its status has been sent. A query runs until its
 * limit, its deadline or its client's leaving, whichever is first.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { asServiceError, ServiceError } from '../core/index.ts';
import { arrowStream, type Query, type QueryPosition, QueryTrace, rowTexts } from '../shard/index.ts';
import {
  type JsonOptions,
  type Projection,
  parsePredicate,
  projectionNamed,
  type Snapshot,
  type Table,
} from '../table/index.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import { isExplainAsked } from './explain.ts';
import { onSnapshot, snapshotNow } from './pinned.ts';
import { itemErrorJson } from './problem.ts';
import { jsonOptions, parseQuery } from './query.ts';
import { cursorText, orderOf, parseQueryBody, positionOf, type QueryRequest } from './query-body.ts';
import { JSON_TYPE, respond, respondError } from './respond.ts';
import { ageHeader, isEmpty } from './row-replies.ts';
import { tableName } from './row-route.ts';
import { StreamedReply } from './streamed-reply.ts';
import { readTarget } from './target.ts';

const LINES_TYPE = 'application/x-ndjson';
const ARROW_TYPE = 'application/vnd.apache.arrow.stream';
const SERVED = ['application/json', LINES_TYPE, ARROW_TYPE];
const RECEIPT = 'pointlake-receipt';
/** Characters of lines that are joined before they are written. */
const LINES_CHARACTERS = 64 * 1024;
/** Of a request's body, what its cursor may take: the rest is for what it asks. */
const CURSOR_SHARE = 1 / 2;

type Format = 'json' | 'lines' | 'arrow';

/** One query as it came, before it is read on a snapshot. */
interface Asked {
  readonly table: Table;
  readonly request: QueryRequest;
  /** By its body or by the header. */
  readonly isExplained: boolean;
  readonly json: (snapshot: Snapshot) => JsonOptions;
}

/** The same on a snapshot. */
interface Planned extends Asked {
  readonly snapshot: Snapshot;
  readonly projection: Projection;
  readonly query: Query;
  /** Of this snapshot alone. */
  readonly trace: QueryTrace;
}

export function queryHandler(context: ServerContext): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    const { headers, url = '' } = request.raw;
    checkRequestHeaders(headers, SERVED);
    const format = formatOf(headers.accept);
    const table = context.catalog.get(tableName(request));
    const parameters = parseQuery(readTarget(url, 0).query, ['int64', 'nonfinite']);
    if (!Buffer.isBuffer(request.body)) throw missingBody();
    const isExplained = isExplainAsked(headers);
    const parsed = parseQueryBody(request.body, format !== 'json');
    const json = (on: Snapshot) => jsonOptions(parameters, on.definition.json, context.options.valueInRowBytes);
    void answer(context, request, reply, format, {
      table,
      request: parsed,
      isExplained: isExplained || parsed.explain,
      json,
    });
  };
}

async function answer(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  format: Format,
  asked: Asked,
): Promise<void> {
  /** The last run. */
  let run: { readonly snapshot: Snapshot; readonly trace: QueryTrace } | undefined;
  try {
    const timeoutMs = timeoutOf(request.raw.headers, context.options.deadlineMs);
    const headers = pinnedHeaders(request.raw.headers, asked.request);
    const pinned = snapshotNow(asked.table, headers, context.clock);
    let tries = 0;
    const askedMs = performance.now();
    const settle = format === 'json' ? 'at deadline' : 'with work';
    await underDeadline(reply, context.clock, timeoutMs, settle, (signal) =>
      context.queries.admit(() => {
        const queuedMs = performance.now() - askedMs;
        return onSnapshot(asked.table, pinned, { headers, clock: context.clock, timeoutMs, signal }, (snapshot) => {
          run = { snapshot, trace: new QueryTrace(asked.isExplained, tries++ > 0, queuedMs) };
          return send(context, reply, format, plan(snapshot, asked, run.trace), signal);
        });
      }, signal),
    );
  } catch (thrown) {
    if (run !== undefined && asked.isExplained && !reply.raw.headersSent) {
      reply.raw.setHeader(RECEIPT, receiptOf({ ...asked, ...run }));
      reply.raw.setHeader('server-timing', run.trace.serverTiming());
    }
    respondError(reply, thrown, context.onInternalError);
  }
}

/** A cursor pins the snapshot that it is of, as the header would. */
function pinnedHeaders(headers: FastifyRequest['raw']['headers'], { cursor }: QueryRequest): typeof headers {
  if (cursor === undefined) return headers;
  const asOf = headers['pointlake-as-of'];
  if (asOf !== undefined && asOf !== cursor.snapshot) {
    const message = `the cursor is of snapshot ${JSON.stringify(cursor.snapshot)}, and the header pointlake-as-of asks for another`;
    throw new ServiceError('invalid', 'bad_cursor', message);
  }
  const { 'pointlake-max-staleness-ms': _ignored, ...others } = headers;
  return { ...others, 'pointlake-as-of': cursor.snapshot };
}

function plan(snapshot: Snapshot, asked: Asked, trace: QueryTrace): Planned {
  const { request } = asked;
  // A table without a file has no columns to be wrong about, and no rows.
  if (isEmpty(snapshot)) {
    const projection = snapshot.projection([], asked.json(snapshot));
    const query = { where: undefined, columns: [], limit: request.limit, order: [], after: undefined };
    return { ...asked, snapshot, projection, query, trace };
  }
  const columns =
    request.projection === undefined
      ? request.columns
      : projectionNamed(snapshot.definition, request.projection).columns;
  const projection = snapshot.projection(columns, asked.json(snapshot));
  const order = orderOf(snapshot, request.orderBy);
  const query: Query = {
    where: request.where === undefined ? undefined : parsePredicate(snapshot, request.where),
    columns: projection.columns,
    limit: request.limit,
    order,
    after: request.cursor && positionOf(snapshot, order, request.cursor),
  };
  return { ...asked, snapshot, projection, query, trace };
}

function send(
  context: ServerContext,
  reply: FastifyReply,
  format: Format,
  planned: Planned,
  signal: AbortSignal,
): Promise<void> {
  switch (format) {
    case 'json':
      return sendJson(context, reply, planned, signal);
    case 'lines':
      return sendLines(context, reply, planned, signal);
    case 'arrow':
      return sendArrow(context, reply, planned, signal);
  }
}

async function sendJson(
  context: ServerContext,
  reply: FastifyReply,
  planned: Planned,
  signal: AbortSignal,
): Promise<void> {
  const { snapshot, query, projection, trace, request, isExplained } = planned;
  const charactersMax = context.options.answerCharactersMax;
  let json = '{"rows":[';
  let rows = 0;
  const sink = rowTexts(projection, (text) => {
    json += rows === 0 ? text : `,${text}`;
    rows += 1;
    if (json.length > charactersMax) throw answerTooLarge(charactersMax);
  });
  let last: QueryPosition | undefined;
  for await (const position of context.queries.run(snapshot, query, sink, signal, trace)) last = position;
  json += ']';
  // A page that is not full is the last one.
  if (last !== undefined && rows >= query.limit) {
    const cursor = cursorText(snapshot, request.id, query.order, last, context.options.bodyBytesMax * CURSOR_SHARE);
    json += `,"cursor":"${cursor}"`;
  }
  if (isExplained) json += `,"explain":${receiptOf(planned)}`;
  if (signal.aborted) return;
  reply.tier = tierOf(trace);
  const timing = isExplained ? ['server-timing', trace.serverTiming()] : [];
  const headers = [...headersOf(context, planned, JSON_TYPE), 'pointlake-cache', reply.tier, ...timing];
  respond(reply, 200, headers, `${json}}`);
}

async function sendLines(
  context: ServerContext,
  reply: FastifyReply,
  planned: Planned,
  signal: AbortSignal,
): Promise<void> {
  const stream = new StreamedReply(
    reply,
    headersOf(context, planned, LINES_TYPE),
    context.clock,
    context.options.stallMs,
  );
  let lines = '';
  const isFull = () => lines.length >= LINES_CHARACTERS;
  const take = (text: string) => {
    lines += `${text}\n`;
  };
  const sink = rowTexts(planned.projection, take, isFull);
  try {
    for await (const _position of context.queries.run(planned.snapshot, planned.query, sink, signal, planned.trace)) {
      if (!isFull()) continue;
      await stream.write(lines);
      lines = '';
    }
    if (planned.isExplained) lines += `{"explain":${receiptOf(planned)}}\n`;
    reply.tier = tierOf(planned.trace);
    await stream.end(lines);
  } catch (thrown) {
    if (!stream.hasBegun) throw thrown;
    const error = faultOf(planned, thrown, signal);
    await stream.end(`${lines}{"error":${itemErrorJson(error)}}\n`);
  }
}

async function sendArrow(
  context: ServerContext,
  reply: FastifyReply,
  planned: Planned,
  signal: AbortSignal,
): Promise<void> {
  const { snapshot, query, projection, trace, isExplained } = planned;
  // The format has no place behind the rows, where alone a receipt is known.
  const headers = [...headersOf(context, planned, ARROW_TYPE), ...(isExplained ? ['trailer', RECEIPT] : [])];
  const stream = new StreamedReply(reply, headers, context.clock, context.options.stallMs);
  const arrow = await arrowStream(projection);
  try {
    for await (const _position of context.queries.run(snapshot, query, arrow.sink, signal, trace)) {
      if (arrow.sink.isFull) await stream.write(arrow.batch());
    }
    reply.tier = tierOf(trace);
    const end = arrow.end();
    await stream.end(end, isExplained ? { [RECEIPT]: receiptOf(planned) } : {});
  } catch (thrown) {
    if (!stream.hasBegun) throw thrown;
    // The format has no record for a fault: a stream without its end says that it is not whole.
    stream.cut();
    const error = faultOf(planned, thrown, signal);
    if (error.kind === 'internal') context.onInternalError(error);
  }
}

/** Of a stream that has begun: it cannot begin anew on the fresh snapshot that a change asks for, but the next one can. */
function faultOf({ table }: Planned, thrown: unknown, signal: AbortSignal): ServiceError {
  const error = asServiceError(signal.aborted ? signal.reason : thrown);
  if (error.kind === 'changed') table.refresh().catch(() => undefined);
  return error;
}

function headersOf(context: ServerContext, { snapshot }: Planned, contentType: string): readonly string[] {
  const headers = ['content-type', contentType, 'vary', 'accept', 'pointlake-snapshot', snapshot.id];
  return [...headers, ...ageHeader(context, snapshot)];
}

function tierOf(trace: QueryTrace): 'memory' | 'disk' | 'origin' {
  if (trace.readsBegun > 0 || trace.pagesFromOrigin > 0) return 'origin';
  return trace.pagesFromDisk > 0 ? 'disk' : 'memory';
}

function receiptOf({ table, snapshot, trace }: Pick<Planned, 'table' | 'snapshot' | 'trace'>): string {
  return JSON.stringify(trace.toObject(snapshot, (gets, bytes) => table.source.account.priceUsd(gets, 0, bytes)));
}

function formatOf(accept: string | undefined): Format {
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    if (parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))) continue;
    if (type === LINES_TYPE) return 'lines';
    if (type === ARROW_TYPE) return 'arrow';
    if (type === 'application/json' || type === '*/*') return 'json';
  }
  return 'json';
}

function missingBody(): ServiceError {
  const message =
    'a query needs a JSON body such as {"where":{"column":"age","op":">=","value":30}}; {} asks for any rows';
  return new ServiceError('invalid', 'bad_request', message);
}

function answerTooLarge(charactersMax: number): ServiceError {
  const message = `the answer has more than ${charactersMax} characters; ask for fewer columns, a lower limit, or a stream (accept: ${LINES_TYPE})`;
  return new ServiceError('tooLarge', 'answer_too_large', message, { limit: charactersMax });
}
