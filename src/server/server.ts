/**
 * The HTTP server: Fastify with the routes of this version, one error format, and an orderly end.
 *
 * No logger, schema or hook stands on the way of a row. What Fastify itself refuses (a bad URL, a wrong content type)
 * comes through the error handler and leaves as problem+json too.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyListenOptions,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { type Clock, ServiceError } from '../core/index.ts';
import { type LookupEngine, type PageLoader, type Preloader, QueryEngine, type TableIndexing } from '../shard/index.ts';
import type { Catalog, Table } from '../table/index.ts';
import {
  type DecodeState,
  type DiskState,
  type MemoryState,
  SERVER_DEFAULTS,
  type ServerContext,
  type ServerOptions,
  type StoresState,
} from './context.ts';
import { Encoders } from './encoders.ts';
import { HotPath, type HotRoutes } from './hot-path.ts';
import { drain, LettingGo, serverFactory } from './http-server.ts';
import { keepTick } from './kept-classes.ts';
import { LargeReplies } from './large-replies.ts';
import { receiveBody } from './lookup-body.ts';
import { lookupHandler } from './lookup-route.ts';
import { admitPassedOn } from './loopback.ts';
import { type LoopReport, Loops, loopState, type RowsState } from './loops.ts';
import { measured, RequestMetrics, type RouteMetrics } from './metrics-requests.ts';
import { metricsHandler } from './metrics-route.ts';
import { multiLookupHandler } from './multi-lookup-route.ts';
import { healthHandler, readyHandler } from './operations-route.ts';
import { preloadHandlers } from './preload-route.ts';
import { queryHandler } from './query-route.ts';
import {
  HEADER_BYTES_MAX,
  refuseLaterRoute,
  refuseOtherMethods,
  refuseUnknownRoutes,
  refuseUnparsable,
  unknownRoute,
} from './refusals.ts';
import { respondError, respondProblem } from './respond.ts';
import { namedKeyHandler, rowHandler, valueHandler } from './row-route.ts';
import { LookupsUnderWay } from './table-lookup.ts';
import { refreshHandler, tableHandler, tablesHandler } from './tables-route.ts';

export interface ServerParts {
  readonly catalog: Catalog;
  readonly engine: LookupEngine;
  readonly loader: PageLoader;
  readonly preloader: Preloader;
  /** What there is of the key index of a table. */
  readonly indexings?: (table: Table) => readonly TableIndexing[];
  readonly clock: Clock;
  readonly tier: MemoryState;
  readonly rows: RowsState;
  readonly disk?: DiskState | undefined;
  /** For metrics, as `version` is. */
  readonly pool?: DecodeState | undefined;
  readonly stores?: StoresState | undefined;
  readonly version?: string | undefined;
  /** What other event loops of this process have to tell. */
  readonly otherLoops?: (() => Promise<readonly LoopReport[]>) | undefined;
  /** Faults of ours, for the log. */
  readonly onInternalError?: (error: Error) => void;
}

export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Further event loops of the process listen there too. */
  readonly isShared?: boolean;
}

const LATER_ROUTES = ['/v1/cluster', '/openapi.json', '/docs', '/console'];

export class PointlakeServer {
  readonly #hotPath: HotPath;
  readonly #lettingGo = new LettingGo();
  readonly fastify: FastifyInstance;
  readonly #context: ServerContext;
  #draining = false;
  #closed: Promise<void> | undefined = undefined;
  #url = '';

