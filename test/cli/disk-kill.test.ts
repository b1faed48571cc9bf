/** `pointlake serve` with a disk tier, killed by SIGKILL under load again and again: it starts warm and answers right. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));
const ROWS = 20_000;
const ROUNDS = 8;

const textOf = (id: number) => `${id} ${'text '.repeat(id % 40)}`;
const rowOf = (id: number) => JSON.stringify({ id, kind: `kind ${id % 9}`, text: textOf(id) });

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  /** From the start of the process to the line that says where it listens. */
  readonly readyMs: number;
}

async function start(config: string): Promise<Running> {
  const started = performance.now();
  const child = spawn(process.execPath, [BIN, 'serve', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /ready on (\S+)/.exec(line)?.[1];
    if (url !== undefined) return { child, url, readyMs: performance.now() - started };
  }
  throw new Error('the server ended before it was ready');
}

test('killed under load, it starts warm and gives no wrong answer', async (context) => {
  const folder = scratchFolder(context);
  const ids = Array.from({ length: ROWS }, (_, i) => i);
  writeParquet(
    join(folder, 't.parquet'),
    [
      { name: 'id', data: ids, type: 'INT32', nullable: false },
      { name: 'kind', data: ids.map((id) => `kind ${id % 9}`), type: 'STRING' },
      { name: 'text', data: ids.map(textOf), type: 'STRING' },
    ],
    { rowsPerRowGroup: 5000 },
  );
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(
    config,
    'server: { port: 0 }\ncache: { memory: 64MiB, disk: { path: ./cache, size: 64MiB } }\ntables:\n  t: { source: t.parquet, key: id }\n',
  );
  let answered = 0;
  let fromDisk = 0;
  const ready: number[] = [];
  const first: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { child, url, readyMs } = await start(config);
    const ask = async (id: number) => {
      const answer = await fetch(`${url}/v1/tables/t/rows/${id}`);
      assert.equal(await answer.text(), rowOf(id), `round ${round}, id ${id}`);
      answered += 1;
      return answer.headers.get('pointlake-cache');
    };
    const asked = performance.now();
    const tier = await ask(0);
    first.push(performance.now() - asked);
    ready.push(readyMs);
    if (tier === 'disk') fromDisk += 1;
    const load = (async () => {
      for (let i = round * 50; ; i++) await ask((i * 7919) % ROWS);
    })();
    // What was under way when the process ended is cut off; a wrong answer is not forgiven.
    const ended = load.catch((thrown) => {
      if (thrown instanceof assert.AssertionError) throw thrown;
    });
    await after(100 + round * 30);
    child.kill('SIGKILL');
    await Promise.all([once(child, 'exit'), ended]);
  }
  const shown = (values: readonly number[]) => values.map((ms) => ms.toFixed(0)).join(', ');
  context.diagnostic(`${answered} answers; ready after ${shown(ready)} ms, then first answers in ${shown(first)} ms`);
  // Key 0 is read in each round, so that all but the first find it on disk (or in memory, for the printed example).
  assert.ok(answered > ROUNDS * 5 && fromDisk >= 1, `${answered} answers, ${fromDisk} of them from disk`);
});
