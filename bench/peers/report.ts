/** What a run says: one line a peer, medians of its rounds with their spread, and what is missing, with its reason. */

import { spread } from '../harness/rounds.ts';
import type { RoundResult } from './peer-process.ts';

export interface Measured {
  readonly name: string;
  /** What an answer is, and what is counted. */
  readonly answers: string;
  readonly loadMs: number | undefined;
  readonly diskBytes: number | undefined;
  /** Of these, the share in the page cache; undefined where that is not known. */
  readonly cachedShare: number | undefined;
  readonly residentBytes: number;
  readonly rounds: readonly RoundResult[];
}

/** Below so many lookups a round a 99th percentile says nothing. */
const LOOKUPS_FOR_P99 = 100;
const MIB = 2 ** 20;

export function printTable(title: string, measured: readonly Measured[]): void {
  const lines = measured.map(({ name, answers, loadMs, diskBytes, cachedShare, residentBytes, rounds }) => {
    const fewest = Math.min(...rounds.map((round) => round.lookups));
    return [
      name,
      answers,
      range(rounds.map((round) => round.perSecond)),
      short(spread(rounds.map((round) => round.p50Us)).median),
      fewest < LOOKUPS_FOR_P99 ? '-' : short(spread(rounds.map((round) => round.p99Us)).median),
      loadMs === undefined ? '-' : (loadMs / 1000).toFixed(1),
      diskBytes === undefined ? '-' : (diskBytes / MIB).toFixed(0),
      cachedShare === undefined ? '-' : `${Math.round(100 * cachedShare)}%`,
      (residentBytes / MIB).toFixed(0),
    ];
  });
  const heading = ['', 'answer', 'lookups/s', 'p50 us', 'p99 us', 'load s', 'disk MiB', 'cached', 'memory MiB'];
  const widths = heading.map((cell, i) => Math.max(cell.length, ...lines.map((line) => line[i]!.length)));
  console.log(`\n${title}`);
  for (const line of [heading, ...lines]) {
    console.log(line.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join(' | '));
  }
}

export function printMissing(name: string, thrown: unknown): void {
  console.log(`missing: ${name}: ${(thrown as Error).message.trim().split('\n')[0]}`);
}

function range(values: readonly number[]): string {
  const { median, min, max } = spread(values);
  return `${short(median)} [${short(min)} to ${short(max)}]`;
}

function short(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(2);
}
