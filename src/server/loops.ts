/**
 * All event loops of the node as one: what further ones answered is added to what this one counts, and what each of them keeps
 * and how busy it is can be seen here.
 *
 * They are asked when somebody wants to know; what one answered since it was last asked is lost with it if it dies.
 */

import type { Server } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { CountsByRoute, RequestMetrics } from './metrics-requests.ts';

/** The encoded rows that are kept. */
export interface RowsState {
  readonly stats: {
    readonly capacityBytes: number;
    readonly entries: number;
    readonly admitted: number;
    readonly hits: number;
    readonly misses: number;
    readonly crossed: number;
    readonly confirmed: number;
  };
}

/** How one event loop is doing. */
export interface LoopState {
  readonly connections: number;
  readonly activeMs: number;
  readonly idleMs: number;
  /** How often it turned: few requests a turn are dearer than many. */
  readonly turns: number;
}

/** What a further event loop tells. */
export interface LoopReport {
  /** From 1 on; 0 is the main loop. */
  readonly loop: number;
  /** By which one that took another's place is told from it. */
  readonly thread: number;
  readonly state: LoopState;
  /** Since it was last asked. */
  readonly counts: CountsByRoute;
  /** Since it began. */
  readonly rows: RowsState['stats'];
}

export async function loopState(server: Server): Promise<LoopState> {
  const { active, idle } = performance.eventLoopUtilization();
  const connections = await new Promise<number>((resolve) =>
    server.getConnections((error, count) => resolve(error === null ? count : 0)),
  );
  return { connections, activeMs: active, idleMs: idle, turns: performance.nodeTiming.uvMetricsInfo.loopCount };
}

export class Loops {
  readonly #own: () => Promise<LoopState>;
  readonly #ask: () => Promise<readonly LoopReport[]>;
  readonly #metrics: RequestMetrics;
  readonly #rows: RowsState;
  readonly #heard = new Map<number, LoopReport>();
  /** Hits and misses of threads that ended. */
  readonly #ended = { admitted: 0, hits: 0, misses: 0, crossed: 0, confirmed: 0 };
  #states: readonly (readonly [loop: number, state: LoopState])[] = [];

  constructor(
    own: () => Promise<LoopState>,
    ask: () => Promise<readonly LoopReport[]>,
    metrics: RequestMetrics,
    rows: RowsState,
  ) {
    this.#own = own;
    this.#ask = ask;
    this.#metrics = metrics;
    this.#rows = rows;
  }

  /** Asks all of them, so that what is shown next is of this moment. */
  async hear(): Promise<void> {
    const [own, reports] = await Promise.all([this.#own(), this.#ask()]);
    for (const report of reports) {
      this.#metrics.add(report.counts);
      const before = this.#heard.get(report.loop);
      if (before !== undefined && before.thread !== report.thread) this.#end(before);
      this.#heard.set(report.loop, report);
    }
    for (const [loop, report] of this.#heard) if (!reports.some((it) => it.loop === loop)) this.#end(report);
    const others = [...this.#heard.values()].map(({ loop, state }) => [loop, state] as const);
    this.#states = [[0, own], ...others.sort(([a], [b]) => a - b)];
  }

  /** As last heard, the main loop's first. */
  get states(): readonly (readonly [loop: number, state: LoopState])[] {
    return this.#states;
  }

  /** The encoded rows that all of them keep, as last heard. */
  get stats(): RowsState['stats'] {
    const all = [this.#rows.stats, ...[...this.#heard.values()].map(({ rows }) => rows)];
    const sum = (of: (rows: RowsState['stats']) => number, ended = 0) => all.reduce((sum, it) => sum + of(it), ended);
    return {
      capacityBytes: sum((rows) => rows.capacityBytes),
      entries: sum((rows) => rows.entries),
      admitted: sum((rows) => rows.admitted, this.#ended.admitted),
      hits: sum((rows) => rows.hits, this.#ended.hits),
      misses: sum((rows) => rows.misses, this.#ended.misses),
      crossed: sum((rows) => rows.crossed, this.#ended.crossed),
      confirmed: sum((rows) => rows.confirmed, this.#ended.confirmed),
    };
  }

  #end({ loop, rows }: LoopReport): void {
    this.#ended.admitted += rows.admitted;
    this.#ended.hits += rows.hits;
    this.#ended.misses += rows.misses;
    this.#ended.crossed += rows.crossed;
    this.#ended.confirmed += rows.confirmed;
    this.#heard.delete(loop);
  }
}
