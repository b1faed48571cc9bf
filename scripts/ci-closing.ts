/**
 * The end of a run of `.ci/run`, as tests: every step that must run has run and passed, in this run.
 * `.ci/run` stops at the first failure, so what this guards against is a step that somebody takes out or renames.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { nonEmptyLines } from './gates/gate.ts';

const required = [
  'system-packages',
  's3-server',
  'npm-ci',
  'tests',
  'tests-on-s3',
  'gates',
  'build',
  'start',
  'package',
  'bench',
  'peers-packages',
  'peers',
] as const;

const secondsMax = 20 * 60;

const log = process.env.POINTLAKE_CI_STEPS;
const ran = nonEmptyLines(log === undefined ? '' : readFileSync(log, 'utf8')).map((line) => {
  const [name = '', seconds = '', status = ''] = line.split('\t');
  return { name, seconds: Number(seconds), status };
});

for (const name of required) {
  test(`the step ${name} ran and passed`, () => {
    assert.deepEqual(
      ran.filter((step) => step.name === name).map((step) => step.status),
      ['0'],
    );
  });
}

test(`no step is unknown, and all took at most ${secondsMax} s`, () => {
  assert.deepEqual(
    ran.map((step) => step.name),
    [...required],
  );
  const total = ran.reduce((sum, step) => sum + step.seconds, 0);
  assert.ok(total <= secondsMax, `${total} s`);
});
