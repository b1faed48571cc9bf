/** Partition folders over HTTP and from the command line: in descriptions, rows, bare values, keys and scans. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseColumnType } from '../../src/table/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { expectProblem, post } from './fixture.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));

function days(context: TestContext): string {
  const folder = join(scratchFolder(context), 'days');
  for (const [day, name] of [
    ['2026-01-01', 'old'],
    ['2026-01-02', 'new'],
  ] as const) {
    mkdirSync(join(folder, `dt=${day}`, 'hour=07'), { recursive: true });
    writeParquet(join(folder, `dt=${day}`, 'hour=07', 'part'), [
      { name: 'id', data: [1, 2], type: 'INT32' },
      { name: 'name', data: [`${name} 1`, `${name} 2`], type: 'STRING' },
    ]);
  }
  return folder;
}

test('over HTTP: described, answered, looked up by', async (context) => {
  const dt = { name: 'dt', type: parseColumnType('date') ?? assert.fail() };
  const hour = { name: 'hour', type: parseColumnType('int64') ?? assert.fail() };
  const options = { partitions: [dt, hour] };
  const node = nodeOf(context, [{ name: 'days', source: `${days(context)}/`, key: ['dt', 'id'], options }]);
  await node.catalog.get('days').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const table = `${server.url}/v1/tables/days`;
  const { columns, examples } = (await (await fetch(table)).json()) as {
    columns: readonly object[];
    examples: readonly { path: string }[];
  };
  assert.deepEqual(columns, [
    { name: 'id', type: 'INT32', nullable: true, key: true },
    { name: 'name', type: 'BYTE_ARRAY STRING', nullable: true },
    { name: 'dt', type: 'INT32 DATE', nullable: false, key: true, partition: true },
    { name: 'hour', type: 'INT64', nullable: false, partition: true },
  ]);
  assert.equal((await fetch(server.url + examples[0]?.path)).status, 200, 'an example works as printed');
  const text = async (path: string) => (await fetch(`${table}/${path}`)).text();
  // Twice, so that the second answer comes from memory.
  for (let round = 0; round < 2; round++) {
    assert.equal(await text('rows/2026-01-02/1'), '{"id":1,"name":"new 1","dt":"2026-01-02","hour":7}');
    assert.equal(await text('rows/2026-01-01/2?columns=hour,name'), '{"hour":7,"name":"old 2"}');
    assert.equal(await text('values/hour/2026-01-02/2'), '7');
    assert.equal(await text('values/dt/2026-01-02/2'), '"2026-01-02"');
  }
  await expectProblem(`${table}/rows/2026-01-03/1`, 404, 'key_not_found');
  await expectProblem(`${table}/rows/yesterday/1`, 400, 'bad_key');
  const answer = await post(`${table}/lookup`, '{"keys":[["2026-01-01",1],["2026-01-02",3]],"columns":["dt"]}');
  assert.deepEqual(((await answer.json()) as { results: readonly object[] }).results, [
    { key: ['2026-01-01', 1], status: 'found', row: { dt: '2026-01-01' } },
    { key: ['2026-01-02', 3], status: 'not_found' },
  ]);
});

test('on the command line: scanned, filtered, inspected', (context) => {
  const folder = days(context);
  const run = (...args: readonly string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  assert.equal(
    run('scan', folder, '--where', 'dt=2026-01-02', '--where', 'id>1'),
    '{"id":2,"name":"new 2","dt":"2026-01-02","hour":"07"}\n',
  );
  assert.equal(
    run('scan', folder, '--columns', 'dt', '--where', 'dt<2026-01-02', '--limit', '1'),
    '{"dt":"2026-01-01"}\n',
  );
  assert.equal(run('scan', folder, '--where', 'hour!=07'), '');
  assert.match(run('lookup', folder, '--key', 'dt,id', '2026-01-01/2'), /"name":"old 2"/);
  assert.match(run('inspect', folder, '--key', 'dt,id'), /dt \(key\) \(partition\)/);
  const { columns } = JSON.parse(run('inspect', folder, '--json')) as { columns: readonly Record<string, unknown>[] };
  assert.deepEqual(
    columns.map(({ name, isPartition }) => [name, isPartition]),
    [
      ['id', undefined],
      ['name', undefined],
      ['dt', true],
      ['hour', true],
    ],
  );
});
