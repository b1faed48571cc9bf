/** A thread that makes its share of a load over HTTP: ready when it has loaded its code, begun by a message. */

import { parentPort, workerData } from 'node:worker_threads';
import { asServiceError } from '../core/index.ts';
import { HttpSender } from './http-sender.ts';
import type { Share } from './key-stream.ts';
import { runLoad } from './load.ts';
import { type HttpTarget, type LoadPlan, monotonicClock } from './plan.ts';

export interface LoadTask {
  readonly plan: LoadPlan;
  readonly target: HttpTarget;
  readonly share: Share;
}

/** A timer of a millisecond's steps would show in latencies of a fraction of one. */
const SPIN_MS = 1.5;

const { plan, target, share } = workerData as LoadTask;

parentPort?.once('message', () => {
  const sender = new HttpSender(target, plan);
  runLoad(plan, share, sender, { clock: monotonicClock, spinMs: SPIN_MS })
    .then(async (record) => {
      await sender.close();
      parentPort?.postMessage({ record });
    })
    .catch((thrown) => parentPort?.postMessage({ error: asServiceError(thrown).toPlain() }));
});
parentPort?.postMessage({ isReady: true });
