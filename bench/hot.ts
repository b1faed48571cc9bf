/**
 * Hot rows over HTTP: uniformly random rows of 24 columns, all kept encoded, beside a bare Fastify route that answers a fixed text of
 * the median size with the same headers, and beside a real Redis that has every row as a hash. Servers on one core, load on
 * the other, rounds interleaved; then the same at a constant rate.
 *
 *     npm run bench -- hot [--small] [--rounds N]
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Goals } from './harness/goals.ts';
import { comparePaced } from './harness/paced-rounds.ts';
import {
  byProcessorTime,
  type Contender,
  disturbance,
  type Given,
  givenIn,
  httpRound,
  inTurns,
  mostGiven,
  type Round,
  ratios,
  roundsWanted,
} from './harness/rounds.ts';
import { printHeading, printRounds } from './harness/rounds-table.ts';
import { compareAnswers, comparedKeys, fetchedRow } from './harness/same-answers.ts';
import { countsSince, servedCounts, typicalAnswer } from './harness/served-rows.ts';
import { type Server, startBareRoute, startPointlake } from './harness/servers.ts';
import { measureRedis, type RedisServer, startRedis } from './peers/redis.ts';
import { makeTable, parquetPath, rowsOf } from './peers/table.ts';

const isSmall = process.argv.includes('--small');
const ROWS = isSmall ? 20_000 : 100_000;
const CONNECTIONS = isSmall ? [16] : [1, 16, 64];
const ROUNDS = roundsWanted(isSmall ? 2 : 7);
const SECONDS = isSmall ? 1 : 3;
const COMPARED = isSmall ? 200 : 1000;
const PACED_CONNECTIONS = 64;
const SERVER_CORE = 0;
const CLIENT_CORE = 1;
const KEYS_A_BATCH = 1000;
/** A row that was kept once and not asked for again may leave; twice, and it stays where there is room. */
const WARM_UPS_MAX = 6;
const LAST_KEY = ROWS - 1;
const ROWS_PATH = '/v1/tables/rows/rows/';
const GOALS = { rate: 0.88, rateStretch: 0.95, p50: 1.35, redis: 0.75, redisStretch: 0.9 };

if (availableParallelism() < 2) throw new Error('this bench needs two cores, one for the server and one for the load');
const data = fileURLToPath(new URL(`../datasets/data/peers/${ROWS}`, import.meta.url));
const parquet = parquetPath(data, 'sorted-small-pages');
await makeTable(data, ROWS, ['sorted-small-pages']);
const folder = mkdtempSync(join(tmpdir(), 'pointlake-hot-'));
const stops: (() => Promise<void>)[] = [];
const goals = new Goals();
try {
  await run();
} finally {
  for (const stop of stops) await stop();
  rmSync(folder, { recursive: true });
}
goals.report(isSmall);

async function run(): Promise<void> {
  const expected = await rowsOf(parquet, comparedKeys(LAST_KEY, COMPARED));
  const config = join(folder, 'pointlake.yaml');
  const table = `rows: { source: ${JSON.stringify(parquet)}, key: id }`;
  writeFileSync(config, `cache: { memory: 1GiB, rows: 256MiB }\ntables:\n  ${table}\n`);
  const pointlake = await startPointlake(config, SERVER_CORE);
  stops.push(pointlake.stop);
  await keepAll(pointlake.origin);
  const digest = await compareAnswers(expected, (key) => fetchedRow(`${pointlake.origin}${ROWS_PATH}${key}`));
  const { headers, body } = await typicalAnswer(`${pointlake.origin}${ROWS_PATH}`, LAST_KEY);
  const bare = await startBareRoute(headers, body, SERVER_CORE);
  stops.push(bare.stop);
  const redis = await redisWithRows();
  if (redis !== undefined && digest !== (await compareAnswers(expected, redis.row)))
    throw new Error('Redis has other rows');

  const machine = `${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}`;
  console.log(`${machine}; ${new Date().toISOString().slice(0, 10)}`);
  console.log(
    `${ROWS} rows x 24 columns, uniform random keys, rows kept encoded; answers of ${body.length} bytes (median)`,
  );
  console.log(`${expected.size} answers equal a plain read, and Redis' where there is one; digest ${digest}`);
  console.log(`${ROUNDS} interleaved rounds of ${SECONDS} s; median [min to max]; ratios round by round\n`);
  const before = await servedCounts(pointlake.origin);
  const given: Given[] = [];
  printHeading();
  for (const connections of CONNECTIONS) given.push(await compareClosed(pointlake, bare, redis, connections));
  const load = { pathBeforeKey: ROWS_PATH, pathAfterKey: '', lastKey: LAST_KEY };
  await comparePaced(
    pointlake,
    bare,
    {
      what: 'kept',
      load: { ...load, connections: PACED_CONNECTIONS, seconds: SECONDS },
      saturatedPerSecond: mostGiven(given),
      bodyBytes: body.length,
      rounds: ROUNDS,
      serverCore: SERVER_CORE,
      clientCore: CLIENT_CORE,
    },
    goals,
  );
  const { kept, notKept } = countsSince(before, await servedCounts(pointlake.origin));
  console.log(`${kept} lookups meanwhile were answered from rows that are kept, ${notKept} were not\n`);
  if (notKept > 0) throw new Error('not all rows were kept: these figures are not of what they say');
}

