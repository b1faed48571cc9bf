/**
 * `POST /v1/tables/{table}/lookup`: many keys of one snapshot in one request.
 *
 * A key that cannot be read is its own result and spoils no other. Lookups are counted from the moment their body is
 * there until their answer is sent: batches are what can fill memory and starve single rows.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { asServiceError, ServiceError } from '../core/index.ts';
import type { LookupAnswer, LookupItem, Receipt } from '../shard/index.ts';
import { ExactNumber, type Key, type Projection, type Snapshot, type Table } from '../table/index.ts';
import { checkRequestHeaders, timeoutOf } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { underDeadline } from './deadline.ts';
import { receiptFor, receiptOf } from './explain.ts';
import { keyFromJson } from './key-parts.ts';
import { itemWithValueUrl } from './large-value.ts';
import { type LookupRequest, parseLookup } from './lookup-body.ts';
import { onSnapshot, type RequestTime, snapshotNow } from './pinned.ts';
import { itemErrorJson } from './problem.ts';
import { jsonOptions, parseQuery } from './query.ts';
import { JSON_TYPE, respond, respondError } from './respond.ts';
import { ageHeader, isEmpty, tableName } from './row-route.ts';
import { readTarget } from './target.ts';

export function lookupHandler(context: ServerContext): (request: FastifyRequest, reply: FastifyReply) => void {
  let underWay = 0;
  return (request, reply) => {
    checkRequestHeaders(request.raw.headers);
    const table = context.catalog.get(tableName(request));
    const snapshot = snapshotNow(table, request.raw.headers, context.clock);
    const { query } = readTarget(request.raw.url ?? '', 0);
    if (!Buffer.isBuffer(request.body)) throw missingBody();
    const lookup = parseLookup(request.body, context.options);
    const timeoutMs = timeoutOf(request.raw.headers, context.options.deadlineMs);
    const receipt = receiptFor(request.raw.headers);
    const run = (on: Snapshot, signal: AbortSignal) => {
      receipt?.begin(on);
      return runLookup(context, on, lookup, query, signal, receipt);
    };
    if (underWay >= context.options.lookupsMax) throw tooMany(underWay);
    underWay += 1;
    reply.raw.once('close', () => {
      underWay -= 1;
    });
    const time = { headers: request.raw.headers, clock: context.clock, timeoutMs };
    void answer(context, reply, table, snapshot, lookup, time, run, receipt);
  };
}

async function answer(
  context: ServerContext,
  reply: FastifyReply,
  table: Table,
  pinned: Snapshot | undefined,
  lookup: LookupRequest,
  time: Omit<RequestTime, 'signal'>,
  run: (snapshot: Snapshot, signal: AbortSignal) => LookupAnswer | Promise<LookupAnswer>,
  receipt: Receipt | undefined,
): Promise<void> {
  try {
    const found = await underDeadline(reply, context.clock, time.timeoutMs, 'with work', (signal) =>
      onSnapshot(table, pinned, { ...time, signal }, async (snapshot) => run(snapshot, signal)),
    );
    reply.tier = found.tier;
    context.metrics.keys(table.name, found.items);
    const headers = ['content-type', JSON_TYPE, 'vary', 'accept', 'pointlake-snapshot', found.snapshot.id];
    const all = [...headers, 'pointlake-cache', found.tier, ...ageHeader(context, found.snapshot)];
    const results = writeResults(lookup, found, context.options.answerCharactersMax);
    if (receipt === undefined) respond(reply, 200, all, `${results}}`);
    else {
      const timed = [...all, 'server-timing', receipt.serverTiming()];
      const explain = JSON.stringify(receiptOf(receipt, table));
      respond(reply, 200, timed, `${results},"explain":${explain}}`);
    }
  } catch (thrown) {
    respondError(reply, thrown, context.onInternalError);
  }
}

function runLookup(
  context: ServerContext,
  snapshot: Snapshot,
  lookup: LookupRequest,
  query: string,
  signal: AbortSignal,
  receipt: Receipt | undefined,
): LookupAnswer | Promise<LookupAnswer> {
  const json = jsonOptions(
    parseQuery(query, ['int64', 'nonfinite']),
    snapshot.definition.json,
    context.options.valueInRowBytes,
  );
  if (isEmpty(snapshot)) {
    return { items: lookup.keys.map(() => ({ status: 'not_found' })), tier: 'memory', snapshot };
  }
  const projection: Projection = snapshot.projection(lookup.columns, json);
  const keys = lookup.keys.map((given) => readKey(snapshot, given));
  return context.engine.lookup(snapshot, keys, projection, lookup, signal, receipt);
}

function readKey(snapshot: Snapshot, given: unknown): Key | ServiceError {
  try {
    return keyFromJson(snapshot, given);
  } catch (thrown) {
    return asServiceError(thrown);
  }
}

/** The answer without its last brace. */
function writeResults({ keys, matches }: LookupRequest, { items, snapshot }: LookupAnswer, charactersMax: number) {
  let json = '{"results":[';
  for (const [i, plain] of items.entries()) {
    const item = matches === 'first' ? withValueUrlOf(plain, snapshot, keys[i]) : plain;
    json += `${i === 0 ? '' : ','}{"key":${echoJson(keys[i])},"status":"${item.status}"${itemJson(item)}}`;
    if (json.length > charactersMax) throw answerTooLarge(charactersMax);
  }
  return `${json}]`;
}

/** Keys are read again here only for values too large for their rows, which are few. */
function withValueUrlOf(item: LookupItem, snapshot: Snapshot, given: unknown): LookupItem {
  return 'error' in item ? itemWithValueUrl(item, snapshot, readKey(snapshot, given)) : item;
}

function itemJson(item: LookupItem): string {
  if ('row' in item) return `,"row":${item.row}`;
  if ('rows' in item) return `,"rows":[${item.rows.join(',')}]${item.truncated ? ',"truncated":true' : ''}`;
  return 'error' in item ? `,"error":${itemErrorJson(item.error)}` : '';
}

/** The caller's key with its numbers as they were written. */
function echoJson(given: unknown): string {
  if (given instanceof ExactNumber) return given.source;
  if (Array.isArray(given)) return `[${given.map(echoJson).join(',')}]`;
  if (typeof given === 'object' && given !== null) {
    return `{${Object.entries(given)
      .map(([name, value]) => `${JSON.stringify(name)}:${echoJson(value)}`)
      .join(',')}}`;
  }
  return JSON.stringify(given);
}

function missingBody(): ServiceError {
  const message = 'a lookup needs a JSON body such as {"keys":[1,2]}';
  return new ServiceError('invalid', 'bad_request', message);
}

function tooMany(underWay: number): ServiceError {
  const message = `${underWay} lookups by body are under way already; come back in a moment`;
  return new ServiceError('overloaded', 'overloaded', message, { limit: underWay });
}

function answerTooLarge(charactersMax: number): ServiceError {
  const message = `the answer has more than ${charactersMax} characters; ask for fewer keys, columns or rows a key`;
  return new ServiceError('tooLarge', 'answer_too_large', message, { limit: charactersMax });
}
