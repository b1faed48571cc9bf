/** Servers under test, each a process of its own, pinned to one core or some and stopped with the bench. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface Server {
  readonly name: string;
  readonly origin: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const readyWithinMs = 60_000;
const stopWithinMs = 10_000;
const pointlake = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));
const bareRoute = fileURLToPath(new URL('./bare-route.ts', import.meta.url));

/** Cores as `taskset` takes them: one, or a list such as `0-2,4`. */
export async function startPointlake(
  configPath: string,
  cores: number | string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Server> {
  const port = await freePort();
  return start(
    'pointlake',
    [pointlake, 'serve', '--config', configPath, '--port', String(port)],
    port,
    cores,
    '/readyz',
    env,
  );
}

/** A Fastify route of the same shape that answers `body` with `headers` and does nothing else. */
export async function startBareRoute(
  headers: Readonly<Record<string, string>>,
  body: string,
  core: number,
): Promise<Server> {
  const port = await freePort();
  const answer = JSON.stringify({ headers, body });
  return start('bare route', [bareRoute, String(port), answer], port, core, '/readyz');
}

async function start(
  name: string,
  args: readonly string[],
  port: number,
  cores: number | string,
  readyPath: string,
  env = process.env,
): Promise<Server> {
  const child = spawn('taskset', ['-c', String(cores), process.execPath, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env,
  });
  const killIfLeft = () => child.kill('SIGKILL');
  process.once('exit', killIfLeft);
  const origin = `http://127.0.0.1:${port}`;
  await untilReady(name, child, `${origin}${readyPath}`);
  return {
    name,
    origin,
    pid: child.pid ?? 0,
    async stop() {
      process.off('exit', killIfLeft);
      const exited = once(child, 'exit');
      const late = setTimeout(() => child.kill('SIGKILL'), stopWithinMs);
      if (child.exitCode === null && child.kill('SIGTERM')) await exited;
      clearTimeout(late);
    },
  };
}

async function untilReady(name: string, child: ChildProcess, url: string): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  while (!(await fetch(url).catch(() => undefined))?.ok) {
    if (child.exitCode !== null) throw new Error(`${name} ended with status ${child.exitCode} before it was ready`);
    if (performance.now() > deadline) throw new Error(`${name} was not ready within ${readyWithinMs} ms`);
    await sleep(50);
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
