/** The real tables asked of serving threads against DuckDB's full read: passed on at first, and then from shared memory. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DATA_SETS, type DataSetName, dataSetPath, firstRows, makeDataSets } from '../support/data-sets.ts';
import { nodeOf } from '../support/one-node.ts';
import { serve } from '../support/served.ts';
import { answeredByThreads, serveByThreads } from '../support/served-by-threads.ts';

const KEYS = 150;
const ROUNDS = 3;
const SEED = Number(process.env.FUZZ_SEED ?? 20261124);

test('rows, values, batches and absent keys of the real tables are the same from threads', async (context) => {
  makeDataSets();
  const names = Object.keys(DATA_SETS) as DataSetName[];
  const tables = names.map((name) => ({ name, source: dataSetPath(name), key: [DATA_SETS[name].key] }));
  const node = nodeOf(context, tables, { loops: 3 });
  await Promise.all([...node.catalog.tables()].map((table) => table.refresh()));
  const server = await serve(node);
  context.after(() => server.close());
  const { url, lines } = await serveByThreads(context, node, server, 2);
  context.diagnostic(`seed ${SEED}`);
  for (const name of names) {
    const base = `${url}/v1/tables/${name}`;
    const expected = await firstRows(name, dataSetPath(name), KEYS, SEED);
    const columns = Object.keys(DATA_SETS[name].columns).slice(0, 3);
    const body = JSON.stringify({ keys: expected.map(({ key }) => key), columns });
    for (let round = 0; round < ROUNDS; round++) {
      await answeredByThreads(node);
      for (const { key, row } of expected) {
        const answer = await fetch(`${base}/rows/${encodeURIComponent(String(key))}`);
        assert.deepEqual([answer.status, await answer.json()], [200, row]);
      }
      const rowsByThreads = await answeredByThreads(node);
      if (round === ROUNDS - 1) assert.ok(rowsByThreads > 0.9 * KEYS, `${name}: ${rowsByThreads} of ${KEYS} rows`);

      for (const { key, row } of expected.slice(0, 10)) {
        for (const [column, value] of Object.entries(row)) {
          const answer = await fetch(`${base}/values/${column}/${encodeURIComponent(String(key))}`);
          const text = await answer.text();
          if (value === null) assert.deepEqual([answer.status, text], [204, '']);
          else if (typeof value !== 'string') assert.deepEqual([answer.status, JSON.parse(text)], [200, value]);
          else assert.equal(text.replace(/^"(.*)"$/, '$1'), value.replace(/^"(.*)"$/, '$1'));
        }
      }
      const valuesByThreads = await answeredByThreads(node);
      const values = 10 * Object.keys(DATA_SETS[name].columns).length;
      if (round === ROUNDS - 1)
        assert.ok(valuesByThreads > 0.9 * values, `${name}: ${valuesByThreads} of ${values} values`);

      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${base}/lookup`, { method: 'POST', headers, body });
      const { results } = (await answer.json()) as { results: unknown };
      const shown = (row: object) =>
        Object.fromEntries(Object.entries(row).filter(([column]) => columns.includes(column)));
      assert.deepEqual(
        results,
        expected.map(({ key, row }) => ({ key, status: 'found', row: shown(row) })),
      );

      for (const key of DATA_SETS[name].absent) {
        const absent = await fetch(`${base}/rows/${encodeURIComponent(key)}`);
        assert.deepEqual([absent.status, ((await absent.json()) as { code: string }).code], [404, 'key_not_found']);
      }
    }
  }
  assert.deepEqual(lines, []);
});
