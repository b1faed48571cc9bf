import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { randomNumbers } from '../../bench/harness/access-traces.ts';
import { RowCache, type RowOrigin } from '../../src/cache/index.ts';

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);
const keyOf = (name: number | string) => Buffer.from(String(name));
const GENERATION = 1;
const ORIGIN: RowOrigin = { generation: GENERATION, file: 1, row: 0 };

test('what was put is found as it was, ASCII or not, by its own key and space alone', () => {
  const cache = new RowCache(1 << 20);
  cache.put(1, keyOf('a'), '{"name":"Vila"}', ORIGIN);
  cache.put(1, keyOf('b'), '{"name":"Zürich 𝄞 日本"}', ORIGIN);
  cache.put(2, keyOf('a'), '{"other":"space"}', ORIGIN);
  assert.equal(cache.get(1, keyOf('a'), GENERATION), '{"name":"Vila"}');
  assert.equal(cache.get(1, keyOf('b'), GENERATION), '{"name":"Zürich 𝄞 日本"}');
  assert.equal(cache.get(2, keyOf('a'), GENERATION), '{"other":"space"}');
  assert.equal(cache.get(2, keyOf('b'), GENERATION), undefined);
  assert.equal(cache.get(1, keyOf(''), GENERATION), undefined);
  assert.deepEqual(
    { ...cache.stats, capacityBytes: 0 },
    { capacityBytes: 0, entries: 3, admitted: 3, hits: 3, misses: 2, crossed: 0, confirmed: 0 },
  );
});

test('keys that are read stay while many others pass', () => {
  const cache = new RowCache(256 * 1024);
  const row = (name: number) => `{"row":${name},"text":"${'x'.repeat(name % 300)}"}`;
  for (let hot = 0; hot < 50; hot++) cache.put(1, keyOf(hot), row(hot), ORIGIN);
  let kept = 0;
  for (let name = 1000; name < 21_000; name++) {
    cache.put(1, keyOf(name), row(name), ORIGIN);
    if (name % 20 !== 0) continue;
    const hot = (name / 20) % 50;
    const found = cache.get(1, keyOf(hot), GENERATION);
    if (found === undefined) cache.put(1, keyOf(hot), row(hot), ORIGIN);
    else {
      assert.equal(found, row(hot));
      kept += 1;
    }
  }
  assert.ok(kept > 900, `${kept} of 1000 reads of hot keys were hits`);
});

test('until the cache is full all that is put is found, though nothing is read meanwhile', () => {
  const cache = new RowCache(1 << 20);
  const text = 'x'.repeat(400);
  const rows = Math.floor((0.9 * cache.stats.capacityBytes) / 456);
  for (let name = 0; name < rows; name++) cache.put(1, keyOf(name), text, ORIGIN);
  const found = Array.from({ length: rows }, (_, name) => cache.get(1, keyOf(name), GENERATION));
  assert.equal(found.filter((row) => row === text).length, rows);
});

test('a large cache keeps rows as far as its memory is there, and soon all that fit', async () => {
  const cache = new RowCache(24 << 20);
  const rows = Math.floor((0.8 * cache.stats.capacityBytes) / 4056);
  const text = (name: number) => `${name} `.repeat(1000).slice(0, 4000);
  const kept = () => {
    const found = Array.from({ length: rows }, (_, name) => cache.get(1, keyOf(name), GENERATION));
    assert.ok(
      found.every((row, name) => row === undefined || row === text(name)),
      'nothing is written over',
    );
    return found.filter((row) => row !== undefined).length;
  };
  const putAll = () => {
    for (let name = 0; name < rows; name++) cache.put(1, keyOf(name), text(name), ORIGIN);
  };
  putAll();
  const atFirst = kept();
  assert.ok(atFirst > 200 && atFirst < rows / 2, `${atFirst} of ${rows} rows`);
  for (let turn = 0; kept() < rows; turn++) {
    assert.ok(turn < 1000, `${kept()} of ${rows} rows`);
    await sleep(10);
    putAll();
  }
});

