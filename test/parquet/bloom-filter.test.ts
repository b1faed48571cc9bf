import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';
import { xxhash64 as oracle } from 'hyparquet/src/xxhash.js';

import { BloomFilter, decodeBloomFilter } from '../../src/parquet/bloom-filter.ts';
import type { ColumnChunk } from '../../src/parquet/file-index.ts';
import { xxhash64 } from '../../src/parquet/xxhash64.ts';
import { leafOf } from './support/blocks.ts';
import { openIndex, readCorpus } from './support/metadata-files.ts';
import { property } from './support/property.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

const utf8 = (value: string) => new Uint8Array(Buffer.from(value));

describe('xxhash64', () => {
  test('equals another implementation at every length', () => {
    const check = (bytes: Uint8Array) => {
      const { high, low } = xxhash64(bytes);
      assert.equal((BigInt(high) << 32n) | BigInt(low), BigInt.asUintN(64, oracle(bytes)));
    };
    for (let length = 0; length < 100; length += 1)
      check(Uint8Array.from({ length }, (_, at) => (at * 37 + length) & 255));
    property(fc.uint8Array({ maxLength: 200 }), check, 500);
  });

  test('equals the published values', () => {
    const hex = (text: string) => {
      const { high, low } = xxhash64(utf8(text));
      return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
    };
    assert.deepEqual(['', 'a', 'abc'].map(hex), ['ef46db3751d8e999', 'd24ec4f1a98c6e5b', '44bc2cf5ad770999']);
  });
});

/** A filter of all ones but nothing hashed, so that every answer comes from the key's forms. */
const full = new Uint8Array(32).fill(255);
const empty = new Uint8Array(32);

describe('BloomFilter', () => {
  test('keys with no certain stored form are never excluded', () => {
    const decimal = { kind: 'DECIMAL', precision: 20, scale: 0 } as const;
    assert.equal(new BloomFilter(leafOf('DOUBLE'), empty).mightContain(Number.NaN), true);
    assert.equal(new BloomFilter(leafOf('BYTE_ARRAY', decimal), empty).mightContain(5n), true);
    assert.equal(new BloomFilter(leafOf('FIXED_LEN_BYTE_ARRAY', { kind: 'FLOAT16' }, 2), empty).mightContain(1), true);
    assert.equal(new BloomFilter(leafOf('BOOLEAN'), empty).mightContain(true), true);
    assert.equal(new BloomFilter(leafOf('FIXED_LEN_BYTE_ARRAY', decimal, 4), empty).mightContain(2n ** 40n), true);
    assert.equal(new BloomFilter(leafOf('FIXED_LEN_BYTE_ARRAY', decimal, 4), empty).mightContain(5n), false);
    assert.equal(new BloomFilter(leafOf('INT64'), empty).mightContain(5n), false);
    assert.equal(new BloomFilter(leafOf('INT64'), full).mightContain(5n), true);
  });

  test('a zero is looked for under both signs', () => {
    const bits = new Uint8Array(32);
    const words = new Uint32Array(bits.buffer);
    const negativeZero = new Uint8Array(Float64Array.of(-0).buffer);
    const salt = [0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31];
    const hash = xxhash64(negativeZero).low;
    for (const [word, factor] of salt.entries()) words[word] = 1 << (Math.imul(hash, factor) >>> 27);
    const filter = new BloomFilter(leafOf('DOUBLE'), bits);
    assert.deepEqual(
      [0, -0, 1].map((key) => filter.mightContain(key)),
      [true, true, false],
    );
  });
});

