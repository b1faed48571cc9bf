/** What `inspect` says of a key: each piece of advice where it helps and not where it does not, and a key index in place. */

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import { inspect } from '../../src/cli/inspect.ts';
import type { LookupReport } from '../../src/cli/inspect-advice.ts';
import { lookupsText } from '../../src/cli/inspect-lookups-text.ts';
import { randomFrom } from '../parquet/support/property.ts';
import { rewritten } from '../rewrite/copying.ts';
import { type FixtureOptions, scratchFolder, writeParquet } from '../support/scratch.ts';

type Options = Parameters<typeof inspect>[1];

const ROWS = 30_000;
const upTo = (rows: number) => Array.from({ length: rows }, (_, i) => i);

/** In no order that an even sample of rows could be in step with. */
function shuffled(rows: number): readonly number[] {
  const random = randomFrom(5);
  const ids = upTo(rows);
  return ids
    .map((id) => ({ id, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ id }) => id);
}

function idsAnd(ids: readonly number[], ...others: readonly ColumnSource[]): readonly ColumnSource[] {
  return [{ name: 'id', data: [...ids], type: 'INT32', encoding: 'PLAIN', nullable: false }, ...others];
}

const text = (ids: readonly number[], bytes: number): ColumnSource => ({
  name: 'text',
  data: ids.map((id) => `${id} `.padEnd(bytes, 'x')),
  type: 'STRING',
  encoding: 'PLAIN',
});

/** A file of its own folder. */
function fileOf(
  context: TestContext,
  columns: readonly ColumnSource[],
  options: FixtureOptions = {},
): { readonly path: string; readonly folder: string } {
  const folder = scratchFolder(context);
  const layout = { codec: 'UNCOMPRESSED', rowsPerRowGroup: 5000, ...options } as const;
  return { path: writeParquet(join(folder, 'a.parquet'), columns, layout), folder };
}

async function lookupsOf(uri: string, options: Options = { key: ['id'] }): Promise<LookupReport> {
  const { lookups } = await inspect(uri, options);
  assert.ok(lookups);
  return lookups;
}

async function adviceOf(uri: string, options?: Options): Promise<readonly string[]> {
  return (await lookupsOf(uri, options)).advice.map(({ problem, advice, gain }) => `${problem} | ${advice} | ${gain}`);
}

function says(advice: readonly string[], what: RegExp): void {
  assert.equal(advice.filter((one) => what.test(one)).length, 1, `${what} in\n${advice.join('\n')}`);
}

function saysNothingOf(advice: readonly string[], what: RegExp): void {
  assert.deepEqual(
    advice.filter((one) => what.test(one)),
    [],
  );
}

/** A configuration beside the file. */
function configured(folder: string, more: string, table = ''): Options {
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(config, `tables:\n  t: { source: a.parquet, key: id${table} }\n${more}`);
  return { config, table: 't' };
}

test('no offset index, and no column index', async (context) => {
  const ids = upTo(ROWS);
  const bare = await adviceOf(fileOf(context, idsAnd(ids, text(ids, 20)), { pageIndex: false }).path);
  says(bare, /^no page index: 12 of 12 column chunks .*\(id, text\) \| rewrite with offset and column index/);
  saysNothingOf(bare, /no column index/);
  const blind = idsAnd(ids, text(ids, 20)).map((column) => ({ ...column, columnIndex: false }));
  const unbounded = await adviceOf(fileOf(context, blind).path);
  says(unbounded, /^no column index: 6 of 6 chunks of the key .*\| one key page a lookup/);
  saysNothingOf(unbounded, /no page index/);
  const whole = await adviceOf(fileOf(context, idsAnd(ids, text(ids, 20))).path);
  saysNothingOf(whole, /no page index|no column index/);
});

