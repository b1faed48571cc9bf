/** What bin/pointlake.js starts: compiled code, or sources where nothing newer is compiled; or nothing on an old Node. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../../bin/', import.meta.url));

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pointlake-bin-'));
  put('package.json', '{"type":"module"}', 0);
  mkdirSync(join(root, 'bin'));
  for (const file of ['pointlake.js', 'memory-settings.js']) copyFileSync(join(bin, file), join(root, 'bin', file));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function put(path: string, content: string, changedSeconds: number): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
  utimesSync(join(root, path), changedSeconds, changedSeconds);
}

function start(...flags: string[]) {
  return spawnSync(process.execPath, [...flags, join(root, 'bin/pointlake.js')], { encoding: 'utf8' });
}

const source = "const from: string = 'source';\nconsole.log(from);\n";
const compiled = "console.log('compiled');\n";

test('the installed package has compiled code only', () => {
  put('dist/cli/main.js', compiled, 100);
  assert.equal(start().stdout, 'compiled\n');
});

test('a checkout without a build runs its sources', () => {
  put('src/cli/main.ts', source, 100);
  assert.equal(start().stdout, 'source\n');
});

test('a build that is newer than every source runs', () => {
  put('src/cli/main.ts', source, 100);
  put('src/core/index.ts', '', 100);
  put('dist/cli/main.js', compiled, 200);
  assert.equal(start().stdout, 'compiled\n');
});

test('a build that is older than any source is passed over', () => {
  put('src/cli/main.ts', source, 100);
  put('src/core/index.ts', '', 300);
  put('dist/cli/main.js', compiled, 200);
  assert.equal(start().stdout, 'source\n');
});

for (const version of ['20.20.2', '22.17.1', '6.0.0']) {
  test(`Node ${version} is told in one line that it is too old`, () => {
    put('dist/cli/main.js', compiled, 100);
    const versions = `Object.defineProperty(process, 'versions', { value: { node: '${version}' } })`;
    const run = start('--import', `data:text/javascript,${encodeURIComponent(versions)}`);
    assert.equal(run.status, 1);
    assert.equal(run.stdout, '');
    assert.match(run.stderr, new RegExp(`^pointlake needs Node 22\\.18 or newer and this is Node ${version}; .*\\n$`));
  });
}

test('Node 22.18 is new enough', () => {
  put('dist/cli/main.js', compiled, 100);
  const versions = `Object.defineProperty(process, 'versions', { value: { node: '22.18.0' } })`;
  assert.equal(start('--import', `data:text/javascript,${encodeURIComponent(versions)}`).stdout, 'compiled\n');
});

test('a server takes its memory as the settings say, once, and leaves what an operator has set', () => {
  put(
    'dist/cli/main.js',
    "console.log(process.pid, process.execArgv.join(' '), process.env.MALLOC_ARENA_MAX, process.env.GLIBC_TUNABLES);\n",
    100,
  );
  const serve = (env: Record<string, string>, ...flags: string[]) =>
    spawnSync(process.execPath, [...flags, join(root, 'bin/pointlake.js'), 'serve'], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ...env },
    });
  const pool = `--v8-pool-size=${Math.max(1, Math.min(4, availableParallelism()))}`;
  const plain = serve({});
  assert.equal(
    plain.stdout,
    `${plain.pid} --max-semi-space-size=16 --initial-old-space-size=64 --heap-growing-percent=50 --no-allocation-site-pretenuring ${pool} 2 glibc.malloc.hugetlb=1\n`,
  );
  const set = serve(
    { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=0' },
    '--max_semi_space_size=8',
    '--allocation-site-pretenuring',
  );
  assert.equal(
    set.stdout,
    `${set.pid} --initial-old-space-size=64 --heap-growing-percent=50 ${pool} --max_semi_space_size=8 --allocation-site-pretenuring 2 glibc.malloc.hugetlb=0\n`,
  );
});
