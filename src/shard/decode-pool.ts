/**
 * Where pages are decoded: here, when that is quicker than asking, or in a pool of threads.
 *
 * A hop to a thread and back costs about a tenth of a millisecond, so a small page is decoded inline; a large one would
 * hold up every other request of this event loop and goes to the pool. The choice is made by the decoder's own estimate.
 *
 * A loop that has little else to do lends a hand: of pages for which no thread is free it decodes those that take it no
 * longer than a millisecond or two, one a turn, so that whatever comes meanwhile waits for one of them at most.
 */

import { availableParallelism } from 'node:os';
import { move, Piscina, transferableSymbol, valueSymbol } from 'piscina';
import { asServiceError, DurationHistogram, fromPlainError, ServiceError } from '../core/index.ts';
import type { Fingerprints, KeyCount } from '../keyindex/index.ts';
import type { DecodedPage } from '../parquet/index.ts';
import {
  costOf,
  type DecodeTask,
  decodeHere,
  decodePrefixHere,
  type PoolTask,
  type PrefixTask,
  type TaskOutcome,
  type TaskResult,
} from './decode-task.ts';
import { IdleTime } from './idle-time.ts';
import { countOf, fingerprintsOf, type KeyTask, runOf } from './key-task.ts';

/** Estimated microseconds up to which decoding here beats two thread hops and two copies. */
const INLINE_COST_US_MAX = 300;

/** The same for a page that no thread is free for, where this loop is mostly idle. */
const HELPED_COST_US_MAX = 1500;
/** Pages that wait for a turn of this loop; more are left to the threads. */
const TURNS_MAX = 64;
/** Pages a thread, the one that it decodes included, beyond which this loop lends a hand. */
const TASKS_A_THREAD = 2;

/** To hand a page over it is copied, which takes this loop as long as decoding so much of it would. */
const COPY_US_PER_BYTE = 0.0004;

/** Pages waiting for a thread; beyond them the node is overloaded and says so. */
const QUEUE_MAX = 4096;

const THREAD_IDLE_MS = 30_000;
/** A thread keeps no objects between pages; what its pages take lies outside of V8's heap. */
const THREAD_YOUNG_MIB = 8;

/** Keys that are hashed or sorted here within about as long as a page may be decoded. */
const INLINE_KEYS_MAX = 2000;

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

export interface DecodePoolOptions {
  readonly threads?: number;
  /** Estimated microseconds up to which a page is decoded inline. */
  readonly inlineCostUsMax?: number;
  /** The module of a decode thread, for tests of threads that die. */
  readonly worker?: URL;
}

export class DecodePool {
  readonly #threads: number;
  readonly #inlineCostUsMax: number;
  readonly #worker: URL;
  #pool: Piscina<PoolTask, TaskResult> | undefined = undefined;
  /** Given to the threads and not back yet. */
  #given = 0;
  readonly #idleTime = new IdleTime();
  /** Pages that wait for a turn of this loop. */
  #turns = 0;
  #lastTurn: Promise<void> = Promise.resolve();
  /** Times of pages: decoded inline, and from being handed to the threads until they were back. */
  readonly times = { inline: new DurationHistogram(), threads: new DurationHistogram() };

  constructor(options: DecodePoolOptions = {}) {
    this.#threads = options.threads ?? Math.max(1, availableParallelism() - 1);
    this.#worker = options.worker ?? workerModule();
    this.#inlineCostUsMax = options.inlineCostUsMax ?? INLINE_COST_US_MAX;
  }

  get stats() {
    return {
      inline: this.times.inline.count,
      pooled: this.times.threads.count,
      waiting: this.#pool?.queueSize ?? 0,
      threads: this.#pool?.threads.length ?? 0,
      threadsMax: this.#threads,
    };
  }

  /** Has a thread ready, so that the first large page need not wait for one. */
  start(): void {
    this.#pool ??= this.#open();
  }

