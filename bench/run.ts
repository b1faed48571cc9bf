/** `npm run bench -- NAME... [FLAGS]`: runs each named bench of this folder in turn, with all that follows the names. */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const args = process.argv.slice(2);
const firstFlag = args.findIndex((arg) => arg.startsWith('-'));
const names = firstFlag < 0 ? args : args.slice(0, firstFlag);
const flags = args.slice(names.length);
const pathOf = (name: string) => fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
const known = readdirSync(new URL('.', import.meta.url))
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => file.slice(0, -'.ts'.length));
const unknown = names.filter((name) => name === 'run' || !existsSync(pathOf(name)));

if (names.length === 0 || unknown.length > 0) {
  const wrong = unknown.length > 0 ? `no bench named ${unknown.join(', ')}` : 'name a bench';
  process.stderr.write(`bench: ${wrong}; there are: ${known.join(', ') || 'none yet'}\n`);
  process.exitCode = 2;
} else {
  process.exitCode = Math.max(...names.map(runBench));
}

function runBench(name: string): number {
  console.log(`## ${name}`);
  return spawnSync(process.execPath, [pathOf(name), ...flags], { stdio: ['ignore', 'inherit', 'inherit'] }).status ?? 1;
}
