/**
 * Lookups in shuffled data by a key index, beside the same rows sorted by key: rate from memory, GETs when cold, bytes a
 * key, keys indexed a second, absent keys answered without a GET. By a bigint and by a 36-character UUID string.
 * `--small` makes it a matter of seconds; `--rows N` sets the size (10 million by default).
 *
 * DuckDB writes the data: row groups of 122,880 rows, no page index. The answers of both twins are compared.
 */

import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { createNode, type PointlakeNode } from '../src/main.ts';
import { KeyIndexer } from '../src/shard/index.ts';
import { type Key, KeyIndex, type Snapshot, tableDefinition } from '../src/table/index.ts';
import { IoTrace } from '../test/support/io-trace.ts';
import { spread } from './harness/rounds.ts';

const isSmall = process.argv.includes('--small');
const rowsFlag = process.argv.indexOf('--rows');
const ROWS = rowsFlag > 0 ? Number(process.argv[rowsFlag + 1]) : isSmall ? 500_000 : 10_000_000;
const HOT_LOOKUPS = isSmall ? 20_000 : 200_000;
const HOT_ROUNDS = 7;
const COLD_LOOKUPS = isSmall ? 30 : 100;
const ABSENT_LOOKUPS = 20_000;
const MIB = 2 ** 20;
const ASKED = ['a', 'b', 'name'];
const noDeadline = new AbortController().signal;

/** Keys have gaps, so that absent ones lie between present ones. */
const KEYS = {
  id: {
    sql: 'row * 7',
    key: (row: number): Key => [BigInt(row) * 7n],
    absent: (row: number): Key => [BigInt(row) * 7n + 3n],
  },
  uuid: {
    sql: "format('{:08x}-0000-4000-8000-{:012x}', (row * 2654435761) % 4294967296, row)",
    key: (row: number): Key => [Buffer.from(uuidOf(row))],
    absent: (row: number): Key => [Buffer.from(uuidOf(row).replace('4000', '4001'))],
  },
} as const;
type KeyName = keyof typeof KEYS;

function uuidOf(row: number): string {
  const mixed = Number((BigInt(row) * 2654435761n) % 4294967296n);
  return `${mixed.toString(16).padStart(8, '0')}-0000-4000-8000-${row.toString(16).padStart(12, '0')}`;
}

const folder = join(tmpdir(), `pointlake-keyindex-${process.pid}`);
mkdirSync(folder);
try {
  for (const name of ['id', 'uuid'] as const) await compareTwins(name);
} finally {
  rmSync(folder, { recursive: true });
}

async function compareTwins(name: KeyName): Promise<void> {
  const [sorted, shuffled] = [join(folder, `${name}-sorted.parquet`), join(folder, `${name}-shuffled.parquet`)];
  await write(name, sorted, shuffled);
  const index = new KeyIndex();
  const built = await build(shuffled, name, index);
  console.log(
    `${name}: ${ROWS} keys indexed in ${(built.ms / 1000).toFixed(1)} s, ${millions(ROWS / built.ms)} M keys/s with one thread, ` +
      `${(index.byteLength / ROWS).toFixed(2)} bytes a key, ${index.runs.length} runs`,
  );
  await compareHot(name, sorted, shuffled, index);
  await compareCold(name, sorted, shuffled, index);
  await askAbsent(name, shuffled, index);
}

function millions(perMs: number): string {
  return (perMs / 1000).toFixed(2);
}

async function write(name: KeyName, sorted: string, shuffled: string): Promise<void> {
  const connection = await (await DuckDBInstance.create()).connect();
  const { sql } = KEYS[name];
  const columns = `${sql} AS ${name}, sin(row) AS a, row % 1000 AS b, 'name-' || (row % 100000) AS name`;
  await connection.run(`CREATE TABLE t AS SELECT ${columns} FROM range(${ROWS}) r(row)`);
  await connection.run(`COPY (SELECT * FROM t ORDER BY ${name}) TO '${sorted}' (FORMAT parquet)`);
  await connection.run(`COPY (SELECT * FROM t ORDER BY hash(${name})) TO '${shuffled}' (FORMAT parquet)`);
  connection.closeSync();
}

async function withNode<T>(
  path: string,
  name: KeyName,
  index: KeyIndex | undefined,
  use: (node: PointlakeNode, snapshot: Snapshot, trace: IoTrace) => Promise<T>,
): Promise<T> {
  const trace = new IoTrace();
  const definition = tableDefinition('t', path, [name]);
  const node = createNode({ s3: {}, cacheMemoryBytes: 6144 * MIB, tables: [definition], wrapStores: trace.wrap });
  try {
    const snapshot = await node.catalog.get('t').refresh();
    if (index !== undefined) snapshot.primaryKey.index = index.view(snapshot.files);
    return await use(node, snapshot, trace);
  } finally {
    await node.close();
  }
}

