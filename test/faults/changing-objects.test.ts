/** Objects replaced, renamed and rewritten under load: every answer is the old or the new version, never a mix, never absent. */

import { mkdirSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { faultSeconds, runChanging } from '../support/changing-run.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { scratchFolder } from '../support/scratch.ts';

const seconds = faultSeconds(1.5);

for (const withDisk of [false, true]) {
  const disk = withDisk ? 'with a disk tier' : 'without a disk tier';

  test(`local files, ${disk}`, async (context) => {
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
    await runChanging(context, { seconds, withDisk, place });
  });

  test(`objects of an S3 server, ${disk}`, async (context) => {
    const s3 = await FaultyS3.start();
    context.after(() => s3.stop());
    const place = (table: string) => {
      const writer = {
        put: async (name: string, bytes: Buffer) => s3.put('lake', `${table}/${name}`, bytes),
        remove: async (name: string) => s3.delete('lake', `${table}/${name}`),
      };
      return { source: `s3://lake/${table}/`, writer };
    };
    const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
    await runChanging(context, { seconds, withDisk, place, s3: settings });
  });
}
