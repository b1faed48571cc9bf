/**
 * Batches over HTTP: 100 random keys a request, all in memory, of 4 and of 24 columns, beside a bare Fastify route that
 * answers a fixed body of the same size, as JSON and as Arrow, and of 4 columns beside a real Redis that has the same rows as hashes
 * and is asked by HMGET, a hundred on their way; then what batches do to single rows. Server on one core, load on the other,
 * where the client of single rows goes before that of batches: else its times are those of its own turns.
 *
 *     npm run bench -- batch [--small]
 *
 * `kept` has the rows among the encoded ones; `blocks` gives memory for hardly any of them, so that rows are written from
 * blocks. A sample of the answers is compared with what the same server says of each key alone.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { tableFromIPC } from 'apache-arrow';
import { ByteWriter, parquetWrite } from 'hyparquet-writer';
import { randomNumbers } from './harness/access-traces.ts';
import { BusyTime } from './harness/busy-time.ts';
import { range, spread } from './harness/rounds.ts';
import { type Server, startBareRoute, startPointlake } from './harness/servers.ts';
import { type LoadResult, mayGoFirst, runScript, runWrk } from './harness/wrk.ts';
import { measureRedis, type RedisRow, type RedisServer, startRedisOf } from './peers/redis.ts';

const isSmall = process.argv.includes('--small');
const ROWS = isSmall ? 20_000 : 100_000;
const ROUNDS = isSmall ? 1 : 3;
/** Of single rows beside batches: a p99 of seconds is often the machine's own. */
const BESIDE_ROUNDS = isSmall ? 1 : 5;
const SECONDS = isSmall ? 1 : 2;
const KEYS = 100;
const CONNECTIONS = 8;
const SEED = 24;
/** To see how fast Redis is here. */
const REDIS_REQUESTS_FIRST = 100_000;
const SERVER_CORE = 0;
const CLIENT_CORE = 1;
const FEW = ['id', 'feature_0', 'feature_1', 'city'];
const JSON_TYPE = 'application/json';
const ARROW_TYPE = 'application/vnd.apache.arrow.stream';

interface Shape {
  readonly name: string;
  readonly columns: readonly string[] | undefined;
  readonly accept: string;
  readonly table: string;
  /** Rows a second. */
  readonly goal: number;
  readonly isBesideRedis: boolean;
}

/** Of single rows beside batches. */
const SINGLE_P99_MS = 5;
const SINGLE_CONNECTIONS = 4;

interface Goal {
  readonly what: string;
  readonly measured: string;
  readonly isMet: boolean;
}
const goals: Goal[] = [];

if (availableParallelism() < 2) throw new Error('this bench needs two cores, one for the server and one for the load');
const columns = columnsOf();
const folder = mkdtempSync(join(tmpdir(), 'pointlake-batch-'));
try {
  await run();
} finally {
  rmSync(folder, { recursive: true });
}
judge();

async function run(): Promise<void> {
  const file = join(folder, 'rows.parquet');
  writeTable(file);
  const server = await startPointlake(configOf(file), SERVER_CORE);
  const redis = await redisOfRows();
  try {
    const heading = `${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}`;
    console.log(`${heading}; ${ROWS} rows, ${KEYS} uniform random keys a request, ${CONNECTIONS} connections\n`);
    console.log(
      '                             | rows/s     [min to max]         | p50 us | p99 us | CPU us a row | bytes',
    );
    for (const shape of shapes()) await compare(server, shape, shape.isBesideRedis ? redis : undefined);
    await redis?.stop();
    await beside(server);
  } finally {
    await redis?.stop();
    await server.stop();
  }
}

function shapes(): readonly Shape[] {
  const of = (name: string, accept: string, goal: number, columns?: readonly string[]) => ({
    name,
    columns,
    accept,
    table: 'rows',
    goal,
    isBesideRedis: columns !== undefined,
  });
  return [
    of('JSON, 4 columns', JSON_TYPE, 500_000, FEW),
    of('JSON, 24 columns', JSON_TYPE, 200_000),
    of('Arrow, 4 columns', ARROW_TYPE, 750_000, FEW),
    of('Arrow, 24 columns', ARROW_TYPE, 400_000),
  ];
}

