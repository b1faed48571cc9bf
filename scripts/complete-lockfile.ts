/**
 * `npm run lockfile`: adds to package-lock.json, here and in bench/peers, the optional packages of other platforms that npm left out.
 *
 * npm leaves an optional package out of the lockfile when the registry in use does not have it, and `npm ci` then
 * refuses the lockfile as incomplete. A mirror that holds only what its own platform needs brings this about. An entry
 * needs no more than version and platform for `npm ci` to pass over it where it does not apply, and to find it in a full
 * registry where it does.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './gates/gate.ts';
import { completeLockfile, type Lockfile } from './gates/lockfile.ts';

for (const folder of ['', 'bench/peers']) {
  const path = join(projectRoot, folder, 'package-lock.json');
  const lockfile = JSON.parse(readFileSync(path, 'utf8')) as Lockfile;
  const completed = completeLockfile(lockfile);
  writeFileSync(path, `${JSON.stringify(completed, undefined, 2)}\n`);
  const before = Object.keys(lockfile.packages).length;
  const added = Object.keys(completed.packages).length - before;
  console.log(`${join(folder, 'package-lock.json')}: ${added} packages of other platforms added to ${before}`);
}
