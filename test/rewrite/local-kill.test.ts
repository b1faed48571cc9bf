/**
 * A local copy whose process ends before each single change that it makes to names on disk, and so between any two: what was
 * there stays, or the new one stands, and the next rewrite finds its way.
 *
 * A process that ends does nothing any more, not even clean up; so does one whose every further change never returns.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openTarget, rewrite } from '../../src/rewrite/index.ts';
import { hyparquetRows } from '../support/nested-oracles.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { SMALL } from './copying.ts';

const ROWS = 60;
const CHANGES = ['link', 'mkdir', 'rename', 'rm', 'unlink', 'writeFile'] as const;

function sourceOf(folder: string, name: string): string {
  const ids = Array.from({ length: ROWS }, (_, i) => (i * 17) % ROWS);
  return writeParquet(join(folder, `${name}.parquet`), [
    { name: 'id', data: ids, type: 'INT32', nullable: false },
    { name: 'name', data: ids.map(() => name), type: 'STRING' },
  ]);
}

/** Which source the copy is of; undefined where there is none. Anything but the whole of one fails. */
async function nameOf(target: string): Promise<string | undefined> {
  if (!existsSync(target)) return undefined;
  const isFolder = !target.endsWith('.parquet');
  const names = isFolder ? readdirSync(target).filter((name) => name.endsWith('.parquet')) : [''];
  if (isFolder) assert.ok(readdirSync(target).includes('_SUCCESS'), 'a folder that can be seen is marked whole');
  const files = names.map((name) => join(target, name));
  const rows = (
    await Promise.all(files.map(async (path) => hyparquetRows(await promises.readFile(path), ['id', 'name'])))
  ).flat();
  const all = new Set(rows.map(({ name }) => String(name)));
  assert.equal(new Set(rows.map(({ id }) => Number(id))).size, ROWS);
  assert.deepEqual([rows.length, all.size], [ROWS, 1]);
  return [...all][0];
}

/** Stops all changes for good at the nth one, which is not made. Returns those that were let through. */
async function frozenAt(nth: number, act: () => Promise<unknown>) {
  const original = { ...promises };
  const seen: string[] = [];
  let isStopped = false;
  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const never = () => {
    isStopped = true;
    stop();
    return new Promise<never>(() => undefined);
  };
  for (const name of CHANGES) {
    const change = original[name] as (...args: readonly unknown[]) => Promise<unknown>;
    Object.assign(promises, {
      [name]: async (...args: readonly unknown[]) => {
        if (seen.length >= nth - 1) return never();
        seen.push(name);
        return change(...args);
      },
    });
  }
  syncBuiltinESMExports();
  try {
    await Promise.race([act(), stopped]);
  } finally {
    for (const name of CHANGES) Object.assign(promises, { [name]: original[name] });
    syncBuiltinESMExports();
  }
  return { seen, isStopped };
}

async function copy(context: TestContext, source: string, to: string, force: boolean): Promise<void> {
  const node = nodeOf(context, [{ name: 'source', source, key: ['id'] }]);
  const snapshot = await node.catalog.get('source').refresh();
  const target = await openTarget(to, source, force);
  await rewrite(node.loader, snapshot, target, {
    ...SMALL,
    uri: source,
    memoryBytes: 1e6,
    rowsPerGroup: 30,
    fileBytes: 1,
    temporaryFolder: mkdtempSync(join(dirname(source), 'runs-')),
  });
}

for (const [what, target, isThere] of [
  ['a new file', 'copy.parquet', false],
  ['a file in place of another', 'copy.parquet', true],
  ['a new folder', 'copy', false],
  ['a folder in place of another', 'copy', true],
] as const) {
  test(`${what}, ended at every step`, async (context) => {
    const folder = scratchFolder(context);
    const [a, b, c] = [sourceOf(folder, 'a'), sourceOf(folder, 'b'), sourceOf(folder, 'c')];
    const states: string[] = [];
    for (let nth = 1; ; nth += 1) {
      const out = join(folder, `${nth}`);
      const to = join(out, target);
      mkdirSync(out);
      if (isThere) await copy(context, a, to, false);
      const { seen, isStopped } = await frozenAt(nth, () => copy(context, b, to, isThere));
      const step = `ended after ${seen.join(' ') || 'nothing'}`;
      const name = await nameOf(to);
      states.push(name ?? 'none');
      if (isThere && name === undefined) {
        // The one window that there is: both are whole beside it.
        const aside = readdirSync(out).map((hidden) => join(out, hidden));
        const both = await Promise.all(aside.map((path) => nameOf(path)));
        assert.deepEqual(both.sort(), ['a', 'b'], step);
      } else assert.ok(name === 'b' || name === (isThere ? 'a' : undefined), `${step}: ${name}`);
      // A rewrite that is not to replace anything leaves what is there, and puts the new one into its place.
      if (isThere) await assert.rejects(copy(context, c, to, false), /exists; /, step);
      if (isThere && name === undefined) assert.equal(await nameOf(to), 'b', step);
      await copy(context, c, to, true);
      assert.equal(await nameOf(to), 'c', step);
      assert.deepEqual(readdirSync(out), [target], step);
      if (!isStopped) {
        assert.equal(name, 'b', 'it came to its end');
        break;
      }
    }
    context.diagnostic(states.join(' '));
    assert.ok(states.includes('b') && states.includes(isThere ? 'a' : 'none'), states.join(' '));
  });
}
