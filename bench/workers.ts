/**
 * Hot lookups answered by 1, 2 and 4 event loops: what each costs and gives, at 16 connections a loop; then a serving thread
 * that dies under load. Servers are separate, rounds of them interleaved.
 *
 *     npm run bench -- workers [--only apart,together,deaths] [--small]
 *
 * CPU time a lookup means something only where nobody else takes the cores: `apart` has the load on cores of its own. Where there
 * are fewer cores than loops, loops share what is left, and a second arrangement, `together`, gives them as many as there are, the load
 * among them. `closed` asks as fast as answers come, `paced` at one rate for all.
 *
 * It fails where an answer is wrong, where a lookup costs more than 1.3 times the CPU time with several loops than with one (`apart`,
 * `closed`), or where the rate is not back within 3 seconds after a thread died.
 */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BusyTime } from './harness/busy-time.ts';
import { CheckedRows } from './harness/checked-rows.ts';
import { residentBytes, type ThreadTime, threadTimes, timesBetween } from './harness/loop-threads.ts';
import { metricsOf } from './harness/node-metrics.ts';
import { spread } from './harness/rounds.ts';
import { compareAnswers, comparedKeys, fetchedRow } from './harness/same-answers.ts';
import { type Server, startPointlake } from './harness/servers.ts';
import { runWrk } from './harness/wrk.ts';
import { makeTable, parquetPath, rowsOf } from './peers/table.ts';

const { values: flags } = parseArgs({
  options: { only: { type: 'string', default: 'apart,together,deaths' }, small: { type: 'boolean', default: false } },
});

const isSmall = flags.small;
const only = flags.only.split(',');
const ROWS = isSmall ? 5_000 : 50_000;
const ROUNDS = isSmall ? 1 : 7;
const SECONDS = isSmall ? 1 : 3;
const DEATHS = isSmall ? 1 : 5;
const COMPARED = isSmall ? 200 : 1000;
const LOOPS = [1, 2, 4];
const CONNECTIONS_A_LOOP = 16;
/** Requests a second of a paced load, which one loop has no trouble with. */
const PACE = 5_000;
const CPU_RATIO_MAX = 1.3;
const ALL_SERVE_WITHIN_MS = 30_000;
const BACK_WITHIN_MS = 3_000;
const BACK_SHARE = 0.9;
/** Warming up ends when so many lookups of a hundred find their row kept. */
const KEPT_SHARE = 0.99;
/** And when each loop had so many: every thread compiles its code for itself, and cold code costs twice as much. */
const WARM_LOOKUPS_A_LOOP = isSmall ? 10_000 : 80_000;
const WARM_ROUNDS_MAX = isSmall ? 20 : 120;
const PATH = '/v1/tables/rows/rows/';
const PROBE = new URL('../test/support/failing-thread.ts', import.meta.url).href;
const BIN = fileURLToPath(new URL('../bin/pointlake.js', import.meta.url));

interface Served {
  readonly loops: number;
  readonly server: Server;
}

interface Arrangement {
  readonly name: 'apart' | 'together';
  readonly serverCores: (loops: number) => string;
  readonly clientCores: string;
  readonly clientThreads: number;
}

type LoadName = 'closed' | 'paced';

interface Round {
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUs: number;
  readonly waitedUs: number;
  readonly voluntary: number;
  readonly involuntary: number;
  readonly requestsATurn: number;
  /** Of its loops' CPU time, what the busiest took. */
  readonly busiest: number;
  readonly connections: readonly number[];
  readonly keptShare: number;
}

