/**
 * `npm run bench -- query [--rows N]`: a query that finds one row by a column that is clustered but no key, and what it
 * reads beside the pages that any reader must read: the one of the predicate's column, and those of the asked columns.
 *
 * Bytes do not depend on the machine. The answer is checked, and the time is that of the first query and of the next.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { rangeLength } from '../src/core/index.ts';
import { createNode } from '../src/main.ts';
import type { PageLocations } from '../src/parquet/index.ts';
import { type Query, QueryEngine, QueryTrace, rowTexts } from '../src/shard/index.ts';
import { parsePredicate, tableDefinition } from '../src/table/index.ts';
import { IoTrace } from '../test/support/io-trace.ts';
import { writeParquet } from '../test/support/scratch.ts';

const flag = process.argv.indexOf('--rows');
const ROWS = flag < 0 ? 1_000_000 : Number(process.argv[flag + 1]);
const ROW_GROUP = 500_000;
const WANTED = Math.floor(ROWS * 0.618);

const folder = mkdtempSync(join(tmpdir(), 'pointlake-bench-query-'));
try {
  for (const layout of ['small pages and a page index', 'one page a chunk, no page index'] as const) {
    const path = join(folder, `${layout.slice(0, 3)}.parquet`);
    if (layout.startsWith('small')) writeSmallPages(path);
    else await writeOnePage(path);
    await measure(layout, path);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** `id` is a shuffled key; `at` ascends with gaps. */
function writeSmallPages(path: string): void {
  const ids = Float64Array.from({ length: ROWS }, (_, i) => (i * 7919) % ROWS);
  writeParquet(
    path,
    [
      { name: 'id', data: BigInt64Array.from(ids, BigInt), type: 'INT64', encoding: 'PLAIN', nullable: false },
      {
        name: 'at',
        data: BigInt64Array.from(ids, (_, i) => BigInt(i * 3)),
        type: 'INT64',
        encoding: 'PLAIN',
        nullable: false,
      },
      { name: 'value', data: ids.map((_, i) => i / 7), type: 'DOUBLE', encoding: 'PLAIN', nullable: false },
    ],
    { rowsPerRowGroup: ROW_GROUP, pageBytes: 16 * 1024 },
  );
}

async function writeOnePage(path: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(
    `COPY (SELECT (i * 7919) % ${ROWS} AS id, i * 3 AS at, i / 7 AS value FROM range(${ROWS}) r(i)) TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 122880)`,
  );
  connection.closeSync();
  instance.closeSync();
}

async function measure(layout: string, path: string): Promise<void> {
  const io = new IoTrace();
  const node = createNode({
    s3: {},
    cacheMemoryBytes: 256 * 2 ** 20,
    tables: [tableDefinition('t', path, ['id'])],
    wrapStores: io.wrap,
  });
  try {
    const snapshot = await node.catalog.get('t').refresh();
    const projection = snapshot.projection(['at', 'value']);
    const where = parsePredicate(snapshot, { column: 'at', op: '=', value: WANTED * 3 });
    const query: Query = { where, columns: projection.columns, limit: 100, order: [], after: undefined };
    const queries = new QueryEngine(node.loader);
    const run = async () => {
      const rows: string[] = [];
      const sink = rowTexts(projection, (text) => rows.push(text));
      const startedMs = performance.now();
      for await (const _ of queries.run(snapshot, query, sink, new AbortController().signal, new QueryTrace()));
      assert.equal(rows.length, 1);
      assert.equal((JSON.parse(rows[0] ?? '{}') as { at: number }).at, WANTED * 3);
      return performance.now() - startedMs;
    };
    io.clear();
    const firstMs = await run();
    const bytes = io.bytes();
    const must = pagesOfRow(snapshot, projection.ordinals);
    io.clear();
    const nextMs = await run();
    console.log(
      `${layout}: 1 of ${ROWS} rows; read ${bytes} bytes, must read ${must} (${(bytes / must).toFixed(2)}x); ` +
        `first ${firstMs.toFixed(1)} ms, next ${nextMs.toFixed(2)} ms and ${io.bytes()} bytes`,
    );
    assert.ok(bytes <= 2 * must, 'more than twice what must be read');
  } finally {
    await node.close();
  }
}

/** Bytes of the pages, and of their dictionaries, that hold the row in these columns. */
function pagesOfRow(snapshot: Parameters<QueryEngine['run']>[0], ordinals: Int32Array): number {
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const { index } = file.file;
  const rowGroup = index.rowGroupOf(WANTED);
  const row = WANTED - index.rowGroupFirstRow(rowGroup);
  let bytes = 0;
  for (const ordinal of ordinals) {
    const locations: PageLocations | undefined = file.file.chunk(rowGroup, file.leafPositions[ordinal] ?? -1).layout
      ?.locations;
    assert.ok(locations !== undefined);
    bytes +=
      rangeLength(locations.range(locations.pageOf(row))) +
      rangeLength(locations.dictionaryRange ?? { start: 0, end: 0 });
  }
  return bytes;
}
