/** Runs the load generator `wrk` (Debian package `wrk`) pinned to cores of its own, one closed loop a connection. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BusyTime } from './busy-time.ts';

export interface Load {
  /** Up to the key, which is appended: `http://127.0.0.1:8080` and `/v1/tables/cities/rows/`. */
  readonly origin: string;
  readonly pathBeforeKey: string;
  /** A query, where there is one. */
  readonly pathAfterKey?: string;
  /** Keys are 1 to this. */
  readonly lastKey: number;
  readonly seed: number;
  readonly connections: number;
  readonly seconds: number;
  /** Of wrk; one where nothing is said. */
  readonly threads?: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  /** Share of one core that wrk itself used: near 1 the client limits, not the server. */
  readonly clientBusy: number;
}

/** A load by one of the scripts beside this file, which is given the arguments. */
export interface ScriptedLoad extends Pick<Load, 'origin' | 'connections' | 'seconds' | 'threads'> {
  readonly script: string;
  readonly scriptArgs: readonly string[];
}

/** Whether a load may go before others on its core: two on one core else wait for each other's turn, milliseconds each. */
export const mayGoFirst: boolean = spawnSync('chrt', ['-r', '1', 'true']).status === 0;

export function runWrk(load: Load, core: number | string, goesFirst = false): Promise<LoadResult> {
  const scriptArgs = [load.pathBeforeKey, String(load.lastKey), String(load.seed), load.pathAfterKey ?? ''];
  return runScript({ ...load, script: 'random-keys.lua', scriptArgs }, core, goesFirst);
}

export async function runScript(load: ScriptedLoad, core: number | string, goesFirst = false): Promise<LoadResult> {
  const script = fileURLToPath(new URL(load.script, import.meta.url));
  const wrkArgs = [
    `-t${load.threads ?? 1}`,
    `-c${load.connections}`,
    `-d${load.seconds}s`,
    '--timeout',
    '10s',
    '-s',
    script,
    load.origin,
  ];
  const program = ['taskset', '-c', String(core), 'wrk', ...wrkArgs, '--', ...load.scriptArgs];
  const [command = '', ...args] = goesFirst && mayGoFirst ? ['chrt', '-r', '1', ...program] : program;
  const wrk = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  wrk.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const busy = new BusyTime(wrk.pid ?? 0);
  const measured = setTimeout(() => busy.sample(), load.seconds * 1000 - 100);
  const [status] = await once(wrk, 'close');
  clearTimeout(measured);
  if (status !== 0) throw new Error(`wrk ended with status ${status}:\n${output}`);
  return { ...parseResult(output), clientBusy: busy.share };
}

function parseResult(output: string): Omit<LoadResult, 'clientBusy'> {
  const fields = /^RESULT (.*)$/m.exec(output)?.[1]?.split(' ').map(Number);
  if (fields?.length !== 7 || fields.some(Number.isNaN)) throw new Error(`wrk printed no result:\n${output}`);
  const [requests = 0, durationUs = 1, p50Us = 0, p99Us = 0, p999Us = 0, refused = 0, broken = 0] = fields;
  if (refused + broken > 0) throw new Error(`wrk saw ${refused} answers other than 2xx and ${broken} broken requests`);
  return { requests, requestsPerSecond: requests / (durationUs / 1e6), p50Us, p99Us, p999Us };
}
