/**
 * Cold lookups on S3 with metadata and row known, beside plain ranged GETs of the same bytes through the same proxy,
 * which adds a real S3's latency (p50 27 ms, p95 70, p99 113). Lookup and plain GETs take turns in each lane, so that
 * whatever the machine does meets both.
 *
 *     npm run bench -- cold [--small] [--rgw]
 *
 * `one`: three neighbouring columns of one row, which one GET brings. `many`: columns that lie apart, a GET each, beside
 * as many plain GETs at once, of which the slowest counts. Every answer is held against the data that was written.
 */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { httpRange, rangeLength } from '../src/core/index.ts';
import { createNode, type PointlakeNode } from '../src/main.ts';
import { locatedRow, planRow } from '../src/shard/index.ts';
import { parseKeyText, type Snapshot, type Table, tableDefinition } from '../src/table/index.ts';
import { IoTrace } from '../test/support/io-trace.ts';
import { seeded } from '../test/support/latency-proxy.ts';
import { parquetBytes } from '../test/support/scratch.ts';
import { BUCKET, type DistantS3, startDistantS3 } from './harness/distant-s3.ts';

const isSmall = process.argv.includes('--small');
const server = process.argv.includes('--rgw') ? 'rgw' : 'faulty';
const COLUMNS = 12;
const LANES = 4;
/** Few, so that GETs do not wait for each other and the latency that is learned is the proxy's. */
const KEYS_AT_ONCE = 8;
const SEED = 20_261_123;
/** What a lookup may cost over plain GETs. */
const SLOWER_MAX = 1.15;
const EXTRA_MAX = 0.05;

interface Case {
  readonly name: string;
  /** One page a chunk where row groups are small; many where one row group holds all. */
  readonly rowsPerRowGroup: number;
  readonly pageBytes: number;
  readonly rows: number;
  /** Rows from one lookup to the next, so that no two share a page. */
  readonly rowStep: number;
  /** Column sets, each looked up at every step. */
  readonly asked: readonly (readonly number[])[];
}

/** Chunks without a page index are held for ten seconds after their layout was read, and would save GETs. */
const HELD_MS = 11_000;

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const CASES: readonly Case[] = [
  {
    name: 'one',
    rowsPerRowGroup: 128,
    pageBytes: 8192,
    rows: 128 * (isSmall ? 80 : 600),
    rowStep: 128,
    asked: [
      [0, 1, 2],
      [3, 4, 5],
      [6, 7, 8],
      [9, 10, 11],
    ],
  },
  {
    name: 'many',
    rowsPerRowGroup: 1 << 20,
    pageBytes: 1024,
    rows: 160 * (isSmall ? 200 : 2000),
    rowStep: 160,
    asked: [range(COLUMNS).filter((column) => column % 2 === 0)],
  },
];

const folder = mkdtempSync(join(tmpdir(), 'pointlake-cold-'));
let missed = 0;
try {
  const files = Object.fromEntries(CASES.map((one) => [`${one.name}/part-0.parquet`, write(one)]));
  const s3 = await startDistantS3(server, SEED, files);
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; S3: ${server}`);
  for (const one of CASES) await measure(one, s3);
  await s3.stop();
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = missed > 0 ? 1 : 0;

function cellAt(row: number, column: number): number {
  return Math.fround(Math.sin(row * (column + 1)) * 1e6);
}

function write({ name, rows, rowsPerRowGroup, pageBytes }: Case): string {
  const path = join(folder, `${name}.parquet`);
  const columns = range(COLUMNS).map((column) => ({
    name: `c${column}`,
    data: Float64Array.from({ length: rows }, (_, row) => cellAt(row, column)),
    type: 'DOUBLE' as const,
    encoding: 'PLAIN' as const,
    nullable: false,
  }));
  const id = { name: 'id', data: range(rows), type: 'INT32' as const, encoding: 'PLAIN' as const, nullable: false };
  writeFileSync(path, parquetBytes([id, ...columns], { rowsPerRowGroup, pageBytes, codec: 'UNCOMPRESSED' }));
  return path;
}

async function measure(one: Case, { settings }: DistantS3): Promise<void> {
  const trace = new IoTrace();
  const node = createNode({
    s3: settings,
    cacheMemoryBytes: 2 ** 30,
    // A key that comes again is to be cold again.
    cacheRowsBytes: 0,
    tables: [tableDefinition(one.name, `s3://${BUCKET}/${one.name}/`, ['id'])],
    wrapStores: trace.wrap,
  });
  const table = node.catalog.get(one.name);
  const snapshot = await table.refresh();
  await learnMetadataAndKeys(node, snapshot, one);
  await sleep(HELD_MS);
  const plain = new S3Client({ ...settings, forcePathStyle: true, maxAttempts: 1 } as never);
  trace.clear();
  const sentBefore = table.source.account.bill().requests;
  const result = await runLanes(one, node, snapshot, plain);
  plain.destroy();
  report(one, result, trace, table, table.source.account.bill().requests - sentBefore);
  const [{ hedges, hedgesWon } = { hedges: 0, hedgesWon: 0 }] = node.stores.status();
  console.log(`second GETs: ${hedges}, of which ${hedgesWon} answered first`);
  await node.close();
}