test('not clustered: sort, index, or bloom filters, each where it is a help', async (context) => {
  const ids = shuffled(ROWS);
  const { path, folder } = fileOf(context, idsAnd(ids, text(upTo(ROWS), 20)));
  const advice = await adviceOf(path);
  says(advice, /^not clustered by id: .* of 6 row groups, .*\| sort by id when writing \(pointlake rewrite --key id\)/);
  says(advice, /^not clustered by id.*\| or add a key index: `index: auto` \|.* 271\.5 kB of memory$/);
  says(advice, /^not clustered by id.*\| or write bloom filters of the key \| most of 6 row groups/);

  saysNothingOf(await adviceOf(fileOf(context, idsAnd(upTo(ROWS))).path), /not clustered/);

  // With filters, by any order but the key's.
  const filtered = join(folder, 'filtered.parquet');
  const wide = { memoryBytes: 64e6, rowsPerGroup: 5000, bloomFilters: ['id'] };
  await rewritten(context, path, ['text'], filtered, wide);
  const withFilters = await adviceOf(filtered);
  says(withFilters, /^not clustered by id.*\| sort by id/);
  saysNothingOf(withFilters, /bloom/);

  const off = await adviceOf('t', configured(folder, '', ', index: none'));
  says(off, /^not clustered.*\| or add a key index: `index: hash` \|/);
  // What is going to be there is not advised.
  saysNothingOf(await adviceOf('t', configured(folder, '', ', index: hash')), /not clustered/);
});

test('a key of many rows: filters pass over nothing, and an index names too many', async (context) => {
  const few = shuffled(ROWS).map((id) => id % 1000);
  const thirty = await lookupsOf(fileOf(context, idsAnd(few), { pageBytes: 1024 }).path);
  assert.ok(thirty.rowsOfKey > 10 && thirty.rowsOfKey < 90, `${thirty.rowsOfKey}`);
  const said = thirty.advice.map(({ advice }) => advice);
  assert.ok(said.some((advice) => advice.includes('key index')));
  assert.ok(!said.some((advice) => advice.includes('bloom')), said.join('; '));

  const { path } = fileOf(context, idsAnd(shuffled(ROWS).map((id) => id % 3)));
  const { rowsOfKey, advice } = await lookupsOf(path);
  assert.ok(rowsOfKey > 8000 && rowsOfKey < 12_000, `${rowsOfKey}`);
  assert.deepEqual(
    advice.filter(({ problem }) => problem.startsWith('not clustered')).map((one) => one.advice),
    ['sort by id when writing (pointlake rewrite --key id)'],
  );
  // It is there, and yet no help.
  const indexed = await adviceOf(path, { key: ['id'], withIndex: true });
  says(indexed, /^not clustered.*\| sort by id/);
});

test('keys of many rows that lie together are clustered, in however many pages and row groups', async (context) => {
  const sorted = upTo(ROWS).map((row) => Math.floor(row / 12_000));
  const { depth, index, advice } = await lookupsOf(fileOf(context, idsAnd(sorted), { pageBytes: 1024 }).path);
  assert.ok(depth);
  assert.ok(depth.pages.mean > 20 && depth.rowGroups.mean >= 2, JSON.stringify(depth));
  assert.ok(depth.sharedPages.max <= 2 && depth.sharedRowGroups.max <= 2, JSON.stringify(depth));
  assert.equal(index.isBuilt, false);
  assert.deepEqual(
    advice.map(({ problem }) => problem),
    ['no page checksums (CRC)'],
  );
});

test('what a server would refuse by the limits that it is given', async (context) => {
  const { folder, path } = fileOf(context, idsAnd(shuffled(ROWS)), { pageBytes: 1024 });
  const low = 'limits: { gets: 3 }\n';
  const refused = await adviceOf('t', configured(folder, low));
  says(
    refused,
    /^finding a key by id may take .*above limits\.gets \(3\).*\| let the server index it: `index: auto` \| .*503 indexing/,
  );
  says(refused, /\| raise limits\.gets and limits\.bytes \| lookups are answered, in place of 422 plan_too_expensive/);
  says(
    await adviceOf('t', configured(folder, low, ', index: none')),
    /above limits.*\| let the server index it: `index: hash` \|/,
  );
  saysNothingOf(await adviceOf('t', configured(folder, low, ', index: hash')), /above limits/);
  saysNothingOf(await adviceOf('t', configured(folder, 'limits: { gets: 300 }\n')), /above limits/);
  saysNothingOf(await adviceOf(path), /above limits/);
  says(await adviceOf('t', configured(folder, 'limits: { bytes: 1KB }\n')), /above limits.*\| raise/);
});

