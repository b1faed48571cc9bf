/**
 * Requests counted where they are answered: by route, table, status and tier, and how long they took.
 *
 * A hot request pays two readings of the clock, one look into a map and a few stores into typed arrays. One whose answer
 * is out when its handler returns is counted at once; only one that waits is given a listener.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { DurationHistogram } from '../core/index.ts';
import { labels, type MetricFamily, type Samples } from './metrics-text.ts';
import type { AnswerTier, Reply } from './reply.ts';

/** By the first digit of the status; 0 is a client that left before its answer was out. */
const STATUS_CLASSES = ['aborted', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;
/** The slowest tier that an answer touched; none where it is an error or of no row. */
const TIERS = ['none', 'memory', 'disk', 'origin'] as const;
/** For tables that are not configured: their names come from outside and have no end. */
const OTHER_TABLE = 'other';

export type KeyStatus = 'found' | 'not_found' | 'not_covered' | 'timeout' | 'error';

const KEY_STATUSES: readonly KeyStatus[] = ['found', 'not_found', 'not_covered', 'timeout', 'error'];

declare module 'fastify' {
  interface FastifyReply {
    /** Set by who answers with a row, a value, or that there is none. */
    tier: AnswerTier | undefined;
  }
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

/** Tables come and go with the configuration; counts of more names than this share one. */
const TABLES_MAX = 10_000;

interface TableCounts {
  readonly statuses: Float64Array;
  readonly tiers: Float64Array;
}

/** Of one route, as plain numbers that go from one event loop to another. */
interface RouteCounts {
  readonly name: string;
  /** By tier. */
  readonly durations: readonly Float64Array[];
  readonly tables: readonly (readonly [table: string, statuses: Float64Array, tiers: Float64Array])[];
}

export interface CountsByRoute {
  readonly routes: readonly RouteCounts[];
  /** Keys of batches, by table. */
  readonly keys: readonly (readonly [table: string, counts: Float64Array])[];
}

export class RouteMetrics {
  readonly name: string;
  readonly durations: readonly DurationHistogram[] = TIERS.map(() => new DurationHistogram());
  readonly byTable = new Map<string, TableCounts>();
  readonly #isTable: (name: string) => boolean;
  readonly #others = noCounts();

  /** Requests of no table count under `others`. */
  constructor(name: string, others: string, isTable: (name: string) => boolean) {
    this.name = name;
    this.#isTable = isTable;
    this.byTable.set(others, this.#others);
  }

  answered(table: string | undefined, status: number, tier: AnswerTier | undefined, ms: number): void {
    const { statuses, tiers } = table === undefined ? this.#others : (this.byTable.get(table) ?? this.#added(table));
    const at = tier === undefined ? 0 : tier === 'memory' ? 1 : tier === 'disk' ? 2 : 3;
    const statusClass = (status / 100) | 0;
    statuses[statusClass] = (statuses[statusClass] ?? 0) + 1;
    tiers[at] = (tiers[at] ?? 0) + 1;
    this.durations[at]?.record(ms);
  }

  /** What another event loop answered on this route. */
  add({ durations, tables }: RouteCounts): void {
    for (const [i, values] of durations.entries()) this.durations[i]?.add(values);
    for (const [table, statuses, tiers] of tables) {
      const counts = this.byTable.get(table) ?? this.#added(table);
      addTo(counts.statuses, statuses);
      addTo(counts.tiers, tiers);
    }
  }

  /** What was counted since this was last asked; undefined where that is nothing. */
  take(): RouteCounts | undefined {
    if (this.durations.every(({ count }) => count === 0)) return undefined;
    const durations = this.durations.map((histogram) => histogram.take());
    const tables = [...this.byTable].map(
      ([table, { statuses, tiers }]) => [table, statuses.slice(), tiers.slice()] as const,
    );
    for (const { statuses, tiers } of this.byTable.values()) {
      statuses.fill(0);
      tiers.fill(0);
    }
    return { name: this.name, durations, tables };
  }

  #added(table: string): TableCounts {
    if (this.byTable.size >= TABLES_MAX || !this.#isTable(table)) return this.#others;
    const counts = noCounts();
    this.byTable.set(table, counts);
    return counts;
  }
}

export class RequestMetrics {
  readonly #isTable: (name: string) => boolean;
  readonly #routes: RouteMetrics[] = [];
  /** Keys of batches by table, and by status. */
  readonly #keys = new Map<string, Float64Array>();

  constructor(isTable: (name: string) => boolean) {
    this.#isTable = isTable;
  }

  route(name: string, of: 'table' | 'node'): RouteMetrics {
    const route =
      of === 'table' ? new RouteMetrics(name, OTHER_TABLE, this.#isTable) : new RouteMetrics(name, '', () => false);
    this.#routes.push(route);
    return route;
  }

  /** The results of a batch on a table that is configured. */
  keys(table: string, items: readonly { readonly status: KeyStatus }[]): void {
    let counts = this.#keys.get(table);
    if (counts === undefined) {
      if (this.#keys.size >= TABLES_MAX) return;
      counts = new Float64Array(KEY_STATUSES.length);
      this.#keys.set(table, counts);
    }
    for (const { status } of items) {
      const at = KEY_STATUSES.indexOf(status);
      counts[at] = (counts[at] ?? 0) + 1;
    }
  }

  /** Adds what another event loop `take`s. */
  add({ routes, keys }: CountsByRoute): void {
    for (const counts of routes) this.#routes.find(({ name }) => name === counts.name)?.add(counts);
    for (const [table, counts] of keys) {
      const known = this.#keys.get(table);
      if (known !== undefined) addTo(known, counts);
      else if (this.#keys.size < TABLES_MAX) this.#keys.set(table, counts);
    }
  }

  take(): CountsByRoute {
    const routes = this.#routes.map((route) => route.take()).filter((counts) => counts !== undefined);
    const keys = [...this.#keys];
    this.#keys.clear();
    return { routes, keys };
  }

  families(): readonly MetricFamily[] {
    return [
      {
        name: 'pointlake_requests_total',
        type: 'counter',
        help: 'Requests answered, by route, table and class of status.',
        collect: (samples) => {
          for (const route of this.#routes) addStatuses(samples, route);
        },
      },
      {
        name: 'pointlake_request_duration_seconds',
        type: 'histogram',
        help: 'From the request being read to its answer being handed over, by route and slowest tier.',
        collect: (samples) => {
          for (const { name, durations } of this.#routes) {
            for (const [i, histogram] of durations.entries()) {
              if (histogram.count > 0) samples.addDurations(labels({ route: name, tier: TIERS[i] ?? '' }), histogram);
            }
          }
        },
      },
      {
        name: 'pointlake_answers_total',
        type: 'counter',
        help: 'Rows, values, batches and proofs of absence, by table and the slowest tier that they touched.',
        collect: (samples) => this.#addTiers(samples),
      },
      {
        name: 'pointlake_lookup_keys_total',
        type: 'counter',
        help: 'Keys of batches, by table and status of their result.',
        collect: (samples) => {
          for (const [table, counts] of this.#keys) {
            for (const [i, status] of KEY_STATUSES.entries()) addCount(samples, { table, status }, counts[i]);
          }
        },
      },
    ];
  }

  #addTiers(samples: Samples): void {
    const sums = new Map<string, Float64Array>();
    for (const { byTable } of this.#routes) {
      for (const [table, { tiers }] of byTable) {
        const before = sums.get(table);
        sums.set(table, before === undefined ? tiers : tiers.map((count, i) => count + (before[i] ?? 0)));
      }
    }
    for (const [table, counts] of sums) {
      for (const [i, tier] of TIERS.entries()) if (tier !== 'none') addCount(samples, { table, tier }, counts[i]);
    }
  }
}

/** The handler with its requests counted on the route. */
export function measured(route: RouteMetrics, handler: Handler): Handler {
  return (request, reply) => {
    const startedMs = performance.now();
    try {
      handler(request, reply);
    } finally {
      const { table } = request.params as { readonly table?: string };
      countAnswer(route, table, reply, startedMs);
    }
  };
}

/** Counts an answer that is out at once, and another when it is. */
export function countAnswer(route: RouteMetrics, table: string | undefined, reply: Reply, startedMs: number): void {
  const { raw } = reply;
  if (raw.writableEnded) route.answered(table, raw.statusCode, reply.tier, performance.now() - startedMs);
  else {
    raw.once('close', () => {
      const status = raw.writableFinished ? raw.statusCode : 0;
      route.answered(table, status, reply.tier, performance.now() - startedMs);
    });
  }
}

function addTo(sums: Float64Array, counts: Float64Array): void {
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] ?? 0) + (counts[i] ?? 0);
}

function noCounts(): TableCounts {
  return { statuses: new Float64Array(STATUS_CLASSES.length), tiers: new Float64Array(TIERS.length) };
}

function addStatuses(samples: Samples, { name: route, byTable }: RouteMetrics): void {
  for (const [table, { statuses }] of byTable) {
    for (const [i, status] of STATUS_CLASSES.entries()) addCount(samples, { route, table, status }, statuses[i]);
  }
}

/** What never happened has no sample: a thousand tables would have tens of thousands of zeros. */
function addCount(samples: Samples, of: Readonly<Record<string, string>>, count = 0): void {
  if (count > 0) samples.add(labels(of), count);
}