test('what is loaded ahead is neither found nor counted by that, and is found as ever', () => {
  for (const budget of [1 << 20, 0]) {
    const cache = new RowCache(budget);
    cache.put(1, keyOf('a'), 'of a', ORIGIN);
    const before = cache.stats;
    const hashes = Uint32Array.from(['a', 'b', 'c'], (name) => cache.hashOf(1, keyOf(name)));
    cache.loadAhead(hashes, 3);
    cache.loadAhead(hashes, 0);
    assert.deepEqual(cache.stats, before);
    assert.equal(cache.get(1, keyOf('a'), GENERATION), budget === 0 ? undefined : 'of a');
    assert.equal(cache.get(1, keyOf('b'), GENERATION), undefined);
  }
});

test('of keys that are hardly asked again few are taken in, and as many of them are found as fit', () => {
  const cache = new RowCache(1 << 20);
  const keys = 20_000;
  const text = 'x'.repeat(400);
  const random = randomNumbers(SEED);
  const lookUp = (times: number) => {
    const before = cache.stats;
    for (let i = 0; i < times; i++) {
      const key = keyOf(random() % keys);
      if (cache.get(1, key, GENERATION) === undefined) cache.put(1, key, text, ORIGIN);
    }
    const after = cache.stats;
    return { admitted: (after.admitted - before.admitted) / times, hits: (after.hits - before.hits) / times };
  };
  lookUp(200_000);
  const { admitted, hits } = lookUp(200_000);
  const fitting = cache.stats.entries / keys;
  assert.ok(admitted < 0.35, `${admitted} of lookups were taken in`);
  assert.ok(hits > 0.8 * fitting, `${hits} of lookups were hits, ${fitting} of the rows fit`);
});

test('a key that is asked twice is kept while those that are asked once are not', () => {
  const cache = new RowCache(1 << 20);
  const text = 'x'.repeat(400);
  for (let once = 0; once < 100_000; once++) cache.put(1, keyOf(once), text, ORIGIN);
  const { admitted } = cache.stats;
  let kept = 0;
  for (let name = 0; name < 1000; name++) {
    const key = keyOf(`twice ${name}`);
    cache.put(1, key, text, ORIGIN);
    for (let once = 0; once < 100; once++) cache.put(1, keyOf(`${name} ${once}`), text, ORIGIN);
    if (cache.get(1, key, GENERATION) === undefined) cache.put(1, key, text, ORIGIN);
    if (cache.get(1, key, GENERATION) !== undefined) kept += 1;
  }
  assert.ok(kept > 950, `${kept} of 1000 were kept when they were asked again`);
  assert.ok(cache.stats.admitted - admitted < 10_000, `${cache.stats.admitted - admitted} of 101,000 were taken in`);
});

test('without enough memory there is no cache, and nothing fails', () => {
  for (const budget of [0, 1, 1000]) {
    const cache = new RowCache(budget);
    cache.put(1, keyOf('a'), 'text', ORIGIN);
    assert.equal(cache.get(1, keyOf('a'), GENERATION), undefined);
    assert.equal(cache.stats.capacityBytes, 0);
  }
});

test('what is too long for it is left out', () => {
  const cache = new RowCache(1 << 20);
  cache.put(1, keyOf('long'), 'x'.repeat(100_000), ORIGIN);
  cache.put(1, Buffer.alloc(5000), 'short', ORIGIN);
  assert.equal(cache.get(1, keyOf('long'), GENERATION), undefined);
  assert.equal(cache.get(1, Buffer.alloc(5000), GENERATION), undefined);
});

