/**
 * Whole files broken in every way at hand: flips, truncations, bytes lost or moved, numbers and counts that lie in footers
 * and page headers, bombs. Each is opened, scanned and looked up in; the answer is a typed error or rows that are well
 * formed, soon and within a bound of memory. Behind a CRC a flip is always an error.
 *
 * The cases run in a process of their own, which is watched: it may not crash, nor stand still. FUZZ_CASES sets how many
 * (3,000 unless told, 10,000 in a long run), FUZZ_SEED replays a run, FUZZ_FIRST begins at a case.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FUZZ_SEED } from '../parquet/support/property.ts';
import { sampled } from '../support/sampled.ts';
import { scratchFolder } from '../support/scratch.ts';
import { hasCorpus, NO_CORPUS } from './support/corpus.ts';

const CASES = Number(process.env.FUZZ_CASES ?? sampled(3000, 10_000));
const FUZZ = fileURLToPath(new URL('./support/file-fuzz.ts', import.meta.url));
const HEAP_MIB = 512;
/** A case may take 2 s of processor time; a process that shows no new case for so long hangs. */
const STILL_MS_MAX = 60_000;

interface Counts {
  readonly cases: number;
  readonly read: number;
  readonly refused: number;
  readonly found: number;
  readonly rows: number;
  readonly slowestMs: number;
  readonly seeds: number;
  readonly bombs: number;
  readonly grownBytes: number;
  readonly byError: Readonly<Record<string, number>>;
}

test('broken files are refused or read, never more', async (context) => {
  const progress = join(scratchFolder(context), 'case');
  const env = { ...process.env, FUZZ_SEED: String(FUZZ_SEED), FUZZ_CASES: String(CASES), FUZZ_PROGRESS: progress };
  const child = spawn(process.execPath, [`--max-old-space-size=${HEAP_MIB}`, FUZZ], { env });
  const { status, stdout, stderr } = await watched(child, progress);
  const last = caseIn(progress);
  assert.equal(status, 0, `FUZZ_SEED=${FUZZ_SEED} ended at case ${last}: ${stderr.slice(0, 4000)}`);
  const counts = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Counts;
  if (!hasCorpus()) context.diagnostic(`${NO_CORPUS}, and only files of other writers were broken`);
  context.diagnostic(`seed ${FUZZ_SEED}: ${JSON.stringify(counts)}`);
  assert.equal(counts.cases, CASES);
  assert.ok(counts.seeds >= (hasCorpus() ? 50 : 9) && counts.bombs > 40);
  assert.ok(CASES < 1000 || (counts.read > CASES / 10 && counts.refused > CASES / 4 && counts.found > CASES / 2));
});

interface Ended {
  readonly status: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

function watched(child: ChildProcess, progress: string): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk));
  let seen = '';
  const watch = setInterval(() => {
    const now = caseIn(progress);
    if (now === seen) child.kill('SIGKILL');
    seen = now;
  }, STILL_MS_MAX);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      resolve({ status: signal ?? code, stdout, stderr });
    });
  });
}

function caseIn(progress: string): string {
  try {
    return readFileSync(progress, 'utf8').trim();
  } catch {
    return 'none yet';
  }
}