/** Page locations of all columns, and the blocks of the keys, but no value. */
async function learnMetadataAndKeys(node: PointlakeNode, snapshot: Snapshot, one: Case): Promise<void> {
  const { signal } = new AbortController();
  const [file] = snapshot.files;
  if (file?.kind !== 'readable') throw new Error('the file cannot be read');
  const { index } = file.file;
  const chunks = range(index.rowGroups).flatMap((rowGroup) =>
    index.schema.leaves.map((leaf) => file.file.chunk(rowGroup, leaf.ordinal)),
  );
  await Promise.all(chunks.map((chunk) => node.loader.layout(file.file, chunk, signal)));
  const ids = snapshot.projection(['id']);
  for (let row = 0; row < one.rows; row += one.rowStep * KEYS_AT_ONCE) {
    const keys = range(KEYS_AT_ONCE).map((i) => row + i * one.rowStep);
    const wanted = keys.filter((key) => key < one.rows).map((key) => keyOf(snapshot, key));
    await Promise.all(wanted.map((key) => node.engine.row(snapshot, key, ids, signal)));
  }
}

function keyOf(snapshot: Snapshot, id: number) {
  return snapshot.keyLeaves.map((leaf) => parseKeyText(leaf, String(id)));
}

interface Result {
  readonly oursMs: number[];
  readonly plainMs: number[];
  readonly plannedGets: number;
  readonly plannedBytes: number;
  readonly pageBytes: number;
  readonly digest: string;
}

/** Each lane has a stretch of the rows to itself, so that no two lookups' pages are neighbours and share a GET. */
async function runLanes(one: Case, node: PointlakeNode, snapshot: Snapshot, plain: S3Client): Promise<Result> {
  const [file] = snapshot.files;
  if (file?.kind !== 'readable') throw new Error('the file cannot be read');
  const { signal } = new AbortController();
  const steps = Math.floor(one.rows / one.rowStep);
  const [oursMs, plainMs]: [number[], number[]] = [[], []];
  const answers: string[] = [];
  let [plannedGets, plannedBytes, pageBytes] = [0, 0, 0];
  const lane = async (laneAt: number) => {
    for (let step = Math.floor((laneAt * steps) / LANES); step < Math.floor(((laneAt + 1) * steps) / LANES); step++) {
      for (const [set, columns] of one.asked.entries()) {
        const row = step * one.rowStep + 7;
        const key = keyOf(snapshot, row);
        const projection = snapshot.projection(columns.map((column) => `c${column}`));
        const place = locatedRow(snapshot, key);
        const plan = place && planRow(place, projection.columns);
        if (!place || plan?.fetches === undefined || plan.rounds !== 1) throw new Error(`row ${row} is not one round`);
        plannedGets += plan.fetches.length;
        plannedBytes += plan.fetches.reduce((sum, fetch) => sum + rangeLength(fetch), 0);
        for (const column of columns) {
          const chunk = file.file.chunk(
            place.rowGroup,
            file.leafPositions[snapshot.column(`c${column}`).ordinal] ?? -1,
          );
          const locations = chunk.layout?.locations;
          if (locations !== undefined) pageBytes += rangeLength(locations.range(locations.pageOf(place.row)));
        }
        const ours = async () => {
          const started = performance.now();
          const { json } = await node.engine.row(snapshot, key, projection, signal);
          oursMs.push(performance.now() - started);
          const expected = `{${columns.map((column) => `"c${column}":${cellAt(row, column)}`).join(',')}}`;
          if (json !== expected) throw new Error(`row ${row} answered ${json}, written was ${expected}`);
          answers[step * one.asked.length + set] = json;
        };
        const theirs = async () => {
          const started = performance.now();
          await Promise.all((plan.fetches ?? []).map((fetch) => plainGet(plain, one, file.file.object.eTag, fetch)));
          plainMs.push(performance.now() - started);
        };
        for (const turn of (step + set) % 2 === 0 ? [ours, theirs] : [theirs, ours]) await turn();
      }
    }
  };
  await Promise.all(range(LANES).map(lane));
  const digest = createHash('sha256').update(answers.join('\n')).digest('hex').slice(0, 16);
  return { oursMs, plainMs, plannedGets, plannedBytes, pageBytes, digest };
}

