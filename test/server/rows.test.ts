/** Rows and values by key: what is answered, in which form, with which headers. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BEYOND_DOUBLE, expectProblem, LONG_KEY, rawGet, sendRaw, startFixture } from './fixture.ts';

test('rows by key, in the JSON types of the contract', async (context) => {
  const { url } = await startFixture(context);
  const users = `${url}/v1/tables/users/rows`;
  const first = await fetch(`${users}/1`);
  assert.equal(first.status, 200);
  assert.match(String(first.headers.get('content-type')), /^application\/json/);
  assert.equal(
    await first.text(),
    '{"id":1,"name":"Ada","score":1.5,"photo":"AP8A","profile":"{\\"a\\":1}","seen":"1970-01-01T00:00:00.000Z","a,b":1,"a/b c":1}',
  );
  const second = await (await fetch(`${users}/2`)).text();
  assert.match(second, /"name":null,"score":null,.*"profile":null,"seen":"1970-01-01T00:00:01\.001Z"/);
  assert.match(await (await fetch(`${users}/3`)).text(), /"name":"a\\"b\\\\c","score":-0,/);
});

test('64-bit keys are exact in the URL and in the answer', async (context) => {
  const { url } = await startFixture(context);
  for (const key of [BEYOND_DOUBLE, BEYOND_DOUBLE - 1n, -(2n ** 63n), 2n ** 63n - 1n]) {
    const text = await (await fetch(`${url}/v1/tables/users/rows/${key}?columns=id`)).text();
    assert.equal(text, `{"id":${key}}`);
    const asString = await (await fetch(`${url}/v1/tables/users/rows/${key}?columns=id&int64=string`)).text();
    assert.equal(asString, `{"id":"${key}"}`);
  }
  await expectProblem(`${url}/v1/tables/users/rows/${BEYOND_DOUBLE + 1n}`, 404, 'key_not_found');
});

test('nonfinite=string shows what null hides', async (context) => {
  const { url } = await startFixture(context);
  const score = async (key: string) =>
    (await fetch(`${url}/v1/tables/users/rows/${key}?columns=score&nonfinite=string`)).text();
  assert.equal(await score('2'), '{"score":"NaN"}');
  assert.equal(await score(String(BEYOND_DOUBLE)), '{"score":"Infinity"}');
  assert.equal(await score('1'), '{"score":1.5}');
});

test('columns are chosen in the order asked for', async (context) => {
  const { url } = await startFixture(context);
  const row = async (query: string) => (await fetch(`${url}/v1/tables/users/rows/1?${query}`)).text();
  assert.equal(await row('columns=name,id'), '{"name":"Ada","id":1}');
  assert.equal(await row('columns=name%2Cid'), '{"name":"Ada","id":1}');
  assert.equal(await row('columns=name&columns=id'), '{"name":"Ada","id":1}');
  assert.equal(await row('columns=a%2Cb&columns=id'), '{"a,b":1,"id":1}');
  assert.equal(await row('columns=a,b&columns='), '{"a,b":1}');
  assert.equal(await row('columns=a%2Fb%20c'), '{"a/b c":1}');
  assert.equal(await row('columns=a/b+c'), '{"a/b c":1}');
  assert.equal(await row('columns='), '{}');
});

test('a composite key is cut on the raw path and then decoded', async (context) => {
  const { url } = await startFixture(context);
  const number = async (...parts: string[]) => {
    const path = parts.map(encodeURIComponent).join('/');
    const answer = await fetch(`${url}/v1/tables/docs/rows/${path}?columns=n`);
    return answer.status === 200 ? ((await answer.json()) as { n: number }).n : answer.status;
  };
  assert.equal(await number('eu/west', 'plain'), 0);
  assert.equal(await number('us', 'plain'), 99);
  for (const [n, key] of [
    'plain',
    'with/slash',
    'per%cent',
    'space and +',
    'ünïcode',
    'a?b=c',
    'a#b',
    'a;b',
  ].entries()) {
    assert.equal(await number('eu/west', key), n, key);
  }
  assert.equal(await number('eu/west', 'with%2Fslash'), 404);
  assert.equal(await number('eu', 'west', 'plain'), 400);
  assert.equal(await number('eu/west'), 400);
});

test('keys go up to 8 KiB, every byte percent-encoded', async (context) => {
  const { url } = await startFixture(context);
  const everyByte = (text: string) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
  assert.equal(Buffer.byteLength(LONG_KEY), 8192);
  const row = await fetch(`${url}/v1/tables/docs/rows/${everyByte('eu/west')}/${everyByte(LONG_KEY)}?columns=n`);
  assert.equal(await row.text(), '{"n":11}');
  const tooLong = await expectProblem(`${url}/v1/tables/docs/rows/us/${'x'.repeat(8193)}`, 414, 'key_too_long');
  assert.equal(tooLong.limit, 8192);
  await expectProblem(`${url}/v1/tables/docs/rows/us/${'x'.repeat(8192)}`, 404, 'key_not_found');
  const huge = await sendRaw(url, rawGet(`/v1/tables/docs/rows/us/${'x'.repeat(100_000)}`));
  assert.equal(huge.status, 431);
  assert.equal(JSON.parse(huge.body).code, 'headers_too_large');
});

test('bare UTF-8 bytes in the path are refused, since they are no URL', async (context) => {
  const { url } = await startFixture(context);
  const answer = await sendRaw(url, Buffer.from(rawGet('/v1/tables/docs/rows/eu%2Fwest/ünïcode?columns=n'), 'utf8'));
  assert.deepEqual([answer.status, JSON.parse(answer.body).code], [400, 'bad_url']);
});

test('a request in the absolute form finds its key too', async (context) => {
  const { url } = await startFixture(context);
  const answer = await sendRaw(url, rawGet(`${url}/v1/tables/docs/rows/eu%2Fwest/with%2Fslash?columns=n`));
  assert.deepEqual([answer.status, answer.body], [200, '{"n":1}']);
});

test('bare values have the type of their column', async (context) => {
  const { url } = await startFixture(context);
  const value = async (column: string, key: string, query = '') => {
    const answer = await fetch(`${url}/v1/tables/users/values/${encodeURIComponent(column)}/${key}${query}`);
    return [answer.status, answer.headers.get('content-type'), Buffer.from(await answer.arrayBuffer())] as const;
  };
  assert.deepEqual(await value('name', '3'), [200, 'text/plain; charset=utf-8', Buffer.from('a"b\\c')]);
  assert.deepEqual(await value('photo', '1'), [200, 'application/octet-stream', Buffer.of(0, 255, 0)]);
  assert.deepEqual(await value('profile', '1'), [200, 'application/json', Buffer.from('{"a":1}')]);
  assert.deepEqual(await value('score', '3'), [200, 'application/json', Buffer.from('-0')]);
  assert.deepEqual(await value('id', '1', '?int64=string'), [200, 'application/json', Buffer.from('"1"')]);
  assert.deepEqual(await value('a/b c', '2'), [200, 'application/json', Buffer.from('2')]);
  assert.deepEqual(await value('name', '2'), [204, null, Buffer.alloc(0)]);
  await expectProblem(`${url}/v1/tables/users/values/name/77`, 404, 'key_not_found');
  await expectProblem(`${url}/v1/tables/users/values/nix/1`, 400, 'unknown_column');
  await expectProblem(`${url}/v1/tables/users/values/name/1?columns=name`, 400, 'unknown_parameter');
  await expectProblem(`${url}/v1/tables/users/values/name`, 400, 'bad_key');
});

test('every answer says its snapshot, its age and its tier', async (context) => {
  const { url, node } = await startFixture(context);
  const cold = await fetch(`${url}/v1/tables/users/rows/1`);
  assert.equal(cold.headers.get('pointlake-cache'), 'origin');
  const hot = await fetch(`${url}/v1/tables/users/rows/1`);
  assert.equal(hot.headers.get('pointlake-cache'), 'memory');
  assert.equal(hot.headers.get('pointlake-snapshot'), node.catalog.get('users').snapshot?.id);
  assert.match(String(hot.headers.get('pointlake-snapshot-age')), /^\d+$/);
  assert.equal(hot.headers.get('vary'), 'accept');
  assert.equal(await cold.text(), await hot.text());
  const absent = await fetch(`${url}/v1/tables/users/rows/5`);
  assert.equal(absent.status, 404);
  assert.equal(absent.headers.get('pointlake-snapshot'), hot.headers.get('pointlake-snapshot'));
});

test('if-none-match spares the body, but only of a row that is there', async (context) => {
  const { url } = await startFixture(context);
  const users = `${url}/v1/tables/users`;
  const etag = String((await fetch(`${users}/rows/1`)).headers.get('etag'));
  assert.match(etag, /^"[\x21\x23-\x7e]+"$/);
  const status = async (path: string, ifNoneMatch: string) => {
    const answer = await fetch(`${users}/${path}`, { headers: { 'if-none-match': ifNoneMatch } });
    const body = await answer.text();
    assert.equal(body === '', answer.status === 304);
    if (answer.status === 304) assert.equal(answer.headers.get('etag'), etag);
    return answer.status;
  };
  assert.equal(await status('rows/1', etag), 304);
  assert.equal(await status('rows/1', `"other", W/${etag}`), 304);
  assert.equal(await status('rows/1', '*'), 304);
  assert.equal(await status('rows/1', '"other"'), 200);
  assert.equal(await status('rows/1?columns=id', etag), 200);
  assert.equal(await status('rows/1?int64=string', etag), 200);
  assert.equal(await status('rows/5', etag), 404);
  assert.equal(await status('values/name/1', etag), 200);
});

test('HEAD has the headers of GET and no body', async (context) => {
  const { url } = await startFixture(context);
  for (const path of [
    '/v1/tables',
    '/v1/tables/users',
    '/v1/tables/users/rows/1',
    '/v1/tables/users/values/name/1',
    '/healthz',
  ]) {
    await fetch(url + path);
    const get = await fetch(url + path);
    const head = await fetch(url + path, { method: 'HEAD' });
    assert.equal(head.status, 200, path);
    const length = Buffer.byteLength(await get.text());
    assert.equal(await head.text(), '');
    if (!path.endsWith('users')) assert.equal(head.headers.get('content-length'), String(length), path);
    assert.equal(head.headers.get('etag'), get.headers.get('etag'));
  }
  assert.equal((await fetch(`${url}/v1/tables/users/rows/5`, { method: 'HEAD' })).status, 404);
});

test('query strings are many: what is kept for them stays bounded and the answers right', async (context) => {
  const { url } = await startFixture(context);
  const row = async (query: string) => (await fetch(`${url}/v1/tables/users/rows/1?${query}`)).text();
  for (let i = 0; i < 300; i += 1) assert.equal(await row(`columns=id${'&columns='.repeat(i)}`), '{"id":1}');
  assert.equal(await row(`columns=id${'&columns=name'.repeat(1000)}`), '{"id":1,"name":"Ada"}');
  assert.equal(await row('columns=id'), '{"id":1}');
});
