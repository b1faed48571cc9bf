/**
 * The open loop beside the yardstick: both at half of what our server can give, in turns, with the client's own ceiling; and the yardstick at half of what
 * itself can give, which is held to nothing: whoever is as busy is as slow to make up for a pause, be that the machine's or its own.
 */

import type { Goals } from './goals.ts';
import { clientAlone, type PacedLoad, type PacedResult, runPaced } from './open-loop.ts';
import { type Given, inTurns, range, ratios, spread } from './rounds.ts';
import type { Server } from './servers.ts';

/** Of what the client can ask: above it the client's own queue would be measured. */
const OF_CEILING = 0.8;
const RATIO_MAX = 1.5;
const P99_US_MAX = 1000;
/** Half of that. */
const NOTHING_P99_US_MAX = 500;

export interface PacedRun {
  readonly what: string;
  readonly load: Omit<PacedLoad, 'origin' | 'rate' | 'seed'>;
  /** What the servers gave in a closed loop. */
  readonly saturatedPerSecond: Given;
  readonly bodyBytes: number;
  readonly rounds: number;
  readonly serverCore: number;
  readonly clientCore: number;
}

export async function comparePaced(ours: Server, yardstick: Server, run: PacedRun, goals: Goals): Promise<void> {
  const { load, saturatedPerSecond, bodyBytes, rounds, serverCore, clientCore, what } = run;
  const alone = await clientAlone({ ...load, seed: 1 }, bodyBytes, serverCore, clientCore);
  try {
    const half = saturatedPerSecond.ours / 2;
    const ceiling = OF_CEILING * alone.ceiling.requestsPerSecond;
    const rate = Math.round(Math.min(half, ceiling));
    const theirHalf = Math.round(Math.min(saturatedPerSecond.yardstick / 2, ceiling));
    const paced = (name: string, origin: string, perSecond = rate) => ({
      name,
      measure: (seed: number) => runPaced({ ...load, origin, rate: perSecond, seed }, clientCore),
    });
    const contenders = [
      ...[ours, yardstick, alone.server].map(({ name, origin }) => paced(name, origin)),
      paced('  at its half', yardstick.origin, theirHalf),
    ];
    const measured = await inTurns(contenders, rounds);
    console.log(
      `open loop, ${rate} requests/s meant of each (${share(rate / saturatedPerSecond.ours)} of what ours gave), ${load.connections} connections; ` +
        `the client alone could ask ${alone.ceiling.requestsPerSecond.toFixed(0)}/s, busy ${share(alone.ceiling.clientBusy)}`,
    );
    for (const [at, { name }] of contenders.entries()) printPaced(name, measured[at] ?? []);
    if (rate < Math.floor(half)) goals.notMeasured(`${what}, open loop at half`, 'the client cannot ask that much');
    const [mine = [], theirs = [], nothing = [], theirsAtTheirHalf = []] = measured;
    printRatios('bare route at half of its own rate', percentileRatios(mine, theirsAtTheirHalf));
    hold(what, mine, theirs, disturbance(nothing), goals);
  } finally {
    alone.stop();
  }
}

function hold(
  what: string,
  mine: readonly PacedResult[],
  theirs: readonly PacedResult[],
  disturbed: string | undefined,
  goals: Goals,
): void {
  const { p99, p999 } = percentileRatios(mine, theirs);
  printRatios('bare route', { p99, p999 });
  console.log();
  goals.atMost(`${what}, open loop, p99 / bare route's`, p99, RATIO_MAX, { disturbed });
  goals.atMost(`${what}, open loop, p99.9 / bare route's`, p999, RATIO_MAX, { disturbed });
  const p99s = mine.map((one) => one.p99Us);
  goals.atMost(`${what}, open loop, p99 in us`, p99s, P99_US_MAX, { disturbed, digits: 0 });
}

interface PercentileRatios {
  readonly p99: readonly number[];
  readonly p999: readonly number[];
}

function percentileRatios(mine: readonly PacedResult[], theirs: readonly PacedResult[]): PercentileRatios {
  return { p99: ratios(mine, theirs, (one) => one.p99Us), p999: ratios(mine, theirs, (one) => one.p999Us) };
}

function printRatios(other: string, { p99, p999 }: PercentileRatios): void {
  console.log(`ours / ${other}: p99 ${range(p99, 2)}, p99.9 ${range(p999, 2)}`);
}

/** Where a server that does nothing is slow, the machine is. */
function disturbance(nothing: readonly PacedResult[]): string | undefined {
  const { median } = spread(nothing.map((one) => one.p99Us));
  return median <= NOTHING_P99_US_MAX ? undefined : `doing nothing had a p99 of ${median.toFixed(0)} us`;
}

function printPaced(name: string, rounds: readonly PacedResult[]): void {
  const of = (pick: (round: PacedResult) => number) => range(rounds.map(pick), 0);
  const busy = share(spread(rounds.map((round) => round.clientBusy)).median);
  const sent = of((round) => round.requestsPerSecond);
  const percentiles = `p50 ${of((one) => one.p50Us)}, p99 ${of((one) => one.p99Us)}, p99.9 ${of((one) => one.p999Us)} us`;
  console.log(`${name.padEnd(14)} | ${sent}/s | ${percentiles} | client busy ${busy}`);
}

function share(value: number): string {
  return `${(value * 100).toFixed(0)}%`;
}
