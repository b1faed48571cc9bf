/**
 * Loaded into a process beside its program (`node --import`): every few seconds a line of JSON on descriptor 3 with what
 * only the process itself knows of its memory, its collector and its event loop.
 */

import { writeSync } from 'node:fs';
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';

const PIPE = 3;
/** By `probed-server.ts`. */
const EVERY_MS = Number(process.env.PROBE_EVERY_MS ?? 10_000);

export interface ProbeSample {
  readonly rss: number;
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** The collector's pauses since the last sample. */
  readonly gcMs: number;
  readonly gcMaxMs: number;
  /** Event-loop delay since the last sample, the 10 ms between two looks at it included. */
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();
const ms = (nanoseconds: number) => nanoseconds / 1e6;
let gcMs = 0;
let gcMaxMs = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) {
    gcMs += duration;
    gcMaxMs = Math.max(gcMaxMs, duration);
  }
}).observe({ entryTypes: ['gc'] });

setInterval(() => {
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const delays = {
    delayP50Ms: ms(delay.percentile(50)),
    delayP99Ms: ms(delay.percentile(99)),
    delayMaxMs: ms(delay.max),
  };
  delay.reset();
  const sample: ProbeSample = { rss, heapTotal, heapUsed, external, arrayBuffers, gcMs, gcMaxMs, ...delays };
  gcMs = 0;
  gcMaxMs = 0;
  try {
    writeSync(PIPE, `${JSON.stringify(sample)}\n`);
  } catch {
    // Nobody reads: the program goes on without being watched.
  }
}, EVERY_MS).unref();
