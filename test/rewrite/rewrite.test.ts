/** A rewritten copy holds every row of its source, sorted, and every other reader agrees. */

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openTarget } from '../../src/rewrite/index.ts';
import { dataSetPath, makeDataSets } from '../support/data-sets.ts';
import { type Field, nestedFile, PLAIN_LAYOUT } from '../support/nested-files.ts';
import { duckdbRows, type Row } from '../support/nested-oracles.ts';
import { nestedSample } from '../support/nested-samples.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { rewritten } from './copying.ts';

function sorted(rows: readonly Row[]): string[] {
  return rows.map((row) => JSON.stringify(row)).sort();
}

test('flat columns of every kind, with nulls and what is not finite, in runs and files of bounded size', async (context) => {
  const folder = scratchFolder(context);
  const ids = Array.from({ length: 3000 }, (_, i) => (i * 7919) % 1500);
  const nullAt = <T>(every: number, make: (id: number, row: number) => T) =>
    ids.map((id, row) => (row % every === 0 ? null : make(id, row)));
  const columns = [
    { name: 'group', data: nullAt(11, (id) => `g\u0000é${id % 7}`), type: 'STRING' as const },
    { name: 'id', data: ids.map((id) => BigInt(id - 700) * 2n ** 40n), type: 'INT64' as const, nullable: false },
    { name: 'row', data: ids.map((_, row) => row), type: 'INT32' as const, nullable: false },
    {
      name: 'ratio',
      data: nullAt(5, (_, row) => [Number.NaN, -0, 0, 1.5, -1e300, Infinity][row % 6]!),
      type: 'DOUBLE' as const,
    },
    { name: 'good', data: nullAt(3, (id) => id % 2 === 0), type: 'BOOLEAN' as const },
    { name: 'text', data: nullAt(4, (id) => 'long '.repeat(id % 40) + id), type: 'STRING' as const },
    { name: 'none', data: ids.map(() => null), type: 'INT32' as const },
  ];
  const source = writeParquet(join(folder, 'source.parquet'), columns, { rowsPerRowGroup: 700 });
  for (const codec of ['zstd', 'snappy', 'none'] as const) {
    const target = join(folder, `copy-${codec}`);
    const { summary, before, after, snapshot } = await rewritten(context, source, ['group', 'id'], target, { codec });
    assert.ok(summary.runs > 1, 'the data was to be larger than the memory');
    assert.ok(summary.files > 1, 'the data was to be larger than a file');
    assert.equal(summary.rows, 3000);
    assert.deepEqual(sorted(after), sorted(before));
    const keys = after.map((row) => [row.group, BigInt(String(row.id)), row.row] as const);
    for (const [i, [group, id, row]] of keys.entries()) {
      const next = keys[i + 1];
      if (next === undefined) break;
      const byGroup =
        group === null || next[0] === null
          ? Number(group === null) - Number(next[0] === null)
          : Buffer.compare(Buffer.from(String(group)), Buffer.from(String(next[0])));
      const order = byGroup || Number(id > next[1]) - Number(id < next[1]) || Number(row) - Number(next[2]);
      assert.ok(order < 0, `row ${i} of the copy is out of order, or rows of one key changed places`);
    }
    for (const file of snapshot.files) {
      assert.ok(file.kind === 'readable');
      assert.deepEqual(
        file.file.index.sortingColumns(0).map(({ column }) => column),
        [0, 1],
      );
      assert.notEqual(file.file.index.chunk(0, 1).columnIndexRange, undefined);
    }
    const except = (a: string, b: string) => duckdbRows(`select * from '${a}' except all select * from '${b}'`);
    assert.deepEqual(await except(source, `${target}/*.parquet`), []);
    assert.deepEqual(await except(`${target}/*.parquet`, source), []);
  }
});

