/** Types, by tsc. `--listFiles` names every file of the program, which must include every TypeScript file on disk. */

import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { codeFolders, filesOnDisk, type Gate, nonEmptyLines, projectRoot, runTool, unseen } from './gate.ts';

export const typesGate: Gate = {
  name: 'types',
  run(root) {
    if (!existsSync(join(root, 'tsconfig.json'))) return { looked: 'no tsconfig.json', problems: ['no tsconfig.json'] };
    const expected = filesOnDisk(root, codeFolders, /\.ts$/);
    const run = runTool('tsc', ['-p', root, '--listFiles', '--pretty', 'false'], projectRoot);
    const lines = nonEmptyLines(run.stdout);
    const seen = new Set(lines.map((line) => relative(root, line)));
    const problems = lines.filter((line) => /error TS\d+/.test(line) || line.startsWith('  '));
    if (run.status !== 0 && problems.length === 0) problems.push(`tsc exited ${run.status}: ${run.stderr}`);
    const own = expected.filter((file) => seen.has(file)).length;
    return { looked: `${own} files`, problems: [...problems, ...unseen('tsc', expected, seen)] };
  },
};
