import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32 } from 'node:zlib';

import fc from 'fast-check';

import { makeWideFooter } from '../../bench/harness/wide-footer.ts';
import { ServiceError } from '../../src/core/index.ts';
import { FileIndex } from '../../src/parquet/file-index.ts';
import { type ChunkSpec, TYPE, writeFooter } from './support/footer-writer.ts';
import { corpusFiles, openIndex, readCorpus } from './support/metadata-files.ts';
import { property, randomFrom } from './support/property.ts';

/** Everything an index answers, chunk by chunk. */
function answers(index: FileIndex): unknown[] {
  const all: unknown[] = [index.schema, index.rows, index.createdBy, index.keyValueNames, index.fileLength];
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
    all.push(index.rowGroupFirstRow(rowGroup), index.rowGroupRows(rowGroup), index.sortingColumns(rowGroup));
    for (const { ordinal } of index.schema.leaves) all.push(chunkOrFault(index, rowGroup, ordinal));
  }
  return all;
}

function chunkOrFault(index: FileIndex, rowGroup: number, column: number): unknown {
  try {
    return [index.chunk(rowGroup, column), index.chunkBounds(rowGroup, column)];
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    return error.message;
  }
}

describe('the stored form', () => {
  test('answers as the parsed footer does, for every file of the corpus', () => {
    let compared = 0;
    for (const name of corpusFiles('data').filter((file) => file.endsWith('.parquet'))) {
      const index = openIndex(readCorpus(name));
      assert.deepEqual(answers(FileIndex.load(index.serialise())), answers(index), name);
      compared += 1;
    }
    assert.ok(compared >= 70);
  });

  test('says whether any chunk has an offset index, parsed and loaded', () => {
    const counts = { with: 0, without: 0 };
    for (const name of corpusFiles('data').filter((file) => file.endsWith('.parquet'))) {
      const index = openIndex(readCorpus(name));
      const chunks = answers(index).filter((answer) => Array.isArray(answer) && answer.length === 2);
      // A chunk of which the footer's word is unusable may have one all the same.
      if (chunks.length < index.rowGroups * index.schema.leaves.length) continue;
      const has = (chunks as { readonly offsetIndexRange?: unknown }[][]).some(
        ([chunk]) => chunk?.offsetIndexRange !== undefined,
      );
      assert.equal(index.hasOffsetIndexes, has, name);
      assert.equal(FileIndex.load(index.serialise()).hasOffsetIndexes, has, name);
      assert.equal(index.hasUnreadableChunks, false, name);
      counts[has ? 'with' : 'without'] += 1;
    }
    assert.ok(counts.with >= 5 && counts.without >= 20, JSON.stringify(counts));
  });

  test('loads without a copy where aligned, with one where not', () => {
    const stored = openIndex(readCorpus('data/alltypes_plain.parquet')).serialise();
    const shifted = new Uint8Array(stored.length + 3);
    shifted.set(stored, 3);
    assert.equal(FileIndex.load(stored).serialise(), stored);
    assert.deepEqual(answers(FileIndex.load(shifted.subarray(3))), answers(FileIndex.load(stored)));
  });

  test('keeps nothing of the bytes it was parsed from, which as a Buffer would share them when sliced', () => {
    const file = Buffer.from(readCorpus('data/alltypes_plain.parquet'));
    const index = openIndex(file);
    const before = JSON.stringify(answers(FileIndex.load(index.serialise())));
    file.fill(0xee);
    assert.equal(JSON.stringify(answers(FileIndex.load(index.serialise()))), before);
    const odd = Buffer.concat([Buffer.alloc(1), index.serialise()]).subarray(1);
    const loaded = FileIndex.load(odd);
    odd.fill(0xee);
    assert.equal(JSON.stringify(answers(loaded)), before);
  });

  test('of an earlier version is no index, whatever its checksum', () => {
    const stored = Uint8Array.from(openIndex(readCorpus('data/alltypes_plain.parquet')).serialise());
    const header = new Uint32Array(stored.buffer, 0, 4);
    header[1] = header[1]! - 1;
    header[2] = crc32(stored.subarray(16));
    assert.throws(() => FileIndex.load(stored), { kind: 'corrupt', message: /of version 1, not 2/ });
  });

  test('any changed, missing or added byte is found', () => {
    const stored = openIndex(readCorpus('data/sort_columns.parquet')).serialise();
    const refused = { kind: 'corrupt', message: /no usable file index/ };
    property(fc.tuple(fc.nat(stored.length - 1), fc.integer({ min: 1, max: 255 })), ([at, change]) => {
      // Bytes 12 to 15 of the header mean nothing.
      if (at >= 12 && at < 16) return;
      const damaged = Uint8Array.from(stored);
      damaged[at] = damaged[at]! ^ change;
      assert.throws(() => FileIndex.load(damaged), refused);
    });
    property(fc.nat(stored.length - 1), (length) => {
      assert.throws(() => FileIndex.load(stored.slice(0, length)), refused);
    });
    assert.throws(() => FileIndex.load(Uint8Array.from([...stored, 0])), refused);
  });
});

