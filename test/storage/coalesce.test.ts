/** Coalescing against its definition: every wanted byte comes back, by no more requests and bytes than the rules allow. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type ByteRange, rangeLength } from '../../src/core/index.ts';
import {
  coalescingFor,
  FILE_COALESCING,
  fetchRanges,
  type ObjectMeta,
  type ObjectStore,
  planFetches,
  S3_COALESCING,
  sliceFetched,
} from '../../src/storage/index.ts';
import { pattern, rejectsWith } from './object-store.contract.ts';

const SIZE = 2000;
const content = pattern(SIZE, 1);
const object: ObjectMeta = { key: 'k', sizeBytes: SIZE, eTag: '"e"' };

const anyRange = fc
  .tuple(fc.nat(SIZE), fc.nat(SIZE))
  .map(([a, b]): ByteRange => ({ start: Math.min(a, b), end: Math.max(a, b) }));
const anyRanges = fc.array(
  fc.oneof(
    anyRange,
    anyRange.map(({ start }) => ({ start, end: Math.min(SIZE, start + 9) })),
  ),
  {
    maxLength: 30,
  },
);
const anyOptions = fc.record({ maxGapBytes: fc.nat(300), maxMergedBytes: fc.integer({ min: 1, max: SIZE }) });

/** A store over `content` that records its GETs. */
function memoryStore(onGet: (range: ByteRange, signal?: AbortSignal) => Promise<void> = async () => {}) {
  const gets: ByteRange[] = [];
  const store: ObjectStore = {
    kind: 's3',
    cheapReads: false,
    head: async () => object,
    getRange: async (_, range, options = {}) => {
      gets.push(range);
      await onGet(range, options.signal);
      return Uint8Array.from(content.subarray(range.start, range.end));
    },
    list: async function* () {
      yield object;
    },
    close: async () => undefined,
  };
  return { store, gets };
}

describe('planning fetches', () => {
  it('puts every wanted range into one fetch, and invents none', () => {
    fc.assert(
      fc.property(anyRanges, anyOptions, (wanted, options) => {
        const { fetches, fetchOf } = planFetches(wanted, options);
        assert.equal(fetchOf.length, wanted.length);
        for (const [i, range] of wanted.entries()) {
          const fetch = fetches[fetchOf[i] ?? -1];
          if (rangeLength(range) === 0) assert.equal(fetchOf[i], -1);
          else assert.ok(fetch && fetch.start <= range.start && range.end <= fetch.end);
        }
        for (const [i, fetch] of fetches.entries()) {
          const inside = wanted.filter((_, w) => fetchOf[w] === i);
          assert.equal(Math.min(...inside.map(({ start }) => start)), fetch.start);
          assert.equal(Math.max(...inside.map(({ end }) => end)), fetch.end);
        }
      }),
    );
  });

  it('merges what the rules allow and nothing else', () => {
    fc.assert(
      fc.property(anyRanges, anyOptions, (wanted, options) => {
        const { fetches, fetchOf } = planFetches(wanted, options);
        for (const [i, fetch] of fetches.entries()) {
          const inside = wanted.filter((_, w) => fetchOf[w] === i);
          const longest = Math.max(...inside.map(rangeLength));
          assert.ok(rangeLength(fetch) <= Math.max(options.maxMergedBytes, longest), 'no longer than allowed');
          for (const gap of gapsOf(inside)) assert.ok(gap <= options.maxGapBytes, 'no gap wider than allowed');
          const next = fetches[i + 1];
          if (next === undefined) continue;
          assert.ok(fetch.start <= next.start, 'in order');
          const first = wanted
            .filter((_, w) => fetchOf[w] === i + 1)
            .sort((a, b) => a.start - b.start || b.end - a.end)[0];
          assert.ok(first);
          const couldJoin =
            first.end <= fetch.end ||
            (first.start - fetch.end <= options.maxGapBytes && first.end - fetch.start <= options.maxMergedBytes);
          assert.ok(!couldJoin, 'neighbours that may be one are one');
        }
      }),
    );
  });

  it('shows in a picture what it does', () => {
    const wanted = [
      { start: 500, end: 600 },
      { start: 0, end: 50 },
      { start: 60, end: 80 },
      { start: 10, end: 20 },
      { start: 7, end: 7 },
    ];
    assert.deepEqual(planFetches(wanted, { maxGapBytes: 10, maxMergedBytes: 1000 }), {
      fetches: [
        { start: 0, end: 80 },
        { start: 500, end: 600 },
      ],
      fetchOf: [1, 0, 0, 0, -1],
    });
    assert.equal(planFetches(wanted, { maxGapBytes: 9, maxMergedBytes: 1000 }).fetches.length, 3);
    assert.equal(planFetches(wanted, { maxGapBytes: 1000, maxMergedBytes: 1000 }).fetches.length, 1);
    assert.equal(planFetches(wanted, { maxGapBytes: 1000, maxMergedBytes: 80 }).fetches.length, 2);
    assert.deepEqual(planFetches([], S3_COALESCING), { fetches: [], fetchOf: [] });
  });

  it('plans a hundred thousand ranges in no time worth naming', () => {
    const wanted = Array.from({ length: 100_000 }, (_, i) => ({
      start: (i * 7919) % 1e9,
      end: ((i * 7919) % 1e9) + 100,
    }));
    const started = performance.now();
    const { fetches } = planFetches(wanted, S3_COALESCING);
    assert.ok(fetches.length < 100_000);
    assert.ok(performance.now() - started < 2000);
  });
});

