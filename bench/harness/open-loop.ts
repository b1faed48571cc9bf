/**
 * Rows asked for at a constant rate, whatever becomes of those before (the open loop of `src/bench`), by a client of little
 * more than sockets in a process of its own on a core of its own. Latencies count from the intended start, so that a stall shows in all requests
 * that waited behind it; the rest of that core is spent on waiting for the next start without sleeping.
 *
 *     node open-loop.ts load '{"origin":...}'       one load; its result as JSON
 *     node open-loop.ts echo BYTES                  a server that does nothing, by which the client's own ceiling is measured
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Done, type LoadPlan, monotonicClock, outcomeOf, runLoad, type Sender } from '../../src/bench/index.ts';

export interface PacedLoad {
  readonly origin: string;
  readonly pathBeforeKey: string;
  readonly pathAfterKey: string;
  /** Keys are 1 to this. */
  readonly lastKey: number;
  readonly connections: number;
  /** Requests a second; undefined: one after the other on each connection. */
  readonly rate: number | undefined;
  readonly seconds: number;
  readonly seed: number;
}

export interface PacedResult {
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  /** Share of its time that the client was busy itself. */
  readonly clientBusy: number;
}

/** Until the client's own code is compiled: while it is, its compiler takes the core from it, milliseconds at a time. */
const WARMUP_MS = 3000;
const SPIN_MS = 1.5;
const TIMEOUT_MS = 10_000;
/**
 * A pause of the client's own would be taken for one of the server: it collects seldom, and V8's other threads, which would have no core but
 * its own, are not used.
 */
const SELDOM_PAUSING = ['--max-semi-space-size=64', '--single-threaded'];
/** For all connections: a new buffer for each piece has to be collected, half a millisecond at a time. */
const readInto = Buffer.allocUnsafeSlow(64 * 1024);
const HEAD_END = '\r\n\r\n';

/** Throws where a request failed or was never sent. */
export async function runPaced(load: PacedLoad, core: number): Promise<PacedResult> {
  const child = start(['load', JSON.stringify(load)], core);
  const line = await firstLine(child);
  return JSON.parse(line) as PacedResult;
}

/** The client by itself, asking a server that does nothing but write so many bytes. */
export interface ClientAlone {
  /** As fast as it goes: what the client can ask at all. */
  readonly ceiling: PacedResult;
  /** What it asked: at a rate it shows what client and kernel add to every latency. */
  readonly server: { readonly name: string; readonly origin: string };
  stop(): void;
}

export async function clientAlone(
  load: Omit<PacedLoad, 'origin' | 'rate'>,
  bytes: number,
  serverCore: number,
  core: number,
): Promise<ClientAlone> {
  const echo = start(['echo', String(bytes)], serverCore);
  const origin = `http://127.0.0.1:${await firstLine(echo)}`;
  return {
    ceiling: await runPaced({ ...load, origin, rate: undefined }, core),
    server: { name: 'does nothing', origin },
    stop: () => echo.kill('SIGKILL'),
  };
}

function start(args: readonly string[], core: number): ChildProcess {
  const program = [process.execPath, ...SELDOM_PAUSING, fileURLToPath(import.meta.url), ...args];
  const child = spawn('taskset', ['-c', String(core), ...program], { stdio: ['ignore', 'pipe', 'inherit'] });
  const killIfLeft = () => child.kill('SIGKILL');
  process.once('exit', killIfLeft);
  child.once('exit', () => process.off('exit', killIfLeft));
  return child;
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('its output was not asked for');
  const ended = once(child, 'close').then(([status]) => {
    throw new Error(`the paced load or its server ended with status ${status}`);
  });
  const [line] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended]);
  ended.catch(() => undefined);
  return line as string;
}

