/** Interleaved rounds of servers under the same load, and what they say: medians, and ratios round by round. */

import { BusyTime } from './busy-time.ts';
import type { Server } from './servers.ts';
import { type Load, runWrk } from './wrk.ts';

export interface Round {
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Share of one core that the server used. */
  readonly serverBusy: number;
  /** Its CPU time a request, in microseconds: what a busy machine distorts least. */
  readonly serverCpuUs: number;
  /** Share of one core that the load itself used, where that is known: near 1 it limits, not the server. */
  readonly clientBusy: number | undefined;
}

/** One that takes its turn in each round. */
export interface Contender<Result> {
  readonly name: string;
  readonly measure: (round: number) => Promise<Result>;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** `--rounds N`, or the bench's own. */
export function roundsWanted(byDefault: number): number {
  const at = process.argv.indexOf('--rounds');
  const rounds = at < 0 ? byDefault : Number(process.argv[at + 1]);
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1 on');
  return rounds;
}

/** Results by contender, one a round. The order turns from round to round, so that drift hits all alike. */
export async function inTurns<Result>(
  contenders: readonly Contender<Result>[],
  rounds: number,
): Promise<readonly (readonly Result[])[]> {
  const results: Result[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const at = (round + turn) % contenders.length;
      const contender = contenders[at];
      if (contender !== undefined) results[at]?.push(await contender.measure(round + 1));
    }
  }
  return results;
}

export async function httpRound(server: Server, load: Omit<Load, 'origin'>, clientCore: number): Promise<Round> {
  const busy = new BusyTime(server.pid);
  const result = await runWrk({ ...load, origin: server.origin }, clientCore);
  busy.sample();
  return { ...result, serverBusy: busy.share, serverCpuUs: (busy.cpuSeconds * 1e6) / result.requests };
}

/** Ratios of the two, round by round. */
export function ratios<Result>(
  ours: readonly Result[],
  theirs: readonly Result[],
  of: (result: Result) => number,
): readonly number[] {
  return ours.map((one, round) => {
    const other = theirs[round];
    return of(one) / (other === undefined ? Number.NaN : of(other));
  });
}

/** Requests a second that two servers gave. */
export interface Given {
  readonly ours: number;
  readonly yardstick: number;
}

export function givenIn(ours: readonly Round[], yardstick: readonly Round[]): Given {
  const rate = (rounds: readonly Round[]) => spread(rounds.map((round) => round.requestsPerSecond)).median;
  return { ours: rate(ours), yardstick: rate(yardstick) };
}

/** The most of each. */
export function mostGiven(given: readonly Given[]): Given {
  return {
    ours: Math.max(...given.map(({ ours }) => ours)),
    yardstick: Math.max(...given.map(({ yardstick }) => yardstick)),
  };
}

/** The same of processor time a request, theirs over ours, as a note beside a ratio of rates: what a busy machine distorts least. */
export function byProcessorTime(ours: readonly Round[], theirs: readonly Round[]): string {
  return ` (by processor time ${range(
    ratios(theirs, ours, (round) => round.serverCpuUs),
    2,
  )})`;
}

/** Of its core; a server under full load that had less in the median round was slowed down by something else. */
const UNDISTURBED = 0.75;

/** Why a comparison of servers under full load proves nothing; undefined where it does. */
export function disturbance(...all: readonly (readonly Round[])[]): string | undefined {
  const least = Math.min(...all.map((rounds) => spread(rounds.map((round) => round.serverBusy)).median));
  return least < UNDISTURBED ? `a server had ${(least * 100).toFixed(0)}% of its core` : undefined;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number) => sorted[index] ?? Number.NaN;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) };
}

/** `0.91 [0.88 to 0.94]` */
export function range(values: readonly number[], digits: number): string {
  const { median, min, max } = spread(values);
  return `${median.toFixed(digits)} [${min.toFixed(digits)} to ${max.toFixed(digits)}]`;
}
