/** Blocks read by the sector: only what is asked for is read, and a sector that is not the one asked for never counts. */

import assert from 'node:assert/strict';
import { closeSync, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { frameBytesOf, SECTOR_BYTES, SECTOR_PAYLOAD_BYTES } from '../../src/cache/disk-frame.ts';
import { systemDiskIo } from '../../src/cache/disk-io.ts';
import { ReadPace } from '../../src/cache/disk-pace.ts';
import { type BlockIdentity, DiskCache, type DiskIo, fileIdentity } from '../../src/cache/index.ts';
import { systemClock } from '../../src/core/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { scratchFolder } from '../support/scratch.ts';

const FILE = fileIdentity('s3://lake', 'users.parquet', '"1"', 1000);
const BYTES = 33_000;
const SECTORS = frameBytesOf(BYTES) / SECTOR_BYTES;

function identityOf(page: number): BlockIdentity {
  return { file: FILE, rowGroup: 0, column: 0, page, ordinal: 0, shift: 31 };
}

function payloadOf(page: number, bytes = BYTES): Uint8Array {
  const random = randomFrom(page);
  return Uint8Array.from({ length: bytes }, () => random() * 256);
}

function open(path: string, io: DiskIo = systemDiskIo, isWorthMemory: () => boolean = () => true): DiskCache {
  const log = (line: string) => assert.fail(line);
  const cache = DiskCache.open({ path, sizeBytes: 8 * 2 ** 20, clock: systemClock, log, io, isWorthMemory });
  assert.ok(cache !== undefined);
  return cache;
}

async function put(cache: DiskCache, pages: readonly number[], form = 0): Promise<void> {
  for (const page of pages) cache.blocks.offer(identityOf(page), payloadOf(page), true, form);
  await cache.blocks.idle();
}

/** The bytes [start, end) of the page, or undefined where they are not to be had. */
async function part(cache: DiskCache, page: number, start: number, end: number): Promise<Uint8Array | undefined> {
  const parts = cache.blocks.parts(identityOf(page));
  if (parts === undefined) return undefined;
  const isRead = parts.want(start, end) || (await parts.read());
  if (isRead) assert.ok(parts.want(start, end));
  const bytes = isRead ? Uint8Array.from(parts.bytes.subarray(start, end)) : undefined;
  parts.release();
  return bytes;
}

/** Where the only slab has the frame that holds the payload of the page. */
function frameOf(folder: string, page: number): { readonly path: string; readonly at: number } {
  const head = payloadOf(page).subarray(0, 64);
  const bytes = Buffer.alloc(64);
  for (const name of readdirSync(join(folder, 'blocks'))) {
    const path = join(folder, 'blocks', name);
    const fd = openSync(path, 'r');
    let found = -1;
    for (let at = 0; found < 0 && readSync(fd, bytes, 0, 64, at) === 64; at += SECTOR_BYTES) {
      if (bytes.equals(head)) found = at;
    }
    closeSync(fd);
    if (found >= 0) return { path, at: found };
  }
  return assert.fail(`page ${page} is in no slab`);
}

function readAt(path: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, 'r');
  readSync(fd, bytes, 0, length, at);
  closeSync(fd);
  return bytes;
}

