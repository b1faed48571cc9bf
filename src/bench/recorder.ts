/**
 * What came of the requests of one thread.
 *
 * Latencies are kept in nanoseconds to three digits. They are those of answers, 404 for a key among them, and of requests
 * that were given up on; what a server refused is counted and not timed, since a quick refusal would flatter it and a
 * request left out because it took too long would too.
 */

import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js';

/** How a request ended: with what was asked for, with "there is none", refused, without an answer in time, or cut off. */
export type AnswerKind = 'found' | 'absent' | 'refused' | 'gaveUp' | 'broken';

/** The slowest place that an answer needed something of, as Pointlake tells it: hot, warm and cold answers by themselves. */
export const TIERS = ['memory', 'disk', 'peer', 'origin'] as const;
export type Tier = (typeof TIERS)[number];

export interface Counts {
  requests: number;
  refused: number;
  gaveUp: number;
  broken: number;
  /** Found where the key should be absent, or the other way round. */
  unexpected: number;
  bytes: number;
  /** Of an open loop: requests whose turn never came. */
  notSent: number;
}

export interface IntervalRecord {
  readonly requests: number;
  readonly failed: number;
  readonly latency: string;
}

/** Plain data, as a thread hands it over; histograms in HdrHistogram's own compressed form. */
export interface LoadRecord {
  readonly counts: Readonly<Counts>;
  readonly statuses: Readonly<Record<string, number>>;
  /** Of single keys, in those batches that were looked into. */
  readonly keyStatuses: Readonly<Record<string, number>>;
  /** From the intended start of a request to its end. */
  readonly latency: string;
  /** The same of those answers whose tier is known. */
  readonly tiers: Readonly<Partial<Record<Tier, string>>>;
  /** From the sending of a request to its end. */
  readonly service: string;
  readonly intervals: readonly IntervalRecord[];
  /** From the end of the warm-up to the last answer. */
  readonly elapsedMs: number;
  /** Share of its time that the thread was busy itself. */
  readonly busyShare: number;
}

interface Interval {
  requests: number;
  failed: number;
  readonly latency: Histogram;
}

const NS_A_MS = 1e6;

export class Recorder {
  readonly #counts: Counts = noCounts();
  readonly #statuses = new Map<string, number>();
  readonly #keyStatuses = new Map<string, number>();
  readonly #latency = newHistogram(3);
  readonly #tiers = new Map<Tier, Histogram>();
  readonly #service = newHistogram(3);
  readonly #intervals: Interval[] = [];
  readonly #startMs: number;
  readonly #intervalMs: number;
  #lastEndMs: number;

  /** Requests that were meant to start before `startMs` are those of the warm-up and not kept. */
  constructor(startMs: number, endMs: number, intervalMs: number) {
    this.#startMs = startMs;
    this.#intervalMs = intervalMs;
    this.#lastEndMs = endMs;
  }

  record(
    intendedMs: number,
    sentMs: number,
    endMs: number,
    kind: AnswerKind,
    status: string,
    bytes: number,
    isUnexpected: boolean,
    tier?: Tier,
  ): void {
    if (intendedMs < this.#startMs) return;
    const counts = this.#counts;
    counts.requests += 1;
    counts.bytes += bytes;
    if (isUnexpected) counts.unexpected += 1;
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    if (endMs > this.#lastEndMs) this.#lastEndMs = endMs;
    const interval = this.#intervalAt(endMs);
    interval.requests += 1;
    if (kind === 'refused' || kind === 'broken') {
      counts[kind] += 1;
      interval.failed += 1;
      return;
    }
    if (kind === 'gaveUp') {
      counts.gaveUp += 1;
      interval.failed += 1;
    }
    const nanoseconds = Math.max(1, Math.round((endMs - intendedMs) * NS_A_MS));
    this.#latency.recordValue(nanoseconds);
    if (tier !== undefined) this.#tierOf(tier).recordValue(nanoseconds);
    interval.latency.recordValue(nanoseconds);
    this.#service.recordValue(Math.max(1, Math.round((endMs - sentMs) * NS_A_MS)));
  }

  /** A request that was meant to start and still waited for a connection when the load was over. */
  recordNotSent(intendedMs: number, nowMs: number): void {
    if (intendedMs < this.#startMs) return;
    this.#counts.notSent += 1;
    this.#latency.recordValue(Math.max(1, Math.round((nowMs - intendedMs) * NS_A_MS)));
  }

  keyStatus(status: string): void {
    this.#keyStatuses.set(status, (this.#keyStatuses.get(status) ?? 0) + 1);
  }

  toRecord(busyShare: number): LoadRecord {
    return {
      counts: this.#counts,
      statuses: Object.fromEntries(this.#statuses),
      keyStatuses: Object.fromEntries(this.#keyStatuses),
      latency: encodeIntoCompressedBase64(this.#latency),
      tiers: Object.fromEntries([...this.#tiers].map(([tier, latency]) => [tier, encodeIntoCompressedBase64(latency)])),
      service: encodeIntoCompressedBase64(this.#service),
      intervals: Array.from(this.#intervals, ({ requests, failed, latency }) => ({
        requests,
        failed,
        latency: encodeIntoCompressedBase64(latency),
      })),
      elapsedMs: this.#lastEndMs - this.#startMs,
      busyShare,
    };
  }

  #tierOf(tier: Tier): Histogram {
    const known = this.#tiers.get(tier) ?? newHistogram(3);
    this.#tiers.set(tier, known);
    return known;
  }

  #intervalAt(nowMs: number): Interval {
    const at = Math.floor((nowMs - this.#startMs) / this.#intervalMs);
    while (this.#intervals.length <= at) this.#intervals.push({ requests: 0, failed: 0, latency: newHistogram(2) });
    return this.#intervals[at] as Interval;
  }
}

export function noCounts(): Counts {
  return { requests: 0, refused: 0, gaveUp: 0, broken: 0, unexpected: 0, bytes: 0, notSent: 0 };
}

export function mergedHistogram(encoded: readonly string[]): Histogram {
  const whole = newHistogram(3);
  for (const text of encoded) whole.add(decodeFromCompressedBase64(text));
  return whole;
}

function newHistogram(digits: 2 | 3): Histogram {
  return build({ bitBucketSize: 32, autoResize: true, numberOfSignificantValueDigits: digits });
}
