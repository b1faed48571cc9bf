/**
 * Rows by keys of every scalar type, single and composite, by an index of them and without one, against DuckDB on the same
 * files: each distinct value has its rows, and values that the column could hold and does not have none.
 */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { keyOf, noDeadline, nodeOf } from '../support/one-node.ts';
import { sampled } from '../support/sampled.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { FIELDS, type Field, literalOf } from '../support/typed-fields.ts';

const ROWS = 600;
const COMPOSITES = sampled(6, 60);
const SCALARS = FIELDS.filter(({ name }) => !name.includes('.') && name !== 'region');

async function connected(context: TestContext): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  context.after(() => {
    connection.closeSync();
    instance.closeSync();
  });
  return connection;
}

/** Of each field all values but its last, and nulls, in two files. */
async function writeFiles(connection: DuckDBConnection, folder: string): Promise<void> {
  mkdirSync(folder);
  for (const file of [0, 1]) {
    const cells = SCALARS.map((field, salt) => {
      const values = field.values.slice(0, -1).map((text) => literalOf(field, text));
      const hash = `hash(i * 31 + ${salt} + ${file * 1e6})`;
      return `CASE WHEN ${hash} % 11 = 0 THEN NULL ELSE [${values.join()}][1 + (${hash} % ${values.length})::INT] END AS ${field.name}`;
    });
    await connection.run(
      `COPY (SELECT ${file * ROWS} + i AS place, ${cells.join()} FROM range(${ROWS}) r(i)) TO '${folder}/${file}.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
    );
  }
}

function combinations(fields: readonly Field[]): readonly (readonly string[])[] {
  return fields.reduce<readonly (readonly string[])[]>(
    (all, { values }) => all.flatMap((key) => values.map((value) => [...key, value])),
    [[]],
  );
}

test('every type, and keys of several', async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  const random = randomFrom(FUZZ_SEED);
  const connection = await connected(context);
  const folder = join(scratchFolder(context), 't');
  await writeFiles(connection, folder);
  // Its own filters of a file tell -0 from 0.
  await connection.run(`CREATE TABLE t AS SELECT * FROM read_parquet('${folder}/*.parquet')`);
  const pick = () => SCALARS[Math.floor(random() * SCALARS.length)] as Field;
  const composites = Array.from({ length: COMPOSITES }, () => [
    ...new Set(Array.from({ length: 2 + Math.floor(random() * 2) }, pick)),
  ]);
  let found = 0;
  let absent = 0;
  for (const fields of [...SCALARS.map((field) => [field]), ...composites]) {
    const key = fields.map(({ name }) => name);
    for (const index of ['hash', 'none'] as const) {
      const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key, options: { index } }]);
      const table = node.catalog.get('t');
      const snapshot = await table.refresh();
      for (const indexing of node.indexings(table)) await indexing.idle();
      if (index === 'hash') assert.equal(snapshot.primaryKey.index?.openFiles.length, 0, key.join());
      const projection = snapshot.projection(['place']);
      for (const parts of combinations(fields)) {
        const where = fields.map((field, i) => `${field.name} = ${literalOf(field, parts[i] ?? '')}`).join(' AND ');
        const reader = await connection.runAndReadAll(`SELECT place::INT FROM t WHERE ${where} ORDER BY place`);
        const places = reader.getRowsJson().map(([place]) => `{"place":${place}}`);
        const options = { matches: 'all', limit: 2 * ROWS } as const;
        const answer = await node.engine.lookup(snapshot, [keyOf(snapshot, ...parts)], projection, options, noDeadline);
        const wanted =
          places.length === 0 ? { status: 'not_found' } : { status: 'found', rows: places, truncated: false };
        assert.deepEqual(answer.items, [wanted], `${where}, index: ${index}`);
        if (places.length === 0) absent += 1;
        else found += 1;
      }
      await node.close();
    }
  }
  context.diagnostic(`${found} keys found, ${absent} absent`);
  assert.ok(found > 150 && absent > 30, `${found} found, ${absent} absent`);
});

test('half precision floats, the zeros and NaN among them', async (context) => {
  const folder = scratchFolder(context);
  const values = [0, -0, Number.NaN, 1.5, -2.25, 65504, Number.POSITIVE_INFINITY, 0.333251953125];
  const data = Array.from({ length: 400 }, (_, i) => (i % 9 === 8 ? null : (values[(i * 7) % values.length] ?? null)));
  writeParquet(
    join(folder, 'a.parquet'),
    [
      { name: 'k', data, type: 'FLOAT16' },
      { name: 'place', data: data.map((_, i) => i), type: 'INT32', nullable: false },
    ],
    { rowsPerRowGroup: 90, pageBytes: 64 },
  );
  for (const index of ['hash', 'none'] as const) {
    const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['k'], options: { index } }]);
    const table = node.catalog.get('t');
    const snapshot = await table.refresh();
    for (const indexing of node.indexings(table)) await indexing.idle();
    const projection = snapshot.projection(['place']);
    for (const text of ['0', '-0', 'NaN', '1.5', '-2.25', '65504', 'Infinity', '0.33325195', '-Infinity', '7']) {
      const [value] = keyOf(snapshot, text);
      const isSame = (other: number | null) => other === value || (Number.isNaN(value) && Number.isNaN(other));
      const rows = data.flatMap((other, place) => (isSame(other) ? [`{"place":${place}}`] : []));
      const options = { matches: 'all', limit: 400 } as const;
      const answer = await node.engine.lookup(snapshot, [keyOf(snapshot, text)], projection, options, noDeadline);
      const wanted = rows.length === 0 ? { status: 'not_found' } : { status: 'found', rows, truncated: false };
      assert.deepEqual(answer.items, [wanted], `${text}, index: ${index}`);
    }
  }
});
