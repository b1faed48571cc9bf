import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import { decodeByteStreamSplit } from '../../src/parquet/encodings/byte-stream-split.ts';
import { reusedMemory, type TakeMemory } from '../../src/parquet/encodings/decode-memory.ts';
import { decodeDeltaInt32, decodeDeltaInt64 } from '../../src/parquet/encodings/delta-binary-packed.ts';
import { decodeDeltaByteArrays, decodeDeltaLengthByteArrays } from '../../src/parquet/encodings/delta-byte-array.ts';
import type { BytesValues } from '../../src/parquet/encodings/dense-values.ts';
import { decodePlainBooleans, decodePlainByteArrays } from '../../src/parquet/encodings/plain.ts';
import { decodeRleBitPacked } from '../../src/parquet/encodings/rle-bit-packed.ts';
import { countBits, decodeBitPackedValidity, decodeRleValidity } from '../../src/parquet/levels.ts';
import { deltaBinaryPacked, packBits, type Run, rleBitPacked, valuesOfRuns } from './support/encoders.ts';
import { property } from './support/property.ts';

const corrupt = { kind: 'corrupt' };

/** Runs of one bit width; packed ones of whole groups but for the last. */
function runsOf(bitWidth: number): fc.Arbitrary<Run[]> {
  const value = fc.integer({ min: 0, max: 2 ** bitWidth - 1 });
  const groups = fc.integer({ min: 1, max: 5 }).chain((n) => fc.array(value, { minLength: 8 * n, maxLength: 8 * n }));
  const run = fc.oneof(
    groups.map((values) => ({ packed: true, values })),
    fc.array(value, { minLength: 1, maxLength: 300 }).map((values) => ({ packed: false, values })),
  );
  const last = fc.array(value, { minLength: 1, maxLength: 33 }).map((values) => ({ packed: true, values }));
  return fc.tuple(fc.array(run, { maxLength: 8 }), last).map(([runs, end]) => [...runs, end]);
}

test('run-length and bit-packed values of every width', () => {
  property(
    fc.integer({ min: 0, max: 32 }).chain((bitWidth) => fc.tuple(fc.constant(bitWidth), runsOf(bitWidth), fc.nat(9))),
    ([bitWidth, runs, before]) => {
      const encoded = rleBitPacked(runs, bitWidth);
      const expected = valuesOfRuns(runs);
      const source = new Uint8Array(before + encoded.length);
      source.set(encoded, before);
      const out = new Uint32Array(expected.length);
      const end = decodeRleBitPacked(source, before, source.length, bitWidth, out, expected.length);
      assert.deepEqual([...out], expected);
      assert.equal(end, source.length);
    },
  );
});

test('padding that a writer cut off is not missed', () => {
  const whole = rleBitPacked([{ packed: true, values: [5, 6, 7] }], 7);
  const cut = whole.subarray(0, 1 + Math.ceil((3 * 7) / 8));
  const out = new Uint32Array(3);
  decodeRleBitPacked(cut, 0, cut.length, 7, out, 3);
  assert.deepEqual([...out], [5, 6, 7]);
  assert.throws(() => decodeRleBitPacked(cut.subarray(0, cut.length - 1), 0, cut.length - 1, 7, out, 3), corrupt);
});

