/**
 * Ten minutes at 80% of what one core can answer: rows of 25 columns by Zipf's law (0.99) over four times as many decoded
 * bytes as `cache.memory`, all of them on local disk, the source behind the latency of a distant S3.
 *
 *     npm run bench -- steady [--minutes 10] [--beside 2] [--memory 256MiB] [--only zipf,uniform,dropped,cold] [--small]
 *                             [--flags="--cpu-prof --cpu-prof-dir=DIR"] [--first]
 *
 * The disk tier is filled by a preload, the server started anew. What it can answer is found by a closed loop in the very
 * state that is then measured: the slowest ten seconds of a minute, since a machine that is slower for a while must still
 * hold it. 80% of that is asked in an open loop, latencies from the intended starts, two minutes of it before the ten that count. Beside it, for `--beside` minutes
 * each: uniform keys at 80% of what it can answer of those; `dropped`, Zipf's keys at the first rate again, the slabs taken
 * out of the page cache once before; `cold`, the same taken out every second, at 80% of what it can answer then.
 *
 * It fails where the p99 by Zipf's law is 20 ms or more, where the resident set's mean over the second half is more than 2%
 * above that over the first, where a request fails or the rate is not held, where a GET is sent to the source, and where an
 * answer differs from a plain read. `--flags` go to the server's Node. `for core` is the time
 * that others kept the server from its core: on a busy machine that is what is measured, unless `--first` lets server and load go before them
 * (chrt, root).
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Distribution, type HttpTarget, httpCeiling, type LoadPlan, loadFromThreads } from '../src/bench/index.ts';
import { parseByteSize } from '../src/core/index.ts';
import { BUCKET, type DistantS3, startDistantS3 } from './harness/distant-s3.ts';
import { dropFromPageCache, keepOutOfPageCache } from './harness/page-cache.ts';
import { type ProbedServer, startProbed } from './harness/probed-server.ts';
import { ServerWatch, serverCounters } from './harness/server-watch.ts';
import { failedOf, latencyOf, printSteady, residentHalves, type SteadyRun } from './harness/steady-report.ts';
import { comparableRow, WIDE_COLUMNS, wideRowsAsJson, writeWideRows } from './harness/wide-rows.ts';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string' },
    beside: { type: 'string' },
    memory: { type: 'string' },
    only: { type: 'string', default: 'zipf,uniform,dropped,cold' },
    flags: { type: 'string', default: '' },
    first: { type: 'boolean', default: false },
    small: { type: 'boolean', default: false },
  },
});

const isSmall = flags.small;
const MEMORY_BYTES = parseByteSize(flags.memory ?? (isSmall ? '32MiB' : '256MiB'));
const MINUTES = Number(flags.minutes ?? (isSmall ? 0.1 : 10));
const BESIDE_MINUTES = Number(flags.beside ?? Math.min(MINUTES, isSmall ? 0.05 : 2));
/** Decoded bytes to `cache.memory`, at least. */
const TIMES_MEMORY = 4;
/** A little less than a row takes when it is decoded. */
const BYTES_A_ROW = 225;
const FILES = 4;
const ROWS = Math.ceil((TIMES_MEMORY * MEMORY_BYTES) / BYTES_A_ROW / FILES) * FILES;
const LOAD_SHARE = 0.8;
const ZIPF: Distribution = { kind: 'zipf', theta: 0.99 };
const UNIFORM: Distribution = { kind: 'uniform' };
/** Of the closed loop; and of the open one, enough that none of it waits for a connection. */
const [CONNECTIONS_CLOSED, CONNECTIONS_OPEN] = [16, 128];
/** Of a stretch of load that fills memory, and how many there may be: rows are kept one by one, and memory is touched as they come. */
const FILLING_SECONDS = isSmall ? 2 : 30;
const STRETCHES_MAX = isSmall ? 2 : 12;
/** Memory is full when a stretch adds no more. */
const FULL_GROWTH_MAX = 0.01;
const SATURATED_SECONDS = isSmall ? 1 : 60;
const SATURATED_STRETCH_MS = isSmall ? 1000 : 10_000;
const SETTLING_SECONDS = isSmall ? 1 : 5;
/** At the rate of the ten minutes: within two minutes of less load V8 goes through the heap that the closed loops left. */
const SETTLING_AT_RATE_SECONDS = isSmall ? 1 : 120;
const PROBE_EVERY_MS = isSmall ? 500 : 5000;
const DROP_EVERY_MS = 1000;
const CHECKED = 500;
const CHECK_EVERY_MS = isSmall ? 10 : 100;
const P99_MS_MAX = 20;
const GROWTH_MAX = 0.02;
const HELD_MIN = 0.99;
const CLIENT_BUSY_MAX = 0.8;
const SEED = 20_261_129;
const [SERVER_CORE, CLIENT_CORE] = [0, 1];

