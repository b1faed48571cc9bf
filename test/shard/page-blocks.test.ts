/**
 * Lookups of rows of large pages, of which they decode the one block that they want: the rows are those that were written, and a page
 * that is wanted again and again is decoded whole.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { rangeLength } from '../../src/core/index.ts';
import type { Snapshot } from '../../src/table/index.ts';
import { IoTrace } from '../support/io-trace.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 60_000;
const MIB = 2 ** 20;
const VALUES = ['number', 'text', 'code', 'some'] as const;

function rowOf(id: number) {
  return {
    id,
    number: Math.sin(id) * 1e6,
    text: `text ${id} ${'of some length '.repeat(id % 7)}`,
    code: `code ${id % 900}`,
    some: id % 3 === 0 ? null : id / 7,
  };
}

async function start(context: TestContext, codec: 'SNAPPY' | 'UNCOMPRESSED', cacheMemoryBytes = 256 * MIB) {
  const rows = Array.from({ length: ROWS }, (_, id) => rowOf(id));
  const path = join(scratchFolder(context), 't.parquet');
  const of = (name: keyof (typeof rows)[number], type: 'INT32' | 'DOUBLE' | 'STRING', encoding = 'PLAIN') => ({
    name,
    data: rows.map((row) => row[name]),
    type,
    encoding: encoding as 'PLAIN',
    nullable: name === 'some',
  });
  writeParquet(
    path,
    [
      of('id', 'INT32'),
      of('number', 'DOUBLE'),
      of('text', 'STRING'),
      of('code', 'STRING', 'RLE_DICTIONARY'),
      of('some', 'DOUBLE'),
    ],
    { pageBytes: 2 ** 24, rowsPerRowGroup: ROWS, codec },
  );
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], {
    cacheMemoryBytes,
    wrapStores: trace.wrap,
  });
  const snapshot = await node.catalog.get('t').refresh();
  const lookup = async (id: number) => {
    const { json } = await node.engine.row(snapshot, [id], snapshot.projection(undefined), noDeadline);
    assert.deepEqual(JSON.parse(json ?? 'null'), rowOf(id), `row ${id}`);
  };
  return { snapshot, lookup, trace };
}

function residentBlocks(snapshot: Snapshot): Record<(typeof VALUES)[number], number> {
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const counted = VALUES.map((name) => {
    const leaf = file.file.index.schema.leaves.find((one) => one.name === name);
    assert.ok(leaf !== undefined);
    return [name, file.file.chunk(0, leaf.ordinal).residentBlocks(0)] as const;
  });
  return Object.fromEntries(counted) as ReturnType<typeof residentBlocks>;
}

test('a first lookup leaves one block of each large page in memory, and a page wanted often comes whole', async (context) => {
  for (const codec of ['SNAPPY', 'UNCOMPRESSED'] as const) {
    const { snapshot, lookup } = await start(context, codec);
    await lookup(31_234);
    const { code: codes, ...first } = residentBlocks(snapshot);
    assert.deepEqual(first, { number: 1, text: 1, some: 1 }, codec);
    assert.ok(codes >= 1);
    await lookup(31_235);
    assert.deepEqual(residentBlocks(snapshot), { ...first, code: codes }, 'its neighbour is there');
    for (const row of [0, ROWS - 1, 17_000]) await lookup(row);
    assert.deepEqual(
      [residentBlocks(snapshot).number, residentBlocks(snapshot).text],
      [4, 4],
      'one more for each row that lies in another',
    );
    await lookup(45_000);
    const { number, text, some } = residentBlocks(snapshot);
    assert.ok(number > 10 && text > 10 && some > 10, `${number}, ${text} and ${some} blocks of the pages`);
    for (let row = 0; row < ROWS; row += 977) await lookup(row);
  }
});

const HEADER_BYTES = 4096;

/** How long the reads are that begin where the chunk of a column does, but for that of the page's header. */
function readsOf(name: string, snapshot: Snapshot, trace: IoTrace): readonly number[] {
  const [file] = snapshot.files;
  assert.ok(file?.kind === 'readable');
  const { index } = file.file;
  const { range } = index.chunk(0, index.schema.leaves.find((leaf) => leaf.name === name)?.ordinal ?? -1);
  const begun = trace.gets.filter((get) => get.range.start === range.start).map((get) => rangeLength(get.range));
  return begun.filter((bytes) => bytes !== HEADER_BYTES);
}

test('of a page as much is read as likely has the row', async (context) => {
  const { snapshot, lookup, trace } = await start(context, 'UNCOMPRESSED');
  await lookup(500);
  const few = ['number', 'text'].map((name) => readsOf(name, snapshot, trace));
  trace.clear();
  await lookup(30_000);
  const half = readsOf('text', snapshot, trace);
  for (const [bytes = 0, ...more] of few) assert.ok(bytes < 300_000 && more.length === 0, `${few}`);
  assert.ok(half.length === 1 && half.every((bytes) => bytes > 1_500_000), `${half}`);
});

test('where the bytes before a row do not give it, the page is read whole, and further ones of the chunk at once', async (context) => {
  // This writer's compressor lets copies reach out of a fragment.
  const { snapshot, lookup, trace } = await start(context, 'SNAPPY');
  await lookup(500);
  const [part = 0, whole = 0] = readsOf('number', snapshot, trace);
  assert.ok(part < whole / 2, `${part} of ${whole} bytes`);
  trace.clear();
  await lookup(20_000);
  const [again = 0, ...more] = readsOf('number', snapshot, trace);
  assert.ok(again >= whole && more.length === 0, 'with that of the next column, perhaps');
});

test('rows of a page that are wanted at the same time read it twice at most', async (context) => {
  const { lookup, trace } = await start(context, 'SNAPPY');
  await lookup(5);
  const before = trace.gets.length;
  await Promise.all([9_000, 20_000, 31_000, 42_000, 59_999, 42_000, 9_001].map(lookup));
  const pages = trace.gets.length - before;
  assert.ok(pages <= 2 * VALUES.length, `${pages} reads of ${VALUES.length} pages`);
});

test('rows are answered where memory holds next to nothing', async (context) => {
  const { lookup } = await start(context, 'SNAPPY', 4 * MIB);
  for (let row = 100; row < ROWS; row += 3001) await lookup(row);
  await Promise.all([1, 30_000, 59_000].map(lookup));
});
