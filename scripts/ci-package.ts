/**
 * The package as its users get it: packed, unpacked below a `node_modules` where Node strips no types, beside the
 * dependencies that it publishes and no others, and asked for rows of small pages and of large ones, which take a
 * compiled decode thread. `npm run build` must have run.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { projectRoot } from './gates/gate.ts';
import type { Lockfile } from './gates/lockfile.ts';

const lookups: readonly [string, string, string, Readonly<Record<string, unknown>>][] = [
  ['cities', 'id', '100000', { name: 'Bir Jdid' }],
  ['documents', 'synset_id', 'n00001740', { lemmas: 'entity' }],
  ['flights', 'date', '2001-01-01T00:01:00.000000', { distance: 2176, origin: 'LAS' }],
];

const folder = mkdtempSync(join(tmpdir(), 'pointlake-package-'));
try {
  const installed = unpack();
  linkDependencies();
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
  for (const needed of ['LICENSE', 'README.md', 'package.json', 'bin/pointlake.js', 'dist/cli/main.js']) {
    assert.ok(files.includes(needed), `${needed} is not in the package`);
  }
  const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'));
  assert.deepEqual(sources, [], 'the package must hold no TypeScript source');
  for (const lookup of lookups) lookUp(installed, ...lookup);
  console.log(`package: ok, ${files.length} files and folders, ${lookups.length} lookups`);
} finally {
  rmSync(folder, { recursive: true });
}

function unpack(): string {
  const destination = ['--pack-destination', folder];
  execFileSync('npm', ['pack', '--silent', '--ignore-scripts', ...destination], { cwd: projectRoot });
  const [archive = ''] = readdirSync(folder);
  execFileSync('tar', ['-xzf', archive], { cwd: folder });
  mkdirSync(join(folder, 'node_modules'));
  const installed = join(folder, 'node_modules', 'pointlake');
  renameSync(join(folder, 'package'), installed);
  return installed;
}

/** What is not marked as needed for development alone, from this project's own installation. */
function linkDependencies(): void {
  const { packages } = JSON.parse(readFileSync(join(projectRoot, 'package-lock.json'), 'utf8')) as Lockfile;
  for (const [path, entry] of Object.entries(packages)) {
    if (path === '' || entry.dev || entry.optional || path.lastIndexOf('node_modules/') > 0) continue;
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    symlinkSync(join(projectRoot, path), join(folder, path));
  }
}

function lookUp(
  installed: string,
  name: string,
  keyColumn: string,
  key: string,
  expected: Readonly<Record<string, unknown>>,
): void {
  const file = join(projectRoot, 'datasets', 'data', `${name}.parquet`);
  const args = [join(installed, 'bin', 'pointlake.js'), 'lookup', file, '--key', keyColumn, key];
  const row = execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  assert.partialDeepStrictEqual(JSON.parse(row), { status: 'found', row: expected }, name);
  console.log(`${name} ${key}: ${row.trim()}`);
}
