import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { randomNumbers } from '../../bench/harness/access-traces.ts';
import { Budget, MemoryQuota, MemoryTier } from '../../src/cache/index.ts';
import { MemorySlabs } from '../../src/cache/memory-slabs.ts';
import type { BufferViews } from '../../src/core/index.ts';
import { PlainOwner } from './memory-owner.ts';

const MIB = 2 ** 20;
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`FUZZ_SEED=${seed}`);

/** A tier of so many bytes for blocks. */
function tierOf(bytes: number): MemoryTier {
  return new MemoryTier(new Budget(bytes));
}

function assertWithin(tier: MemoryTier): void {
  const { usedBytes, limitBytes } = tier.stats.classes.blocks;
  assert.ok(usedBytes <= limitBytes, `blocks take ${usedBytes} of ${limitBytes} bytes`);
  assert.ok(tier.stats.bytes <= usedBytes, `${tier.stats.bytes} bytes of blocks lie in ${usedBytes}`);
}

test('what fits stays, and reads as it was admitted', async () => {
  const owner = new PlainOwner(tierOf(8 * MIB));
  for (let slot = 0; slot < 200; slot++) owner.offer(slot, 100 + 37 * slot);
  assert.equal(owner.read(0), false, 'nothing is written while anybody works');
  await owner.tier.settled();
  for (let slot = 0; slot < 200; slot++) assert.equal(owner.read(slot), true);
  assert.equal(owner.tier.stats.entries, 200);
  assert.equal(owner.tier.stats.evicted, 0);
  assertWithin(owner.tier);
});

/** All that it has is read again and again. */
class AlwaysRead extends PlainOwner {
  override takeRead(): boolean {
    return true;
  }
}

test('memory is allocated slab by slab, one before it is needed', async () => {
  const owner = new PlainOwner(tierOf(1024 * MIB));
  const used = () => owner.tier.budget.usedBytes('blocks') / MIB;
  assert.equal(used(), 8, 'one is being made ready');
  owner.offer(0, 1000);
  await owner.tier.settled();
  assert.equal(used(), 16, 'one could not wait for it');
  for (let slot = 1; slot < 200; slot++) owner.offer(slot, 60_000);
  await owner.tier.settled();
  assert.ok(used() <= 24, `${used()} MiB for 12 of blocks`);
});

test('a slab is at hand whose memory is there; one that is wanted before is allocated at once', async () => {
  const slabs = new MemorySlabs(1024 * MIB);
  const prepared = slabs.prepare();
  assert.equal(slabs.allocated, 1);
  assert.equal(slabs.prepare(), undefined, 'one is on its way');
  const wanted = slabs.take();
  assert.equal(slabs.allocated, 2);
  await prepared;
  assert.equal(slabs.prepare(), undefined, 'one is at hand');
  const next = slabs.take();
  assert.equal(slabs.allocated, 2);
  assert.notEqual(next, wanted);
  assert.ok(new Uint8Array(slabs.viewsOf(slabs.locationOf(next ?? 0, 0)).buffer).every((byte) => byte === 0));
});

/** Of a thousand blocks that come from disk, how many memory would have. */
function worthMore(tier: MemoryTier): number {
  return Array.from({ length: 1000 }, () => tier.isWorthMore()).filter((isWorth) => isWorth).length;
}

test('blocks are worth memory while there is room, and few of them once they leave unread', async () => {
  const owner = new PlainOwner(tierOf(8 * MIB));
  for (let slot = 0; slot < 100; slot++) owner.offer(slot, 20_000);
  await owner.tier.settled();
  assert.equal(worthMore(owner.tier), 1000);
  for (let slot = 100; slot < 6000; slot++) {
    owner.offer(slot, 20_000);
    await owner.tier.settled();
  }
  assert.ok(worthMore(owner.tier) < 50, `${worthMore(owner.tier)} of 1000`);
});

test('blocks that are read before they leave go on being worth memory', async () => {
  const owner = new PlainOwner(tierOf(8 * MIB));
  for (let slot = 0; slot < 6000; slot++) {
    owner.offer(slot, 20_000);
    await owner.tier.settled();
    owner.read(slot);
  }
  assert.equal(worthMore(owner.tier), 1000);
});

