/** Files taken out of the page cache, so that the next read of them meets the disk, or read into it, so that it does not. */

import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** All files of the folder; what is not yet written is written first, since only that can be dropped. */
export function dropFromPageCache(folder: string): void {
  for (const name of readdirSync(folder)) {
    execFileSync('sync', [join(folder, name)]);
    execFileSync('dd', [`if=${join(folder, name)}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
  }
}

/** The same again and again, of files that nobody writes to any more; the caller's event loop goes on meanwhile. */
export async function keepOutOfPageCache(folder: string, everyMs: number, over: AbortSignal): Promise<void> {
  const run = promisify(execFile);
  while (!over.aborted) {
    for (const name of readdirSync(folder)) await run('dd', [`if=${join(folder, name)}`, 'iflag=nocache', 'count=0']);
    await sleep(everyMs, undefined, { signal: over }).catch(() => undefined);
  }
}

/** A file, or all below a folder. What has no room there pushes out what was read before it. */
export function readIntoPageCache(path: string): void {
  execFileSync('cat', filesBelow(path), { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** How much of it is there; undefined where the system has no `fincore` (util-linux). */
export function cachedShare(path: string): number | undefined {
  const files = filesBelow(path);
  const { status, stdout } = spawnSync('fincore', ['--bytes', '--noheadings', '--output', 'RES', ...files], {
    encoding: 'utf8',
  });
  if (status !== 0) return undefined;
  const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0);
  return sum(stdout.trim().split('\n').map(Number)) / sum(files.map((file) => statSync(file).size));
}

function filesBelow(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}
