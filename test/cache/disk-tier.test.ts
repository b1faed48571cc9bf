/** Blocks on disk: the bytes that were stored or nothing, through restarts, damage, full disks and lost folders. */

import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { systemDiskIo } from '../../src/cache/disk-io.ts';
import {
  type BlockIdentity,
  DiskCache,
  type DiskCacheOptions,
  type DiskIo,
  fileIdentity,
} from '../../src/cache/index.ts';
import { systemClock } from '../../src/core/index.ts';
import { scratchFolder } from '../support/scratch.ts';

const FILE = fileIdentity('s3://lake', 'users.parquet', '"1"', 1000);

function identityOf(page: number, more: Partial<BlockIdentity> = {}): BlockIdentity {
  return { file: FILE, rowGroup: 0, column: 0, page, ordinal: 0, shift: 31, ...more };
}

function payloadOf(page: number, bytes = 5000): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => page * 31 + i * 7 + (i >> 8));
}

interface Opened {
  readonly cache: DiskCache;
  readonly lines: string[];
}

function open(path: string, options: Partial<DiskCacheOptions> = {}): Opened {
  const lines: string[] = [];
  const cache = DiskCache.open({
    path,
    sizeBytes: 8 * 2 ** 20,
    clock: systemClock,
    log: (line) => lines.push(line),
    ...options,
  });
  assert.ok(cache !== undefined, lines.join('\n'));
  return { cache, lines };
}

async function put(cache: DiskCache, pages: number, bytes?: number): Promise<void> {
  for (let page = 0; page < pages; page++) cache.blocks.offer(identityOf(page), payloadOf(page, bytes));
  await cache.blocks.idle();
}

/** How many of the pages are there; one that is there is right. */
async function countRight(cache: DiskCache, pages: number, bytes?: number): Promise<number> {
  let there = 0;
  for (let page = 0; page < pages; page++) {
    const stored = await cache.blocks.read(identityOf(page));
    if (stored === undefined) continue;
    assert.ok(stored.byteOffset % 8 === 0);
    assert.equal(Buffer.compare(stored, payloadOf(page, bytes)), 0, `page ${page} is not what was stored`);
    there += 1;
  }
  return there;
}

test('what was stored is read, by this process and by the next', async (context) => {
  const folder = scratchFolder(context);
  const first = open(folder).cache;
  await put(first, 300);
  assert.equal(await countRight(first, 400), 300);
  for (const other of [{ rowGroup: 1 }, { column: 1 }, { ordinal: 1 }, { shift: 3 }]) {
    assert.equal(await first.blocks.read(identityOf(0, other)), undefined);
  }
  const changed = fileIdentity('s3://lake', 'users.parquet', '"2"', 1000);
  assert.equal(await first.blocks.read(identityOf(0, { file: changed })), undefined);
  await first.close();
  const second = open(folder).cache;
  assert.equal(await countRight(second, 400), 300);
  assert.equal(second.blocks.state.hits, 300);
  await second.close();
});

test('a second process has no disk tier and says so; the folder is free again after the first', async (context) => {
  const folder = scratchFolder(context);
  const { cache } = open(folder);
  const lines: string[] = [];
  const options = { path: folder, sizeBytes: 2 ** 23, clock: systemClock, log: (line: string) => lines.push(line) };
  assert.equal(DiskCache.open(options), undefined);
  assert.match(lines.join(), /another process owns/);
  await cache.close();
  await open(folder).cache.close();
});

test('a folder that cannot be made is one line', (context) => {
  const file = join(scratchFolder(context), 'file');
  closeSync(openSync(file, 'w'));
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  assert.equal(DiskCache.open({ path: join(file, 'x'), sizeBytes: 2 ** 23, clock: systemClock, log }), undefined);
  assert.match(lines.join(), /cannot be used, so there is none/);
});

test('damaged bytes make a block missing, never wrong', async (context) => {
  const folder = scratchFolder(context);
  await withSlabs(folder, 40);
  let lost = 0;
  for (const round of Array(12).keys()) {
    const slabs = readdirSync(join(folder, 'blocks')).sort();
    for (const name of slabs) damage(join(folder, 'blocks', name), round);
    const { cache } = open(folder);
    const there = await countRight(cache, 40, 9000);
    lost += 40 - there;
    // What is lost is stored anew.
    await put(cache, 40, 9000);
    assert.equal(await countRight(cache, 40, 9000), 40);
    await cache.close();
  }
  assert.ok(lost > 12, `${lost} blocks were lost, so little was damaged`);
});

