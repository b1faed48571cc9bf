/** `pointlake serve --workers N`: it drains on SIGTERM, and a restart with fewer of them keeps what is on disk. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));
const ROWS = 5000;

const rowOf = (id: number) => ({ id, text: `text ${id} ${'of a row '.repeat(id % 20)}` });

function writeTable(folder: string): string {
  const ids = Array.from({ length: ROWS }, (_, i) => i);
  return writeParquet(
    join(folder, 't.parquet'),
    [
      { name: 'id', data: ids, type: 'INT32', nullable: false },
      { name: 'text', data: ids.map((id) => rowOf(id).text), type: 'STRING' },
    ],
    { rowsPerRowGroup: 1000 },
  );
}

async function start(
  context: TestContext,
  args: readonly string[],
): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, [BIN, 'serve', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  context.after(() => child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /ready on (\S+)/.exec(line)?.[1];
    if (url !== undefined) return { child, url };
  }
  throw new Error('the server ended before it was ready');
}

test('with SIGTERM under load every loop finishes what it began, and the process ends with 0', async (context) => {
  const path = writeTable(scratchFolder(context));
  const { child, url } = await start(context, [path, '--key', 'id', '--port', '0', '--workers', '3']);
  let right = 0;
  const client = async (number: number) => {
    for (let i = number; ; i += 6) {
      const id = i % ROWS;
      try {
        const answer = await fetch(`${url}/v1/tables/t/rows/${id}`);
        assert.deepEqual([answer.status, await answer.json()], [200, rowOf(id)]);
        right += 1;
      } catch (thrown) {
        // Nothing listens any more. An answer that began is whole.
        assert.ok(thrown instanceof TypeError && thrown.message === 'fetch failed', String(thrown));
        return;
      }
    }
  };
  const clients = Promise.all([0, 1, 2, 3, 4, 5].map(client));
  while (right < 1000) await new Promise((resolve) => setTimeout(resolve, 5));
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  assert.deepEqual(await exit, [0, null]);
  await clients;
});

test('going from four loops to three keeps the blocks on disk', async (context) => {
  const folder = scratchFolder(context);
  writeTable(folder);
  const config = join(folder, 'pointlake.yaml');
  const write = (workers: number) =>
    writeFileSync(
      config,
      `server: { port: 0, workers: ${workers} }\ncache: { memory: 64MiB, disk: { path: ./cache, size: 64MiB } }\ntables:\n  t: { source: t.parquet, key: id }\n`,
    );
  const ask = async (url: string): Promise<readonly (string | null)[]> => {
    const tiers: (string | null)[] = [];
    for (let id = 0; id < ROWS; id += 250) {
      const answer = await fetch(`${url}/v1/tables/t/rows/${id}`);
      assert.deepEqual(await answer.json(), rowOf(id));
      tiers.push(answer.headers.get('pointlake-cache'));
    }
    return tiers;
  };
  for (const workers of [4, 3]) {
    write(workers);
    const { child, url } = await start(context, ['--config', config]);
    const tiers = await ask(url);
    if (workers === 3) assert.ok(!tiers.includes('origin'), tiers.join(' '));
    else assert.ok(tiers.includes('origin'), tiers.join(' '));
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await exit, [0, null]);
  }
});

test('a count of loops that is none is refused', (context) => {
  const path = writeTable(scratchFolder(context));
  for (const count of ['0', '65', 'many', '1.5']) {
    const { status, stderr } = spawnSync(process.execPath, [BIN, 'serve', path, '--key', 'id', '--workers', count], {
      encoding: 'utf8',
    });
    assert.equal(status, 2);
    assert.match(stderr, /expected a number from 1 to 64/);
  }
});
