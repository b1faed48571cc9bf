/**
 * Loaded into a process beside its program (`node --import`): every few seconds a line of JSON on descriptor 3 with what
 * only the process itself knows of its memory and its event loop.
 */

import { writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const PIPE = 3;
const EVERY_MS = 10_000;

export interface ProbeSample {
  readonly rss: number;
  readonly heapTotal: number;
  readonly heapUsed: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** Event-loop delay since the last sample. */
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
}

const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();
const ms = (nanoseconds: number) => nanoseconds / 1e6;

setInterval(() => {
  const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
  const delays = {
    delayP50Ms: ms(delay.percentile(50)),
    delayP99Ms: ms(delay.percentile(99)),
    delayMaxMs: ms(delay.max),
  };
  delay.reset();
  const sample: ProbeSample = { rss, heapTotal, heapUsed, external, arrayBuffers, ...delays };
  try {
    writeSync(PIPE, `${JSON.stringify(sample)}\n`);
  } catch {
    // Nobody reads: the program goes on without being watched.
  }
}, EVERY_MS).unref();