  async decode(task: DecodeTask, signal?: AbortSignal): Promise<DecodedPage> {
    return (await this.#decodeBy(decodeHere, task, signal)) as DecodedPage;
  }

  /** The block that holds the row; undefined where the page has to be read whole for it. */
  async decodePrefix(task: PrefixTask, signal?: AbortSignal): Promise<DecodedPage | undefined> {
    return (await this.#decodeBy(decodePrefixHere, task, signal)) as DecodedPage | undefined;
  }

  async #decodeBy<Task extends DecodeTask | PrefixTask>(
    here: (task: Task) => DecodedPage | undefined,
    task: Task,
    signal: AbortSignal | undefined,
  ): Promise<TaskOutcome> {
    const cost = costOf(task);
    const isQuick = cost <= this.#inlineCostUsMax + task.page.length * COPY_US_PER_BYTE;
    const isHelp = !isQuick && cost <= HELPED_COST_US_MAX && (await this.#isTurn(signal));
    const isInline = isQuick || isHelp;
    const times = isInline ? this.times.inline : this.times.threads;
    const startedMs = performance.now();
    try {
      return isInline ? here(task) : await this.#inThread(task, signal);
    } finally {
      const ms = performance.now() - startedMs;
      times.record(ms);
      if (isHelp) this.#idleTime.helped(ms);
    }
  }

  /** Whether a page would wait for others before a thread takes it. */
  get #isBusy(): boolean {
    return this.#given >= TASKS_A_THREAD * this.#threads;
  }

  /** Waits for this loop's turn to decode a page that no thread is free for; false at once or by then where it need not. */
  async #isTurn(signal: AbortSignal | undefined): Promise<boolean> {
    if (!this.#isBusy || this.#turns >= TURNS_MAX || !this.#idleTime.isMost) return false;
    this.#turns += 1;
    this.#lastTurn = this.#lastTurn.then(nextTurn);
    await this.#lastTurn;
    this.#turns -= 1;
    signal?.throwIfAborted();
    return this.#isBusy;
  }

  /** Steps of building a key index. Of more than a few keys they take long. */
  async fingerprints(task: KeyTask & { readonly kind: 'fingerprints' }, signal?: AbortSignal): Promise<Fingerprints> {
    if (task.rows <= INLINE_KEYS_MAX) return fingerprintsOf(task);
    return (await this.#inThread(task, signal)) as Fingerprints;
  }

  async keyRun(
    task: KeyTask & { readonly kind: 'run' | 'merge' },
    signal?: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const keys = task.kind === 'run' ? task.parts.reduce((sum, part) => sum + part.fingerprints.count, 0) : undefined;
    if (keys !== undefined && keys <= INLINE_KEYS_MAX && task.to === undefined) return runOf(task);
    return (await this.#inThread(task, signal)) as Uint8Array | undefined;
  }

  /** `entries` of all its runs. */
  async keyCount(task: KeyTask & { readonly kind: 'count' }, entries: number, signal?: AbortSignal): Promise<KeyCount> {
    if (entries <= INLINE_KEYS_MAX && task.runs.every((run) => typeof run !== 'string')) return countOf(task);
    return (await this.#inThread(task, signal)) as KeyCount;
  }

  async close(): Promise<void> {
    await this.#pool?.destroy();
    this.#pool = undefined;
  }

  /** A thread that dies takes its task with it; it is tried once more in another thread. */
  async #inThread(task: PoolTask, signal: AbortSignal | undefined): Promise<TaskOutcome> {
    const result = await this.#runTwice(task, signal);
    if (result.ok) return result.outcome;
    throw fromPlainError(result.error);
  }

  async #runTwice(task: PoolTask, signal: AbortSignal | undefined): Promise<TaskResult> {
    try {
      return await this.#run(task, signal);
    } catch (thrown) {
      if (signal?.aborted || thrown instanceof ServiceError) throw thrown;
      return await this.#run(task, signal).catch((again) => {
        throw signal?.aborted || again instanceof ServiceError ? again : threadDied(again);
      });
    }
  }

  async #run(task: PoolTask, signal: AbortSignal | undefined): Promise<TaskResult> {
    this.#pool ??= this.#open();
    if (this.#pool.queueSize >= QUEUE_MAX) {
      throw new ServiceError('overloaded', 'overloaded', 'too many pages wait to be decoded; try again shortly');
    }
    this.#given += 1;
    try {
      return await this.#pool.run(ownOf(task), signal === undefined ? {} : { signal });
    } finally {
      this.#given -= 1;
    }
  }

  #open(): Piscina<PoolTask, TaskResult> {
    return new Piscina({
      filename: this.#worker.href,
      minThreads: 1,
      maxThreads: this.#threads,
      maxQueue: QUEUE_MAX + 1,
      idleTimeout: THREAD_IDLE_MS,
      resourceLimits: { maxYoungGenerationSizeMb: THREAD_YOUNG_MIB },
    });
  }
}

/**
 * A page crosses alone: a view is sent with all the memory that it is of, which may be that of a whole merged GET. What is in shared
 * memory is not sent at all.
 */
function ownOf(task: PoolTask): PoolTask {
  if (!('page' in task) || task.page.buffer instanceof SharedArrayBuffer) return task;
  const page = Uint8Array.from(task.page);
  return move({ [transferableSymbol]: [page.buffer], [valueSymbol]: { ...task, page } } as never) as never;
}

/** The one place that knows where worker entries lie: beside this file, in the form that this file has itself. */
function workerModule(): URL {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`./decode-worker${extension}`, import.meta.url);
}

function threadDied(thrown: unknown): ServiceError {
  return new ServiceError(
    'internal',
    'decode_thread_died',
    `a decode thread died twice on the same page: ${asServiceError(thrown).message}`,
    {},
    thrown,
  );
}
