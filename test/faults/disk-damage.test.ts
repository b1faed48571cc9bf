/**
 * The disk tier damaged while it serves, by somebody who knows nothing of its format: bits flipped, files cut, emptied
 * and deleted anywhere in the folder, the folder gone, the disk full. Every answer stays right, and nothing that is there
 * becomes absent.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { randomFrom } from '../parquet/support/property.ts';
import { Asker } from '../support/ask.ts';
import { BrokenStorage } from '../support/broken-storage.ts';
import { IoTrace } from '../support/io-trace.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { askSteady, ROWS, rowOf, steadyBytes } from './steady-table.ts';

const SEED = Number(process.env.FAULT_SEED ?? Date.now() & 0x7fffffff);
const READERS = 4;
const ROUNDS = 4;
const LOOKUPS_A_READER = 250;

interface Run {
  readonly asked: number;
  readonly fromDisk: number;
  readonly gets: number;
  readonly lines: readonly string[];
}

/** One life of a node over the folder: readers ask, and `harm` happens again and again meanwhile. */
async function live(
  context: TestContext,
  source: string,
  path: string,
  random: () => number,
  harm: () => void,
  lookupsAReader = LOOKUPS_A_READER,
): Promise<Run> {
  const trace = new IoTrace();
  const lines: string[] = [];
  const node = nodeOf(context, [{ name: 't', source, key: ['id'] }], {
    cacheMemoryBytes: 2 ** 20,
    disk: { path, sizeBytes: 64 * 2 ** 20 },
    log: (line) => lines.push(line),
    wrapStores: trace.wrap,
  });
  await node.catalog.get('t').refresh();
  const server = await serve(node);
  const asker = new Asker(server.url);
  let asked = 0;
  let fromDisk = 0;
  try {
    const reader = async () => {
      for (let i = 0; i < lookupsAReader; i++) {
        if ((await askSteady(asker, 't', Math.floor(random() ** 2 * ROWS * 2))) === 'disk') fromDisk += 1;
        asked += 1;
        if (asked % 40 === 0) harm();
        if (asked % 400 === 0) await node.catalog.get('t').refresh();
      }
    };
    await Promise.all(Array.from({ length: READERS }, reader));
  } finally {
    asker.close();
    await server.close();
    await node.close();
  }
  return { asked, fromDisk, gets: trace.gets.length, lines };
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function flipBits(path: string, random: () => number): void {
  const { size } = statSync(path);
  const fd = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  for (let i = 0; i < 200; i++) {
    const at = Math.floor(random() * size);
    if (readSync(fd, byte, 0, 1, at) === 0) continue;
    byte[0] = (byte[0] ?? 0) ^ (1 << Math.floor(random() * 8));
    writeSync(fd, byte, 0, 1, at);
  }
  closeSync(fd);
}

function zeroSome(path: string, random: () => number): void {
  const { size } = statSync(path);
  const fd = openSync(path, 'r+');
  const zeros = Buffer.alloc(Math.ceil(size * random() * 0.5));
  writeSync(fd, zeros, 0, zeros.length, Math.floor(random() * Math.max(1, size - zeros.length)));
  closeSync(fd);
}

/** What may befall one file; a file that left meanwhile is nobody's fault. */
const HARMS: readonly ((path: string, random: () => number) => void)[] = [
  flipBits,
  zeroSome,
  (path, random) => truncateSync(path, Math.floor(statSync(path).size * random())),
  (path) => truncateSync(path, 0),
  (path) => rmSync(path),
  (path) => writeFileSync(path, 'somebody else wrote this'),
];

test('files of the folder are flipped, cut, emptied and deleted under load, and between lives', async (context) => {
  const folder = scratchFolder(context);
  const source = join(folder, 't.parquet');
  writeFileSync(source, steadyBytes());
  const random = randomFrom(SEED);
  const path = join(folder, 'cache');
  let harmed = 0;
  const harm = () => {
    const files = filesBelow(path);
    const victim = files[Math.floor(random() * files.length)];
    if (victim === undefined) return;
    HARMS[Math.floor(random() * HARMS.length)]?.(victim, random);
    harmed += 1;
  };
  let asked = 0;
  let fromDisk = 0;
  let gets = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const run = await live(context, source, path, random, harm);
    asked += run.asked;
    fromDisk += run.fromDisk;
    gets += run.gets;
    assert.ok(run.lines.length < 20, `a line a minute, not one a fault: ${run.lines.slice(0, 5).join('\n')}`);
    for (let i = 0; i < 3; i++) harm();
  }
  context.diagnostic(
    `${asked} answers right beside ${harmed} damaged files, ${fromDisk} from disk, ${gets} GETs (FAULT_SEED=${SEED})`,
  );
  assert.ok(harmed > ROUNDS * 10 && gets > 0 && fromDisk > 10);
});

