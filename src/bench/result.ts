/** The result of a load: the records of its threads joined, and what a reader has to be warned of. */

import type { Histogram } from 'hdr-histogram-js';
import { type Ceiling, isNearCeiling } from './ceiling.ts';
import type { LoadPlan } from './plan.ts';
import { type Counts, type LoadRecord, mergedHistogram, noCounts, TIERS, type Tier } from './recorder.ts';

const NS_A_US = 1000;
/** Above this share of its time a thread that makes load measures itself. */
const BUSY_SHARE_MAX = 0.8;
const PERCENTILES = [50, 75, 90, 95, 99, 99.9, 99.99] as const;
/** Points of the percentile plot a decade of 1 / (1 - percentile). */
const POINTS_A_DECADE = 10;

/** Microseconds; of no requests at all everything is 0. */
export interface LatencySummary {
  readonly mean: number;
  readonly max: number;
  /** By percentile: `50`, `99.9`. */
  readonly percentiles: Readonly<Record<string, number>>;
}

/** Of answers whose tier is known. */
export interface TierSummary {
  readonly requests: number;
  readonly latency_us: LatencySummary;
}

export interface IntervalSummary {
  /** Of its end, from the end of the warm-up. */
  readonly seconds: number;
  readonly requests_per_second: number;
  readonly failed: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly max_us: number;
}

/** Sampled keys whose answers were held against a plain read of the source. */
export interface Checked {
  readonly keys: number;
  readonly wrong: readonly string[];
}

/** What was measured, in words and numbers; the members are those of `--json`. */
export interface BenchResult {
  readonly target: string;
  readonly mode: 'closed' | 'open';
  readonly load: Readonly<Record<string, unknown>>;
  readonly elapsed_seconds: number;
  readonly requests: number;
  readonly requests_per_second: number;
  readonly keys_per_second: number;
  readonly bytes_per_second: number;
  /** From the intended start where the loop is open. */
  readonly latency_us: LatencySummary;
  /** Of an open loop: from the sending. */
  readonly service_us: LatencySummary | undefined;
  /** By where answers came from; empty where the target does not tell. */
  readonly tiers: Readonly<Partial<Record<Tier, TierSummary>>>;
  readonly statuses: Readonly<Record<string, number>>;
  readonly key_statuses: Readonly<Record<string, number>>;
  readonly failed: number;
  readonly unexpected: number;
  readonly not_sent: number;
  readonly client_busy: readonly number[];
  /** What the client can ask at all; undefined where it was not measured. */
  readonly ceiling: Ceiling | undefined;
  readonly checked: Checked | undefined;
  readonly warnings: readonly string[];
  readonly intervals: readonly IntervalSummary[];
  /** `[1 / (1 - percentile), microseconds]`. */
  readonly curve: readonly (readonly [number, number])[];
}

export interface Outcome {
  readonly result: BenchResult;
  /** HdrHistogram's text of the percentiles, in microseconds. */
  readonly hdr: string;
}

/** What a run is, beside its load and its records. */
export interface About {
  readonly target: string;
  readonly checked: Checked | undefined;
  readonly ceiling: Ceiling | undefined;
  /** Whether the server runs in the thread that makes the load, so that being busy is the measure and no fault. */
  readonly isInProcess: boolean;
}

export function outcomeOf(plan: LoadPlan, records: readonly LoadRecord[], about: About): Outcome {
  const counts = sumOf(records);
  const latency = mergedHistogram(records.map((record) => record.latency));
  const isOpen = plan.rate !== undefined;
  const elapsedMs = Math.max(1, ...records.map((record) => record.elapsedMs));
  const aSecond = (count: number) => (count * 1000) / elapsedMs;
  const answered = counts.requests - counts.refused - counts.gaveUp - counts.broken;
  const busy = records.map(({ busyShare }) => rounded(busyShare, 3));
  const result: Omit<BenchResult, 'warnings'> = {
    target: about.target,
    mode: isOpen ? 'open' : 'closed',
    load: described(plan),
    elapsed_seconds: rounded(elapsedMs / 1000, 3),
    requests: counts.requests,
    requests_per_second: rounded(aSecond(answered), 1),
    keys_per_second: rounded(aSecond(answered * Math.max(1, plan.batch)), 1),
    bytes_per_second: rounded(aSecond(counts.bytes), 0),
    latency_us: summary(latency),
    service_us: isOpen ? summary(mergedHistogram(records.map((record) => record.service))) : undefined,
    tiers: tiersOf(records),
    statuses: joined(records.map((record) => record.statuses)),
    key_statuses: joined(records.map((record) => record.keyStatuses)),
    failed: counts.refused + counts.gaveUp + counts.broken,
    unexpected: counts.unexpected,
    not_sent: counts.notSent,
    client_busy: busy,
    ceiling: about.ceiling,
    checked: about.checked,
    intervals: intervalsOf(records, plan),
    curve: curveOf(latency),
  };
  return {
    result: { ...result, warnings: warningsOf(result, plan, about.isInProcess) },
    hdr: latency.outputPercentileDistribution(undefined, NS_A_US),
  };
}

