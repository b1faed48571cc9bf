import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ByteRange } from '../../src/core/index.ts';
import { CoalescingStore, type ObjectMeta, type ObjectStore, type RequestOptions } from '../../src/storage/index.ts';

const OBJECT: ObjectMeta = { key: 'a', sizeBytes: 10_000, eTag: '"1"' };
const BYTES = Uint8Array.from({ length: OBJECT.sizeBytes }, (_, i) => (i * 31) & 255);

interface Recorded {
  readonly range: ByteRange;
  readonly signal: AbortSignal | undefined;
}

class RecordingStore implements ObjectStore {
  readonly kind = 's3';
  readonly cheapReads = false;
  readonly gets: Recorded[] = [];
  fault: Error | undefined = undefined;
  hang = false;

  head(): Promise<ObjectMeta> {
    return Promise.resolve(OBJECT);
  }

  getRange(_object: ObjectMeta, range: ByteRange, { signal }: RequestOptions = {}): Promise<Uint8Array> {
    this.gets.push({ range, signal });
    if (this.fault !== undefined) return Promise.reject(this.fault);
    if (this.hang) return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    return Promise.resolve(BYTES.slice(range.start, range.end));
  }

  async *list(): AsyncIterable<ObjectMeta> {
    yield OBJECT;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

const limits = { maxGapBytes: 50, maxMergedBytes: 2000 };
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('random ranges of one turn: each caller gets exactly its bytes, by no more GETs than callers', async () => {
  const range = fc
    .tuple(fc.nat(OBJECT.sizeBytes - 1), fc.integer({ min: 1, max: 600 }))
    .map(([start, length]) => ({ start, end: Math.min(OBJECT.sizeBytes, start + length) }));
  await fc.assert(
    fc.asyncProperty(fc.array(range, { minLength: 1, maxLength: 30 }), async (ranges) => {
      const inner = new RecordingStore();
      const store = new CoalescingStore(inner, limits);
      const parts = await Promise.all(ranges.map((wanted) => store.getRange(OBJECT, wanted)));
      for (const [i, part] of parts.entries()) {
        assert.deepEqual(Buffer.from(part), Buffer.from(BYTES.subarray(ranges[i]?.start, ranges[i]?.end)));
      }
      assert.ok(inner.gets.length <= ranges.length);
    }),
  );
});

test('neighbours of one turn are one GET; another turn and another version are their own', async () => {
  const inner = new RecordingStore();
  const store = new CoalescingStore(inner, limits);
  await Promise.all([
    store.getRange(OBJECT, { start: 0, end: 10 }),
    store.getRange(OBJECT, { start: 40, end: 50 }),
    store.getRange({ ...OBJECT, eTag: '"2"' }, { start: 50, end: 60 }),
    store.getRange(OBJECT, { start: 5000, end: 5001 }),
  ]);
  assert.deepEqual(
    inner.gets.map(({ range }) => range),
    [
      { start: 0, end: 50 },
      { start: 5000, end: 5001 },
      { start: 50, end: 60 },
    ],
  );
  await store.getRange(OBJECT, { start: 0, end: 10 });
  assert.equal(inner.gets.length, 4);
});

test('a failed GET fails those who share it and nobody else', async () => {
  const inner = new RecordingStore();
  const store = new CoalescingStore(inner, limits);
  inner.fault = new Error('reset');
  const shared = [store.getRange(OBJECT, { start: 0, end: 10 }), store.getRange(OBJECT, { start: 10, end: 20 })];
  for (const part of shared) await assert.rejects(part, /reset/);
  inner.fault = undefined;
  assert.equal((await store.getRange(OBJECT, { start: 0, end: 10 })).length, 10);
});

test('one who leaves gets its reason; the GET goes on for the others and is called off with the last', async () => {
  const inner = new RecordingStore();
  const store = new CoalescingStore(inner, limits);
  inner.hang = true;
  const [first, second] = [new AbortController(), new AbortController()];
  const waits = [
    store.getRange(OBJECT, { start: 0, end: 10 }, { signal: first.signal }),
    store.getRange(OBJECT, { start: 10, end: 20 }, { signal: second.signal }),
  ];
  await turn();
  const [get] = inner.gets;
  first.abort(new Error('first leaves'));
  await assert.rejects(waits[0] ?? Promise.resolve(), /first leaves/);
  assert.equal(get?.signal?.aborted, false);
  second.abort(new Error('second leaves'));
  await assert.rejects(waits[1] ?? Promise.resolve(), /second leaves/);
  assert.equal(get?.signal?.aborted, true);
});

test('one who leaves before the turn ends is not fetched for', async () => {
  const inner = new RecordingStore();
  const store = new CoalescingStore(inner, limits);
  const leaver = new AbortController();
  const left = store.getRange(OBJECT, { start: 0, end: 10 }, { signal: leaver.signal });
  leaver.abort(new Error('gone'));
  await assert.rejects(left, /gone/);
  await turn();
  assert.equal(inner.gets.length, 0);
});
