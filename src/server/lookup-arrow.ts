/**
 * The answer to a lookup as an Arrow stream of one record batch: under the same conditions as JSON, and sent when it is whole,
 * so that what goes wrong is a problem with its status.
 */

import type { FastifyReply } from 'fastify';
import { type ArrowLookup, type LookupAnswer, type LookupItem, loadArrow } from '../shard/index.ts';
import type { Snapshot } from '../table/index.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import { addReceipt, receiptOf } from './explain.ts';
import { itemWithValueUrl } from './large-value.ts';
import { tooLargeAnswer } from './lookup-results.ts';
import type { RequestTime } from './pinned.ts';
import { itemErrorJson } from './problem.ts';
import { respondError } from './respond.ts';
import { ageHeader } from './row-replies.ts';
import { finishLookup, noneFound, readKey, requestOf, type TableLookup } from './table-lookup.ts';

export const ARROW_TYPE = 'application/vnd.apache.arrow.stream';

/** Whether it is named before anything else that is served. */
export function isArrowAsked(accept: string | undefined): boolean {
  for (const range of (accept ?? '').split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    if (parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))) continue;
    if (type === ARROW_TYPE) return true;
    if (type === 'application/json' || type === 'application/*' || type === '*/*') return false;
  }
  return false;
}

export async function sendArrow(
  context: ServerContext,
  reply: FastifyReply,
  of: TableLookup,
  pinned: Snapshot | undefined,
  time: Omit<RequestTime, 'signal'>,
): Promise<void> {
  try {
    const arrow = await loadArrow();
    const { matches } = of.lookup;
    let rows: ArrowLookup | undefined;
    const begin = (snapshot: Snapshot) => {
      const request = requestOf(context, of, snapshot);
      if (request === undefined) {
        rows = context.engine.arrowRows(arrow, snapshot.projection([]), matches, 0);
        return noneFound(snapshot, of.lookup);
      }
      rows = context.engine.arrowRows(arrow, request.projection, matches, request.keys.length);
      return context.engine.beginAs(rows, request, of.receipt);
    };
    const begun = pinned && begin(pinned);
    const found =
      begun?.answer ??
      (await underDeadline(reply, context.clock, time.timeoutMs, 'with work', (signal) =>
        finishLookup<number>(of.table, begin, pinned, begun, { ...time, signal }),
      ));
    send(context, reply, of, found, rows as ArrowLookup);
  } catch (thrown) {
    addReceipt(reply, of.receipt, of.table);
    respondError(reply, thrown, context.onInternalError);
  }
}

function send(
  context: ServerContext,
  reply: FastifyReply,
  { table, lookup, receipt }: TableLookup,
  found: LookupAnswer<number>,
  rows: ArrowLookup,
): void {
  const { items, snapshot, tier } = found;
  if (rows.byteLength > context.options.answerCharactersMax) throw tooLargeAnswer(context.options.answerCharactersMax);
  const explain = receipt && JSON.stringify(receiptOf(receipt, table));
  const body = rows.stream(items, (error, at) => itemErrorJson(withUrl(error, at)), explain);
  if (body.length > context.options.answerCharactersMax) throw tooLargeAnswer(context.options.answerCharactersMax);
  reply.tier = tier;
  context.metrics.keys(table.name, items);
  const headers = ['content-type', ARROW_TYPE, 'vary', 'accept', 'pointlake-snapshot', snapshot.id];
  const all = [...headers, 'pointlake-cache', tier, ...ageHeader(context, snapshot)];
  const timed = receipt === undefined ? all : [...all, 'server-timing', receipt.serverTiming()];
  context.largeReplies.sendMade(reply, timed, body);

  function withUrl(error: ErrorItem['error'], at: number): ErrorItem['error'] {
    if (lookup.matches === 'all') return error;
    const item = itemWithValueUrl({ status: 'error', error }, snapshot, readKey(snapshot, lookup.keys[at]));
    return 'error' in item ? item.error : error;
  }
}

type ErrorItem = LookupItem & { readonly status: 'error' };
