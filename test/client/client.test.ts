/** The client against a real server. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PointlakeClient, PointlakeError } from '../../src/client/index.ts';
import { parseJson, writeKeyJson } from '../../src/client/json.ts';
import { BEYOND_DOUBLE, LONG_KEY, startFixture } from '../server/fixture.ts';

test('tables and rows', async (context) => {
  const { url } = await startFixture(context);
  const client = new PointlakeClient(`${url}/`);
  assert.deepEqual((await client.tables()).map(({ name }) => name).slice(0, 2), ['users', 'docs']);
  const users = await client.table('users');
  assert.deepEqual([users.status, users.rows, users.columns?.[0]?.type], ['serving', 7, 'INT64']);
  assert.deepEqual(await client.row('users', 1, { columns: ['name', 'score'] }), { name: 'Ada', score: 1.5 });
  assert.deepEqual(await client.row('users', 1, { columns: ['a,b'] }), { 'a,b': 1 });
  assert.deepEqual(await client.row('users', 1, { columns: ['a,b', 'a/b c'] }), { 'a,b': 1, 'a/b c': 1 });
  assert.deepEqual(await client.row('users', 1, { columns: [] }), {});
  assert.equal(await client.row('users', 77), undefined);
  assert.deepEqual(await client.row('users', 2, { columns: ['score'], nonfinite: 'string' }), { score: 'NaN' });
  assert.equal((await client.row<{ n: number }>('docs', ['eu/west', 'with/slash']))?.n, 1);
});

test('64-bit integers, both ways', async (context) => {
  const { url } = await startFixture(context);
  const columns = ['id'];
  const exact = new PointlakeClient(url);
  for (const id of [BEYOND_DOUBLE, 2n ** 63n - 1n, -(2n ** 63n)]) {
    assert.deepEqual(await exact.row('users', id, { columns }), { id });
    assert.deepEqual(await exact.row('users', String(id), { columns }), { id });
    assert.deepEqual(await exact.lookup('users', [id], { columns }), [{ key: id, status: 'found', row: { id } }]);
  }
  assert.deepEqual(await exact.row('users', 1n, { columns }), { id: 1 });
  const strings = new PointlakeClient(url, { int64: 'string' });
  assert.deepEqual(await strings.row('users', 1, { columns }), { id: '1' });
  assert.equal(await strings.value('users', 'id', BEYOND_DOUBLE), String(BEYOND_DOUBLE));
  const numbers = new PointlakeClient(url, { int64: 'number' });
  assert.deepEqual(await numbers.row('users', BEYOND_DOUBLE, { columns }), { id: Number(BEYOND_DOUBLE) });
  await assert.rejects(exact.row('users', 2 ** 53), TypeError);
});

test('keys that no URL carries go by body', async (context) => {
  const { url } = await startFixture(context);
  const paths: string[] = [];
  const recording: typeof fetch = (input, init) => {
    paths.push(new URL(String(input)).pathname);
    return fetch(input, init);
  };
  const client = new PointlakeClient(url, { fetch: recording });
  for (const [doc, n] of [
    ['.', 8],
    ['..', 9],
    ['', 10],
    [LONG_KEY, 11],
  ] as const) {
    assert.deepEqual(await client.row('docs', ['eu/west', doc], { columns: ['n'] }), { n });
  }
  assert.ok(paths.every((path) => path.endsWith('/lookup')));
  assert.equal(await client.row('docs', ['us', '.']), undefined);
  await assert.rejects(client.row('docs', ['']), { name: 'PointlakeError', code: 'bad_key', status: 0 });
  await assert.rejects(client.value('docs', 'n', ['eu/west', '.']), TypeError);
});

test('bare values by their type', async (context) => {
  const { url } = await startFixture(context);
  const client = new PointlakeClient(url);
  assert.equal(await client.value('users', 'name', 1), 'Ada');
  assert.equal(await client.value('users', 'name', 2), null);
  assert.equal(await client.value('users', 'name', 77), undefined);
  assert.deepEqual(await client.value('users', 'photo', 1), Uint8Array.of(0, 255, 0));
  assert.deepEqual(await client.value('users', 'profile', 1), { a: 1 });
  assert.equal(await client.value('users', 'id', BEYOND_DOUBLE), BEYOND_DOUBLE);
});

test('lookups', async (context) => {
  const { url } = await startFixture(context);
  const client = new PointlakeClient(url);
  const results = await client.lookup('users', [1, 77, 'x'], { columns: ['name'] });
  assert.deepEqual(results.slice(0, 2), [
    { key: 1, status: 'found', row: { name: 'Ada' } },
    { key: 77, status: 'not_found' },
  ]);
  const [, , bad] = results;
  assert.ok(bad?.status === 'error' && bad.error.code === 'bad_key');
  const [all] = await client.lookup<{ n: number }>('events', [2], { matches: 'all', limit: 2, columns: ['n'] });
  assert.deepEqual(all, { key: 2, status: 'found', rows: [{ n: 2 }, { n: 5 }], truncated: true });
});

test('refusals are typed errors', async (context) => {
  const { url } = await startFixture(context);
  const client = new PointlakeClient(url);
  const refusal = async (work: Promise<unknown>) => {
    const [result] = await Promise.allSettled([work]);
    assert.ok(result?.status === 'rejected' && result.reason instanceof PointlakeError);
    return result.reason;
  };
  const column = await refusal(client.row('users', 1, { columns: ['nix'] }));
  assert.deepEqual([column.status, column.code, column.fields.column], [400, 'unknown_column', 'nix']);
  assert.equal(column.isRetryable, false);
  const table = await refusal(client.row('nix', 1));
  assert.deepEqual([table.status, table.code], [404, 'unknown_table']);
  const files = await refusal(client.row('nothing', 1));
  assert.deepEqual([files.code, files.isRetryable, files.retryAfterSeconds], ['no_files', true, 30]);
  assert.equal((await refusal(client.lookup('nothing', [1]))).code, 'no_files');
  assert.equal((await refusal(client.row('users', 1, { timeoutMs: 0 }))).code, 'bad_header');
  const proxy = new PointlakeClient(url, { fetch: async () => new Response('<html>bad gateway', { status: 502 }) });
  assert.deepEqual((await refusal(proxy.tables())).code, 'unexpected_answer');
  const stopped = AbortSignal.abort(new Error('left'));
  await assert.rejects(client.row('users', 1, { signal: stopped }), /left/);
});

test('headers of the client are sent', async (context) => {
  const { url } = await startFixture(context);
  const client = new PointlakeClient(url, { headers: { 'pointlake-as-of': 'x' } });
  await assert.rejects(client.row('users', 1), { code: 'snapshot_gone', status: 410 });
});

test('integers beyond a double survive JSON, and nothing else changes', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (integer) => {
      const parsed = parseJson(`{"a":[${integer}]}`, 'exact') as { a: unknown[] };
      const fits = integer >= -(2n ** 53n) + 1n && integer <= 2n ** 53n - 1n;
      assert.deepEqual(parsed, { a: [fits ? Number(integer) : integer] });
      assert.equal(writeKeyJson([integer, String(integer)]), `[${integer},"${integer}"]`);
    }),
  );
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true, min: -1, max: 1 }), (number) => {
      assert.equal(parseJson(JSON.stringify({ number }), 'exact')?.constructor, Object);
      assert.deepEqual(parseJson(JSON.stringify({ number }), 'exact'), JSON.parse(JSON.stringify({ number })));
    }),
  );
  const beyond = '12345678901234567890123';
  assert.deepEqual(parseJson(`[1e21,1.7976931348623157e308,${beyond}]`, 'exact'), [
    1e21,
    Number.MAX_VALUE,
    Number(beyond),
  ]);
});