async function withSlabs(folder: string, pages: number): Promise<void> {
  const { cache } = open(folder);
  await put(cache, pages, 9000);
  await cache.close();
}

/** Flips bits all over the slab, denser in its header and table; in some rounds cuts it short or empties it. */
function damage(path: string, round: number): void {
  const fd = openSync(path, 'r+');
  const { size } = statSync(path);
  const byte = Buffer.alloc(1);
  const flip = (at: number) => {
    readSync(fd, byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ (1 << (round % 8));
    writeSync(fd, byte, 0, 1, at);
  };
  if (round % 4 === 0) flip(round * 2);
  else if (round % 4 === 1) flip(4096 + round * 3);
  for (let at = 8192 + round * 977; at < size; at += 12_289 * 3) flip(at);
  closeSync(fd);
  if (round === 11) rmSync(path);
}

test('slabs of an older or unknown version and what is no slab are removed, and the tier serves on', async (context) => {
  const folder = scratchFolder(context);
  for (const version of [1, 99]) {
    await withSlabs(folder, 10);
    for (const name of readdirSync(join(folder, 'blocks'))) setVersion(join(folder, 'blocks', name), version);
    closeSync(openSync(join(folder, 'blocks', 'something'), 'w'));
    mkdirSync(join(folder, 'files'), { recursive: true });
    closeSync(openSync(join(folder, 'files', '.7'), 'w'));
    const { cache } = open(folder);
    assert.deepEqual([readdirSync(join(folder, 'blocks')), readdirSync(join(folder, 'files'))], [[], []]);
    assert.equal(await countRight(cache, 10, 9000), 0);
    await put(cache, 10, 9000);
    assert.equal(await countRight(cache, 10, 9000), 10);
    await cache.close();
  }
});

/** As that version would have written it: with a header whose checksum is right. */
function setVersion(path: string, version: number): void {
  const header = Buffer.alloc(24);
  const fd = openSync(path, 'r+');
  readSync(fd, header, 0, header.length, 0);
  assert.equal(header.readUInt32LE(20), crc32(header.subarray(0, 20)));
  header.writeUInt32LE(version, 4);
  header.writeUInt32LE(crc32(header.subarray(0, 20)), 20);
  writeSync(fd, header, 0, header.length, 0);
  closeSync(fd);
}

test('a full disk tier takes only what is wanted twice, and stays within its size', async (context) => {
  const folder = scratchFolder(context);
  const { cache } = open(folder, { sizeBytes: 2 ** 21 });
  await put(cache, 150, 15_000);
  const full = cache.blocks.state;
  assert.ok(full.dropped > 0 && full.blocks < 150, JSON.stringify(full));
  const before = await countRight(cache, 150, 15_000);
  const offerOnce = (page: number) => cache.blocks.offer(identityOf(page), payloadOf(page, 15_000));
  for (let page = 1000; page < 1200; page++) offerOnce(page);
  await cache.blocks.idle();
  assert.equal(await countRight(cache, 150, 15_000), before, 'keys that were wanted once evicted others');
  for (let page = 1000; page < 1020; page++) offerOnce(page);
  cache.blocks.offer(identityOf(5000), payloadOf(5000, 15_000), true);
  await cache.blocks.idle();
  for (let page = 1000; page < 1020; page++) assert.ok(await cache.blocks.read(identityOf(page)), `page ${page}`);
  assert.ok(await cache.blocks.read(identityOf(5000)));
  const bytes = readdirSync(join(folder, 'blocks')).reduce(
    (sum, name) => sum + statSync(join(folder, 'blocks', name)).size,
    0,
  );
  assert.ok(bytes <= 2 ** 21 && cache.blocks.state.bytes === bytes);
  await cache.close();
});

test('writes that fail are counted and logged once; what was stored is still read', async (context) => {
  const folder = scratchFolder(context);
  let left = 400_000;
  const io: DiskIo = {
    ...systemDiskIo,
    write: async (fd, bytes, position) => {
      left -= bytes.length;
      if (left < 0) {
        // A disk that is full takes a part.
        await systemDiskIo.write(fd, bytes.subarray(0, bytes.length >> 1), position);
        throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
      }
      await systemDiskIo.write(fd, bytes, position);
    },
  };
  const { cache, lines } = open(folder, { io });
  await put(cache, 200);
  const { written, faults, dropped } = cache.blocks.state;
  assert.ok(written > 40 && written < 100 && faults >= 1 && dropped > 50, JSON.stringify(cache.blocks.state));
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /ENOSPC/);
  assert.equal(await countRight(cache, 200), written);
  await cache.close();
  const next = open(folder).cache;
  assert.ok((await countRight(next, 200)) <= written);
  await next.close();
});

