/** Packs of metadata: what is kept is found again, what is dead leaves, and small packs become one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetadataPacks, type PackFiles } from '../../src/table/metadata-packs.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';

class FilesInMemory implements PackFiles {
  readonly files = new Map<string, Buffer>();
  names = () => [...this.files.keys()];
  read = (name: string) => this.files.get(name);
  write = async (name: string, payload: Uint8Array) => void this.files.set(name, Buffer.from(payload));
  remove = async (name: string) => void this.files.delete(name);
}

const bytesOf = (number: number) => Buffer.alloc(number % 23, `${number}`);
const nameOf = (number: number) => `file-${number}`;

async function keep(packs: MetadataPacks, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) await packs.keep(nameOf(number), bytesOf(number));
}

const alive = (numbers: Iterable<number>) => new Set(Array.from(numbers, nameOf));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test('what was kept is read again by the next process, in few files', async () => {
  const files = new FilesInMemory();
  const packs = new MetadataPacks(files, 'a');
  await keep(packs, 0, 5000);
  await packs.settle(alive(range(0, 5000)));
  assert.equal(files.files.size, 5);
  assert.deepEqual(packs.names(), files.names());
  const again = new MetadataPacks(files, 'a');
  for (const number of range(0, 5000)) assert.deepEqual(again.read(nameOf(number)), bytesOf(number));
  assert.equal(again.read(nameOf(5000)), undefined);
  assert.equal(new MetadataPacks(files, 'b').read(nameOf(1)), undefined, 'of another table');
});

test('few are files of their own', async () => {
  const files = new FilesInMemory();
  const packs = new MetadataPacks(files, 'a');
  await keep(packs, 0, 3);
  await packs.settle(alive(range(0, 3)));
  assert.deepEqual(files.names(), range(0, 3).map(nameOf));
  assert.deepEqual(packs.names(), []);
});

test('a damaged pack is as good as missing, and its neighbours are read', async () => {
  const files = new FilesInMemory();
  const packs = new MetadataPacks(files, 'a');
  await keep(packs, 0, 2048);
  await packs.settle(alive(range(0, 2048)));
  const [first = '', second = ''] = files.names();
  for (const damaged of [Buffer.alloc(0), Buffer.alloc(16, 0xff), files.files.get(first)?.subarray(0, 40)]) {
    files.files.set(first, damaged ?? Buffer.alloc(0));
    const again = new MetadataPacks(files, 'a');
    assert.equal(again.read(nameOf(1)), undefined);
    assert.deepEqual(again.read(nameOf(2000)), bytesOf(2000));
  }
  assert.ok(files.files.has(second));
});

test('as files come and go, what lives stays and what is dead does not pile up', async (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  const random = randomFrom(FUZZ_SEED);
  const files = new FilesInMemory();
  let packs = new MetadataPacks(files, 'a');
  let living: number[] = [];
  let next = 0;
  for (let refresh = 0; refresh < 120; refresh++) {
    const added = range(next, next + Math.floor(random() * 120));
    next += added.length;
    await keep(packs, added[0] ?? 0, (added.at(-1) ?? -1) + 1);
    const keepShare = random() < 0.1 ? 0.3 : 0.95;
    const before = living;
    living = [...before.filter(() => random() < keepShare), ...added];
    const gone = before.filter((number) => !living.includes(number));
    await packs.settle(alive(living));
    for (const number of gone) files.files.delete(nameOf(number));
    if (random() < 0.2) packs = new MetadataPacks(files, 'a');
    assert.deepEqual(new Set(packs.names()), new Set(files.names().filter((name) => name.startsWith('pack-'))));
    const reader = new MetadataPacks(files, 'a');
    for (const number of living) {
      assert.deepEqual(reader.read(nameOf(number)) ?? files.read(nameOf(number)), bytesOf(number), `file ${number}`);
    }
    assert.ok(packs.names().length <= 18 + living.length / 256, `${packs.names().length} packs of ${living.length}`);
  }
  await packs.settle(new Set());
  assert.deepEqual(packs.names(), []);
});
