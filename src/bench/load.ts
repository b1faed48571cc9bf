/**
 * The load of one thread: lanes that each have one request under way.
 *
 * Closed loop: a lane asks as soon as it was answered. When the server stalls nobody asks, and the requests that users
 * would have sent meanwhile are missing from the latencies: that is *coordinated omission*. It tells what throughput a
 * server can give, not what its users see.
 *
 * Open loop: request i is meant to start at `i / rate`, whatever became of those before it, and its latency counts from
 * there. One that finds no lane free waits, and its wait is part of its latency; so is the lateness of our own timer.
 *
 *     intended  |  |  |  |  |  |
 *     sent      |  |        |||||      a stall of the server: those behind it wait, and are recorded with their wait
 */

import type { Clock } from '../core/index.ts';
import { KeyStream, type Share } from './key-stream.ts';
import type { LoadPlan } from './plan.ts';
import { seededRandom } from './random.ts';
import { type AnswerKind, type LoadRecord, Recorder, type Tier } from './recorder.ts';

/** `tier` is where the answer came from, where the sender knows that. */
export type Done = (kind: AnswerKind, status: string, bytes: number, tier?: Tier) => void;

/** Sends a request on one of the lanes; may be done at once. */
export interface Sender {
  send(lane: number, keys: readonly string[], done: Done): void;
  /** Told what single keys of a batch came to, where the sender looks. */
  onKeyStatus?: ((status: string) => void) | undefined;
  close(): Promise<void>;
}

export interface LoadTime {
  readonly clock: Clock;
  /**
   * Of a wait, what is spent in turns of the event loop instead of a timer, whose steps are of a millisecond. Those turns
   * take the core, and are not counted as busy.
   */
  readonly spinMs: number;
}

/** A lane whose request was refused a connection waits so long, so that a server that is gone is not stormed. */
const BROKEN_PAUSE_MS = 50;
/** Lanes that are answered at once let others have their turn after so long. */
const STRETCH_MS = 1;

export async function runLoad(plan: LoadPlan, share: Share, sender: Sender, time: LoadTime): Promise<LoadRecord> {
  const load = new Load(plan, share, sender, time);
  const before = performance.eventLoopUtilization();
  await load.run();
  const { active, idle } = performance.eventLoopUtilization(before);
  const busy = (active - load.spunMs) / Math.max(1e-9, active + idle);
  return load.recorder.toRecord(Math.min(1, Math.max(0, busy)));
}

class Load {
  readonly recorder: Recorder;
  spunMs = 0;
  readonly #plan: LoadPlan;
  readonly #sender: Sender;
  readonly #clock: Clock;
  readonly #spinMs: number;
  readonly #keys: KeyStream;
  readonly #startMs: number;
  readonly #endMs: number;
  readonly #lanes: number;
  /** Of the open loop. */
  readonly #intervalMs: number;
  readonly #firstMs: number;
  readonly #free: number[] = [];
  #sent = 0;
  #answered = 0;
  #busyLanes = 0;
  #wake: (() => void) | undefined;

  constructor(plan: LoadPlan, { part, parts }: Share, sender: Sender, { clock, spinMs }: LoadTime) {
    const random = seededRandom(plan.seed * 1024 + part);
    this.#plan = plan;
    this.#sender = sender;
    this.#clock = clock;
    this.#spinMs = spinMs;
    this.#keys = new KeyStream(plan.keys, plan.distribution, plan.absentShare, random, { part, parts });
    this.#startMs = clock.nowMs();
    this.#endMs = this.#startMs + plan.warmupMs + plan.durationMs;
    this.#lanes = Math.floor((plan.connections * (part + 1)) / parts) - Math.floor((plan.connections * part) / parts);
    this.#intervalMs = (parts * 1000) / (plan.rate ?? 1);
    this.#firstMs = this.#startMs + (this.#intervalMs * part) / parts;
    this.recorder = new Recorder(this.#startMs + plan.warmupMs, this.#endMs, plan.intervalMs);
    sender.onKeyStatus = (status) => this.recorder.keyStatus(status);
  }

  async run(): Promise<void> {
    if (this.#plan.rate === undefined) await this.#closedLoop();
    else await this.#openLoop();
  }

  #closedLoop(): Promise<void> {
    return new Promise((resolve) => {
      let running = this.#lanes;
      const ended = () => {
        running -= 1;
        if (running === 0) resolve();
      };
      for (let lane = 0; lane < this.#lanes; lane++) this.#ask(lane, ended);
    });
  }

  /** Asks on one lane until time is up; a loop where answers come at once, else from answer to answer. */
  #ask(lane: number, ended: () => void): void {
    const yieldMs = this.#clock.nowMs() + STRETCH_MS;
    for (;;) {
      const sentMs = this.#clock.nowMs();
      if (sentMs >= this.#endMs) return void ended();
      if (sentMs >= yieldMs) return void setImmediate(() => this.#ask(lane, ended));
      let isWaiting = false;
      let answered = undefined as AnswerKind | undefined;
      this.#send(lane, sentMs, sentMs, (kind) => {
        answered = kind;
        if (isWaiting) this.#askAgain(lane, kind, ended);
      });
      if (answered === undefined) {
        isWaiting = true;
        return;
      }
      if (answered === 'broken') return void this.#askAgain(lane, answered, ended);
    }
  }

  #askAgain(lane: number, kind: AnswerKind, ended: () => void): void {
    if (kind !== 'broken') this.#ask(lane, ended);
    else void this.#clock.sleep(BROKEN_PAUSE_MS).then(() => this.#ask(lane, ended));
  }

