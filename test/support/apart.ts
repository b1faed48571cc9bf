/**
 * Runs an exported function of a module in a thread of its own, away from the test runner: that follows every promise of
 * its own thread by async hooks, which for checks of millions of promises takes longer than they do.
 *
 * Arguments and result are cloned; an assertion that fails there fails the caller, with its message and stack.
 */

import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

interface Task {
  readonly module: string;
  readonly name: string;
  readonly args: readonly unknown[];
}

export async function apart<Args extends readonly unknown[], Result>(
  module: URL,
  run: (...args: Args) => Promise<Result>,
  ...args: Args
): Promise<Result> {
  const task: Task = { module: module.href, name: run.name, args };
  const worker = new Worker(new URL(import.meta.url), { workerData: task });
  const [result] = (await once(worker, 'message')) as [Result];
  await worker.terminate();
  return result;
}

if (!isMainThread) {
  const { module, name, args } = workerData as Task;
  const { [name]: run } = (await import(module)) as Record<string, (...args: readonly unknown[]) => Promise<unknown>>;
  if (run === undefined) throw new Error(`${module} exports no ${name}`);
  parentPort?.postMessage(await run(...args));
}
