/** `npm run build`: compiles src to dist, from nothing, and checks that every source file came out. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { filesOnDisk, projectRoot, runTool } from './gates/gate.ts';

const dist = join(projectRoot, 'dist');
rmSync(dist, { recursive: true, force: true });
const run = runTool('tsc', ['-p', 'tsconfig.build.json', '--pretty', 'false'], projectRoot);
process.stdout.write(run.stdout);
process.stderr.write(run.stderr);

const sources = filesOnDisk(projectRoot, ['src'], /\.ts$/).map((file) => file.slice('src'.length, -'.ts'.length));
const built = filesOnDisk(dist, ['.'], /\.js$/).map((file) => file.slice('.'.length, -'.js'.length));
const missing = sources.filter((source) => !built.includes(source));
for (const file of missing) process.stderr.write(`build: src${file}.ts was not compiled\n`);
process.exitCode = run.status !== 0 || missing.length > 0 || sources.length === 0 ? 1 : 0;
if (process.exitCode === 0) process.stdout.write(`build: ok, ${built.length} files in dist\n`);
else rmSync(dist, { recursive: true, force: true });
