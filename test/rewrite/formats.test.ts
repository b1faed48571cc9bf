/** Copies of every type and encoding there is, in every way that a copy can be written, as this and other readers see them. */

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { rangeLength, ServiceError } from '../../src/core/index.ts';
import { keyClassOf } from '../../src/parquet/index.ts';
import type { TableColumn } from '../../src/table/index.ts';
import { corpusEntries, hasCorpus, isParquet, MANY_PAGES, NO_CORPUS, pathOf } from '../conformance/support/corpus.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { duckdbRows, hyparquetRows } from '../support/nested-oracles.ts';
import { nodeOf } from '../support/one-node.ts';
import { isLong, sampled } from '../support/sampled.ts';
import { scratchFolder } from '../support/scratch.ts';
import { rewritten } from './copying.ts';
import { checkIndexes } from './written-indexes.ts';

const CODECS = ['zstd', 'snappy', 'none'] as const;
const ENCODINGS = ['smallest', 'plain'] as const;
/** A checkout may lie elsewhere, CI has the files. */
const skip = hasCorpus() || process.env.CI === 'true' ? false : NO_CORPUS;

function sortedTexts(rows: readonly unknown[]): readonly string[] {
  const text = (_: string, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'number' && !Number.isFinite(value)) return `${value}`;
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  };
  return rows.map((row) => JSON.stringify(row, text)).sort();
}

/** Of a flat column by which rows can be sorted. */
const isKey = ({ leaf, partition, unsupported }: TableColumn) =>
  leaf !== undefined && partition === undefined && unsupported === undefined && keyClassOf(leaf) !== 'unsearchable';

const isFlat = ({ leaf }: TableColumn) => leaf !== undefined && leaf.physicalType !== 'BOOLEAN';

async function columnsOf(context: TestContext, source: string): Promise<readonly TableColumn[] | undefined> {
  const node = nodeOf(context, [{ name: 'look', source, key: [] }]);
  try {
    return (await node.catalog.get('look').refresh()).columns;
  } catch (thrown) {
    if (thrown instanceof ServiceError) return undefined;
    throw thrown;
  }
}

/** In any four seeds that follow each other each is there. Random values of a type of DuckDB, from a column `h` of random 64-bit numbers. */
const EXPRESSIONS: readonly string[] = [
  '(h % 128)::TINYINT',
  '(h % 100)::SMALLINT',
  '(h % 2000000000 - 1000000000)::INTEGER',
  '(h * 9007199254740993::HUGEINT % 9223372036854775807)::BIGINT',
  '(1700000000000 + i * 17 + h % 13)::BIGINT',
  '(h % 256)::UTINYINT',
  '(h % 4294967296)::UINTEGER',
  '(h * 1000003::HUGEINT % 18446744073709551615)::UBIGINT',
  'h % 2 = 0',
  "CASE h % 9 WHEN 0 THEN 'nan'::FLOAT WHEN 1 THEN -0.0::FLOAT WHEN 2 THEN 'inf'::FLOAT ELSE (h % 1000)::FLOAT / 7 END",
  "CASE h % 9 WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN -0.0 WHEN 2 THEN 0.0 WHEN 3 THEN '-inf'::DOUBLE ELSE h / 3 END",
  '((h % 20000 - 10000) / 100)::DECIMAL(7, 2)',
  '(h % 1000000000000 - 500000000000)::DECIMAL(16, 4)',
  '((h % 1000000 - 500000)::HUGEINT * 10000000000000000)::DECIMAL(38, 3)',
  'repeat(chr((97 + h % 26)::INTEGER), (h % 90)::INTEGER) || chr((128 + h % 50000)::INTEGER) || h::VARCHAR',
  "'user-' || lpad((i // 3)::VARCHAR, 9, '0')",
  'encode(h::VARCHAR)',
  "DATE '1969-06-01' + (h % 40000)::INTEGER",
  "TIMESTAMP '2026-01-01' + to_microseconds(h % 100000000000)",
  "TIME '00:00:00' + to_microseconds(h % 86400000000)",
  'md5(h::VARCHAR)::UUID',
  'to_days((h % 300)::INTEGER)',
  '[h % 3, NULL, i]',
  "{'a': h % 5, 'b': [h::VARCHAR]}",
  "MAP {'k' || (h % 3)::VARCHAR: h % 7}",
];

