/** A cold lookup fetches the pages of its plan and nothing else; a hot one fetches nothing. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import type { ByteRange } from '../../src/core/index.ts';
import type { Snapshot } from '../../src/table/index.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { IoTrace, pageBytes } from '../support/io-trace.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { parquetBytes, scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 20_000;

/** Two row groups of 10,000 rows; 1,000 doubles or 32-bit integers... a page by bytes, so columns differ in pages. */
function columns() {
  const ids = Array.from({ length: ROWS }, (_, i) => i * 2);
  return [
    { name: 'id', data: ids, type: 'INT32' as const, encoding: 'PLAIN' as const, nullable: false },
    { name: 'score', data: ids.map((id) => Math.sin(id)), type: 'DOUBLE' as const, encoding: 'PLAIN' as const },
    { name: 'kind', data: ids.map((id) => `kind ${id % 7}`), type: 'STRING' as const },
    { name: 'text', data: ids.map((id) => `text of ${id} ${'x'.repeat(id % 50)}`), type: 'STRING' as const },
  ];
}

test('a cold lookup reads the key page, then the pages of its columns; a hot one reads nothing', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns());
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  assert.deepEqual(trace.gets.length, 1, 'opening a file is one read of its tail');
  trace.clear();

  const key = keyOf(snapshot, '24690');
  const projection = snapshot.projection(['id', 'score']);
  assert.equal(node.engine.tryRow(snapshot, key, projection), undefined);
  const answer = await node.engine.row(snapshot, key, projection, noDeadline);
  assert.equal(answer.json, `{"id":24690,"score":${Math.sin(24690)}}`);
  assert.equal(answer.tier, 'origin');
  // Row 12,345 is row 2,345 of row group 1: page 1 of ids (2,048 a page), page 2 of scores (1,024 a page).
  assert.deepEqual(trace.describe(snapshot), [
    `${pageBytes(snapshot, 1, 'id', [1])} bytes: row group 1, column id: data page 1`,
    `${pageBytes(snapshot, 1, 'score', [2])} bytes: row group 1, column score: data page 2`,
  ]);

  trace.clear();
  assert.equal(node.engine.tryRow(snapshot, key, projection), answer.json);
  const hot = await node.engine.row(snapshot, key, projection, noDeadline);
  assert.deepEqual([hot.json, hot.tier], [answer.json, 'memory']);
  assert.deepEqual(trace.describe(snapshot), []);
});

test('a dictionary comes with the first page that needs it, and not again', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns());
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['kind']);
  trace.clear();
  assert.equal(
    (await node.engine.row(snapshot, keyOf(snapshot, '0'), projection, noDeadline)).json,
    '{"kind":"kind 0"}',
  );
  const [, values] = trace.describe(snapshot);
  assert.match(values ?? '', /column kind: dictionary page \+ row group 0, column kind: data page 0$/);
  trace.clear();
  // Another row group has its own dictionary.
  assert.equal(
    (await node.engine.row(snapshot, keyOf(snapshot, '20002'), projection, noDeadline)).json,
    `{"kind":"kind ${20002 % 7}"}`,
  );
  assert.match(trace.describe(snapshot).join('\n'), /row group 1, column kind: dictionary page/);
});

test('where the pages of the columns lie is read beside the key page where the file has no page index, once a lookup', async (context) => {
  const options = { pageIndex: false, rowsPerRowGroup: 10_000 };
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns(), options);
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const projection = snapshot.projection(['id', 'score', 'text']);
  trace.clear();
  const answer = await node.engine.row(snapshot, keyOf(snapshot, '24690'), projection, noDeadline);
  assert.match(answer.json ?? '', /^{"id":24690,/);
  const columnOf = ({ range }: { readonly range: ByteRange }) =>
    [0, 1, 3].find((column) => {
      const chunk = file.file.index.chunk(1, column).range;
      return chunk.start <= range.start && range.start < chunk.end;
    });
  const order = trace.gets.map(columnOf);
  // The walk over the headers of the key column's pages, then its page beside the walks over the others.
  assert.ok(
    order.every((column) => column !== undefined),
    order.join(' '),
  );
  const firstOfOthers = Math.min(order.indexOf(1), order.indexOf(3));
  assert.ok(firstOfOthers < trace.gets.length - 3 && order.slice(firstOfOthers).includes(0), order.join(' '));
});

test('a key outside of every bound is absent without a read; one between two pages reads one page', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns());
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(undefined);
  trace.clear();
  assert.equal(node.engine.tryRow(snapshot, keyOf(snapshot, '-1'), projection), null);
  assert.equal(node.engine.tryRow(snapshot, keyOf(snapshot, '40000'), projection), null);
  assert.deepEqual(trace.describe(snapshot), []);
  const odd = await node.engine.row(snapshot, keyOf(snapshot, '777'), projection, noDeadline);
  assert.equal(odd.json, null);
  assert.deepEqual(trace.describe(snapshot), [
    `${pageBytes(snapshot, 0, 'id', [0])} bytes: row group 0, column id: data page 0`,
  ]);
});

