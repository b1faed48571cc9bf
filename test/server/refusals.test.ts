/** Everything that is refused, in the one error format, before and behind the router. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isLoopbackHost } from '../../src/server/index.ts';
import { isLoopbackAddress } from '../../src/server/loopback.ts';
import { expectProblem, post, problemOf, rawGet, sendRaw, startFixture } from './fixture.ts';

test('keys of the wrong form', async (context) => {
  const { url } = await startFixture(context);
  const users = `${url}/v1/tables/users/rows`;
  for (const key of ['007', '1.0', '1e3', '+5', 'abc', '9223372036854775808', '%20', '1%2F2', 'null']) {
    const problem = await expectProblem(`${users}/${key}`, 400, 'bad_key');
    assert.equal(problem.column, 'id');
    assert.match(String(problem.detail), /written like 42/);
  }
  await expectProblem(`${users}/`, 400, 'bad_key');
  const parts = await expectProblem(`${users}/1/2`, 400, 'bad_key');
  assert.deepEqual(parts.key, ['id']);
  for (const key of ['us', 'us/', '/plain', 'us/plain/', 'a/b/c']) {
    const problem = await expectProblem(`${url}/v1/tables/docs/rows/${key}`, 400, 'bad_key');
    if (problem.key !== undefined) assert.deepEqual(problem.key, ['tenant', 'doc']);
  }
});

test('parts that clients remove ask for a lookup', async (context) => {
  const { url } = await startFixture(context);
  for (const key of ['.', '..', '%2e', '%2E%2e', '']) {
    const answer = await sendRaw(url, rawGet(`/v1/tables/docs/rows/us/${key}`));
    assert.equal(answer.status, 400, key);
    assert.match(JSON.parse(answer.body).detail, /lookup/);
  }
});

test('malformed URLs', async (context) => {
  const { url } = await startFixture(context);
  for (const target of [
    '/v1/tables/users/rows/%',
    '/v1/tables/users/rows/%zz',
    '/v1/tables/docs/rows/us/%ff',
    '/v1/tables/docs/rows/us/%c3%28',
    '/v1/tables/users/values/%e4/1',
    '/v1/tables/%ff/rows/1',
    '/v1/tables/users/rows/1?columns=%ff',
    '/v1/tables/docs/rows/us/a#b',
  ]) {
    const answer = await sendRaw(url, rawGet(target));
    assert.equal(answer.status, 400, target);
    assert.equal(JSON.parse(answer.body).code, 'bad_url', target);
    assert.match(answer.head, /content-type: application\/problem\+json/);
  }
});

test('unknown tables and columns name the known ones', async (context) => {
  const { url } = await startFixture(context);
  for (const path of ['', '/rows/1', '/values/name/1']) {
    const problem = await expectProblem(`${url}/v1/tables/nix${path}`, 404, 'unknown_table');
    assert.deepEqual(problem.known, ['users', 'docs', 'events', 'nothing', 'empty', 'halfBroken']);
  }
  assert.equal((await problemOf(await post(`${url}/v1/tables/nix/lookup`, '{"keys":[]}'))).code, 'unknown_table');
  const column = await expectProblem(`${url}/v1/tables/users/rows/1?columns=id,nix`, 400, 'unknown_column');
  assert.equal(column.column, 'nix');
  assert.ok((column.known as string[]).includes('score'));
});

test('query parameters that are unknown, wrong or of a later version', async (context) => {
  const { url } = await startFixture(context);
  const row = `${url}/v1/tables/users/rows/1`;
  const unknown = await expectProblem(`${row}?colums=id`, 400, 'unknown_parameter');
  assert.deepEqual([unknown.parameter, unknown.known], ['colums', ['columns', 'projection', 'int64', 'nonfinite']]);
  await expectProblem(`${row}?int64=text`, 400, 'bad_parameter');
  await expectProblem(`${row}?int64=string&int64=number`, 400, 'bad_parameter');
  await expectProblem(`${row}?nonfinite`, 400, 'bad_parameter');
  await expectProblem(`${row}?projection=ranker_v3`, 400, 'unknown_projection');
  await expectProblem(`${row}?__proto__=1`, 400, 'unknown_parameter');
  await expectProblem(`${url}/v1/tables?x=1`, 400, 'unknown_parameter');
});

test('formats: JSON is served, others are named as not served', async (context) => {
  const { url } = await startFixture(context);
  const status = async (accept: string, path = '/v1/tables/users/rows/1') =>
    (await fetch(url + path, { headers: { accept } })).status;
  for (const accept of ['*/*', 'application/json', 'application/*', 'text/html, */*;q=0.1', 'Application/JSON;q=0.5']) {
    assert.equal(await status(accept), 200, accept);
  }
  for (const accept of ['text/html', 'application/json;q=0', 'application/x-ndjson'])
    assert.equal(await status(accept), 406, accept);
  const arrow = { headers: { accept: 'application/vnd.apache.arrow.stream' } };
  const problem = await expectProblem(`${url}/v1/tables/users/rows/1`, 406, 'not_acceptable', arrow);
  assert.deepEqual(problem.served, ['application/json']);
  const name = '/v1/tables/users/values/name/1';
  assert.equal(await status('text/plain', name), 200);
  assert.equal(await status('text/*', name), 200);
  assert.equal(await status('application/json', name), 406);
  assert.equal(await status('image/png', name), 406);
  const lines = { accept: 'application/x-ndjson' };
  const lookup = await post(`${url}/v1/tables/users/lookup`, '{"keys":[1]}', lines);
  assert.equal((await problemOf(lookup)).code, 'not_acceptable');
  const several = await post(`${url}/v1/lookup`, '{"requests":[]}', arrow.headers);
  assert.equal((await problemOf(several)).code, 'not_acceptable');
});

