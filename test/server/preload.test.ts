/** Preloads over HTTP: begun, shown, ended, refused; and the command that shows them. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expectProblem, post, startFixture } from './fixture.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));

interface State {
  readonly state: string;
  readonly id: string;
  readonly chunks: { readonly done: number; readonly total: number };
  readonly bytes: { readonly done: number; readonly total: number };
  readonly storage: { readonly reads: number; readonly usd: number };
  readonly verified?: { readonly pages: number; readonly resident: number };
  readonly errors: number;
}

async function stateAt(url: string): Promise<State> {
  return (await (await fetch(url)).json()) as State;
}

async function endedAt(url: string): Promise<State> {
  for (;;) {
    const state = await stateAt(url);
    if (state.state !== 'running') return state;
    await nextTurn();
  }
}

test('a preload is begun, shown until it is done, and stands in the description of its table', async (context) => {
  const { url, node } = await startFixture(context);
  const preload = `${url}/v1/tables/users/preload`;
  assert.deepEqual(await stateAt(preload), { state: 'none' });
  const answer = await post(preload, '{"columns":["name"],"verify":true}');
  assert.deepEqual([answer.status, answer.headers.get('location')], [202, '/v1/tables/users/preload']);
  const begun = (await answer.json()) as State & { readonly url: string };
  assert.deepEqual([begun.id, begun.url, begun.chunks.total], ['users-1', '/v1/tables/users/preload', 2]);
  const done = await endedAt(preload);
  assert.deepEqual([done.state, done.errors, done.chunks.done], ['done', 0, 2]);
  assert.equal(done.bytes.done, done.bytes.total);
  assert.equal(done.verified?.resident, done.verified?.pages);
  const described = (await (await fetch(`${url}/v1/tables/users`)).json()) as { preload: State };
  assert.equal(described.preload.id, done.id);
  const hot = await fetch(`${url}/v1/tables/users/rows/1?columns=id,name`);
  assert.equal(hot.headers.get('pointlake-cache'), 'memory');
  assert.equal(node.preloader.of('users')?.job.state, 'done');
  const keysOnly = await fetch(preload, { method: 'POST' });
  assert.equal(keysOnly.status, 202, 'without a body the keys');
});

test('what is wrong with a preload is refused with what would be right', async (context) => {
  const { url } = await startFixture(context);
  const preload = `${url}/v1/tables/users/preload`;
  const json = (body: string) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const wrong = [
    '{"colums":["name"]}',
    '{"columns":"name"}',
    '{"rate":"fast"}',
    '{"into":"tape"}',
    '{"into":"disk"}',
    '{"ttl":"1h"}',
    '{"pin":1}',
    '{"pin":true,"into":"disk"}',
    '{"keys":false}',
    '{"from":{}}',
    '7',
  ];
  for (const body of wrong) await expectProblem(preload, 400, 'bad_preload', json(body));
  await expectProblem(preload, 400, 'bad_json', json('{"columns"'));
  await expectProblem(preload, 400, 'bad_key', json('{"from":1.5}'));
  await expectProblem(preload, 400, 'unknown_column', json('{"columns":["nix"]}'));
  await expectProblem(`${url}/v1/tables/nix/preload`, 404, 'unknown_table', json('{}'));
  await expectProblem(`${url}/v1/tables/nothing/preload`, 503, 'no_files', json('{}'));
  await expectProblem(preload, 405, 'method_not_allowed', { method: 'PUT' });
  await expectProblem(`${preload}?x=1`, 400, 'unknown_parameter');
});

test('one at a time, and DELETE ends it', async (context) => {
  const { url, node } = await startFixture(context);
  const preload = `${url}/v1/tables/users/preload`;
  assert.equal((await post(preload, '{"columns":"all","rate":1024}')).status, 202);
  if (node.preloader.of('users')?.job.state === 'running') {
    await expectProblem(preload, 409, 'preload_running', { method: 'POST' });
  }
  const ended = (await (await fetch(preload, { method: 'DELETE' })).json()) as State;
  assert.ok(['cancelled', 'done'].includes(ended.state));
  assert.equal((await endedAt(preload)).state, ended.state);
  assert.equal(
    ((await (await fetch(`${url}/v1/tables/docs/preload`, { method: 'DELETE' })).json()) as State).state,
    'none',
  );
});

test('`pointlake preload` waits until it is done; a server that is not there is one clear line', async (context) => {
  const { url } = await startFixture(context);
  const run = async (...args: readonly string[]) => {
    const child = spawn(process.execPath, [BIN, 'preload', ...args]);
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const [status] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode];
    return { status, stdout, stderr };
  };
  const done = await run(`${url}/v1/tables/users`, '--columns', 'name,score', '--verify');
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stdout, /preload: done, 3 of 3 column chunks, .* reads of .* for \$0, 3 of 3 pages there/);
  const wrong = await run(`${url}/v1/tables/users`, '--columns', 'nix');
  assert.deepEqual([wrong.status, wrong.stdout], [1, '']);
  assert.match(wrong.stderr, /answered 400: there is no column "nix"/);
  assert.match((await run('http://127.0.0.1:1/v1/tables/users')).stderr, /^pointlake: no server answers at .*\n$/);
  assert.equal((await run(`${url}/v1`)).status, 2);
});
