/**
 * A lookup of three columns in a table of two thousand, beside the same lookup in one of twenty-five: requests, bytes and
 * time must not grow with columns that nobody asked for. `--small` makes it a matter of seconds.
 *
 * Both files have the same row groups and rows and are written by the same writer; the rows that are looked up are the
 * same, and their answers must be equal.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteWriter, parquetWrite } from 'hyparquet-writer';
import { createNode, type PointlakeNode } from '../src/main.ts';
import { type Snapshot, tableDefinition } from '../src/table/index.ts';
import { IoTrace } from '../test/support/io-trace.ts';

const isSmall = process.argv.includes('--small');
const ROW_GROUPS = isSmall ? 20 : 200;
const ROWS_A_GROUP = 10;
const COLUMNS = [25, isSmall ? 200 : 2000] as const;
const ASKED = ['id', 'c3', 'c11', 'c24'];
const COLD_LOOKUPS = isSmall ? 10 : 100;
const HOT_LOOKUPS = 20_000;
const MIB = 2 ** 20;

interface Measured {
  readonly columns: number;
  readonly openMs: number;
  readonly openGets: number;
  readonly metadataMiB: number;
  readonly coldGets: number;
  readonly coldBytes: number;
  readonly coldMs: number;
  readonly hotUs: number;
  readonly answers: string;
}

const folder = mkdtempSync(join(tmpdir(), 'pointlake-wide-'));
try {
  const results: Measured[] = [];
  for (const columns of COLUMNS) results.push(await measure(writeTable(columns), columns));
  print(results);
} finally {
  rmSync(folder, { recursive: true });
}

function writeTable(columns: number): string {
  const rows = ROW_GROUPS * ROWS_A_GROUP;
  const ids = Array.from({ length: rows }, (_, row) => row * 2);
  const path = join(folder, `${columns}.parquet`);
  const writer = new ByteWriter();
  const rest = Array.from({ length: columns - 1 }, (_, i) => ({
    name: `c${i + 1}`,
    data: Float64Array.from({ length: rows }, (_, row) => Math.sin(row * (i + 1))),
    type: 'DOUBLE' as const,
    encoding: 'PLAIN' as const,
    columnIndex: true,
    offsetIndex: true,
  }));
  parquetWrite({
    writer,
    columnData: [
      {
        name: 'id',
        data: ids,
        type: 'INT32',
        encoding: 'PLAIN',
        nullable: false,
        columnIndex: true,
        offsetIndex: true,
      },
      ...rest,
    ],
    codec: 'UNCOMPRESSED',
    rowGroupSize: ROWS_A_GROUP,
  });
  writeFileSync(path, writer.getBytes());
  return path;
}

async function measure(path: string, columns: number): Promise<Measured> {
  const trace = new IoTrace();
  const node = createNode({
    s3: {},
    cacheMemoryBytes: 1024 * MIB,
    tables: [tableDefinition('wide', path, ['id'])],
    wrapStores: trace.wrap,
  });
  try {
    const started = performance.now();
    const snapshot = await node.catalog.get('wide').refresh();
    const openMs = performance.now() - started;
    const openGets = trace.gets.length;
    return { columns, openMs, openGets, ...(await measureLookups(node, snapshot, trace)) };
  } finally {
    await node.close();
  }
}

async function measureLookups(node: PointlakeNode, snapshot: Snapshot, trace: IoTrace) {
  const projection = snapshot.projection(ASKED);
  const signal = new AbortController().signal;
  const times: number[] = [];
  const gets: number[] = [];
  const bytes: number[] = [];
  let answers = '';
  // Each lookup goes to a row group of its own, so that every one of them is cold.
  for (let i = 0; i < Math.min(COLD_LOOKUPS, ROW_GROUPS); i++) {
    const row = Math.floor((i * ROW_GROUPS) / COLD_LOOKUPS) * ROWS_A_GROUP + (i % ROWS_A_GROUP);
    trace.clear();
    const started = performance.now();
    answers += (await node.engine.row(snapshot, [row * 2], projection, signal)).json;
    times.push(performance.now() - started);
    gets.push(trace.gets.length);
    bytes.push(trace.bytes());
  }
  const started = performance.now();
  for (let i = 0; i < HOT_LOOKUPS; i++) {
    if (node.engine.tryRow(snapshot, [(i % ROWS_A_GROUP) * 2], projection) === undefined) throw new Error('not hot');
  }
  return {
    metadataMiB: node.tier.budget.usedBytes('metadata') / MIB,
    coldGets: median(gets),
    coldBytes: median(bytes),
    coldMs: median(times),
    hotUs: ((performance.now() - started) * 1000) / HOT_LOOKUPS,
    answers,
  };
}

function print([narrow, wide]: readonly Measured[]): void {
  if (narrow === undefined || wide === undefined || narrow.answers !== wide.answers) {
    throw new Error('the two tables answer differently');
  }
  console.log(`${ROW_GROUPS} row groups of ${ROWS_A_GROUP} rows; lookups of ${ASKED.join(', ')} by id, local files`);
  const line = (what: string, of: (measured: Measured) => number, digits: number) => {
    const [a, b] = [of(narrow), of(wide)];
    const cells = [what.padEnd(34), `${a.toFixed(digits)}`.padStart(12), `${b.toFixed(digits)}`.padStart(12)];
    console.log(`${cells.join(' ')} ${(b / a).toFixed(2).padStart(9)}x`);
  };
  console.log(`${''.padEnd(34)} ${`${narrow.columns} columns`.padStart(12)} ${`${wide.columns} columns`.padStart(12)}`);
  line('open, ms', (m) => m.openMs, 1);
  line('open, GETs', (m) => m.openGets, 0);
  line('metadata in memory, MiB', (m) => m.metadataMiB, 2);
  line('cold lookup, GETs (median)', (m) => m.coldGets, 0);
  line('cold lookup, bytes (median)', (m) => m.coldBytes, 0);
  line('cold lookup, ms (median)', (m) => m.coldMs, 3);
  line('hot lookup, us', (m) => m.hotUs, 2);
  if (!isSmall && wide.coldGets > narrow.coldGets) {
    console.log('MISSED: the wide table costs more GETs');
    process.exitCode = 1;
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
