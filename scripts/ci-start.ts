/**
 * The README's first command as a stranger runs it: `npm start`, wait until it is ready, read a row of each table,
 * then SIGTERM, upon which it must leave with 0.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from './gates/gate.ts';

const base = 'http://127.0.0.1:8080';
const readyWithinMs = 120_000;

/** A row of each table, and what must be in it. */
const rows: readonly [string, Readonly<Record<string, unknown>>][] = [
  ['flights/rows/2001-01-01T00:01:00.000000', { distance: 2176, origin: 'LAS', destination: 'PHL' }],
  ['cities/rows/100000', { id: 100000, name: 'Bir Jdid', country: 'MA' }],
  ['documents/rows/n00001740', { synset_id: 'n00001740', lemmas: 'entity' }],
];

const server = spawn('npm', ['start'], { cwd: projectRoot, stdio: ['ignore', 'inherit', 'inherit'] });
const exited = once(server, 'exit');
try {
  await untilReady();
  for (const [path, expected] of rows) {
    const answer = await fetch(`${base}/v1/tables/${path}`);
    const text = await answer.text();
    assert.equal(answer.status, 200, `${path}: ${text}`);
    assert.partialDeepStrictEqual(JSON.parse(text), expected, path);
    console.log(`${path}: ${text}`);
  }
} finally {
  server.kill('SIGTERM');
}
const [status] = await exited;
assert.equal(status, 0, 'npm start must leave with 0 upon SIGTERM');
await assert.rejects(fetch(`${base}/healthz`), 'nothing may answer after npm start has ended');

async function untilReady(): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  while (!(await fetch(`${base}/readyz`).catch(() => undefined))?.ok) {
    assert.equal(server.exitCode, null, 'npm start ended before it was ready');
    assert.ok(performance.now() < deadline, `npm start was not ready within ${readyWithinMs} ms`);
    await sleep(100);
  }
}
