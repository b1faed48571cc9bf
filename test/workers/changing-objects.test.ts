/** Objects replaced, renamed and rewritten while threads are asked: every answer is the old or the new version, never a mix. */

import { mkdirSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { faultSeconds, runChanging } from '../support/changing-run.ts';
import { scratchFolder } from '../support/scratch.ts';

for (const withDisk of [false, true]) {
  test(`two threads over changing files, ${withDisk ? 'with' : 'without'} a disk tier`, async (context) => {
    const folder = scratchFolder(context);
    const place = (table: string) => {
      const files = join(folder, table);
      mkdirSync(files);
      const writer = {
        async put(name: string, bytes: Buffer) {
          await writeFile(join(files, `.${name}`), bytes);
          await rename(join(files, `.${name}`), join(files, name));
        },
        remove: (name: string) => rm(join(files, name)),
      };
      return { source: `${files}/`, writer };
    };
    await runChanging(context, { seconds: faultSeconds(1.5), withDisk, place, threads: 2 });
  });
}
