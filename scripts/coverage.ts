/**
 * `npm run coverage [-- TEST-FILES...]`: the tests under c8. It fails when a source file is missing from the table,
 * since coverage of nothing passes too, and, for a run of all tests, when too few lines of src were run.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { filesOnDisk, projectRoot, unseen } from './gates/gate.ts';

const linesPercentMin = 80;

interface Covered {
  readonly lines: { readonly pct: number; readonly total: number; readonly covered: number };
}

const folder = mkdtempSync(join(tmpdir(), 'pointlake-coverage-'));
const c8 = join(projectRoot, 'node_modules', '.bin', 'c8');
const reports = [
  '--reporter',
  'json-summary',
  '--reporter',
  'text',
  '--reports-dir',
  folder,
  '--temp-directory',
  folder,
];
const scope = ['--all', '--src', 'src', '--include', 'src/**/*.ts'];
const tests = [process.execPath, join(projectRoot, 'scripts', 'test.ts'), ...process.argv.slice(2)];
const run = spawnSync(c8, [...reports, ...scope, ...tests], {
  cwd: projectRoot,
  stdio: ['ignore', 'inherit', 'inherit'],
});
const summary = JSON.parse(readFileSync(join(folder, 'coverage-summary.json'), 'utf8')) as Record<string, Covered>;
rmSync(folder, { recursive: true });

const { total, ...files } = summary;
const seen = new Set(Object.keys(files).map((path) => relative(projectRoot, path)));
const problems = unseen('c8', filesOnDisk(projectRoot, ['src'], /\.ts$/), seen);
const percent = total?.lines.pct ?? 0;
if (process.argv.length === 2 && percent < linesPercentMin) {
  problems.push(`${percent}% of the lines of src were run; expected at least ${linesPercentMin}%`);
}
for (const problem of problems) process.stderr.write(`coverage: ${problem}\n`);
console.log(`coverage: ${seen.size} files, ${percent}% of ${total?.lines.total} lines`);
process.exitCode = problems.length > 0 ? 1 : (run.status ?? 1);
