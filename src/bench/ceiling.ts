/**
 * What a client can ask at all: the same load, as fast as it goes, of a server that does nothing, so that nobody takes
 * figures of the client for those of a server.
 */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { ServiceError } from '../core/index.ts';
import type { EchoPort, EchoTask } from './echo-worker.ts';
import { startOf } from './http-call.ts';
import { runLoad, type Sender } from './load.ts';
import { loadFromThreads } from './load-threads.ts';
import { type HttpTarget, type LoadPlan, monotonicClock } from './plan.ts';
import { type LoadRecord, mergedHistogram } from './recorder.ts';
import { workerModule } from './worker-module.ts';

export interface Ceiling {
  readonly requests_per_second: number;
  readonly p50_us: number;
  readonly p99_us: number;
  /** Of its busiest thread; far below 1 it was not the client that set this ceiling. */
  readonly client_busy: number;
}

const WARMUP_MS = 200;
/** A load above this share of what its client can ask measures the client. */
const SHARE_MAX = 0.8;
const CLIENT_BUSY_MIN = 0.8;
const NS_A_US = 1000;

/** `bytes` is the length of an answer. The load is that of the plan, but always a closed loop. */
export async function httpCeiling(
  plan: LoadPlan,
  target: HttpTarget,
  bytes: number,
  durationMs: number,
): Promise<Ceiling> {
  const task: EchoTask = { bytes };
  const echo = new Worker(workerModule('echo-worker', import.meta.url), { workerData: task });
  try {
    const [{ port }] = (await once(echo, 'message')) as [EchoPort];
    const records = await loadFromThreads(
      asFastAsItGoes(plan, durationMs),
      movedTo(target, `http://127.0.0.1:${port}`),
    );
    return ceilingOf(records, durationMs);
  } finally {
    await echo.terminate();
  }
}

/** Of a load in one thread with what it asks: the loop alone, with a sender that is answered at once. */
export async function loopCeiling(plan: LoadPlan, bytes: number, durationMs: number): Promise<Ceiling> {
  const nothing: Sender = {
    send: (_lane, _keys, done) => done('found', 'found', bytes),
    close: () => Promise.resolve(),
  };
  const time = { clock: monotonicClock, spinMs: 0 };
  const record = await runLoad(asFastAsItGoes(plan, durationMs), { part: 0, parts: 1 }, nothing, time);
  return ceilingOf([record], durationMs);
}

export function isNearCeiling({
  requests_per_second: rate,
  ceiling,
}: {
  readonly requests_per_second: number;
  readonly ceiling: Ceiling | undefined;
}): boolean {
  if (ceiling === undefined || ceiling.client_busy < CLIENT_BUSY_MIN) return false;
  return rate > ceiling.requests_per_second * SHARE_MAX;
}

function asFastAsItGoes(plan: LoadPlan, durationMs: number): LoadPlan {
  return { ...plan, rate: undefined, absentShare: 0, warmupMs: WARMUP_MS, durationMs, intervalMs: durationMs };
}

function movedTo(target: HttpTarget, origin: string): HttpTarget {
  return { ...target, url: origin + target.url.slice(startOf(target.url).length) };
}

function ceilingOf(records: readonly LoadRecord[], durationMs: number): Ceiling {
  const latency = mergedHistogram(records.map((record) => record.latency));
  if (latency.totalCount === 0) {
    throw new ServiceError(
      'internal',
      'internal',
      'the server that does nothing answered nothing; --ceiling 0 does without',
    );
  }
  const us = (percentile: number) => Number((latency.getValueAtPercentile(percentile) / NS_A_US).toFixed(2));
  return {
    requests_per_second: Number(((latency.totalCount * 1000) / durationMs).toFixed(1)),
    p50_us: us(50),
    p99_us: us(99),
    client_busy: Number(Math.max(...records.map(({ busyShare }) => busyShare)).toFixed(3)),
  };
}
