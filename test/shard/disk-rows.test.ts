/** Rows read from disk by their sectors: the same as without a disk, of every type, and memory keeps only what comes back. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PointlakeNode } from '../../src/main.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { IoTrace } from '../support/io-trace.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { type FixtureOptions, scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 30_000;
const ids = Array.from({ length: ROWS }, (_, id) => id);

/** A value of each kind of block, with and without nulls, longer and shorter than a sector. */
function writeTypes(path: string, options: FixtureOptions): void {
  const some = <T>(value: (id: number) => T) => ids.map((id) => (id % 7 === 0 ? null : value(id)));
  writeParquet(
    path,
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      {
        name: 'long',
        data: ids.map((id) => BigInt(id) * 90_071_992_547_409n),
        type: 'INT64',
        encoding: 'PLAIN',
        nullable: false,
      },
      { name: 'double', data: some((id) => Math.sin(id)), type: 'DOUBLE', encoding: 'PLAIN' },
      { name: 'float', data: ids.map((id) => Math.fround(id / 3)), type: 'FLOAT', encoding: 'PLAIN' },
      { name: 'is', data: some((id) => id % 3 === 0), type: 'BOOLEAN' },
      { name: 'kind', data: some((id) => `kind ${id % 300}`), type: 'STRING' },
      { name: 'number', data: ids.map((id) => id % 50), type: 'INT32' },
      { name: 'text', data: some((id) => `text of ${id} ${'é'.repeat(id % 40)}`), type: 'STRING' },
      { name: 'long_text', data: ids.map((id) => (id % 500 === 1 ? `${id} `.repeat(3000) : '')), type: 'STRING' },
    ],
    options,
  );
}

async function rowOf(node: PointlakeNode, id: number): Promise<string | null> {
  const snapshot = node.catalog.get('t').current();
  const key = keyOf(snapshot, String(id));
  return (await node.engine.row(snapshot, key, snapshot.projection(undefined), noDeadline)).json;
}

/** Undefined where it could not be had in this turn. */
function storedRowOf(node: PointlakeNode, id: number): string | null | undefined {
  const snapshot = node.catalog.get('t').current();
  return node.engine.tryStoredRow(snapshot, keyOf(snapshot, String(id)), snapshot.projection(undefined), 0);
}

interface Place {
  readonly source: string;
  readonly disk: { readonly path: string; readonly sizeBytes: number };
}

/** The table with all of its blocks on disk. */
async function filled(context: TestContext, options: FixtureOptions): Promise<Place> {
  const folder = scratchFolder(context);
  const place = { source: join(folder, 't.parquet'), disk: { path: join(folder, 'cache'), sizeBytes: 2 ** 28 } };
  writeTypes(place.source, options);
  const node = nodeOf(context, [{ name: 't', source: place.source, key: ['id'] }], { disk: place.disk });
  await node.catalog.get('t').refresh();
  for (let id = 0; id < ROWS; id += 20) await rowOf(node, id);
  await node.disk?.idle();
  assert.equal(node.disk?.blocks.state.dropped, 0);
  await node.close();
  return place;
}

for (const [name, options] of [
  ['pages and an index', { rowsPerRowGroup: 10_000, pageBytes: 50_000 }],
  ['one page a chunk', { rowsPerRowGroup: 15_000, pageIndex: false, pageBytes: 2 ** 24 }],
] as const) {
  test(`rows of every type from disk equal those without a disk, and nothing is fetched: ${name}`, async (context) => {
    const place = await filled(context, options);
    const trace = new IoTrace();
    const tables = [{ name: 't', source: place.source, key: ['id'] }];
    const plain = nodeOf(context, tables);
    const node = nodeOf(context, tables, { disk: place.disk, cacheMemoryBytes: 1, wrapStores: trace.wrap });
    await plain.catalog.get('t').refresh();
    await node.catalog.get('t').refresh();
    const random = randomFrom(FUZZ_SEED);
    let atOnce = 0;
    for (let n = 0; n < 600; n++) {
      const id = Math.trunc(random() * ROWS);
      const expected = await rowOf(plain, id);
      await nextTurn();
      const now = storedRowOf(node, id);
      if (now !== undefined) atOnce += 1;
      assert.equal(now ?? expected, expected, `at once, FUZZ_SEED=${FUZZ_SEED}, id ${id}`);
      assert.equal(await rowOf(node, id), expected, `FUZZ_SEED=${FUZZ_SEED}, id ${id}`);
    }
    assert.ok(atOnce > 300, `${atOnce} of 600 rows were read at once`);
    for (const id of [-1, ROWS, 2 ** 31 - 1]) {
      await nextTurn();
      const now = storedRowOf(node, id);
      assert.ok(now === null || now === undefined, `${id}: ${now}`);
    }
    assert.deepEqual(trace.gets, []);
    const { reads, sectors, bytesRead, invalid } = node.disk?.blocks.state ?? assert.fail();
    assert.ok(reads > 0 && bytesRead === sectors * 4096 && invalid === 0);
    context.diagnostic(
      `${(reads / 1200).toFixed(1)} reads and ${(sectors / 1200).toFixed(1)} sectors a lookup, ${atOnce} of 600 at once`,
    );
  });
}

