/** Named keys, named projections, default columns and the choice among several rows, over HTTP. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { PointlakeNode } from '../../src/main.ts';
import type { TableDefinition } from '../../src/table/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { expectProblem, post } from './fixture.ts';

async function start(
  context: TestContext,
  options: Partial<TableDefinition>,
  opened: (node: PointlakeNode) => Promise<void> = async () => undefined,
): Promise<string> {
  const folder = scratchFolder(context);
  writeParquet(join(folder, 'a.parquet'), [
    { name: 'id', data: [1, 2, 2], type: 'INT32' },
    { name: 'url', data: ['/a b', 'x/y', 'z'], type: 'STRING' },
    { name: 'n', data: [10, 20, 30], type: 'INT32' },
    { name: 'v', data: ['one', 'two', 'three'], type: 'STRING' },
  ]);
  const node = nodeOf(context, [{ name: 't', source: folder, key: ['id'], options }]);
  await node.catalog.get('t').refresh();
  await opened(node);
  const server = await serve(node);
  context.after(() => server.close());
  return `${server.url}/v1/tables/t`;
}

const keys = [
  { name: 'url', columns: ['url'], index: 'none' },
  { name: 'pair', columns: ['url', 'n'], index: 'hash' },
] as const;

test('rows by named keys, as rows by the own key', async (context) => {
  const url = await start(context, { keys });
  const own = await fetch(`${url}/rows/1`);
  const named = await fetch(`${url}/by/url/%2Fa%20b`);
  assert.deepEqual([named.status, await named.text()], [200, await own.text()]);
  assert.equal(named.headers.get('etag'), own.headers.get('etag'));
  const again = await fetch(`${url}/by/url/%2Fa%20b`, {
    headers: { 'if-none-match': String(own.headers.get('etag')) },
  });
  assert.equal(again.status, 304);
  assert.deepEqual(await (await fetch(`${url}/by/pair/x%2Fy/20?columns=v`)).json(), { v: 'two' });
  const explained = await fetch(`${url}/by/pair/z/30?columns=v`, { headers: { 'pointlake-explain': '1' } });
  assert.deepEqual(await explained.json(), { v: 'three' });
  const absent = await expectProblem(`${url}/by/pair/z/20`, 404, 'key_not_found');
  assert.deepEqual(absent.key, ['z', '20']);
  const parts = await expectProblem(`${url}/by/pair/z`, 400, 'bad_key');
  assert.match(String(parts.detail), /the key pair of table t has 2 parts, url, n/);
  const unknown = await expectProblem(`${url}/by/mail/z`, 404, 'unknown_key_name');
  assert.deepEqual(unknown.known, ['url', 'pair']);
  const lookup = await post(`${url}/lookup`, '{"by":"pair","keys":[["z",30],["z",31],["x/y",20]],"columns":["id"]}');
  const { results } = (await lookup.json()) as {
    results: readonly { readonly status: string; readonly row?: unknown }[];
  };
  assert.deepEqual(
    results.map(({ status, row }) => [status, row]),
    [
      ['found', { id: 2 }],
      ['not_found', undefined],
      ['found', { id: 2 }],
    ],
  );
  assert.equal((await post(`${url}/lookup`, '{"by":"mail","keys":[1]}')).status, 404);
  assert.equal((await post(`${url}/lookup`, '{"by":1,"keys":[1]}')).status, 400);
  const state = (await (await fetch(url)).json()) as { readonly keys: Record<string, { readonly columns: unknown }> };
  assert.deepEqual(
    Object.entries(state.keys).map(([name, { columns }]) => [name, columns]),
    [
      ['url', ['url']],
      ['pair', ['url', 'n']],
    ],
  );
});

test('columns by the name of a projection, and those of a bare request', async (context) => {
  const projections = [
    { name: 'ranker_v3', columns: ['v', 'n'] },
    { name: 'old', columns: ['v', 'gone'] },
  ];
  const url = await start(context, { projections, defaultColumns: ['n'] });
  assert.equal(await (await fetch(`${url}/rows/1?projection=ranker_v3`)).text(), '{"v":"one","n":10}');
  assert.equal(await (await fetch(`${url}/rows/1`)).text(), '{"n":10}');
  assert.equal(await (await fetch(`${url}/rows/1?columns=*`)).text(), '{"id":1,"url":"/a b","n":10,"v":"one"}');
  assert.equal(await (await fetch(`${url}/rows/1?columns=id`)).text(), '{"id":1}');
  const rowOf = async (body: string) =>
    ((await (await post(`${url}/lookup`, body)).json()) as { results: readonly { row: unknown }[] }).results[0]?.row;
  assert.deepEqual(await rowOf('{"keys":[1],"projection":"ranker_v3"}'), { v: 'one', n: 10 });
  assert.deepEqual(await rowOf('{"keys":[1]}'), { n: 10 });
  const query = async (body: object) => post(`${url}/query`, JSON.stringify({ limit: 1, ...body }));
  assert.equal(
    await (await query({ projection: 'ranker_v3' })).text().then((text) => text.slice(0, 30)),
    '{"rows":[{"v":"one","n":10}],"',
  );
  for (const [body, code] of [
    [{ projection: 'nix' }, 'unknown_projection'],
    [{ projection: 'old' }, 'unknown_column'],
    [{ projection: 'old', columns: ['v'] }, 'bad_request'],
    [{ projection: 1 }, 'bad_request'],
  ] as const) {
    assert.equal(((await (await query(body)).json()) as { code: string }).code, code);
  }
  const unknown = await expectProblem(`${url}/rows/1?projection=nix`, 400, 'unknown_projection');
  assert.deepEqual(unknown.known, ['ranker_v3', 'old']);
  assert.equal((await expectProblem(`${url}/rows/1?projection=old`, 400, 'unknown_column')).column, 'gone');
  await expectProblem(`${url}/rows/1?projection=old&columns=v`, 400, 'bad_parameter');
  assert.equal((await post(`${url}/lookup`, '{"keys":[1],"projection":"old","columns":["v"]}')).status, 400);
  const state = (await (await fetch(url)).json()) as {
    readonly projections: unknown;
    readonly default_columns: unknown;
  };
  assert.deepEqual(state.projections, {
    ranker_v3: { columns: ['v', 'n'] },
    old: { columns: ['v', 'gone'], unknown_columns: ['gone'] },
  });
  assert.deepEqual(state.default_columns, ['n']);
});

test('several rows of a key: the latest, or a fault that says where they are', async (context) => {
  const latest = await start(context, { duplicates: { kind: 'latest', by: ['n'] } });
  assert.equal(await (await fetch(`${latest}/values/v/2`)).text(), 'three');
  assert.equal(await (await fetch(`${latest}/rows/2?columns=v`)).text(), '{"v":"three"}');
  const lookup = await post(`${latest}/lookup`, '{"keys":[2],"columns":["v"]}');
  assert.match(await lookup.text(), /"row":\{"v":"three"\}/);
  const state = (await (await fetch(latest)).json()) as { readonly duplicates: unknown; readonly latest_by: unknown };
  assert.deepEqual([state.duplicates, state.latest_by], ['latest', ['n']]);
  const once = await start(context, { duplicates: { kind: 'error' } });
  assert.equal((await fetch(`${once}/rows/1`)).status, 200);
  const fault = await expectProblem(`${once}/rows/2`, 500, 'duplicate_key');
  assert.deepEqual(
    (fault.places as readonly string[]).map((place) => place.replace(/ of \S*a\.parquet$/, '')),
    ['row 1 of row group 0', 'row 2 of row group 0'],
  );
  assert.equal((await fetch(`${once}/values/v/2`)).status, 500);
});

test('why a key has an index or none is told of each', async (context) => {
  const named = ['auto', 'hash', 'none'] as const;
  const url = await start(context, {
    index: 'auto',
    keys: named.map((index) => ({ name: index, columns: ['url'], index })),
  });
  const state = (await (await fetch(url)).json()) as {
    readonly index: { readonly reason: string };
    readonly keys: Readonly<Record<string, { readonly index: { readonly reason: string } }>>;
  };
  assert.equal(state.index.reason, '3 rows are quickly searched');
  assert.deepEqual(
    named.map((name) => state.keys[name]?.index.reason),
    ['3 rows are quickly searched', 'asked for by `index: hash`', 'switched off by `index: none`'],
  );
});

test('how many rows share a key is told of each key that has an index', async (context) => {
  const url = await start(context, { index: 'hash', keys }, async (node) => {
    for (const indexing of node.indexings(node.catalog.get('t'))) await indexing.idle();
  });
  const state = (await (await fetch(url)).json()) as {
    readonly index: { readonly state: string; readonly duplicates: unknown };
    readonly keys: Readonly<Record<string, { readonly index: { readonly duplicates?: unknown } }>>;
  };
  assert.equal(state.index.state, 'ready');
  const byChance = (distinct: number) => Number(((distinct * (distinct - 1)) / 2 / 2 ** 40).toPrecision(2));
  assert.deepEqual(state.index.duplicates, { at_most: 1, by_chance: byChance(2), rows: 3, keys_at_least: 2 });
  assert.deepEqual(state.keys.pair?.index.duplicates, {
    at_most: 0,
    by_chance: byChance(3),
    rows: 3,
    keys_at_least: 3,
  });
  assert.equal(state.keys.url?.index.duplicates, undefined);
});