describe('fetching ranges', () => {
  it('gives each wanted range its own bytes, for any ranges and rules', async () => {
    await fc.assert(
      fc.asyncProperty(anyRanges, anyOptions, fc.integer({ min: 1, max: 4 }), async (wanted, options, maxParallel) => {
        const { store, gets } = memoryStore();
        const read = await fetchRanges(store, object, wanted, { ...options, maxParallel });
        assert.deepEqual(
          read.map((bytes) => Buffer.from(bytes).toString('hex')),
          wanted.map(({ start, end }) => content.subarray(start, end).toString('hex')),
        );
        assert.deepEqual(gets, planFetches(wanted, options).fetches);
      }),
    );
  });

  it('slices without copying', () => {
    const wanted = [
      { start: 0, end: 10 },
      { start: 5, end: 20 },
    ];
    const plan = planFetches(wanted, S3_COALESCING);
    const fetched = [new Uint8Array(20).map((_, i) => i)];
    const [first, second] = sliceFetched(wanted, plan, fetched);
    assert.equal(first?.buffer, fetched[0]?.buffer);
    assert.deepEqual([...(second ?? [])], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it('has rules by what a request costs', () => {
    const { store } = memoryStore();
    assert.equal(coalescingFor(store), S3_COALESCING);
    assert.equal(coalescingFor({ ...store, cheapReads: true }), FILE_COALESCING);
  });

  const apart = Array.from({ length: 20 }, (_, i) => ({ start: i * 100, end: i * 100 + 1 }));
  const separately = { maxGapBytes: 0, maxMergedBytes: 1 };

  it('keeps to its number of requests at once', async () => {
    let running = 0;
    let most = 0;
    const { store } = memoryStore(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((next) => setImmediate(next));
      running -= 1;
    });
    await fetchRanges(store, object, apart, { ...separately, maxParallel: 4 });
    assert.equal(most, 4);
  });

  it('calls the others off when one fails, and starts no more', async () => {
    const calledOff: number[] = [];
    const { store, gets } = memoryStore(async ({ start }, signal) => {
      if (start === 200) throw new Error('one failed');
      await new Promise((_, reject) =>
        signal?.addEventListener('abort', () => {
          calledOff.push(start);
          reject(signal.reason);
        }),
      );
    });
    await assert.rejects(fetchRanges(store, object, apart, { ...separately, maxParallel: 5 }), /one failed/);
    await new Promise((next) => setImmediate(next));
    assert.deepEqual(calledOff, [0, 100, 300, 400]);
    assert.equal(gets.length, 5);
  });

  it('ends with the caller’s reason when the caller leaves', async () => {
    const leaving = new AbortController();
    const reason = new Error('left');
    const { store } = memoryStore(
      (_, signal) => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    );
    const fetching = fetchRanges(store, object, apart, { ...separately, signal: leaving.signal });
    leaving.abort(reason);
    await assert.rejects(fetching, (error) => error === reason);
    await assert.rejects(
      fetchRanges(store, object, apart, { ...separately, signal: leaving.signal }),
      (error) => error === reason,
    );
  });

  it('refuses ranges outside the object before it asks for any', async () => {
    const { store, gets } = memoryStore();
    await rejectsWith(fetchRanges(store, object, [{ start: 0, end: SIZE + 1 }]), 'internal', 'internal', 'inside');
    await rejectsWith(fetchRanges(store, object, [{ start: 9, end: 3 }]), 'internal', 'internal', 'inside');
    assert.deepEqual(gets, []);
  });
});

function gapsOf(ranges: readonly ByteRange[]): number[] {
  const sorted = [...ranges].sort((a, b) => a.start - b.start);
  let end = sorted[0]?.start ?? 0;
  return sorted.map((range) => {
    const gap = range.start - end;
    end = Math.max(end, range.end);
    return gap;
  });
}
