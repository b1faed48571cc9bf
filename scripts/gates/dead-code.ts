/** Dead code and unused dependencies, by knip, whose own count of files must cover every source file on disk. */

import { join } from 'node:path';
import { codeFolders, filesOnDisk, type Gate, nonEmptyLines, projectRoot, runTool } from './gate.ts';

export const deadCodeGate: Gate = {
  name: 'dead code',
  run(root) {
    const expected = filesOnDisk(root, codeFolders, /\.(ts|js)$/);
    const reporter = join(projectRoot, 'scripts', 'gates', 'knip-counts.ts');
    const args = ['--directory', root, '--no-progress', '--reporter', 'symbols', '--reporter', reporter];
    const run = runTool('knip', args, root);
    const lines = nonEmptyLines(run.stdout + run.stderr);
    const count = Number(/^knip processed (\d+) files$/m.exec(run.stdout)?.[1] ?? 0);
    const problems = run.status === 0 ? [] : lines.filter((line) => !line.startsWith('knip processed '));
    if (run.status !== 0 && problems.length === 0) problems.push(`knip exited ${run.status}`);
    if (expected.length === 0 || count < expected.length) {
      problems.push(`knip processed ${count} files where ${expected.length} source files lie on disk`);
    }
    return { looked: `${count} files`, problems };
  },
};
