/** A copy on a local disk appears whole or not at all: kills at any moment, full disks, changing sources, others who write. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openTarget, rewrite } from '../../src/rewrite/index.ts';
import { randomFrom } from '../parquet/support/property.ts';
import { duckdbRows } from '../support/nested-oracles.ts';
import { nodeOf } from '../support/one-node.ts';
import { sampled } from '../support/sampled.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { rewritten, SMALL } from './copying.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
/** A process that once was and is no more. */
const DEAD_PID = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));

function sourceOf(folder: string, name: string, rows = 5000): string {
  const ids = Array.from({ length: rows }, (_, i) => (i * 2741) % rows);
  return writeParquet(join(folder, `${name}.parquet`), [
    { name: 'id', data: ids, type: 'INT32', nullable: false },
    { name: 'name', data: ids.map((id) => `${name} ${id}`), type: 'STRING' },
  ]);
}

async function contentOf(target: string): Promise<unknown> {
  const [row] = await duckdbRows(
    `select count(*)::INT as rows, count(distinct id)::INT as ids, min(name[1]) as least, max(name[1]) as most from '${target}'`,
  );
  return row;
}

const whole = (name: string, rows = 5000) => ({ rows, ids: rows, least: name, most: name });

function run(args: readonly string[], wrap: readonly string[] = []): ChildProcess {
  const [program = process.execPath, ...rest] = [...wrap, process.execPath, MAIN, 'rewrite', ...args];
  return spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function ended(child: ChildProcess): Promise<{ readonly code: number | null; readonly text: string }> {
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (bytes: Buffer) => {
      text += bytes;
    });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, text };
}

test('killed at any moment, what was there stays or the new stands, of a file and of a folder', async (context) => {
  const folder = scratchFolder(context);
  const [a, b] = [sourceOf(folder, 'a', 40_000), sourceOf(folder, 'b', 40_000)];
  const seed = Number(process.env.FUZZ_SEED ?? Date.now() & 0xffff);
  const random = randomFrom(seed);
  for (const target of [join(folder, 'copy.parquet'), join(folder, 'copy/')]) {
    const glob = target.endsWith('/') ? `${target}*.parquet` : target;
    assert.equal((await ended(run([a, target, '--key', 'id', '--quiet']))).code, 0);
    const started = performance.now();
    assert.equal((await ended(run([b, target, '--key', 'id', '--quiet', '--force']))).code, 0);
    const wholeMs = performance.now() - started;
    let [now, next] = ['b', 'a'];
    let killed = 0;
    for (let round = 0; round < sampled(3, 8); round += 1) {
      const child = run([next === 'a' ? a : b, target, '--key', 'id', '--quiet', '--force', '--file-size', '100KB']);
      const end = ended(child);
      // The last moments are those in which names change.
      await sleep(wholeMs * (0.5 + 0.6 * random()));
      if (child.kill('SIGKILL')) killed += 1;
      await end;
      const found = (await contentOf(glob)) as { readonly least: string };
      assert.deepEqual(found, whole(found.least, 40_000), `round ${round}, FUZZ_SEED=${seed}`);
      if (found.least !== now) [now, next] = [next, now];
    }
    context.diagnostic(`${target}: ${killed} kills`);
    assert.equal((await ended(run([next === 'a' ? a : b, target, '--key', 'id', '--force']))).code, 0);
    assert.deepEqual(await contentOf(glob), whole(next, 40_000));
  }
});

test('killed between its two renames, the next rewrite ends what was begun', async (context) => {
  const folder = scratchFolder(context);
  const [a, b, c] = [sourceOf(folder, 'a'), sourceOf(folder, 'b'), sourceOf(folder, 'c')];
  const target = join(folder, 'out', 'copy');
  const aside = join(folder, 'out', `.copy.rewriting-${DEAD_PID}`);
  mkdirSync(join(folder, 'out'));
  await rewritten(context, a, ['id'], target);
  await rewritten(context, b, ['id'], aside);
  // As it is between the renames: the old one has gone, the new one has not come.
  renameSync(target, `${aside}.replaced`);
  await assert.rejects(rewritten(context, c, ['id'], target), /exists; .*--force/);
  assert.deepEqual(await contentOf(`${target}/*.parquet`), whole('b'), 'the new one stands');
  assert.deepEqual(readdirSync(join(folder, 'out')), ['copy']);
  // As it is after them: the old one is not removed yet.
  cpSync(target, `${aside}.replaced`, { recursive: true });
  await rewritten(context, c, ['id'], target, { force: true });
  assert.deepEqual(await contentOf(`${target}/*.parquet`), whole('c'));
  assert.deepEqual(readdirSync(join(folder, 'out')), ['copy']);
  // What somebody put into the old one at the last moment is not removed.
  mkdirSync(`${aside}.replaced`);
  writeFileSync(join(`${aside}.replaced`, 'note.txt'), 'theirs');
  await assert.rejects(rewritten(context, a, ['id'], target, { force: true }), /note\.txt .* is kept in .*\.replaced/);
  assert.deepEqual(await contentOf(`${target}/*.parquet`), whole('c'));
  assert.equal(readFileSync(join(`${aside}.replaced`, 'note.txt'), 'utf8'), 'theirs');
  rmSync(`${aside}.replaced`, { recursive: true });
  // Of a process that lives, nothing is touched.
  const alive = join(folder, 'out', `.copy.rewriting-${process.ppid}.replaced`);
  mkdirSync(alive);
  await assert.rejects(rewritten(context, a, ['id'], target, { force: true }), /being replaced by another rewrite/);
  assert.deepEqual(await contentOf(`${target}/*.parquet`), whole('c'));
  assert.ok(existsSync(alive));
});