if (availableParallelism() < 2) throw new Error('this bench needs two cores, one for the server and one for the load');
// All threads that there are, the engine's own too: else they take the server's core.
execFileSync('taskset', ['-apc', String(CLIENT_CORE), String(process.pid)]);
const folder = mkdtempSync(join(tmpdir(), 'pointlake-steady-'));
const slabs = join(folder, 'cache', 'blocks');
const sources = Array.from({ length: FILES }, (_, i) => join(folder, `part-${i}.parquet`));
let missed = 0;
async function run(): Promise<void> {
  for (const [i, path] of sources.entries()) await writeWideRows(path, (i * ROWS) / FILES, ((i + 1) * ROWS) / FILES);
  const s3 = await startDistantS3(
    'faulty',
    SEED,
    Object.fromEntries(sources.map((path, i) => [`t/${i}.parquet`, path])),
  );
  console.log(
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; ${ROWS} rows x ${WIDE_COLUMNS} columns; ` +
      `memory ${MEMORY_BYTES / 2 ** 20} MiB; ${MINUTES} minutes, ${BESIDE_MINUTES} of each beside it`,
  );
  await fill(s3);
  const server = await start(s3, flags.flags.split(' ').filter(Boolean));
  if (flags.first) execFileSync('chrt', ['-r', '-p', '1', String(process.pid)]);
  const bench = new Steady(server);
  await bench.readMany();
  await bench.measureAll(flags.only.split(','));
  await server.stop();
  await s3.stop();
}

function start({ settings }: DistantS3, nodeFlags: readonly string[] = []): Promise<ProbedServer> {
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(
    config,
    [
      'server: { port: 0 }',
      `storage: { s3: { endpoint: "${settings.endpoint}", region: us-east-1 } }`,
      `cache: { memory: ${MEMORY_BYTES}, disk: { path: ./cache, size: ${2 * TIMES_MEMORY * MEMORY_BYTES} } }`,
      `tables: { t: { source: "s3://${BUCKET}/t/", key: id } }`,
    ].join('\n'),
  );
  const { accessKeyId = '', secretAccessKey = '' } = settings.credentials ?? {};
  return startProbed({
    config,
    entered: [...(flags.first ? ['chrt', '-r', '1'] : []), 'taskset', '-c', String(SERVER_CORE)],
    env: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
    probeEveryMs: PROBE_EVERY_MS,
    flags: nodeFlags,
    onLine: (line) => console.log(line),
  });
}

interface Description {
  readonly storage: { readonly bytes: number };
  readonly cache: {
    readonly disk: Readonly<Record<'bytes' | 'blocks' | 'dropped' | 'evicted' | 'invalid' | 'faults', number>>;
  };
}

async function describe(origin: string): Promise<Description> {
  return (await (await fetch(`${origin}/v1/tables/t`)).json()) as Description;
}

interface Preload {
  readonly state: string;
  readonly errors: number;
  readonly decoded_bytes: number;
}

/** Every block of every column, by a server of its own, so that what the measured one holds is its load's alone. */
async function fill(s3: DistantS3): Promise<void> {
  const server = await start(s3);
  const watch = new ServerWatch(server);
  const started = performance.now();
  const url = `${server.origin}/v1/tables/t/preload`;
  const body = JSON.stringify({ columns: 'all', into: 'disk', rate: '4GiB' });
  const begun = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  if (begun.status !== 202) throw new Error(`the preload answered ${begun.status}: ${await begun.text()}`);
  let preload = (await begun.json()) as Preload;
  while (preload.state === 'running') {
    await sleep(100);
    preload = (await (await fetch(url)).json()) as Preload;
  }
  const { bytes, blocks, dropped, evicted } = (await describe(server.origin)).cache.disk;
  await server.stop();
  watch.take();
  const decoded = preload.decoded_bytes;
  const times = decoded / MEMORY_BYTES;
  console.log(
    `filled in ${((performance.now() - started) / 1000).toFixed(0)} s: ${(decoded / 2 ** 20).toFixed(0)} MiB decoded, ` +
      `${blocks} blocks in slabs of ${(bytes / 2 ** 20).toFixed(0)} MiB together`,
  );
  must(`the preload is ${preload.state}, ${preload.errors} errors`, preload.state === 'done' && preload.errors === 0);
  must(`decoded they are ${times.toFixed(2)} times cache.memory, at least ${TIMES_MEMORY}`, times >= TIMES_MEMORY);
  must(`all of it stayed there: ${dropped} dropped, ${evicted} evicted`, dropped + evicted === 0);
}

interface Case {
  readonly name: string;
  readonly what: string;
  readonly distribution: Distribution;
  readonly minutes: number;
  readonly drop: 'never' | 'before' | 'throughout';
}

const CASES: readonly Case[] = [
  { name: 'zipf', what: 'Zipf 0.99', distribution: ZIPF, minutes: MINUTES, drop: 'never' },
  { name: 'uniform', what: 'uniform keys', distribution: UNIFORM, minutes: BESIDE_MINUTES, drop: 'never' },
  {
    name: 'dropped',
    what: 'Zipf 0.99, the page cache dropped once before',
    distribution: ZIPF,
    minutes: BESIDE_MINUTES,
    drop: 'before',
  },
  {
    name: 'cold',
    what: 'Zipf 0.99, the page cache dropped every second',
    distribution: ZIPF,
    minutes: BESIDE_MINUTES,
    drop: 'throughout',
  },
];

class Steady {
  readonly #server: ProbedServer;
  readonly #target: HttpTarget;
  readonly #watch: ServerWatch;
  #expected: ReadonlyMap<number, string> = new Map();
  /** Of Zipf's keys with everything in the page cache. */
  #saturatedRate = 0;
  #answerBytes = 0;

  constructor(server: ProbedServer) {
    this.#server = server;
    this.#watch = new ServerWatch(server);
    const url = `${server.origin}/v1/tables/t`;
    this.#target = { kind: 'table', url, headers: {}, columns: undefined, value: undefined };
  }

  /** Rows all over the table against a plain read of it, before anything is timed. */
  async readMany(): Promise<void> {
    let state = SEED;
    const keys = new Set<number>();
    while (keys.size < CHECKED) {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      keys.add(state % ROWS);
    }
    this.#expected = await wideRowsAsJson(sources, [...keys]);
    const digest = createHash('sha256');
    for (const key of keys) digest.update(await this.#check(key));
    const { storage, cache } = await describe(this.#server.origin);
    const { invalid, faults } = cache.disk;
    console.log(`${CHECKED} rows equal a plain read; digest ${digest.digest('hex').slice(0, 16)}`);
    must(`frames that were invalid: ${invalid}; faults: ${faults}`, invalid + faults === 0);
    must(`bytes fetched by GETs since the restart: ${storage.bytes}`, storage.bytes === 0);
  }

  async measureAll(names: readonly string[]): Promise<void> {
    for (const one of CASES.filter(({ name }) => names.includes(name))) await this.#measure(one);
    const ceiling = await httpCeiling(this.#plan(ZIPF, undefined, 0, 1), this.#target, this.#answerBytes, 1000);
    console.log(
      `\nthe client alone, of a server that does nothing: ${ceiling.requests_per_second} requests/s, ` +
        `p50 ${ceiling.p50_us} us, p99 ${ceiling.p99_us} us`,
    );
  }

  async #measure(one: Case): Promise<void> {
    console.log(`\n### ${one.what}`);
    const over = new AbortController();
    if (one.drop === 'throughout') dropFromPageCache(slabs);
    const dropping = one.drop === 'throughout' ? keepOutOfPageCache(slabs, DROP_EVERY_MS, over.signal) : undefined;
    const saturated = one.drop === 'before' ? this.#saturatedRate : await this.#saturated(one);
    if (one.name === 'zipf') this.#saturatedRate = saturated;
    const asked = LOAD_SHARE * (saturated === 0 ? await this.#saturated({ ...one, drop: 'never' }) : saturated);
    if (one.drop === 'before') dropFromPageCache(slabs);
    const { run: steady, checked } = await this.#open(one, Math.max(1, Math.round(asked)));
    over.abort();
    await dropping;
    printSteady(steady);
    this.#hold(one, steady, checked);
  }

  /** Until memory holds what such keys leave in it. */
  async #fillMemory(distribution: Distribution): Promise<void> {
    const started = performance.now();
    let isFull = false;
    for (let stretch = 0; stretch < STRETCHES_MAX && !isFull; stretch++) {
      const before = await serverCounters(this.#server.origin);
      await loadFromThreads(this.#plan(distribution, undefined, 0, FILLING_SECONDS, stretch), this.#target);
      const after = await serverCounters(this.#server.origin);
      const grown = (name: 'keptRows' | 'blocks') => after[name] > (1 + FULL_GROWTH_MAX) * before[name];
      isFull = !grown('keptRows') && !grown('blocks');
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`${seconds} s of such keys until memory ${isFull ? 'was full' : 'WAS NOT YET FULL'}`);
  }

  /** What a closed loop comes to; and one of as many connections as the open loop has, which it needs once it is behind. */
  async #saturated({ distribution }: Case): Promise<number> {
    await this.#fillMemory(distribution);
    const slowest = await this.#closedLoop(distribution, CONNECTIONS_CLOSED);
    await this.#closedLoop(distribution, CONNECTIONS_OPEN);
    return slowest;
  }

  /** What it answers in its slowest stretch. */
  async #closedLoop(distribution: Distribution, connections: number): Promise<number> {
    const plan = { ...this.#plan(distribution, undefined, SETTLING_SECONDS, SATURATED_SECONDS), connections };
    const [record] = await loadFromThreads({ ...plan, intervalMs: SATURATED_STRETCH_MS }, this.#target);
    if (record === undefined) throw new Error('the load handed over nothing');
    const { counts, elapsedMs, busyShare, intervals } = record;
    this.#answerBytes = Math.round(counts.bytes / counts.requests);
    const rate = ((counts.requests - counts.refused - counts.broken - counts.gaveUp) * 1000) / elapsedMs;
    const rates = intervals.map(({ requests, failed }) => ((requests - failed) * 1000) / SATURATED_STRETCH_MS);
    // What was under way when the time was up may begin a stretch of its own.
    const slowest = Math.min(...rates.slice(0, (SATURATED_SECONDS * 1000) / SATURATED_STRETCH_MS));
    console.log(
      `saturated: ${rate.toFixed(0)} requests/s on ${connections} connections, ${slowest.toFixed(0)} in the slowest ` +
        `${SATURATED_STRETCH_MS / 1000} s, ${this.#answerBytes} bytes an answer`,
    );
    must(`the client is not what limits them: busy ${(100 * busyShare).toFixed(0)}%`, busyShare <= CLIENT_BUSY_MAX);
    return slowest;
  }

  async #open(one: Case, rate: number): Promise<{ readonly run: SteadyRun; readonly checked: number }> {
    const settling = one.name === 'zipf' ? SETTLING_AT_RATE_SECONDS : SETTLING_SECONDS;
    const plan = this.#plan(one.distribution, rate, settling, one.minutes * 60);
    const loading = loadFromThreads(plan, this.#target);
    await sleep(plan.warmupMs);
    this.#watch.take();
    const startedMs = performance.now();
    const before = await serverCounters(this.#server.origin);
    const over = new AbortController();
    const checking = this.#keepChecking(over.signal);
    const [record] = await loading;
    over.abort();
    const checked = await checking;
    const after = await serverCounters(this.#server.origin);
    if (record === undefined) throw new Error('the load handed over nothing');
    const { intervalMs, durationMs } = plan;
    const run = { rate, record, intervalMs, durationMs, startedMs, before, after, samples: this.#watch.take() };
    return { run, checked };
  }

  /** Each key again and again: from disk, and once it was kept from memory. */
  async #keepChecking(over: AbortSignal): Promise<number> {
    const keys = [...this.#expected.keys()];
    let checked = 0;
    for (; !over.aborted; checked++) {
      await this.#check(keys[checked % keys.length] ?? 0);
      await sleep(CHECK_EVERY_MS, undefined, { signal: over }).catch(() => undefined);
    }
    return checked;
  }

  /** The answer, which is what a plain read gives. */
  async #check(key: number): Promise<string> {
    const answer = await fetch(`${this.#server.origin}/v1/tables/t/rows/${key}`);
    if (!answer.ok) throw new Error(`key ${key} answered ${answer.status}: ${await answer.text()}`);
    const answered = comparableRow(await answer.json());
    const plain = this.#expected.get(key);
    if (answered !== plain) throw new Error(`key ${key} answered ${answered}, a plain read gives ${plain}`);
    return answered;
  }

  #hold(one: Case, run: SteadyRun, checked: number): void {
    const { p99 } = latencyOf(run);
    const [first, second] = residentHalves(run);
    const { counts, elapsedMs, busyShare } = run.record;
    const held = (counts.requests * 1000) / elapsedMs / run.rate;
    const growth = `resident ${first.toFixed(1)} MiB over the first half, ${second.toFixed(1)} over the second: ${(100 * (second / first - 1)).toFixed(2)}%`;
    const kept = `${(100 * held).toFixed(1)}% of ${run.rate} requests/s, ${failedOf(run)} failed, ${counts.unexpected} unexpected`;
    const gets = run.after.gets - run.before.gets;
    console.log(`${checked} answers meanwhile equal a plain read; load thread busy ${(100 * busyShare).toFixed(0)}%`);
    must(`GETs to the source: ${gets}`, gets === 0 && run.after.origin === run.before.origin);
    if (one.name === 'zipf') {
      must(`p99 ${p99.toFixed(2)} ms, less than ${P99_MS_MAX}`, p99 < P99_MS_MAX);
      must(`${growth}, at most ${100 * GROWTH_MAX}%`, second <= (1 + GROWTH_MAX) * first);
      must(kept, held >= HELD_MIN && failedOf(run) + counts.unexpected === 0);
    } else {
      console.log(`       p99 ${p99.toFixed(2)} ms; ${growth}; ${kept}`);
    }
  }

  /** Each `stretch` asks for other keys of the same distribution. */
  #plan(
    distribution: Distribution,
    rate: number | undefined,
    warmupSeconds: number,
    seconds: number,
    stretch = STRETCHES_MAX,
  ): LoadPlan {
    return {
      keys: { kind: 'range', first: 0, count: ROWS },
      distribution,
      absentShare: 0,
      batch: 0,
      connections: rate === undefined ? CONNECTIONS_CLOSED : CONNECTIONS_OPEN,
      threads: 1,
      rate,
      warmupMs: warmupSeconds * 1000,
      durationMs: seconds * 1000,
      intervalMs: Math.min(60_000, Math.max(1000, (seconds * 1000) / 4)),
      timeoutMs: 10_000,
      seed: SEED + (rate === undefined ? stretch : STRETCHES_MAX + 1),
    };
  }
}

function must(what: string, holds: boolean): void {
  if (!holds) missed += 1;
  console.log(`${holds ? 'ok    ' : 'MISSED'} ${what}`);
}

try {
  await run();
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = missed > 0 ? 1 : 0;
