import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { decodePageHeader, MAX_PAGE_HEADER_BYTES, type PageHeader } from '../../src/parquet/page-header.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

function header(write: (writer: ThriftWriter) => void): Uint8Array {
  const writer = new ThriftWriter();
  writer.structElement(() => write(writer));
  return writer.take();
}

function decode(bytes: Uint8Array): PageHeader {
  const decoded = decodePageHeader(bytes, 0);
  assert.ok(decoded !== 'needs_more');
  return decoded;
}

type V2 = readonly [
  values: number,
  nulls: number,
  rows: number,
  encoding: number,
  definition: number,
  repetition: number,
];

const v2 = (counts: V2, size = 50, isCompressed?: boolean) =>
  header((writer) => {
    writer.int32(1, 3).int32(2, size).int32(3, size);
    writer.struct(8, () => {
      for (const [index, count] of counts.entries()) writer.int32(index + 1, count);
      if (isCompressed !== undefined) writer.boolean(7, isCompressed);
    });
  });

const v1 = (numValues = 10, encoding = 8, crc?: number) =>
  header((writer) => {
    writer.int32(1, 0).int32(2, 100).int32(3, 40);
    if (crc !== undefined) writer.int32(4, crc);
    writer.struct(5, () => writer.int32(1, numValues).int32(2, encoding).int32(3, 4).int32(4, 3));
  });

describe('decodePageHeader', () => {
  test('a v1 data page', () => {
    const bytes = v1(10, 8, -2);
    const decoded = decode(bytes);
    assert.deepEqual([decoded.type, decoded.numValues, decoded.encoding], ['DATA_PAGE', 10, 'RLE_DICTIONARY']);
    assert.deepEqual([decoded.uncompressedPageSize, decoded.compressedPageSize], [100, 40]);
    assert.deepEqual([decoded.definitionLevelEncoding, decoded.repetitionLevelEncoding], ['BIT_PACKED', 'RLE']);
    assert.deepEqual([decoded.crc, decoded.headerLength], [0xffff_fffe, bytes.length]);
    assert.deepEqual([decoded.numRows, decoded.numNulls], [undefined, undefined]);
  });

  test('a v2 data page, compressed unless it says otherwise', () => {
    const decoded = decode(v2([10, 3, 10, 0, 4, 0]));
    assert.deepEqual([decoded.type, decoded.numRows, decoded.numNulls], ['DATA_PAGE_V2', 10, 3]);
    assert.deepEqual([decoded.definitionLevelsByteLength, decoded.repetitionLevelsByteLength], [4, 0]);
    assert.equal(decoded.isCompressed, true);
    assert.equal(decode(v2([10, 3, 10, 0, 4, 0], 50, false)).isCompressed, false);
  });

  test('a dictionary page and an index page', () => {
    const dictionary = header((writer) => {
      writer.int32(1, 2).int32(2, 8).int32(3, 8);
      writer.struct(7, () => writer.int32(1, 5).int32(2, 2).boolean(3, true));
    });
    const { type, numValues, encoding, isSorted } = decode(dictionary);
    assert.deepEqual([type, numValues, encoding, isSorted], ['DICTIONARY_PAGE', 5, 'PLAIN_DICTIONARY', true]);
    assert.equal(decode(header((writer) => writer.int32(1, 1).int32(2, 8).int32(3, 8))).type, 'INDEX_PAGE');
  });

  test('needs more wherever the bytes end early, and reads at an offset', () => {
    const bytes = v1();
    for (let length = 0; length < bytes.length; length += 1) {
      assert.equal(decodePageHeader(bytes.subarray(0, length), 0), 'needs_more');
    }
    const shifted = decodePageHeader(Uint8Array.from([9, 9, 9, ...bytes]), 3);
    assert.equal(shifted !== 'needs_more' && shifted.headerLength, bytes.length);
  });

  test('does not ask for more than a header may have', () => {
    const endless = new Uint8Array(MAX_PAGE_HEADER_BYTES + 10);
    endless.set([0x15, 0, 0x15, 0, 0x15, 0, 0x68, 0xff, 0xff, 0xff, 0x7f]);
    assert.throws(() => decodePageHeader(endless, 0), { kind: 'corrupt', message: /longer than/ });
  });

  for (const [name, bytes, kind, message] of [
    ['a negative count', v1(-1), 'corrupt', /num_values/],
    ['an encoding of a later version', v1(1, 10), 'unsupported', /encoding 10/],
    ['an encoding that never was', v1(1, 1), 'unsupported', /encoding 1 /],
    ['more nulls than values', v2([10, 11, 10, 0, 0, 0]), 'corrupt', /11 nulls/],
    ['more rows than values', v2([10, 0, 11, 0, 0, 0]), 'corrupt', /11 rows/],
    ['levels longer than the page', v2([10, 0, 10, 0, 30, 30]), 'corrupt', /levels take 60/],
    ['a negative level length', v2([10, 0, 10, 0, -4, 0]), 'corrupt', /definition_levels/],
    ['no page type', header((writer) => writer.int32(2, 1).int32(3, 1)), 'corrupt', /no page type/],
    ['a later page type', header((writer) => writer.int32(1, 9)), 'unsupported', /page type 9/],
    [
      'the header of another page type',
      header((writer) => writer.int32(1, 2).struct(5, () => writer.int32(1, 1).int32(2, 0).int32(3, 3).int32(4, 3))),
      'corrupt',
      /its own kind/,
    ],
    ['no sizes', header((writer) => writer.int32(1, 1)), 'corrupt', /compressed_page_size/],
  ] as const) {
    test(`refuses ${name}`, () => assert.throws(() => decodePageHeader(bytes, 0), { kind, message }));
  }
});