async function runHere({
  origin,
  rate,
  connections,
  seconds,
  seed,
  lastKey,
  ...path
}: PacedLoad): Promise<PacedResult> {
  const plan: LoadPlan = {
    keys: { kind: 'range', first: 1, count: lastKey },
    distribution: { kind: 'uniform' },
    absentShare: 0,
    batch: 0,
    connections,
    threads: 1,
    rate,
    warmupMs: WARMUP_MS,
    durationMs: seconds * 1000,
    intervalMs: seconds * 1000,
    timeoutMs: TIMEOUT_MS,
    seed,
  };
  const sender = await RowSender.connect(origin, path, connections);
  const record = await runLoad(plan, { part: 0, parts: 1 }, sender, { clock: monotonicClock, spinMs: SPIN_MS });
  await sender.close();
  const about = { target: origin, checked: undefined, ceiling: undefined, isInProcess: false };
  const { result } = outcomeOf(plan, [record], about);
  if (result.failed + result.unexpected + result.not_sent > 0) throw new Error(result.warnings.join('; '));
  const at = (percentile: string) => result.latency_us.percentiles[percentile] ?? Number.NaN;
  return {
    requestsPerSecond: result.requests_per_second,
    p50Us: at('50'),
    p99Us: at('99'),
    p999Us: at('99.9'),
    maxUs: result.latency_us.max,
    clientBusy: record.busyShare,
  };
}

interface Lane {
  readonly socket: Socket;
  done: Done | undefined;
  status: string;
  bytes: number;
  bytesLeft: number;
}

/** Knows answers of these benches only: a head in one piece with a length in it, then the body. */
class RowSender implements Sender {
  readonly #lanes: readonly Lane[];
  readonly #before: string;
  readonly #after: string;

  static async connect(origin: string, path: Pick<PacedLoad, 'pathBeforeKey' | 'pathAfterKey'>, count: number) {
    const { hostname, port, host } = new URL(origin);
    const lanes = Array.from({ length: count }, () => laneTo(hostname, Number(port)));
    await Promise.all(lanes.map(({ socket }) => once(socket, 'connect')));
    return new RowSender(lanes, host, path);
  }

  private constructor(
    lanes: readonly Lane[],
    host: string,
    { pathBeforeKey, pathAfterKey }: Pick<PacedLoad, 'pathBeforeKey' | 'pathAfterKey'>,
  ) {
    this.#before = `GET ${pathBeforeKey}`;
    this.#after = `${pathAfterKey} HTTP/1.1\r\nHost: ${host}${HEAD_END}`;
    this.#lanes = lanes;
  }

  send(at: number, [key]: readonly string[], done: Done): void {
    const lane = this.#lanes[at];
    if (lane === undefined) throw new Error(`there is no lane ${at}`);
    lane.done = done;
    lane.socket.write(this.#before + key + this.#after, 'latin1');
  }

  async close(): Promise<void> {
    for (const { socket } of this.#lanes) socket.destroy();
  }
}

function laneTo(hostname: string, port: number): Lane {
  const callback = (length: number) => {
    received(lane, readInto.subarray(0, length));
    return true;
  };
  const socket = connect({ host: hostname, port, noDelay: true, onread: { buffer: readInto, callback } });
  const lane: Lane = { socket, done: undefined, status: '', bytes: 0, bytesLeft: 0 };
  socket.on('error', () => settle(lane, 'broken'));
  socket.on('close', () => settle(lane, 'broken'));
  return lane;
}

function received(lane: Lane, chunk: Buffer): void {
  if (lane.bytesLeft === 0) {
    const end = chunk.indexOf(HEAD_END);
    const head = chunk.toString('latin1', 0, end);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (end < 0 || length === undefined) {
      settle(lane, 'broken');
      return;
    }
    lane.status = head.slice(9, 12);
    lane.bytes = Number(length);
    lane.bytesLeft = lane.bytes - (chunk.length - end - HEAD_END.length);
  } else {
    lane.bytesLeft -= chunk.length;
  }
  if (lane.bytesLeft === 0) settle(lane, lane.status === '200' ? 'found' : 'refused');
}

function settle(lane: Lane, kind: 'found' | 'refused' | 'broken'): void {
  const { done } = lane;
  lane.done = undefined;
  done?.(kind, lane.status, lane.bytes);
}

/** Each piece that comes is a request, since its client asks one at a time on a connection. */
function echo(bytes: number): void {
  const answer = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes}${HEAD_END}${'x'.repeat(bytes)}`);
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', () => socket.write(answer));
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    console.log(typeof address === 'object' && address !== null ? address.port : 0);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [what, arg = ''] = process.argv.slice(2);
  if (what === 'echo') echo(Number(arg));
  else console.log(JSON.stringify(await runHere(JSON.parse(arg) as PacedLoad)));
}