function build(path: string, name: KeyName, index: KeyIndex): Promise<{ readonly ms: number }> {
  return withNode(path, name, undefined, async (node, snapshot) => {
    const started = performance.now();
    await new KeyIndexer(node.pool).index(index, snapshot, { onRun: () => undefined }, noDeadline);
    return { ms: performance.now() - started };
  });
}

/** Both twins in memory at once, asked in turns. Rows are not kept as text: each is read from blocks. */
async function compareHot(name: KeyName, sorted: string, shuffled: string, index: KeyIndex): Promise<void> {
  await withNode(sorted, name, undefined, (sortedNode, sortedSnapshot) =>
    withNode(shuffled, name, index, async (shuffledNode, shuffledSnapshot) => {
      const twins = [
        { node: sortedNode, snapshot: sortedSnapshot, us: [] as number[] },
        { node: shuffledNode, snapshot: shuffledSnapshot, us: [] as number[] },
      ];
      for (const { node, snapshot } of twins) await warm(name, node, snapshot);
      for (let round = 0; round < HOT_ROUNDS; round++) {
        const rows = Array.from({ length: HOT_LOOKUPS / HOT_ROUNDS }, () => Math.floor(Math.random() * ROWS));
        const keys = rows.map(KEYS[name].key);
        const digests = (round % 2 === 0 ? twins : [...twins].reverse()).map(({ node, snapshot, us }) => {
          const projection = snapshot.projection(ASKED);
          let characters = 0;
          const started = performance.now();
          for (const key of keys) characters += hotRow(node, snapshot, key, projection).length;
          us.push(((performance.now() - started) * 1000) / keys.length);
          return characters;
        });
        if (digests[0] !== digests[1]) throw new Error('the twins answer differently');
      }
      const [a, b] = twins.map(({ us }) => spread(us).median) as [number, number];
      const ratios = spread(twins[0]?.us.map((us, i) => us / (twins[1]?.us[i] ?? Number.NaN)) ?? []);
      console.log(
        `${name}: hot, in process: sorted ${a.toFixed(2)} us, shuffled by index ${b.toFixed(2)} us a row; rate ` +
          `${ratios.median.toFixed(2)} of the sorted twin's [${ratios.min.toFixed(2)}-${ratios.max.toFixed(2)}]`,
      );
    }),
  );
}

function hotRow(node: PointlakeNode, snapshot: Snapshot, key: Key, projection: ReturnType<Snapshot['projection']>) {
  const json = node.engine.tryRow(snapshot, key, projection);
  if (json === undefined || json === null) throw new Error('a row is not in memory');
  return json;
}

/** Every page, by a row of each: a page is one row group's column here. */
async function warm(name: KeyName, node: PointlakeNode, snapshot: Snapshot): Promise<void> {
  const projection = snapshot.projection(ASKED);
  for (let row = 0; row < ROWS; row += isSmall ? 997 : 4999) {
    await node.engine.row(snapshot, KEYS[name].key(row), projection, noDeadline);
  }
}

async function compareCold(name: KeyName, sorted: string, shuffled: string, index: KeyIndex): Promise<void> {
  const told: string[] = [];
  for (const [twin, path, itsIndex] of [
    ['sorted', sorted, undefined],
    ['shuffled', shuffled, index],
  ] as const) {
    let gets = 0;
    let bytes = 0;
    for (let lookup = 0; lookup < COLD_LOOKUPS; lookup++) {
      await withNode(path, name, itsIndex, async (node, snapshot, trace) => {
        trace.clear();
        const key = KEYS[name].key(Math.floor(((lookup + 0.5) * ROWS) / COLD_LOOKUPS));
        const { json } = await node.engine.row(snapshot, key, snapshot.projection(ASKED), noDeadline);
        if (json === null) throw new Error('a row was not found');
        gets += trace.gets.length;
        bytes += trace.bytes();
      });
    }
    told.push(`${twin} ${(gets / COLD_LOOKUPS).toFixed(2)} reads, ${Math.round(bytes / COLD_LOOKUPS)} bytes`);
  }
  console.log(`${name}: cold, metadata known, a lookup: ${told.join('; ')}`);
}

async function askAbsent(name: KeyName, shuffled: string, index: KeyIndex): Promise<void> {
  await withNode(shuffled, name, index, async (node, snapshot, trace) => {
    let withoutGet = 0;
    for (let lookup = 0; lookup < ABSENT_LOOKUPS; lookup++) {
      trace.clear();
      const key = KEYS[name].absent(Math.floor(Math.random() * ROWS));
      const { json } = await node.engine.row(snapshot, key, snapshot.projection(ASKED), noDeadline);
      if (json !== null) throw new Error('an absent key was found');
      if (trace.gets.length === 0) withoutGet += 1;
    }
    console.log(`${name}: absent keys answered with no GET: ${((100 * withoutGet) / ABSENT_LOOKUPS).toFixed(3)} %`);
  });
}