test('runs that end early, are wider than codes or never begin are corrupt', () => {
  const out = new Uint32Array(100);
  const decode = (bytes: number[], bitWidth: number) => () =>
    decodeRleBitPacked(Uint8Array.from(bytes), 0, bytes.length, bitWidth, out, 100);
  assert.throws(decode([], 3), corrupt);
  assert.throws(decode([0x80], 3), corrupt);
  assert.throws(decode([0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 3), corrupt);
  assert.throws(decode([200], 3), corrupt);
  assert.throws(decode([200, 1], 33), corrupt);
  assert.throws(decode(new Array(1000).fill(0), 3), corrupt, 'runs of no values');
  assert.doesNotThrow(decode([200, 1, 1], 3));
});

test('definition levels become the validity bitmap that a bit a row gives', () => {
  property(
    fc.tuple(runsOf(1), fc.nat(5)).map(([runs, before]) => ({ runs, before })),
    ({ runs, before }) => {
      const encoded = rleBitPacked(runs, 1);
      const expected = valuesOfRuns(runs);
      const source = new Uint8Array(before + encoded.length);
      source.set(encoded, before);
      const { bitmap, valid } = decodeRleValidity(source, before, source.length, expected.length);
      assert.equal(
        valid,
        expected.reduce((a, b) => a + b, 0),
      );
      if (bitmap === undefined) assert.equal(valid, expected.length);
      else {
        assert.deepEqual(
          expected.map((_, i) => (bitmap[i >>> 3]! >>> (i & 7)) & 1),
          expected,
        );
        const middle = expected.length >>> 1;
        assert.equal(countBits(bitmap, 0, middle) + countBits(bitmap, middle, expected.length), valid);
      }
    },
  );
  assert.throws(() => decodeRleValidity(Uint8Array.of(2 << 1, 2), 0, 2, 2), corrupt, 'a level of 2');
  assert.throws(() => decodeRleValidity(Uint8Array.of(2 << 1, 1), 0, 2, 3), corrupt, 'too few');
});

test('BIT_PACKED levels run from the most significant bit', () => {
  const { bitmap, valid } = decodeBitPackedValidity(Uint8Array.of(0b1010_0000, 0b0100_0000), 0, 10);
  assert.equal(valid, 3);
  assert.deepEqual([...bitmap!], [0b0000_0101, 0b0000_0010]);
});

const DELTA_SHAPES = [
  [128, 4],
  [128, 1],
  [256, 8],
  [8, 1],
] as const;

test('delta integers of 32 and 64 bits, wrapping, in blocks of several shapes', () => {
  const int = (bits: 32 | 64) =>
    fc.oneof(
      fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }),
      fc.bigInt({ min: -50n, max: 50n }),
      fc.constantFrom(-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n, 0n, 2n ** 31n - 1n, -(2n ** 31n)),
    );
  const shape = fc.constantFrom(...DELTA_SHAPES);
  property(fc.tuple(fc.array(int(32), { minLength: 1, maxLength: 400 }), shape), ([values, [size, minis]]) => {
    const encoded = deltaBinaryPacked(values, 32, size, minis);
    const out = new Int32Array(values.length);
    assert.equal(decodeDeltaInt32(encoded, 0, encoded.length, out, values.length), encoded.length);
    assert.deepEqual([...out], values.map(Number));
  });
  property(fc.tuple(fc.array(int(64), { minLength: 1, maxLength: 400 }), shape), ([values, [size, minis]]) => {
    const encoded = deltaBinaryPacked(values, 64, size, minis);
    const out = new BigInt64Array(values.length);
    const halves = new Int32Array(out.buffer);
    assert.equal(decodeDeltaInt64(encoded, 0, encoded.length, halves, values.length), encoded.length);
    assert.deepEqual([...out], values);
  });
});

test('delta widths from 0 to 64 bits, each from its own values', () => {
  for (let width = 0; width <= 64; width += 1) {
    const top = width === 0 ? 0n : 2n ** BigInt(width) - 1n;
    const values = Array.from({ length: 40 }, (_, i) => BigInt.asIntN(64, i % 3 === 0 ? top : BigInt(i % 2)));
    const encoded = deltaBinaryPacked(values, 64, 128, 4);
    const out = new BigInt64Array(values.length);
    decodeDeltaInt64(encoded, 0, encoded.length, new Int32Array(out.buffer), values.length);
    assert.deepEqual([...out], values, `width ${width}`);
  }
});

