/**
 * Warm lookups over HTTP: everything on local disk, nothing in memory, uniformly random keys. Two million rows of 25 columns
 * (20 doubles, 3 strings, a key, a timestamp), beside the same rows all in memory, in alternating rounds.
 *
 *     npm run bench -- warm [--small]
 *
 * It fails where a row differs from a plain read, where anything is fetched from the source after the restart, or where
 * the p50 of a row is a millisecond or more. The bytes on disk are in the page cache, but for the last rounds, before each
 * of which they are dropped from it.
 */

import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BusyTime } from './harness/busy-time.ts';
import { dropFromPageCache } from './harness/page-cache.ts';
import { spread } from './harness/rounds.ts';
import { type Latencies, measureRows } from './harness/row-client.ts';
import { type Server, startPointlake } from './harness/servers.ts';
import { comparableRow, WIDE_COLUMNS, wideRowsAsJson, writeWideRows } from './harness/wide-rows.ts';

const isSmall = process.argv.includes('--small');
const ROWS = isSmall ? 200_000 : 2_000_000;
const ROUNDS = isSmall ? 1 : 3;
const SECONDS = isSmall ? 1 : 2;
const CHECKED = 500;
const UNFETCHED = 10_000;
const P50_US_MAX = 1000;
const SEED = 20_261_123;
const [SERVER_CORE, CLIENT_CORE] = [0, 1];
const WIDE = '';
const NARROW = '?columns=d3,s0,made';

interface Counts {
  readonly written: number;
  readonly dropped: number;
  readonly reads: number;
  readonly reads_in_threads: number;
  readonly sectors: number;
  readonly bytes_read: number;
  readonly invalid: number;
  readonly faults: number;
}

if (availableParallelism() < 2) throw new Error('this bench needs two cores, one for the server and one for the load');
execFileSync('taskset', ['-apc', String(CLIENT_CORE), String(process.pid)]);
const folder = mkdtempSync(join(tmpdir(), 'pointlake-warm-'));
let missed = 0;
let state = SEED;
try {
  await run();
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = missed > 0 ? 1 : 0;

async function run(): Promise<void> {
  const source = join(folder, 't.parquet');
  await writeWideRows(source, 0, ROWS);
  console.log(
    `${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; ${ROWS} rows x ${WIDE_COLUMNS} columns`,
  );
  const onDisk = configFor('warm', '32MiB', true);
  await fill(onDisk);
  await firstAnswers(onDisk);
  const warm = await startPointlake(onDisk, SERVER_CORE);
  const hot = await startPointlake(configFor('hot', '3GiB', false), SERVER_CORE);
  await readAll(hot);
  await unfetched(warm);
  console.log(`${CHECKED} rows of each equal a plain read: ${await compare(source, [warm, hot])}\n`);
  console.log(
    'columns | connections | server | page cache |   p50 us |   p95 us |   p99 us | requests/s | CPU us | reads | sectors | bytes a lookup',
  );
  for (const columns of [WIDE, NARROW]) {
    for (const connections of isSmall ? [16] : [1, 16]) await compareRounds(warm, hot, columns, connections);
  }
  await droppedRounds(warm);
  await requireNoGets(warm);
  await warm.stop();
  await hot.stop();
}

function configFor(name: string, memory: string, hasDisk: boolean): string {
  const path = join(folder, `${name}.yaml`);
  const disk = hasDisk ? ', disk: { path: ./cache, size: 4GiB }' : '';
  // The load asks for 100,000 keys again and again: kept rows would answer without the disk.
  const cache = `cache: { memory: ${memory}, rows: 0${disk} }`;
  writeFileSync(path, `${cache}\ntables:\n  t: { source: t.parquet, key: id }\n`);
  return path;
}

/** A generator of its own, so that two runs ask for the same keys. */
function drawKey(): number {
  state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
  return state % ROWS;
}

function pathOf(key: number, columns = ''): string {
  return `/v1/tables/t/rows/${key}${columns}`;
}

async function ask(server: Server, path: string): Promise<unknown> {
  const answer = await fetch(`${server.origin}${path}`);
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

interface Description {
  readonly storage: { readonly bytes: number };
  readonly cache: { readonly disk: Counts };
  readonly files: { readonly first: readonly { readonly row_groups: number }[] };
}

async function describe(server: Server): Promise<Description> {
  return (await ask(server, '/v1/tables/t')) as Description;
}

/** Reads one row of each row group, whose pages are then decoded whole, and waits until all of that is on disk. */
async function fill(config: string): Promise<void> {
  const server = await startPointlake(config, SERVER_CORE);
  const rowGroups = (await describe(server)).files.first[0]?.row_groups ?? 0;
  for (let group = 0; group < rowGroups; group++) {
    await ask(server, pathOf(Math.floor(((group + 0.5) * ROWS) / rowGroups)));
    for (let before = -1, now = 0; now !== before; ) {
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 50));
      now = (await describe(server)).cache.disk.written;
    }
  }
  const { written, dropped } = (await describe(server)).cache.disk;
  await server.stop();
  console.log(`filled: ${rowGroups} row groups, ${written} blocks on disk`);
  must(`every block is on disk: ${dropped} were dropped`, dropped === 0);
}