describe('what is written is read back', () => {
  test('random tables of every type, by every reader', async (context) => {
    const folder = scratchFolder(context);
    const counts = { pages: 0, boundedPages: 0, filters: 0 };
    for (let round = 0; round < Number(process.env.FUZZ_RUNS ?? sampled(4, 10)); round += 1) {
      const seed = FUZZ_SEED + round;
      const random = randomFrom(seed);
      const chosen = EXPRESSIONS.filter((_, i) => (i + seed) % 4 === 0 || random() < 0.1);
      const columns = chosen.map((expression, i) => {
        const nulls = random() < 0.5 ? `CASE WHEN hash(i, ${i}) % 5 = 0 THEN NULL ELSE ${expression} END` : expression;
        return `${nulls.replaceAll(/\bh\b/g, `(hash(i, ${seed + i}) % 2147483647)::BIGINT`)} AS c${i}`;
      });
      const source = join(folder, `source-${round}.parquet`);
      const rows = 300 + Math.floor(random() * 2500);
      await duckdbRows(
        `COPY (SELECT ${['(hash(i) % 700)::INTEGER AS id', 'i::INTEGER AS row', ...columns].join(', ')} FROM range(${rows}) t(i))
         TO '${source}' (FORMAT parquet, ROW_GROUP_SIZE 2048, PARQUET_VERSION ${random() < 0.5 ? 'V1' : 'V2'})`,
      );
      const look = (await columnsOf(context, source)) ?? [];
      const some = (share: number) =>
        look.filter((column) => isFlat(column) && random() < share).map(({ name }) => name);
      const keys = ['id', ...look.filter((column) => isKey(column) && random() < 0.2).map(({ name }) => name)];
      const target = join(folder, `copy-${round}`);
      const { before, after, snapshot, loader } = await rewritten(
        context,
        source,
        [...new Set(keys)].reverse(),
        target,
        {
          codec: CODECS[seed % 3]!,
          encoding: ENCODINGS[seed % 2]!,
          dictionaries: some(0.4),
          bloomFilters: some(0.4),
          rowsPerPage: random() < 0.2 ? 7 : 1 + Math.floor(random() * 600),
          memoryBytes: random() < 0.5 ? 256 * 1024 : 8e6,
        },
      );
      const what = `FUZZ_SEED=${seed} FUZZ_RUNS=1: ${columns.join(', ')}`;
      assert.deepEqual(sortedTexts(after), sortedTexts(before), what);
      const except = (a: string, b: string) => duckdbRows(`select * from '${a}' except all select * from '${b}'`);
      assert.deepEqual(await except(source, `${target}/*.parquet`), [], `DuckDB, ${what}`);
      assert.deepEqual(await except(`${target}/*.parquet`, source), [], `DuckDB, ${what}`);
      // hyparquet reads no intervals.
      const names = look.filter(({ leaf }) => leaf?.logicalType.kind !== 'INTERVAL').map(({ name }) => name);
      const files = readdirSync(target).filter((name) => name.endsWith('.parquet'));
      const theirs = await Promise.all(files.map((name) => hyparquetRows(readFileSync(join(target, name)), names)));
      const original = await hyparquetRows(readFileSync(source), names);
      assert.deepEqual(sortedTexts(theirs.flat()), sortedTexts(original), `hyparquet, ${what}`);
      const checked = await checkIndexes(loader, snapshot);
      for (const name of ['pages', 'boundedPages', 'filters'] as const) counts[name] += checked[name];
    }
    context.diagnostic(`FUZZ_SEED=${FUZZ_SEED}: ${JSON.stringify(counts)}`);
    assert.ok(counts.boundedPages > 0, JSON.stringify(counts));
  });

  test("the format's own files: every type, encoding and annotation", { skip }, async (context) => {
    const folder = scratchFolder(context);
    let copied = 0;
    const without: string[] = [];
    const left = new Set(isLong ? [] : MANY_PAGES.toSpliced(FUZZ_SEED % MANY_PAGES.length, 1));
    for (const [i, name] of corpusEntries().filter(isParquet).entries()) {
      if (left.has(name)) continue;
      const columns = await columnsOf(context, pathOf(name));
      const key = columns?.find(isKey);
      if (columns === undefined || key === undefined) {
        without.push(name);
        continue;
      }
      const target = join(folder, `copy-${i}.parquet`);
      const names = columns.filter(isFlat).map((column) => column.name);
      const copy = rewritten(context, pathOf(name), [key.name], target, {
        encoding: ENCODINGS[i % 2]!,
        memoryBytes: 1e6,
        rowsPerPage: 100,
        dictionaries: i % 3 === 0 ? names : [],
        bloomFilters: i % 2 === 0 ? names : [],
      });
      const done = await copy.catch((thrown: unknown) => {
        assert.ok(thrown instanceof ServiceError, `${name}: ${thrown}`);
        assert.notEqual(thrown.kind, 'internal', name);
        without.push(`${name} (${thrown.code})`);
      });
      if (done === undefined) continue;
      assert.deepEqual(sortedTexts(done.after), sortedTexts(done.before), name);
      await checkIndexes(done.loader, done.snapshot);
      copied += 1;
    }
    context.diagnostic(`FUZZ_SEED=${FUZZ_SEED}: ${copied} copied; without a key or refused: ${without.join(', ')}`);
    assert.ok(copied >= 50, `${copied} copied`);
  });
});

