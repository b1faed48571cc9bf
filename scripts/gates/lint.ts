/** Format and lint, by Biome. It reports a number of files, which must cover every source file on disk. */

import { join } from 'node:path';
import { codeFolders, filesOnDisk, type Gate, nonEmptyLines, projectRoot, runTool } from './gate.ts';

export const lintGate: Gate = {
  name: 'format and lint',
  run(root) {
    const expected = filesOnDisk(root, codeFolders, /\.(ts|js|cjs|mjs)$/);
    const config = `--config-path=${join(projectRoot, 'biome.json')}`;
    const args = ['check', config, '--error-on-warnings', '--max-diagnostics=200', '--colors=off'];
    const run = runTool('biome', root === projectRoot ? args : [...args, '--vcs-enabled=false', '.'], root);
    const checked = Number(/Checked (\d+) files?/.exec(run.stdout + run.stderr)?.[1] ?? 0);
    const problems = run.status === 0 ? [] : nonEmptyLines(run.stdout + run.stderr);
    if (expected.length === 0 || checked < expected.length) {
      problems.push(`biome checked ${checked} files where ${expected.length} source files lie on disk`);
    }
    return { looked: `${checked} files`, problems };
  },
};
