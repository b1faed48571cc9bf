/**
 * Pointlake beside other ways to find a row by its key, in one run on the same rows: 24 columns, 20 of them doubles, three strings,
 * one of about 200 characters.
 *
 *     npm run bench -- peers [--small | --ci] [--rows N] [--layouts sorted,shuffled,sorted-small-pages,shuffled-small-pages]
 *                            [--only "pointlake,DuckDB on Parquet"]      of those in process; no servers then
 *
 * Servers are pinned to one core and asked from the other over 16 connections: HTTP by wrk, Redis by redis-benchmark. Libraries run
 * in a process each, with the settings of memory that a server of ours has, asked by one client, one key after another, and may use both cores; their files are read.
 * Servers and libraries are asked for a while before they are measured, and `cached` says how much of its files was in the page cache at the end. The Parquet files are
 * sorted by key and shuffled, as DuckDB writes them and with pages of 16 KiB. Before anything is timed the answers of all
 * are compared, exact doubles included. What cannot be had here, or has no room in memory beside the others, is named as missing, but for Pointlake itself. The data and the copies that other
 * stores keep are made once, under datasets/data/peers, and what a copy took to make is noted beside it.
 */

import { createHash } from 'node:crypto';
import { availableParallelism, cpus, freemem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomNumbers } from './harness/access-traces.ts';
import { PEERS } from './peers/all-peers.ts';
import { installPackages } from './peers/installed.ts';
import type { Peer, PeerFiles } from './peers/peer.ts';
import type { RoundResult } from './peers/peer-process.ts';
import { memoryBytesFor, peers as pointlake } from './peers/pointlake-peers.ts';
import { type RedisServer, startRedis } from './peers/redis.ts';
import { printMissing, printTable } from './peers/report.ts';
import { RunningPeer } from './peers/running-peer.ts';
import { measureServers } from './peers/server-peers.ts';
import { canonical, LAYOUTS, type Layout, makeTable, parquetPath, type Row } from './peers/table.ts';

interface Size {
  readonly rows: number;
  readonly rounds: number;
  /** Of a round of a peer in process, and of a server, whose load takes whole ones. */
  readonly seconds: number;
  readonly serverSeconds: number;
  /** Of a peer in process, before its first round. */
  readonly warmSeconds: number;
  /** Of a server, likewise. */
  readonly warmRounds: number;
  readonly comparedKeys: number;
  readonly comparedWithinMs: number;
  /** Of which files servers answer. */
  readonly served: readonly Layout[];
}

const FULL: Size = {
  rows: 10_000_000,
  rounds: 5,
  seconds: 2,
  warmSeconds: 15,
  warmRounds: 4,
  serverSeconds: 3,
  comparedKeys: 1000,
  comparedWithinMs: 60_000,
  served: LAYOUTS,
};
const SMALL: Size = {
  rows: 100_000,
  rounds: 1,
  seconds: 0.3,
  warmSeconds: 0.3,
  warmRounds: 1,
  serverSeconds: 1,
  comparedKeys: 100,
  comparedWithinMs: 6_000,
  served: LAYOUTS,
};
/** Within a minute: that all answer, and the same. Its figures say nothing. */
const CI: Size = {
  rows: 20_000,
  rounds: 1,
  seconds: 0.05,
  warmSeconds: 0.05,
  warmRounds: 0,
  serverSeconds: 1,
  comparedKeys: 100,
  comparedWithinMs: 2_000,
  served: ['shuffled-small-pages'],
};

const size = process.argv.includes('--ci') ? CI : process.argv.includes('--small') ? SMALL : FULL;
const rowsFlag = process.argv.indexOf('--rows');
const ROWS = rowsFlag > 0 ? Number(process.argv[rowsFlag + 1]) : size.rows;
const layoutsFlag = process.argv.indexOf('--layouts');
const layouts = layoutsFlag > 0 ? layoutsNamed(process.argv[layoutsFlag + 1] ?? '') : undefined;
const onlyFlag = process.argv.indexOf('--only');
const inProcess = onlyFlag > 0 ? peersNamed(process.argv[onlyFlag + 1] ?? '') : PEERS;
const { rounds: ROUNDS, seconds: SECONDS, serverSeconds: SERVER_SECONDS, warmSeconds: WARM_SECONDS } = size;
const { comparedKeys: COMPARED_KEYS, comparedWithinMs: COMPARED_WITHIN_MS } = size;
/** What a peer is asked for that would take longer for all. */
const FEW_KEYS = 3;
const SEED = 2026;

