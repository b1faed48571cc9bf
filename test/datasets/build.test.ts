/** What happens around the making of a file: stamps, second starts, kills, broken stamps. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { build } from '../../datasets/build.ts';
import type { DataSet } from '../../datasets/dataset.ts';
import { type Output, showProgress } from '../../datasets/progress.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pointlake-build-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

class Collected implements Output {
  text = '';
  readonly isTTY: boolean;
  constructor(isTTY = false) {
    this.isTTY = isTTY;
  }
  write(text: string): void {
    this.text += text;
  }
}

function dataSet(version: string, content: string): DataSet {
  return {
    name: 'words',
    version,
    write(path, report) {
      report('writing', 0.5);
      writeFileSync(path, content);
    },
  };
}

function buildInto(set: DataSet, output: Output = new Collected()) {
  return build(set, folder, (name) => showProgress(name, output));
}

test('a file is made once, and again for another version', () => {
  assert.equal(buildInto(dataSet('1', 'one')).made, true);
  assert.equal(buildInto(dataSet('1', 'not written')).made, false);
  assert.equal(readFileSync(join(folder, 'words.parquet'), 'utf8'), 'one');
  assert.deepEqual(buildInto(dataSet('2', 'three')), {
    name: 'words',
    path: join(folder, 'words.parquet'),
    sizeBytes: 5,
    made: true,
  });
});

test('a truncated file and a broken stamp are made again', () => {
  const { path } = buildInto(dataSet('1', 'whole'));
  writeFileSync(path, 'who');
  assert.equal(buildInto(dataSet('1', 'whole')).made, true);
  assert.equal(readFileSync(path, 'utf8'), 'whole');
  writeFileSync(join(folder, '.words.stamp.json'), '{"version":"1","si');
  assert.equal(buildInto(dataSet('1', 'whole')).made, true);
});

test('a recipe that fails leaves the old file and nothing aside', () => {
  buildInto(dataSet('1', 'old'));
  const failing: DataSet = {
    ...dataSet('2', ''),
    write(path) {
      writeFileSync(path, 'half');
      throw new Error('no more input');
    },
  };
  assert.throws(() => buildInto(failing), /no more input/);
  assert.deepEqual(readdirSync(folder).sort(), ['.words.stamp.json', 'words.parquet']);
  assert.equal(readFileSync(join(folder, 'words.parquet'), 'utf8'), 'old');
});

test('what a killed run left aside is removed, what a living one writes is not', () => {
  const dead = spawnSync(process.execPath, ['--version']).pid;
  writeFileSync(join(folder, `.words.${dead}.tmp`), 'half');
  writeFileSync(join(folder, `.words.${process.ppid}.tmp`), 'half');
  buildInto(dataSet('1', 'whole'));
  assert.equal(existsSync(join(folder, `.words.${dead}.tmp`)), false);
  assert.equal(existsSync(join(folder, `.words.${process.ppid}.tmp`)), true);
});

test('progress is a line a step, or one rewritten line on a terminal', () => {
  const plain = new Collected();
  buildInto(dataSet('1', 'x'), plain);
  assert.equal(plain.text, 'words: writing\nwords: made, 0.0 MB\n');
  const terminal = new Collected(true);
  buildInto(dataSet('2', 'x'), terminal);
  assert.equal(terminal.text, '\r\x1b[2Kwords: [############............] writing\r\x1b[2Kwords: made, 0.0 MB\n');
});
