/**
 * Pages of queries over HTTP in the order of key columns of every type, either way, nulls and equal values among them, against
 * DuckDB's order of the same rows: each row once, whatever stands in a cursor.
 */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { nodeOf } from '../support/one-node.ts';
import { sampled } from '../support/sampled.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { FIELDS, literalOf } from '../support/typed-fields.ts';
import { post } from './fixture.ts';

const ROWS = 150;
const ORDERS = sampled(30, 400);
const SCALARS = FIELDS.filter(({ name }) => !name.includes('.') && name !== 'region');

interface Page {
  readonly rows: readonly { readonly place: number }[];
  readonly cursor?: string;
}

test('pages follow one another without a gap or a repeat', async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  const random = randomFrom(FUZZ_SEED);
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  context.after(() => {
    connection.closeSync();
    instance.closeSync();
  });
  const folder = join(scratchFolder(context), 't');
  for (const file of [0, 1]) {
    mkdirSync(join(folder, `region=${file}`), { recursive: true });
    const cells = SCALARS.map((field, salt) => {
      const hash = `hash(i * 31 + ${salt} + ${file * 1e6})`;
      const values = field.values.map((text) => literalOf(field, text)).join();
      return `CASE WHEN ${hash} % 11 = 0 THEN NULL ELSE [${values}][1 + (${hash} % ${field.values.length})::INT] END AS ${field.name}`;
    });
    await connection.run(
      `COPY (SELECT (${file * ROWS} + i)::INT AS place, ${cells.join()} FROM range(${ROWS}) r(i)) TO '${folder}/region=${file}/a.parquet' (FORMAT parquet)`,
    );
  }
  await connection.run(
    `CREATE TABLE t AS SELECT * FROM read_parquet('${folder}/*/*.parquet', hive_partitioning = true, hive_types_autocast = false)`,
  );
  const key = ['region', ...SCALARS.map(({ name }) => name)];
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key, options: { index: 'none' } }]);
  await node.catalog.get('t').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  for (let at = 0; at < ORDERS; at++) {
    const columns =
      at < key.length
        ? [key[at] as string]
        : [...new Set([0, 1, 2].map(() => key[Math.floor(random() * key.length)] as string))];
    const order = columns.map((name) => (random() < 0.5 ? name : `-${name}`));
    const sql = order.map((name) => (name.startsWith('-') ? `${name.slice(1)} DESC NULLS LAST` : `${name} NULLS LAST`));
    const reader = await connection.runAndReadAll(`SELECT place FROM t ORDER BY ${sql.join()}, place`);
    const wanted = reader.getRowsJson().map(([place]) => place);
    const limit = 1 + Math.floor(random() * 60);
    const places: number[] = [];
    for (let cursor: string | undefined, page = 0; page <= wanted.length / limit; page++) {
      const body = JSON.stringify({ columns: ['place'], order_by: order, limit, cursor });
      const answer = await post(`${server.url}/v1/tables/t/query`, body);
      const text = await answer.text();
      assert.equal(answer.status, 200, text);
      const { rows, cursor: next } = JSON.parse(text) as Page;
      places.push(...rows.map(({ place }) => place));
      if (next === undefined) break;
      cursor = next;
    }
    assert.deepEqual(places, wanted, `${order.join()}, ${limit} a page`);
  }
});

test('strings that are no UTF-8 are gone on behind too', async (context) => {
  const keys = Array.from({ length: 40 }, (_, i) => Uint8Array.of(0x61, 0xf0 + (i % 4), i < 20 ? 0x80 + i : 0x61));
  const source = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'k', data: keys, type: 'STRING', encoding: 'PLAIN', nullable: false },
    { name: 'place', data: keys.map((_, i) => i), type: 'INT32', nullable: false },
  ]);
  const node = nodeOf(context, [{ name: 't', source, key: ['k'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  assert.equal(snapshot.column('k').leaf?.logicalType.kind, 'STRING');
  const server = await serve(node);
  context.after(() => server.close());
  const inOrder = keys.map((key, place) => ({ key, place }));
  for (const sign of [1, -1]) {
    inOrder.sort((a, b) => sign * Buffer.compare(a.key, b.key) || a.place - b.place);
    const places: number[] = [];
    for (let cursor: string | undefined, page = 0; page <= keys.length / 3; page++) {
      const body = JSON.stringify({ columns: ['place'], order_by: [sign < 0 ? '-k' : 'k'], limit: 3, cursor });
      const answer = (await (await post(`${server.url}/v1/tables/t/query`, body)).json()) as Page;
      places.push(...answer.rows.map(({ place }) => place));
      cursor = answer.cursor;
      if (cursor === undefined) break;
      const fields = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
      for (const wrong of [[['YYA']], [[]], [[1]], [['YYA=', 'YYA=']]]) {
        const forged = Buffer.from(JSON.stringify(fields.with(4, wrong))).toString('base64url');
        const refused = await post(
          `${server.url}/v1/tables/t/query`,
          JSON.stringify({ order_by: ['k'], cursor: forged }),
        );
        assert.equal(refused.status, 400, JSON.stringify(wrong));
      }
    }
    assert.deepEqual(
      places,
      inOrder.map(({ place }) => place),
    );
  }
});

test('a cursor takes long keys, and where the next request could not carry it, the page is refused', async (context) => {
  const source = join(scratchFolder(context), 't.parquet');
  const keys = ['a', 'b', 'c', 'd'].map((letter, i) => letter.repeat(i < 3 ? 300_000 : 500_000));
  writeParquet(source, [
    { name: 'k', data: keys, type: 'STRING', encoding: 'PLAIN', nullable: false },
    { name: 'place', data: keys.map((_, i) => i), type: 'INT32', nullable: false },
  ]);
  const node = nodeOf(context, [{ name: 't', source, key: ['k'] }]);
  await node.catalog.get('t').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const ask = (cursor?: string) => {
    const body = JSON.stringify({ columns: ['place'], order_by: ['k'], limit: 1, cursor });
    return post(`${server.url}/v1/tables/t/query`, body);
  };
  let cursor: string | undefined;
  for (let place = 0; place < 3; place++) {
    const answer = await ask(cursor);
    assert.equal(answer.status, 200);
    const page = (await answer.json()) as Page;
    assert.deepEqual(page.rows, [{ place }]);
    cursor = page.cursor;
  }
  const refused = await ask(cursor);
  assert.equal(refused.status, 422);
  const problem = (await refused.json()) as { readonly code: string; readonly detail: string };
  assert.equal(problem.code, 'unsupported');
  assert.match(problem.detail, /too large for a cursor/);
});