async function plainGet(
  client: S3Client,
  one: Case,
  eTag: string,
  fetch: { readonly start: number; readonly end: number },
): Promise<void> {
  const key = `${one.name}/part-0.parquet`;
  const input = { Bucket: BUCKET, Key: key, Range: httpRange(fetch), IfMatch: eTag };
  const answer = await client.send(new GetObjectCommand(input));
  await answer.Body?.transformToByteArray();
}

function report(one: Case, result: Result, trace: IoTrace, table: Table, sent: number): void {
  const lookups = result.oursMs.length;
  const gets = trace.gets.length;
  const ours = percentiles(result.oursMs);
  const plain = percentiles(result.plainMs);
  const extra = (sent - gets) / gets;
  console.log(`\n### ${one.name}: ${lookups} lookups of ${one.asked[0]?.length} columns, ${gets / lookups} GETs each`);
  console.log('             |    p50 |    p95 |    p99 ms');
  console.log(`lookup       | ${cells(ours)}`);
  console.log(`plain GETs   | ${cells(plain)}`);
  console.log(
    `ratio        | ${cells(
      ours.map((ms, i) => ms / (plain[i] ?? 1)),
      3,
    )}`,
  );
  const [low, high] = p99RatioInterval(result);
  console.log(`p99 ratio in 90% of resamplings: ${low.toFixed(3)} to ${high.toFixed(3)}`);
  console.log(`answers equal what was written; digest ${result.digest}; ${table.source.account.bill().usd} USD so far`);
  must(`p50 within ${Math.round((SLOWER_MAX - 1) * 100)}% of plain`, (ours[0] ?? 0) <= (plain[0] ?? 0) * SLOWER_MAX);
  must('p99 better than plain', (ours[2] ?? 0) < (plain[2] ?? 0));
  must(`extra requests ${(extra * 100).toFixed(2)}%, at most ${EXTRA_MAX * 100}%`, extra <= EXTRA_MAX);
  must(`GETs as planned: ${gets} of ${result.plannedGets}`, gets === result.plannedGets);
  must(`bytes as planned: ${trace.bytes()} of ${result.plannedBytes}`, trace.bytes() === result.plannedBytes);
  must(`bytes no more than the pages asked for: ${result.pageBytes}`, trace.bytes() <= result.pageBytes);
}

function must(what: string, holds: boolean): void {
  if (!holds) missed += 1;
  console.log(`${holds ? 'ok    ' : 'MISSED'} ${what}`);
}

function percentiles(values: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return [0.5, 0.95, 0.99].map((share) => sorted[Math.floor(share * sorted.length)] ?? Number.NaN);
}

/** Between which the ratio of the p99s lies in 90% of resamplings: how much of it is chance. */
function p99RatioInterval({ oursMs, plainMs }: Result): readonly [number, number] {
  const random = seeded(SEED);
  const p99 = (values: readonly number[]) =>
    percentiles(values.map(() => values[Math.floor(random() * values.length)] ?? 0))[2] ?? Number.NaN;
  const ratios = range(400)
    .map(() => p99(oursMs) / p99(plainMs))
    .sort((a, b) => a - b);
  return [ratios[20] ?? Number.NaN, ratios[379] ?? Number.NaN];
}

function cells(values: readonly number[], digits = 1): string {
  return values.map((value) => value.toFixed(digits).padStart(6)).join(' | ');
}
