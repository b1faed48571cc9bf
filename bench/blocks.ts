/**
 * Rows over HTTP that are not kept encoded: found and written from blocks, all of which are in memory, of uniformly random keys over far more rows
 * than any cache of encoded ones holds. All 24 columns, four of them, and all with floats of 32 bits in place of doubles, each
 * beside a bare Fastify route that answers a fixed text of that length with the same headers. Servers on one core, load
 * on the other, rounds interleaved; then the same at a constant rate.
 *
 *     npm run bench -- blocks [--small | --rows N] [--rounds N] [--cache-rows SIZE]
 *
 * No row is kept (`cache.rows: 0`), unless `--cache-rows` says how much memory for them there is: the share of lookups
 * that were answered from there is told, and above a hundredth the figures are none of blocks.
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
import { countsSince, type ServedCounts, servedCounts, typicalAnswer, untilLoaded } from './harness/served-rows.ts';
import { type Server, startBareRoute, startPointlake } from './harness/servers.ts';
import { residentBytes } from './peers/running-peer.ts';
import { COLUMNS, FEW, makeFloats, makeTable, parquetPath, type Row, rowsOf } from './peers/table.ts';

const isSmall = process.argv.includes('--small');
const ROWS = Number(flag('--rows') ?? (isSmall ? 20_000 : 10_000_000));
const CACHE_ROWS = flag('--cache-rows') ?? '0';
const CONNECTIONS = isSmall ? [16] : [16, 64];
const ROUNDS = roundsWanted(isSmall ? 2 : 7);
const SECONDS = isSmall ? 1 : 3;
const COMPARED = isSmall ? 200 : 500;
const PACED_CONNECTIONS = 64;
const SERVER_CORE = 0;
const CLIENT_CORE = 1;
/** Room for the decoded blocks of a row, what is known of them, and what of `cache.memory` is for pages on their way. */
const MEMORY_A_ROW = 1000;
const MEMORY_MIN = 512 * 2 ** 20;
/** Of all lookups, those that may have been answered from encoded rows. */
const KEPT_MAX = 0.01;
const LAST_KEY = ROWS - 1;
const ROWS_PATH = '/v1/tables/rows/rows/';

interface Shape {
  readonly name: string;
  readonly columns: readonly string[];
  readonly least: number;
  readonly stretch?: number;
}

const DOUBLES: readonly Shape[] = [
  { name: '24 columns', columns: COLUMNS, least: 0.6, stretch: 0.8 },
  { name: '4 columns', columns: FEW, least: 0.8, stretch: 0.9 },
];
const FLOATS: readonly Shape[] = [{ name: '24 columns, floats', columns: COLUMNS, least: 0.5 }];

