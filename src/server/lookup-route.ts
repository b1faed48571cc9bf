/**
 * `POST /v1/tables/{table}/lookup`: many keys of one snapshot in one request.
 *
 * A key that cannot be read is its own result and spoils no other. A batch that is all in memory is answered in the turn
 * it came in, where that has time left: no deadline is opened, and no promise made.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../core/index.ts';
import type { Batch, LookupAnswer } from '../shard/index.ts';
import type { Snapshot } from '../table/index.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import { addReceipt, receiptFor, receiptOf } from './explain.ts';
import type { HotTable } from './hot-path.ts';
import { ARROW_TYPE, isArrowAsked, sendArrow } from './lookup-arrow.ts';
import { parseLookup } from './lookup-body.ts';
import { resultsJson } from './lookup-results.ts';
import { type RequestTime, snapshotNow } from './pinned.ts';
import { JSON_TYPE, respondError } from './respond.ts';
import { ageHeader } from './row-replies.ts';
import { tableName } from './row-route.ts';
import {
  type BeginContext,
  beginLookup,
  finishLookup,
  type HotLookup,
  type LookupsUnderWay,
  type TableLookup,
} from './table-lookup.ts';
import { readTarget } from './target.ts';

const SERVED = ['application/json', ARROW_TYPE];

export function lookupHandler(
  context: ServerContext,
  underWay: LookupsUnderWay,
): (request: FastifyRequest, reply: FastifyReply) => void {
  return (request, reply) => {
    const { headers, url } = request.raw;
    checkRequestHeaders(headers, SERVED);
    const table = context.catalog.get(tableName(request));
    const pinned = snapshotNow(table, headers, context.clock);
    const { query } = readTarget(url ?? '', 0);
    const lookup = parseLookup(bodyOf(request), context.options);
    const timeoutMs = timeoutOf(headers, context.options.deadlineMs);
    const of = { table, lookup, query, receipt: receiptFor(headers) };
    underWay.enter(reply);
    if (isArrowAsked(headers.accept)) {
      void sendArrow(context, reply, of, pinned, { headers, clock: context.clock, timeoutMs });
      return;
    }
    const begun = pinned && beginLookup(context, of, pinned);
    if (begun?.answer !== undefined) sendNow(context, reply, of, begun.answer);
    else void sendLater(context, reply, of, pinned, begun, { headers, clock: context.clock, timeoutMs });
  };
}

export function bodyOf({ body }: FastifyRequest): Buffer {
  if (Buffer.isBuffer(body)) return body;
  throw new ServiceError('invalid', 'bad_request', 'a lookup needs a JSON body such as {"keys":[1,2]}');
}

function sendNow(context: ServerContext, reply: FastifyReply, of: TableLookup, found: LookupAnswer): void {
  try {
    sendResults(context, reply, of, found);
  } catch (thrown) {
    addReceipt(reply, of.receipt, of.table);
    throw thrown;
  }
}

async function sendLater(
  context: ServerContext,
  reply: FastifyReply,
  of: TableLookup,
  pinned: Snapshot | undefined,
  begun: Pick<Batch, 'finish'> | undefined,
  time: Omit<RequestTime, 'signal'>,
): Promise<void> {
  try {
    const found = await underDeadline(reply, context.clock, time.timeoutMs, 'with work', (signal) =>
      finishLookup(of.table, (snapshot) => beginLookup(context, of, snapshot), pinned, begun, { ...time, signal }),
    );
    sendResults(context, reply, of, found);
  } catch (thrown) {
    addReceipt(reply, of.receipt, of.table);
    respondError(reply, thrown, context.onInternalError);
  }
}

/** Where all of a batch is in memory, and there is time for it now. False: nothing was sent. */
export function hotLookup(
  context: BeginContext & ResultsContext & { readonly catalog: { find(name: string): HotTable | undefined } },
): (request: FastifyRequest, reply: FastifyReply) => boolean {
  return (request, reply) => {
    const { headers, url } = request.raw;
    checkRequestHeaders(headers, SERVED);
    const receipt = receiptFor(headers);
    const table = context.catalog.find(tableName(request));
    if (table === undefined) return false;
    const snapshot = snapshotNow(table, headers, context.clock);
    if (receipt !== undefined || snapshot === undefined || isArrowAsked(headers.accept)) return false;
    timeoutOf(headers, context.options.deadlineMs);
    const lookup = parseLookup(bodyOf(request), context.options);
    const of = { table, lookup, query: readTarget(url ?? '', 0).query, receipt: undefined };
    const { answer } = beginLookup(context, of, snapshot);
    // What is wrong with a key the main loop says better.
    const isHot = answer?.items.every(({ status }) => status === 'found' || status === 'not_found') ?? false;
    if (answer !== undefined && isHot) sendResults(context, reply, of, answer);
    return isHot;
  };
}

type ResultsContext = Pick<ServerContext, 'clock' | 'largeReplies' | 'metrics' | 'options'>;

function sendResults(
  context: ResultsContext,
  reply: FastifyReply,
  { table, lookup, receipt }: TableLookup | HotLookup,
  found: LookupAnswer,
): void {
  reply.tier = found.tier;
  context.metrics.keys(table.name, found.items);
  const headers = ['content-type', JSON_TYPE, 'vary', 'accept', 'pointlake-snapshot', found.snapshot.id];
  const all = [...headers, 'pointlake-cache', found.tier, ...ageHeader(context, found.snapshot)];
  const results = resultsJson(lookup, found, context.options.answerCharactersMax);
  if (receipt === undefined) context.largeReplies.sendMade(reply, all, `{${results}}`);
  else {
    const explain = JSON.stringify(receiptOf(receipt, table));
    const timed = [...all, 'server-timing', receipt.serverTiming()];
    context.largeReplies.sendMade(reply, timed, `{${results},"explain":${explain}}`);
  }
}
