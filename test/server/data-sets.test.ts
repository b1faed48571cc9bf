/**
 * The real tables over real HTTP against DuckDB's full read of the same files: a thousand random keys a table, absent
 * ones beside them, cold and hot, by row, by value and by batch.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createNode, type PointlakeNode } from '../../src/main.ts';
import type { PointlakeServer } from '../../src/server/index.ts';
import { tableDefinition } from '../../src/table/index.ts';
import { DATA_SETS, type DataSetName, dataSetPath, firstRows, makeDataSets } from '../support/data-sets.ts';
import { serve } from '../support/served.ts';

const KEYS = 1000;
const SEED = Number(process.env.FUZZ_SEED ?? 20261123);

let node: PointlakeNode;
let server: PointlakeServer;
let url = '';

before(async () => {
  makeDataSets();
  const tables = Object.entries(DATA_SETS).map(([name, { key }]) => tableDefinition(name, dataSetPath(name), [key]));
  node = createNode({ s3: {}, cacheMemoryBytes: 512 * 2 ** 20, tables });
  await Promise.all([...node.catalog.tables()].map((table) => table.refresh()));
  server = await serve(node);
  url = server.url;
});

after(async () => {
  await server.close();
  await node.close();
});

for (const name of Object.keys(DATA_SETS) as DataSetName[]) {
  const base = () => `${url}/v1/tables/${name}`;

  test(`${name}: ${KEYS} rows by key equal DuckDB's, cold and then from memory`, async (context) => {
    const expected = await firstRows(name, dataSetPath(name), KEYS, SEED);
    assert.equal(expected.length, KEYS);
    context.diagnostic(`seed ${SEED}`);
    for (const tier of ['either', 'memory'] as const) {
      for (const { key, row } of expected) {
        const answer = await fetch(`${base()}/rows/${encodeURIComponent(String(key))}`);
        assert.equal(answer.status, 200);
        assert.deepEqual(await answer.json(), row);
        if (tier === 'memory') assert.equal(answer.headers.get('pointlake-cache'), 'memory');
      }
    }
  });

  test(`${name}: a batch of ${KEYS} keys answers in their order`, async () => {
    const expected = await firstRows(name, dataSetPath(name), KEYS, SEED + 1);
    const [, second] = Object.keys(DATA_SETS[name].columns);
    const body = JSON.stringify({ keys: expected.map(({ key }) => key), columns: [second] });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${base()}/lookup`, { method: 'POST', headers, body });
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), {
      results: expected.map(({ key, row }) => ({ key, status: 'found', row: { [second ?? '']: row[second ?? ''] } })),
    });
  });

  test(`${name}: bare values equal DuckDB's`, async () => {
    const expected = await firstRows(name, dataSetPath(name), 20, SEED + 2);
    for (const { key, row } of expected) {
      for (const [column, value] of Object.entries(row)) {
        const answer = await fetch(`${base()}/values/${column}/${encodeURIComponent(String(key))}`);
        const text = await answer.text();
        if (value === null) assert.deepEqual([answer.status, text], [204, '']);
        else if (typeof value !== 'string') assert.deepEqual([answer.status, JSON.parse(text)], [200, value]);
        else assert.equal(text.replace(/^"(.*)"$/, '$1'), value.replace(/^"(.*)"$/, '$1'));
      }
    }
  });

  test(`${name}: absent keys are absent`, async () => {
    for (const key of DATA_SETS[name].absent) {
      const answer = await fetch(`${base()}/rows/${encodeURIComponent(key)}`);
      assert.equal(answer.status, 404, `${key}: ${answer.status}`);
      assert.equal(((await answer.json()) as { code: string }).code, 'key_not_found');
    }
  });
}
