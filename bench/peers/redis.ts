/**
 * A real Redis with every row as a hash, and its own load generator. Keys are `row:` and twelve digits, which is the form that
 * redis-benchmark draws at random.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { BusyTime } from '../harness/busy-time.ts';
import { freePort } from '../harness/servers.ts';
import type { RoundResult } from './peer-process.ts';
import { COLUMNS, chunksOf, FEW, type Row, rowAt } from './table.ts';

/** Names and texts of a row's fields, by turns, and the number that it is found by. */
export interface RedisRow {
  readonly id: number;
  readonly fields: readonly string[];
}

const READY_WITHIN_MS = 10_000;
const ROWS_A_WRITE = 500;
export const REDIS_PIPELINE = 100;

/** Hashes of this many fields, and values this long, stay in the compact form. */
const COMPACT = ['--hash-max-listpack-entries', '128', '--hash-max-listpack-value', '512'];

export interface RedisServer {
  readonly pid: number;
  readonly port: number;
  readonly loadMs: number;
  row(id: number): Promise<Row>;
  /** As it answers what `measureRedis` asks. */
  fields(id: number, names: readonly string[]): Promise<readonly (string | null)[]>;
  stop(): Promise<void>;
}

/** Starts a Redis without persistence on `core` and fills it from a Parquet file of the peers' table. */
export function startRedis(parquet: string, core: number): Promise<RedisServer> {
  return startRedisOf(rowsOfParquet(parquet), core);
}

/** The same of any rows. */
export async function startRedisOf(
  rows: Iterable<RedisRow> | AsyncIterable<RedisRow>,
  core: number,
): Promise<RedisServer> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...COMPACT];
  const child = spawn('taskset', ['-c', String(core), 'redis-server', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const client = await connected(child, port);
  const started = performance.now();
  let commands: string[][] = [];
  for await (const { id, fields } of rows) {
    commands.push(['HSET', keyOf(id), ...fields]);
    if (commands.length < ROWS_A_WRITE) continue;
    await client.ask(commands);
    commands = [];
  }
  if (commands.length > 0) await client.ask(commands);
  return {
    pid: child.pid ?? 0,
    port,
    loadMs: performance.now() - started,
    async row(id) {
      const [fields] = await client.ask([['HGETALL', keyOf(id)]]);
      return rowOf(fields as readonly string[]);
    },
    async fields(id, names) {
      const [texts] = await client.ask([['HMGET', keyOf(id), ...names]]);
      return texts as readonly (string | null)[];
    },
    async stop() {
      client.end();
      const exited = once(child, 'exit');
      if (child.exitCode === null && child.kill('SIGKILL')) await exited;
    },
  };
}

async function* rowsOfParquet(parquet: string): AsyncGenerator<RedisRow> {
  for await (const chunk of chunksOf(parquet)) {
    for (let at = 0; at < chunk.ids.length; at++) {
      const row = rowAt(chunk, at);
      yield { id: Number(row.id), fields: COLUMNS.flatMap((name) => [name, String(row[name])]) };
    }
  }
}

function keyOf(id: number): string {
  return `row:${String(id).padStart(12, '0')}`;
}

function rowOf(fields: readonly string[]): Row {
  const row: Record<string, unknown> = {};
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    row[name] = name === 'id' || /^f\d+$/.test(name) ? Number(fields[i + 1]) : fields[i + 1];
  }
  return row;
}

