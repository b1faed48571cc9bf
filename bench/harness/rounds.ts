/** Interleaved rounds of two servers under the same load, and what they say: medians, and ratios pair by pair. */

import { BusyTime } from './busy-time.ts';
import type { Server } from './servers.ts';
import { type Load, type LoadResult, runWrk } from './wrk.ts';

export interface Round extends LoadResult {
  /** Share of one core that the server used. */
  readonly serverBusy: number;
  /** Its CPU time a request, in microseconds: what a busy machine distorts least. */
  readonly serverCpuUs: number;
}

export interface Pair {
  readonly ours: Round;
  readonly yardstick: Round;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** One after the other, the first of a pair changing from round to round, so that drift hits both alike. */
export async function interleave(
  ours: Server,
  yardstick: Server,
  load: Omit<Load, 'origin' | 'seed'>,
  rounds: number,
  clientCore: number,
): Promise<Pair[]> {
  const pairs: Pair[] = [];
  for (let round = 0; round < rounds; round++) {
    const once = (server: Server) => runRound(server, { ...load, origin: server.origin, seed: round + 1 }, clientCore);
    if (round % 2 === 0) {
      const first = await once(ours);
      pairs.push({ ours: first, yardstick: await once(yardstick) });
    } else {
      const first = await once(yardstick);
      pairs.push({ ours: await once(ours), yardstick: first });
    }
  }
  return pairs;
}

async function runRound(server: Server, load: Load, clientCore: number): Promise<Round> {
  const busy = new BusyTime(server.pid);
  const result = await runWrk(load, clientCore);
  busy.sample();
  return { ...result, serverBusy: busy.share, serverCpuUs: (busy.share * 1e6) / result.requestsPerSecond };
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) };
}