test('few blocks are worth memory that replace such as are read as well, until those are read no more', async () => {
  const owner = new PlainOwner(tierOf(8 * MIB));
  const slots = 1000;
  const random = randomNumbers(7);
  // All are read about as often, and memory holds a third of them.
  const readAny = async (from: number, reads: number) => {
    let risen = 0;
    for (let read = 0; read < reads; read++) {
      const slot = from + (random() % slots);
      if (owner.read(slot) || !owner.tier.isWorthMore()) continue;
      owner.offer(slot, 20_000);
      risen += 1;
      await owner.tier.settled();
    }
    return risen;
  };
  await readAny(0, 20_000);
  const whileAllAreRead = await readAny(0, 20_000);
  assert.ok(whileAllAreRead < 4000, `${whileAllAreRead} of 20000`);
  await readAny(slots, 40_000);
  const held = owner.residents.filter((slot) => slot < slots).length;
  assert.ok(held < 20, `${held} of those that are read no more`);
});

test('a one-off scan does not flush the blocks that are read', async () => {
  const owner = new PlainOwner(tierOf(8 * MIB));
  const hot = Array.from({ length: 100 }, (_, slot) => slot);
  for (const slot of hot) owner.offer(slot, 16_000);
  await owner.tier.settled();
  for (const slot of hot) owner.read(slot);
  // Sixteen megabytes that nobody reads again.
  for (let slot = 1000; slot < 2000; slot++) {
    owner.offer(slot, 16_000);
    await owner.tier.settled();
  }
  assert.deepEqual(
    hot.filter((slot) => !owner.isResident(slot)),
    [],
  );
  assert.ok(owner.tier.stats.evicted > 400);
});

test('a block that comes back soon after it left unread is kept apart from passers-by', async () => {
  const owner = new PlainOwner(tierOf(4 * MIB));
  const pass = async (from: number, count: number) => {
    for (let slot = from; slot < from + count; slot++) {
      owner.offer(slot, 2000);
      await owner.tier.settled();
    }
  };
  await pass(0, 2500);
  assert.equal(owner.isResident(0), false);
  owner.offer(0, 2000);
  await owner.tier.settled();
  await pass(10_000, 1200);
  assert.equal(owner.isResident(0), true, 'in the main log, though as many bytes as fit have passed');
});

test('a block of more than a quarter of the memory is not taken; a large one stays where it is, and is charged', async () => {
  const owner = new PlainOwner(tierOf(8 * MIB));
  owner.offer(0, 3 * MIB);
  owner.offer(1, MIB);
  await owner.tier.settled();
  assert.deepEqual([owner.isResident(0), owner.read(1)], [false, true]);
  assert.equal(owner.tier.stats.refused, 1);
  assert.ok(owner.outside.has(1));
  assert.ok(owner.tier.budget.usedBytes('blocks') >= MIB);
  for (let slot = 2; slot < 40; slot++) {
    owner.offer(slot, MIB);
    await owner.tier.settled();
    assertWithin(owner.tier);
  }
  assert.ok(owner.outside.size >= 4 && owner.outside.size <= 8, `${owner.outside.size} large blocks are held`);
});

test('a tier without memory takes nothing and fails nothing', async () => {
  const owner = new PlainOwner(tierOf(1));
  for (let slot = 0; slot < 10; slot++) owner.offer(slot, 100);
  await owner.tier.settled();
  assert.equal(owner.tier.stats.bytes, 0);
  assert.equal(owner.tier.stats.refused, 10);
});

test('when others need memory, blocks leave and slabs are given back', async () => {
  const budget = new Budget(64 * MIB);
  const owner = new PlainOwner(new MemoryTier(budget));
  for (let slot = 0; slot < 3000; slot++) owner.offer(slot, 20_000);
  await owner.tier.settled();
  const before = budget.usedBytes('blocks');
  assert.ok(before > 55 * MIB, `${before} bytes are in use`);
  budget.charge('metadata', 30 * MIB);
  owner.tier.trim();
  await owner.tier.settled();
  assertWithin(owner.tier);
  assert.ok(budget.usedBytes('blocks') + 30 * MIB <= 64 * MIB);
  assert.ok(owner.residents.every((slot) => owner.read(slot)));
  budget.release('metadata', 30 * MIB);
  for (let slot = 5000; slot < 6000; slot++) owner.offer(slot, 20_000);
  await owner.tier.settled();
  assert.ok(budget.usedBytes('blocks') > 45 * MIB, 'and are taken again when there is room');
});

