import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { ServiceError } from '../../src/core/index.ts';
import { ThriftEndError, ThriftReader } from '../../src/parquet/thrift.ts';
import { naturalAt, skipStruct, unsignedAt } from '../../src/parquet/thrift-skip.ts';
import { property } from './support/property.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

function readerOf(write: (writer: ThriftWriter) => void): ThriftReader {
  const writer = new ThriftWriter();
  writer.structElement(() => write(writer));
  return new ThriftReader(writer.take());
}

describe('ThriftReader', () => {
  test('reads every 64-bit integer, exactly where a double can hold it', () => {
    property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const reader = readerOf((writer) => writer.int64(1, value));
      assert.equal(reader.nextField(0), 0x16);
      const found = reader.integer();
      if (Number.isSafeInteger(Number(value))) assert.equal(found, Number(value));
      else assert.ok(!Number.isSafeInteger(found) && Math.abs(found / Number(value) - 1) < 1e-15);
    });
    for (const value of [0, -1, 63, 64, -64, -65, 2 ** 27, -(2 ** 27), 2 ** 28, 2 ** 34, 2 ** 53 - 1, -(2 ** 53)]) {
      const reader = readerOf((writer) => writer.int64(1, value));
      reader.nextField(0);
      assert.equal(reader.integer(), value);
    }
  });

  test('the flat kernel reads naturals as the reader does, and -1 for what is none', () => {
    property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const bytes = new ThriftWriter().intElement(value).take();
      const isNatural = value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER) / 2n;
      const found = naturalAt(bytes, 0);
      if (isNatural || value < 0n) assert.equal(found, isNatural ? Number(value) : -1);
      else assert.ok(found === -1 || found === Number(value));
    });
    assert.equal(
      unsignedAt(
        Uint8Array.from({ length: 400 }, () => 0x80),
        0,
      ),
      Number.POSITIVE_INFINITY,
    );
  });

  test('gives one header for integers of 16, 32 and 64 bits, and ids in long form', () => {
    const reader = readerOf((writer) => writer.int32(1, 5).int64(2, 6).int32(40, 7).boolean(41, true));
    assert.equal(reader.nextField(0), 0x16);
    reader.integer();
    assert.equal(reader.nextField(0x16), 0x26);
    reader.integer();
    assert.equal(reader.nextField(0x26), (40 << 4) | 6);
    assert.equal(reader.integer(), 7);
    assert.equal(reader.nextField((40 << 4) | 6), (41 << 4) | 1);
    assert.equal(reader.nextField((41 << 4) | 1), 0);
  });

  test('skips every kind of value and lands behind it', () => {
    const reader = readerOf((writer) => {
      writer.struct(1, () => writer.list(1, 12, [1, 2], (value) => writer.structElement(() => writer.int32(1, value))));
      writer.list(2, 2, [1, 2, 3], () => writer.raw([1]));
      writer.binary(3, 'x'.repeat(300));
      writer.raw([0x17, 0, 0, 0, 0, 0, 0, 0, 0]); // double
      writer.raw([0x1b, 2, 0x85, 1, 97, 4, 1, 98, 6]); // map of binary to i32
      writer.raw([0x1b, 0]); // empty map
      writer.raw([0x1d, ...new Uint8Array(16)]); // uuid
      writer.raw([0x13, 9]); // i8
    });
    let field = reader.nextField(0);
    let count = 0;
    for (; field !== 0; field = reader.nextField(field)) {
      reader.skip(field);
      count += 1;
    }
    assert.equal(count, 8);
    assert.equal(reader.offset, reader.bytes.length);
    assert.equal(skipStruct(reader.bytes, 0, 0), reader.bytes.length);
  });

  test('refuses lengths and counts that the bytes cannot hold, before using them', () => {
    const lying = readerOf((writer) => writer.raw([0x18, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    lying.nextField(0);
    assert.throws(() => lying.binary(), ThriftEndError);
    const list = readerOf((writer) => writer.raw([0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    list.nextField(0);
    const at = list.offset;
    assert.throws(() => list.listSize(12), ThriftEndError);
    list.offset = at;
    assert.throws(() => list.skip(9), ThriftEndError);
    list.offset = at;
    assert.throws(() => list.listSize(8), { kind: 'corrupt' });
  });

  test('refuses values nested without end, in structs, lists and maps', () => {
    for (const level of [[0x1c], [0x19, 0x19], [0x1b, 1, 0xbb]]) {
      const bytes = Uint8Array.from(Array.from({ length: 20_000 }, () => level).flat());
      const reader = new ThriftReader(bytes);
      const field = reader.nextField(0);
      assert.throws(() => reader.skip(field), { kind: 'corrupt' });
    }
  });

  test('any bytes end in an answer or a typed error', () => {
    property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const reader = new ThriftReader(bytes);
      try {
        for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) reader.skip(field);
      } catch (error) {
        assert.ok(error instanceof ServiceError && error.kind === 'corrupt');
      }
      assert.ok(reader.offset <= bytes.length);
    });
  });
});