test('nested columns of random schemas', async (context) => {
  const folder = scratchFolder(context);
  let seed = 20_261_123;
  const random = () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed / 2 ** 32;
  };
  for (let round = 0; round < 40; round += 1) {
    const samples = [nestedSample(random, 'a', 1 + (round % 3)), nestedSample(random, 'b', round % 2)];
    const id: Field = { name: 'id', repetition: 'required', type: 'INT32' };
    const records = Array.from({ length: 120 }, () => [
      Math.floor(random() * 80) - 40,
      ...samples.map((sample) => sample.make().raw),
    ]);
    const source = join(folder, `source-${round}.parquet`);
    writeFileSync(source, nestedFile([id, ...samples.map(({ field }) => field)], records, { ...PLAIN_LAYOUT, random }));
    const target = join(folder, `copy-${round}.parquet`);
    const { before, after } = await rewritten(context, source, ['id'], target, { memoryBytes: 16 * 1024 });
    const expected = [...before].sort((a, b) => Number(a.id) - Number(b.id));
    assert.deepEqual(after, expected, `round ${round}`);
  }
});

test('a real table, and lookups in its copy', async (context) => {
  makeDataSets();
  const folder = scratchFolder(context);
  const source = dataSetPath('documents');
  const target = join(folder, 'copy.parquet');
  const { before, after, snapshot } = await rewritten(context, source, ['synset_id'], target, {
    memoryBytes: 8e6,
    rowsPerPage: 500,
    rowsPerGroup: 50_000,
  });
  assert.deepEqual(sorted(after), sorted(before));
  const node = nodeOf(context, [{ name: 'copy', source: target, key: ['synset_id'] }]);
  const copy = await node.catalog.get('copy').refresh();
  const names = snapshot.columns.map(({ name }) => name);
  for (let i = 0; i < before.length; i += 997) {
    const row = before[i]!;
    const { json } = await node.engine.row(
      copy,
      keyOf(copy, String(row.synset_id)),
      copy.projection(names),
      noDeadline,
    );
    assert.deepEqual(JSON.parse(json ?? 'null'), row);
  }
});

test('an existing target is kept unless it may be replaced, and nothing is left beside it', async (context) => {
  const folder = scratchFolder(context);
  const source = writeParquet(join(folder, 'source.parquet'), [{ name: 'id', data: [3, 1, 2], type: 'INT32' }]);
  const out = join(folder, 'out');
  mkdirSync(out);
  const target = join(out, 'copy.parquet');
  await rewritten(context, source, ['id'], target);
  const { ino } = statSync(target);
  await assert.rejects(openTarget(target, source, false), /exists; .*--force/);
  assert.equal(statSync(target).ino, ino);
  await rewritten(context, source, ['id'], target, { force: true });
  assert.notEqual(statSync(target).ino, ino);
  assert.deepEqual(readdirSync(out), ['copy.parquet']);
  writeFileSync(join(out, 'note.txt'), 'mine');
  await assert.rejects(openTarget(`${out}/`, source, true), /which no rewrite made/);
  await assert.rejects(openTarget('https://host/copy.parquet', source, false), /on a web server/);
  await assert.rejects(openTarget(join(out, '*.parquet'), source, false), /is a pattern/);
  await assert.rejects(openTarget(join(out, 'below/'), `${out}/`, false), /lies in the source/);
});

test('what cannot be copied exactly is refused by name, before anything is written', async (context) => {
  const folder = scratchFolder(context);
  const mixed = join(folder, 'mixed');
  mkdirSync(mixed);
  writeParquet(join(mixed, 'a.parquet'), [{ name: 'id', data: [1], type: 'INT32' }]);
  writeParquet(join(mixed, 'b.parquet'), [{ name: 'id', data: [1n], type: 'INT64' }]);
  await assert.rejects(rewritten(context, `${mixed}/`, ['id'], join(folder, 'copy')), /b\.parquet has another schema/);
  assert.deepEqual(readdirSync(folder).sort(), ['mixed']);
});