/** From the start of the process to the first row. */
async function firstAnswers(config: string): Promise<void> {
  const took: number[] = [];
  const bin = fileURLToPath(new URL('../bin/pointlake.js', import.meta.url));
  for (let round = 0; round < (isSmall ? 1 : 5); round++) {
    const port = 20_000 + (process.pid % 20_000) + round;
    const started = performance.now();
    const args = [bin, 'serve', '--config', config, '--port', String(port)];
    const child = spawn('taskset', ['-c', String(SERVER_CORE), process.execPath, ...args], { stdio: 'ignore' });
    const url = `http://127.0.0.1:${port}${pathOf(drawKey())}`;
    while (!(await fetch(url).catch(() => undefined))?.ok) await new Promise((resolve) => setTimeout(resolve, 2));
    took.push(performance.now() - started);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }
  const { median, min, max } = spread(took);
  console.log(
    `first row ${median.toFixed(0)} ms after the start of the process [${min.toFixed(0)} to ${max.toFixed(0)}]`,
  );
}

/** A row of each block twice over, so that all are in memory. */
async function readAll(server: Server): Promise<void> {
  const keys = Array.from({ length: Math.ceil(ROWS / 1024) }, (_, i) => i * 1024);
  for (let first = 0; first < keys.length; first += 500) {
    const body = JSON.stringify({ keys: keys.slice(first, first + 500) });
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
    const answer = await fetch(`${server.origin}/v1/tables/t/lookup`, init);
    if (!answer.ok) throw new Error(`warming up answered ${answer.status}: ${await answer.text()}`);
    await answer.arrayBuffer();
  }
}

/** The first lookups after the restart, in batches. */
async function unfetched(server: Server): Promise<void> {
  for (let done = 0; done < UNFETCHED; done += 500) {
    const body = JSON.stringify({ keys: Array.from({ length: 500 }, drawKey) });
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
    const answer = await fetch(`${server.origin}/v1/tables/t/lookup`, init);
    const { results } = (await answer.json()) as { results: { status: string }[] };
    if (results.some(({ status }) => status !== 'found')) throw new Error('a row was not found');
  }
  await requireNoGets(server, `of the first ${UNFETCHED} lookups`);
}

async function requireNoGets(server: Server, of = 'of all lookups'): Promise<void> {
  const { storage, cache } = await describe(server);
  // A listing brings no bytes; a GET does.
  must(`bytes fetched by GETs ${of} after the restart: ${storage.bytes}`, storage.bytes === 0);
  must(
    `frames that were invalid: ${cache.disk.invalid}; faults: ${cache.disk.faults}`,
    cache.disk.invalid + cache.disk.faults === 0,
  );
}

