import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RowCache } from '../../src/cache/index.ts';

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);
const keyOf = (name: number | string) => Buffer.from(String(name));

test('what was put is found as it was, ASCII or not, by its own key and space alone', () => {
  const cache = new RowCache(1 << 20);
  cache.put(1, keyOf('a'), '{"name":"Vila"}');
  cache.put(1, keyOf('b'), '{"name":"Zürich 𝄞 日本"}');
  cache.put(2, keyOf('a'), '{"other":"space"}');
  assert.equal(cache.get(1, keyOf('a')), '{"name":"Vila"}');
  assert.equal(cache.get(1, keyOf('b')), '{"name":"Zürich 𝄞 日本"}');
  assert.equal(cache.get(2, keyOf('a')), '{"other":"space"}');
  assert.equal(cache.get(2, keyOf('b')), undefined);
  assert.equal(cache.get(1, keyOf('')), undefined);
  assert.deepEqual({ ...cache.stats, capacityBytes: 0 }, { capacityBytes: 0, entries: 3, hits: 3, misses: 2 });
});

test('keys that are read stay while many others pass', () => {
  const cache = new RowCache(256 * 1024);
  const row = (name: number) => `{"row":${name},"text":"${'x'.repeat(name % 300)}"}`;
  for (let hot = 0; hot < 50; hot++) cache.put(1, keyOf(hot), row(hot));
  let kept = 0;
  for (let name = 1000; name < 21_000; name++) {
    cache.put(1, keyOf(name), row(name));
    if (name % 20 !== 0) continue;
    const hot = (name / 20) % 50;
    const found = cache.get(1, keyOf(hot));
    if (found === undefined) cache.put(1, keyOf(hot), row(hot));
    else {
      assert.equal(found, row(hot));
      kept += 1;
    }
  }
  assert.ok(kept > 900, `${kept} of 1000 reads of hot keys were hits`);
});

test('without enough memory there is no cache, and nothing fails', () => {
  for (const budget of [0, 1, 1000]) {
    const cache = new RowCache(budget);
    cache.put(1, keyOf('a'), 'text');
    assert.equal(cache.get(1, keyOf('a')), undefined);
    assert.equal(cache.stats.capacityBytes, 0);
  }
});

test('what is too long for it is left out', () => {
  const cache = new RowCache(1 << 20);
  cache.put(1, keyOf('long'), 'x'.repeat(100_000));
  cache.put(1, Buffer.alloc(5000), 'short');
  assert.equal(cache.get(1, keyOf('long')), undefined);
  assert.equal(cache.get(1, Buffer.alloc(5000)), undefined);
});

test('random puts and gets against a map: never a text of another key, and what was just put is there', () => {
  const step = fc.record({
    name: fc.nat(400),
    space: fc.integer({ min: 1, max: 3 }),
    length: fc.oneof(fc.nat(200), fc.nat(2500)),
    letter: fc.constantFrom('x', 'é', '𝄞'),
    reads: fc.nat(3),
  });
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 50, maxLength: 1500, size: 'max' }),
      fc.integer({ min: 70_000, max: 200_000 }),
      (steps, budget) => {
        const cache = new RowCache(budget);
        const texts = new Map<string, string>();
        for (const { name, space, length, letter, reads } of steps) {
          const known = `${space} ${name}`;
          const text = texts.get(known) ?? `${known} ${letter.repeat(length)}`;
          texts.set(known, text);
          const found = cache.get(space, keyOf(name));
          assert.ok(found === undefined || found === text);
          if (found === undefined) {
            cache.put(space, keyOf(name), text);
            const now = cache.get(space, keyOf(name));
            const fits = 3 * text.length + 100 < cache.stats.capacityBytes / 25;
            assert.ok(now === text || (now === undefined && !fits));
          }
          for (let read = 0; read < reads; read++) cache.get(space, keyOf((name * 7 + read) % 400));
        }
        let entries = 0;
        for (const [known, text] of texts) {
          const [space, name] = known.split(' ');
          const found = cache.get(Number(space), keyOf(name ?? ''));
          if (found !== undefined) entries += 1;
          assert.ok(found === undefined || found === text);
        }
        assert.equal(cache.stats.entries, entries, 'every entry of the table can be found');
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
});
