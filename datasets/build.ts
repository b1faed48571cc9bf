/**
 * Makes the files of data sets that are missing or out of date, each aside and then renamed into place, so that a
 * kill at any moment leaves whole files only. A small stamp beside each file says which version it is and how many
 * bytes it has; that is all a second start looks at.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DataSet } from './dataset.ts';
import type { Progress } from './progress.ts';

export interface Built {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  /** False where the file was there already. */
  readonly made: boolean;
}

interface Stamp {
  readonly version: string;
  readonly sizeBytes: number;
}

export function build(set: DataSet, folder: string, progressOf: (name: string) => Progress): Built {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${set.name}.parquet`);
  const present = sizeIfCurrent(set, folder, path);
  if (present !== undefined) return { name: set.name, path, sizeBytes: present, made: false };
  const progress = progressOf(set.name);
  const aside = join(folder, `.${set.name}.${process.pid}.tmp`);
  removeAbandoned(folder, set.name);
  try {
    set.write(aside, progress.report);
    const sizeBytes = statSync(aside).size;
    renameSync(aside, path);
    writeStamp(folder, set, { version: set.version, sizeBytes });
    progress.finish(`made, ${(sizeBytes / 1e6).toFixed(1)} MB`);
    return { name: set.name, path, sizeBytes, made: true };
  } finally {
    rmSync(aside, { force: true });
  }
}

function stampPath(folder: string, set: DataSet): string {
  return join(folder, `.${set.name}.stamp.json`);
}

/** The size of the file where it is the one that its stamp describes and the stamp is of this version. */
function sizeIfCurrent(set: DataSet, folder: string, path: string): number | undefined {
  try {
    const stamp = JSON.parse(readFileSync(stampPath(folder, set), 'utf8')) as Stamp;
    const sizeBytes = statSync(path).size;
    return stamp.version === set.version && stamp.sizeBytes === sizeBytes ? sizeBytes : undefined;
  } catch {
    return undefined; // No file, no stamp or half a stamp: make it.
  }
}

function writeStamp(folder: string, set: DataSet, stamp: Stamp): void {
  const aside = `${stampPath(folder, set)}.${process.pid}.tmp`;
  writeFileSync(aside, `${JSON.stringify(stamp)}\n`);
  renameSync(aside, stampPath(folder, set));
}

/** What a killed run left behind; a file of a run that still lives stays. */
function removeAbandoned(folder: string, name: string): void {
  for (const file of readdirSync(folder)) {
    const pid = file.startsWith(`.${name}.`) && /\.(\d+)\.tmp$/.exec(file)?.[1];
    if (pid && !isAlive(Number(pid))) rmSync(join(folder, file), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return pid !== process.pid;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}
