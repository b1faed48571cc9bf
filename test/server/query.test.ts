/** Queries over HTTP: the forms of answers, pages, refusals, ceilings, deadlines, and what is read for them. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { tableFromIPC } from 'apache-arrow';
import type { ServerOptions } from '../../src/server/context.ts';
import { IoTrace, pageBytes } from '../support/io-trace.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const ROWS = 20_000;

async function start(context: TestContext, options: Partial<ServerOptions> = {}) {
  const ids = Array.from({ length: ROWS }, (_, i) => i);
  const source = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
    { name: 'at', data: ids.map((id) => id * 3), type: 'INT32', encoding: 'PLAIN', nullable: false },
    { name: 'score', data: ids.map((id) => (id % 10 === 0 ? null : id / 4)), type: 'DOUBLE', encoding: 'PLAIN' },
    { name: 'text', data: ids.map((id) => `text ${id} 𝒳`), type: 'STRING' },
    { name: 'big', data: ids.map((id) => BigInt(id) + 2n ** 60n), type: 'INT64' },
    { name: 'when', data: ids.map((id) => new Date(id * 1000)), type: 'TIMESTAMP' },
    { name: 'flag', data: ids.map((id) => id % 2 === 0), type: 'BOOLEAN' },
    { name: 'list', data: ids.map((id) => ({ a: id })), type: 'JSON' },
  ]);
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source, key: ['id'] }], { wrapStores: trace.wrap });
  const snapshot = await node.catalog.get('t').refresh();
  const server = await serve(node, options);
  context.after(() => server.close());
  const ask = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/v1/tables/t/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return { ask, trace, snapshot };
}

interface Answer {
  readonly rows: readonly Record<string, unknown>[];
  readonly cursor?: string;
  readonly explain?: { readonly pages: Record<string, number>; readonly rows: Record<string, number> };
}

test('one row by a clustered column that is no key: its page, and the page of what is asked, are all that is read', async (context) => {
  const { ask, trace, snapshot } = await start(context);
  trace.clear();
  const answer = await ask({ where: { column: 'at', op: '=', value: 45_000 }, columns: ['id', 'text'], explain: true });
  assert.equal(answer.status, 200);
  const { rows, explain } = (await answer.json()) as Answer;
  assert.deepEqual(rows, [{ id: 15_000, text: 'text 15000 𝒳' }]);
  assert.equal(explain?.pages.read, 3);
  assert.equal(explain?.rows.matched, 1);
  const read = trace.describe(snapshot);
  const pages = read.filter((line) => line.includes('data page'));
  assert.equal(pages.length, 3, read.join('\n'));
  assert.ok(pages[0]?.endsWith('row group 1, column at: data page 2'), read.join('\n'));
  assert.ok(pages[0]?.startsWith(`${pageBytes(snapshot, 1, 'at', [2])} bytes`));
  assert.ok(!read.some((line) => line.includes('column score') || line.includes('row group 0')), read.join('\n'));
});

test('what is found early ends the reading: pages behind the last row of the answer are not read', async (context) => {
  const { ask, trace, snapshot } = await start(context);
  trace.clear();
  const where = { column: 'score', op: 'is_null' };
  const { rows } = (await (await ask({ where, columns: ['id'], limit: 3 })).json()) as Answer;
  assert.deepEqual(rows, [{ id: 0 }, { id: 10 }, { id: 20 }]);
  const pages = trace
    .describe(snapshot)
    .flatMap((line) => line.split(' + '))
    .filter((part) => part.includes('data page'));
  assert.ok(pages.length > 0 && pages.every((part) => part.endsWith('data page 0')), pages.join('; '));
  trace.clear();
  assert.equal(((await (await ask({ columns: ['id'], limit: 5 })).json()) as Answer).rows.length, 5);
  assert.deepEqual(trace.describe(snapshot), [], 'the page of these is in memory');
});

test('what no bounds admit reads nothing', async (context) => {
  const { ask, trace } = await start(context);
  trace.clear();
  const answer = await ask({ where: { column: 'at', op: '>', value: 1_000_000 } });
  assert.deepEqual(await answer.json(), { rows: [] });
  assert.equal(trace.gets.length, 0);
});

test('pages of an answer hold every row once, in either order', async (context) => {
  const { ask } = await start(context);
  for (const order_by of [undefined, ['id'], ['-id']]) {
    const query = { where: { column: 'score', op: 'is_null' }, columns: ['id'], limit: 700, order_by };
    const ids: unknown[] = [];
    for (let cursor: string | undefined, page = 0; page < 4; page++) {
      const answer: Answer = (await (await ask({ ...query, cursor })).json()) as Answer;
      ids.push(...answer.rows.map(({ id }) => id));
      cursor = answer.cursor;
      if (cursor === undefined) break;
    }
    const expected = Array.from({ length: ROWS / 10 }, (_, i) => i * 10);
    assert.deepEqual(ids, order_by?.[0] === '-id' ? expected.reverse() : expected);
  }
});

test('lines are the rows, as many as are asked for', async (context) => {
  const { ask } = await start(context);
  const answer = await ask({ columns: ['id', 'text'], limit: 1_000_000 }, { accept: 'application/x-ndjson' });
  assert.equal(answer.headers.get('content-type'), 'application/x-ndjson');
  const rows = (await answer.text()).trimEnd().split('\n');
  assert.deepEqual([rows.length, rows[12_345]], [ROWS, '{"id":12345,"text":"text 12345 𝒳"}']);
});

test('an Arrow stream has the values and types of the table', async (context) => {
  const { ask } = await start(context);
  const columns = ['id', 'score', 'text', 'big', 'when', 'flag'];
  const accept = 'application/vnd.apache.arrow.stream';
  const answer = await ask({ columns, limit: 1_000_000 }, { accept });
  assert.equal(answer.headers.get('content-type'), accept);
  const table = tableFromIPC(new Uint8Array(await answer.arrayBuffer()));
  assert.equal(table.numRows, ROWS);
  assert.ok(table.batches.length > 1);
  const types = table.schema.fields.map(({ type }) => String(type));
  assert.deepEqual(types, ['Int32', 'Float64', 'Utf8', 'Int64', 'Timestamp<MILLISECOND, UTC>', 'Bool']);
  for (const row of [0, 1, 9_999, ROWS - 1]) {
    const { id, score, text, big, flag } = table.get(row)?.toJSON() ?? {};
    const values = [row, row % 10 === 0 ? null : row / 4, `text ${row} 𝒳`, BigInt(row) + 2n ** 60n, row % 2 === 0];
    assert.deepEqual([id, score, text, big, flag], values);
  }
  const empty = await ask({ where: { column: 'id', op: '<', value: 0 }, columns }, { accept });
  const none = tableFromIPC(new Uint8Array(await empty.arrayBuffer()));
  assert.deepEqual([none.numRows, none.schema.fields.length], [0, 6]);
});

test('what is wrong is said with its place', async (context) => {
  const { ask } = await start(context);
  const cases: readonly [unknown, number, string, RegExp][] = [
    ['[]', 400, 'bad_request', /JSON object/],
    [{ wher: 1 }, 400, 'unknown_field', /wher/],
    [{ where: 1 }, 400, 'bad_predicate', /^where: expected/],
    [{ where: { and: [] } }, 400, 'bad_predicate', /where\.and: .*at least one/],
    [{ where: { and: [{ column: 'id', op: '~', value: 1 }] } }, 400, 'bad_predicate', /where\.and\[0\]\.op/],
    [{ where: { not: { column: 'nope', op: '=', value: 1 } } }, 400, 'unknown_column', /where\.not\.column.*id, at/],
    [{ where: { column: 'id', op: '=', value: '007' } }, 400, 'bad_predicate', /where\.value.*integer.*007/],
    [{ where: { column: 'id', op: '=', value: null } }, 400, 'bad_predicate', /is_null/],
    [{ where: { column: 'id', op: 'in', value: [1, 'x'] } }, 400, 'bad_predicate', /where\.value\[1\]/],
    [{ where: { column: 'id', op: 'between', value: [1] } }, 400, 'bad_predicate', /two values/],
    [{ where: { column: 'id', op: 'starts_with', value: '1' } }, 400, 'bad_predicate', /column of strings/],
    [{ where: { column: 'id', op: 'is_null', value: 1 } }, 400, 'bad_predicate', /takes no value/],
    [{ limit: 0 }, 400, 'bad_request', /limit/],
    [{ limit: 100_001 }, 400, 'bad_request', /100000/],
    [{ cursor: 'e30' }, 400, 'bad_cursor', /cursor/],
    [{ order_by: ['text'] }, 422, 'unsupported', /\(id\)/],
  ];
  for (const [body, status, code, detail] of cases) {
    const answer = await ask(body);
    const problem = (await answer.json()) as { code: string; detail: string };
    assert.deepEqual([answer.status, problem.code], [status, code], JSON.stringify(body));
    assert.match(problem.detail, detail);
  }
  let deep: unknown = { column: 'id', op: '=', value: 1 };
  for (let at = 0; at < 32; at++) deep = { not: deep };
  assert.equal(((await (await ask({ where: deep })).json()) as { code: string }).code, 'bad_predicate');
});

test('a cursor is held to its query and its snapshot', async (context) => {
  const { ask } = await start(context);
  const first = (await (await ask({ columns: ['id'], limit: 1 })).json()) as Answer;
  const { cursor = '' } = first;
  const other = await ask({ where: { column: 'id', op: '>', value: 3 }, cursor });
  assert.equal(((await other.json()) as { code: string }).code, 'bad_cursor');
  const fields = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
  const withField = (at: number, value: unknown) =>
    Buffer.from(JSON.stringify(fields.with(at, value))).toString('base64url');
  assert.equal((await ask({ cursor: withField(0, 'ffff') })).status, 410);
  for (const wrong of [withField(2, 5), withField(2, -1), withField(3, 0.5), withField(4, ['1']), `${cursor}=`]) {
    assert.equal((await ask({ cursor: wrong })).status, 400, wrong);
  }
});

test('a plan over its ceiling is refused before anything is read', async (context) => {
  const { ask, trace } = await start(context, { queryBytesMax: 20_000 });
  trace.clear();
  const answer = await ask({ where: { column: 'score', op: '=', value: 100.3 } });
  const problem = (await answer.json()) as { code: string; bytes: number; detail: string };
  assert.deepEqual([answer.status, problem.code], [422, 'plan_too_expensive']);
  assert.ok(problem.bytes > 20_000 && /narrow/.test(problem.detail));
  assert.equal(trace.gets.length, 0);
  assert.equal((await ask({ where: { column: 'id', op: '=', value: 5 }, columns: ['id'] })).status, 200);
});