  constructor(parts: ServerParts, options: Partial<ServerOptions> = {}) {
    const settings: ServerOptions = { ...SERVER_DEFAULTS, ...options };
    const { largeReplyBytesMax: heldBytesMax, stallMs } = settings;
    const metrics = new RequestMetrics((name) => parts.catalog.names().includes(name));
    const own = () => loopState(this.fastify.server);
    const loops = new Loops(own, parts.otherLoops ?? (async () => []), metrics, parts.rows);
    this.#context = {
      catalog: parts.catalog,
      engine: parts.engine,
      loader: parts.loader,
      queries: new QueryEngine(parts.loader, queryBounds(settings)),
      preloader: parts.preloader,
      indexings: parts.indexings ?? (() => []),
      clock: parts.clock,
      tier: parts.tier,
      rows: loops,
      disk: parts.disk,
      pool: parts.pool,
      stores: parts.stores,
      version: parts.version ?? '',
      metrics,
      options: settings,
      encoders: new Encoders(settings),
      largeReplies: new LargeReplies({ heldBytesMax, stallMs }, parts.clock, (bytes) => parts.tier.replying(bytes)),
      loops,
      onInternalError: parts.onInternalError ?? (() => undefined),
      isDraining: () => this.#draining,
    };
    keepTick();
    const rowRoutes = {
      row: metrics.route('row', 'table'),
      by: metrics.route('by', 'table'),
      value: metrics.route('value', 'table'),
    };
    this.#hotPath = new HotPath(this.#context, rowRoutes, (reply, thrown) => {
      respondError(reply, thrown, this.#context.onInternalError);
      return true;
    });
    this.fastify = makeFastify(this.#context, this.#hotPath, this.#lettingGo);
    addRoutes(this.fastify, this.#context, rowRoutes);
  }

  /** What another event loop of this process passes on. */
  readonly answerPassedOn = (request: IncomingMessage, response: ServerResponse): void => {
    admitPassedOn(request);
    this.#hotPath.serve(request, response, this.fastify.routing);
  };

  /** Ends the connections that are open, each with its next answer, so that another event loop gets some. */
  letGo(): void {
    this.#lettingGo.begin();
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.fastify.server.address() as AddressInfo).port;
  }

  /** Where it listens, for people and clients on this machine; empty before. */
  get url(): string {
    return this.#url;
  }

  async listen(address: ListenAddress): Promise<void> {
    const { port, isShared = false } = address;
    const host = address.host.replace(/^\[(.*)\]$/, '$1');
    const listen: FastifyListenOptions & { readonly reusePort?: boolean } = { host, port };
    try {
      await this.fastify.listen(isShared ? { ...listen, reusePort: true } : listen);
    } catch (thrown) {
      throw listenError(thrown, host, port);
    }
    const { port: chosen } = this.fastify.server.address() as AddressInfo;
    const everywhere = host === '0.0.0.0' || host === '::';
    const name = everywhere ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
    this.#url = `http://${name}:${chosen}`;
  }

  /**
   * Stops accepting, lets the requests under way finish within the grace time, then cuts what is left. `/readyz` on
   * connections that are still open says 503 from the first moment.
   */
  close(): Promise<void> {
    this.#closed ??= this.#drain();
    return this.#closed;
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    const { clock, options } = this.#context;
    await drain(this.fastify, this.#hotPath, clock, options.graceMs);
  }
}

function queryBounds({ queryGetsMax: getsMax, queryBytesMax: bytesMax, queriesMax }: ServerOptions) {
  return { getsMax, bytesMax, queriesMax };
}

function makeFastify(context: ServerContext, hotPath: HotPath, lettingGo: LettingGo): FastifyInstance {
  const { options } = context;
  const fastify = Fastify({
    logger: false,
    bodyLimit: options.bodyBytesMax,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: HEADER_BYTES_MAX },
    serverFactory: serverFactory(options, hotPath, lettingGo, context.clock),
    clientErrorHandler: refuseUnparsable,
    frameworkErrors: (error, _request, reply) => respondError(reply, ourError(error), context.onInternalError),
  });
  fastify.decorateReply('tier', undefined);
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', (_request, payload, done) =>
    receiveBody(payload, options.bodyBytesMax, done),
  );
  fastify.setErrorHandler((error: FastifyError, _request, reply) =>
    respondError(reply, ourError(error), context.onInternalError),
  );
  fastify.setNotFoundHandler((request, reply) => respondProblem(reply, unknownRoute(request)));
  return fastify;
}