test('no slabs are made and dropped for what is spared', async () => {
  const owner = new AlwaysRead(tierOf(16 * MIB));
  const slabs = new Set<unknown>();
  const admit = async (first: number, end: number) => {
    for (let slot = first; slot < end; slot++) {
      owner.offer(slot, 10_000);
      await owner.tier.settled();
      slabs.add(owner.tier.slabs.viewsOf(owner.locationOf(slot)).buffer);
    }
  };
  await admit(0, 4000);
  const [made, { spared }] = [slabs.size, owner.tier.stats];
  assert.ok(made > 100, `${made} slabs were seen`);
  await admit(4000, 8000);
  assert.ok(owner.tier.stats.spared - spared > 1000, `${owner.tier.stats.spared - spared} were spared`);
  assert.ok(slabs.size - made < 10, `${slabs.size - made} more slabs were made`);
});

test('no slabs are made and dropped for what others take and give back from one moment to the next', async () => {
  const tier = tierOf(16 * MIB);
  const owner = new AlwaysRead(tier);
  const slabs = new Set<unknown>();
  const admit = async (first: number, end: number) => {
    for (let slot = first; slot < end; slot++) {
      owner.offer(slot, 10_000);
      await tier.settled();
      slabs.add(tier.slabs.viewsOf(owner.locationOf(slot)).buffer);
      tier.replying(100_000);
      await tier.settled();
      assertWithin(tier);
      tier.replying(-100_000);
      await tier.settled();
    }
  };
  await admit(0, 4000);
  const made = slabs.size;
  assert.ok(made > 100, `${made} slabs were seen`);
  await admit(4000, 8000);
  assert.ok(slabs.size - made < 10, `${slabs.size - made} more slabs were made`);
});

test('a released owner admits nothing, and its blocks leave in their turn though they are read', async () => {
  const tier = tierOf(2 * MIB);
  const [gone, other] = [new PlainOwner(tier), new PlainOwner(tier)];
  for (let slot = 0; slot < 20; slot++) gone.offer(slot, 2000);
  await tier.settled();
  tier.release(gone.id);
  gone.offer(20, 2000);
  for (let slot = 0; slot < 2000; slot++) {
    for (const resident of gone.residents) gone.read(resident);
    other.offer(slot, 2000);
    await tier.settled();
  }
  assert.deepEqual(gone.residents, []);
  assert.equal(gone.isResident(20), false);
  // Its number is given to the next, whose blocks must not be taken for its own.
  const next = new PlainOwner(tier);
  assert.equal(next.id, gone.id);
  next.offer(0, 2000);
  await tier.settled();
  assert.equal(next.read(0), true);
});

test('within a turn nothing that is read is written over', async () => {
  const owner = new PlainOwner(tierOf(2 * MIB));
  for (let slot = 0; slot < 900; slot++) owner.offer(slot, 2000);
  await owner.tier.settled();
  const held = owner.residents.map((slot) => {
    const views = owner.tier.read(owner.locationOf(slot)) as BufferViews;
    return { slot, views, at: owner.tier.slabs.blockAt(owner.locationOf(slot)) };
  });
  for (let slot = 1000; slot < 5000; slot++) owner.offer(slot, 2000);
  owner.tier.trim();
  for (const { slot, views, at } of held) {
    assert.ok(views.bytes.subarray(at, at + 2000).every((byte) => byte === owner.pattern(slot)));
  }
  await owner.tier.settled();
  const isOverwritten = held.some(({ slot, views, at }) => views.bytes[at] !== owner.pattern(slot));
  assert.ok(isOverwritten, 'after the turn it is: that is what the rule is for');
});

test('a page of more than one turn may copy is admitted over several, while others go on', async () => {
  const owner = new PlainOwner(tierOf(256 * MIB));
  for (let slot = 0; slot < 1000; slot++) owner.offer(slot, 32 * 1024);
  let turns = 0;
  const count = () => {
    turns += 1;
    if (!owner.isResident(999)) setImmediate(count);
  };
  setImmediate(count);
  const admitted = owner.tier.admitting();
  assert.ok(admitted !== undefined, 'so much is waited for');
  await admitted;
  assert.ok(turns >= 6, `${turns} turns passed`);
  assert.ok(owner.residents.length === 1000 && owner.residents.every((slot) => owner.read(slot)));
});

