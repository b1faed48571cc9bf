/** The slabs against a plain Map: what is found is what was put there, whatever was evicted, moved or reopened. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { framesOf } from '../../src/cache/disk-slab.ts';
import { DiskSlabs } from '../../src/cache/disk-slabs.ts';
import { scratchFolder } from '../support/scratch.ts';

const SIZE_BYTES = 2 * 2 ** 20;
const LENGTHS = [1, 4096, 4097, 9000, 20_000, 33_000, 60_000, 130_000, 240_000];

type Step =
  | { readonly kind: 'put'; readonly key: number; readonly length: number }
  | { readonly kind: 'get' | 'forget' | 'fail'; readonly key: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), key: fc.nat(400), length: fc.nat(8) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('get' as const), key: fc.nat(400) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('forget' as const, 'fail' as const), key: fc.nat(400) }) },
);

/** Few different low words, so that blocks collide in the index. */
const lowOf = (key: number) => (key * 7) % 64;

test('random steps agree with a Map of what may be there', (context) => {
  let moves = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 400 }), (steps) => {
      const slabs = new DiskSlabs(scratchFolder(context), SIZE_BYTES, []);
      /** By key the frame that holds it; a block may be evicted, but a frame holds one block and a key one frame. */
      const model = new Map<number, number>();
      for (const current of steps) {
        apply(slabs, model, current);
        moves += check(slabs, model);
      }
      slabs.close();
    }),
    { numRuns: 25 },
  );
  assert.ok(moves > 1000, `only ${moves} checks found a block`);
});

function apply(slabs: DiskSlabs, model: Map<number, number>, current: Step): void {
  const { key } = current;
  const low = lowOf(key);
  const found = slabs.find(key, low);
  if (found >= 0) assert.equal(found, model.get(key), `key ${key} is found where it was never put`);
  if (current.kind === 'get') {
    if (found >= 0) slabs.visit(found);
    return;
  }
  if (current.kind === 'forget') {
    if (found >= 0) slabs.forget(found);
    assert.equal(slabs.find(key, low), -1);
    return;
  }
  const length = current.kind === 'put' ? (LENGTHS[current.length] ?? 1) : 5000;
  const location = slabs.reserve(length);
  assert.ok(location >= 0, `no frame for ${length} bytes`);
  if (current.kind === 'fail') {
    slabs.release(location);
    return;
  }
  slabs.commit(location, key, low, length, key % 255);
  model.set(key, location);
  assert.equal(slabs.find(key, low), location);
  assert.ok((slabs.slabOf(location)?.frameBytes ?? 0) >= length);
  assert.ok(slabs.hasRoom(length) || slabs.state.bytes + slabs.slabBytes > SIZE_BYTES);
}

/** No frame holds two blocks, frames do not overlap, sizes add up. Returns how many blocks there are. */
function check(slabs: DiskSlabs, model: ReadonlyMap<number, number>): number {
  const seen = new Set<number>();
  let blocks = 0;
  for (const { location, high, low } of slabs.entries()) {
    assert.ok(!seen.has(location), `frame ${location} is listed twice`);
    seen.add(location);
    assert.equal(lowOf(high), low);
    assert.equal(model.get(high), location);
    blocks += 1;
  }
  assert.equal(slabs.state.blocks, blocks);
  assert.ok(slabs.state.bytes <= SIZE_BYTES);
  return blocks;
}

test('what was told in the tables is found by the next process; of another size, version or kind nothing', (context) => {
  const folder = scratchFolder(context);
  const slabs = new DiskSlabs(folder, SIZE_BYTES, []);
  for (let key = 0; key < 100; key++) slabs.commit(slabs.reserve(9000), key, lowOf(key), 9000, 0);
  const expected = [...slabs.entries()].length;
  assert.equal(expected, 100);
  slabs.close();
  // Nothing was written to the tables by `commit` alone.
  const again = new DiskSlabs(folder, SIZE_BYTES, readdirSync(folder));
  assert.equal(again.state.blocks, 0);
  assert.ok(again.state.slabs > 0);
  again.close();
  const smaller = new DiskSlabs(folder, 300_000, readdirSync(folder));
  assert.equal(smaller.state.slabs, 1);
  assert.equal(readdirSync(folder).length, 1);
  smaller.close();
});

test('frames and table fit into the slab', () => {
  for (const frameBytes of [4096, 8192, 36_864, 245_760]) {
    const frames = framesOf(262_144, frameBytes);
    assert.ok(frames >= 1 && frames * frameBytes + 4096 + Math.ceil(frames / 255) * 4096 <= 262_144);
  }
  assert.equal(framesOf(262_144, 100), 0);
  assert.equal(framesOf(262_144, 262_144), 0);
});
