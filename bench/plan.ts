/**
 * How long it takes to tell which row of which file has a key, where the ranges of all files overlap: 1,000 files of
 * 100,000 rows by default, every one of which may have any key by its bounds, with a key index.
 *
 *     npm run bench -- plan [--small] [--files=N]
 *
 * `planned` is the index's answer put together with the files that bounds and folders admit; `absent` is the whole search
 * of a key that no file has. Rows that were planned are held against the arithmetic that made the files.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { createNode } from '../src/main.ts';
import { KeyIndexer, locatedRow } from '../src/shard/index.ts';
import { type Key, KeyIndex, type Snapshot, tableDefinition } from '../src/table/index.ts';
import { seeded } from '../test/support/latency-proxy.ts';
import { spread } from './harness/rounds.ts';

const isSmall = process.argv.includes('--small');
const option = process.argv.find((arg) => arg.startsWith('--files='))?.split('=')[1];
const FILES = Number(option ?? (isSmall ? 50 : 1000));
const ROWS_A_FILE = isSmall ? 10_000 : 100_000;
const KEYS_A_ROUND = isSmall ? 2000 : 20_000;
const ROUNDS = 7;
const PLAN_MICROSECONDS_MAX = 10;
/** Keys have gaps, so that absent ones lie between present ones. */
const GAP = 7n;
const random = seeded(20_261_124);

const folder = mkdtempSync(join(tmpdir(), 'pointlake-plan-'));
const table = tableDefinition('t', folder, ['id']);
const node = createNode({ s3: {}, cacheMemoryBytes: 6 * 2 ** 30, tables: [table] });
try {
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}`);
  await writeFiles();
  const snapshot = await node.catalog.get('t').refresh();
  const index = new KeyIndex();
  const started = performance.now();
  await new KeyIndexer(node.pool).index(index, snapshot, { onRun: () => undefined }, new AbortController().signal);
  const seconds = (performance.now() - started) / 1000;
  const rows = FILES * ROWS_A_FILE;
  console.log(
    `${snapshot.files.length} files, ${snapshot.rows} rows; indexed in ${seconds.toFixed(1)} s, ` +
      `${(index.byteLength / rows).toFixed(2)} bytes a key, ${index.runs.length} runs`,
  );
  snapshot.primaryKey.index = index.view(snapshot.files);
  const planned = measured('planned', presentKey, (key) => plan(snapshot, key));
  const absent = measured('absent', absentKey, (key) => search(snapshot, key));
  if (Math.max(planned, absent) > PLAN_MICROSECONDS_MAX) {
    console.log(`MISSED: at most ${PLAN_MICROSECONDS_MAX} us were allowed`);
    process.exitCode = 1;
  }
} finally {
  await node.close();
  rmSync(folder, { recursive: true });
}

/** Row r of file f has the key (r * files + f) * 7: each file spans the whole range. */
async function writeFiles(): Promise<void> {
  const connection = await (await DuckDBInstance.create()).connect();
  for (let file = 0; file < FILES; file++) {
    const path = join(folder, `part-${String(file).padStart(5, '0')}.parquet`);
    const columns = `(row * ${FILES} + ${file}) * ${GAP} AS id, row AS a`;
    await connection.run(`COPY (SELECT ${columns} FROM range(${ROWS_A_FILE}) r(row)) TO '${path}' (FORMAT parquet)`);
  }
  connection.closeSync();
}

function presentKey(): bigint {
  return BigInt(Math.floor(random() * FILES * ROWS_A_FILE)) * GAP;
}

function absentKey(): bigint {
  return presentKey() + 3n;
}

/** Whether the file and row that are right are among those that the index names and the bounds admit. */
function plan(snapshot: Snapshot, key: Key): boolean {
  const { files, index } = snapshot.primaryKey;
  const named = index?.find(key);
  if (named === undefined || named === 'unread') return false;
  const number = BigInt(key[0] as bigint) / GAP;
  const right = Number(number % BigInt(FILES));
  const candidates = named.over(files.candidates(key));
  let candidate = candidates.next(0);
  while (candidate >= 0 && candidate < right) candidate = candidates.next(candidate + 1);
  return candidate === right;
}

/** No block is in memory, so that only a search which the index ends can end at all. */
function search(snapshot: Snapshot, key: Key): boolean {
  return locatedRow(snapshot, key) === null;
}

function measured(name: string, draw: () => bigint, work: (key: Key) => boolean): number {
  const times: number[] = [];
  let wrong = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const keys = Array.from({ length: KEYS_A_ROUND }, (): Key => [draw()]);
    const started = performance.now();
    for (const key of keys) if (!work(key)) wrong += 1;
    times.push(((performance.now() - started) * 1000) / keys.length);
  }
  // A key in some 10,000 has the fingerprint of another, whose row would have to be read to tell.
  if (wrong > (name === 'absent' ? ROUNDS * KEYS_A_ROUND * 0.001 : 0))
    throw new Error(`${wrong} keys were ${name} wrongly`);
  const { median, min, max } = spread(times);
  console.log(`${name}: ${median.toFixed(2)} us a key [${min.toFixed(2)} to ${max.toFixed(2)}]; ${wrong} not decided`);
  return median;
}