test('an index that has no room', async (context) => {
  const rows = 120_000;
  const { folder } = fileOf(context, idsAnd(shuffled(rows)), { rowsPerRowGroup: 20_000 });
  const small = await lookupsOf('t', configured(folder, 'cache: { memory: 8MiB }\n', ', index: hash'));
  assert.deepEqual([small.index.isBuilt, small.index.fits], [false, false]);
  assert.match(small.index.reason, /^its 1\.1 MB do not fit into what cache\.memory leaves for key indexes, 1\.0 MB$/);
  const said = small.advice.map(({ problem, advice }) => `${problem} | ${advice}`);
  says(
    said,
    /^not clustered.*\| or add a key index: `index: hash`, with room for it: cache\.memory or cache\.disk of 8\.7 MB$/,
  );
  const disk = `cache: { memory: 8MiB, disk: { path: disk, size: 64MiB } }\n`;
  const onDisk = await lookupsOf('t', configured(folder, disk, ', index: hash'));
  assert.deepEqual([onDisk.index.isBuilt, onDisk.index.fits], [true, true]);
  await assert.rejects(
    inspect('t', { ...configured(folder, 'cache: { memory: 8MiB }\n'), withIndex: true }),
    /no key index was built: .*does not fit/,
  );
});

test('large pages, unless a page is one value', async (context) => {
  const ids = upTo(4000);
  const large = await adviceOf(fileOf(context, idsAnd(ids, text(ids, 400)), { pageBytes: 2 ** 20 }).path);
  says(large, /^large pages: those of text have \d+ rows .*\| rewrite with pages of 64 rows \| /);
  saysNothingOf(await adviceOf(fileOf(context, idsAnd(ids, text(ids, 400))).path), /large pages/);
  const few = upTo(20);
  saysNothingOf(await adviceOf(fileOf(context, idsAnd(few, text(few, 200_000)), { pageBytes: 1 }).path), /large pages/);
});

test('many small files, and many small row groups', async (context) => {
  const { path, folder } = fileOf(context, idsAnd(upTo(10)));
  const many = join(folder, 'many');
  mkdirSync(many);
  for (let i = 0; i < 499; i++) copyFileSync(path, join(many, `${i}.parquet`));
  saysNothingOf(await adviceOf(`${many}/`), /small files|small row groups/);
  copyFileSync(path, join(many, '499.parquet'));
  const small = await adviceOf(`${many}/`);
  says(small, /^many small files: 500 of .* on average \| join them into files of 100 MB/);
  saysNothingOf(small, /small row groups/);

  const groups = (count: number) => adviceOf(fileOf(context, idsAnd(upTo(count * 3)), { rowsPerRowGroup: 3 }).path);
  says(await groups(1000), /^small row groups: 1000 of 3 rows on average \| write row groups of 100000 rows and more/);
  saysNothingOf(await groups(999), /small row groups/);
});

test('one large row group in which nothing can be ruled out', async (context) => {
  const one = { rowsPerRowGroup: 2_000_000, pageBytes: 2 ** 16 };
  const ids = upTo(1_000_001);
  const bare = await adviceOf(fileOf(context, idsAnd(ids), { ...one, pageIndex: false }).path);
  says(
    bare,
    /^one row group of 1000001 rows, without a page index.*\| write row groups of 100000 rows \| 11 row groups/,
  );
  saysNothingOf(await adviceOf(fileOf(context, idsAnd(ids), one).path), /one row group/);
});

test('page checksums', async (context) => {
  const { path, folder } = fileOf(context, idsAnd(upTo(2000)));
  says(await adviceOf(path), /^no page checksums \(CRC\) \|/);
  const copy = join(folder, 'copy.parquet');
  await rewritten(context, path, ['id'], copy);
  assert.deepEqual(await adviceOf(copy), []);
  assert.match(lookupsText(await lookupsOf(copy)).join('\n'), /advice:\n {2}none: these files look up well$/);
});