function writeAt(path: string, at: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

for (const kind of ['at once', 'in threads'] as const) {
  test(`any bytes of any block, and of the disk only their sectors, ${kind}`, async (context) => {
    const random = randomFrom(FUZZ_SEED);
    let readMs = 0;
    const io: DiskIo = {
      ...systemDiskIo,
      readSync: (fd, buffer, position, length) => {
        for (const until = performance.now() + readMs; performance.now() < until; );
        return systemDiskIo.readSync(fd, buffer, position, length);
      },
    };
    const cache = open(scratchFolder(context), io);
    const lengths = [0, 1, 8, 4079, 4080, 4081, 8160, 33_000, 70_000, 200_000];
    for (const [page, bytes] of lengths.entries()) cache.blocks.offer(identityOf(page), payloadOf(page, bytes), true);
    await cache.blocks.idle();
    if (kind === 'in threads') readMs = 0.5;
    for (let n = 0; n < 600; n++) {
      const page = Math.trunc(random() * lengths.length);
      const length = lengths[page] ?? 0;
      const start = Math.trunc(random() * (length + 1));
      const end = start + Math.trunc(random() ** 3 * (length + 1 - start));
      const before = cache.blocks.state;
      const bytes = await part(cache, page, start, end);
      assert.deepEqual(
        bytes,
        payloadOf(page, length).subarray(start, end),
        `FUZZ_SEED=${FUZZ_SEED}, ${start} to ${end}`,
      );
      const first = Math.trunc(start / SECTOR_PAYLOAD_BYTES);
      const sectors = start === end ? 0 : Math.ceil(end / SECTOR_PAYLOAD_BYTES) - first;
      const { state } = cache.blocks;
      assert.equal(state.sectors - before.sectors, sectors);
      assert.equal(state.reads - before.reads, Math.min(1, sectors), 'neighbours are one read');
    }
    const { aside, reads } = cache.blocks.state;
    // How many go to threads on a busy machine nobody knows.
    if (kind === 'in threads') assert.ok(aside > reads / 2, `${aside} of ${reads}`);
    await cache.close();
  });
}

test('sectors apart are a read each, in one go', async (context) => {
  const cache = open(scratchFolder(context));
  await put(cache, [7], 42);
  const parts = cache.blocks.parts(identityOf(7));
  assert.ok(parts !== undefined);
  assert.equal(parts.form, 42);
  for (const at of [5 * 4080, 0, 4080, 6 * 4080]) assert.equal(parts.want(at, at + 8), false);
  assert.equal(await parts.read(), true);
  for (const at of [5 * 4080, 0, 4080, 6 * 4080]) {
    assert.ok(parts.want(at, at + 4080));
    assert.deepEqual(parts.bytes.slice(at, at + 4080), payloadOf(7).slice(at, at + 4080));
  }
  assert.deepEqual([cache.blocks.state.reads, cache.blocks.state.sectors, cache.blocks.state.hits], [2, 4, 1]);
  assert.equal(await parts.read(), false, 'nothing was wanted');
  assert.throws(() => parts.want(BYTES, BYTES + 1), { kind: 'corrupt' });
  await cache.close();
});

test('a bit flipped in any sector makes that sector missing, and the others not', async (context) => {
  const folder = scratchFolder(context);
  const first = open(folder);
  await put(first, [1, 2, 3]);
  await first.close();
  const { path, at } = frameOf(folder, 2);
  const good = readAt(path, at, SECTORS * SECTOR_BYTES);
  for (let sector = 0; sector < SECTORS; sector++) {
    // In the payload, in the padding of the last sector, in each word of the trailer.
    for (const byte of [0, 1000, 4079, 4080, 4085, 4090, 4095]) {
      const bad = Buffer.from(good);
      bad[sector * SECTOR_BYTES + byte] = (bad[sector * SECTOR_BYTES + byte] ?? 0) ^ 16;
      writeAt(path, at, bad);
      const cache = open(folder);
      const other = ((sector + 1) % SECTORS) * SECTOR_PAYLOAD_BYTES;
      assert.deepEqual(await part(cache, 2, other, other + 8), payloadOf(2).subarray(other, other + 8));
      const start = sector * SECTOR_PAYLOAD_BYTES;
      assert.equal(await part(cache, 2, start, start + 8), undefined, `sector ${sector}, byte ${byte}`);
      assert.equal(cache.blocks.state.invalid, 1);
      assert.equal(cache.blocks.parts(identityOf(2)), undefined, 'it was forgotten');
      assert.ok(await cache.blocks.read(identityOf(3)));
      await cache.close();
    }
  }
});

test('sectors of another block, another place or another write do not pass', async (context) => {
  const folder = scratchFolder(context);
  const first = open(folder);
  await put(first, [1, 2]);
  await first.close();
  const [one, two] = [frameOf(folder, 1), frameOf(folder, 2)];
  const good = readAt(one.path, one.at, SECTORS * SECTOR_BYTES);
  const sectorOf = (frame: typeof one, sector: number) =>
    readAt(frame.path, frame.at + sector * SECTOR_BYTES, SECTOR_BYTES);
  const wrong: (readonly [string, number, Buffer])[] = [
    ['of another block', 0, sectorOf(two, 0)],
    ['of another block, in its place', 3, sectorOf(two, 3)],
    ['of another place', 3, sectorOf(one, 4)],
    ['never written', 3, Buffer.alloc(SECTOR_BYTES)],
    ['half written', 3, Buffer.concat([sectorOf(two, 3).subarray(0, 512), sectorOf(one, 3).subarray(512)])],
  ];
  for (const [what, sector, bytes] of wrong) {
    writeAt(one.path, one.at, good);
    writeAt(one.path, one.at + sector * SECTOR_BYTES, bytes);
    const cache = open(folder);
    const start = sector * SECTOR_PAYLOAD_BYTES;
    assert.equal(await part(cache, 1, start, start + 8), undefined, what);
    assert.equal(await cache.blocks.read(identityOf(1)), undefined, what);
    await cache.close();
  }
  // The same block, written again elsewhere: its sectors are right, but they are of two writes.
  writeAt(one.path, one.at, good);
  const otherFolder = scratchFolder(context);
  const other = open(otherFolder);
  await put(other, [1]);
  await other.close();
  const again = frameOf(otherFolder, 1);
  writeAt(one.path, one.at + 2 * SECTOR_BYTES, sectorOf(again, 2));
  const cache = open(folder);
  assert.ok(await part(cache, 1, 0, 8));
  assert.equal(await cache.blocks.read(identityOf(1)), undefined);
  await cache.close();
});

test('a frame given to another block while it is read gives nothing wrong', async (context: TestContext) => {
  const folder = scratchFolder(context);
  const cache = open(folder);
  await put(cache, [1, 2]);
  const parts = cache.blocks.parts(identityOf(1));
  assert.ok(parts !== undefined && !parts.want(0, 8));
  assert.equal(await parts.read(), true);
  const [one, two] = [frameOf(folder, 1), frameOf(folder, 2)];
  writeAt(one.path, one.at, readAt(two.path, two.at, SECTORS * SECTOR_BYTES));
  assert.ok(!parts.want(20_000, 20_008));
  assert.equal(await parts.read(), false);
  parts.release();
  await cache.close();
});

test('a block is worth memory when it is wanted again', async (context) => {
  const cache = open(scratchFolder(context));
  assert.deepEqual(
    [1, 2, 1, 2, 3].map((page) => cache.blocks.touch(identityOf(page))),
    [false, false, true, true, false],
  );
  await cache.close();
});

test('a block is not worth memory while memory has no use for more', async (context) => {
  let isWorth = false;
  const cache = open(scratchFolder(context), systemDiskIo, () => isWorth);
  const touches = () => [1, 1].map((page) => cache.blocks.touch(identityOf(page)));
  assert.deepEqual(touches(), [false, false]);
  isWorth = true;
  assert.deepEqual(touches(), [true, true]);
  await cache.close();
});

test('who comes when a turn has read enough has the next ones, in order and only as many as they have time for', async () => {
  const pace = new ReadPace();
  assert.equal(pace.turn(), undefined);
  for (let n = 0; n < 5; n++) pace.tookAtOnce(0.2);
  const log: string[] = [];
  const waiting = Array.from({ length: 12 }, async (_, n) => {
    await pace.turn();
    for (let read = 0; read < 2; read++) pace.tookAtOnce(0.1);
    log.push(`lookup ${n}`);
  });
  for (let turn = 0; turn < 4; turn++)
    await new Promise<void>((resolve) => setImmediate(() => resolve(void log.push('turn'))));
  await Promise.all(waiting);
  assert.deepEqual(
    log.filter((line) => line !== 'turn'),
    Array.from({ length: 12 }, (_, n) => `lookup ${n}`),
  );
  const turns = log
    .join(' ')
    .split('turn')
    .map((part) => part.match(/lookup/g)?.length ?? 0);
  assert.ok(Math.max(...turns) <= 6, log.join());
});

test('work that needs no promise waits in the same order, and for nothing where reads go to threads', async () => {
  const pace = new ReadPace();
  const log: string[] = [];
  const read = (name: string) => {
    log.push(name);
    for (let n = 0; n < 3; n++) pace.tookAtOnce(0.2);
  };
  pace.inTurn(() => read('at once'));
  read('the rest of the turn');
  const lookup = pace.turn()?.then(() => read('lookup'));
  pace.inTurn(() => read('second'));
  pace.inTurn(() => read('third'));
  assert.deepEqual(log, ['at once', 'the rest of the turn']);
  assert.equal(pace.waiting, 3);
  await lookup;
  while (log.length < 5) await new Promise<void>((resolve) => setImmediate(resolve));
  assert.deepEqual(log.slice(2), ['lookup', 'second', 'third']);
  for (let n = 0; n < 3; n++) pace.tookAtOnce(3);
  assert.equal(pace.isTurnOver, true);
  pace.inTurn(() => log.push('by a thread'));
  assert.equal(log.at(-1), 'by a thread');
});

test('slow reads send the next ones to threads, ever more of them, and no lookup waits for a turn then', () => {
  const pace = new ReadPace();
  const asideAfterSlow = () => {
    pace.tookAtOnce(3);
    const waitsForTurn = pace.turn() !== undefined;
    let aside = 0;
    while (!pace.mayHoldUp()) aside += 1;
    assert.equal(waitsForTurn, aside === 0);
    return aside;
  };
  assert.deepEqual([asideAfterSlow(), asideAfterSlow(), asideAfterSlow(), asideAfterSlow()], [0, 32, 64, 128]);
  pace.tookAtOnce(0.01);
  assert.equal(asideAfterSlow(), 32);
  for (let n = 0; n < 16; n++) pace.tookAtOnce(0.01);
  assert.equal(asideAfterSlow(), 0, 'one alone means nothing');
});
