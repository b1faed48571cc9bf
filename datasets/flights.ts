/**
 * Three million domestic flights of the United States in 2001, exactly as published in the npm package
 * `vega-datasets`: 11 row groups, one page a column chunk (its page index knows that one page), and a key, `date`, that repeats.
 */

import { createHash } from 'node:crypto';
import { constants, copyFileSync, readFileSync } from 'node:fs';
import { type DataSet, packageFile, packageVersion } from './dataset.ts';

const published = 'vega-datasets/data/flights-3m.parquet';
const publishedSha256 = 'dbeb920c90f59b6ccaff823dcc3d08f25a97fa1ce128d93f40be4e931f5900b0';

export const flights: DataSet = {
  name: 'flights',
  version: `${publishedSha256.slice(0, 16)} ${packageVersion('vega-datasets')}`,
  write(path, report) {
    report('copying the published file', 0);
    copyFileSync(packageFile(published), path, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    report('checking its SHA-256', 0.5);
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    if (sha256 !== publishedSha256) {
      throw new Error(`expected ${published} to have the SHA-256 ${publishedSha256}, it has ${sha256}: run npm ci`);
    }
  },
};
