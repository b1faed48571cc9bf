/** Keys of several tables in one request: in order, each table with its own result. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { post, problemOf, startFixture } from './fixture.ts';

test('tables answer in order as they do alone; what is wrong with one is its own result', async (context) => {
  const { url } = await startFixture(context);
  const users = { keys: [1, 77, '2'], columns: ['name'] };
  const events = { keys: [2], columns: ['n'], matches: 'all', limit: 3, order_by: ['-n'] };
  const requests = [
    { table: 'users', ...users },
    { table: 'nix', keys: [1] },
    { table: 'events', ...events },
    { table: 'users', keys: 1 },
    { table: 'users', keys: [1], columns: ['nix'] },
    { keys: [1] },
    5,
    { table: 'users', ...users },
  ];
  // Once more when all of it is in memory.
  await post(`${url}/v1/lookup`, JSON.stringify({ requests }));
  const answer = await post(`${url}/v1/lookup`, JSON.stringify({ requests }));
  assert.equal(answer.status, 200);
  const { results } = (await answer.json()) as {
    results: { table: string | null; snapshot?: string; results?: unknown; error?: { code: string } }[];
  };
  assert.deepEqual(
    results.map(({ error }) => error?.code),
    [undefined, 'unknown_table', undefined, 'bad_request', 'unknown_column', 'bad_request', 'bad_request', undefined],
  );
  for (const [i, [table, body]] of [
    [0, ['users', users]],
    [2, ['events', events]],
    [7, ['users', users]],
  ] as const) {
    const alone = await post(`${url}/v1/tables/${table}/lookup`, JSON.stringify(body));
    const snapshot = alone.headers.get('pointlake-snapshot');
    const { results: expected } = (await alone.json()) as { results: unknown };
    assert.deepEqual(results[i], { table, snapshot, cache: 'memory', results: expected });
  }
});

test('limits hold for all tables together; a body that is no list of requests is refused', async (context) => {
  const { url } = await startFixture(context);
  const expectRefusal = async (body: string, status: number, code: string) => {
    const problem = await problemOf(await post(`${url}/v1/lookup`, body));
    assert.deepEqual([problem.status, problem.code], [status, code], JSON.stringify(problem));
  };
  const keys = Array.from({ length: 600 }, (_, i) => i);
  const request = { table: 'users', keys };
  await expectRefusal(JSON.stringify({ requests: [request, request] }), 413, 'too_many_keys');
  const requests = Array.from({ length: 101 }, () => ({ table: 'users', keys: [] }));
  await expectRefusal(JSON.stringify({ requests }), 413, 'too_many_lookups');
  await expectRefusal('{"keys":[1]}', 400, 'unknown_field');
  await expectRefusal('{"requests":{}}', 400, 'bad_request');
  await expectRefusal('[]', 400, 'bad_request');
  assert.equal(await (await post(`${url}/v1/lookup`, '{"requests":[]}')).text(), '{"results":[]}');
});