test('what somebody else makes meanwhile is not overwritten', async (context) => {
  const folder = scratchFolder(context);
  const source = sourceOf(folder, 'a');
  const out = join(folder, 'out');
  mkdirSync(out);
  for (const path of [join(out, 'copy.parquet'), join(out, 'copy')]) {
    const node = nodeOf(context, [{ name: 'source', source, key: ['id'] }]);
    const snapshot = await node.catalog.get('source').refresh();
    const target = await openTarget(path, source, false);
    const endFile = target.endFile.bind(target);
    const theirs = target.isOneFile ? path : join(path, 'theirs.txt');
    target.endFile = async () => {
      if (!target.isOneFile) mkdirSync(path, { recursive: true });
      writeFileSync(theirs, 'theirs');
      await endFile();
    };
    const options = { ...SMALL, uri: source, temporaryFolder: folder };
    await assert.rejects(rewrite(node.loader, snapshot, target, options), { kind: 'invalid' });
    assert.equal(readFileSync(theirs, 'utf8'), 'theirs');
  }
  assert.deepEqual(readdirSync(out).sort(), ['copy', 'copy.parquet']);
  assert.deepEqual(readdirSync(folder).sort(), ['a.parquet', 'out'], 'no runs are left');
});

test('a source that changes while it is read is refused, and nothing is written', async (context) => {
  const folder = scratchFolder(context);
  const source = sourceOf(folder, 'a', 100_000);
  const node = nodeOf(context, [{ name: 'source', source, key: ['id'] }]);
  const snapshot = await node.catalog.get('source').refresh();
  const target = await openTarget(join(folder, 'copy.parquet'), source, false);
  renameSync(sourceOf(folder, 'b', 100_000), source);
  const options = { ...SMALL, uri: source, temporaryFolder: folder };
  await assert.rejects(rewrite(node.loader, snapshot, target, options), { kind: 'changed' });
  assert.deepEqual(readdirSync(folder), ['a.parquet']);
});

test('a full disk is said to be one, whichever of the two it is, and nothing is left', async (context) => {
  const folder = scratchFolder(context);
  const source = sourceOf(folder, 'a', 400_000);
  mkdirSync(join(folder, 'runs'));
  const limited = async (kilobytes: number, ...more: readonly string[]) => {
    // A bound on the size of files stands for a disk that is full: no write goes beyond it.
    const wrap = ['bash', '-c', `ulimit -f ${kilobytes}; exec "$@"`, 'bash'];
    const args = [
      source,
      join(folder, 'copy.parquet'),
      '--key',
      'name',
      '--quiet',
      '--temporary',
      join(folder, 'runs'),
    ];
    return ended(run([...args, ...more], wrap));
  };
  const target = await limited(200);
  assert.notEqual(target.code, 0);
  assert.match(target.text, /no room for the target in .*make room there/);
  const runs = await limited(200, '--memory', '64MB');
  assert.match(runs.text, /no room for what is sorted in .*name another by --temporary/);
  assert.deepEqual(readdirSync(folder).sort(), ['a.parquet', 'runs']);
  assert.deepEqual(readdirSync(join(folder, 'runs')), []);
});

test('the plan is told and nothing is written; progress goes to stderr', async (context) => {
  const folder = scratchFolder(context);
  const source = sourceOf(folder, 'a');
  const target = join(folder, 'copy');
  const dry = await ended(run([source, target, '--key', 'id', '--bloom', 'name', '--dry-run']));
  assert.equal(dry.code, 0);
  assert.match(dry.text, /5000 rows of 2 columns would be written, from 1 files/);
  assert.match(dry.text, /sorted by id/);
  assert.match(dry.text, /bloom filters: name, which let 0.01/);
  assert.match(dry.text, /nothing was written/);
  assert.deepEqual(readdirSync(folder), ['a.parquet']);
  const wrong = await ended(run([source, target, '--key', 'id', '--bloom', 'nothing', '--dry-run']));
  assert.equal(wrong.code, 2);
  assert.match(wrong.text, /nothing is no flat column .*name another column/);
  const nowhere = await ended(run([source, target, '--key', 'id', '--temporary', join(folder, 'nowhere')]));
  assert.match(nowhere.text, /temporary folder .*nowhere.*name another by --temporary/);
  const child = run([source, target, '--key', 'id']);
  let stderr = '';
  child.stderr?.on('data', (bytes: Buffer) => {
    stderr += bytes;
  });
  assert.equal((await ended(child)).code, 0);
  assert.match(stderr, /5000 rows are written/);
  const again = await ended(run([source, target, '--key', 'id', '--force', '--dry-run']));
  assert.match(again.text, /in place of 1 files/);
  rmSync(target, { recursive: true });
});
