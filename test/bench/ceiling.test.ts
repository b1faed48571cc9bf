/** The server that does nothing, and what a client asks of it. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { httpCeiling, loopCeiling } from '../../src/bench/ceiling.ts';
import type { HttpTarget, LoadPlan } from '../../src/bench/plan.ts';

const PLAN: LoadPlan = {
  keys: { kind: 'range', first: 1, count: 100 },
  distribution: { kind: 'uniform' },
  absentShare: 0.5,
  batch: 0,
  connections: 3,
  threads: 2,
  // What a ceiling has to leave out.
  rate: 1,
  warmupMs: 60_000,
  durationMs: 60_000,
  intervalMs: 1000,
  timeoutMs: 5000,
  seed: 1,
};

const TARGETS: readonly (readonly [string, HttpTarget, number])[] = [
  [
    'rows',
    { kind: 'table', url: 'http://nowhere.invalid:80/v1/tables/t', headers: {}, columns: ['a'], value: undefined },
    0,
  ],
  [
    'batches, of which some are looked into',
    { kind: 'table', url: 'https://nowhere.invalid/v1/tables/t', headers: {}, columns: undefined, value: undefined },
    70,
  ],
  [
    'bodies',
    {
      kind: 'template',
      url: 'http://nowhere.invalid/a?{key}',
      headers: { a: 'b' },
      body: `{"k":{keys},"pad":"${'x'.repeat(90_000)}"}`,
    },
    3,
  ],
];

for (const [name, target, batch] of TARGETS) {
  test(`the client by itself is measured with its own requests: ${name}`, async () => {
    const ceiling = await httpCeiling({ ...PLAN, batch }, target, 700, 200);
    assert.ok(ceiling.requests_per_second > 5, JSON.stringify(ceiling));
    assert.ok(ceiling.p50_us > 0 && ceiling.p99_us >= ceiling.p50_us);
    assert.ok(ceiling.client_busy > 0 && ceiling.client_busy <= 1);
  });
}

test('in one thread it is the loop alone', async () => {
  const ceiling = await loopCeiling({ ...PLAN, threads: 1 }, 700, 100);
  assert.ok(ceiling.requests_per_second > 1000, JSON.stringify(ceiling));
});

test('the server answers each request once, with so many bytes, however it arrives', async (context) => {
  const echo = new Worker(new URL('../../src/bench/echo-worker.ts', import.meta.url), { workerData: { bytes: 300 } });
  context.after(() => echo.terminate());
  const [{ port }] = (await once(echo, 'message')) as [{ port: number }];
  const answer = await fetch(`http://127.0.0.1:${port}/any`);
  const text = await answer.text();
  assert.equal(text.length, 300);
  assert.deepEqual(JSON.parse(text).results, []);

  const socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('latin1');
  context.after(() => socket.destroy());
  let answers = '';
  socket.on('data', (chunk: string) => {
    answers += chunk;
  });
  const count = () => answers.split('HTTP/1.1 200 OK').length - 1;
  const turn = () => new Promise((resolve) => setTimeout(resolve, 20));
  const pieces = ['POST / HT', 'TP/1.1\r\ncontent-length: 6\r', '\n\r\nab', 'cd'];
  for (const piece of pieces) {
    socket.write(piece);
    await turn();
  }
  assert.equal(count(), 0, 'the body is not whole');
  socket.write('ef');
  while (count() < 1) await turn();
  socket.write('GET / HTTP/1.1\r\n\r\n');
  while (count() < 2) await turn();
  assert.equal(answers.length, 2 * answers.indexOf('HTTP/1.1', 1));
});