test('a damaged folder and storage that is down: what is there is answered right or 503, and never absent', async (context) => {
  const folder = scratchFolder(context);
  const source = join(folder, 't.parquet');
  writeFileSync(source, steadyBytes());
  const random = randomFrom(SEED);
  const statuses = new Map<number, number>();
  for (let round = 0; round < ROUNDS * 2; round++) {
    const path = join(folder, `cache-${round}`);
    await live(context, source, path, random, () => undefined, 80);
    const files = filesBelow(path);
    // The first is whole, so that something is sure to serve.
    for (let i = 0; i < Math.min(2, round); i++) {
      const victim = files[Math.floor(random() * files.length)] ?? '';
      if (existsSync(victim)) HARMS[(round + i) % HARMS.length]?.(victim, random);
    }
    const storage = new BrokenStorage();
    storage.isDown = true;
    const node = nodeOf(context, [{ name: 't', source, key: ['id'] }], {
      disk: { path, sizeBytes: 64 * 2 ** 20 },
      wrapStores: storage.wrap,
    });
    await node.catalog
      .get('t')
      .refresh()
      .catch(() => undefined);
    const server = await serve(node);
    const asker = new Asker(server.url);
    for (let i = 0; i < 200; i++) {
      const id = Math.floor(random() ** 2 * ROWS) * 2;
      const { status, text } = await asker.ask(`/v1/tables/t/rows/${id}`);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status === 200) assert.equal(text, JSON.stringify(rowOf(id)));
      else assert.equal(status, 503, `round ${round}, ${id}: ${text} (FAULT_SEED=${SEED})`);
    }
    asker.close();
    await server.close();
    await node.close();
  }
  context.diagnostic(`${JSON.stringify([...statuses])} (FAULT_SEED=${SEED})`);
  assert.ok((statuses.get(200) ?? 0) > 20, 'what is whole on disk serves');
});

test('the folder is moved away and deleted under load', async (context) => {
  const folder = scratchFolder(context);
  const source = join(folder, 't.parquet');
  writeFileSync(source, steadyBytes());
  const random = randomFrom(SEED);
  for (const vanish of [
    (path: string) => rmSync(path, { recursive: true, force: true }),
    (path: string) => renameSync(path, `${path}-away`),
  ]) {
    const path = mkdtempSync(join(folder, 'cache-'));
    let gone = false;
    const harm = () => {
      if (!gone) vanish(path);
      gone = true;
    };
    const { asked } = await live(context, source, path, random, harm);
    assert.ok(gone && asked === READERS * LOOKUPS_A_READER);
    await live(context, source, path, random, () => undefined);
  }
});

test('the disk fills up under load, is emptied, and fills up again', async (context) => {
  const mounted = mkdtempSync(join(tmpdir(), 'pointlake-full-'));
  context.after(() => rmdirSync(mounted));
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', mounted], { encoding: 'utf8' });
  if (mount.status !== 0)
    return context.skip(`a small file system cannot be mounted here: ${mount.stderr ?? 'no mount'}`);
  try {
    const folder = scratchFolder(context);
    const source = join(folder, 't.parquet');
    writeFileSync(source, steadyBytes());
    const ballast = join(mounted, 'ballast');
    const harm = () => {
      try {
        if (readdirSync(mounted).includes('ballast')) rmSync(ballast);
        else writeFileSync(ballast, Buffer.alloc(2 ** 20, 1));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      }
    };
    for (let round = 0; round < 2; round++) {
      const { asked } = await live(context, source, join(mounted, 'cache'), randomFrom(SEED + round), harm);
      assert.equal(asked, READERS * LOOKUPS_A_READER);
    }
  } finally {
    spawnSync('umount', ['-l', mounted]);
  }
});