test('a folder that is deleted while it is used costs nothing but blocks', async (context) => {
  const folder = join(scratchFolder(context), 'cache');
  const { cache, lines } = open(folder);
  await put(cache, 20);
  rmSync(folder, { recursive: true });
  assert.equal(await countRight(cache, 20), 20);
  for (let page = 100; page < 300; page++) cache.blocks.offer(identityOf(page), payloadOf(page, 40_000));
  await cache.blocks.idle();
  await cache.files.write('abc', payloadOf(1));
  assert.ok(cache.blocks.state.faults > 0);
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.equal(await countRight(cache, 20), 20);
  // Another process may take the name; the first one must not write there.
  const other = open(folder);
  await put(other.cache, 5);
  await cache.close();
  assert.equal(await countRight(other.cache, 20), 5);
  await other.cache.close();
});

test('slow reads go to threads and come back right; failing ones are misses', async (context) => {
  const folder = scratchFolder(context);
  const seen = { sync: 0, aside: 0 };
  let mode: 'slow' | 'fail' | 'fast' = 'fast';
  const io: DiskIo = {
    ...systemDiskIo,
    readSync: (fd, buffer, position, length) => {
      seen.sync += 1;
      if (mode === 'fail') throw new Error('EIO: i/o error');
      for (const until = performance.now() + (mode === 'slow' ? 1 : 0); performance.now() < until; );
      return systemDiskIo.readSync(fd, buffer, position, length);
    },
    read: (fd, buffer, position) => {
      seen.aside += 1;
      return systemDiskIo.read(fd, buffer, position);
    },
  };
  const { cache } = open(folder, { io });
  await put(cache, 200);
  mode = 'slow';
  assert.equal(await countRight(cache, 200), 200);
  assert.ok(seen.sync <= 4 && seen.aside >= 196, JSON.stringify(seen));
  mode = 'fail';
  for (let round = 0; round < 3; round++) await countRight(cache, 200);
  const { faults } = cache.blocks.state;
  assert.ok(faults >= 1);
  await cache.close();
});

test('files: whole, missing or nothing, whatever byte is damaged', async (context) => {
  const folder = scratchFolder(context);
  const payload = payloadOf(3, 300);
  const first = open(folder).cache;
  await first.files.write('one', payload);
  await first.files.write('two', payload);
  await first.files.remove('two');
  assert.deepEqual(first.files.names(), ['one']);
  assert.deepEqual(first.files.read('one'), Buffer.from(payload));
  await first.close();
  const path = join(folder, 'files', 'one');
  const good = readFileSync(path);
  for (let at = 0; at < good.length; at++) {
    const { cache } = open(folder);
    const fd = openSync(path, 'r+');
    writeSync(fd, Buffer.from([(good[at] ?? 0) ^ 4]), 0, 1, at);
    assert.equal(cache.files.read('one'), undefined, `byte ${at}`);
    writeSync(fd, good, 0, good.length, 0);
    closeSync(fd);
    await cache.close();
  }
});

test('many writers of files wait for one another', async (context: TestContext) => {
  const { cache } = open(scratchFolder(context));
  await Promise.all(Array.from({ length: 200 }, (_, i) => cache.files.write(`file-${i}`, payloadOf(i, 100))));
  assert.equal(cache.files.names().length, 200);
  for (let i = 0; i < 200; i++) assert.deepEqual(cache.files.read(`file-${i}`), Buffer.from(payloadOf(i, 100)));
  await cache.close();
});
