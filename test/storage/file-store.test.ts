/** Local files: the contract, and what only files do: descriptors, links, special files, permissions. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileError } from '../../src/storage/file-errors.ts';
import { FileStore, isRetryable } from '../../src/storage/index.ts';
import { describeObjectStore, pattern, rejectsWith } from './object-store.contract.ts';

/** The kernel's clock ticks slower than a test writes, so a file written in place is given a time of its own. */
let writes = 0;

async function writeInPlace(path: string, bytes: Uint8Array): Promise<void> {
  writes += 1;
  await writeFile(path, bytes);
  await utimes(path, 1_800_000_000 + writes, 1_800_000_000 + writes);
}

async function renameIntoPlace(path: string, bytes: Uint8Array): Promise<void> {
  writes += 1;
  const aside = `${path}.aside-${writes}`;
  await writeFile(aside, bytes);
  await rename(aside, path);
}

function describeFiles(way: string, write: typeof writeInPlace, halfWritten?: string): void {
  const start = async () => {
    const root = await mkdtemp(join(tmpdir(), 'pointlake-files-'));
    const store = new FileStore();
    const keyOf = (name: string) => `${root}/${name}`;
    return {
      store,
      secondStore: () => new FileStore(),
      keyOf,
      put: async (name: string, bytes: Uint8Array) => {
        await mkdir(dirname(keyOf(name)), { recursive: true });
        await write(keyOf(name), bytes);
      },
      remove: (name: string) => rm(keyOf(name)),
      stop: async () => {
        await store.close();
        assert.equal(store.openDescriptors, 0, 'every descriptor is closed');
        await rm(root, { recursive: true });
      },
    };
  };
  describeObjectStore(`local files, ${way}`, start, halfWritten);
}

describeFiles('renamed into place', renameIntoPlace);
describeFiles('written in place', writeInPlace, 'a file written in place can be seen half written by every reader');

