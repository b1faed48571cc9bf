/** The real server for tests itself: several at once, and no process left behind however its starter ends. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

const program = new URL('../support/rgw.ts', import.meta.url).pathname;

describe('RGW started by itself', () => {
  it('runs twice at once, and ends with its starter: asked to, or killed', { timeout: 180_000 }, async () => {
    const [asked, killed] = await Promise.all([startStandalone(), startStandalone()]);
    assert.notEqual(asked.environment.AWS_ENDPOINT_URL, killed.environment.AWS_ENDPOINT_URL);
    for (const { environment, daemons } of [asked, killed]) {
      assert.deepEqual(Object.keys(environment), [
        'AWS_ENDPOINT_URL',
        'AWS_REGION',
        'AWS_ACCESS_KEY_ID',
        'AWS_SECRET_ACCESS_KEY',
      ]);
      assert.ok((await fetch(environment.AWS_ENDPOINT_URL as string)).ok);
      assert.equal(daemons.length, 3, 'a monitor, an OSD and a gateway');
    }
    killed.starter.kill('SIGKILL');
    asked.starter.kill('SIGTERM');
    assert.equal(await exitOf(asked.starter), 0);
    for (const { environment, daemons } of [asked, killed]) {
      await allGone(daemons);
      await assert.rejects(fetch(environment.AWS_ENDPOINT_URL as string));
    }
  });
});

interface Standalone {
  readonly starter: ChildProcess;
  readonly environment: Readonly<Record<string, string>>;
  readonly daemons: readonly number[];
}

async function startStandalone(): Promise<Standalone> {
  const starter = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  starter.stdout.on('data', (chunk) => {
    out += chunk;
  });
  starter.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  while (!errors.includes('RGW is ready')) {
    assert.equal(starter.exitCode, null, errors);
    await sleep(100);
  }
  const lines = out.trim().split('\n');
  const environment = Object.fromEntries(
    lines.map((line) =>
      line
        .replace(/^export /, '')
        .split(/=(.*)/s)
        .slice(0, 2),
    ),
  );
  return { starter, environment, daemons: await childrenOf(starter.pid as number) };
}

async function childrenOf(pid: number): Promise<number[]> {
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = await Promise.all(
    all.map(async (name) => {
      const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
      return [Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])] as const;
    }),
  );
  return parents.filter(([, parent]) => parent === pid).map(([child]) => child);
}

async function allGone(pids: readonly number[]): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (pids.every((pid) => !isRunning(pid))) return;
    await sleep(100);
  }
  assert.fail(`still running: ${pids.filter(isRunning)}`);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) resolve(child.exitCode);
    else child.once('exit', resolve);
  });
}