if (!Number.isSafeInteger(ROWS) || ROWS < 1000) throw new Error('--rows takes a whole number from 1000 on');
if (availableParallelism() < 2) throw new Error('this bench needs two cores, one for a server and one for the load');

const folder = fileURLToPath(new URL(`../datasets/data/peers/${ROWS}`, import.meta.url));
const random = randomNumbers(SEED);
const comparedIds = Array.from({ length: COMPARED_KEYS }, () => random() % ROWS);
/** By how many keys it is of; the first to answer sets it, and all others are held against it. */
const digests = new Map<number, { readonly digest: string; readonly of: string }>();
const comparedByFew = new Set<string>();

installPackages();
// Copies are made from the sorted one.
await makeTable(folder, ROWS, layouts && [...new Set<Layout>(['sorted', ...layouts])]);
console.log(
  `${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; ${ROWS} rows x 24 columns, uniform random keys`,
);
console.log(`medians of ${ROUNDS} interleaved rounds [min to max]`);
if (onlyFlag < 0) await compareServers();
await compareInProcess();
console.log(`\nanswers to the same ${COMPARED_KEYS} keys are equal; digest ${digests.get(COMPARED_KEYS)?.digest}`);
if (comparedByFew.size > 0) console.log(`of the first ${FEW_KEYS} only, being slow: ${[...comparedByFew].join(', ')}`);

async function compareServers(): Promise<void> {
  let redis: RedisServer | undefined;
  try {
    redis = await startRedis(parquetPath(folder, 'sorted'), 0);
    await check('Redis', redis.row);
    assertRoom();
  } catch (thrown) {
    await redis?.stop();
    redis = undefined;
    printMissing('Redis', thrown);
  }
  try {
    for (const layout of layouts ?? size.served) {
      const run = {
        folder,
        layout,
        rows: ROWS,
        warmRounds: size.warmRounds,
        rounds: ROUNDS,
        seconds: SERVER_SECONDS,
        redis,
        check,
      };
      printTable(`servers, 16 connections; Parquet ${layout}`, await measureServers(run));
    }
  } finally {
    await redis?.stop();
  }
}

async function check(name: string, row: (id: number) => Promise<Row>): Promise<void> {
  const hash = createHash('sha256');
  for (const id of comparedIds) hash.update(canonical(await row(id)));
  agree(name, comparedIds.length, hash.digest('hex').slice(0, 16));
}

function agree(name: string, keys: number, digest: string): void {
  const known = digests.get(keys);
  if (known === undefined) digests.set(keys, { digest, of: name });
  else if (known.digest !== digest)
    throw new Error(`of the same ${keys} keys, ${name} and ${known.of} answer differently`);
}

/** Copies do not depend on the layout, so that their processes stay for all layouts; the readers of a layout end with it. */
async function compareInProcess(): Promise<void> {
  const copies = inProcess.filter((peer) => peer.convert !== undefined);
  const readers = inProcess.filter((peer) => peer.convert === undefined);
  const kept = await startPeers(copies, LAYOUTS[0]);
  try {
    for (const layout of layouts ?? LAYOUTS) {
      const running = await startPeers(readers, layout);
      try {
        await measureLayout(layout, [...running, ...kept]);
      } finally {
        for (const peer of running) await peer.stop();
      }
    }
  } finally {
    for (const peer of kept) await peer.stop();
  }
}