test('delta headers that lie are corrupt', () => {
  const good = deltaBinaryPacked([1n, 5n, 9n, 2n], 64, 128, 4);
  const decode = (bytes: Uint8Array, count: number) => () =>
    decodeDeltaInt32(bytes, 0, bytes.length, new Int32Array(count), count);
  assert.throws(decode(good, 5), corrupt, 'another count');
  // Five bytes of header, five of the block's, and the 12 bits of three deltas; the rest is padding.
  assert.doesNotThrow(decode(good.subarray(0, 12), 4));
  for (let length = 0; length < 12; length += 1) {
    assert.throws(decode(good.subarray(0, length), 4), corrupt, `cut to ${length}`);
  }
  assert.throws(decode(Uint8Array.of(128, 1, 0, 4, 0), 4), corrupt, 'no miniblocks');
  assert.throws(decode(Uint8Array.of(128, 1, 3, 4, 0), 4), corrupt, 'miniblocks that do not divide the block');
  assert.throws(decode(Uint8Array.of(128, 1, 4, 4, 0, 0, 65, 0, 0, 0), 4), corrupt, 'a width of 65');
  assert.throws(decode(new Uint8Array(11).fill(0xff), 4), corrupt, 'a varint without end');
});

function stringsOf({ data, offsets, count, gap }: BytesValues): string[] {
  return Array.from({ length: count }, (_, i) =>
    Buffer.from(data.subarray(offsets[i]!, offsets[i + 1]! - gap)).toString('latin1'),
  );
}

/** More than was asked for, full of what another page left. */
const usedMemory: TakeMemory = (_use, byteLength) => new Uint8Array(byteLength + 100).fill(0xaa).buffer;

test('byte arrays: plain, delta lengths, delta prefixes', () => {
  const short = fc.string({ maxLength: 90 });
  // Long enough for the engine's own copy, of shared prefixes and of suffixes.
  const long = fc.tuple(fc.nat(600), short).map(([length, end]) => 'x'.repeat(length) + end);
  const text = fc.array(fc.oneof({ weight: 9, arbitrary: short }, long), { minLength: 1, maxLength: 200 });
  property(text, (strings) => {
    const values = strings.map((s) => Buffer.from(s));
    const expected = values.map((v) => v.toString('latin1'));
    const plain = Buffer.concat(values.flatMap((v) => [Buffer.from(Uint32Array.of(v.length).buffer), v]));
    assert.deepEqual(stringsOf(decodePlainByteArrays(plain, values.length)), expected);
    assert.deepEqual(stringsOf(decodePlainByteArrays(plain, values.length, usedMemory)), expected);

    const lengths = deltaBinaryPacked(
      values.map((v) => BigInt(v.length)),
      32,
      128,
      4,
    );
    const joined = Buffer.concat([lengths, ...values]);
    assert.deepEqual(stringsOf(decodeDeltaLengthByteArrays(joined, values.length)), expected);
    assert.deepEqual(stringsOf(decodeDeltaLengthByteArrays(joined, values.length, usedMemory)), expected);

    const sorted = values.toSorted(Buffer.compare);
    const prefixes = sorted.map((v, i) => (i === 0 ? 0 : sharedPrefix(sorted[i - 1]!, v)));
    const suffixes = sorted.map((v, i) => v.subarray(prefixes[i]!));
    const incremental = Buffer.concat([
      deltaBinaryPacked(prefixes.map(BigInt), 32, 128, 4),
      deltaBinaryPacked(
        suffixes.map((v) => BigInt(v.length)),
        32,
        128,
        4,
      ),
      ...suffixes,
    ]);
    for (const decoded of [
      decodeDeltaByteArrays(incremental, sorted.length, 1 << 20),
      decodeDeltaByteArrays(incremental, sorted.length, 1 << 20, usedMemory),
    ]) {
      assert.deepEqual(
        stringsOf(decoded),
        sorted.map((v) => v.toString('latin1')),
      );
    }
  });
});

