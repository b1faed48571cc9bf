/** A load over HTTP from threads of their own, begun together when all are ready. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { fromPlainError, type PlainError, ServiceError } from '../core/index.ts';
import type { LoadTask } from './load-worker.ts';
import type { HttpTarget, LoadPlan } from './plan.ts';
import type { LoadRecord } from './recorder.ts';
import { workerModule } from './worker-module.ts';

interface Message {
  readonly record?: LoadRecord;
  readonly error?: PlainError;
}

export async function loadFromThreads(plan: LoadPlan, target: HttpTarget): Promise<readonly LoadRecord[]> {
  const workers = Array.from({ length: plan.threads }, (_, part) => {
    const task: LoadTask = { plan, target, share: { part, parts: plan.threads } };
    return new Worker(workerModule('load-worker', import.meta.url), { workerData: task });
  });
  try {
    await Promise.all(workers.map((worker) => messageOf(worker)));
    const records = workers.map((worker) => recordOf(worker));
    for (const worker of workers) worker.postMessage('go');
    return await Promise.all(records);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function recordOf(worker: Worker): Promise<LoadRecord> {
  const { record, error } = await messageOf(worker);
  if (error !== undefined) throw fromPlainError(error);
  if (record === undefined) throw new ServiceError('internal', 'internal', 'a load thread handed over nothing');
  return record;
}

/** `once` rejects with what the thread threw. */
async function messageOf(worker: Worker): Promise<Message> {
  const [message] = await Promise.race([once(worker, 'message'), ended(worker)]);
  return message as Message;
}

async function ended(worker: Worker): Promise<never> {
  const [code] = await once(worker, 'exit');
  throw new ServiceError('internal', 'internal', `a load thread ended with ${code} before its load did`);
}