/** Those that can be had here; the others are named with the reason. What is ours can always be had. */
async function startPeers(peers: readonly Peer[], layout: Layout): Promise<readonly RunningPeer[]> {
  const running: RunningPeer[] = [];
  for (const peer of peers) {
    const own = join(folder, 'copies', peer.name.replaceAll(/\W+/g, '-'));
    const files = { folder, layout, parquet: parquetPath(folder, layout), own, rows: ROWS };
    const started = await startPeer(peer, files).catch((thrown) => {
      if (peer === pointlake[0]) throw thrown;
      printMissing(peer.name, thrown);
    });
    if (started === undefined) continue;
    running.push(started);
    await comparePeer(started, pointlake.includes(peer));
  }
  return running;
}

async function startPeer(peer: Peer, files: PeerFiles): Promise<RunningPeer> {
  if (pointlake.includes(peer)) assertRoom();
  return RunningPeer.start(peer, files);
}

/** That one more process may hold all rows decoded: what is swapped out, or leaves the page cache, is not measured. */
function assertRoom(): void {
  const wanted = memoryBytesFor(ROWS);
  const free = freemem();
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
  if (free < wanted) throw new Error(`beside the others, ${gib(wanted)} GiB are not free but ${gib(free)}`);
}

function layoutsNamed(names: string): readonly Layout[] {
  const asked = names.split(',');
  const unknown = asked.find((name) => !LAYOUTS.some((layout) => layout === name));
  if (unknown !== undefined) throw new Error(`--layouts takes ${LAYOUTS.join(', ')}; not ${JSON.stringify(unknown)}`);
  return LAYOUTS.filter((layout) => asked.includes(layout));
}

/** Names may have a comma and a space within them. */
function peersNamed(names: string): readonly Peer[] {
  const asked = names.split(/,(?! )/);
  const unknown = asked.find((name) => !PEERS.some((peer) => peer.name === name));
  if (unknown !== undefined) {
    throw new Error(`--only takes ${PEERS.map(({ name }) => name).join(',')}; not ${JSON.stringify(unknown)}`);
  }
  return PEERS.filter(({ name }) => asked.includes(name));
}

interface Measuring {
  readonly peer: RunningPeer;
  readonly rounds: RoundResult[];
  hasFailed: boolean;
}

async function measureLayout(layout: Layout, peers: readonly RunningPeer[]): Promise<void> {
  const all = peers.map((peer): Measuring => ({ peer, rounds: [], hasFailed: false }));
  for (const one of all) await orMissing(one, () => one.peer.warm(WARM_SECONDS, SEED - 1));
  for (let round = 0; round < ROUNDS; round++) {
    for (const one of round % 2 === 0 ? all : all.toReversed()) {
      await orMissing(one, async () => void one.rounds.push(await one.peer.round(SECONDS, SEED + round)));
    }
  }
  const running = all.filter(({ hasFailed }) => !hasFailed);
  const measured = running.map(({ peer, rounds }) => {
    const { name, answers, loadMs, diskBytes } = peer;
    const cached = { cachedShare: peer.cachedShare(), residentBytes: peer.residentBytes() };
    return { name, answers, loadMs, diskBytes, ...cached, rounds };
  });
  printTable(`in process, one client; Parquet ${layout}`, measured);
}

/** What fails while it is measured, out of memory for example, is missing from then on; what is ours must not. */
async function orMissing(one: Measuring, measure: () => Promise<void>): Promise<void> {
  if (one.hasFailed) return;
  try {
    await measure();
  } catch (thrown) {
    if (one.peer.name === pointlake[0]?.name) throw thrown;
    one.hasFailed = true;
    printMissing(one.peer.name, thrown);
  }
}

/** A first few keys, then as many as all others where the peer answers them in the time there is for it, or is ours. */
async function comparePeer(peer: RunningPeer, isOurs: boolean): Promise<void> {
  const few = comparedIds.slice(0, FEW_KEYS);
  const started = performance.now();
  agree(peer.name, few.length, await peer.digest(few));
  const keyMs = (performance.now() - started) / few.length;
  if (!isOurs && keyMs * comparedIds.length > COMPARED_WITHIN_MS) comparedByFew.add(peer.name);
  else agree(peer.name, comparedIds.length, await peer.digest(comparedIds));
}