test('memory of one use is given again, and none beyond a bound is kept', () => {
  const take = reusedMemory();
  const values = take('values', 10_000);
  assert.ok(values.byteLength >= 10_000);
  assert.equal(take('values', 5000), values);
  assert.notEqual(take('offsets', 5000), values);
  const large = take('values', 3 * 2 ** 20);
  assert.equal(large.byteLength, 3 * 2 ** 20);
  assert.notEqual(take('values', 3 * 2 ** 20), large);
  assert.equal(take('values', 8000), values);
});

function sharedPrefix(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

test('byte arrays that claim more than the page has are corrupt', () => {
  assert.throws(() => decodePlainByteArrays(Uint8Array.of(5, 0, 0, 0, 1), 1), corrupt);
  assert.throws(() => decodePlainByteArrays(Uint8Array.of(0xff, 0xff, 0xff, 0xff), 1), corrupt);
  assert.throws(() => decodePlainByteArrays(new Uint8Array(8), 1 << 30), corrupt, 'a count beyond the page');
  const negative = deltaBinaryPacked([-1n], 32, 128, 4);
  assert.throws(() => decodeDeltaLengthByteArrays(negative, 1), corrupt);
  const prefix = Buffer.concat([deltaBinaryPacked([3n], 32, 128, 4), deltaBinaryPacked([0n], 32, 128, 4)]);
  assert.throws(() => decodeDeltaByteArrays(prefix, 1, 100), corrupt, 'a prefix of nothing');
  const deltas = (...numbers: bigint[]) => deltaBinaryPacked(numbers, 32, 128, 4);
  const suffix = Buffer.concat([deltas(0n, 0n), deltas(2n, 3n), Buffer.from('abcd')]);
  assert.throws(() => decodeDeltaByteArrays(suffix, 2, 100), corrupt, 'a suffix beyond the page');
  const backwards = Buffer.concat([deltas(0n, 0n), deltas(2n, -1n), Buffer.from('abcd')]);
  assert.throws(() => decodeDeltaByteArrays(backwards, 2, 100), corrupt, 'a suffix of less than nothing');
});

test('a bomb of shared prefixes is refused before it is allocated', () => {
  const count = 100_000;
  const suffix = Buffer.alloc(10_000, 'x');
  const prefixes = deltaBinaryPacked([0n, ...new Array<bigint>(count - 1).fill(10_000n)], 32, 128, 4);
  const lengths = deltaBinaryPacked([10_000n, ...new Array<bigint>(count - 1).fill(0n)], 32, 128, 4);
  const bomb = Buffer.concat([prefixes, lengths, suffix]);
  assert.ok(bomb.length < 40_000);
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(
    () => decodeDeltaByteArrays(bomb, count, 64 * 2 ** 20),
    (error) => error instanceof ServiceError && /expand/.test(error.message),
  );
  assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 2 ** 20);
});

test('booleans are bits from the least significant', () => {
  property(fc.array(fc.boolean(), { minLength: 1, maxLength: 100 }), (values) => {
    const packed = Uint8Array.from(
      packBits(
        values.map((v) => (v ? 1n : 0n)),
        1,
      ),
    );
    assert.deepEqual([...decodePlainBooleans(packed, values.length).data], values.map(Number));
  });
  assert.throws(() => decodePlainBooleans(new Uint8Array(1), 9), corrupt);
});

test('byte stream split of every width', () => {
  property(
    fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 60 }), fc.nat()),
    ([width, count, seed]) => {
      const values = Uint8Array.from({ length: width * count }, (_, i) => (i * 31 + seed) & 0xff);
      const split = new Uint8Array(values.length);
      for (let i = 0; i < values.length; i += 1) split[(i % width) * count + Math.floor(i / width)] = values[i]!;
      assert.deepEqual(decodeByteStreamSplit(split, width, count).data, values);
      assert.deepEqual(decodeByteStreamSplit(split, width, count, usedMemory).data, values);
    },
  );
  assert.throws(() => decodeByteStreamSplit(new Uint8Array(9), 4, 2), corrupt);
  assert.throws(() => decodeByteStreamSplit(new Uint8Array(8), 4, 3), corrupt);
});
