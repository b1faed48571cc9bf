/** Latencies of known delays, with a clock that tests own: what an open loop counts and a closed one omits. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Done, runLoad, type Sender } from '../../src/bench/load.ts';
import type { LoadPlan } from '../../src/bench/plan.ts';
import type { LoadRecord } from '../../src/bench/recorder.ts';
import { mergedHistogram } from '../../src/bench/recorder.ts';
import { type Outcome, outcomeOf } from '../../src/bench/result.ts';
import { ManualClock } from '../support/manual-clock.ts';

const PLAN: LoadPlan = {
  keys: { kind: 'range', first: 1, count: 100 },
  distribution: { kind: 'sequential' },
  absentShare: 0,
  batch: 0,
  connections: 1,
  threads: 1,
  rate: undefined,
  warmupMs: 0,
  durationMs: 2000,
  intervalMs: 500,
  timeoutMs: 10_000,
  seed: 1,
};

const ABOUT = { target: 'a delayed server', checked: undefined, ceiling: undefined, isInProcess: false };

/** Answers request i after `delayMs(i)`. */
class DelayedSender implements Sender {
  readonly asked: string[] = [];
  readonly #clock: ManualClock;
  readonly #delayMs: (request: number) => number;
  readonly #answer: (done: Done, request: number) => void;

  constructor(
    clock: ManualClock,
    delayMs: (request: number) => number,
    answer: (done: Done, request: number) => void = (done) => done('found', '200', 10),
  ) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#answer = answer;
  }

  send(_lane: number, keys: readonly string[], done: Done): void {
    const request = this.asked.push(keys.join()) - 1;
    void this.#clock.sleep(this.#delayMs(request)).then(() => this.#answer(done, request));
  }

  async close(): Promise<void> {}
}

async function outcome(plan: LoadPlan, senderOf: (clock: ManualClock) => Sender): Promise<[Outcome, LoadRecord]> {
  const clock = new ManualClock();
  const work = runLoad(plan, { part: 0, parts: 1 }, senderOf(clock), { clock, spinMs: 0 });
  const record = await clock.runThrough(work);
  return [outcomeOf(plan, [record], ABOUT), record];
}

/** Three digits are kept. */
function near(actualUs: number | undefined, expectedMs: number): void {
  assert.ok(
    Math.abs((actualUs ?? Number.NaN) / 1000 - expectedMs) <= expectedMs * 0.0011,
    `${actualUs} us, not ${expectedMs} ms`,
  );
}

const stalling = (request: number) => (request === 50 ? 1000 : 2);

test('an open loop counts the waits behind a stall: its latencies are those of a queue', async () => {
  const [{ result }, record] = await outcome({ ...PLAN, rate: 100 }, (clock) => new DelayedSender(clock, stalling));
  // One connection, a request meant to start every 10 ms: by hand, each ends after the one before it.
  const latencies: number[] = [];
  for (let request = 0, freeMs = 0; request < 200; request++) {
    const intendedMs = request * 10;
    freeMs = Math.max(intendedMs, freeMs) + stalling(request);
    latencies.push(freeMs - intendedMs);
  }
  latencies.sort((a, b) => a - b);
  assert.equal(result.requests, 200);
  assert.equal(result.not_sent, 0);
  for (const [share, us] of Object.entries(result.latency_us.percentiles)) {
    near(us, latencies[Math.ceil((Number(share) / 100) * 200) - 1]!);
  }
  near(result.latency_us.max, 1000);
  near(result.latency_us.mean, latencies.reduce((sum, ms) => sum + ms, 0) / 200);
  // More than half of them waited, though one request alone was slow to be answered.
  assert.ok(result.latency_us.percentiles['75']! > 400_000);
  near(result.service_us?.percentiles['99'], 2);
  near(result.service_us?.max, 1000);
  assert.equal(mergedHistogram([record.latency]).totalCount, 200);
});

test('a closed loop sees one slow request in the same stall, and says nothing of those never sent', async () => {
  const [{ result }] = await outcome(PLAN, (clock) => new DelayedSender(clock, stalling));
  assert.equal(result.mode, 'closed');
  assert.equal(result.service_us, undefined);
  near(result.latency_us.percentiles['99'], 2);
  near(result.latency_us.max, 1000);
  // 1,000 ms of 2 ms each, and the slow one.
  assert.equal(result.requests, 501);
  assert.equal(result.intervals.length, 4);
  // 50 before the stall, which ends at 1,100 ms.
  assert.deepEqual(
    result.intervals.map((interval) => Math.round(interval.requests_per_second / 2)),
    [50, 0, 200, 250],
  );
});

