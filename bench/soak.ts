/**
 * A real server process under a mixed load for an hour, with several times more data than memory: every answer right,
 * and memory flat.
 *
 *     npm run bench -- soak [--minutes 60] [--memory 256MiB] [--port 0] [--rate 200] [--csv FILE] [--rgw] [--small]
 *                           [--cgroup 2GiB]
 *
 * Four tables of about 700 MB decoded for each 256 MiB of memory, half of that on disk, and one whose objects are
 * replaced meanwhile. S3 is the tests' stand-in within this process, or with `--rgw` a real server. Every ten seconds a
 * line of CSV; every five minutes a line of means (sizes in MiB, waits in ms). Ends with 1 at the first wrong answer or
 * unexpected status. `--cgroup` puts the server into a memory cgroup of that limit (root on Linux), lets it find its own
 * `cache.memory` unless `--memory` says one, and fails where it takes more than 90% of the limit. `--small` is a trial of a minute on a quarter of it all.
 */

import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { parseByteSize } from '../src/core/index.ts';
import { Asker } from '../test/support/ask.ts';
import { ChangingTable, type ObjectWriter } from '../test/support/changing-table.ts';
import { FaultyS3 } from '../test/support/faulty-s3.ts';
import { startRgw } from '../test/support/rgw.ts';
import { MemoryCgroup } from './harness/memory-cgroup.ts';
import { type ProbedServer, startProbed } from './harness/probed-server.ts';
import type { ProbeSample } from './harness/process-probe.ts';
import { SoakLoad } from './harness/soak-load.ts';
import { type Sample, SoakReport } from './harness/soak-report.ts';
import { type SoakTable, soakTables } from './harness/soak-tables.ts';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string' },
    memory: { type: 'string' },
    port: { type: 'string', default: '0' },
    rate: { type: 'string', default: '200' },
    csv: { type: 'string' },
    rgw: { type: 'boolean', default: false },
    small: { type: 'boolean', default: false },
    cgroup: { type: 'string' },
  },
});

const BUCKET = 'lake';
const SEED = 20_261_123;
const LANES = 24;
/** Of the requests, those on the table that changes. */
const CHANGING_SHARE = 0.1;
const WRITES_APART_MS = 10_000;
const CHANGING = { name: 'changing', rowsPerFile: 4000, manners: ['replace', 'replace', 'replace'] } as const;
const CREDENTIALS = { accessKeyId: 'soak', secretAccessKey: 'soak' };
const minutes = Number(flags.minutes ?? (flags.small ? 1 : 60));
const cgroupBytes = flags.cgroup === undefined ? undefined : parseByteSize(flags.cgroup);
const memoryBytes = cacheBytes();
const rate = Number(flags.rate);
/** Of a limit, what the cgroup's resident set may come to. */
const CGROUP_SHARE_MAX = 0.9;

interface Storage {
  readonly endpoint: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly writer: (prefix: string) => ObjectWriter;
  stop(): Promise<void>;
}

const folder = mkdtempSync(join(tmpdir(), 'pointlake-soak-'));
const csvPath = flags.csv ?? join(tmpdir(), `pointlake-soak-${process.pid}.csv`);
const scale = memoryBytes / 2 ** 28;
const cgroup = cgroupBytes === undefined ? undefined : MemoryCgroup.make(cgroupBytes);
const tables = soakTables(scale);
try {
  const storage = flags.rgw ? await realStorage() : await standInStorage();
  const changing = new ChangingTable({ ...CHANGING, writer: storage.writer(CHANGING.name) });
  const bytes = await fill(storage, changing);
  console.log(
    `Node ${process.versions.node}; ${(bytes / 2 ** 20).toFixed(0)} MiB of Parquet on ${flags.rgw ? 'RGW' : 'the S3 stand-in'}; ` +
      `memory ${memoryBytes / 2 ** 20} MiB; ${minutes} minutes at ${rate} requests a second; ${csvPath}`,
  );
  const server = await startServer(storage, tables);
  await indexesBuilt(server);
  process.exitCode = await soak(server, changing);
  await server.stop();
  await storage.stop();
} finally {
  cgroup?.remove();
  rmSync(folder, { recursive: true, force: true });
}

