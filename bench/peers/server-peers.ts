/** The servers: Pointlake, Redis and a bare route, each on one core under load from another, all in the same rounds. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { typicalAnswer, untilLoaded } from '../harness/served-rows.ts';
import { type Server, startBareRoute, startPointlake } from '../harness/servers.ts';
import { type LoadResult, runScript, runWrk } from '../harness/wrk.ts';
import { bytesOnDisk } from './peer.ts';
import type { RoundResult } from './peer-process.ts';
import { memoryBytesFor } from './pointlake-peers.ts';
import { measureRedis, REDIS_PIPELINE, type RedisServer } from './redis.ts';
import type { Measured } from './report.ts';
import { residentBytes } from './running-peer.ts';
import { FEW, type Layout, parquetPath, type Row } from './table.ts';

const SERVER_CORE = 0;
const CLIENT_CORE = 1;
const CONNECTIONS = 16;
const KEYS_A_BATCH = 100;
/** What redis-benchmark is asked for in place of a time: about what a core of it does. */
const REDIS_PER_SECOND = { single: 50_000, pipelined: 300_000 };
const ROWS_PATH = '/v1/tables/rows/rows/';

export interface ServerRun {
  readonly folder: string;
  readonly layout: Layout;
  readonly rows: number;
  /** Before those that count: code is compiled meanwhile, and caches fill. */
  readonly warmRounds: number;
  readonly rounds: number;
  readonly seconds: number;
  /** Undefined where there is none. */
  readonly redis: RedisServer | undefined;
  /** Holds Pointlake's answers against those of all others. */
  readonly check: (name: string, row: (id: number) => Promise<Row>) => Promise<void>;
}

export async function measureServers(run: ServerRun): Promise<readonly Measured[]> {
  const folder = mkdtempSync(join(tmpdir(), 'pointlake-peers-'));
  const servers: Server[] = [];
  try {
    const parquet = parquetPath(run.folder, run.layout);
    const config = join(folder, 'pointlake.yaml');
    const cache = `cache: { memory: ${memoryBytesFor(run.rows)} }`;
    writeFileSync(config, `${cache}\ntables:\n  rows: { source: ${JSON.stringify(parquet)}, key: id, preload: all }\n`);
    const started = performance.now();
    const pointlake = await startPointlake(config, SERVER_CORE);
    servers.push(pointlake);
    await untilLoaded(pointlake.origin, 'rows');
    const loadMs = performance.now() - started;
    await run.check(
      'pointlake over HTTP',
      async (id) => (await fetched(`${pointlake.origin}${ROWS_PATH}${id}`)) as Row,
    );
    const { headers, body } = await typicalAnswer(`${pointlake.origin}${ROWS_PATH}`, run.rows - 1);
    const bare = await startBareRoute(headers, body, SERVER_CORE);
    servers.push(bare);
    const measured = linesOf(run, pointlake, bare, loadMs, bytesOnDisk(parquet));
    for (let round = 0; round < run.warmRounds; round++) {
      for (const line of measured) await line.measure(-round);
    }
    for (let round = 0; round < run.rounds; round++) {
      for (const line of round % 2 === 0 ? measured : measured.toReversed())
        line.rounds.push(await line.measure(round + 1));
    }
    return measured.map((line) => ({ ...line, cachedShare: undefined, residentBytes: residentBytes(line.pid) }));
  } finally {
    for (const server of servers) await server.stop();
    rmSync(folder, { recursive: true });
  }
}

interface Line extends Omit<Measured, 'residentBytes' | 'cachedShare' | 'rounds'> {
  readonly pid: number;
  readonly rounds: RoundResult[];
  readonly measure: (seed: number) => Promise<RoundResult>;
}

function linesOf(run: ServerRun, pointlake: Server, bare: Server, loadMs: number, diskBytes: number): readonly Line[] {
  const { rows, seconds, redis } = run;
  const load = { connections: CONNECTIONS, seconds };
  const rowLoad = (server: Server) => async (seed: number) =>
    asRound(
      await runWrk({ ...load, origin: server.origin, pathBeforeKey: ROWS_PATH, lastKey: rows - 1, seed }, CLIENT_CORE),
    );
  const batchArgs = (seed: number) => [
    '/v1/tables/rows/lookup',
    rows - 1,
    seed,
    KEYS_A_BATCH,
    JSON.stringify(FEW),
    'application/json',
  ];
  const batch = async (seed: number) => {
    const script = { script: 'random-batches.lua', scriptArgs: batchArgs(seed).map(String) };
    return asRound(await runScript({ ...load, origin: pointlake.origin, ...script }, CLIENT_CORE), KEYS_A_BATCH);
  };
  const redisLoad = (server: RedisServer, isPipelined: boolean) => () => {
    const perSecond = isPipelined ? REDIS_PER_SECOND.pipelined : REDIS_PER_SECOND.single;
    return measureRedis(
      server,
      { rows, connections: CONNECTIONS, requests: perSecond * seconds, isPipelined },
      CLIENT_CORE,
    );
  };
  const ours = { pid: pointlake.pid, loadMs, diskBytes };
  const theirs = redis && { pid: redis.pid, loadMs: redis.loadMs, diskBytes: undefined };
  const lines: Omit<Line, 'rounds'>[] = [
    { name: 'pointlake over HTTP', answers: 'row of 24', ...ours, measure: rowLoad(pointlake) },
    ...(redis && theirs
      ? [{ name: 'Redis HGETALL', answers: 'row of 24', ...theirs, measure: redisLoad(redis, false) }]
      : []),
    {
      name: 'bare Fastify route',
      answers: 'same size',
      pid: bare.pid,
      loadMs: undefined,
      diskBytes: undefined,
      measure: rowLoad(bare),
    },
    { name: `pointlake, batches of ${KEYS_A_BATCH}`, answers: '4 columns', ...ours, measure: batch },
    ...(redis && theirs
      ? [
          {
            name: `Redis HMGET, pipeline of ${REDIS_PIPELINE}`,
            answers: '4 fields',
            ...theirs,
            measure: redisLoad(redis, true),
          },
        ]
      : []),
  ];
  return lines.map((line) => ({ ...line, rounds: [] }));
}

/** A batch counts as its keys; its time is that of the whole, as redis-benchmark tells that of a whole pipeline. */
function asRound({ requestsPerSecond, p50Us, p99Us }: LoadResult, keys = 1): RoundResult {
  return { perSecond: requestsPerSecond * keys, p50Us, p99Us, lookups: Number.POSITIVE_INFINITY };
}

async function fetched(url: string): Promise<unknown> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}