function configOf(file: string): string {
  const path = join(folder, 'pointlake.yaml');
  const memory = process.env.BATCH_MEMORY ?? '2GiB';
  writeFileSync(path, `cache: { memory: ${memory} }\ntables:\n  rows: { source: ${file}, key: id }\n`);
  return path;
}

/** Every row once, then rounds of ours, of a bare route that answers the same body, and of Redis. */
async function compare(server: Server, shape: Shape, redis: RedisServer | undefined): Promise<void> {
  const answer = await warm(server, shape);
  const headers = { 'content-type': answer.type, 'pointlake-snapshot': '0123456789abcdef', vary: 'accept' };
  const bare = await startBareRoute(headers, 'x'.repeat(answer.body.length), SERVER_CORE);
  try {
    await load(server, shape, 0);
    await load(bare, shape, 0);
    const requests = redis === undefined ? 0 : (await loadRedis(redis, REDIS_REQUESTS_FIRST)).perSecond * SECONDS;
    const ours: Measured[] = [];
    const yardstick: Measured[] = [];
    const theirs: RedisRound[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      ours.push(await load(server, shape, round));
      yardstick.push(await load(bare, shape, round));
      if (redis !== undefined) theirs.push(await loadRedis(redis, Math.ceil(requests)));
    }
    print(`${shape.name}, pointlake`, ours, answer.body.length);
    print(`${shape.name}, bare route`, yardstick, answer.body.length);
    if (redis !== undefined) printRedis(theirs);
    const ratios = ours.map((one, i) => one.requestsPerSecond / (yardstick[i]?.requestsPerSecond ?? Number.NaN));
    console.log(`${' '.repeat(28)} | ${spread(ratios).median.toFixed(2)} of the bare route; digest ${answer.digest}\n`);
    judgeRates(shape, ours, theirs);
  } finally {
    await bare.stop();
  }
}

function judgeRates(
  { name, goal, isBesideRedis }: Shape,
  ours: readonly Measured[],
  theirs: readonly RedisRound[],
): void {
  const perSecond = ours.map(({ requestsPerSecond }) => requestsPerSecond * KEYS);
  const { median } = spread(perSecond);
  goals.push({ what: `${name}: at least ${goal} rows/s`, measured: median.toFixed(0), isMet: median >= goal });
  if (!isBesideRedis) return;
  const ratio = spread(perSecond.map((rate, i) => rate / (theirs[i]?.perSecond ?? Number.NaN))).median;
  const measured = Number.isNaN(ratio) ? 'not measured: no Redis here' : `${ratio.toFixed(2)} times as many`;
  goals.push({ what: `${name}: as many rows/s as Redis' HMGET`, measured, isMet: ratio >= 1 });
}

/** To say what was reached, and not to fail where it is small. */
function judge(): void {
  console.log('\n| goal | measured | |\n| :--- | :--- | :--- |');
  for (const { what, measured, isMet } of goals) console.log(`| ${what} | ${measured} | ${isMet ? 'met' : 'MISSED'} |`);
  const missed = goals.filter(({ isMet }) => !isMet);
  for (const { what, measured } of missed) console.log(`MISSED: ${what}: ${measured}`);
  if (missed.length > 0 && !isSmall) process.exitCode = 1;
}

type RedisRound = Awaited<ReturnType<typeof measureRedis>>;

function loadRedis(redis: RedisServer, requests: number): Promise<RedisRound> {
  return measureRedis(
    redis,
    { rows: ROWS, connections: CONNECTIONS, requests, isPipelined: true, fields: FEW },
    CLIENT_CORE,
  );
}

function printRedis(rounds: readonly RedisRound[]): void {
  const { median, min, max } = spread(rounds.map(({ perSecond }) => perSecond));
  const of = (pick: (round: RedisRound) => number) => spread(rounds.map(pick)).median;
  const rates = `${median.toFixed(0)} [${min.toFixed(0)} to ${max.toFixed(0)}]`;
  const latency = `${of((round) => round.p50Us)
    .toFixed(0)
    .padStart(6)} | ${of((round) => round.p99Us)
    .toFixed(0)
    .padStart(6)}`;
  const cpu = of(({ serverBusy, perSecond }) => (serverBusy * 1e6) / perSecond).toFixed(2);
  console.log(`${'Redis HMGET, 4 fields'.padEnd(28)} | ${rates.padEnd(31)} | ${latency} | ${cpu.padStart(12)} |`);
}