test('requests that never got a connection are in the latencies and are told', async () => {
  const plan = { ...PLAN, rate: 100, durationMs: 500, timeoutMs: 200 };
  const [{ result }] = await outcome(plan, (clock) => new DelayedSender(clock, () => 400));
  assert.equal(result.requests + result.not_sent, 50);
  assert.ok(result.not_sent > 40);
  assert.ok(result.latency_us.percentiles['50']! >= 400_000);
  assert.match(result.warnings.join('\n'), /never sent: the rate is more/);
});

test('what the warm-up asked is not measured, and the rate is kept', async () => {
  const plan = { ...PLAN, rate: 50, warmupMs: 1000, durationMs: 1000, connections: 4 };
  const [{ result }] = await outcome(plan, (clock) => new DelayedSender(clock, (i) => (i < 50 ? 15 : 3)));
  assert.equal(result.requests, 50);
  near(result.latency_us.max, 3);
});

test('refusals are counted by status and not timed; what was given up on is timed; broken connections pause', async () => {
  const answers = [
    ['found', '200'],
    ['refused', '429'],
    ['gaveUp', 'timeout'],
    ['broken', 'ECONNRESET'],
    ['absent', '404'],
  ] as const;
  const answer = (done: Done, request: number) => {
    const [kind, status] = answers[request % 5]!;
    done(kind, status, 1);
  };
  const plan = { ...PLAN, rate: 10, durationMs: 1000, connections: 3 };
  const delays = (request: number) => [10, 1, 300, 1, 20][request % 5]!;
  const [{ result }, record] = await outcome(plan, (clock) => new DelayedSender(clock, delays, answer));
  assert.deepEqual(result.statuses, { '200': 2, '429': 2, timeout: 2, ECONNRESET: 2, '404': 2 });
  assert.equal(result.failed, 6);
  assert.equal(result.unexpected, 2);
  assert.equal(mergedHistogram([record.latency]).totalCount, 6);
  near(result.latency_us.max, 300);
  assert.match(result.warnings.join('\n'), /6 of 10 requests failed/);
});

test('answers are told by where they came from, each with latencies of its own', async () => {
  const answer = (done: Done, request: number) => {
    if (request % 4 === 0) done('found', '200', 1, 'origin');
    else done('found', '200', 1, 'memory');
  };
  const delays = (request: number) => (request % 4 === 0 ? 40 : 2);
  const [{ result }] = await outcome({ ...PLAN, rate: 10 }, (clock) => new DelayedSender(clock, delays, answer));
  assert.deepEqual(Object.keys(result.tiers), ['memory', 'origin']);
  assert.deepEqual([result.tiers.memory?.requests, result.tiers.origin?.requests], [15, 5]);
  near(result.tiers.memory?.latency_us.max, 2);
  near(result.tiers.origin?.latency_us.percentiles['50'], 40);
});

test('a load near what its client can ask is told to measure the client, but not where something else set that', async () => {
  const ceiling = { requests_per_second: 510, p50_us: 100, p99_us: 300, client_busy: 0.95 };
  const clock = new ManualClock();
  const sender = new DelayedSender(clock, () => 2);
  const load = runLoad(PLAN, { part: 0, parts: 1 }, sender, { clock, spinMs: 0 });
  const record = { ...(await clock.runThrough(load)), busyShare: 0.5 };
  const warned = (more: Partial<typeof ceiling>) =>
    outcomeOf(PLAN, [record], { ...ABOUT, ceiling: { ...ceiling, ...more } }).result.warnings.join();
  assert.match(warned({}), /no more than 510 requests\/s of a server that does nothing: .* measure the client/);
  assert.equal(warned({ requests_per_second: 1000 }), '');
  assert.equal(warned({ client_busy: 0.5 }), '');
});

test('answers at once are looped over, and the loop ends in time', async () => {
  const clock = new ManualClock();
  let asked = 0;
  const sender: Sender = {
    send(_lane, _keys, done) {
      asked += 1;
      clock.advance(0.25);
      done('found', 'found', 0);
    },
    async close() {},
  };
  const record = await runLoad({ ...PLAN, durationMs: 100, connections: 2 }, { part: 0, parts: 1 }, sender, {
    clock,
    spinMs: 0,
  });
  assert.equal(asked, 400);
  assert.equal(record.counts.requests, 400);
});

test('a batch asks for so many keys, and connections are shared out over the threads', async () => {
  const clock = new ManualClock();
  const sender = new DelayedSender(clock, () => 600);
  const plan = { ...PLAN, batch: 3, connections: 5, threads: 2, durationMs: 500 };
  await clock.runThrough(runLoad(plan, { part: 1, parts: 2 }, sender, { clock, spinMs: 0 }));
  assert.deepEqual(sender.asked, ['51,52,53', '54,55,56', '57,58,59']);
});
