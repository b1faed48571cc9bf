/** Many keys by body: exact, in order, each on its own. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BEYOND_DOUBLE, LONG_KEY, post, problemOf, startFixture } from './fixture.ts';

async function expectRefusal(answer: Promise<Response>, status: number, code: string) {
  const problem = await problemOf(await answer);
  assert.deepEqual([problem.status, problem.code], [status, code], JSON.stringify(problem));
  return problem;
}

test('each key has its result, in order, with the key as it was written', async (context) => {
  const { url } = await startFixture(context);
  const body = `{"keys":[1, 9007199254740993,77,"2",[3],1.0,null,"x",{"a":[1.50]},-9223372036854775808],"columns":["name"]}`;
  const answer = await post(`${url}/v1/tables/users/lookup`, body);
  assert.equal(answer.status, 200);
  const text = await answer.text();
  const results = (JSON.parse(text) as { results: Record<string, unknown>[] }).results;
  assert.deepEqual(
    results.map(({ status, row, error }) => row ?? (error as { code?: string })?.code ?? status),
    [
      { name: 'Ada' },
      { name: 'exact' },
      'not_found',
      { name: null },
      { name: 'a"b\\c' },
      'bad_key',
      'null_key',
      'bad_key',
      'bad_key',
      { name: 'min' },
    ],
  );
  const keys = [...text.matchAll(/"key":(.*?),"status"/g)].map((match) => match[1]);
  assert.deepEqual(keys, [
    '1',
    '9007199254740993',
    '77',
    '"2"',
    '[3]',
    '1.0',
    'null',
    '"x"',
    '{"a":[1.50]}',
    '-9223372036854775808',
  ]);
  const error = results[5]?.error as Record<string, unknown>;
  assert.deepEqual([error.column, error.given], ['id', '1.0']);
});

test('composite keys, and the ones that no URL can carry', async (context) => {
  const { url } = await startFixture(context);
  const keys = ['.', '..', '', LONG_KEY, 'with/slash', 'ünïcode'].map((doc) => ['eu/west', doc]);
  const answer = await post(`${url}/v1/tables/docs/lookup`, JSON.stringify({ keys, columns: ['n'] }));
  const { results } = (await answer.json()) as { results: { key: unknown; row: { n: number } }[] };
  assert.deepEqual(
    results.map(({ row }) => row?.n),
    [8, 9, 10, 11, 1, 4],
  );
  assert.deepEqual(
    results.map(({ key }) => key),
    keys,
  );
  const wrong = await post(
    `${url}/v1/tables/docs/lookup`,
    JSON.stringify({ keys: ['eu/west', ['eu/west'], ['a', 'b', 'c']] }),
  );
  for (const result of ((await wrong.json()) as { results: { error: { code: string; detail: string } }[] }).results) {
    assert.equal(result.error.code, 'bad_key');
    assert.match(result.error.detail, /tenant, doc/);
  }
  const long = await post(`${url}/v1/tables/docs/lookup`, JSON.stringify({ keys: [['a', 'x'.repeat(8193)]] }));
  assert.equal(
    ((await long.json()) as { results: { error: { code: string } }[] }).results[0]?.error.code,
    'key_too_long',
  );
});

test('matches: all gives every row up to the limit, and says when there are more', async (context) => {
  const { url } = await startFixture(context);
  const lookup = async (body: object) => {
    const answer = await post(`${url}/v1/tables/events/lookup`, JSON.stringify({ columns: ['n'], ...body }));
    return (
      (await answer.json()) as { results: { rows?: { n: number }[]; row?: { n: number }; truncated?: boolean }[] }
    ).results;
  };
  const [all] = await lookup({ keys: [1], matches: 'all' });
  assert.deepEqual(
    all?.rows?.map(({ n }) => n),
    Array.from({ length: 100 }, (_, i) => 3 * i + 1),
  );
  assert.equal(all?.truncated, undefined);
  const [some, none] = await lookup({ keys: [2, 7], matches: 'all', limit: 3 });
  assert.deepEqual(some?.rows, [{ n: 2 }, { n: 5 }, { n: 8 }]);
  assert.equal(some?.truncated, true);
  assert.equal(none?.rows, undefined);
  const [first] = await lookup({ keys: [2] });
  assert.deepEqual(first?.row, { n: 2 });
});

test('int64=string and nonfinite=string hold for lookups too', async (context) => {
  const { url } = await startFixture(context);
  const answer = await post(
    `${url}/v1/tables/users/lookup?int64=string&nonfinite=string`,
    `{"keys":[${BEYOND_DOUBLE}],"columns":["id","score"]}`,
  );
  assert.equal(
    await answer.text(),
    `{"results":[{"key":${BEYOND_DOUBLE},"status":"found","row":{"id":"${BEYOND_DOUBLE}","score":"Infinity"}}]}`,
  );
});

test('no keys, no results', async (context) => {
  const { url } = await startFixture(context);
  assert.equal(await (await post(`${url}/v1/tables/users/lookup`, '{"keys":[]}')).text(), '{"results":[]}');
});

test('bodies that are refused, each saying what would be right', async (context) => {
  const { url } = await startFixture(context);
  const users = `${url}/v1/tables/users/lookup`;
  const malformed = await expectRefusal(post(users, '{"keys":[1,,2]}'), 400, 'bad_json');
  assert.equal(malformed.position, 11);
  await expectRefusal(post(users, ''), 400, 'bad_json');
  await expectRefusal(
    fetch(users, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from('{"keys":["\xff"]}', 'latin1'),
    }),
    400,
    'bad_json',
  );
  await expectRefusal(post(users, `${'['.repeat(100_000)}`), 400, 'bad_json');
  await expectRefusal(post(users, '[1]'), 400, 'bad_request');
  await expectRefusal(post(users, '5.0'), 400, 'bad_request');
  await expectRefusal(post(users, '{}'), 400, 'bad_request');
  await expectRefusal(post(users, '{"keys":1}'), 400, 'bad_request');
  await expectRefusal(post(users, '{"keys":[1],"columns":"name"}'), 400, 'bad_request');
  await expectRefusal(post(users, '{"keys":[1],"columns":[1]}'), 400, 'bad_request');
  await expectRefusal(post(users, '{"keys":[1],"matches":"some"}'), 400, 'bad_request');
  await expectRefusal(post(users, '{"keys":[1],"limit":5}'), 400, 'bad_request');
  await expectRefusal(post(users, '{"keys":[1],"matches":"all","limit":0}'), 400, 'bad_request');
  await expectRefusal(post(users, '{"keys":[1],"matches":"all","limit":1.0}'), 400, 'bad_request');
  const field = await expectRefusal(post(users, '{"keys":[1],"colums":["name"]}'), 400, 'unknown_field');
  assert.equal(field.field, 'colums');
  await expectRefusal(post(users, '{"keys":[1],"__proto__":{}}'), 400, 'unknown_field');
  await expectRefusal(post(users, '{"keys":[1],"order_by":["n"]}'), 400, 'bad_request');
  for (const order of ['"n"', '[]', '["-"]', '[1]']) {
    await expectRefusal(post(users, `{"keys":[1],"matches":"all","order_by":${order}}`), 400, 'bad_request');
  }
  await expectRefusal(post(users, '{"keys":[1],"matches":"all","order_by":["nix"]}'), 400, 'unknown_column');
  const column = await expectRefusal(post(users, '{"keys":[1],"columns":["nix"]}'), 400, 'unknown_column');
  assert.equal(column.column, 'nix');
  assert.ok((column.known as string[]).includes('score'));
  await expectRefusal(post(`${users}?columns=name`, '{"keys":[1]}'), 400, 'unknown_parameter');
});

test('the wrong type of body, or none', async (context) => {
  const { url } = await startFixture(context);
  const users = `${url}/v1/tables/users/lookup`;
  await expectRefusal(post(users, '{"keys":[1]}', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type');
  await expectRefusal(
    post(users, 'keys=1', { 'content-type': 'application/x-www-form-urlencoded' }),
    415,
    'unsupported_media_type',
  );
  await expectRefusal(post(users, '{}', { 'content-type': 'nonsense' }), 415, 'unsupported_media_type');
  await expectRefusal(fetch(users, { method: 'POST' }), 400, 'bad_request');
  assert.equal((await post(users, '{"keys":[1]}', { 'content-type': 'application/json; charset=utf-8' })).status, 200);
});

test('limits: keys, rows, bytes of body and answer', async (context) => {
  const { url } = await startFixture(context, { server: { keysMax: 3, rowsMax: 500, answerCharactersMax: 2000 } });
  const events = `${url}/v1/tables/events/lookup`;
  const keys = await expectRefusal(post(events, '{"keys":[1,2,3,4]}'), 413, 'too_many_keys');
  assert.deepEqual([keys.limit, keys.given], [3, 4]);
  assert.match(String(keys.detail), /limits\.keys/);
  await expectRefusal(post(events, '{"keys":[1,2],"matches":"all","limit":251}'), 413, 'too_many_rows');
  await expectRefusal(post(events, '{"keys":[1,2],"matches":"all","limit":250}'), 413, 'answer_too_large');
});

test('a body of 10 MB is refused and the connection serves on', async (context) => {
  const { url } = await startFixture(context);
  const users = `${url}/v1/tables/users/lookup`;
  const large = `{"keys":["${'x'.repeat(10_000_000)}"]}`;
  const problem = await expectRefusal(post(users, large), 413, 'body_too_large');
  assert.equal(problem.limit, 2 ** 20);
  const stream = new ReadableStream({
    start(controller) {
      for (let i = 0; i < 100; i += 1) controller.enqueue(Buffer.alloc(100_000, 0x20));
      controller.close();
    },
  });
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: stream,
    duplex: 'half',
  } as const;
  await expectRefusal(fetch(users, init), 413, 'body_too_large');
  assert.equal((await post(users, '{"keys":[1]}')).status, 200);
});