  async #openLoop(): Promise<void> {
    for (let lane = 0; lane < this.#lanes; lane++) this.#free.push(lane);
    const giveUpMs = this.#endMs + this.#plan.timeoutMs;
    for (;;) {
      this.#sendDue();
      const nextMs = this.#intendedMs(this.#sent);
      if (nextMs >= this.#endMs) break;
      const nowMs = this.#clock.nowMs();
      if (nowMs >= giveUpMs) break;
      // Where requests are overdue, the next lane that is answered sends them.
      await this.#until(nextMs > nowMs ? nextMs : giveUpMs, nextMs <= nowMs);
    }
    while (this.#busyLanes > 0) await this.#until(Number.POSITIVE_INFINITY, true);
    const nowMs = this.#clock.nowMs();
    for (; this.#intendedMs(this.#sent) < this.#endMs; this.#sent++) {
      this.recorder.recordNotSent(this.#intendedMs(this.#sent), nowMs);
    }
  }

  #intendedMs(request: number): number {
    return this.#firstMs + request * this.#intervalMs;
  }

  #sendDue(): void {
    for (;;) {
      const intendedMs = this.#intendedMs(this.#sent);
      const nowMs = this.#clock.nowMs();
      if (intendedMs > nowMs || intendedMs >= this.#endMs) return;
      const lane = this.#free.pop();
      if (lane === undefined) return;
      this.#sent += 1;
      this.#send(lane, intendedMs, nowMs, (kind) => {
        if (kind !== 'broken') return void this.#freed(lane);
        void this.#clock.sleep(BROKEN_PAUSE_MS).then(() => this.#freed(lane));
      });
    }
  }

  #freed(lane: number): void {
    this.#free.push(lane);
    this.#wake?.();
  }

  /** Until that time, or where asked for until a lane is free. */
  async #until(atMs: number, orFreed: boolean): Promise<void> {
    const waitMs = atMs - this.#clock.nowMs();
    if (orFreed) {
      const over = new AbortController();
      const freed = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      const late = Number.isFinite(waitMs) ? [this.#clock.sleep(waitMs, over.signal).catch(() => undefined)] : [];
      await Promise.race([freed, ...late]);
      this.#wake = undefined;
      over.abort();
    } else if (waitMs > this.#spinMs) {
      await this.#clock.sleep(this.#spinMs === 0 ? waitMs : Math.max(1, Math.floor(waitMs - this.#spinMs)));
    } else {
      await this.#spin(atMs);
    }
  }

  /** Turns of the event loop until that time; what nothing happened in counts as idle. */
  async #spin(atMs: number): Promise<void> {
    let turnMs = this.#clock.nowMs();
    while (turnMs < atMs) {
      const answered = this.#answered;
      await new Promise<void>((resolve) => setImmediate(resolve));
      const nowMs = this.#clock.nowMs();
      if (answered === this.#answered) this.spunMs += nowMs - turnMs;
      turnMs = nowMs;
    }
  }

  #send(lane: number, intendedMs: number, sentMs: number, then: (kind: AnswerKind) => void): void {
    const { batch } = this.#plan;
    const keys: string[] = [];
    for (let i = 0; i < Math.max(1, batch); i++) keys.push(this.#keys.next());
    const wantAbsent = this.#keys.isAbsent;
    this.#busyLanes += 1;
    this.#sender.send(lane, keys, (kind, status, bytes, tier) => {
      const isUnexpected = batch === 0 && (kind === 'found' ? wantAbsent : kind === 'absent' && !wantAbsent);
      const endMs = this.#clock.nowMs();
      this.recorder.record(intendedMs, sentMs, endMs, kind, status, bytes, isUnexpected, tier);
      this.#busyLanes -= 1;
      this.#answered += 1;
      then(kind);
    });
  }
}