test('of 25 columns three cost no more than their pages; where chunks are small, what lies between is bought and can be declined', async (context) => {
  const names = Array.from({ length: 25 }, (_, i) => `c${i}`);
  const ids = Array.from({ length: ROWS }, (_, i) => i);
  const wide: ColumnSource[] = [
    { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
    ...names.map((name, at) => ({
      name,
      data: ids.map((id) => Math.sin(id * (at + 1))),
      type: 'DOUBLE' as const,
      encoding: 'PLAIN' as const,
      nullable: false,
    })),
  ];
  const asked = ['c3', 'c5', 'c20'];
  for (const [rowsPerRowGroup, maxGapBytes, isExact] of [
    [10_000, undefined, true],
    [1000, undefined, false],
    [1000, 0, true],
  ] as const) {
    const s3 = await FaultyS3.start();
    context.after(() => s3.stop());
    s3.put('lake', 't.parquet', parquetBytes(wide, { rowsPerRowGroup, codec: 'UNCOMPRESSED' }));
    const trace = new IoTrace();
    const node = nodeOf(context, [{ name: 't', source: 's3://lake/t.parquet', key: ['id'] }], {
      s3: { endpoint: s3.endpoint, credentials: { accessKeyId: 't', secretAccessKey: 's' } },
      ...(maxGapBytes !== undefined && { coalesce: { maxGapBytes } }),
      wrapStores: trace.wrap,
    });
    const snapshot = await node.catalog.get('t').refresh();
    const look = async (id: number, columnNames: readonly string[]) =>
      (await node.engine.row(snapshot, keyOf(snapshot, `${id}`), snapshot.projection(columnNames), noDeadline)).json;
    await look(5000, ['id', 'c24']);
    await look(5000, ['id']);
    trace.clear();
    const expected = asked.map((name) => `"${name}":${Math.sin(5000 * (Number(name.slice(1)) + 1))}`);
    assert.equal(await look(5000, asked), `{${expected.join(',')}}`);
    const rowGroup = Math.floor(5000 / rowsPerRowGroup);
    const bytes = asked.reduce((sum, name) => {
      const locations = locationsOf(snapshot, rowGroup, name);
      return sum + pageBytes(snapshot, rowGroup, name, [locations.pageOf(5000 - rowGroup * rowsPerRowGroup)]);
    }, 0);
    if (isExact) {
      assert.equal(trace.bytes(), bytes, trace.describe(snapshot).join('; '));
      assert.equal(trace.gets.length, 3);
    } else {
      // One column lies between two of them: 16 KiB at most are fetched to save a request.
      assert.ok(trace.bytes() > bytes && trace.bytes() <= bytes + 16 * 1024, trace.describe(snapshot).join('; '));
      assert.equal(trace.gets.length, 2);
    }
  }
});

function locationsOf(snapshot: Snapshot, rowGroup: number, name: string) {
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const position = file.leafPositions[snapshot.column(name).ordinal] ?? -1;
  return file.file.chunk(rowGroup, position).layout?.locations ?? assert.fail(`no layout of ${name}`);
}

test('a thousand lookups of one cold key read its pages once', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns());
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['id', 'score', 'text']);
  trace.clear();
  const rows = await Promise.all(
    Array.from({ length: 1000 }, () => node.engine.row(snapshot, keyOf(snapshot, '5000'), projection, noDeadline)),
  );
  assert.equal(new Set(rows.map((row) => row.json)).size, 1);
  const seen = trace.describe(snapshot);
  assert.equal(seen.length, new Set(seen).size, `no page twice in ${seen.join('; ')}`);
  assert.ok(seen.length <= 3, seen.join('; '));
});

test('without a page index the pages are found by their headers, and then by memory', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns(), { pageIndex: false });
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['id', 'score']);
  const cold = await node.engine.row(snapshot, keyOf(snapshot, '24690'), projection, noDeadline);
  assert.equal(cold.json, `{"id":24690,"score":${Math.sin(24690)}}`);
  trace.clear();
  const near = await node.engine.row(snapshot, keyOf(snapshot, '30000'), snapshot.projection(['score']), noDeadline);
  assert.equal(near.json, `{"score":${Math.sin(30000)}}`);
  // The layout is known by now; the ids of row group 1 are searched page by page, as nothing bounds them.
  for (const line of trace.describe(snapshot)) assert.match(line, /row group 1, column (id|score): data page/);
});

test('an answer needs no room in the budget', async (context) => {
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), columns());
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { cacheMemoryBytes: 1 });
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['id', 'score', 'kind', 'text']);
  const row = await node.engine.row(snapshot, keyOf(snapshot, '24690'), projection, noDeadline);
  assert.equal(JSON.parse(row.json ?? 'null').text, `text of 24690 ${'x'.repeat(24690 % 50)}`);
  assert.equal(node.tier.stats.bytes, 0);
});

test('unsorted keys: the bloom filter is read once, then absent keys cost nothing', async (context) => {
  const ids = Array.from({ length: ROWS }, (_, i) => `${(i * 7919) % ROWS}-key`);
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: ids, type: 'STRING', encoding: 'PLAIN', nullable: false, bloomFilter: true },
    { name: 'row', data: ids.map((_, row) => row), type: 'INT32', nullable: false },
  ]);
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['row']);
  trace.clear();
  for (let i = 0; i < 50; i++) {
    const absent = await node.engine.row(snapshot, keyOf(snapshot, `${i}-none`), projection, noDeadline);
    assert.equal(absent.json, null);
  }
  // Two row groups, two filters; a false positive in a hundred keys may read pages, and most read nothing at all.
  const filters = trace.describe(snapshot).filter((line) => line.endsWith('something else'));
  assert.ok(filters.length >= 1 && filters.length <= 2, trace.describe(snapshot).join('; '));
  for (const row of [0, 9999, 10_000, 19_999]) {
    const found = await node.engine.row(snapshot, keyOf(snapshot, ids[row] ?? ''), projection, noDeadline);
    assert.equal(found.json, `{"row":${row}}`);
  }
});