/** Fastify's own refusals in our words; anything else as it came. */
function ourError(error: Error & { readonly code?: string }): unknown {
  switch (error.code) {
    case 'FST_ERR_BAD_URL':
      return new ServiceError('invalid', 'bad_url', 'the URL is no percent-encoded UTF-8; write % itself as %25');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE': {
      const message =
        "the body is JSON: send the header content-type: application/json (curl: -H 'content-type: application/json')";
      return new ServiceError('invalid', 'unsupported_media_type', message, { known: ['application/json'] });
    }
    default:
      return error;
  }
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

function addRoutes(fastify: FastifyInstance, context: ServerContext, rowRoutes: HotRoutes): void {
  const { metrics } = context;
  const others = metrics.route('other', 'node');
  const refused = (handler: Handler) => measured(others, handler);
  const get = (url: string, route: RouteMetrics, handler: Handler) => {
    fastify.route({ method: ['GET', 'HEAD'], url, handler: measured(route, handler) });
    refuseOtherMethods(fastify, url, ['GET', 'HEAD'], refused);
  };
  get('/v1/tables/:table/rows/*', rowRoutes.row, rowHandler(context));
  get('/v1/tables/:table/by/*', rowRoutes.by, namedKeyHandler(context));
  get('/v1/tables/:table/values/*', rowRoutes.value, valueHandler(context));
  get('/v1/tables', metrics.route('tables', 'node'), tablesHandler(context));
  get('/v1/tables/:table', metrics.route('table', 'table'), tableHandler(context));
  get('/healthz', metrics.route('healthz', 'node'), healthHandler());
  get('/readyz', metrics.route('readyz', 'node'), readyHandler(context));
  get('/metrics', metrics.route('metrics', 'node'), metricsHandler(context));
  const post = (url: string, route: RouteMetrics, handler: Handler) => {
    fastify.route({ method: 'POST', url, handler: measured(route, handler) });
    refuseOtherMethods(fastify, url, ['POST'], refused);
  };
  const underWay = new LookupsUnderWay(context.options.lookupsMax);
  post('/v1/tables/:table/lookup', metrics.route('lookup', 'table'), lookupHandler(context, underWay));
  post('/v1/lookup', metrics.route('lookup_many', 'node'), multiLookupHandler(context, underWay));
  post('/v1/tables/:table/query', metrics.route('query', 'table'), queryHandler(context));
  post('/v1/tables/:table/refresh', metrics.route('refresh', 'table'), refreshHandler(context));
  const preload = preloadHandlers(context);
  const preloadUrl = '/v1/tables/:table/preload';
  const preloads = metrics.route('preload', 'table');
  fastify.route({ method: ['GET', 'HEAD'], url: preloadUrl, handler: measured(preloads, preload.show) });
  fastify.route({ method: 'POST', url: preloadUrl, handler: measured(preloads, preload.begin) });
  fastify.route({ method: 'DELETE', url: preloadUrl, handler: measured(preloads, preload.cancel) });
  refuseOtherMethods(fastify, preloadUrl, ['GET', 'HEAD', 'POST', 'DELETE'], refused);
  for (const url of LATER_ROUTES) refuseLaterRoute(fastify, url, refused);
  refuseUnknownRoutes(fastify, refused);
}

/** What the operating system says, with what would be right. */
function listenError(thrown: unknown, host: string, port: number): unknown {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program listens there; choose another port, or 0 for any free one',
    EACCES: 'this user may not listen there; choose a port from 1024 on',
    EADDRNOTAVAIL: 'this machine has no such address; choose one of its own, or 0.0.0.0 for all',
    ENOTSUP: 'this system lets no two event loops share a port; serve with --workers 1',
    ENOTFOUND: 'there is no such host; choose an address of this machine, or 0.0.0.0 for all',
  };
  const reason = reasons[code];
  if (reason === undefined) return thrown;
  const message = `cannot listen on ${host}:${port}: ${reason}`;
  return new ServiceError('unavailable', 'cannot_listen', message, { host, port, errno: code }, thrown);
}

/** Makes a server and waits until it listens. */
export async function startServer(
  parts: ServerParts,
  { host, port, isShared = false, ...options }: ListenAddress & Partial<ServerOptions>,
): Promise<PointlakeServer> {
  const server = new PointlakeServer(parts, options);
  await server.listen({ host, port, isShared });
  return server;
}
