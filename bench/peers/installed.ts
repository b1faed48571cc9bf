/**
 * The packages of other engines: a package.json and a lockfile of their own, installed by the first run that needs them,
 * or before it: `node bench/peers/installed.ts`.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));
const noted = join(folder, 'node_modules', '.installed-lockfile.json');

/** Installs what the lockfile says unless it is there. A failure is told, and the peers that lack a package say so. */
export function installPackages(): void {
  const lockfile = readFileSync(join(folder, 'package-lock.json'), 'utf8');
  if (readIfThere(noted) === lockfile) return;
  const started = performance.now();
  // No script is run: what is needed of these packages comes built, as packages of their own.
  const args = ['ci', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund', '--loglevel=error'];
  try {
    execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    writeFileSync(noted, lockfile);
    console.log(`packages of other engines installed in ${Math.round((performance.now() - started) / 1000)} s`);
  } catch (thrown) {
    rmSync(noted, { force: true });
    console.log(`packages of other engines were not installed: ${(thrown as Error).message.trim()}`);
  }
}

if (import.meta.main) installPackages();

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