test('a text of another generation is found by its origin alone, until it is adopted', () => {
  const cache = new RowCache(1 << 20);
  cache.put(1, keyOf('a'), 'text', { generation: 5, file: 7, row: 2 ** 40 });
  assert.equal(cache.get(1, keyOf('a'), 6), undefined);
  assert.deepEqual(cache.originOf(1, keyOf('a')), { generation: 5, file: 7, row: 2 ** 40 });
  assert.equal(cache.adopt(1, keyOf('a'), 6, 'proof'), 'text');
  assert.equal(cache.get(1, keyOf('a'), 6), 'text');
  assert.equal(cache.get(1, keyOf('a'), 5), undefined);
  assert.equal(cache.adopt(1, keyOf('a'), 5, 'search'), 'text');
  assert.equal(cache.originOf(1, keyOf('a'))?.generation, 6, 'it stays of the later one');
  assert.equal(cache.originOf(1, keyOf('b')), undefined);
  assert.equal(cache.adopt(1, keyOf('b'), 6, 'search'), undefined);
  const { hits, misses, crossed, confirmed } = cache.stats;
  assert.deepEqual({ hits, misses, crossed, confirmed }, { hits: 2, misses: 1, crossed: 1, confirmed: 1 });
});

test('a text of a later generation takes the place of an earlier one, and never the other way round', () => {
  const cache = new RowCache(1 << 20);
  cache.put(1, keyOf('a'), 'old', { generation: 5, file: 1, row: 0 });
  cache.put(1, keyOf('a'), 'new', { generation: 6, file: 2, row: 0 });
  cache.put(1, keyOf('a'), 'older', { generation: 4, file: 1, row: 0 });
  assert.equal(cache.get(1, keyOf('a'), 6), 'new');
  assert.equal(cache.get(1, keyOf('a'), 5), undefined);
  assert.deepEqual(cache.originOf(1, keyOf('a')), { generation: 6, file: 2, row: 0 });
});

test('random puts and gets against a map: never a text of another key or generation', () => {
  const step = fc.record({
    name: fc.nat(400),
    space: fc.integer({ min: 1, max: 3 }),
    length: fc.oneof(fc.nat(200), fc.nat(2500)),
    letter: fc.constantFrom('x', 'é', '𝄞'),
    reads: fc.nat(3),
    renews: fc.nat(200).map((one) => one === 0),
    crosses: fc.constantFrom('adopt', 'replace', 'older'),
  });
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 50, maxLength: 1500, size: 'max' }),
      fc.integer({ min: 70_000, max: 200_000 }),
      (steps, budget) => {
        const cache = new RowCache(budget);
        const texts = new Map<string, { text: string; generation: number }>();
        let generation = 1;
        for (const { name, space, length, letter, reads, renews, crosses } of steps) {
          if (renews) generation += 1;
          const known = `${space} ${name}`;
          const key = keyOf(name);
          const kept = cache.originOf(space, key);
          const last = texts.get(known);
          assert.ok(
            kept === undefined || kept.generation === last?.generation,
            'the last text is the one that is kept',
          );
          assert.equal(cache.get(space, key, generation), kept?.generation === generation ? last?.text : undefined);
          if (kept !== undefined && last !== undefined && kept.generation < generation && crosses === 'adopt') {
            assert.equal(cache.adopt(space, key, generation, 'proof'), last.text);
            last.generation = generation;
          } else if (kept !== undefined && crosses === 'older') {
            cache.put(space, key, 'older', { generation: kept.generation - 1, file: 1, row: 0 });
            assert.equal(cache.get(space, key, kept.generation), last?.text);
          } else if (kept?.generation !== generation) {
            const text = `${known} ${generation} ${letter.repeat(length)}`;
            texts.set(known, { text, generation });
            cache.put(space, key, text, { generation, file: 1, row: 0 });
            const now = cache.get(space, key, generation);
            const mustFit = cache.stats.admitted < 20 && 3 * text.length + 100 < cache.stats.capacityBytes / 25;
            assert.ok(now === text || (now === undefined && !mustFit));
            if (now === undefined) texts.delete(known);
          }
          for (let read = 0; read < reads; read++) cache.get(space, keyOf((name * 7 + read) % 400), generation);
        }
        let entries = 0;
        for (const [known, { text, generation: of }] of texts) {
          const [space, name] = known.split(' ');
          const found = cache.get(Number(space), keyOf(name ?? ''), of);
          if (found !== undefined) entries += 1;
          assert.ok(found === undefined || found === text);
        }
        assert.equal(cache.stats.entries, entries, 'every entry of the table can be found');
      },
    ),
    { seed: SEED, numRuns: 60 },
  );
});