test('a bloom filter lets through what is there, and little else, as DuckDB reads it too', async (context) => {
  const folder = scratchFolder(context);
  const source = join(folder, 'source.parquet');
  await duckdbRows(
    `COPY (SELECT i::INTEGER AS id, 'name ' || (i % 400) AS name, i * 3 AS n FROM range(20000) t(i)) TO '${source}' (FORMAT parquet)`,
  );
  const target = join(folder, 'copy.parquet');
  const { snapshot, loader } = await rewritten(context, source, ['id'], target, {
    memoryBytes: 64e6,
    rowsPerPage: 1000,
    rowsPerGroup: 100_000,
    bloomFilters: ['name', 'n'],
    bloomFpp: 0.01,
  });
  assert.equal((await checkIndexes(loader, snapshot)).filters, 2);
  const entry = snapshot.files[0];
  assert.ok(entry?.kind === 'readable');
  const { index } = entry.file;
  assert.equal(index.chunk(0, 0).bloomFilterRange, undefined);
  const sizes = [1, 2].map((column) => rangeLength(index.chunk(0, column).bloomFilterRange ?? { start: 0, end: 0 }));
  // Ten bits a distinct value, to the next power of two, and the header: 400 names, 20,000 numbers.
  assert.deepEqual(
    sizes.map((bytes) => 2 ** Math.floor(Math.log2(bytes))),
    [512, 32_768],
  );
  const excluded = async (column: string, value: string) => {
    const [row] = await duckdbRows(`select * from parquet_bloom_probe('${target}', '${column}', ${value})`);
    return row?.bloom_filter_excludes;
  };
  for (const i of [0, 7, 399]) assert.equal(await excluded('name', `'name ${i}'`), false);
  for (const i of [0, 30, 59_997]) assert.equal(await excluded('n', `${i}::BIGINT`), false);
  let through = 0;
  for (let i = 0; i < 100; i += 1) if ((await excluded('n', `${3 * i + 1}::BIGINT`)) !== true) through += 1;
  assert.ok(through < 10, `${through} of 100 absent values pass`);
});

test('a partitioned source keeps its folders, each sorted by itself, and marks them whole', async (context) => {
  const folder = scratchFolder(context);
  const source = join(folder, 'source');
  mkdirSync(source);
  await duckdbRows(
    `COPY (SELECT (hash(i) % 1000)::INTEGER AS id, i AS row, i % 3 AS dt, 'é' || (i % 2) AS "part" FROM range(3000) t(i))
     TO '${source}' (FORMAT parquet, PARTITION_BY (dt, "part"), OVERWRITE_OR_IGNORE)`,
  );
  const target = join(folder, 'copy');
  const { before, after, snapshot } = await rewritten(context, `${source}/`, ['dt', 'id'], target);
  assert.deepEqual(sortedTexts(after), sortedTexts(before));
  assert.deepEqual(readdirSync(target).sort(), ['_SUCCESS', 'dt=0', 'dt=1', 'dt=2']);
  assert.ok(readdirSync(join(target, 'dt=1')).includes('_SUCCESS'));
  const files = readdirSync(target, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.parquet'));
  assert.ok(files.length >= 6);
  for (const name of files) {
    const ids = (await hyparquetRows(readFileSync(join(target, name)), ['id'])).map(({ id }) => Number(id));
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
      `rows of ${name} are in order`,
    );
  }
  for (const file of snapshot.files) {
    assert.ok(file.kind === 'readable');
    assert.deepEqual(
      file.file.index.sortingColumns(0).map(({ column }) => column),
      [0],
    );
  }
  const except = (a: string, b: string) =>
    duckdbRows(
      `select * from read_parquet('${a}/**/*.parquet') except all select * from read_parquet('${b}/**/*.parquet')`,
    );
  assert.deepEqual(await except(source, target), []);
  assert.deepEqual(await except(target, source), []);
  await assert.rejects(
    rewritten(context, `${source}/`, ['id'], join(folder, 'one.parquet')),
    /has partition folders .*name a folder/,
  );
});
