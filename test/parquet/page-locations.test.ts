import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';

import { ServiceError } from '../../src/core/index.ts';
import type { ColumnChunk } from '../../src/parquet/file-index.ts';
import { decodePageHeader } from '../../src/parquet/page-header.ts';
import { decodeOffsetIndex, PageLocations } from '../../src/parquet/page-locations.ts';
import { PageWalker } from '../../src/parquet/page-walker.ts';
import {
  corpusFiles,
  locate,
  openIndex,
  readCorpus,
  readFlights,
  walk,
  writeGenerated,
} from './support/metadata-files.ts';
import { FUZZ_SEED } from './support/property.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

const chunk: ColumnChunk = {
  rowGroup: 2,
  leaf: {
    ordinal: 0,
    path: ['c'],
    name: 'c',
    physicalType: 'INT32',
    typeLength: 0,
    logicalType: { kind: 'NONE' },
    maxDefinitionLevel: 0,
    maxRepetitionLevel: 0,
  },
  codec: 'UNCOMPRESSED',
  numValues: 100,
  range: { start: 1000, end: 2000 },
  uncompressedBytes: 1000,
  dictionaryPageOffset: undefined,
  dataPageOffset: 1000,
  encodings: ['PLAIN'],
  nullCount: undefined,
  offsetIndexRange: undefined,
  columnIndexRange: undefined,
  bloomFilterRange: undefined,
  bloomFilterLengthKnown: false,
  columnOrder: 'TYPE_ORDER',
};

type Location = readonly [offset: number, length: number, firstRow: number];

function offsetIndex(locations: readonly Location[]): Uint8Array {
  const writer = new ThriftWriter();
  writer.structElement(() => {
    writer.list(1, 12, locations, ([offset, length, firstRow]) => {
      writer.structElement(() => writer.int64(1, offset).int32(2, length).int64(3, firstRow));
    });
  });
  return writer.take();
}

function describePages(locations: PageLocations): unknown[] {
  return Array.from({ length: locations.pages }, (_, page) => [
    locations.range(page),
    locations.firstRow(page),
    locations.rowEnd(page),
  ]);
}

describe('decodeOffsetIndex', () => {
  test('gives ranges, rows and the page of a row', () => {
    const locations = decodeOffsetIndex(
      offsetIndex([
        [1100, 300, 0],
        [1400, 100, 40],
        [1600, 400, 90],
      ]),
      chunk,
      100,
    );
    assert.deepEqual(describePages(locations), [
      [{ start: 1100, end: 1400 }, 0, 40],
      [{ start: 1400, end: 1500 }, 40, 90],
      [{ start: 1600, end: 2000 }, 90, 100],
    ]);
    assert.deepEqual(
      [0, 39, 40, 89, 90, 99].map((row) => locations.pageOf(row)),
      [0, 0, 1, 1, 2, 2],
    );
    assert.deepEqual(locations.dictionaryRange, { start: 1000, end: 1100 });
    assert.equal(locations.rowGroupRows, 100);
  });

  test('an empty page never holds a row', () => {
    const locations = decodeOffsetIndex(
      offsetIndex([
        [1000, 10, 0],
        [1010, 10, 50],
        [1020, 10, 50],
      ]),
      chunk,
      100,
    );
    assert.deepEqual(
      [49, 50].map((row) => locations.pageOf(row)),
      [0, 2],
    );
    assert.equal(locations.dictionaryRange, undefined);
  });

  const lies: readonly (readonly [string, readonly Location[]])[] = [
    ['before the chunk', [[990, 100, 0]]],
    ['beyond the chunk', [[1900, 101, 0]]],
    [
      'into one another',
      [
        [1000, 100, 0],
        [1050, 100, 10],
      ],
    ],
    [
      'backwards',
      [
        [1500, 100, 0],
        [1000, 100, 10],
      ],
    ],
    ['from another row than the first', [[1000, 100, 1]]],
    [
      'with rows that descend',
      [
        [1000, 100, 0],
        [1100, 100, 50],
        [1200, 100, 40],
      ],
    ],
    [
      'with rows beyond the row group',
      [
        [1000, 100, 0],
        [1100, 100, 101],
      ],
    ],
    ['with empty bytes', [[1000, 0, 0]]],
    ['with a negative length', [[1000, -5, 0]]],
    ['with no pages', []],
  ];
  for (const [name, locations] of lies) {
    test(`refuses pages ${name}`, () => {
      assert.throws(() => decodeOffsetIndex(offsetIndex(locations), chunk, 100), {
        kind: 'corrupt',
        context: { rowGroup: 2, column: 'c' },
      });
    });
  }

  test('refuses bytes that end early, wherever they do', () => {
    const whole = offsetIndex([
      [1100, 300, 0],
      [1400, 100, 40],
    ]);
    for (let length = 0; length < whole.length; length += 1) {
      assert.throws(() => decodeOffsetIndex(whole.subarray(0, length), chunk, 100), { kind: 'corrupt' });
    }
  });
});

