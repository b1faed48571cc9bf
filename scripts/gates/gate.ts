/**
 * What a gate is, and how it proves that it looked.
 *
 * Checkers have been seen to pass on nothing: a module checker that saw no module, a test runner in an empty folder.
 * So a gate answers with a count of what it looked at beside its problems, and the count is held against what lies on
 * disk, found here by a plain walk that shares no code with the checker.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface GateResult {
  /** What was looked at, in words, for the one line that is printed: `31 modules, 118 dependencies`. */
  readonly looked: string;
  /** One line a problem; the gate passes when there is none. */
  readonly problems: readonly string[];
}

export interface Gate {
  readonly name: string;
  /** Looks at the project below `root`. */
  run(root: string): GateResult;
}

export interface ToolRun {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** This project: where the tools and their configuration are, whatever tree they are pointed at. */
export const projectRoot = fileURLToPath(new URL('../../', import.meta.url));

/** Folders with code that people wrote. */
export const codeFolders = ['src', 'test', 'bench', 'datasets', 'scripts', 'bin'] as const;

const skippedFolders = /(^|\/)(node_modules|dist|coverage|\.pointlake|datasets\/data)$/;

/** Files below `root/folder` whose name the pattern accepts, relative to `root` with forward slashes, sorted. */
export function filesOnDisk(root: string, folders: readonly string[], pattern: RegExp): string[] {
  const found: string[] = [];
  const visit = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory() && !skippedFolders.test(path)) visit(path);
      if (entry.isFile() && pattern.test(entry.name)) found.push(path);
    }
  };
  for (const folder of folders) if (existsSync(join(root, folder))) visit(folder);
  return found.sort();
}

/** Runs a tool of `node_modules/.bin` under this very Node. */
export function runTool(tool: string, args: readonly string[], cwd: string): ToolRun {
  const path = join(projectRoot, 'node_modules', '.bin', tool);
  const run = spawnSync(path, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
  });
  if (run.error) throw run.error;
  return { status: run.status ?? 1, stdout: run.stdout, stderr: run.stderr };
}

/** Problems of a gate that saw less than there is: every file that it should have looked at and did not. */
export function unseen(gate: string, expected: readonly string[], seen: ReadonlySet<string>): string[] {
  if (expected.length === 0) return [`${gate} found nothing to look at`];
  return expected.filter((file) => !seen.has(file)).map((file) => `${gate} did not look at ${file}`);
}

export function nonEmptyLines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}
