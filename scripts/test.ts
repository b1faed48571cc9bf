/**
 * Runs the tests: `npm test` all that need nothing but Node, `npm run test:s3` those on a real S3 server.
 * Arguments narrow the files (`npm test -- test/parquet`), and flags go to `node --test`. Of what is random, and of kills,
 * a run takes a part with a seed of its own, which it prints; `--long` takes all (`test/support/sampled.ts`).
 *
 * A run fails, whatever the test runner says, when it found no file or a file ran no test. On success the runner's own
 * closing lines come last.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nonEmptyLines, projectRoot } from './gates/gate.ts';
import type { RanFile } from './gates/ran-tests.ts';
import { testFiles } from './gates/test-files.ts';

const args = process.argv.slice(2);
const suite = args.includes('--s3') ? 's3' : 'local';
const isLong = args.includes('--long') || process.env.POINTLAKE_LONG === '1';
const flags = args.filter((arg) => arg.startsWith('-') && arg !== '--s3' && arg !== '--long');
const wanted = args
  .filter((arg) => !arg.startsWith('-'))
  .map((path) => relative(projectRoot, join(process.cwd(), path)));

const files = testFiles(projectRoot, suite).filter(
  (file) => wanted.length === 0 || wanted.some((path) => file === path || file.startsWith(`${path}/`)),
);
process.exitCode = files.length === 0 ? refuse([`no test file in suite ${suite} matches ${wanted.join(' ')}`]) : run();

function run(): number {
  const extent = isLong ? 'with all that is sampled else' : 'with a sample of what is random (--long: all of it)';
  console.log(`tests: ${files.length} files of suite ${suite}, each of which must run a test, ${extent}`);
  const folder = mkdtempSync(join(tmpdir(), 'pointlake-tests-'));
  const counted = join(folder, 'files.ndjson');
  const reporter = fileURLToPath(new URL('./gates/ran-tests.ts', import.meta.url));
  const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout'];
  const counting = [`--test-reporter=${reporter}`, `--test-reporter-destination=${counted}`];
  // Node would leave a core to itself, which does nothing while the tests run: half of two. One file more runs while
  // others wait for time to pass.
  const concurrency = `--test-concurrency=${availableParallelism() + 1}`;
  const started = spawnSync(process.execPath, ['--test', concurrency, ...reporters, ...counting, ...flags, ...files], {
    cwd: projectRoot,
    env: environment(folder),
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ran = nonEmptyLines(readFileSync(counted, 'utf8')).map((line) => JSON.parse(line) as RanFile);
  rmSync(folder, { recursive: true });
  const seen = new Set(
    ran.filter((file) => file.passed + file.failed + file.skipped > 0).map((file) => relative(projectRoot, file.file)),
  );
  const silent = files.filter((file) => !seen.has(file)).map((file) => `${file} ran no test`);
  return silent.length > 0 ? refuse(silent) : (started.status ?? 1);
}

/** Every process of the tests loads the same sources: the first to do so compiles them for all. */
function environment(folder: string): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE = join(folder, 'compiled'), NODE_V8_COVERAGE: coverage } = process.env;
  const long = isLong ? { POINTLAKE_LONG: '1' } : {};
  // Functions that come compiled are not counted as exactly.
  return { ...process.env, ...long, ...(coverage === undefined ? { NODE_COMPILE_CACHE } : {}) };
}

function refuse(problems: readonly string[]): number {
  for (const problem of problems) process.stderr.write(`tests: ${problem}\n`);
  return 1;
}