/** Feeds a walker only what it asks for, at most `most` bytes at a time. */
function walkInPieces(file: Uint8Array, chunkToWalk: ColumnChunk, rows: number, most: number): [PageLocations, number] {
  const walker = new PageWalker(chunkToWalk, rows);
  let requests = 0;
  let step = walker.next(new Uint8Array(0), 0);
  while (step.kind === 'needs') {
    const { start, end } = step.ranges[0]!;
    assert.ok(start >= chunkToWalk.range.start && end <= chunkToWalk.range.end && end > start);
    requests += 1;
    assert.ok(requests < 50_000, 'the walk does not end');
    step = walker.next(file.subarray(start, Math.max(start + 1, Math.min(end, start + most))), start);
  }
  return [step.locations, requests];
}

describe('PageWalker', () => {
  test('finds in every file of the corpus what its offset indexes say, in one piece or in many', (context) => {
    let walked = 0;
    let compared = 0;
    let refused = 0;
    for (const name of corpusFiles('data').filter((file) => file.endsWith('.parquet'))) {
      const file = readCorpus(name);
      const index = openIndex(file);
      for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
        for (const leaf of index.schema.leaves) {
          const found = index.chunk(rowGroup, leaf.ordinal);
          if (found.numValues === 0) continue;
          try {
            const whole = walk(file, index, found);
            const [pieces] = walkInPieces(file, found, index.rowGroupRows(rowGroup), 1 << 20);
            assert.deepEqual(describePages(pieces), describePages(whole), `${name} ${leaf.name}`);
            walked += 1;
            if (found.offsetIndexRange === undefined) continue;
            assert.deepEqual(describePages(locate(file, index, found)), describePages(whole), `${name} ${leaf.name}`);
            compared += 1;
          } catch (error) {
            const isExpected = error instanceof ServiceError && error.kind === 'unsupported';
            assert.ok(isExpected && leaf.maxRepetitionLevel > 0, `${name} ${leaf.name}: ${error}`);
            refused += 1;
          }
        }
      }
    }
    context.diagnostic(
      `${walked} chunks walked, ${compared} compared with an offset index, ${refused} repeated refused`,
    );
    assert.ok(walked > 400 && compared > 50);
  });

  test('finds the dictionary page where the footer gives its offset as that of the data', () => {
    const file = readFlights();
    const index = openIndex(file);
    let dictionaries = 0;
    for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
      for (const leaf of index.schema.leaves) {
        const found = index.chunk(rowGroup, leaf.ordinal);
        const locations = walk(file, index, found);
        assert.equal(locations.rowEnd(locations.pages - 1), index.rowGroupRows(rowGroup));
        if (locations.dictionaryRange === undefined) continue;
        dictionaries += 1;
        assert.equal(locations.dictionaryRange.start, found.range.start);
        const header = decodePageHeader(file, locations.dictionaryRange.start);
        assert.equal(header !== 'needs_more' && header.type, 'DICTIONARY_PAGE');
      }
    }
    assert.ok(dictionaries > 0);
  });

  test('asks for more when a header is longer than was guessed', () => {
    const text = 'v'.repeat(3000);
    const header = new ThriftWriter();
    header.structElement(() => {
      header.int32(1, 0).int32(2, 10).int32(3, 10);
      header.struct(5, () => {
        header.int32(1, 100).int32(2, 0).int32(3, 3).int32(4, 3);
        header.struct(5, () => header.binary(5, text).binary(6, text));
      });
    });
    const bytes = header.take();
    const file = new Uint8Array(10_000);
    file.set(bytes, 1000);
    const long = { ...chunk, range: { start: 1000, end: 1000 + bytes.length + 10 } };
    const [locations, requests] = walkInPieces(file, long, 100, 1 << 20);
    assert.deepEqual(locations.range(0), long.range);
    assert.ok(requests > 1 && requests < 8);
  });

  const page = (type: number, compressedPageSize: number, numValues: number): Uint8Array => {
    const writer = new ThriftWriter();
    writer.structElement(() => {
      writer.int32(1, type).int32(2, compressedPageSize).int32(3, compressedPageSize);
      if (type === 0) writer.struct(5, () => writer.int32(1, numValues).int32(2, 0).int32(3, 3).int32(4, 3));
      if (type === 2) writer.struct(7, () => writer.int32(1, numValues).int32(2, 0));
    });
    return Uint8Array.from([...writer.take(), ...new Uint8Array(Math.max(0, compressedPageSize))]);
  };
  const walkPages = (pages: readonly Uint8Array[], rows: number) => {
    const bytes = Uint8Array.from(pages.flatMap((one) => [...one]));
    return new PageWalker({ ...chunk, range: { start: 1000, end: 1000 + bytes.length } }, rows).next(bytes, 1000);
  };

  for (const [name, pages, message] of [
    ['too few rows', [page(0, 8, 60)], /ends after 60 of its rows/],
    ['too many rows', [page(0, 8, 60), page(0, 8, 60)], /more rows/],
    ['two dictionaries', [page(2, 8, 3), page(2, 8, 3), page(0, 8, 100)], /two dictionary pages/],
    ['a dictionary after data', [page(0, 8, 60), page(2, 8, 3), page(0, 8, 40)], /after a data page/],
    ['a page beyond the chunk', [page(0, 8, 60).subarray(0, -1)], /passed by a page/],
    ['a negative page size', [page(0, -8, 60)], /page_size/],
    ['a negative count', [page(0, 8, -60)], /num_values/],
  ] as const) {
    test(`refuses a chunk with ${name}`, () => {
      assert.throws(() => walkPages(pages, 100), { kind: 'corrupt', message });
    });
  }

  test('passes over empty pages and index pages, and what follows the last row', () => {
    const step = walkPages([page(1, 8, 0), page(0, 8, 0), page(0, 8, 100), Uint8Array.of(1, 2, 3)], 100);
    assert.equal(step.kind === 'data' && step.locations.pages, 1);
  });

  test('agrees with the offset index of files of many small pages', () => {
    const data = Array.from({ length: 3000 }, (_, row) => `value ${row % 977}`);
    const file = writeGenerated([{ name: 'c', type: 'STRING', data }], 1000, 512);
    const index = openIndex(file);
    assert.equal(index.rowGroups, 3);
    for (let rowGroup = 0; rowGroup < 3; rowGroup += 1) {
      const found = index.chunk(rowGroup, 0);
      const walked = walk(file, index, found);
      assert.ok(walked.pages > 5);
      assert.deepEqual(describePages(walked), describePages(locate(file, index, found)));
    }
  });
});

test('the page of every row, whether pages are of one size or not', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constant(5), fc.integer({ min: 1, max: 7 })), { minLength: 1, maxLength: 12 }),
      (rows) => {
        const firstRows = Uint32Array.from([0, ...rows.map((_, i) => rows.slice(0, i + 1).reduce((a, b) => a + b))]);
        const starts = Float64Array.from(rows, (_, i) => 4 + 10 * i);
        const locations = new PageLocations(starts, new Uint32Array(rows.length).fill(10), firstRows, undefined);
        const pages = rows.flatMap((count, page) => new Array<number>(count).fill(page));
        assert.deepEqual(
          pages.map((_, row) => locations.pageOf(row)),
          pages,
        );
      },
    ),
    { seed: FUZZ_SEED },
  );
});
