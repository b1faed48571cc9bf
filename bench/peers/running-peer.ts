/** Peers in process as the bench sees them: started, asked, asked for their memory, ended. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cachedShare, readIntoPageCache } from '../harness/page-cache.ts';
import { SERVER_ENVIRONMENT, SERVER_FLAGS } from '../harness/server-settings.ts';
import { bytesOnDisk, type Peer, type PeerFiles } from './peer.ts';
import type { Order, Report, RoundResult } from './peer-process.ts';

/** Ended with the bench, however it ends. */
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

const peerProcess = fileURLToPath(new URL('./peer-process.ts', import.meta.url));

export class RunningPeer {
  readonly name: string;
  readonly answers: string;
  readonly loadMs: number;
  readonly diskBytes: number;
  readonly #child: ChildProcess;
  /** What it reads: a file or a folder of them. */
  readonly #path: string;

  private constructor(peer: Peer, child: ChildProcess, loadMs: number, path: string) {
    this.name = peer.name;
    this.answers = peer.answers;
    this.loadMs = loadMs;
    this.diskBytes = bytesOnDisk(path);
    this.#child = child;
    this.#path = path;
  }

  /** Makes the peer's copy of the data if there is none yet, and opens it. */
  static async start(peer: Peer, files: PeerFiles): Promise<RunningPeer> {
    const convertMs = peer.convert === undefined ? 0 : await convertedMs(peer, files);
    const child = run('serve', peer, files);
    const ready = await next(child);
    if (ready.kind !== 'ready') throw new Error('a peer began with something else than being ready');
    return new RunningPeer(peer, child, convertMs + ready.ms, peer.convert === undefined ? files.parquet : files.own);
  }

  /** As after a while of use: its files have been read, and it has been asked. */
  async warm(seconds: number, seed: number): Promise<void> {
    readIntoPageCache(this.#path);
    await this.round(seconds, seed);
  }

  /** The share of its files that is in the page cache; undefined where that cannot be told. */
  cachedShare(): number | undefined {
    return cachedShare(this.#path);
  }

  async digest(ids: readonly number[]): Promise<string> {
    const report = await this.#order({ kind: 'digest', ids });
    if (report.kind !== 'digest') throw new Error(`${this.name} gave no digest`);
    return report.digest;
  }

  async round(seconds: number, seed: number): Promise<RoundResult> {
    const report = await this.#order({ kind: 'round', seconds, seed });
    if (report.kind !== 'round') throw new Error(`${this.name} gave no round`);
    return report.result;
  }

  residentBytes(): number {
    return residentBytes(this.#child.pid ?? 0);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  #order(order: Order): Promise<Report> {
    const report = next(this.#child);
    this.#child.send(order);
    return report;
  }
}

/** Of a copy that is there already: what it took when it was made, which is kept beside it. */
async function convertedMs(peer: Peer, files: PeerFiles): Promise<number> {
  const noted = join(files.own, '..', `${peer.name.replaceAll(/\W+/g, '-')}.json`);
  if (existsSync(noted)) return (JSON.parse(readFileSync(noted, 'utf8')) as { ms: number }).ms;
  rmSync(files.own, { recursive: true, force: true });
  mkdirSync(files.own, { recursive: true });
  const child = run('convert', peer, files);
  const done = await next(child);
  if (done.kind !== 'ready') throw new Error('a conversion ended with something else than being done');
  if (child.exitCode === null) await once(child, 'exit');
  writeFileSync(noted, JSON.stringify({ ms: done.ms }));
  return done.ms;
}

function run(mode: 'convert' | 'serve', peer: Peer, files: PeerFiles): ChildProcess {
  mkdirSync(dirname(files.own), { recursive: true });
  const child = fork(peerProcess, [mode, JSON.stringify(files), peer.name], {
    // All take memory as a server of ours does.
    env: { ...SERVER_ENVIRONMENT, ...process.env },
    execArgv: [...process.execArgv, ...SERVER_FLAGS],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

/** What a child says next. Rejects with its reason where it failed, or where it ended. */
function next(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    const ended = (status: number | null) => reject(new Error(`its process ended with status ${status}`));
    child.once('exit', ended);
    child.once('message', (report: Report) => {
      child.off('exit', ended);
      if (report.kind === 'failed') reject(new Error(report.reason));
      else resolve(report);
    });
  });
}

/** Files that are mapped count as far as they are in memory. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} says nothing of its memory`);
  return Number(kilobytes) * 1024;
}