describe('local files', () => {
  let root: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'pointlake-files-'));
  });
  after(() => rm(root, { recursive: true }));

  it('keeps few descriptors, and no more in use and idle together than it may', async () => {
    const store = new FileStore({ maxDescriptors: 4 });
    const paths = Array.from({ length: 20 }, (_, i) => join(root, `fd-${i}`));
    for (const path of paths) await writeFile(path, pattern(1000, 1));
    const metas = await Promise.all(paths.map((path) => store.head(path)));
    const openHere = async () => {
      const own = await readdir('/proc/self/fd');
      return own.length;
    };
    const before = await openHere();
    let most = 0;
    const reads = Array.from({ length: 400 }, async (_, i) => {
      const meta = metas[(i * 7) % metas.length];
      assert.ok(meta);
      const read = await store.getRange(meta, { start: i, end: i + 10 });
      assert.ok(Buffer.from(read).equals(pattern(1000, 1).subarray(i, i + 10)));
      most = Math.max(most, store.openDescriptors);
    });
    await Promise.all(reads);
    assert.ok(most <= 4 && most > 1, `${most} at once`);
    assert.ok((await openHere()) <= before + 4);
    await store.close();
    assert.equal(store.openDescriptors, 0);
    assert.equal(await openHere(), before);
  });

  it('refuses more waiting reads than its queue takes', async () => {
    const store = new FileStore({ maxDescriptors: 1, maxQueued: 2 });
    await writeFile(join(root, 'queue'), pattern(100, 1));
    const meta = await store.head(join(root, 'queue'));
    const outcomes = await Promise.allSettled(
      Array.from({ length: 5 }, () => store.getRange(meta, { start: 0, end: 1 })),
    );
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 2);
    await store.close();
  });

  it('closes while reads are under way and in its queue, and leaves no descriptor', async () => {
    const store = new FileStore({ maxDescriptors: 2 });
    await writeFile(join(root, 'busy'), pattern(1 << 20, 1));
    const meta = await store.head(join(root, 'busy'));
    const reads = Array.from({ length: 10 }, () => store.getRange(meta, { start: 0, end: 1 << 20 }));
    const outcomes = Promise.allSettled(reads);
    await new Promise((next) => setImmediate(next));
    await store.close();
    assert.equal(store.openDescriptors, 0);
    for (const outcome of await outcomes) {
      if (outcome.status === 'fulfilled') assert.equal(outcome.value.length, 1 << 20);
      else assert.match(String(outcome.reason), /closed/);
    }
    assert.equal(store.openDescriptors, 0);
  });

  it('tells a file that was cut short behind its metadata, with the time set back', async () => {
    const store = new FileStore();
    const path = join(root, 'cut');
    await writeFile(path, pattern(100_000, 1));
    const meta = await store.head(path);
    await store.getRange(meta, { start: 0, end: 10 });
    await truncate(path, 500);
    await rejectsWith(store.getRange(meta, { start: 0, end: 1000 }), 'changed', 'changed', path);
    await store.close();
  });

  it('refuses folders, pipes and relative paths in words', async () => {
    const store = new FileStore();
    execFileSync('mkfifo', [join(root, 'pipe')]);
    await rejectsWith(store.head(join(root, 'pipe')), 'notFound', 'object_not_found', 'special file');
    await rejectsWith(store.head(root), 'notFound', 'object_not_found', 'folder');
    await rejectsWith(store.head('relative.parquet'), 'invalid', 'invalid_path', 'absolute');
    await rejectsWith(store.head(`/a\0b`), 'invalid', 'invalid_path');
    await rejectsWith(store.head(`${root}/${'x'.repeat(300)}`), 'notFound', 'object_not_found');
    await rejectsWith(store.head(join(root, 'cut', 'below-a-file')), 'notFound', 'object_not_found');
    const pipe = { key: join(root, 'pipe'), sizeBytes: 10, eTag: '"x"' };
    await rejectsWith(store.getRange(pipe, { start: 0, end: 1 }), 'changed', 'changed');
    await store.close();
  });

  it('says what to do about permissions and limits', async () => {
    const errors = {
      EACCES: ['access_denied', 'permissions', false],
      EPERM: ['access_denied', 'permissions', false],
      EMFILE: ['too_many_open_files', 'ulimit', true],
      ENFILE: ['too_many_open_files', 'ulimit', true],
      ELOOP: ['symbolic_link_loop', 'loop', false],
      EIO: ['unavailable', 'cannot be read', false],
    } as const;
    for (const [errno, [code, says, retryable]] of Object.entries(errors)) {
      const error = fileError(Object.assign(new Error(errno), { code: errno }), '/data/x');
      assert.equal(error.kind, 'unavailable');
      assert.equal(error.code, code);
      assert.ok(error.message.includes('/data/x') && error.message.includes(says), error.message);
      assert.equal(isRetryable(error), retryable, errno);
    }
  });

  const asRoot = process.getuid?.() === 0 && 'root may read everything';
  it('meets a file it may not read', { skip: asRoot }, async () => {
    const store = new FileStore();
    const path = join(root, 'secret');
    await writeFile(path, pattern(10, 1));
    await chmod(path, 0);
    const meta = await store.head(path);
    await rejectsWith(store.getRange(meta, { start: 0, end: 1 }), 'unavailable', 'access_denied', path);
    await store.close();
  });

  describe('links', () => {
    const list = async (prefix: string) =>
      (await Array.fromAsync(new FileStore().list(prefix))).map(({ key }) => key.slice(root.length));

    it('are followed to files and folders, not in circles, and not to nowhere', async () => {
      await mkdir(join(root, 'links/real/inner'), { recursive: true });
      await writeFile(join(root, 'links/real/inner/file'), 'x');
      await symlink('real', join(root, 'links/to-folder'));
      await symlink('real/inner/file', join(root, 'links/to-file'));
      await symlink('..', join(root, 'links/real/inner/circle'));
      await symlink('self', join(root, 'links/self'));
      await symlink('nowhere', join(root, 'links/dangling'));
      const files = ['/links/real/inner/file', '/links/to-file', '/links/to-folder/inner/file'];
      assert.deepEqual(await list(`${root}/links/`), files);
      assert.deepEqual(await list(`${root}/links/to-folder/`), files.slice(2));
      await rejectsWith(new FileStore().head(join(root, 'links/self')), 'unavailable', 'symbolic_link_loop');
    });

    it('can be replaced to switch a version', async () => {
      const store = new FileStore();
      await writeFile(join(root, 'v1'), pattern(100, 1));
      await writeFile(join(root, 'v2'), pattern(100, 2));
      const current = join(root, 'current');
      await symlink('v1', current);
      const first = await store.head(current);
      await store.getRange(first, { start: 0, end: 10 });
      await symlink('v2', `${current}.new`);
      await rename(`${current}.new`, current);
      await rejectsWith(store.getRange(first, { start: 0, end: 10 }), 'changed', 'changed');
      const read = await store.getRange(await store.head(current), { start: 0, end: 100 });
      assert.ok(Buffer.from(read).equals(pattern(100, 2)));
      await store.close();
    });

    it('may not make a listing endless', async () => {
      const deep = join(root, 'deep');
      const parts = Array.from({ length: 140 }, () => 'd').join('/');
      await mkdir(join(deep, parts), { recursive: true });
      await writeFile(join(deep, parts, 'file'), 'x');
      await rejectsWith(list(`${deep}/`), 'tooLarge', 'too_many_folders', 'deep');
    });
  });

  it('does not leave out in silence what it cannot name', async () => {
    await mkdir(join(root, 'names'));
    await writeFile(Buffer.concat([Buffer.from(`${root}/names/`), Buffer.from([0x66, 0xff, 0xfe])]), 'x');
    await rejectsWith(Array.fromAsync(new FileStore().list(`${root}/names/`)), 'unsupported', 'unsupported', 'UTF-8');
  });
});
