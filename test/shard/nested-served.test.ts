/** Nested columns over HTTP: whole rows, bare values, what is refused and how. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Field, type Layout, LIST, MAP, nestedFile, type Raw, UTF8 } from '../support/nested-files.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const text = (name: string, repetition: Field['repetition']): Field => ({
  name,
  repetition,
  type: 'BYTE_ARRAY',
  converted: UTF8,
});

const FIELDS: readonly Field[] = [
  { name: 'id', repetition: 'required', type: 'INT32' },
  {
    name: 'tags',
    repetition: 'optional',
    converted: LIST,
    children: [{ name: 'list', repetition: 'repeated', children: [text('element', 'optional')] }],
  },
  {
    name: 'counts',
    repetition: 'optional',
    converted: MAP,
    children: [
      {
        name: 'key_value',
        repetition: 'repeated',
        children: [text('key', 'optional'), { name: 'value', repetition: 'optional', type: 'INT64' }],
      },
    ],
  },
  {
    name: 'place',
    repetition: 'optional',
    children: [text('name', 'required'), { name: 'at', repetition: 'repeated', type: 'DOUBLE' }],
  },
];

const utf8 = (value: string) => Buffer.from(value);

const RECORDS: readonly (readonly Raw[])[] = [
  [1, [[[utf8('a')], [null]]], [[[utf8('k'), 2n ** 60n]]], [utf8('x'), [1.5, 2]]],
  [2, null, null, null],
  [3, [[]], [[]], [utf8('"'), []]],
  [4, [[[utf8('b')]]], [[[null, 1n]]], null],
  [
    5,
    null,
    [
      [
        [utf8('k'), 1n],
        [utf8('l'), null],
        [utf8('k'), 3n],
      ],
    ],
    null,
  ],
];

const LAYOUT: Layout = {
  version: 1,
  entriesPerPage: 2,
  wholeRows: false,
  dictionaryPages: 1,
  bitPackedLevels: false,
  snappy: true,
  offsetIndex: false,
  rowsPerRowGroup: 3,
  random: () => 0.5,
};

async function started(context: TestContext, key = ['id'], file = nestedFile(FIELDS, RECORDS, LAYOUT)) {
  const path = join(scratchFolder(context), 'nested.parquet');
  writeFileSync(path, file);
  const node = nodeOf(context, [{ name: 't', source: path, key }]);
  await node.catalog.get('t').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const get = async (target: string, accept = '*/*') => {
    const reply = await fetch(`${server.url}/v1/tables/t${target}`, { headers: { accept } });
    return { status: reply.status, type: reply.headers.get('content-type'), body: await reply.text() };
  };
  return { get, node };
}

test('rows nest, cold and hot alike', async (context) => {
  const { get } = await started(context);
  const rows = {
    1: '{"id":1,"tags":["a",null],"counts":{"k":1152921504606846976},"place":{"name":"x","at":[1.5,2]}}',
    2: '{"id":2,"tags":null,"counts":null,"place":null}',
    3: '{"id":3,"tags":[],"counts":{},"place":{"name":"\\"","at":[]}}',
    5: '{"id":5,"tags":null,"counts":{"k":3,"l":null},"place":null}',
  };
  for (const attempt of ['cold', 'hot']) {
    for (const [id, row] of Object.entries(rows)) assert.equal((await get(`/rows/${id}`)).body, row, attempt);
  }
  assert.equal((await get('/rows/1?columns=counts&int64=string')).body, '{"counts":{"k":"1152921504606846976"}}');
});

test('a bare value is JSON; a null one is 204', async (context) => {
  const { get } = await started(context);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const tags = await get('/values/tags/1');
    assert.deepEqual([tags.status, tags.type, tags.body], [200, 'application/json', '["a",null]']);
    assert.equal((await get('/values/place/3')).body, '{"name":"\\"","at":[]}');
    assert.deepEqual([(await get('/values/tags/2')).status, (await get('/values/tags/9')).status], [204, 404]);
  }
});

test('a key of a map that is null is corrupt, and only there', async (context) => {
  const { get } = await started(context);
  const answer = await get('/rows/4');
  assert.equal(answer.status, 502);
  const problem = JSON.parse(answer.body) as Record<string, unknown>;
  assert.equal(problem.code, 'corrupt');
  assert.match(String(problem.detail), /key of a map is null.*nested\.parquet.*row group 1/);
  assert.equal((await get('/rows/4?columns=id,tags')).body, '{"id":4,"tags":["b"]}');
});

test('the table names nested types', async (context) => {
  const { get } = await started(context);
  const { columns } = JSON.parse((await get('')).body) as { columns: { type: string; nullable: boolean }[] };
  assert.deepEqual(
    columns.map(({ type, nullable }) => [type, nullable]),
    [
      ['INT32', false],
      ['LIST<BYTE_ARRAY STRING>', true],
      ['MAP<BYTE_ARRAY STRING, INT64>', true],
      ['STRUCT<name BYTE_ARRAY STRING, at LIST<DOUBLE>>', true],
    ],
  );
});

test('a nested column is no key', async (context) => {
  const path = join(scratchFolder(context), 'nested.parquet');
  writeFileSync(path, nestedFile(FIELDS, RECORDS, LAYOUT));
  const node = nodeOf(context, [{ name: 't', source: path, key: ['place'] }]);
  await assert.rejects(node.catalog.get('t').refresh(), { code: 'unsupported_key', message: /"place"/ });
});
