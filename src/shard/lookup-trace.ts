/**
 * What one waiting lookup went through: how long each stage took, and what storage did for it.
 *
 * It rides along from the lookup to its reads, and is an account of storage's: a read stands in the trace of the lookup
 * that began it and in no other, and who waits for somebody else's counts it as shared. So the reads of all traces
 * together are the reads that were made.
 *
 *     queue   until its turn among the lookups that read
 *     locate  searching what is in memory for the key
 *     disk    asking the disk tier
 *     fetch   until the last bytes have come, or somebody else's page
 *     decode  from there until the last page was decoded
 *     encode  writing the answer
 */

import { DurationHistogram } from '../core/index.ts';
import type { RequestAccount } from '../storage/index.ts';
import type { SearchTrace, StorageCost } from '../table/index.ts';

export const STAGES = ['queue', 'locate', 'disk', 'fetch', 'decode', 'encode'] as const;

export type Stage = (typeof STAGES)[number];

export class LookupTrace implements RequestAccount {
  /** Milliseconds. */
  readonly stages: Record<Stage, number> = { queue: 0, locate: 0, disk: 0, fetch: 0, decode: 0, encode: 0 };
  /** Reads as the lookup needed them, neighbouring ranges joined; of files too. */
  readsBegun = 0;
  readBytes = 0;
  /** HTTP requests as they were sent, retries and second requests included. */
  requests = 0;
  /** Of these, those that are charged. */
  gets = 0;
  receivedBytes = 0;
  /** Reads and pages of other lookups that this one waited for. */
  shared = 0;
  /** Pages of values and dictionaries that this lookup had read from storage. */
  pagesRead = 0;
  /** Pages of which the disk tier had the block that was needed. */
  pagesFromDisk = 0;
  /** Pages of key indexes that were read from disk. */
  indexPages = 0;
  /** Pages that came from storage for this lookup, read by it or by another. */
  pagesFromOrigin = 0;
  /** What finding the key was to take at most, where it had to be read. */
  estimate: StorageCost | undefined = undefined;
  /** Where what is searched is to be explained. */
  readonly search: SearchTrace | undefined;
  #bytesCameMs = 0;

  constructor(search?: SearchTrace) {
    this.search = search;
  }

  /** Runs a step and puts its time on a stage. */
  timed<T>(stage: Stage, step: () => T): T {
    const startedMs = performance.now();
    try {
      return step();
    } finally {
      this.stages[stage] += performance.now() - startedMs;
    }
  }

  /** The disk tier was asked, and met so many needs, of which so many are of pages. */
  asked(ms: number, met: number, pages: number): void {
    if (met > 0) this.stages.disk += ms;
    this.pagesFromDisk += pages;
  }

  /** The time of reads that run together: until the last bytes came it is fetching, then decoding. */
  async loading<T>(load: () => Promise<T>): Promise<T> {
    const startedMs = performance.now();
    this.#bytesCameMs = 0;
    try {
      return await load();
    } finally {
      const endedMs = performance.now();
      const cameMs = this.#bytesCameMs === 0 ? endedMs : this.#bytesCameMs;
      this.stages.fetch += cameMs - startedMs;
      this.stages.decode += endedMs - cameMs;
    }
  }

  /** The bytes of a page have come. */
  pageCame(): void {
    this.pagesRead += 1;
    this.bytesCame();
  }

  /** Some bytes of a page, which will do or will not. */
  bytesCame(): void {
    this.#bytesCameMs = performance.now();
  }

  /** Awaited before a page that came is decoded, by those who let others go first. */
  beforeDecode(): Promise<void> | undefined {
    return undefined;
  }

  sent(priced: 'get' | 'list' | 'free'): void {
    this.requests += 1;
    if (priced === 'get') this.gets += 1;
  }

  received(bytes: number): void {
    this.receivedBytes += bytes;
  }

  reads(bytes: number): void {
    this.readsBegun += 1;
    this.readBytes += bytes;
  }

  shares(): void {
    this.shared += 1;
  }
}

/** Stage times of all lookups that memory alone did not answer; a stage that a lookup did not come to is not counted. */
export class StageTimes {
  readonly histograms: Readonly<Record<Stage, DurationHistogram>> = {
    queue: new DurationHistogram(),
    locate: new DurationHistogram(),
    disk: new DurationHistogram(),
    fetch: new DurationHistogram(),
    decode: new DurationHistogram(),
    encode: new DurationHistogram(),
  };

  record({ stages }: LookupTrace): void {
    for (const stage of STAGES) if (stages[stage] > 0) this.histograms[stage].record(stages[stage]);
  }
}