test('the first 10,000 lookups after a restart cause no GET and are right, in a small memory', async (context) => {
  const place = await filled(context, { rowsPerRowGroup: 10_000, pageBytes: 50_000 });
  const trace = new IoTrace();
  const tables = [{ name: 't', source: place.source, key: ['id'] }];
  const node = nodeOf(context, tables, { disk: place.disk, cacheMemoryBytes: 2 ** 20, wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['id', 'number', 'kind']);
  const random = randomFrom(FUZZ_SEED);
  for (let n = 0; n < 10_000; n++) {
    const id = Math.trunc(random() * ROWS);
    const { json } = await node.engine.row(snapshot, keyOf(snapshot, String(id)), projection, noDeadline);
    const kind = id % 7 === 0 ? null : `kind ${id % 300}`;
    assert.equal(json, JSON.stringify({ id, number: id % 50, kind }), `FUZZ_SEED=${FUZZ_SEED}`);
  }
  assert.deepEqual(trace.gets, []);
});

test('a row that is read once leaves memory as it was but for its key; read again, its blocks rise', async (context) => {
  const place = await filled(context, { rowsPerRowGroup: 30_000, pageIndex: false, pageBytes: 2 ** 24 });
  const node = nodeOf(context, [{ name: 't', source: place.source, key: ['id'] }], { disk: place.disk });
  await node.catalog.get('t').refresh();
  const counts = () => {
    const { reads, sectors } = node.disk?.blocks.state ?? assert.fail();
    return { reads, sectors, blocks: node.tier.stats.entries };
  };
  await rowOf(node, 12);
  const once = counts();
  assert.equal(once.blocks, 1, 'the block of keys');
  const again = await rowOf(node, 13);
  const twice = counts();
  assert.equal(twice.blocks, 9, 'the keys and eight columns');
  await rowOf(node, 14);
  assert.deepEqual(counts(), twice, 'all of it is in memory');
  assert.match(again ?? '', /^\{"id":13,/);
  // The key's block whole; of eight columns one or two sectors each, and of two their dictionaries.
  assert.ok(once.sectors <= 9 + 8 * 2 + 2 * 3, `${once.sectors} sectors`);
});

test('a row that has to be waited for is not read at once: a part is not there, the disk is slow, the turn has read enough', async (context) => {
  const place = await filled(context, { rowsPerRowGroup: 10_000, pageBytes: 50_000 });
  const trace = new IoTrace();
  const tables = [{ name: 't', source: place.source, key: ['id'] }];
  const node = nodeOf(context, tables, { disk: place.disk, cacheMemoryBytes: 1, wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const disk = node.disk?.blocks ?? assert.fail();
  const text = storedRowOf(node, 15);
  assert.equal(text, await rowOf(node, 15));
  assert.match(text ?? '', /^\{"id":15,/);

  await nextTurn();
  const { reads } = disk.state;
  disk.pace.tookAtOnce(2);
  assert.equal(storedRowOf(node, 16), undefined);
  assert.equal(disk.state.reads, reads, 'nothing was read');
  await nextTurn();
  assert.ok(storedRowOf(node, 16) !== undefined);

  // One that began before is read to its end.
  await nextTurn();
  for (let fast = 0; fast < 4; fast++) disk.pace.tookAtOnce(0.2499);
  const began = storedRowOf(node, 18);
  assert.ok(disk.pace.isTurnOver);
  assert.match(began ?? '', /^\{"id":18,/);

  await nextTurn();
  for (let slow = 0; slow < 2; slow++) disk.pace.tookAtOnce(0.3);
  assert.equal(storedRowOf(node, 17), undefined, 'the disk is slow');
  assert.match((await rowOf(node, 17)) ?? '', /^\{"id":17,/);
  assert.deepEqual(trace.gets, []);
  assert.equal(snapshot.id, node.catalog.get('t').current().id);
});
