/**
 * Checks of a file's version that reads share: none passes by a check that began before its bytes were in hand. And reads into
 * memory that is there already.
 */

import assert from 'node:assert/strict';
import { closeSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ServiceError } from '../../src/core/index.ts';
import { FileStore } from '../../src/storage/file-store.ts';
import type { ObjectMeta } from '../../src/storage/object-store.ts';
import { VersionChecks } from '../../src/storage/version-checks.ts';
import { scratchFolder } from '../support/scratch.ts';

const isChanged = (error: unknown) => error instanceof ServiceError && error.kind === 'changed';

async function opened(context: TestContext) {
  const path = join(scratchFolder(context), 'f');
  writeFileSync(path, Buffer.alloc(10_000, 1));
  const store = new FileStore();
  const object: ObjectMeta = await store.head(path);
  const descriptor = openSync(path, 'r');
  context.after(async () => {
    closeSync(descriptor);
    await store.close();
  });
  return { path, store, object, file: { descriptor, eTag: object.eTag } };
}

/** What a check asks of the system is asked by then. */
const begun = () => new Promise<void>((resolve) => setImmediate(resolve));

test('reads that end in one turn share a check, those that end while it runs the next', async (context) => {
  const { file, object } = await opened(context);
  const checks = new VersionChecks();
  const first = checks.check(file, object);
  assert.equal(checks.check(file, object), first);
  await Promise.resolve();
  await Promise.resolve();
  const second = checks.check(file, object);
  assert.notEqual(second, first);
  assert.equal(checks.check(file, object), second);
  await Promise.all([first, second]);
  await checks.check(file, object);
});

test('what is written after a check began is seen by the next', async (context) => {
  for (const change of ['written', 'replaced'] as const) {
    const { path, file, object } = await opened(context);
    const checks = new VersionChecks();
    const first = checks.check(file, object).catch((error) => error);
    await begun();
    if (change === 'written') writeFileSync(path, 'other');
    else {
      writeFileSync(`${path}.new`, Buffer.alloc(10_000, 1));
      renameSync(`${path}.new`, path);
    }
    await assert.rejects(checks.check(file, object), isChanged, change);
    const found: unknown = await first;
    assert.ok(found === undefined || isChanged(found));
    await assert.rejects(checks.check(file, object), isChanged, 'and by those after it');
  }
});

test('of many reads at once each has its bytes, and none has any of a file that was replaced', async (context) => {
  const { path, store, object } = await opened(context);
  const reads = () =>
    Promise.allSettled(
      Array.from({ length: 100 }, (_, i) => store.getRange(object, { start: 97 * i, end: 97 * i + 50 })),
    );
  for (const read of await reads()) {
    assert.ok(read.status === 'fulfilled' && Buffer.alloc(50, 1).equals(read.value));
  }
  writeFileSync(`${path}.new`, Buffer.alloc(10_000, 2));
  renameSync(`${path}.new`, path);
  for (const read of await reads()) assert.ok(read.status === 'rejected' && isChanged(read.reason));
});

test('a read into memory of the caller gives that back, with the bytes, and refuses memory of another length', async (context) => {
  const { path, store } = await opened(context);
  writeFileSync(
    path,
    Uint8Array.from({ length: 10_000 }, (_, i) => i),
  );
  const object = await store.head(path);
  const memory = new Uint8Array(new SharedArrayBuffer(1000));
  const into = memory.subarray(100, 600);
  assert.equal(await store.getRange(object, { start: 5000, end: 5500 }, { into }), into);
  assert.ok(into.every((byte, i) => byte === ((5000 + i) & 0xff)));
  assert.ok(memory.subarray(0, 100).every((byte) => byte === 0) && memory.subarray(600).every((byte) => byte === 0));
  await assert.rejects(store.getRange(object, { start: 0, end: 499 }, { into }), /memory for a range is as long as it/);
});