test('with an index in place: it answers, takes what was foretold, and spares the search', async (context) => {
  const columns = idsAnd(shuffled(ROWS), text(upTo(ROWS), 100));
  const { path } = fileOf(context, columns, { pageBytes: 2048 });
  const { index, cold, advice } = await lookupsOf(path, { key: ['id'], withIndex: true });
  const { here } = index;
  assert.ok(here?.allColumns && cold.allColumns);
  assert.deepEqual([here.keys, here.filesIndexed, here.files, here.runs], [ROWS, 1, 1, 1]);
  assert.ok(Math.abs(here.bytes / index.bytes - 1) < 0.02, `${here.bytes} of ${index.bytes}`);
  assert.equal(here.allColumns.roundTrips.max, 1);
  assert.equal(here.allColumns.gets.max, 2);
  assert.ok(cold.allColumns.gets.mean > 2 * here.allColumns.gets.mean, `${cold.allColumns.gets.mean}`);
  assert.deepEqual(
    advice.map(({ problem }) => problem),
    ['no page checksums (CRC)'],
  );
  const said = lookupsText(await lookupsOf(path, { key: ['id'], withIndex: true })).join('\n');
  assert.equal(here.duplicates, 0);
  assert.match(said, /\n {2}no two rows have the same key\n/);
  assert.match(said, /the index answers: 30000 rows of all files in one run, 27\d\.\d kB/);
  const without = lookupsText(await lookupsOf(path)).join('\n');
  assert.match(without, /index: auto would build a key index of about 271\.5 kB: .*\n {2}--with-index builds it here/);
});

test('a table of a configuration, by its key and by a named one', async (context) => {
  const group = { name: 'group', data: shuffled(ROWS).map((id) => id >> 1), type: 'INT32' as const };
  const { folder } = fileOf(context, idsAnd(upTo(ROWS), group));
  const options = configured(folder, '', ', keys: { cohort: { columns: group, index: hash } }');
  const own = await inspect(undefined, options);
  assert.deepEqual([own.lookups?.key, own.lookups?.name, own.lookups?.index.mode], [['id'], undefined, 'auto']);
  assert.equal(own.lookups?.index.isBuilt, false);
  const named = await inspect('t', { ...options, by: 'cohort', withIndex: true });
  const { lookups, columns } = named;
  assert.deepEqual([lookups?.key, lookups?.name, lookups?.index.mode], [['group'], 'cohort', 'hash']);
  assert.deepEqual(
    columns.map(({ name, isKey }) => [name, isKey]),
    [
      ['id', false],
      ['group', true],
    ],
  );
  assert.equal(lookups?.index.here?.keys, ROWS);
  assert.equal(lookups.index.here.duplicates, ROWS / 2);
  assert.match(lookupsText(lookups).join('\n'), /at most 15000 rows have a key that another row has already/);
  assert.equal(lookups.cold.defaultColumns, undefined);
  const wrong = (uri: string | undefined, given: Options, message: RegExp) =>
    assert.rejects(async () => inspect(uri, given), message);
  await wrong('t', { ...options, by: 'nobody' }, /no key "nobody"|nobody/);
  await wrong('t', { ...options, key: ['id'] }, /a configuration says itself what the keys/);
  await wrong('other', options, /--table NAME/);
  await wrong('other', { config: options.config! }, /has no table "other"; its tables are: t/);
  await wrong(undefined, {}, /name a path or URI/);
  await wrong('a.parquet', { by: 'cohort' }, /--by needs --config/);
  await wrong('a.parquet', { withIndex: true }, /--with-index needs --key/);
  const narrow = configured(folder, '', ', default_columns: [group]');
  const { cold } = await lookupsOf('t', narrow);
  assert.ok(cold.defaultColumns && cold.allColumns && cold.keyOnly);
  assert.ok(cold.keyOnly.bytes.mean <= cold.defaultColumns.bytes.mean);
  assert.match(lookupsText(await lookupsOf('t', narrow)).join('\n'), /default columns: GETs/);
  assert.match(lookupsText(lookups!)[0]!, /^lookups by cohort \(group\), of \d+ sampled keys:$/);
});
