/** Prints interleaved pairs as a table: a line a server, and a line of ratios taken pair by pair. */

import { type Pair, type Round, spread } from './rounds.ts';

/** Below this share of its core a server under full load was disturbed by other work on the machine. */
const busyEnough = 0.9;

export function printHeading(): void {
  console.log(
    'connections | server     | requests/s                | p50 us | p99 us | CPU us | server core | client core',
  );
}

export function printPairs(connections: number, pairs: readonly Pair[]): void {
  const ours = pairs.map((pair) => pair.ours);
  const yardstick = pairs.map((pair) => pair.yardstick);
  printServer(connections, 'pointlake', ours);
  printServer(connections, 'bare route', yardstick);
  const ratio = (of: (round: Round) => number) =>
    range(
      pairs.map((pair) => of(pair.ours) / of(pair.yardstick)),
      2,
    );
  const rates = `requests/s ${ratio((round) => round.requestsPerSecond)}`;
  const latencies = `p50 ${ratio((round) => round.p50Us)}, p99 ${ratio((round) => round.p99Us)}`;
  console.log(
    `${first(connections)} | ratio      | ${rates}, ${latencies}, CPU ${ratio((round) => round.serverCpuUs)}`,
  );
  const leastBusy = Math.min(...[...ours, ...yardstick].map((round) => round.serverBusy));
  if (connections > 1 && leastBusy < busyEnough) {
    console.log(`(a server had only ${percent(leastBusy)} of its core at times: other work disturbed these figures)`);
  }
  console.log('');
}

function printServer(connections: number, name: string, rounds: readonly Round[]): void {
  const median = (of: (round: Round) => number) => spread(rounds.map(of)).median;
  const cells = [
    first(connections),
    name.padEnd(10),
    range(
      rounds.map((round) => round.requestsPerSecond),
      0,
    ).padEnd(25),
    String(median((round) => round.p50Us)).padStart(6),
    String(median((round) => round.p99Us)).padStart(6),
    median((round) => round.serverCpuUs)
      .toFixed(1)
      .padStart(6),
    percent(median((round) => round.serverBusy)).padStart(11),
    percent(median((round) => round.clientBusy)).padStart(11),
  ];
  console.log(cells.join(' | '));
}

function range(values: readonly number[], digits: number): string {
  const { median, min, max } = spread(values);
  return `${median.toFixed(digits)} [${min.toFixed(digits)} to ${max.toFixed(digits)}]`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)}%`;
}

function first(connections: number): string {
  return String(connections).padStart(11);
}