describe('size', () => {
  test('a chunk takes at most 61 bytes, of 915 as objects', () => {
    const footer = makeWideFooter(100, 50);
    const index = FileIndex.parse(footer.bytes, footer.fileLength);
    assert.ok(index.byteSize / 5000 <= 61, `${index.byteSize / 5000} bytes a chunk`);
    assert.ok(index.byteSize >= index.serialise().length);
  });

  test('files of one schema can share it', () => {
    const footer = makeWideFooter(2, 50);
    const first = FileIndex.parse(footer.bytes, footer.fileLength);
    const second = FileIndex.parse(footer.bytes, footer.fileLength, { like: first });
    const third = FileIndex.load(first.serialise(), { like: first });
    assert.equal(second.schema, first.schema);
    assert.equal(third.schema, first.schema);
    assert.ok(second.byteSize < first.byteSize);
    const other = FileIndex.parse(makeWideFooter(2, 51).bytes, 1e12, { like: first });
    assert.equal(other.schema.leaves.length, 51);
  });
});

describe('packing', () => {
  const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const offset = fc.oneof(
    fc.nat(1000),
    fc.maxSafeNat().map((value) => Math.floor(value / 4)),
  );
  const place = fc.tuple(
    offset.map((value) => value + 4),
    fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  );
  const chunk = fc.record({
    start: offset.map((value) => value + 4),
    length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 40 })),
    dictionary: optional(fc.integer({ min: 1, max: 1000 })),
    codec: fc.nat(7),
    nullCount: optional(fc.nat(99)),
    offsetIndex: optional(place),
    columnIndex: optional(place),
    bloomFilter: optional(place),
    bloomLengthKnown: fc.boolean(),
  });

  test('gives back every number of every chunk, near or far, present or absent', () => {
    const shape = fc.integer({ min: 1, max: 3 });
    property(
      fc.tuple(shape, shape, fc.array(chunk, { minLength: 9, maxLength: 9 })),
      ([rowGroups, columns, chunks]) => {
        const at = (rowGroup: number, column: number) => chunks[rowGroup * 3 + column]!;
        const bytes = writeFooter({
          columns: Array.from({ length: columns }, (_, column) => ({ name: `c${column}`, type: TYPE.INT64 })),
          rowGroupRows: Array.from({ length: rowGroups }, () => 100),
          chunk: (rowGroup, column) => specOf(at(rowGroup, column)),
        });
        const index = FileIndex.parse(bytes, Number.MAX_SAFE_INTEGER);
        for (let rowGroup = 0; rowGroup < rowGroups; rowGroup += 1) {
          for (let column = 0; column < columns; column += 1) check(index, rowGroup, column, at(rowGroup, column));
        }
      },
    );
  });

  /** How far apart row groups and columns lie, and how far values stray from that: what origins are there for. */
  const spread = fc.record({
    first: fc.oneof(
      fc.nat(1000),
      fc.maxSafeNat().map((value) => Math.floor(value / 2)),
    ),
    byRowGroup: fc.oneof(fc.constant(0), fc.nat(2 ** 34)),
    byColumn: fc.oneof(fc.constant(0), fc.nat(2 ** 30)),
    stray: fc.constantFrom(1, 200, 60_000, 2 ** 20),
    absentEach: fc.constantFrom(0, 0, 0, 7),
  });

  test('gives back numbers that lie by row group and by column', () => {
    const shape = fc.tuple(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 1, max: 30 }));
    property(
      fc.tuple(shape, fc.array(spread, { minLength: 6, maxLength: 6 }), fc.integer()),
      ([[rowGroups, columns], spreads, seed]) => {
        const random = randomFrom(seed);
        const number = (which: number, rowGroup: number, column: number): number => {
          const { first, byRowGroup, byColumn, stray } = spreads[which]!;
          return 4 + first + rowGroup * byRowGroup + column * byColumn + Math.floor(random() * stray);
        };
        const isAbsent = (which: number, rowGroup: number, column: number): boolean =>
          spreads[which]!.absentEach > 0 && (rowGroup * columns + column) % spreads[which]!.absentEach === 0;
        const expected = Array.from({ length: rowGroups }, (_, rowGroup) =>
          Array.from({ length: columns }, (_, column) => ({
            start: number(0, rowGroup, column),
            length: number(1, rowGroup, column),
            nullCount: isAbsent(2, rowGroup, column) ? undefined : number(2, rowGroup, column),
            place: isAbsent(3, rowGroup, column)
              ? undefined
              : ([number(3, rowGroup, column), number(4, rowGroup, column)] as const),
            uncompressed: number(5, rowGroup, column),
          })),
        );
        const bytes = writeFooter({
          columns: Array.from({ length: columns }, (_, column) => ({ name: `c${column}`, type: TYPE.INT64 })),
          rowGroupRows: Array.from({ length: rowGroups }, (_, rowGroup) => (rowGroup === rowGroups - 1 ? 7 : 100)),
          chunk: (rowGroup, column) => {
            const { start, length, nullCount, place, uncompressed } = expected[rowGroup]![column]!;
            return {
              start,
              length,
              uncompressedLength: uncompressed,
              ...(nullCount === undefined ? {} : { statistics: { nullCount } }),
              ...(place === undefined ? {} : { columnIndex: place }),
            };
          },
        });
        const index = FileIndex.parse(bytes, Number.MAX_SAFE_INTEGER * 4);
        for (const [rowGroup, chunks] of expected.entries()) {
          for (const [column, { start, length, nullCount, place, uncompressed }] of chunks.entries()) {
            const found = index.chunk(rowGroup, column);
            assert.deepEqual(found.range, { start, end: start + length });
            assert.equal(found.numValues, rowGroup === rowGroups - 1 ? 7 : 100);
            assert.equal(found.nullCount, nullCount);
            assert.equal(index.nullCount(rowGroup, column), nullCount);
            assert.deepEqual(found.columnIndexRange, place && { start: place[0], end: place[0] + place[1] });
            assert.equal(found.uncompressedBytes, uncompressed);
          }
        }
      },
      60,
    );
  });

  test('takes less where chunks follow one another, as writers lay them', () => {
    const footer = makeWideFooter(100, 50);
    const columns = 50;
    let end = 4;
    // The same chunks, but each a random distance away from the one before.
    const random = randomFrom(1);
    const scattered = writeFooter({
      columns: Array.from({ length: columns }, (_, column) => ({ name: `c${column}`, type: TYPE.INT64 })),
      rowGroupRows: Array.from({ length: 100 }, () => 100),
      chunk: () => {
        end += Math.floor(random() * 2 ** 30);
        return { start: end, length: 1000, offsetIndex: [end, 50], columnIndex: [end, 60] };
      },
    });
    const bytes = FileIndex.parse(scattered, Number.MAX_SAFE_INTEGER).serialise().length;
    assert.ok(bytes > 5000 * 24, `${bytes} bytes: nothing to take off`);
    assert.ok(FileIndex.parse(footer.bytes, footer.fileLength).serialise().length < 5000 * 38);
  });

  type Chunk = typeof chunk extends fc.Arbitrary<infer T> ? T : never;

  function specOf(expected: Chunk): ChunkSpec {
    const { start, dictionary, bloomFilter, nullCount, offsetIndex, columnIndex } = expected;
    return {
      start: start + (dictionary ?? 0),
      length: expected.length,
      codec: expected.codec,
      ...(dictionary === undefined ? {} : { dictionaryPageOffset: start }),
      ...(nullCount === undefined ? {} : { statistics: { nullCount } }),
      ...(offsetIndex === undefined ? {} : { offsetIndex }),
      ...(columnIndex === undefined ? {} : { columnIndex }),
      ...(bloomFilter === undefined
        ? {}
        : { bloomFilter: [bloomFilter[0], expected.bloomLengthKnown ? bloomFilter[1] : undefined] as const }),
    };
  }

  function check(index: FileIndex, rowGroup: number, column: number, expected: Chunk): void {
    const found = index.chunk(rowGroup, column);
    const range = (pair: readonly [number, number] | undefined) => pair && { start: pair[0], end: pair[0] + pair[1] };
    assert.deepEqual(found.range, { start: expected.start, end: expected.start + expected.length });
    assert.equal(found.dictionaryPageOffset, expected.dictionary === undefined ? undefined : expected.start);
    assert.equal(found.dataPageOffset, expected.start + (expected.dictionary ?? 0));
    assert.equal(found.nullCount, expected.nullCount);
    assert.deepEqual(found.offsetIndexRange, range(expected.offsetIndex));
    assert.deepEqual(found.columnIndexRange, range(expected.columnIndex));
    assert.equal(found.bloomFilterRange?.start, expected.bloomFilter?.[0]);
    assert.equal(found.bloomFilterLengthKnown, expected.bloomFilter !== undefined && expected.bloomLengthKnown);
    if (found.bloomFilterLengthKnown) assert.deepEqual(found.bloomFilterRange, range(expected.bloomFilter));
  }
});