describe('decodeBloomFilter', () => {
  const header = (numBytes: number, members = [1, 1, 1]): Uint8Array => {
    const writer = new ThriftWriter();
    writer.structElement(() => {
      writer.int32(1, numBytes);
      for (const [position, member] of members.entries()) {
        writer.struct(position + 2, () => writer.struct(member, () => {}));
      }
    });
    return writer.take();
  };
  const whole = Uint8Array.from([...header(64), ...new Uint8Array(64)]);
  const chunkOf = (lengthKnown: boolean): ColumnChunk => ({
    ...openIndex(readCorpus('data/data_index_bloom_encoding_stats.parquet')).chunk(0, 0),
    bloomFilterRange: { start: 100, end: 200 },
    bloomFilterLengthKnown: lengthKnown,
  });

  test('without a length it asks for exactly what is missing', () => {
    const some = decodeBloomFilter(whole.subarray(0, 40), chunkOf(false), 10_000);
    assert.deepEqual(some, { kind: 'needs', ranges: [{ start: 100, end: 100 + whole.length }] });
    const few = decodeBloomFilter(whole.subarray(0, 3), chunkOf(false), 10_000);
    assert.deepEqual(few, { kind: 'needs', ranges: [{ start: 100, end: 1124 }] });
    assert.equal(decodeBloomFilter(whole, chunkOf(false), 10_000).kind, 'data');
  });

  test('refuses sizes that cannot be, and lengths that lie', () => {
    const refused = { kind: 'corrupt', context: { rowGroup: 0, column: 'String' } };
    for (const numBytes of [0, -32, 33]) {
      assert.throws(() => decodeBloomFilter(header(numBytes), chunkOf(true), 10_000), refused);
    }
    assert.throws(() => decodeBloomFilter(header(2 ** 20), chunkOf(false), 10_000), refused);
    assert.throws(() => decodeBloomFilter(whole.subarray(0, 40), chunkOf(true), 10_000), refused);
    assert.throws(() => decodeBloomFilter(whole.subarray(0, 3), chunkOf(true), 10_000), refused);
  });

  test('an algorithm, hash or compression it does not know says nothing', () => {
    for (const members of [
      [2, 1, 1],
      [1, 2, 1],
      [1, 1, 2],
    ]) {
      assert.equal(decodeBloomFilter(header(64, members), chunkOf(false), 10_000).kind, 'unknown');
    }
  });

  test('reads the filters of the corpus, with and without a length', () => {
    for (const name of ['data_index_bloom_encoding_stats', 'data_index_bloom_encoding_with_length']) {
      const file = readCorpus(`data/${name}.parquet`);
      const chunk = openIndex(file).chunk(0, 0);
      assert.equal(chunk.bloomFilterLengthKnown, name.endsWith('with_length'));
      const { start, end } = chunk.bloomFilterRange!;
      let decoded = decodeBloomFilter(file.subarray(start, end), chunk, file.length);
      if (decoded.kind === 'needs') {
        const range = decoded.ranges[0]!;
        decoded = decodeBloomFilter(file.subarray(range.start, range.end), chunk, file.length);
      }
      assert.ok(decoded.kind === 'data');
      const { filter } = decoded;
      assert.deepEqual(
        ['Hello', 'test'].map((key) => filter.mightContain(utf8(key))),
        [true, true],
      );
      assert.deepEqual(
        ['absent', 'hello!', ''].map((key) => filter.mightContain(utf8(key))),
        [false, false, false],
      );
    }
  });

  test('reads the bare filter of the corpus', () => {
    // A Buffer at an odd place, as a piece of a larger read is.
    const bytes = Buffer.concat([Buffer.alloc(3), readCorpus('data/bloom_filter.xxhash.bin')]).subarray(3);
    const decoded = decodeBloomFilter(
      bytes,
      { ...chunkOf(true), bloomFilterRange: { start: 0, end: bytes.length } },
      bytes.length,
    );
    assert.ok(decoded.kind === 'data');
    bytes.fill(0);
    const { filter } = decoded;
    assert.ok(['hello', 'parquet', 'bloom', 'filter'].every((key) => filter.mightContain(utf8(key))));
    assert.ok(!['absent', 'other', 'nothing'].some((key) => filter.mightContain(utf8(key))));
  });
});
