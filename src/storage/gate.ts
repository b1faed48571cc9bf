/**
 * A bounded number at once, a bounded queue behind it, first come first served.
 *
 * Without the second bound a slow store would collect waiters until memory ends; with it the caller learns at once that
 * it should come back later. A waiter whose signal aborts leaves the queue and takes no turn.
 *
 * Work may belong to a group: a bucket, a table. A group takes another turn, or another place in the queue, only while
 * it has fewer than are free. So one alone has half of all, n that hang leave an (n + 1)th of it free between them, and
 * whoever comes next finds room however many hang already (the dynamic threshold of Choudhury and Hahne, ToN 1998).
 */

import { ServiceError } from '../core/index.ts';

export interface GateOptions {
  readonly maxConcurrent: number;
  readonly maxQueued: number;
  /** What is being waited for, for the message: `requests to s3://lake`. */
  readonly name: string;
  /** Of the refusal, when it should be told from storage's. */
  readonly code?: string;
}

/** Groups that do nothing are forgotten when there are more than so many. */
const GROUPS_KEPT_MAX = 64;

/** Where there are no groups all work is one, and may have everything. */
interface Group {
  readonly isBounded: boolean;
  running: number;
  readonly waiters: Set<() => void>;
}

export class Gate {
  readonly #options: GateOptions;
  /**
   * The one that has waited for a turn longest ago first. One that does nothing stays: a Map that loses its last entry begins a new
   * table, which the one before refers to, so that the first that grew old in V8's heap keeps all that follow from being collected
   * but with all of the heap.
   */
  readonly #groups = new Map<unknown, Group>();
  #running = 0;
  #queued = 0;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get queued(): number {
    return this.#queued;
  }

  /** That are known, for tests. */
  get groups(): number {
    return this.#groups.size;
  }

  /** Runs `work` when its turn comes; throws `overloaded` when the queue is full. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal, groupId?: unknown): Promise<T> {
    signal?.throwIfAborted();
    const group = this.#groupOf(groupId);
    if (this.#mayRun(group)) this.#enter(group);
    else await this.#wait(group, signal);
    try {
      return await work();
    } finally {
      this.#leave(group);
    }
  }

  /** Runs `work` if there is a turn for it now; undefined when it would have to wait. */
  tryRun<T>(work: () => Promise<T>, groupId?: unknown): Promise<T> | undefined {
    const group = this.#groups.get(groupId);
    const mayRun = group === undefined ? this.#running < this.#options.maxConcurrent : this.#mayRun(group);
    return mayRun ? this.run(work, undefined, groupId) : undefined;
  }

  #groupOf(id: unknown): Group {
    let group = this.#groups.get(id);
    if (group === undefined) {
      if (this.#groups.size >= GROUPS_KEPT_MAX) this.#forgetIdle();
      group = { isBounded: id !== undefined, running: 0, waiters: new Set() };
      this.#groups.set(id, group);
    }
    return group;
  }

  #mayRun(group: Group): boolean {
    const free = this.#options.maxConcurrent - this.#running;
    return free > (group.isBounded ? group.running : 0);
  }

  #enter(group: Group): void {
    group.running += 1;
    this.#running += 1;
  }

  /** The turn is taken by `#handOver`, which counts it at once, so that nobody slips in between. */
  #wait(group: Group, signal: AbortSignal | undefined): Promise<void> {
    this.#checkQueue(group);
    return new Promise<void>((resolve, reject) => {
      const onTurn = () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        group.waiters.delete(onTurn);
        this.#queued -= 1;
        reject(signal?.reason);
      };
      group.waiters.add(onTurn);
      this.#queued += 1;
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #checkQueue(group: Group): void {
    const { maxConcurrent, maxQueued, name, code = 'storage_overloaded' } = this.#options;
    const free = maxQueued - this.#queued;
    if (free > (group.isBounded ? group.waiters.size : 0)) return;
    const [running, queued] = [this.#running, this.#queued];
    const message = `${running} ${name} run and ${queued} wait already; come back later or raise the limit`;
    throw new ServiceError('overloaded', code, message, { maxConcurrent, maxQueued });
  }

  #leave(group: Group): void {
    group.running -= 1;
    this.#running -= 1;
    while (this.#queued > 0 && this.#handOver());
  }

  /** Whoever waits in a group that may run takes a turn, and its group is then the last to be asked; false where nobody may. */
  #handOver(): boolean {
    for (const [id, group] of this.#groups) {
      if (group.waiters.size === 0 || !this.#mayRun(group)) continue;
      const [next] = group.waiters;
      if (next === undefined) continue;
      group.waiters.delete(next);
      this.#queued -= 1;
      this.#enter(group);
      this.#groups.delete(id);
      this.#groups.set(id, group);
      next();
      return true;
    }
    return false;
  }

  #forgetIdle(): void {
    for (const [id, group] of this.#groups)
      if (group.running === 0 && group.waiters.size === 0) this.#groups.delete(id);
  }
}