/** A Redis with the same rows, compared with them; undefined where there is none here, which the goals then say. */
async function redisOfRows(): Promise<RedisServer | undefined> {
  const isHere = spawnSync('sh', ['-c', 'command -v redis-server && command -v redis-benchmark']).status === 0;
  if (!isHere) {
    console.log('not measured: Redis, which is not installed (Debian: apt-get install redis-server redis-tools)');
    return undefined;
  }
  const redis = await startRedisOf(redisRows(), SERVER_CORE);
  for (let id = 0; id < ROWS; id += Math.ceil(ROWS / KEYS)) {
    const texts = await redis.fields(id, FEW);
    const isSame = FEW.every(
      (name, i) => texts[i] === String(columns.find((column) => column.name === name)?.data[id]),
    );
    if (!isSame) throw new Error(`Redis answers otherwise than the rows that it was given: ${texts.join(', ')}`);
  }
  return redis;
}

function* redisRows(): Generator<RedisRow> {
  for (let id = 0; id < ROWS; id++) {
    yield { id, fields: columns.flatMap(({ name, data }) => [name, String(data[id])]) };
  }
}

interface Measured extends LoadResult {
  readonly cpuUsARow: number;
}

async function load(server: Server, { table, columns, accept }: Shape, seed: number): Promise<Measured> {
  const busy = new BusyTime(server.pid);
  const result = await runScript(
    {
      script: 'random-batches.lua',
      scriptArgs: [
        `/v1/tables/${table}/lookup`,
        String(ROWS - 1),
        String(seed),
        String(KEYS),
        columns === undefined ? 'all' : JSON.stringify(columns),
        accept,
      ],
      origin: server.origin,
      connections: CONNECTIONS,
      seconds: SECONDS,
    },
    CLIENT_CORE,
  );
  busy.sample();
  return { ...result, cpuUsARow: (busy.share * 1e6) / (result.requestsPerSecond * KEYS) };
}

function print(name: string, rounds: readonly Measured[], bytes: number): void {
  const { median, min, max } = spread(rounds.map(({ requestsPerSecond }) => requestsPerSecond * KEYS));
  const of = (pick: (round: Measured) => number) => spread(rounds.map(pick)).median;
  const rates = `${median.toFixed(0)} [${min.toFixed(0)} to ${max.toFixed(0)}]`;
  const latency = `${String(of((round) => round.p50Us)).padStart(6)} | ${String(of((round) => round.p99Us)).padStart(6)}`;
  const cpu = of((round) => round.cpuUsARow).toFixed(2);
  console.log(`${name.padEnd(28)} | ${rates.padEnd(31)} | ${latency} | ${cpu.padStart(12)} | ${bytes}`);
}

/** Single rows alone, and while batches run. */
async function beside(server: Server): Promise<void> {
  const singles = {
    pathBeforeKey: '/v1/tables/rows/rows/',
    lastKey: ROWS - 1,
    seed: 1,
    connections: SINGLE_CONNECTIONS,
    seconds: SECONDS,
  };
  if (!mayGoFirst)
    console.log(
      '(both clients share a core in turns, since chrt is not allowed here: waits of singles include theirs)',
    );
  const measure = () => runWrk({ ...singles, origin: server.origin }, CLIENT_CORE, true);
  const alone: LoadResult[] = [];
  const together = shapes().map((shape) => ({ shape, rounds: [] as LoadResult[] }));
  for (let round = 0; round < BESIDE_ROUNDS; round++) {
    alone.push(await measure());
    for (const { shape, rounds } of together) {
      const [single] = await Promise.all([measure(), load(server, shape, round + 1)]);
      rounds.push(single);
    }
  }
  console.log(`single rows, ${SINGLE_CONNECTIONS} connections, alone: ${waits(alone)}`);
  for (const { shape, rounds } of together) {
    console.log(`beside ${CONNECTIONS} batch clients of ${shape.name}: ${waits(rounds)}`);
    const p99Us = spread(rounds.map((round) => round.p99Us)).median;
    goals.push({
      what: `single rows beside ${CONNECTIONS} batch clients of ${shape.name}: p99 under ${SINGLE_P99_MS} ms`,
      measured: `${(p99Us / 1000).toFixed(2)} ms`,
      isMet: p99Us < SINGLE_P99_MS * 1000,
    });
  }
}

