/** `pointlake serve --workers N`: it drains on SIGTERM, and a restart with fewer of them keeps what is on disk. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CheckedRows } from '../../bench/harness/checked-rows.ts';
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

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  /** All that it said, which grows. */
  readonly lines: readonly string[];
}

async function start(context: TestContext, args: readonly string[], env = process.env): Promise<Started> {
  const child = spawn(process.execPath, [BIN, 'serve', ...args], { stdio: ['ignore', 'pipe', 'inherit'], env });
  context.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  const ready = await said({ child, lines }, /ready on (\S+)/);
  return { child, lines, url: ready[1] ?? '' };
}

/** The first line of that form, when it is said. */
async function said({ child, lines }: Omit<Started, 'url'>, form: RegExp, from = 0): Promise<RegExpExecArray> {
  for (;;) {
    for (const line of lines.slice(from)) {
      const found = form.exec(line);
      if (found !== null) return found;
    }
    assert.equal(child.exitCode, null, `the server ended:\n${lines.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Each on a connection of its own, so that all loops are asked. */
function askOften(url: string, init: RequestInit = {}): Promise<readonly (readonly [status: number, body: unknown])[]> {
  const { port, pathname } = new URL(url);
  const one = () =>
    new Promise<readonly [number, unknown]>((resolve, reject) => {
      const { method = 'GET' } = init;
      const request = httpRequest({ port, path: pathname, method, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        answer.on('end', () => resolve([answer.statusCode ?? 0, JSON.parse(text)]));
      });
      request.on('error', reject).end();
    });
  return Promise.all(Array.from({ length: 24 }, one));
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

test('with SIGTERM idle connections end at once, and what is half asked on each loop is answered', async (context) => {
  const path = writeTable(scratchFolder(context));
  const { child, url } = await start(context, [path, '--key', 'id', '--port', '0', '--workers', '3']);
  const port = Number(new URL(url).port);
  const body = JSON.stringify({ keys: [1, 2, 3] });
  const open = async (first: string) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
    socket.write(first);
    const ended = once(socket, 'close');
    await once(socket, 'ready');
    return { socket, ended, text: () => text };
  };
  const idle = await Promise.all(
    Array.from({ length: 16 }, () => open('GET /v1/tables/t/rows/5 HTTP/1.1\r\nHost: a\r\n\r\n')),
  );
  while (!idle.every(({ text }) => text().endsWith('}'))) await new Promise((resolve) => setTimeout(resolve, 5));
  const head = `POST /v1/tables/t/lookup HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const halfAsked = await Promise.all(Array.from({ length: 16 }, () => open(head + body.slice(0, 5))));
  await new Promise((resolve) => setTimeout(resolve, 300));
  const startedMs = performance.now();
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await Promise.all(idle.map(({ ended }) => ended));
  for (const { socket } of halfAsked) socket.write(body.slice(5));
  await Promise.all(halfAsked.map(({ ended }) => ended));
  for (const { text } of halfAsked) {
    assert.match(text(), /^HTTP\/1\.1 200/);
    const answer = JSON.parse(text().slice(text().indexOf('\r\n\r\n') + 4)) as { readonly results: unknown };
    assert.deepEqual(
      answer.results,
      [1, 2, 3].map((id) => ({ key: id, status: 'found', row: rowOf(id) })),
    );
  }
  assert.deepEqual(await exit, [0, null]);
  assert.ok(performance.now() - startedMs < 7_000, 'nothing had to be cut off');
});

test('SIGHUP, refresh, preload and status are the same from every loop', async (context) => {
  const folder = scratchFolder(context);
  writeTable(folder);
  const config = join(folder, 'pointlake.yaml');
  const write = (tables: string) => writeFileSync(config, `server: { port: 0, workers: 3 }\ntables: ${tables}\n`);
  write('{ t: { source: t.parquet, key: id }, gone: { source: t.parquet, key: id } }');
  const started = await start(context, ['--config', config]);
  const { child, url, lines } = started;
  for (const [status] of await askOften(`${url}/v1/tables/gone/rows/9`)) assert.equal(status, 200);
  write('{ t: { source: t.parquet, key: text }, come: { source: t.parquet, key: id } }');
  const from = lines.length;
  child.kill('SIGHUP');
  await said(started, /SIGHUP: tables: added come; removed gone; changed t/, from);
  await said(started, /table t: its new definition serves/, from);
  const codes = (await askOften(`${url}/v1/tables/gone/rows/9`)).map(([, body]) => (body as { code: string }).code);
  assert.deepEqual(new Set(codes), new Set(['unknown_table']));
  const expected = [200, rowOf(9)];
  for (const answer of await askOften(`${url}/v1/tables/come/rows/9`)) assert.deepEqual(answer, expected);
  const byText = `${url}/v1/tables/t/rows/${encodeURIComponent(JSON.stringify(rowOf(9).text))}`;
  const answers = await Promise.all([askOften(byText), askOften(`${url}/v1/tables/t/rows/9`)]);
  for (const [status] of answers.flat()) assert.ok(status === 200 || status === 404 || status === 400, `${status}`);
  assert.equal(
    new Set(answers[0]?.map((answer) => JSON.stringify(answer[1]).replace(/"instance":"[^"]*"/, ''))).size,
    1,
  );

  const preloads = await askOften(`${url}/v1/tables/come/preload`, { method: 'POST' });
  assert.ok(
    preloads.every(([status]) => [200, 202, 409].includes(status)),
    JSON.stringify(preloads[0]),
  );
  const refreshed = await askOften(`${url}/v1/tables/come/refresh`, { method: 'POST' });
  assert.ok(refreshed.every(([status]) => status === 200));
  const snapshots = (await askOften(`${url}/v1/tables/come`)).map(
    ([, body]) => (body as { readonly snapshot: { readonly id: string } }).snapshot.id,
  );
  assert.equal(new Set(snapshots).size, 1);
});

test('a thread that stands still is ended and replaced, and meanwhile the others answer', async (context) => {
  const path = writeTable(scratchFolder(context));
  const probe = new URL('../support/failing-thread.ts', import.meta.url).href;
  const env = { ...process.env, FAILING_THREAD: 'hang', NODE_OPTIONS: `--import=${probe}` };
  const started = await start(context, [path, '--key', 'id', '--port', '0', '--workers', '3'], env);
  const { child, url } = started;
  const texts = Array.from({ length: 500 }, (_, id) => JSON.stringify(rowOf(id)));
  const client = new CheckedRows(url, (id) => `/v1/tables/t/rows/${id}`, texts, 24);
  while (client.counts.right < 500) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill('SIGUSR2');
  await said(started, /a serving thread has stood still for 5 seconds and is ended/);
  const meanwhile = client.counts.right;
  assert.ok(meanwhile > 700, `${meanwhile} answers`);
  await said(started, /another serving thread takes its place/);
  for (const answer of await askOften(`${url}/v1/tables/t/rows/9`)) assert.deepEqual(answer, [200, rowOf(9)]);
  assert.equal((await fetch(`${url}/metrics`)).status, 200);
  await client.stop();
  assert.equal(client.counts.wrong, 0);
  assert.ok(client.counts.failed <= 24, `${client.counts.failed} failed`);
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
