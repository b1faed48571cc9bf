/**
 * The server of a further event loop: rows, values and batches that are in memory are answered here, in one stretch without a
 * wait. Everything else is passed on to the main loop, mistakes in requests too: what it says is what counts.
 */

import Fastify, {
  type FastifyInstance,
  type FastifyListenOptions,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import type { Clock } from '../core/index.ts';
import type { LookupEngine } from '../shard/index.ts';
import { SERVER_DEFAULTS, type ServerOptions } from './context.ts';
import { Encoders } from './encoders.ts';
import { HotPath, type HotTable } from './hot-path.ts';
import { drain, LettingGo, serverFactory } from './http-server.ts';
import { keepTick } from './kept-classes.ts';
import { LargeReplies } from './large-replies.ts';
import { receiveBody } from './lookup-body.ts';
import { hotLookup } from './lookup-route.ts';
import { type LoopReport, loopState } from './loops.ts';
import { countAnswer, RequestMetrics } from './metrics-requests.ts';
import { PassOn } from './pass-on.ts';
import { HEADER_BYTES_MAX, refuseUnparsable } from './refusals.ts';
import { respondError } from './respond.ts';
import { tableName } from './row-route.ts';

export interface HotServerParts {
  readonly catalog: { find(name: string): HotTable | undefined };
  readonly engine: Pick<LookupEngine, 'tryRow' | 'tryStoredRow' | 'tryValue' | 'begin'>;
  readonly clock: Clock;
  /** Whether what is known here is all that is to be known now. */
  readonly isCurrent: () => boolean;
  /** Around each stretch in which memory is read. */
  readonly reader: { enter(): void; leave(): void };
  /** Where the main loop listens for what is passed on. */
  readonly socketPath: string;
}

export interface HotServer {
  /** How it is doing, and what was answered here since this was last asked. */
  report(): Promise<Pick<LoopReport, 'state' | 'counts'>>;
  /** Ends the connections that are open, each with its next answer, so that another loop gets some. */
  letGo(): void;
  /** Lets requests under way finish, those that were passed on too. */
  close(): Promise<void>;
}

export async function startHotServer(
  parts: HotServerParts,
  { host, port, ...given }: { readonly host: string; readonly port: number } & Partial<ServerOptions>,
): Promise<HotServer> {
  const options: ServerOptions = { ...SERVER_DEFAULTS, ...given };
  const passOn = new PassOn(parts.socketPath);
  const metrics = new RequestMetrics(() => true);
  let isDraining = false;
  const lettingGo = new LettingGo();
  const { fastify, hotPath } = addServer(parts, options, metrics, passOn, lettingGo, () => isDraining);
  keepTick();
  const address: FastifyListenOptions & { readonly reusePort: boolean } = { host, port, reusePort: true };
  await fastify.listen(address);
  return {
    report: async () => ({ state: await loopState(fastify.server), counts: metrics.take() }),
    letGo: () => lettingGo.begin(),
    async close() {
      isDraining = true;
      await drain(fastify, hotPath, parts.clock, options.graceMs);
      await passOn.close();
    },
  };
}

function addServer(
  { catalog, engine, clock, isCurrent, reader }: HotServerParts,
  options: ServerOptions,
  metrics: RequestMetrics,
  passOn: PassOn,
  lettingGo: LettingGo,
  isDraining: () => boolean,
): { readonly fastify: FastifyInstance; readonly hotPath: HotPath } {
  const largeReplies = new LargeReplies({ heldBytesMax: options.largeReplyBytesMax, stallMs: options.stallMs }, clock);
  const encoders = new Encoders(options);
  const inStretch = (reads: () => boolean): boolean => {
    reader.enter();
    try {
      return isCurrent() && reads();
    } finally {
      reader.leave();
    }
  };
  const context = { catalog, engine, clock, options, metrics, encoders, largeReplies, isDraining, inStretch };
  const routes = {
    row: metrics.route('row', 'table'),
    by: metrics.route('by', 'table'),
    value: metrics.route('value', 'table'),
  };
  // What it throws the main loop will say too, and better.
  const hotPath = new HotPath(context, routes, () => false);
  const fastify = makeFastify(options, passOn, serverFactory(options, hotPath, lettingGo, clock));
  const lookup = hotLookup(context);
  const route = metrics.route('lookup', 'table');
  const handler = (request: FastifyRequest, reply: FastifyReply) => {
    const startedMs = performance.now();
    let isAnswered = false;
    try {
      isAnswered = inStretch(() => lookup(request, reply));
    } catch {
      isAnswered = reply.raw.headersSent;
      if (isAnswered) reply.raw.destroy();
    }
    if (isAnswered) countAnswer(route, tableName(request), reply, startedMs);
    else passOn.send(request, reply);
  };
  fastify.register(async (lookups) => {
    lookups.addContentTypeParser('application/json', (_request, payload, done) =>
      receiveBody(payload, options.bodyBytesMax, done),
    );
    lookups.setErrorHandler((error, request, reply) => {
      if (Buffer.isBuffer(request.body)) passOn.send(request, reply);
      else respondError(reply, error, () => undefined);
    });
    lookups.route({ method: 'POST', url: '/v1/tables/:table/lookup', handler });
  });
  return { fastify, hotPath };
}

function makeFastify(
  options: ServerOptions,
  passOn: PassOn,
  factory: ReturnType<typeof serverFactory>,
): FastifyInstance {
  const fastify = Fastify({
    logger: false,
    bodyLimit: options.bodyBytesMax,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: HEADER_BYTES_MAX },
    serverFactory: factory,
    clientErrorHandler: refuseUnparsable,
    frameworkErrors: (_error, request, reply) => passOn.send(request as FastifyRequest, reply as FastifyReply),
  });
  fastify.decorateReply('tier', undefined);
  fastify.removeAllContentTypeParsers();
  // The body is left in the request, from where it is sent on.
  fastify.addContentTypeParser('*', (_request, _payload, done) => done(null));
  fastify.setErrorHandler((_error, request, reply) => passOn.send(request, reply));
  fastify.setNotFoundHandler((request, reply) => passOn.send(request, reply));
  return fastify;
}
