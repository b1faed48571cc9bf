/** The runner of the tests: which Node runs, which files belong to which suite, and that silence fails. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../scripts/gates/gate.ts';
import { testFiles } from '../../scripts/gates/test-files.ts';
import { scratchProject } from './scratch-project.ts';

const runner = join(projectRoot, 'scripts', 'test.ts');

/** `node --test` marks its children, which would then report to it instead of running by themselves. */
const { NODE_TEST_CONTEXT: _, ...environment } = process.env;

function runTests(...args: string[]) {
  return spawnSync(process.execPath, [runner, ...args], { encoding: 'utf8', cwd: projectRoot, env: environment });
}

test('npm run uses the Node that package.json pins, whatever the system has', () => {
  const run = spawnSync('npm', ['exec', '--offline', '-c', 'node --version'], {
    encoding: 'utf8',
    cwd: projectRoot,
    env: environment,
  });
  assert.match(run.stdout, /^v26\./, run.stderr);
  assert.match(process.version, /^v26\./);
});

test('suites on a real S3 server are apart from the rest', (context) => {
  const root = scratchProject(context, {
    'test/a.test.ts': '',
    'test/storage/b.rgw.test.ts': '',
    'test/storage/b.test.ts': '',
    'test/storage/helper.ts': '',
  });
  assert.deepEqual(testFiles(root, 'local'), ['test/a.test.ts', 'test/storage/b.test.ts']);
  assert.deepEqual(testFiles(root, 's3'), ['test/storage/b.rgw.test.ts']);
});

test('a filter that matches no file fails', () => {
  const run = runTests('test/nowhere');
  assert.equal(run.status, 1);
  assert.match(run.stderr, /no test file in suite local matches test\/nowhere/);
});

test('one named file runs, and the closing lines come last', () => {
  const run = runTests('test/datasets/geohash.test.ts');
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /^tests: 1 files of suite local/);
  assert.match(run.stdout, /pass 2\n.*fail 0\n(.*\n){3}.*duration_ms [\d.]+\n$/);
  assert.equal(run.stderr, '');
});

test('a file in which no test runs fails the whole run', () => {
  const run = runTests('test/datasets/geohash.test.ts', '--test-name-pattern=no test has this name');
  assert.equal(run.status, 1);
  assert.match(run.stderr, /test\/datasets\/geohash\.test\.ts ran no test/);
});