function assertQuota(owners: readonly PlainOwner[], quota: MemoryQuota): void {
  assert.ok(quota.usedBytes <= quota.limitBytes, `${quota.usedBytes} bytes are used of ${quota.limitBytes}`);
  const entries = owners.flatMap((owner) => owner.residents.map((slot) => owner.lengths.get(slot) ?? 0));
  const least = entries.reduce((sum, bytes) => sum + bytes, 0);
  assert.ok(quota.usedBytes >= least, `${quota.usedBytes} bytes are counted for ${least} of blocks`);
  assert.ok(quota.usedBytes <= least + 96 * entries.length, 'and not much more');
}

test('a table keeps within its quota by its own oldest blocks, and those of others stay though nobody reads them', async () => {
  const tier = tierOf(64 * MIB);
  const [small, all] = [new MemoryQuota(MIB), new MemoryQuota()];
  const [scanned, other] = [new PlainOwner(tier, small), new PlainOwner(tier, all)];
  for (let slot = 0; slot < 500; slot++) other.offer(slot, 8000);
  await tier.settled();
  for (let slot = 0; slot < 20_000; slot++) {
    scanned.offer(slot, 8000);
    if (slot % 10 === 9) await tier.settled();
  }
  await tier.settled();
  assertQuota([scanned], small);
  assertQuota([other], all);
  assert.equal(other.residents.length, 500);
  assert.deepEqual(
    scanned.residents,
    Array.from({ length: scanned.residents.length }, (_, i) => 20_000 - scanned.residents.length + i),
    'the newest are there',
  );
  assert.ok(scanned.residents.length > 120 && scanned.residents.every((slot) => scanned.read(slot)));
});

test('a table alone takes no more memory than its quota and a few slabs', async () => {
  const tier = tierOf(64 * MIB);
  const quota = new MemoryQuota(4 * MIB);
  const owner = new PlainOwner(tier, quota);
  for (let slot = 0; slot < 4000; slot++) {
    owner.offer(slot, slot % 50 === 0 ? 400_000 : 8000);
    await tier.settled();
    assertQuota([owner], quota);
  }
  assert.ok(tier.budget.usedBytes('blocks') < 6 * MIB, `${tier.budget.usedBytes('blocks')} bytes are taken`);
  assert.equal(tier.stats.bytes, quota.usedBytes);
});

test('what a table with a quota reads stays, though it scans', async () => {
  const tier = tierOf(64 * MIB);
  const owner = new PlainOwner(tier, new MemoryQuota(MIB));
  const hot = Array.from({ length: 12 }, (_, slot) => slot);
  for (const slot of hot) owner.offer(slot, 8000);
  await tier.settled();
  for (let slot = 1000; slot < 2000; slot++) {
    for (const read of hot) assert.ok(owner.read(read), `slot ${read} is there at ${slot}`);
    owner.offer(slot, 8000);
    await tier.settled();
  }
});

test('the hot blocks of one table stay while another with a quota scans many times the memory, again and again', async () => {
  const tier = tierOf(8 * MIB);
  const quota = new MemoryQuota(2 * MIB);
  const [scanned, hot] = [new PlainOwner(tier, quota), new PlainOwner(tier)];
  for (let slot = 0; slot < 400; slot++) hot.offer(slot, 8000);
  await tier.settled();
  let reads = 0;
  let misses = 0;
  for (let round = 0; round < 2; round++) {
    for (let slot = 0; slot < 3000; slot++) {
      scanned.offer(slot, 8000);
      for (let i = 0; i < 2; i++) {
        reads += 1;
        if (hot.read(reads % 400)) continue;
        misses += 1;
        hot.offer(reads % 400, 8000);
      }
      await tier.settled();
      assertWithin(tier);
    }
    assertQuota([scanned], quota);
  }
  assert.ok(misses < reads / 100, `${misses} of ${reads} reads of hot blocks missed`);
});

test("a block of more than a quarter of its table's quota is not taken", async () => {
  const owner = new PlainOwner(tierOf(64 * MIB), new MemoryQuota(MIB));
  owner.offer(0, 300_000);
  owner.offer(1, 200_000);
  await owner.tier.settled();
  assert.deepEqual([owner.isResident(0), owner.isResident(1), owner.tier.stats.refused], [false, true, 1]);
});

