/**
 * `npm run check`: every gate, each with one line that says how much it looked at, and the tests last.
 * Names narrow it: `npm run check -- types dead-code`. All gates run even when one fails; any failure fails the whole.
 */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bannedNamesGate } from './gates/banned-names.ts';
import { deadCodeGate } from './gates/dead-code.ts';
import { type Gate, projectRoot } from './gates/gate.ts';
import { importsGate } from './gates/imports.ts';
import { lintGate } from './gates/lint.ts';
import { typesGate } from './gates/types.ts';

const gates: readonly Gate[] = [lintGate, typesGate, importsGate, bannedNamesGate, deadCodeGate];
const maxProblemsShown = 60;

const wanted = process.argv.slice(2);
const known = [...gates.map(slug), 'tests'];
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`check: no gate named ${unknown.join(', ')}; there are ${known.join(', ')}\n`);
  process.exitCode = 2;
} else {
  const isWanted = (name: string) => wanted.length === 0 || wanted.includes(name);
  const failed = gates.filter((gate) => isWanted(slug(gate)) && !passes(gate)).map(slug);
  if (isWanted('tests') && !testsPass()) failed.push('tests');
  if (failed.length > 0) process.stderr.write(`check: failed: ${failed.join(', ')}\n`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

function slug(gate: Gate): string {
  return gate.name.replaceAll(' ', '-');
}

function passes(gate: Gate): boolean {
  const started = performance.now();
  const { looked, problems } = gate.run(projectRoot);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  for (const problem of problems.slice(0, maxProblemsShown)) console.log(`  ${problem}`);
  if (problems.length > maxProblemsShown) console.log(`  ... and ${problems.length - maxProblemsShown} more lines`);
  console.log(`${gate.name}: ${problems.length === 0 ? 'ok' : 'FAILED'}, ${looked}, ${seconds} s`);
  return problems.length === 0;
}

function testsPass(): boolean {
  const script = fileURLToPath(new URL('./test.ts', import.meta.url));
  return spawnSync(process.execPath, [script], { stdio: 'inherit' }).status === 0;
}
