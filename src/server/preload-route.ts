/**
 * `/v1/tables/{table}/preload`: POST begins one, GET shows how far it is, DELETE ends it.
 *
 * While nobody has to prove who they are, only this machine may make the server read its storage.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../core/index.ts';
import type { Preload } from '../shard/index.ts';
import { type PreloadRequest, parseExactJson, parsePreload, type Table } from '../table/index.ts';
import { checkRequestHeaders } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { addressOf, isLoopbackAddress } from './loopback.ts';
import { parseQuery } from './query.ts';
import { JSON_TYPE, respond, respondError, respondJson } from './respond.ts';
import { tableName } from './row-route.ts';
import { readTarget } from './target.ts';

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

export interface PreloadHandlers {
  readonly show: Handler;
  readonly begin: Handler;
  readonly cancel: Handler;
}

export function preloadHandlers(context: ServerContext): PreloadHandlers {
  const { preloader, clock } = context;
  return {
    show: (request, reply) => {
      const table = tableOf(context, request);
      respondJson(reply, preloadState(preloader.of(table.name), table, clock.nowMs()));
    },
    begin: (request, reply) => {
      const table = tableOf(context, request);
      refuseOthers(request);
      void begin(context, reply, table, requestOf(request.body));
    },
    cancel: (request, reply) => {
      const table = tableOf(context, request);
      refuseOthers(request);
      respondJson(reply, preloadState(preloader.cancel(table.name), table, clock.nowMs()));
    },
  };
}

async function begin(
  { preloader, clock, onInternalError }: ServerContext,
  reply: FastifyReply,
  table: Table,
  request: PreloadRequest,
): Promise<void> {
  try {
    const preload = await preloader.begin(table, request);
    const url = `/v1/tables/${encodeURIComponent(table.name)}/preload`;
    const body = JSON.stringify({ ...preloadState(preload, table, clock.nowMs()), url });
    respond(reply, 202, ['content-type', JSON_TYPE, 'location', url], body);
  } catch (thrown) {
    respondError(reply, thrown, onInternalError);
  }
}

/** A table's preload as JSON, also for the table's description. */
export function preloadState(preload: Preload | undefined, table: Table, nowMs: number): object {
  if (preload === undefined) return { state: 'none' };
  const { job, request, error } = preload;
  const { trace, verified } = job;
  const elapsedMs = (job.endedAtMs ?? nowMs) - job.startedAtMs;
  return {
    state: job.state,
    id: preload.id,
    into: request.into,
    started_at: new Date(job.startedAtMs).toISOString(),
    elapsed_seconds: Math.round(elapsedMs / 1000),
    ...etaOf(preload, elapsedMs),
    chunks: { done: job.chunksDone, total: job.plan.chunks },
    bytes: { done: job.bytesDone, total: job.plan.bytes },
    decoded_bytes: job.plan.decodedBytes,
    pages_loaded: job.pagesLoaded,
    storage: {
      reads: trace.readsBegun,
      read_bytes: trace.readBytes,
      requests: trace.requests,
      usd: table.source.account.priceUsd(trace.gets, 0, trace.receivedBytes),
    },
    ...(verified === undefined ? {} : { verified }),
    ...pinState(preload),
    errors: job.errorCount,
    ...(job.errors.length === 0
      ? {}
      : { first_errors: job.errors.map(({ code, message }) => ({ code, detail: message })) }),
    ...(error === undefined ? {} : { error: { code: error.code, detail: error.message } }),
  };
}

/** By what the bytes so far took. */
function etaOf({ job }: Preload, elapsedMs: number): object {
  if (job.state !== 'running' || job.bytesDone === 0) return {};
  const left = Math.max(0, job.plan.bytes - job.bytesDone);
  return { eta_seconds: Math.ceil((left * elapsedMs) / job.bytesDone / 1000) };
}

function pinState({ request, isFollowed, pinnedUntilMs }: Preload): object {
  if (!request.pin) return {};
  if (!isFollowed) return { pinned: false };
  return {
    pinned: true,
    ...(pinnedUntilMs === undefined ? {} : { pinned_until: new Date(pinnedUntilMs).toISOString() }),
  };
}

function tableOf(context: ServerContext, request: FastifyRequest): Table {
  checkRequestHeaders(request.raw.headers);
  const { query } = readTarget(request.raw.url ?? '', 0);
  if (query !== '') parseQuery(query, []);
  return context.catalog.get(tableName(request));
}

/** Without a body the keys are preloaded. */
function requestOf(body: unknown): PreloadRequest {
  if (!Buffer.isBuffer(body) || body.length === 0) return parsePreload({});
  return parsePreload(parseExactJson(body.toString('utf8')));
}

function refuseOthers(request: FastifyRequest): void {
  if (isLoopbackAddress(addressOf(request.raw))) return;
  const message = 'preload answers this machine only, since there is no authentication; send it from the server itself';
  throw new ServiceError('unauthorized', 'forbidden', message);
}