/** Medians of rounds, and their extremes. */
function waits(rounds: readonly LoadResult[]): string {
  const of = (pick: (round: LoadResult) => number) => range(rounds.map(pick), 0);
  return `p50 ${of((round) => round.p50Us)}, p99 ${of((round) => round.p99Us)} us`;
}

interface Answer {
  readonly body: Buffer;
  readonly type: string;
  readonly digest: string;
}

/** Reads every row once, and compares a sample with what each key answers alone. */
async function warm(server: Server, { table, columns, accept }: Shape): Promise<Answer> {
  const lookup = async (keys: readonly number[]) => {
    const answer = await fetch(`${server.origin}/v1/tables/${table}/lookup`, {
      method: 'POST',
      headers: { 'content-type': JSON_TYPE, accept },
      body: JSON.stringify({ keys, ...(columns && { columns }) }),
    });
    if (!answer.ok) throw new Error(`a batch answered ${answer.status}: ${await answer.text()}`);
    return { body: Buffer.from(await answer.arrayBuffer()), type: answer.headers.get('content-type') ?? '' };
  };
  for (let first = 0; first < ROWS; first += 1000) await lookup(Array.from({ length: 1000 }, (_, i) => first + i));
  const random = randomNumbers(SEED + 1);
  const keys = Array.from({ length: KEYS }, () => random() % ROWS);
  const answer = await lookup(keys);
  const query = columns === undefined ? '' : `?columns=${columns.join(',')}`;
  const rows = await Promise.all(
    keys.map(async (key) => (await fetch(`${server.origin}/v1/tables/${table}/rows/${key}${query}`)).text()),
  );
  const said = accept === ARROW_TYPE ? arrowRows(answer.body) : jsonRows(answer.body);
  if (!isDeepStrictEqual(said, rows.map(plainRow))) throw new Error('a batch answers otherwise than its keys alone');
  return { ...answer, digest: createHash('sha256').update(answer.body).digest('hex').slice(0, 16) };
}

function jsonRows(body: Buffer): readonly unknown[] {
  const { results } = JSON.parse(body.toString()) as { readonly results: readonly { readonly row: unknown }[] };
  return results.map(({ row }) => row);
}

function arrowRows(body: Buffer): readonly unknown[] {
  return tableFromIPC(body)
    .toArray()
    .map((row) => {
      const {
        pointlake_key: _key,
        pointlake_status: _status,
        pointlake_error: _error,
        ...values
      } = row.toJSON() as Record<string, unknown>;
      return { ...values, id: Number(values.id) };
    });
}

function plainRow(text: string): unknown {
  return JSON.parse(text);
}

/** The rows, column by column. */
function columnsOf() {
  const random = randomNumbers(SEED);
  const options = { encoding: 'PLAIN', nullable: false, columnIndex: true, offsetIndex: true } as const;
  const doubles = Array.from({ length: 20 }, (_, i) => ({
    name: `feature_${i}`,
    data: Float64Array.from({ length: ROWS }, () => random() / 2 ** 32 + i),
    type: 'DOUBLE' as const,
    ...options,
  }));
  const strings = (name: string, text: (row: number) => string) => ({
    name,
    data: Array.from({ length: ROWS }, (_, row) => text(row)),
    type: 'STRING' as const,
    ...options,
  });
  const ids = BigInt64Array.from({ length: ROWS }, (_, row) => BigInt(row));
  return [
    { name: 'id', data: ids, type: 'INT64' as const, ...options },
    ...doubles,
    strings('city', (row) => `city ${row % 977}`),
    strings('device', () => `device-${random() % 1000}`),
    strings('plan', (row) => ['free', 'team', 'enterprise'][row % 3] ?? ''),
  ];
}

function writeTable(path: string): void {
  const writer = new ByteWriter();
  parquetWrite({ writer, columnData: columns, codec: 'UNCOMPRESSED', rowGroupSize: 50_000, pageSize: 2 ** 18 });
  writeFileSync(path, writer.getBytes());
}
