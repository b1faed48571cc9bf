/** Files taken out of the page cache, so that the next read of them meets the disk. */

import { execFile, execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
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