function cacheBytes(): number {
  if (flags.memory !== undefined) return parseByteSize(flags.memory);
  // What the server will find, or more: here it only says how large the tables are.
  if (cgroupBytes !== undefined) return cgroupBytes / 2;
  return parseByteSize(flags.small ? '64MiB' : '256MiB');
}

async function fill(storage: Storage, changing: ChangingTable): Promise<number> {
  let bytes = 0;
  for (const table of tables) {
    const writer = storage.writer(table.name);
    let file = 0;
    for await (const parquet of table.files()) {
      await writer.put(`part-${file}.parquet`, parquet);
      bytes += parquet.length;
      file += 1;
    }
  }
  await changing.fill();
  return bytes;
}

/** Until then a lookup by a key in no order may be told to come back. */
async function indexesBuilt({ origin }: ProbedServer): Promise<void> {
  const asker = new Asker(origin);
  for (const { name } of tables.filter(({ index }) => index === 'hash')) {
    for (let state = ''; state !== 'ready'; await sleep(200)) {
      const { text } = await asker.ask(`/v1/tables/${name}`);
      state = (JSON.parse(text) as { index: { state: string } }).index.state;
    }
  }
  asker.close();
}

async function soak(server: ProbedServer, changing: ChangingTable): Promise<number> {
  const asker = new Asker(server.origin);
  const report = new SoakReport(csvPath);
  const load = new SoakLoad(tables, asker, SEED);
  const over = new AbortController();
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const timer = setTimeout(() => over.abort(), minutes * 60_000);
  const sampling = sample(server, asker, load, seconds, report);
  const failures: unknown[] = [];
  const fail = (thrown: unknown) => {
    failures.push(thrown);
    over.abort();
  };
  const lanes = Array.from({ length: LANES }, (_, i) => {
    const readChanging = changing.reader(asker, SEED + i);
    return lane(over.signal, () => (Math.random() < CHANGING_SHARE ? readChanging() : load.step())).catch(fail);
  });
  await Promise.all([...lanes, keepWriting(changing, over.signal).catch(fail)]);
  clearTimeout(timer);
  sampling.stop();
  report.printLine();
  printCounts(load, changing, seconds());
  report.printSlope();
  const isWithin = cgroupBytes === undefined || report.printCgroup(cgroupBytes, CGROUP_SHARE_MAX);
  asker.close();
  for (const failure of failures.slice(0, 5)) console.log('WRONG', failure);
  if (server.exited()) console.log('WRONG the server ended by itself');
  return failures.length > 0 || server.exited() || !isWithin ? 1 : 0;
}

/** Requests of one lane after the other, so spread that all lanes together keep the rate. */
async function lane(over: AbortSignal, step: () => Promise<void>): Promise<void> {
  const apartMs = (LANES * 1000) / rate;
  let next = performance.now() + Math.random() * apartMs;
  while (!over.aborted) {
    const waitMs = next - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    // A lane that fell behind does not catch up by a burst.
    next = Math.max(next, performance.now() - apartMs) + apartMs * (0.5 + Math.random());
    await step();
  }
}

async function keepWriting(changing: ChangingTable, over: AbortSignal): Promise<void> {
  for (let turn = 0; !over.aborted; turn++) {
    await sleep(WRITES_APART_MS, undefined, { signal: over }).catch(() => undefined);
    if (!over.aborted) await changing.write(turn % CHANGING.manners.length);
  }
}

function sample(
  server: ProbedServer,
  asker: Asker,
  load: SoakLoad,
  seconds: () => number,
  report: SoakReport,
): { stop(): void } {
  const onLine = async (line: string) => {
    const probe = JSON.parse(line) as ProbeSample;
    const waits = load.counts.rowMs.splice(0).sort((a, b) => a - b);
    const at = (share: number) => waits[Math.floor(share * waits.length)] ?? 0;
    const { tiers, rowMs: _, ...counts } = load.counts;
    const { memory = {}, disk = {} } = await cacheState(asker).catch(() => ({}) as CacheState);
    const named = Object.fromEntries(Object.entries(disk).map(([name, value]) => [`disk_${name}`, value]));
    const { memory: fromMemory = 0, disk: fromDisk = 0, origin = 0 } = tiers;
    report.add({
      seconds: seconds(),
      ...probe,
      ...cgroup?.sample(),
      fds: readdirSync(`/proc/${server.pid}/fd`).length,
      rowP50Ms: at(0.5),
      rowP99Ms: at(0.99),
      ...counts,
      fromMemory,
      fromDisk,
      origin,
      ...numbersOf(memory),
      ...numbersOf(named),
    });
  };
  const lines = createInterface({ input: server.probe });
  lines.on('line', (line) => void onLine(line).catch((error) => console.error(`a sample is missing: ${error}`)));
  return { stop: () => lines.close() };
}

