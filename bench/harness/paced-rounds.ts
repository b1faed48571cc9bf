/** The open loop beside the yardstick: both at half of what our server can give, in turns, with the client's own ceiling. */

import type { Goals } from './goals.ts';
import { clientAlone, type PacedLoad, type PacedResult, runPaced } from './open-loop.ts';
import { inTurns, range, ratios, spread } from './rounds.ts';
import type { Server } from './servers.ts';

/** Of what the client can ask: above it the client's own queue would be measured. */
const OF_CEILING = 0.8;
const RATIO_MAX = 1.5;
const P99_US_MAX = 1000;

export interface PacedRun {
  readonly what: string;
  readonly load: Omit<PacedLoad, 'origin' | 'rate' | 'seed'>;
  /** What our server gave in a closed loop. */
  readonly saturatedPerSecond: number;
  readonly bodyBytes: number;
  readonly rounds: number;
  readonly serverCore: number;
  readonly clientCore: number;
}

export async function comparePaced(ours: Server, yardstick: Server, run: PacedRun, goals: Goals): Promise<void> {
  const { load, saturatedPerSecond, bodyBytes, rounds, serverCore, clientCore, what } = run;
  const loadOf = (server: Server, rate: number, seed: number) => ({ ...load, origin: server.origin, rate, seed });
  const alone = await clientAlone({ ...load, seed: 1 }, bodyBytes, serverCore, clientCore);
  const half = saturatedPerSecond / 2;
  const rate = Math.round(Math.min(half, OF_CEILING * alone.ceiling.requestsPerSecond));
  const paced = (server: Server) => ({
    name: server.name,
    measure: (round: number) => runPaced(loadOf(server, rate, round), clientCore),
  });
  const measured = await inTurns([paced(ours), paced(yardstick)], rounds);
  const [mine = [], theirs = []] = measured;
  console.log(
    `open loop, ${rate} requests/s meant of both (${share(rate / saturatedPerSecond)} of what ours gave), ${load.connections} connections; ` +
      `the client alone could ask ${alone.ceiling.requestsPerSecond.toFixed(0)}/s, busy ${share(alone.ceiling.clientBusy)}`,
  );
  printPaced(ours.name, mine);
  printPaced(yardstick.name, theirs);
  printPaced('does nothing', [await alone.atRate(rate)]);
  alone.stop();
  const [p99, p999] = [ratios(mine, theirs, (one) => one.p99Us), ratios(mine, theirs, (one) => one.p999Us)];
  console.log(`ours / ${yardstick.name}: p99 ${range(p99, 2)}, p99.9 ${range(p999, 2)}\n`);
  if (rate < Math.floor(half)) goals.notMeasured(`${what}, open loop at half`, 'the client cannot ask that much');
  goals.atMost(`${what}, open loop, p99 / bare route's`, p99, RATIO_MAX);
  goals.atMost(`${what}, open loop, p99.9 / bare route's`, p999, RATIO_MAX);
  const p99s = mine.map((one) => one.p99Us);
  goals.atMost(`${what}, open loop, p99 in us`, p99s, P99_US_MAX, 0);
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
