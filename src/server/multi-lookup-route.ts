/**
 * `POST /v1/lookup`: keys of several tables in one request, under one deadline, each table on one snapshot of its own.
 *
 * A table that is unknown or cannot be read, and a request that is wrong, is its own result, so that the others answer; a
 * body that is no list of requests, or is over a limit, is refused as a whole.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { asServiceError, ServiceError } from '../core/index.ts';
import type { Batch, LookupAnswer } from '../shard/index.ts';
import type { Snapshot } from '../table/index.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import { receiptFor, receiptOf } from './explain.ts';
import { type NamedLookup, parseLookups } from './lookup-body.ts';
import { resultsJson, tooLargeAnswer } from './lookup-results.ts';
import { bodyOf } from './lookup-route.ts';
import { type RequestTime, snapshotNow } from './pinned.ts';
import { itemErrorJson } from './problem.ts';
import { JSON_TYPE, respondError } from './respond.ts';
import { beginLookup, finishLookup, type LookupsUnderWay, type TableLookup } from './table-lookup.ts';
import { readTarget } from './target.ts';

/** One request of the body. */
type Part =
  | { readonly kind: 'refused'; readonly table: string | undefined; readonly error: ServiceError }
  | {
      readonly kind: 'begun';
      readonly of: TableLookup;
      readonly pinned: Snapshot | undefined;
      readonly batch: Pick<Batch, 'answer' | 'finish'> | undefined;
    };

type Result =
  | { readonly kind: 'refused'; readonly table: string | undefined; readonly error: ServiceError }
  | { readonly kind: 'answered'; readonly of: TableLookup; readonly found: LookupAnswer };

export function multiLookupHandler(
  context: ServerContext,
  underWay: LookupsUnderWay,
): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    const { headers, url } = request.raw;
    checkRequestHeaders(headers);
    if (headers['pointlake-as-of'] !== undefined) throw noSnapshotOfAll();
    const { query } = readTarget(url ?? '', 0);
    const timeoutMs = timeoutOf(headers, context.options.deadlineMs);
    const lookups = parseLookups(bodyOf(request), context.options);
    underWay.enter(reply);
    const time = { headers, clock: context.clock, timeoutMs };
    void answer(
      context,
      reply,
      lookups.map((lookup) => begin(context, lookup, query, time)),
      time,
    );
  };
}

function begin(
  context: ServerContext,
  { table: name, lookup }: NamedLookup,
  query: string,
  { headers, clock }: Omit<RequestTime, 'signal'>,
): Part {
  try {
    if (lookup instanceof ServiceError) throw lookup;
    const table = context.catalog.get(name ?? '');
    const of = { table, lookup, query, receipt: receiptFor(headers) };
    const pinned = snapshotNow(table, headers, clock);
    return { kind: 'begun', of, pinned, batch: pinned && beginLookup(context, of, pinned) };
  } catch (thrown) {
    return { kind: 'refused', table: name, error: asServiceError(thrown) };
  }
}

async function answer(
  context: ServerContext,
  reply: FastifyReply,
  parts: readonly Part[],
  time: Omit<RequestTime, 'signal'>,
): Promise<void> {
  try {
    const results = await underDeadline(reply, context.clock, time.timeoutMs, 'with work', (signal) =>
      Promise.all(parts.map((part) => finish(context, part, { ...time, signal }))),
    );
    context.largeReplies.sendMade(reply, ['content-type', JSON_TYPE, 'vary', 'accept'], bodyText(context, results));
  } catch (thrown) {
    respondError(reply, thrown, context.onInternalError);
  }
}

async function finish(context: ServerContext, part: Part, time: RequestTime): Promise<Result> {
  if (part.kind === 'refused') return part;
  const { of, pinned, batch } = part;
  try {
    const found =
      batch?.answer ??
      (await finishLookup(of.table, (snapshot) => beginLookup(context, of, snapshot), pinned, batch, time));
    context.metrics.keys(of.table.name, found.items);
    return { kind: 'answered', of, found };
  } catch (thrown) {
    const error = asServiceError(time.signal.aborted ? time.signal.reason : thrown);
    if (error.kind === 'internal') context.onInternalError(error);
    return { kind: 'refused', table: of.table.name, error };
  }
}

/** The bound on characters holds for all results together. */
function bodyText({ options }: ServerContext, results: readonly Result[]): string {
  let json = '{"results":[';
  for (const [i, result] of results.entries()) {
    json += i === 0 ? '{' : ',{';
    json += result.kind === 'refused' ? refusalJson(result) : answeredJson(result, options.answerCharactersMax);
    json += '}';
    if (json.length > options.answerCharactersMax) throw tooLargeAnswer(options.answerCharactersMax);
  }
  return `${json}]}`;
}

function refusalJson({ table, error }: Result & { readonly kind: 'refused' }): string {
  return `"table":${JSON.stringify(table ?? null)},"error":${itemErrorJson(error.toPlain())}`;
}

function answeredJson({ of, found }: Result & { readonly kind: 'answered' }, charactersMax: number): string {
  const { table, lookup, receipt } = of;
  const { id } = found.snapshot;
  const head = `"table":${JSON.stringify(table.name)},"snapshot":"${id}","cache":"${found.tier}"`;
  const explain = receipt === undefined ? '' : `,"explain":${JSON.stringify(receiptOf(receipt, table))}`;
  return `${head},${resultsJson(lookup, found, charactersMax)}${explain}`;
}

function noSnapshotOfAll(): ServiceError {
  const message =
    'a snapshot is of one table: send pointlake-as-of with /v1/tables/{table}/lookup, a request for each table';
  return new ServiceError('invalid', 'bad_header', message, { header: 'pointlake-as-of' });
}