function warningsOf(result: Omit<BenchResult, 'warnings'>, plan: LoadPlan, isInProcess: boolean): readonly string[] {
  const { requests, failed, unexpected, not_sent: notSent, checked } = result;
  const warnings: string[] = [];
  const busiest = Math.max(...result.client_busy);
  if (!isInProcess && busiest > BUSY_SHARE_MAX) {
    warnings.push(
      `a load thread was busy ${percent(busiest)} of its time: these figures measure the client; give it more --threads, or ask for less`,
    );
  }
  if (isNearCeiling(result)) {
    warnings.push(
      `this client asks no more than ${result.ceiling?.requests_per_second} requests/s of a server that does nothing: these figures measure the client; give it more --threads, or ask for less`,
    );
  }
  if (requests === 0) warnings.push('no request ended within the measured time');
  if (failed > 0) {
    warnings.push(`${failed} of ${requests} requests failed; refusals are counted by status and not in the latencies`);
  }
  if (unexpected > 0) {
    warnings.push(`${unexpected} answers were found or absent where the keys say otherwise`);
  }
  if (notSent > 0) {
    warnings.push(
      `${notSent} requests waited for a connection until the end and were never sent: the rate is more than the server or ${plan.connections} connections can bear`,
    );
  }
  if (checked !== undefined && checked.wrong.length > 0) {
    warnings.push(`${checked.wrong.length} of ${checked.keys} checked answers differ from a plain read`);
  }
  return warnings;
}

function sumOf(records: readonly LoadRecord[]): Counts {
  const sum = noCounts();
  for (const { counts } of records) {
    for (const name of Object.keys(sum) as (keyof Counts)[]) sum[name] += counts[name];
  }
  return sum;
}

function described({ keys, distribution, ...plan }: LoadPlan): Readonly<Record<string, unknown>> {
  const count = keys.kind === 'range' ? keys.count : keys.paths.length;
  return { keys: count, distribution, ...plan };
}

function joined(tallies: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sums = new Map<string, number>();
  for (const tally of tallies) {
    for (const [name, count] of Object.entries(tally)) sums.set(name, (sums.get(name) ?? 0) + count);
  }
  return Object.fromEntries([...sums].sort(([, a], [, b]) => b - a));
}

function tiersOf(records: readonly LoadRecord[]): BenchResult['tiers'] {
  const known = TIERS.map((tier) => [tier, records.flatMap(({ tiers }) => tiers[tier] ?? [])] as const);
  return Object.fromEntries(
    known
      .filter(([, encoded]) => encoded.length > 0)
      .map(([tier, encoded]) => {
        const latency = mergedHistogram(encoded);
        return [tier, { requests: latency.totalCount, latency_us: summary(latency) }];
      }),
  );
}

function summary(histogram: Histogram): LatencySummary {
  const percentiles = PERCENTILES.map((share) => [String(share), us(histogram.getValueAtPercentile(share))]);
  return {
    mean: histogram.totalCount === 0 ? 0 : us(histogram.mean),
    max: us(histogram.maxValue),
    percentiles: Object.fromEntries(percentiles),
  };
}

/** The last interval is one that answers to the last requests came in, and so is shorter: it is left out of what is drawn. */
function intervalsOf(records: readonly LoadRecord[], plan: LoadPlan): readonly IntervalSummary[] {
  const count = Math.floor(plan.durationMs / plan.intervalMs);
  return Array.from({ length: count }, (_, at) => {
    const parts = records.flatMap(({ intervals }) => intervals[at] ?? []);
    const requests = parts.reduce((sum, part) => sum + part.requests, 0);
    const failed = parts.reduce((sum, part) => sum + part.failed, 0);
    const latency = mergedHistogram(parts.map((part) => part.latency));
    return {
      seconds: rounded(((at + 1) * plan.intervalMs) / 1000, 3),
      requests_per_second: rounded(((requests - failed) * 1000) / plan.intervalMs, 1),
      failed,
      p50_us: us(latency.getValueAtPercentile(50)),
      p99_us: us(latency.getValueAtPercentile(99)),
      max_us: us(latency.maxValue),
    };
  });
}

function curveOf(latency: Histogram): readonly (readonly [number, number])[] {
  const points: [number, number][] = [];
  if (latency.totalCount === 0) return points;
  for (let i = 0; ; i++) {
    const outOf = 10 ** (i / POINTS_A_DECADE);
    if (outOf > latency.totalCount) break;
    points.push([outOf, us(latency.getValueAtPercentile(100 * (1 - 1 / outOf)))]);
  }
  points.push([latency.totalCount, us(latency.maxValue)]);
  return points;
}

function us(nanoseconds: number): number {
  return rounded(nanoseconds / NS_A_US, 2);
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)}%`;
}