test('dictionaries count on the quota, and what was counted is given back to the last byte', async () => {
  const tier = tierOf(8 * MIB);
  const quota = new MemoryQuota(MIB);
  const owner = new PlainOwner(tier, quota);
  for (let slot = 0; slot < 100; slot++) owner.offer(slot, 8000);
  await tier.settled();
  tier.hold(500_000, quota);
  owner.offer(100, 8000);
  await tier.settled();
  assert.ok(
    owner.residents.length < 70 && owner.isResident(100),
    `${owner.residents.length} blocks are left beside it`,
  );
  assert.ok(quota.usedBytes <= MIB);
  tier.letGo(500_000, quota);
  tier.budget.charge('metadata', 8 * MIB);
  tier.trim();
  await tier.settled();
  assert.deepEqual([quota.usedBytes, tier.stats.bytes, tier.budget.usedBytes('blocks')], [0, 0, 0]);
});

test('random admissions, reads, releases and pressure against a plain map of bytes', async () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.tuple(fc.constant('offer' as const), fc.nat(3), fc.nat(400)) },
    { weight: 8, arbitrary: fc.tuple(fc.constant('read' as const), fc.nat(3), fc.nat(400)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('metadata' as const), fc.nat(3), fc.nat(400)) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('release' as const), fc.nat(3), fc.nat(400)) },
    { weight: 4, arbitrary: fc.tuple(fc.constant('turn' as const), fc.nat(3), fc.nat(400)) },
  );
  const lengthOf = (slot: number) => (slot % 40 === 0 ? 70_000 + slot : 8 * (1 + ((slot * 37) % 400)));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 1500 }), fc.nat(1000), async (steps, quotaKib) => {
      const budget = new Budget(MIB);
      const tier = new MemoryTier(budget);
      // The first two owners are of one table with a quota.
      const quotas = [new MemoryQuota(1024 * quotaKib), new MemoryQuota()];
      const make = (which: number) => new PlainOwner(tier, quotas[which >> 1]);
      const owners = Array.from({ length: 4 }, (_, which) => make(which));
      const all = [...owners];
      const assertQuotas = () => {
        for (const quota of quotas)
          assertQuota(
            all.filter((owner) => owner.quota === quota),
            quota,
          );
      };
      let metadata = 0;
      for (const [op, which, slot] of steps) {
        const owner = owners[which] as PlainOwner;
        if (op === 'offer') owner.offer(slot, lengthOf(slot));
        else if (op === 'read') owner.read(slot);
        else if (op === 'metadata') {
          budget.release('metadata', metadata);
          metadata = slot * 1000;
          budget.charge('metadata', metadata);
          tier.trim();
        } else if (op === 'release') {
          tier.release(owner.id);
          owners[which] = make(which);
          all.push(owners[which] as PlainOwner);
        } else {
          await tier.settled();
          assertWithin(tier);
          assertQuotas();
        }
      }
      await tier.settled();
      assertQuotas();
      for (const owner of owners) for (const slot of owner.residents) assert.ok(owner.read(slot));
      budget.charge('metadata', 2 * MIB);
      tier.trim();
      await tier.settled();
      assert.deepEqual([tier.stats.entries, tier.stats.bytes, budget.usedBytes('blocks')], [0, 0, 0]);
      assert.deepEqual(
        quotas.map(({ usedBytes }) => usedBytes),
        [0, 0],
      );
    }),
    { numRuns: 150, seed },
  );
});

/** Every order of reads and admissions of a few blocks in a tier that holds two dozen, against the rules by hand. */
test('exhaustive small scope: what was read before its turn stays, what was not leaves, first come first', async () => {
  for (let reads = 0; reads < 2 ** 6; reads++) {
    const owner = new PlainOwner(tierOf(512 * 1024));
    // Fills the memory once, so that the six below are the oldest of those on probation.
    for (let slot = 0; slot < 6; slot++) owner.offer(slot, 1900);
    await owner.tier.settled();
    for (let slot = 0; slot < 6; slot++) if ((reads & (1 << slot)) !== 0) owner.read(slot);
    for (let slot = 100; owner.tier.stats.evicted + owner.tier.stats.spared < 6; slot++) {
      owner.offer(slot, 1900);
      await owner.tier.settled();
    }
    const stayed = [0, 1, 2, 3, 4, 5].filter((slot) => owner.isResident(slot));
    const read = [0, 1, 2, 3, 4, 5].filter((slot) => (reads & (1 << slot)) !== 0);
    assert.deepEqual(stayed, read, `reads ${reads.toString(2)}`);
    const left = owner.log.filter((line) => line.startsWith('-')).map((line) => Number(line.slice(1)));
    assert.deepEqual(
      left,
      [...left].sort((a, b) => a - b),
      'in the order in which they came',
    );
    for (const slot of stayed) assert.ok(owner.read(slot));
  }
});