interface CacheState {
  readonly memory?: Readonly<Record<string, unknown>>;
  readonly disk?: Readonly<Record<string, unknown>>;
}

async function cacheState(asker: Asker): Promise<CacheState> {
  const { text } = await asker.ask('/v1/tables/numbers');
  return (JSON.parse(text) as { cache: CacheState }).cache;
}

function numbersOf(of: Readonly<Record<string, unknown>>): Sample {
  return Object.fromEntries(
    Object.entries(of).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

function printCounts({ counts }: SoakLoad, changing: ChangingTable, seconds: number): void {
  const { requests, rowsChecked, absent, refused, left, refreshes, queries, tiers } = counts;
  console.log(
    `${seconds.toFixed(0)} s: ${requests} requests, ${rowsChecked} rows checked, ${absent} absent keys, ` +
      `${queries} queries, ${refused} bad requests refused, ${left} clients left early, ${refreshes} refreshes; by tier ${JSON.stringify(tiers)}`,
  );
  const { checked, batches, written, versionsSeen, refused: passing } = changing.counts;
  console.log(
    `changing objects: ${checked} rows checked, ${batches} batches, ${written} versions written, ${versionsSeen} seen, ` +
      `503 ${JSON.stringify(passing)}`,
  );
}

async function startServer({ endpoint, credentials }: Storage, served: readonly SoakTable[]): Promise<ProbedServer> {
  const config = join(folder, 'pointlake.yaml');
  const diskMib = Math.max(64, Math.round((350 * memoryBytes) / 2 ** 28));
  const isMemorySaid = flags.memory !== undefined || cgroup === undefined;
  const lines = served.map(
    ({ name, key, index = 'auto' }) =>
      `  ${name}: { source: "s3://${BUCKET}/${name}/", key: ${key}, index: ${index}, refresh: 1m }`,
  );
  writeFileSync(
    config,
    [
      `server: { port: ${flags.port} }`,
      'limits: { valueInRow: 4MiB }',
      `storage: { s3: { endpoint: "${endpoint}", region: us-east-1 } }`,
      `cache: { ${isMemorySaid ? `memory: ${memoryBytes}, ` : ''}disk: { path: ./disk, size: ${diskMib}MiB } }`,
      'tables:',
      ...lines,
      `  ${CHANGING.name}: { source: "s3://${BUCKET}/${CHANGING.name}/", key: id, refresh: 15s }`,
    ].join('\n'),
  );
  return startProbed({
    config,
    entered: cgroup && ['/bin/sh', '-c', cgroup.enter],
    env: { AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey },
    onLine: (line) => console.log(line),
  });
}

async function standInStorage(): Promise<Storage> {
  const s3 = await FaultyS3.start({ buckets: [BUCKET] });
  // It records every request, for tests; here that would only grow.
  const forget = setInterval(() => s3.reset(), 1000);
  return {
    endpoint: s3.endpoint,
    credentials: CREDENTIALS,
    writer: (prefix) => ({
      put: async (name, bytes) => s3.put(BUCKET, `${prefix}/${name}`, bytes),
      remove: async (name) => s3.delete(BUCKET, `${prefix}/${name}`),
    }),
    async stop() {
      clearInterval(forget);
      await s3.stop();
    },
  };
}

async function realStorage(): Promise<Storage> {
  const { endpoint, region, accessKeyId, secretAccessKey, stop } = await startRgw();
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  return {
    endpoint,
    credentials,
    writer: (prefix) => ({
      async put(name, bytes) {
        await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${name}`, Body: bytes }));
      },
      async remove(name) {
        await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${name}` }));
      },
    }),
    async stop() {
      client.destroy();
      await stop();
    },
  };
}