/** redis-benchmark on a core of its own: all fields of a row, or four of them with a hundred commands on their way. */
export async function measureRedis(
  server: RedisServer,
  load: {
    readonly rows: number;
    readonly connections: number;
    readonly requests: number;
    readonly isPipelined: boolean;
    /** What is asked for where it is pipelined. */
    readonly fields?: readonly string[];
  },
  core: number,
): Promise<RoundResult & { readonly serverBusy: number; readonly serverCpuUs: number }> {
  const { rows, connections, requests, isPipelined, fields = FEW } = load;
  const command = isPipelined ? ['HMGET', 'row:__rand_int__', ...fields] : ['HGETALL', 'row:__rand_int__'];
  const fixed = [
    '-h',
    '127.0.0.1',
    '-p',
    String(server.port),
    '-c',
    String(connections),
    '-n',
    String(requests),
    '-r',
    String(rows),
  ];
  const args = [...fixed, '-P', String(isPipelined ? REDIS_PIPELINE : 1), '--csv', ...command];
  const busy = new BusyTime(server.pid);
  const child = spawn('taskset', ['-c', String(core), 'redis-benchmark', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [status] = await once(child, 'close');
  busy.sample();
  const [names, values] = output
    .trim()
    .split('\n')
    .slice(-2)
    .map((line) => line.split(',').map((cell) => cell.replaceAll('"', '')));
  const field = (name: string) => Number(values?.[names?.indexOf(name) ?? -1]);
  const [perSecond, p50, p99] = [field('rps'), field('p50_latency_ms'), field('p99_latency_ms')];
  if (status !== 0 || ![perSecond, p50, p99].every(Number.isFinite)) {
    throw new Error(`redis-benchmark ended with status ${status}:\n${output}`);
  }
  const serverCpuUs = (busy.cpuSeconds * 1e6) / requests;
  return { perSecond, p50Us: p50 * 1000, p99Us: p99 * 1000, lookups: requests, serverBusy: busy.share, serverCpuUs };
}

async function connected(child: ChildProcess, port: number): Promise<RespClient> {
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const deadline = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return new RespClient(socket);
    } catch {
      socket.destroy();
    }
    if (failure !== undefined) throw failure;
    if (child.exitCode !== null)
      throw new Error(`redis-server ended with status ${child.exitCode}; Debian: apt-get install redis-server`);
    if (performance.now() > deadline) throw new Error(`redis-server did not listen within ${READY_WITHIN_MS} ms`);
    await sleep(50);
  }
}

type Reply = string | null | readonly Reply[];

/** As much of Redis' protocol as is needed to fill it and to compare its answers; what is timed is asked by redis-benchmark. */
class RespClient {
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket.setNoDelay(true);
  }

  /** Sends commands in one write; resolves with a reply for each. One call at a time. */
  ask(commands: readonly (readonly string[])[]): Promise<readonly Reply[]> {
    const text = commands
      .map(
        (words) => `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`,
      )
      .join('');
    return new Promise((resolve, reject) => {
      let bytes: Buffer = Buffer.alloc(0);
      const settle = (settled: () => void) => {
        this.#socket.removeAllListeners();
        settled();
      };
      this.#socket.on('error', (error) => settle(() => reject(error)));
      this.#socket.on('close', () => settle(() => reject(new Error('Redis closed the connection'))));
      this.#socket.on('data', (more: Buffer) => {
        bytes = Buffer.concat([bytes, more]);
        try {
          const replies = parseReplies(bytes, commands.length);
          if (replies !== undefined) settle(() => resolve(replies));
        } catch (error) {
          settle(() => reject(error));
        }
      });
      this.#socket.write(text);
    });
  }

  end(): void {
    this.#socket.destroy();
  }
}

/** So many replies, or undefined while they are not all there. */
function parseReplies(bytes: Buffer, count: number): readonly Reply[] | undefined {
  let at = 0;
  const incomplete = Symbol('incomplete');
  const parse = (): Reply => {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) throw incomplete;
    const line = bytes.toString('utf8', at + 1, end);
    const kind = String.fromCharCode(bytes[at]!);
    at = end + 2;
    if (kind === '+' || kind === ':') return line;
    if (kind === '*') return Array.from({ length: Number(line) }, parse);
    if (kind !== '$') throw new Error(`Redis answered ${kind}${line}`);
    const length = Number(line);
    if (length < 0) return null;
    if (bytes.length < at + length + 2) throw incomplete;
    at += length + 2;
    return bytes.toString('utf8', at - length - 2, at - 2);
  };
  try {
    return Array.from({ length: count }, parse);
  } catch (thrown) {
    if (thrown === incomplete) return undefined;
    throw thrown;
  }
}
