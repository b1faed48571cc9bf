/** A server under test that tells of its own memory and event loop while it runs, by `process-probe.ts` within it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SERVER_ENVIRONMENT, SERVER_FLAGS } from './server-settings.ts';

export interface ProbedServer {
  readonly origin: string;
  readonly pid: number;
  /** A line of JSON each few seconds, a `ProbeSample`. */
  readonly probe: Readable;
  exited(): boolean;
  stop(): Promise<void>;
}

export interface Probed {
  readonly config: string;
  /** Words that become the program: a core it is pinned to, a cgroup that it enters. */
  readonly entered?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly probeEveryMs?: number;
  /** Of Node. */
  readonly flags?: readonly string[];
  /** Told what the server says beyond what it always says. */
  readonly onLine: (line: string) => void;
}

const localPath = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export async function startProbed({
  config,
  entered = [],
  env,
  probeEveryMs,
  flags = [],
  onLine,
}: Probed): Promise<ProbedServer> {
  // Set here, since the probe's descriptor would not outlive the process's replacement.
  const args = [...SERVER_FLAGS, ...flags, '--import', localPath('./process-probe.ts')];
  const serve = [localPath('../../bin/pointlake.js'), 'serve', '--config', config];
  const [command = '', ...rest] = [...entered, process.execPath, ...args, ...serve];
  const every = probeEveryMs === undefined ? {} : { PROBE_EVERY_MS: String(probeEveryMs) };
  const child = spawn(command, rest, {
    stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
    env: { ...SERVER_ENVIRONMENT, ...process.env, ...every, ...env },
  });
  const killIfLeft = () => child.kill('SIGKILL');
  process.once('exit', killIfLeft);
  const origin = await readyOrigin(child, onLine);
  return {
    origin,
    pid: child.pid ?? 0,
    probe: child.stdio[3] as Readable,
    exited: () => child.exitCode !== null || child.signalCode !== null,
    async stop() {
      process.off('exit', killIfLeft);
      const exited = once(child, 'exit');
      if (child.exitCode === null && child.kill('SIGTERM')) await exited;
    },
  };
}

/** What the server says goes on being read, and what is no ordinary line is shown. */
async function readyOrigin(child: ChildProcess, onLine: (line: string) => void): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once('exit', (status) => reject(new Error(`the server ended with status ${status}`)));
  createInterface({ input: child.stdout as Readable }).on('line', (line) => {
    const url = /ready on (\S+)/.exec(line)?.[1];
    if (url !== undefined) resolve(url);
    else if (!/^curl |: table \w+: \d+ rows in /.test(line)) onLine(line);
  });
  return promise;
}
