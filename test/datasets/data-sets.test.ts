/** The data sets as made, read back by readers that are not ours: hyparquet for the layout, DuckDB for the values. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { asyncBufferFromFile, parquetMetadataAsync, readOffsetIndex } from 'hyparquet';
import { documents } from '../../datasets/documents.ts';

const make = fileURLToPath(new URL('../../datasets/make.ts', import.meta.url));
const pathOf = (name: string) => fileURLToPath(new URL(`../../datasets/data/${name}.parquet`, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'pointlake-datasets-'));

before(() => {
  execFileSync(process.execPath, [make], { stdio: 'ignore' });
});

after(() => {
  rmSync(scratch, { recursive: true });
});

async function rows(sql: string): Promise<unknown[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const reader = await connection.runAndReadAll(sql);
  connection.closeSync();
  return reader.getRowObjectsJson();
}

const counts = {
  flights: { rows: 3_000_000, rowGroups: 11, key: 'date', distinctKeys: 213_834 },
  cities: { rows: 171_075, rowGroups: 6, key: 'id', distinctKeys: 171_075 },
  documents: { rows: 117_791, rowGroups: 4, key: 'synset_id', distinctKeys: 117_791 },
} as const;

for (const [name, expected] of Object.entries(counts)) {
  test(`${name} has its rows, row groups and distinct keys`, async () => {
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(pathOf(name)));
    assert.equal(Number(metadata.num_rows), expected.rows);
    assert.equal(metadata.row_groups.length, expected.rowGroups);
    const [counted] = await rows(
      `select count(*)::int as n, count(distinct ${expected.key})::int as keys from '${pathOf(name)}'`,
    );
    assert.deepEqual(counted, { n: expected.rows, keys: expected.distinctKeys });
  });
}

for (const name of ['cities', 'documents'] as const) {
  test(`${name} has a page index for every column chunk of more than one page, and several pages for its key`, async () => {
    const metadata = await parquetMetadataAsync(await asyncBufferFromFile(pathOf(name)));
    let indexed = 0;
    for (const column of metadata.row_groups.flatMap((group) => group.columns)) {
      const stats = column.meta_data?.encoding_stats as readonly { page_type: string; count: number }[] | undefined;
      const pages = stats?.find((entry) => entry.page_type === 'DATA_PAGE_V2')?.count ?? 0;
      assert.ok(pages > 0);
      assert.equal(
        column.offset_index_offset !== undefined,
        pages > 1,
        column.meta_data?.path_in_schema.join('.') ?? '',
      );
      assert.equal(
        column.column_index_offset !== undefined,
        pages > 1,
        column.meta_data?.path_in_schema.join('.') ?? '',
      );
      if (pages > 1) indexed += 1;
      if (column.meta_data?.path_in_schema[0] === counts[name].key) assert.ok(pages > 5, `${pages} pages of keys`);
    }
    assert.ok(indexed > metadata.row_groups.length * 5, `${indexed} chunks with an index`);
  });
}

test('flights is the published file, byte for byte, whose page index knows one page a column chunk', async () => {
  const sha256 = createHash('sha256')
    .update(readFileSync(pathOf('flights')))
    .digest('hex');
  assert.equal(sha256, 'dbeb920c90f59b6ccaff823dcc3d08f25a97fa1ce128d93f40be4e931f5900b0');
  const file = await asyncBufferFromFile(pathOf('flights'));
  const { row_groups: rowGroups } = await parquetMetadataAsync(file);
  for (const column of rowGroups.flatMap((group) => group.columns)) {
    const start = Number(column.offset_index_offset);
    const index = await file.slice(start, start + (column.offset_index_length ?? 0));
    assert.equal(readOffsetIndex({ view: new DataView(index), offset: 0 }).page_locations.length, 1);
  }
});

test('cities has known places, sorted by id, with their derived features', async () => {
  const [place] = await rows(`select * from '${pathOf('cities')}' where id = 100000`);
  assert.deepEqual(place, {
    id: '100000',
    name: 'Bir Jdid',
    country: 'MA',
    admin1: '06',
    admin1_name: 'Casablanca-Settat',
    admin2: '181',
    admin2_name: 'El-Jadida',
    lat: 33.37362,
    lng: -7.99462,
    geohash: 'evfmf56rr',
    northern: true,
    sphere_x: 0.826984988,
    sphere_y: -0.116145975,
    sphere_z: 0.550096303,
    name_length: 8,
    places_of_name: 1,
    places_in_country: 479,
  });
  const [order] = await rows(
    `select count(*)::int as wrong from (select id, row_number() over () as n from '${pathOf('cities')}') where id <> n`,
  );
  assert.deepEqual(order, { wrong: 0 });
});

test('cities keeps what GeoNames does not have as null, never as an empty text', async () => {
  const [found] = await rows(
    `select count(*) filter (admin2 is null)::int as nulls, count(*) filter (admin2 = '')::int as empty from '${pathOf('cities')}'`,
  );
  assert.deepEqual(found, { nulls: 21_531, empty: 0 });
});

test('documents has known synsets of each part of speech', async () => {
  const found = await rows(
    `select * from '${pathOf('documents')}' where synset_id in ('n00001740', 'v00002325', 'a00002730') order by 1`,
  );
  assert.deepEqual(found, [
    {
      synset_id: 'a00002730',
      part_of_speech: 'adjective',
      lexname: 'adj.all',
      lemmas: 'acroscopic',
      gloss: 'facing or on the side toward the apex',
      examples: null,
      pointers_count: 2,
    },
    {
      synset_id: 'n00001740',
      part_of_speech: 'noun',
      lexname: 'noun.Tops',
      lemmas: 'entity',
      gloss: 'that which is perceived or known or inferred to have its own distinct existence (living or nonliving)',
      examples: null,
      pointers_count: 3,
    },
    {
      synset_id: 'v00002325',
      part_of_speech: 'verb',
      lexname: 'verb.body',
      lemmas: 'respire',
      gloss:
        'undergo the biomedical and metabolic processes of respiration by taking up oxygen and producing carbon monoxide',
      examples: null,
      pointers_count: 5,
    },
  ]);
});

test('documents is not clustered by its key: most row groups span most of the keys', async () => {
  const spans = await rows(
    `select stats_min_value as low, stats_max_value as high from parquet_metadata('${pathOf('documents')}') where path_in_schema = 'synset_id'`,
  );
  assert.equal(spans.length, 4);
  for (const span of spans as { low: string; high: string }[]) {
    assert.ok(span.low.startsWith('a') && span.high.startsWith('v'), JSON.stringify(span));
  }
});

test('documents is made from the same packages to the same bytes', () => {
  const again = join(scratch, 'documents.parquet');
  documents.write(again, () => {});
  assert.ok(readFileSync(again).equals(readFileSync(pathOf('documents'))));
});
