/** Samples of a probed server while it is loaded: what it says of itself, the counters of its `/metrics`, and the kernel. */

import { readFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import type { ProbedServer } from './probed-server.ts';
import type { ProbeSample } from './process-probe.ts';

export interface WatchSample extends ProbeSample {
  readonly atMs: number;
  readonly metrics: ServerCounters;
  /** That its event loop's thread could have run since its start, and others had the core. */
  readonly waitedForCoreMs: number;
}

/** Gauges as they are; counters since the server began. */
export interface ServerCounters {
  readonly blocks: number;
  readonly blockBytes: number;
  readonly evicted: number;
  /** Encoded rows that are kept; their memory is touched as it fills. */
  readonly keptRows: number;
  /** Answers, by the slowest tier that they touched. */
  readonly memory: number;
  readonly disk: number;
  readonly origin: number;
  readonly diskReads: number;
  readonly diskReadsInThreads: number;
  readonly gets: number;
  readonly loopActiveSeconds: number;
}

const SERIES: Readonly<Record<keyof ServerCounters, RegExp>> = {
  blocks: /^pointlake_blocks (\S+)$/gm,
  blockBytes: /^pointlake_memory_used_bytes\{class="blocks"\} (\S+)$/gm,
  keptRows: /^pointlake_row_cache_rows (\S+)$/gm,
  evicted: /^pointlake_blocks_evicted_total (\S+)$/gm,
  memory: /^pointlake_answers_total\{[^}]*tier="memory"[^}]*\} (\S+)$/gm,
  disk: /^pointlake_answers_total\{[^}]*tier="disk"[^}]*\} (\S+)$/gm,
  origin: /^pointlake_answers_total\{[^}]*tier="origin"[^}]*\} (\S+)$/gm,
  diskReads: /^pointlake_disk_reads_total (\S+)$/gm,
  diskReadsInThreads: /^pointlake_disk_reads_in_threads_total (\S+)$/gm,
  gets: /^pointlake_store_operations_total\{[^}]*operation="get"[^}]*\} (\S+)$/gm,
  loopActiveSeconds: /^pointlake_event_loop_seconds_total\{[^}]*state="active"[^}]*\} (\S+)$/gm,
};

/** Not there before the first such answer. */
const COMES_LATER: readonly string[] = ['memory', 'disk', 'origin'];

/** Throws where a server that has a disk tier tells nothing of one: a metric that has another form now would else be taken for 0. */
export async function serverCounters(origin: string): Promise<ServerCounters> {
  const text = await (await fetch(`${origin}/metrics`)).text();
  const sum = (name: string, series: RegExp) => {
    const found = [...text.matchAll(series)];
    if (found.length === 0 && !COMES_LATER.includes(name)) throw new Error(`/metrics has nothing like ${series}`);
    return found.reduce((total, [, value]) => total + Number(value), 0);
  };
  return Object.fromEntries(
    Object.entries(SERIES).map(([name, series]) => [name, sum(name, series)]),
  ) as unknown as ServerCounters;
}

/** Reads the probe from the server's start to its end, since a pipe that nobody reads would stop it. */
export class ServerWatch {
  readonly #lines: Interface;
  #samples: WatchSample[] = [];

  constructor(server: ProbedServer) {
    this.#lines = createInterface({ input: server.probe });
    this.#lines.on('line', (line) => {
      const probe = JSON.parse(line) as ProbeSample;
      const atMs = performance.now();
      const waitedForCoreMs = waitOf(server.pid);
      serverCounters(server.origin).then(
        (metrics) => this.#samples.push({ ...probe, atMs, metrics, waitedForCoreMs }),
        (error) => console.error(`a sample is missing: ${error}`),
      );
    });
  }

  /** The samples since the last call. */
  take(): readonly WatchSample[] {
    const taken = this.#samples;
    this.#samples = [];
    return taken;
  }
}

/** From Linux's `/proc/PID/schedstat`: time on the core, time in the queue for it, both in nanoseconds; turns. */
function waitOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
}