async function compareClosed(
  pointlake: Server,
  bare: Server,
  redis: RedisServer | undefined,
  connections: number,
): Promise<Given> {
  const http = (server: Server, seconds: number): Contender<Round> => {
    const load = { pathBeforeKey: ROWS_PATH, lastKey: LAST_KEY, connections, seconds };
    return { name: server.name, measure: (seed) => httpRound(server, { ...load, seed }, CLIENT_CORE) };
  };
  await inTurns([http(pointlake, 1), http(bare, 1)], 1);
  const contenders = [http(pointlake, SECONDS), http(bare, SECONDS)];
  if (redis !== undefined) contenders.push(await redisContender(redis, connections));
  const results = await inTurns(contenders, ROUNDS);
  printRounds(
    connections,
    contenders.map(({ name }, at) => ({ name, rounds: results[at] ?? [] })),
  );
  const [ours = [], theirs = [], hashes] = results;
  const rates = (others: readonly Round[]) => ratios(ours, others, (round) => round.requestsPerSecond);
  const at = `kept, ${connections} connection${connections === 1 ? '' : 's'}`;
  if (connections === 1) {
    const p50 = ratios(ours, theirs, (round) => round.p50Us);
    goals.atMost(`${at}, p50 / bare route's`, p50, GOALS.p50);
  } else {
    const beside = { note: byProcessorTime(ours, theirs), disturbed: disturbance(ours, theirs) };
    goals.atLeast(`${at}, rate / bare route's`, rates(theirs), GOALS.rate, { ...beside, stretch: GOALS.rateStretch });
  }
  const what = `${at}, rate / Redis HGETALL's`;
  if (hashes === undefined) {
    goals.notMeasured(what, 'there is no Redis');
  } else {
    // One connection leaves every server idle in between; redis-benchmark, not Redis, may be what limits the other.
    const disturbed = connections === 1 ? undefined : disturbance(ours);
    const beside = { note: byProcessorTime(ours, hashes), stretch: GOALS.redisStretch, disturbed };
    goals.atLeast(what, rates(hashes), GOALS.redis, beside);
  }
  return givenIn(ours, theirs);
}

/** redis-benchmark is told how many to ask, not for how long: a first short run says what it manages. */
async function redisContender(redis: RedisServer, connections: number): Promise<Contender<Round>> {
  const load = { rows: ROWS, connections, isPipelined: false };
  const first = await measureRedis(redis, { ...load, requests: connections === 1 ? 5000 : 30_000 }, CLIENT_CORE);
  const requests = Math.max(1000, Math.round(first.perSecond * SECONDS));
  return {
    name: 'Redis HGETALL',
    measure: async () => {
      const { perSecond, ...round } = await measureRedis(redis, { ...load, requests }, CLIENT_CORE);
      return { ...round, requestsPerSecond: perSecond, clientBusy: undefined };
    },
  };
}

async function redisWithRows(): Promise<RedisServer | undefined> {
  try {
    const redis = await startRedis(parquet, SERVER_CORE);
    stops.push(redis.stop);
    return redis;
  } catch (thrown) {
    console.log(`without Redis: ${(thrown as Error).message}`);
    return undefined;
  }
}

/** Asks for every row until all of them are answered from those that are kept. */
async function keepAll(origin: string): Promise<void> {
  for (let pass = 0; pass < WARM_UPS_MAX; pass++) {
    const before = await servedCounts(origin);
    for (let first = 1; first <= LAST_KEY; first += KEYS_A_BATCH) await askBatch(origin, first);
    const { kept, notKept } = countsSince(before, await servedCounts(origin));
    if (kept === LAST_KEY && notKept === 0) return;
  }
  throw new Error(`not all rows are kept after each was asked for ${WARM_UPS_MAX} times`);
}

async function askBatch(origin: string, first: number): Promise<void> {
  const keys = Array.from({ length: Math.min(KEYS_A_BATCH, LAST_KEY - first + 1) }, (_, i) => first + i);
  const answer = await fetch(`${origin}/v1/tables/rows/lookup`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ keys }),
  });
  if (!answer.ok) throw new Error(`warming up answered ${answer.status}: ${await answer.text()}`);
  const { results } = (await answer.json()) as { readonly results: readonly { readonly status: string }[] };
  const missing = results.find(({ status }) => status !== 'found');
  if (missing !== undefined) throw new Error(`warming up found ${JSON.stringify(missing)}`);
}