if (!Number.isSafeInteger(ROWS) || ROWS < 1000) throw new Error('--rows takes a whole number from 1000 on');
if (availableParallelism() < 2) throw new Error('this bench needs two cores, one for the server and one for the load');
const data = fileURLToPath(new URL(`../datasets/data/peers/${ROWS}`, import.meta.url));
await makeTable(data, ROWS, ['sorted-small-pages']);
const floats = await makeFloats(data, ROWS);
const folder = mkdtempSync(join(tmpdir(), 'pointlake-blocks-'));
const goals = new Goals();
console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; ${today()}`);
console.log(`${ROWS} rows x 24 columns, uniform random keys, all blocks in memory; cache.rows ${CACHE_ROWS}`);
console.log(`${ROUNDS} interleaved rounds of ${SECONDS} s; median [min to max]; ratios round by round`);
try {
  await measureTable(parquetPath(data, 'sorted-small-pages'), DOUBLES, (row) => row);
  await measureTable(floats, FLOATS, shortest);
} finally {
  rmSync(folder, { recursive: true });
}
goals.report(isSmall);

/** One server at a time, since each holds the whole table. */
async function measureTable(parquet: string, shapes: readonly Shape[], asAnswered: (row: Row) => Row): Promise<void> {
  const read = await rowsOf(parquet, comparedKeys(LAST_KEY, COMPARED));
  const expected = new Map([...read].map(([key, row]) => [key, asAnswered(row)]));
  const config = join(folder, 'pointlake.yaml');
  const cache = `cache: { memory: ${Math.max(MEMORY_MIN, ROWS * MEMORY_A_ROW)}, rows: ${CACHE_ROWS} }`;
  writeFileSync(config, `${cache}\ntables:\n  rows: { source: ${JSON.stringify(parquet)}, key: id, preload: all }\n`);
  const started = performance.now();
  const pointlake = await startPointlake(config, SERVER_CORE);
  try {
    await untilLoaded(pointlake.origin, 'rows');
    const { blocksEvicted } = await servedCounts(pointlake.origin);
    if (blocksEvicted > 0) throw new Error(`${blocksEvicted} blocks left memory while the table was loaded`);
    const loadSeconds = (performance.now() - started) / 1000;
    const resident = (residentBytes(pointlake.pid) / 2 ** 30).toFixed(2);
    console.log(`\nloaded in ${loadSeconds.toFixed(1)} s; ${resident} GiB resident`);
    for (const shape of shapes) await measureShape(pointlake, shape, expected);
  } finally {
    await pointlake.stop();
  }
}

async function measureShape(pointlake: Server, shape: Shape, expected: ReadonlyMap<number, Row>): Promise<void> {
  const { name, columns } = shape;
  const pathAfterKey = columns === COLUMNS ? '' : `?columns=${columns.join(',')}`;
  const path = { pathBeforeKey: ROWS_PATH, pathAfterKey, lastKey: LAST_KEY };
  const url = `${pointlake.origin}${ROWS_PATH}`;
  const digest = await compareAnswers(expected, (key) => fetchedRow(`${url}${key}${pathAfterKey}`), columns);
  const { headers, body } = await typicalAnswer(url, LAST_KEY, pathAfterKey);
  const bare = await startBareRoute(headers, body, SERVER_CORE);
  try {
    console.log(
      `\n${name}: answers of ${body.length} bytes (median); ${expected.size} equal a plain read; digest ${digest}`,
    );
    const before = await servedCounts(pointlake.origin);
    const given: Given[] = [];
    printHeading();
    for (const connections of CONNECTIONS) {
      given.push(await compareClosed(pointlake, bare, shape, { ...path, connections }));
    }
    const load = { ...path, connections: PACED_CONNECTIONS, seconds: SECONDS };
    const cores = { serverCore: SERVER_CORE, clientCore: CLIENT_CORE };
    const run = {
      what: `from blocks, ${name}`,
      load,
      saturatedPerSecond: mostGiven(given),
      bodyBytes: body.length,
      rounds: ROUNDS,
      ...cores,
    };
    await comparePaced(pointlake, bare, run, goals);
    assertFromBlocks(countsSince(before, await servedCounts(pointlake.origin)));
  } finally {
    await bare.stop();
  }
}

async function compareClosed(
  pointlake: Server,
  bare: Server,
  { name, least, stretch }: Shape,
  path: {
    readonly pathBeforeKey: string;
    readonly pathAfterKey: string;
    readonly lastKey: number;
    readonly connections: number;
  },
): Promise<Given> {
  const contender = (server: Server, seconds: number): Contender<Round> => ({
    name: server.name,
    measure: (seed) => httpRound(server, { ...path, seconds, seed }, CLIENT_CORE),
  });
  const { connections } = path;
  await inTurns([contender(pointlake, 1), contender(bare, 1)], 1);
  const [ours = [], theirs = []] = await inTurns([contender(pointlake, SECONDS), contender(bare, SECONDS)], ROUNDS);
  printRounds(connections, [
    { name: pointlake.name, rounds: ours },
    { name: bare.name, rounds: theirs },
  ]);
  const rates = ratios(ours, theirs, (round) => round.requestsPerSecond);
  const what = `from blocks, ${name}, ${connections} connections, rate / bare route's`;
  const beside = { stretch, note: byProcessorTime(ours, theirs), disturbed: disturbance(ours, theirs) };
  goals.atLeast(what, rates, least, beside);
  return givenIn(ours, theirs);
}

/** That the figures are of what they say: nothing was read, nothing left memory, hardly a row was kept. */
function assertFromBlocks({ kept, notKept, storageGets, blocksAdmitted, blocksEvicted }: ServedCounts): void {
  const share = kept / (kept + notKept);
  const fromKept = `${(100 * share).toFixed(2)}% of them from rows kept encoded`;
  const blocks = `blocks admitted ${blocksAdmitted}, evicted ${blocksEvicted}`;
  console.log(`${kept + notKept} lookups meanwhile, ${fromKept}; GETs ${storageGets}, ${blocks}`);
  if (storageGets + blocksAdmitted + blocksEvicted > 0) throw new Error('not every block was in memory');
  if (!(share <= KEPT_MAX)) throw new Error(`more than ${100 * KEPT_MAX}% were answered from rows kept encoded`);
}

/** Doubles of a reader in place of a file's floats, as the fewest digits that name the same float: what an answer has. */
function shortest(row: Row): Row {
  const entries = Object.entries(row).map(([name, value]) => {
    return [name, typeof value === 'number' && /^f\d+$/.test(name) ? shortestDecimal(value) : value] as const;
  });
  return Object.fromEntries(entries);
}

function shortestDecimal(float: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const decimal = Number(float.toPrecision(digits));
    if (Math.fround(decimal) === float) return decimal;
  }
  return Number(float.toPrecision(9));
}

function flag(name: string): string | undefined {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}
