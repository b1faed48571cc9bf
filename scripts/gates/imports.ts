/**
 * Which way imports run, by dependency-cruiser: the rules stand in `.dependency-cruiser.cjs`.
 *
 * Under a TypeScript whose API it does not know the cruiser sees no module and passes. So every file on disk must be
 * among its modules, and every file that says `from './...'` must have a dependency there.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeFolders, filesOnDisk, type Gate, projectRoot, runTool, unseen } from './gate.ts';

interface CruisedModule {
  readonly source: string;
  readonly dependencies: readonly { readonly resolved: string }[];
}

interface CruiseResult {
  readonly modules: readonly CruisedModule[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
      readonly comment?: string;
    }[];
    readonly totalDependenciesCruised: number;
  };
}

export const importsGate: Gate = {
  name: 'import directions',
  run(root) {
    const expected = filesOnDisk(root, codeFolders, /\.ts$/);
    if (expected.length === 0)
      return { looked: 'no modules', problems: ['dependency-cruiser found nothing to look at'] };
    const folders = [...new Set(expected.map((file) => file.slice(0, file.indexOf('/'))))];
    const config = join(projectRoot, '.dependency-cruiser.cjs');
    const run = runTool('depcruise', ['--config', config, '--output-type', 'json', ...folders], root);
    if (!run.stdout.startsWith('{')) {
      return {
        looked: 'no modules',
        problems: [`dependency-cruiser exited ${run.status}: ${run.stderr}${run.stdout}`],
      };
    }
    const result = JSON.parse(run.stdout) as CruiseResult;
    const own = result.modules.filter((module) => expected.includes(module.source));
    const seen = new Set(own.map((module) => module.source));
    return {
      looked: `${own.length} modules, ${result.summary.totalDependenciesCruised} dependencies`,
      problems: [
        ...result.summary.violations.map((found) => `${found.rule.name}: ${found.from} -> ${found.to}`),
        ...unseen('dependency-cruiser', expected, seen),
        ...blindModules(root, own),
      ],
    };
  },
};

/** Modules that import a neighbour by name where the cruiser saw no dependency at all. */
function blindModules(root: string, modules: readonly CruisedModule[]): string[] {
  return modules
    .filter((module) => module.dependencies.length === 0)
    .filter((module) =>
      /^(import|export)\b[^;'"]*\bfrom '\.{1,2}\//m.test(readFileSync(join(root, module.source), 'utf8')),
    )
    .map((module) => `dependency-cruiser saw no import of ${module.source}, which has some`);
}
