import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Budget, CacheEntry, MemoryTier } from '../../src/cache/index.ts';

class Entry extends CacheEntry {
  evictions = 0;
  readonly name: number;

  constructor(name: number, byteLength: number) {
    super(byteLength);
    this.name = name;
  }

  override onEvicted(): void {
    this.evictions += 1;
  }
}

test('what fits stays; what does not pushes the oldest unread entry out', () => {
  const tier = new MemoryTier(new Budget(30));
  const entries = [0, 1, 2].map((name) => new Entry(name, 10));
  for (const entry of entries) tier.admit(entry);
  (entries[0] as Entry).visited = true;
  tier.admit(new Entry(3, 10));
  assert.deepEqual(
    entries.map((entry) => entry.resident),
    [true, false, true],
  );
  assert.equal((entries[1] as Entry).evictions, 1);
});

test('a scan passes through and leaves the entries that are read', () => {
  const tier = new MemoryTier(new Budget(100));
  const hot = Array.from({ length: 5 }, (_, name) => new Entry(name, 10));
  for (const entry of hot) tier.admit(entry);
  for (let name = 100; name < 1100; name++) {
    for (const entry of hot) entry.visited = true;
    tier.admit(new Entry(name, 10));
  }
  assert.ok(hot.every((entry) => entry.resident));
});

test('an entry larger than the whole budget leaves at once', () => {
  const tier = new MemoryTier(new Budget(10));
  const entry = new Entry(0, 11);
  tier.admit(entry);
  assert.equal(entry.resident, false);
  assert.equal(tier.stats.bytes, 0);
});

test('metadata that cannot be evicted leaves less for blocks', () => {
  const budget = new Budget(100);
  const tier = new MemoryTier(budget);
  const entries = Array.from({ length: 10 }, (_, name) => new Entry(name, 10));
  for (const entry of entries) tier.admit(entry);
  budget.charge('metadata', 35);
  tier.trim();
  assert.equal(tier.stats.entries, 6);
});

test('random admissions, reads and removals: the budget holds and every byte is accounted for', () => {
  const step = fc.oneof(
    fc.record({ op: fc.constant('admit' as const), bytes: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ op: fc.constant('read' as const), which: fc.nat(50) }),
    fc.record({ op: fc.constant('remove' as const), which: fc.nat(50) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const tier = new MemoryTier(new Budget(100));
      const all: Entry[] = [];
      for (const action of steps) {
        if (action.op === 'admit') {
          const entry = new Entry(all.length, action.bytes);
          all.push(entry);
          tier.admit(entry);
        } else {
          const entry = all[action.which];
          if (action.op === 'read' && entry?.resident) entry.visited = true;
          if (action.op === 'remove' && entry !== undefined) tier.remove(entry);
        }
        const resident = all.filter((entry) => entry.resident);
        const bytes = resident.reduce((sum, entry) => sum + entry.byteLength, 0);
        assert.ok(bytes <= 100);
        assert.equal(tier.stats.bytes, bytes);
        assert.equal(tier.stats.entries, resident.length);
        assert.ok(all.every((entry) => entry.evictions === (entry.resident ? 0 : 1)));
      }
    }),
    { numRuns: 300 },
  );
});
