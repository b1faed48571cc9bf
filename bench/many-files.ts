/**
 * A table of very many small files: how long until it serves, cold and with a warm disk, what CPU a file costs, and how
 * long it takes to tell which of the files may hold a key.
 *
 *     npm run bench -- many-files [--small] [--files=N] [--no-latency]
 *
 * The files come from a stand-in for S3 in a process of its own, with a real S3's latency (p50 27 ms, p95 70, p99 113).
 * Found rows are held against what was written; the candidates of each key against a walk over the bounds of every file.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNode, type PointlakeNode } from '../src/main.ts';
import { locatedRow } from '../src/shard/index.ts';
import { type Key, type Snapshot, tableDefinition } from '../src/table/index.ts';
import { IoTrace } from '../test/support/io-trace.ts';
import { seeded } from '../test/support/latency-proxy.ts';
import { cellAt, idOf, type ManyFilesS3, ROWS_A_FILE, startManyFilesS3 } from './harness/many-files-s3.ts';

const option = (name: string) => process.argv.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1];
const files = Number(option('files') ?? (process.argv.includes('--small') ? 2000 : 100_000));
const folders = Math.max(1, Math.floor(files / 1000));
const hasLatency = !process.argv.includes('--no-latency');
/** Bounds of what very many small files may cost. */
const READY_SECONDS_MAX = 180;
const CPU_SECONDS_MAX = 100;
const PLAN_MICROSECONDS_MAX = 100;
const random = seeded(20_261_123);

let missed = 0;
const disk = mkdtempSync(join(tmpdir(), 'pointlake-many-'));
const s3 = await startManyFilesS3(files, folders, hasLatency);
try {
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; ${files} files`);
  const cold = await opened(s3, 'cold');
  hold('seconds until ready, cold', cold.seconds, READY_SECONDS_MAX);
  hold('seconds of CPU, cold', cold.cpuSeconds, CPU_SECONDS_MAX);
  await checkRows(cold.node, cold.snapshot);
  plans(cold.snapshot);
  await cold.node.close();
  const warm = await opened(s3, 'warm');
  hold('GETs of a restart', warm.gets, 0);
  await warm.node.close();
} finally {
  await s3.stop();
  rmSync(disk, { recursive: true });
}
process.exitCode = missed > 0 ? 1 : 0;

interface Opened {
  readonly node: PointlakeNode;
  readonly snapshot: Snapshot;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly gets: number;
}

async function opened({ settings }: ManyFilesS3, what: string): Promise<Opened> {
  const started = performance.now();
  const cpuBefore = process.cpuUsage();
  const table = tableDefinition('lake', 's3://bucket/lake/', ['id']);
  const place = { path: disk, sizeBytes: 8 * 2 ** 30 };
  const trace = new IoTrace();
  const node = createNode({
    s3: settings,
    cacheMemoryBytes: 4 * 2 ** 30,
    tables: [table],
    disk: place,
    wrapStores: trace.wrap,
  });
  const snapshot = await node.catalog.get('lake').refresh();
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpuSeconds = (user + system) / 1e6;
  const gets = trace.gets.length;
  const { heapUsed, rss } = process.memoryUsage();
  console.log(
    `${what}: ready in ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(1)} s of CPU (${((cpuSeconds / files) * 1e6).toFixed(0)} us a file), ` +
      `${gets} GETs, ${snapshot.files.length} files, ${snapshot.rows} rows, heap ${mib(heapUsed)} MiB, resident ${mib(rss)} MiB`,
  );
  return { node, snapshot, seconds, cpuSeconds, gets };
}

async function checkRows(node: PointlakeNode, snapshot: Snapshot): Promise<void> {
  const projection = snapshot.projection(['id', 'c3', 'dt']);
  for (let i = 0; i < 20; i++) {
    const [file, row] = [Math.floor(random() * files), Math.floor(random() * ROWS_A_FILE)];
    const { json } = await node.engine.row(snapshot, [idOf(file, row)], projection, new AbortController().signal);
    const [, dt] = /dt=([^/]*)/.exec(keyOf(snapshot, file)) ?? [];
    if (json !== `{"id":${idOf(file, row)},"c3":${cellAt(row, 3)},"dt":"${dt}"}`) throw new Error(`wrong row: ${json}`);
  }
}

function keyOf(snapshot: Snapshot, file: number): string {
  const found = snapshot.files[file];
  return found?.kind === 'readable' ? found.file.object.key : '';
}

/** The whole search of keys that lie between the rows of a file, which bounds alone decide, and the plain walk. */
function plans(snapshot: Snapshot): void {
  const absent = Array.from({ length: 2000 }, (): Key => [idOf(Math.floor(random() * files), ROWS_A_FILE + 5)]);
  const walked = absent.slice(0, 20);
  for (const key of walked) if (walk(snapshot, key) > 0) throw new Error('a key beyond every file has a candidate');
  for (const key of absent) locatedRow(snapshot, key);
  const plan = microseconds(absent, (key) => {
    if (locatedRow(snapshot, key) !== null) throw new Error(`key ${key} is not absent`);
  });
  const plain = microseconds(walked, (key) => walk(snapshot, key));
  console.log(`planning: ${plan.toFixed(2)} us a key; a walk over the files' own bounds ${plain.toFixed(0)} us`);
  hold('microseconds to plan a key', plan, PLAN_MICROSECONDS_MAX);
}

function walk(snapshot: Snapshot, key: Key): number {
  let candidates = 0;
  for (const file of snapshot.files) {
    const [value] = key;
    if (file.kind === 'broken' || value === undefined) continue;
    const position = snapshot.primaryKey.in(file.mapping).positions?.[0] ?? 0;
    if (file.file.index.nextRowGroup(position, value) >= 0) candidates += 1;
  }
  return candidates;
}

function microseconds(keys: readonly Key[], work: (key: Key) => void): number {
  const started = performance.now();
  for (const key of keys) work(key);
  return ((performance.now() - started) * 1000) / keys.length;
}

function hold(what: string, value: number, most: number): void {
  if (value <= most) return;
  missed += 1;
  console.log(`MISSED: ${what} ${value.toFixed(1)}, at most ${most}`);
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(0);
}
