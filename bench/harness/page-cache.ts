/** Files taken out of the page cache, so that the next read of them meets the disk. */

import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** All files of the folder; what is not yet written is written first, since only that can be dropped. */
export function dropFromPageCache(folder: string): void {
  for (const name of readdirSync(folder)) {
    execFileSync('sync', [join(folder, name)]);
    execFileSync('dd', [`if=${join(folder, name)}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
  }
}