const cores = availableParallelism();
if (cores < 2) throw new Error('this bench needs two cores, one for the server and one for the load');
const folder = mkdtempSync(join(tmpdir(), 'pointlake-workers-'));
let missed = 0;
try {
  await run();
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = missed > 0 ? 1 : 0;

async function run(): Promise<void> {
  // Keys are 0 to ROWS.
  const data = fileURLToPath(new URL(`../datasets/data/peers/${ROWS + 1}`, import.meta.url));
  await makeTable(data, ROWS + 1, ['sorted-small-pages']);
  const file = parquetPath(data, 'sorted-small-pages');
  console.log(
    `${cpus()[0]?.model.trim()}, ${cores} cores; Node ${process.versions.node}; ${ROWS} rows x 24 columns, uniform random keys, rows kept encoded`,
  );
  for (const arrangement of arrangements().filter(({ name }) => only.includes(name))) {
    const served: Served[] = [];
    try {
      for (const loops of LOOPS) {
        served.push({ loops, server: await startPointlake(configOf(file, loops), arrangement.serverCores(loops)) });
      }
      await warmAndCompare(served, arrangement, file);
      for (const load of arrangement.name === 'apart' ? (['closed', 'paced'] as const) : (['closed'] as const)) {
        await compare(served, arrangement, load);
      }
    } finally {
      for (const { server } of served) await server.stop();
    }
  }
  const [apart] = arrangements();
  if (apart !== undefined && only.includes('deaths')) await deaths(file, apart);
}

/** Apart from the load, and where there are too few cores for that, together with it as well. */
function arrangements(): readonly Arrangement[] {
  const clientThreads = Math.max(1, Math.min(4, cores - Math.max(...LOOPS)));
  const left = cores - clientThreads;
  const apart: Arrangement = {
    name: 'apart',
    serverCores: (loops) => coreList(0, Math.min(loops, left)),
    clientCores: coreList(left, clientThreads),
    clientThreads,
  };
  if (left >= Math.max(...LOOPS)) return [apart];
  const together: Arrangement = {
    name: 'together',
    serverCores: (loops) => coreList(0, Math.min(loops, cores)),
    clientCores: coreList(0, cores),
    clientThreads,
  };
  return [apart, together];
}

function coreList(first: number, count: number): string {
  return count === 1 ? String(first) : `${first}-${first + count - 1}`;
}

function configOf(file: string, loops: number): string {
  const path = join(folder, `${loops}.yaml`);
  writeFileSync(
    path,
    `server: { workers: ${loops} }\ncache: { memory: 2GiB }\ntables:\n  rows: { source: ${file}, key: id }\n`,
  );
  return path;
}

/** Until every loop has kept every row, nearly; and answers of each server against a plain read. */
async function warmAndCompare(served: readonly Served[], arrangement: Arrangement, file: string): Promise<void> {
  const digests = new Set<string>();
  const expected = await rowsOf(file, comparedKeys(ROWS, COMPARED));
  for (const { loops, server } of served) {
    for (let first = 1; first <= ROWS; first += 1000) {
      const keys = Array.from({ length: Math.min(1000, ROWS + 1 - first) }, (_, i) => first + i);
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${server.origin}/v1/tables/rows/lookup`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ keys }),
      });
      if (!answer.ok) throw new Error(`warming up answered ${answer.status}: ${await answer.text()}`);
      await answer.arrayBuffer();
    }
    let kept = 0;
    let lookups = 0;
    for (let round = 0; kept < KEPT_SHARE || lookups < WARM_LOOKUPS_A_LOOP * loops; round++) {
      const { keptShare, requestsPerSecond } = await closedRound({ loops, server }, arrangement, 1000 + round, 1);
      kept = keptShare;
      lookups += requestsPerSecond;
      if (round > WARM_ROUNDS_MAX) {
        console.log(
          `(with ${loops} loops ${lookups.toFixed(0)} lookups to warm up, ${kept.toFixed(2)} of them kept: too few)`,
        );
        break;
      }
    }
    digests.add(await compareAnswers(expected, (key) => fetchedRow(`${server.origin}${PATH}${key}`)));
    await everyLoopAnswers(server, loops);
  }
  console.log(
    `\n${arrangement.name}: ${COMPARED} answers of each server equal a plain read; digest ${[...digests].join(', ')}`,
  );
  must(`all servers answer the same: ${digests.size} digests`, digests.size === 1);
}

/** The comparison had few connections, and so perhaps one loop alone. */
async function everyLoopAnswers(server: Server, loops: number): Promise<void> {
  const texts = await textsOf(server);
  const client = new CheckedRows(server.origin, pathOf, texts, CONNECTIONS_A_LOOP * loops);
  await new Promise((resolve) => setTimeout(resolve, 500));
  await client.stop();
  const { right, wrong, failed } = client.counts;
  if (right === 0 || wrong + failed > 0) {
    throw new Error(`with ${loops} loops: ${right} right, ${wrong} wrong, ${failed} failed`);
  }
}

function pathOf(index: number): string {
  return `${PATH}${index + 1}`;
}

/** The bodies of the first rows, as one connection gets them. */
async function textsOf(server: Server): Promise<readonly string[]> {
  const texts: string[] = [];
  while (texts.length < Math.min(ROWS, 1000)) {
    const path = pathOf(texts.length);
    const answer = await fetch(`${server.origin}${path}`);
    const text = Buffer.from(await answer.arrayBuffer()).toString('latin1');
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status} ${text}`);
    texts.push(text);
  }
  return texts;
}

async function compare(served: readonly Served[], arrangement: Arrangement, load: LoadName): Promise<void> {
  const rounds = new Map<number, Round[]>(LOOPS.map((loops) => [loops, []]));
  for (let round = 0; round < ROUNDS; round++) {
    // The first one changes from round to round, so that drift hits all alike.
    const turned = served.map((_, i) => served[(i + round) % served.length]!);
    for (const one of turned) {
      const measured =
        load === 'closed'
          ? await closedRound(one, arrangement, round + 1, SECONDS)
          : await pacedRound(one, arrangement, round + 1);
      rounds.get(one.loops)?.push(measured);
    }
  }
  const asked =
    load === 'closed' ? 'as fast as answers come (wrk)' : `${PACE} requests/s in all, at their times (pointlake bench)`;
  console.log(
    `\n${arrangement.name}, ${load}: ${asked}, ${CONNECTIONS_A_LOOP} connections a loop, ${ROUNDS} interleaved rounds of ${SECONDS} s; medians`,
  );
  console.log(
    'loops | cores: server, load | requests/s [min to max]   | p50 us | p99 us | CPU us | of one           | waited us | given up, taken | a turn | busiest | resident | kept | connections of each loop in the last round',
  );
  for (const { loops, server } of served) {
    const own = rounds.get(loops) ?? [];
    const ratios = own.map((round, i) => round.cpuUs / (rounds.get(1)?.[i]?.cpuUs ?? Number.NaN));
    print(loops, arrangement, own, ratios, residentBytes(server.pid));
    if (loops > 1 && arrangement.name === 'apart' && load === 'closed') {
      const { median } = spread(ratios);
      const where = cores - arrangement.clientThreads < loops ? ', loops sharing cores' : '';
      must(
        `CPU time a lookup with ${loops} loops is ${median.toFixed(2)} times that of one (goal ${CPU_RATIO_MAX})${where}`,
        median <= CPU_RATIO_MAX,
      );
    }
  }
}

function print(
  loops: number,
  { serverCores, clientCores }: Arrangement,
  rounds: readonly Round[],
  ratios: readonly number[],
  resident: number,
): void {
  const of = (pick: (round: Round) => number) => spread(rounds.map(pick)).median;
  const rate = spread(rounds.map((round) => round.requestsPerSecond));
  const ratio = spread(ratios);
  const cells = [
    String(loops).padStart(5),
    `${serverCores(loops)}, ${clientCores}`.padEnd(19),
    `${rate.median.toFixed(0)} [${rate.min.toFixed(0)} to ${rate.max.toFixed(0)}]`.padEnd(25),
    of((round) => round.p50Us)
      .toFixed(0)
      .padStart(6),
    of((round) => round.p99Us)
      .toFixed(0)
      .padStart(6),
    of((round) => round.cpuUs)
      .toFixed(1)
      .padStart(6),
    `${ratio.median.toFixed(2)} [${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}]`,
    of((round) => round.waitedUs)
      .toFixed(1)
      .padStart(9),
    `${of((round) => round.voluntary).toFixed(3)}, ${of((round) => round.involuntary).toFixed(3)}`.padStart(15),
    of((round) => round.requestsATurn)
      .toFixed(1)
      .padStart(6),
    `${(100 * of((round) => round.busiest)).toFixed(0)}%`.padStart(7),
    `${(resident / 2 ** 20).toFixed(0)} MiB`.padStart(8),
    `${(100 * of((round) => round.keptShare)).toFixed(0)}%`.padStart(4),
    rounds.at(-1)?.connections.join(' ') ?? '',
  ];
  console.log(cells.join(' | '));
}

function closedRound(served: Served, arrangement: Arrangement, seed: number, seconds: number): Promise<Round> {
  const connections = CONNECTIONS_A_LOOP * served.loops;
  const { clientCores, clientThreads: threads } = arrangement;
  const load = {
    origin: served.server.origin,
    pathBeforeKey: PATH,
    lastKey: ROWS,
    seed,
    connections,
    seconds,
    threads,
  };
  return measure(served, 500 * seconds, () => runWrk(load, clientCores));
}

function pacedRound(served: Served, arrangement: Arrangement, seed: number): Promise<Round> {
  // After the client has started and warmed up.
  return measure(served, 1000 + 500 * SECONDS, async () => {
    const json = join(folder, 'paced.json');
    const flags = {
      range: `1..${ROWS}`,
      rate: PACE,
      connections: CONNECTIONS_A_LOOP * served.loops,
      threads: 1,
      seed,
      warmup: '500ms',
      duration: `${SECONDS}s`,
      ceiling: '0',
      check: 0,
      json,
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const url = `${served.server.origin}/v1/tables/rows`;
    const program = ['-c', arrangement.clientCores, process.execPath, BIN, 'bench', url, ...args];
    const client = spawn('taskset', program, { stdio: ['ignore', 'ignore', 'inherit'] });
    const [status] = await once(client, 'exit');
    if (status !== 0) throw new Error(`pointlake bench ended with status ${status}`);
    const said = JSON.parse(readFileSync(json, 'utf8')) as {
      readonly requests_per_second: number;
      readonly latency_us: { readonly percentiles: Readonly<Record<string, number>> };
    };
    const { percentiles } = said.latency_us;
    const at = (share: string) => percentiles[share] ?? Number.NaN;
    return { requestsPerSecond: said.requests_per_second, p50Us: at('50'), p99Us: at('99') };
  });
}

/** Counts and times of the server around a load. What it is asked for that is left out, but for its connections halfway. */
async function measure(
  { loops, server }: Served,
  halfwayMs: number,
  load: () => Promise<Pick<Round, 'requestsPerSecond' | 'p50Us' | 'p99Us'>>,
): Promise<Round> {
  const metrics = await metricsOf(server);
  const times = threadTimes(server.pid);
  let connections: readonly number[] = [];
  const halfway = setTimeout(() => {
    void metricsOf(server).then((now) => {
      connections = now.each('pointlake_connections');
    });
  }, halfwayMs);
  const result = await load();
  const spent = timesBetween(times, threadTimes(server.pid));
  clearTimeout(halfway);
  const after = await metricsOf(server);
  const grown = (name: string, label = '') => after.sum(name, label) - metrics.sum(name, label);
  const lookups = grown('pointlake_requests_total', 'route="row"');
  const hits = grown('pointlake_row_cache_hits_total');
  const sum = (of: (thread: ThreadTime) => number) => spent.reduce((all, thread) => all + of(thread), 0) / lookups;
  // The main thread has the process's name for it, and the decode threads and V8's others are neither.
  const ofLoops = spent
    .map(({ cpuUs }) => cpuUs)
    .sort((a, b) => b - a)
    .slice(0, loops);
  return {
    ...result,
    cpuUs: sum(({ cpuUs }) => cpuUs),
    waitedUs: sum(({ waitedUs }) => waitedUs),
    voluntary: sum(({ voluntary }) => voluntary),
    involuntary: sum(({ involuntary }) => involuntary),
    requestsATurn: lookups / grown('pointlake_event_loop_turns_total'),
    busiest: (ofLoops[0] ?? 0) / ofLoops.reduce((all, one) => all + one, 0),
    connections,
    keptShare: hits / lookups,
  };
}

/** A serving thread ends in the midst of a load: what clients saw of it, and for how long. */
async function deaths(file: string, { serverCores, clientCores }: Arrangement): Promise<void> {
  execFileSync('taskset', ['-apc', clientCores, String(process.pid)], { stdio: 'ignore' });
  console.log(`\na serving thread dies, ${DEATHS} times each; every answer is compared`);
  console.log(
    'loops | right, wrong, failed | connections of the loops before and 2 s after | requests/s before | lowest tenth of a second | back at 90% after',
  );
  for (const loops of LOOPS.filter((count) => count > 1)) {
    const env = { ...process.env, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --import=${PROBE}` };
    const server = await startPointlake(configOf(file, loops), serverCores(loops), env);
    const client = new CheckedRows(server.origin, pathOf, await textsOf(server), CONNECTIONS_A_LOOP * loops);
    try {
      await untilAllServe(server, loops);
      for (let death = 0; death < DEATHS; death++) await oneDeath(server, client, loops);
      await client.stop();
      must(`wrong answers with ${loops} loops: ${client.counts.wrong}`, client.counts.wrong === 0);
    } finally {
      await client.stop();
      await server.stop();
    }
  }
}

/** Until each loop has connections: threads begin to listen after the first, which until then has all of them. */
async function untilAllServe(server: Server, loops: number): Promise<void> {
  for (const deadline = Date.now() + ALL_SERVE_WITHIN_MS; ; ) {
    const connections = (await metricsOf(server)).each('pointlake_connections');
    if (connections.length === loops && connections.every((count) => count > 0)) return;
    if (Date.now() > deadline)
      throw new Error(`connections of the loops after ${ALL_SERVE_WITHIN_MS} ms: ${connections}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function oneDeath(server: Server, client: CheckedRows, loops: number): Promise<void> {
  const busyBefore = new BusyTime(server.pid);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  busyBefore.sample();
  const before = client.counts;
  const connectionsBefore = (await metricsOf(server)).each('pointlake_connections');
  const at = client.rates().length;
  process.kill(server.pid, 'SIGUSR2');
  await new Promise((resolve) => setTimeout(resolve, BACK_WITHIN_MS));
  const busyAfter = new BusyTime(server.pid);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  busyAfter.sample();
  const rates = client.rates();
  const connections = (await metricsOf(server)).each('pointlake_connections');
  const usual = spread(rates.slice(at - 20, at)).median;
  const after = rates.slice(at);
  const lowest = Math.min(...after);
  // From its first tenth of a second on for three of them.
  const backAt = after.findIndex((_, i) => {
    const next = after.slice(i, i + 3);
    return i >= after.indexOf(lowest) && next.length === 3 && spread(next).median >= BACK_SHARE * usual;
  });
  const { right, wrong, failed } = client.counts;
  const counts = [right - before.right, wrong - before.wrong, failed - before.failed];
  const backMs = backAt < 0 ? Number.POSITIVE_INFINITY : 100 * backAt;
  console.log(
    `${String(loops).padStart(5)} | ${counts.join(', ').padEnd(20)} | ${connectionsBefore.join(' ')}, ${connections.join(' ')} | ${usual.toFixed(0)} | ${lowest.toFixed(0)} | ${backMs} ms`,
  );
  const inFlight = connectionsBefore[1] ?? 0;
  must(
    `failed requests with ${loops} loops: ${failed - before.failed} of ${inFlight} connections of that thread`,
    failed - before.failed <= inFlight,
  );
  const isBack = backMs <= BACK_WITHIN_MS;
  must(`the rate with ${loops} loops is back after ${backMs} ms (goal ${BACK_WITHIN_MS})`, isBack);
  // Whether it was the server or the machine: a rate that went up and down before, too, says the machine.
  if (!isBack) {
    const thousands = (perSecond: readonly number[]) => perSecond.map((rate) => Math.round(rate / 1000)).join(' ');
    console.log(`  thousands a second by tenths: ${thousands(rates.slice(at - 20, at))} | ${thousands(after)}`);
    console.log(`  loops had ${busyBefore.share.toFixed(2)} cores before it, ${busyAfter.share.toFixed(2)} at the end`);
  }
}

function must(what: string, holds: boolean): void {
  if (holds) return;
  missed += 1;
  console.log(`MISSED: ${what}`);
}
