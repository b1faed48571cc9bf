/** Prints interleaved rounds as a table: a line a server, and for each but the first a line of the first's ratios to it. */

import { type Round, range, ratios, spread } from './rounds.ts';

/** Below this share of its core a server under full load was disturbed by other work on the machine. */
const BUSY_ENOUGH = 0.9;
const NAME_CHARS = 14;

export interface Measured {
  readonly name: string;
  readonly rounds: readonly Round[];
}

export function printHeading(): void {
  const names = `connections | ${'server'.padEnd(NAME_CHARS)} | requests/s                `;
  console.log(`${names}| p50 us | p99 us | CPU us | server core | client core`);
}

export function printRounds(connections: number, all: readonly Measured[]): void {
  const [ours, ...others] = all;
  const first = String(connections).padStart(11);
  for (const one of all) console.log(`${first} | ${serverLine(one)}`);
  for (const other of others) {
    const ratio = (of: (round: Round) => number) => range(ratios(ours?.rounds ?? [], other.rounds, of), 2);
    const latencies = `p50 ${ratio((round) => round.p50Us)}, p99 ${ratio((round) => round.p99Us)}`;
    const rates = `requests/s ${ratio((round) => round.requestsPerSecond)}, ${latencies}`;
    console.log(`${first} | ours / ${other.name}: ${rates}, CPU ${ratio((round) => round.serverCpuUs)}`);
  }
  const leastBusy = Math.min(...all.flatMap(({ rounds }) => rounds.map((round) => round.serverBusy)));
  if (connections > 1 && leastBusy < BUSY_ENOUGH) {
    console.log(`(a server had only ${percent(leastBusy)} of its core at times: other work disturbed these figures)`);
  }
  console.log('');
}

function serverLine({ name, rounds }: Measured): string {
  const median = (of: (round: Round) => number) => spread(rounds.map(of)).median;
  const rates = rounds.map((round) => round.requestsPerSecond);
  const cells = [
    name.padEnd(NAME_CHARS),
    range(rates, 0).padEnd(25),
    median((round) => round.p50Us)
      .toFixed(0)
      .padStart(6),
    median((round) => round.p99Us)
      .toFixed(0)
      .padStart(6),
    median((round) => round.serverCpuUs)
      .toFixed(1)
      .padStart(6),
    percent(median((round) => round.serverBusy)).padStart(11),
    percent(median((round) => round.clientBusy ?? Number.NaN)).padStart(11),
  ];
  return cells.join(' | ');
}

function percent(share: number): string {
  return Number.isNaN(share) ? '-' : `${(share * 100).toFixed(0)}%`;
}