test('request headers of ours: strict, and never ignored', async (context) => {
  const { url } = await startFixture(context);
  const row = `${url}/v1/tables/users/rows/1`;
  for (const value of ['0', '-1', '1.5', 'soon', '1e3', '']) {
    await expectProblem(row, 400, 'bad_header', { headers: { 'pointlake-timeout-ms': value } });
  }
  assert.equal((await fetch(row, { headers: { 'pointlake-timeout-ms': '5000' } })).status, 200);
});

test('other methods get 405 and the ones allowed', async (context) => {
  const { url } = await startFixture(context);
  const allowed: Readonly<Record<string, string>> = {
    '/v1/tables': 'GET, HEAD',
    '/v1/tables/users': 'GET, HEAD',
    '/v1/tables/users/rows/1': 'GET, HEAD',
    '/v1/tables/users/values/name/1': 'GET, HEAD',
    '/healthz': 'GET, HEAD',
    '/readyz': 'GET, HEAD',
    '/v1/tables/users/lookup': 'POST',
    '/v1/tables/users/refresh': 'POST',
  };
  for (const [path, allow] of Object.entries(allowed)) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      if (allow.includes(method)) continue;
      const body = method === 'POST' || method === 'PUT' ? 'x' : null;
      const answer = await fetch(url + path, { method, body });
      assert.equal(answer.status, 405, `${method} ${path}`);
      assert.equal(answer.headers.get('allow'), allow);
      if (method !== 'HEAD') assert.equal((await problemOf(answer)).code, 'method_not_allowed');
    }
  }
});

test('paths of later versions and paths of none', async (context) => {
  const { url } = await startFixture(context);
  for (const path of ['/v1/cluster', '/openapi.json', '/docs', '/console']) {
    await expectProblem(url + path, 501, 'not_in_this_version');
  }
  for (const path of ['/v1/cluster', '/console']) {
    const problem = await problemOf(await fetch(url + path, { method: 'POST', body: 'anything' }));
    assert.equal(problem.code, 'not_in_this_version');
  }
  for (const path of ['/', '/v1', '/v2/tables', '/v1/tables/users/rows', '/v1/tables/users/nix/1', '/favicon.ico']) {
    await expectProblem(url + path, 404, 'unknown_route');
  }
  assert.equal((await problemOf(await fetch(`${url}/nix`, { method: 'POST', body: 'x' }))).code, 'unknown_route');
});

test('what is no HTTP is answered as a problem too', async (context) => {
  const { url } = await startFixture(context);
  for (const bytes of [
    'nonsense\r\n\r\n',
    'GET / HTTP/1.1\r\nhost localhost\r\n\r\n',
    'GET /a b HTTP/1.1\r\nhost: x\r\n\r\n',
  ]) {
    const answer = await sendRaw(url, bytes);
    assert.equal(answer.status, 400, bytes);
    assert.match(answer.head, /content-type: application\/problem\+json/);
    assert.match(JSON.parse(answer.body).code, /^bad_/);
  }
  const headers = await sendRaw(url, rawGet('/healthz', `x-long: ${'y'.repeat(70_000)}\r\n`));
  assert.equal(headers.status, 431);
  assert.equal((await fetch(`${url}/healthz`)).status, 200);
});

test('which hosts and addresses are this machine', () => {
  for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '::1', '[::1]', 'LOCALHOST', 'db.localhost']) {
    assert.equal(isLoopbackHost(host), true, host);
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '10.0.0.5',
    '192.168.1.1',
    'example.com',
    '127.0.0.1.example.com',
    '',
    '128.0.0.1',
  ]) {
    assert.equal(isLoopbackHost(host), false, host);
  }
  assert.equal(isLoopbackAddress('::ffff:127.0.0.1'), true);
  for (const address of [undefined, '::ffff:10.0.0.1', 'localhost', '10.0.0.1']) {
    assert.equal(isLoopbackAddress(address), false);
  }
});