/** Rows of random keys against DuckDB's; the digest is of the answers. */
async function compare(source: string, servers: readonly Server[]): Promise<string> {
  const keys = Array.from({ length: CHECKED }, drawKey);
  const expected = await wideRowsAsJson([source], keys);
  const digest = createHash('sha256');
  for (const server of servers) {
    for (const key of keys) {
      const answered = comparableRow(await ask(server, pathOf(key)));
      const plain = expected.get(key);
      if (answered !== plain) throw new Error(`key ${key} answered ${answered}, a plain read gives ${plain}`);
      digest.update(answered);
    }
  }
  return digest.digest('hex').slice(0, 16);
}

async function compareRounds(warm: Server, hot: Server, columns: string, connections: number): Promise<void> {
  const rounds: { readonly warm: Measured; readonly hot: Measured }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const first = await measure(round % 2 === 0 ? warm : hot, columns, connections, SECONDS);
    const second = await measure(round % 2 === 0 ? hot : warm, columns, connections, SECONDS);
    rounds.push(round % 2 === 0 ? { warm: first, hot: second } : { warm: second, hot: first });
  }
  print(
    columns,
    connections,
    'warm',
    'full',
    rounds.map((round) => round.warm),
  );
  print(
    columns,
    connections,
    'hot',
    '',
    rounds.map((round) => round.hot),
  );
  const ratio = spread(rounds.map((round) => round.warm.p50Us / round.hot.p50Us));
  console.log(
    `        p50 of warm is ${ratio.median.toFixed(2)} times that of hot [${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)}]`,
  );
  const p50 = spread(rounds.map((round) => round.warm.p50Us)).median;
  must(`p50 ${p50} us, less than ${P50_US_MAX}`, p50 < P50_US_MAX);
}

/** Each round begins with nothing of the slabs in the page cache, and is short, since it fills it. */
async function droppedRounds(warm: Server): Promise<void> {
  for (const connections of [1, 16]) {
    const rounds: Measured[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      dropFromPageCache(join(folder, 'cache', 'blocks'));
      rounds.push(await measure(warm, WIDE, connections, 1));
    }
    print(WIDE, connections, 'warm', 'dropped', rounds);
  }
}

interface Measured extends Latencies {
  readonly cpuUs: number;
  readonly reads: number;
  readonly aside: number;
  readonly sectors: number;
  readonly bytes: number;
}

async function measure(server: Server, columns: string, connections: number, seconds: number): Promise<Measured> {
  const before = (await describe(server)).cache.disk as Counts | undefined;
  const busy = new BusyTime(server.pid);
  const latencies = await measureRows(server.origin, () => pathOf(drawKey(), columns), connections, seconds);
  busy.sample();
  const after = (await describe(server)).cache.disk as Counts | undefined;
  const lookups = latencies.requestsPerSecond * seconds;
  const a = (count: (counts: Counts) => number) => (after && before ? (count(after) - count(before)) / lookups : 0);
  return {
    ...latencies,
    cpuUs: (busy.share * 1e6) / latencies.requestsPerSecond,
    reads: a((counts) => counts.reads),
    aside: a((counts) => counts.reads_in_threads),
    sectors: a((counts) => counts.sectors),
    bytes: a((counts) => counts.bytes_read),
  };
}

function print(columns: string, connections: number, server: string, pages: string, rounds: readonly Measured[]): void {
  const median = (of: (one: Measured) => number, digits = 0) => spread(rounds.map(of)).median.toFixed(digits);
  const cells = [
    (columns === WIDE ? String(WIDE_COLUMNS) : '3').padStart(7),
    String(connections).padStart(11),
    server.padEnd(6),
    pages.padEnd(10),
    median((one) => one.p50Us).padStart(8),
    median((one) => one.p95Us).padStart(8),
    median((one) => one.p99Us).padStart(8),
    median((one) => one.requestsPerSecond).padStart(10),
    median((one) => one.cpuUs).padStart(6),
    `${median((one) => one.reads, 1)} (${median((one) => one.aside, 1)} in threads)`,
    median((one) => one.sectors, 1).padStart(7),
    median((one) => one.bytes),
  ];
  console.log(cells.join(' | '));
}

function must(what: string, holds: boolean): void {
  if (!holds) missed += 1;
  console.log(`${holds ? 'ok    ' : 'MISSED'} ${what}`);
}
