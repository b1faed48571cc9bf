/** What a steady load came to: a line for each stretch of it, latencies beside the server's memory, and one for all. */

import { decodeFromCompressedBase64, type Histogram } from 'hdr-histogram-js';
import type { LoadRecord } from '../../src/bench/index.ts';
import type { ServerCounters, WatchSample } from './server-watch.ts';

const MIB = 2 ** 20;
const NS_A_MS = 1e6;
/** Between two looks of the probe at its event loop; what it tells of delays includes it. */
const PROBE_RESOLUTION_MS = 10;

export interface SteadyRun {
  readonly rate: number;
  /** Of one load thread. */
  readonly record: LoadRecord;
  readonly intervalMs: number;
  readonly durationMs: number;
  /** When the first request that counts was meant to start. */
  readonly startedMs: number;
  readonly before: ServerCounters;
  readonly after: ServerCounters;
  readonly samples: readonly WatchSample[];
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Milliseconds, from the intended start. */
function percentilesOf(histogram: Histogram): Percentiles {
  const at = (share: number) => histogram.getValueAtPercentile(share) / NS_A_MS;
  return { p50: at(50), p99: at(99), p999: at(99.9), max: histogram.maxValue / NS_A_MS };
}

export function latencyOf({ record }: SteadyRun): Percentiles {
  return percentilesOf(decodeFromCompressedBase64(record.latency));
}

/** Requests that were refused, cut off, given up on, or never sent. */
export function failedOf({ record: { counts } }: SteadyRun): number {
  return counts.refused + counts.broken + counts.gaveUp + counts.notSent;
}

/** Means of the resident set over the halves of the run, MiB. */
export function residentHalves({ samples }: SteadyRun): readonly [number, number] {
  const middle = Math.floor(samples.length / 2);
  const mean = (some: readonly WatchSample[]) => some.reduce((sum, { rss }) => sum + rss / MIB, 0) / some.length;
  return [mean(samples.slice(0, middle)), mean(samples.slice(middle))];
}

const COLUMNS: readonly (readonly [name: string, width: number])[] = [
  ['until s', 7],
  ['rate/s', 7],
  ['p50', 7],
  ['p99', 7],
  ['p99.9', 7],
  ['max ms', 7],
  ['failed', 6],
  ['memory', 6],
  ['disk', 6],
  ['origin', 6],
  ['resident', 8],
  ['heap', 5],
  ['buffers', 7],
  ['blocks MiB', 10],
  ['blocks', 7],
  ['kept rows', 9],
  ['evicted/s', 9],
  ['reads/s', 7],
  ['aside', 5],
  ['loop busy', 9],
  ['for core', 8],
  ['loop max', 8],
  ['gc max', 6],
  ['gc', 5],
];

/** Memory in MiB, times in ms; of memory the mean of the stretch, of delays and pauses the greatest. */
export function printSteady(run: SteadyRun): void {
  console.log(COLUMNS.map(([name, width]) => name.padStart(width)).join(' '));
  const { record, intervalMs, durationMs, startedMs, samples, after } = run;
  let earlier = run.before;
  for (let at = 0; at < Math.ceil(durationMs / intervalMs); at++) {
    const interval = record.intervals[at];
    const endMs = Math.min(durationMs, (at + 1) * intervalMs);
    const within = samples.filter(({ atMs }) => atMs > startedMs + at * intervalMs && atMs <= startedMs + endMs);
    const later = within.at(-1)?.metrics ?? earlier;
    const latency = interval === undefined ? undefined : decodeFromCompressedBase64(interval.latency);
    const answered = (interval?.requests ?? 0) - (interval?.failed ?? 0);
    const heldRate = (answered * 1000) / (endMs - at * intervalMs);
    printLine((endMs / 1000).toFixed(0), heldRate, latency, interval?.failed ?? 0, within, earlier, later);
    earlier = later;
  }
  const { counts, elapsedMs } = record;
  const rate = ((counts.requests - counts.refused - counts.broken - counts.gaveUp) * 1000) / elapsedMs;
  printLine('all', rate, decodeFromCompressedBase64(record.latency), failedOf(run), samples, run.before, after);
}

function printLine(
  until: string,
  rate: number,
  latency: Histogram | undefined,
  failed: number,
  samples: readonly WatchSample[],
  from: ServerCounters,
  to: ServerCounters,
): void {
  const mean = (of: (sample: WatchSample) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const most = (of: (sample: WatchSample) => number) => Math.max(...samples.map(of));
  const mib = (of: (sample: WatchSample) => number) => (mean(of) / MIB).toFixed(0);
  const since = (name: keyof ServerCounters) => to[name] - from[name];
  const answers = since('memory') + since('disk') + since('origin');
  const share = (name: 'memory' | 'disk' | 'origin') => `${((100 * since(name)) / answers).toFixed(1)}%`;
  const seconds = answers / rate;
  const { p50, p99, p999, max } = latency === undefined ? NONE : percentilesOf(latency);
  const busy = samples.length < 2 ? Number.NaN : busyShare(samples);
  const cells = [
    until,
    rate.toFixed(0),
    ...[p50, p99, p999, max].map((ms) => ms.toFixed(2)),
    String(failed),
    share('memory'),
    share('disk'),
    share('origin'),
    mib(({ rss }) => rss),
    mib(({ heapUsed }) => heapUsed),
    mib(({ arrayBuffers }) => arrayBuffers),
    mib(({ metrics }) => metrics.blockBytes),
    mean(({ metrics }) => metrics.blocks).toFixed(0),
    mean(({ metrics }) => metrics.keptRows).toFixed(0),
    (since('evicted') / seconds).toFixed(0),
    (since('diskReads') / seconds).toFixed(0),
    `${((100 * since('diskReadsInThreads')) / Math.max(1, since('diskReads'))).toFixed(0)}%`,
    `${(100 * busy).toFixed(0)}%`,
    `${((100 * waitedMs(samples)) / spanMs(samples)).toFixed(1)}%`,
    Math.max(0, most(({ delayMaxMs }) => delayMaxMs) - PROBE_RESOLUTION_MS).toFixed(1),
    most(({ gcMaxMs }) => gcMaxMs).toFixed(1),
    `${((100 * gcMsOf(samples)) / spanMs(samples)).toFixed(1)}%`,
  ];
  console.log(cells.map((cell, i) => cell.padStart(COLUMNS[i]?.[1] ?? 8)).join(' '));
}

const NONE: Percentiles = { p50: Number.NaN, p99: Number.NaN, p999: Number.NaN, max: Number.NaN };

function spanMs(samples: readonly WatchSample[]): number {
  return (samples.at(-1)?.atMs ?? Number.NaN) - (samples[0]?.atMs ?? Number.NaN);
}

/** The first sample's pauses were before it. */
function gcMsOf(samples: readonly WatchSample[]): number {
  return samples.slice(1).reduce((sum, { gcMs }) => sum + gcMs, 0);
}

/** For the core, which others had. */
function waitedMs(samples: readonly WatchSample[]): number {
  return (samples.at(-1)?.waitedForCoreMs ?? Number.NaN) - (samples[0]?.waitedForCoreMs ?? Number.NaN);
}

function busyShare(samples: readonly WatchSample[]): number {
  const active = (sample: WatchSample | undefined) => sample?.metrics.loopActiveSeconds ?? Number.NaN;
  return ((active(samples.at(-1)) - active(samples[0])) * 1000) / spanMs(samples);
}
