import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { type FileMetaData, parquetMetadata } from 'hyparquet';

import { ServiceError } from '../../src/core/index.ts';
import { FileIndex } from '../../src/parquet/file-index.ts';
import { decodeFooter } from '../../src/parquet/footer.ts';
import { ThriftReader } from '../../src/parquet/thrift.ts';
import { TYPE, writeFooter, writeTail } from './support/footer-writer.ts';
import { corpusFiles, openIndex, readCorpus, readFlights } from './support/metadata-files.ts';

const columns = [{ name: 'a', type: TYPE.INT32 }];

describe('decodeFooter', () => {
  const footer = writeFooter({ columns, rowGroupRows: [10] });
  const tail = writeTail(footer);
  const fileLength = 1000 + tail.length;

  test('asks for exactly the bytes before the tail it was given', () => {
    const short = decodeFooter(tail.subarray(tail.length - 3), fileLength);
    assert.deepEqual(short, { kind: 'needs', ranges: [{ start: fileLength - 8, end: fileLength - 3 }] });
    const longer = decodeFooter(tail.subarray(tail.length - 20), fileLength);
    assert.deepEqual(longer, { kind: 'needs', ranges: [{ start: 1000, end: fileLength - 20 }] });
    const whole = decodeFooter(tail, fileLength);
    assert.equal(whole.kind === 'data' && whole.index.rows, 10);
  });

  test('takes more than the footer', () => {
    const padded = Uint8Array.from([...new Uint8Array(300), ...tail]);
    const decoded = decodeFooter(padded, fileLength);
    assert.equal(decoded.kind === 'data' && decoded.index.rows, 10);
  });

  for (const [name, bytes, length, expected] of [
    ['a text file', Buffer.from('id,name\n1,a\n'), 12, /not a Parquet file: it ends in/],
    ['an empty file', new Uint8Array(0), 0, /not a Parquet file: it has 0 bytes/],
    ['a truncated file', tail.subarray(0, tail.length - 5), fileLength - 5, /not a Parquet file/],
    ['a lying footer length', Buffer.from([0xff, 0xff, 0xff, 0x7f, 0x50, 0x41, 0x52, 0x31]), 500, /more than the file/],
    ['an empty footer', writeTail(new Uint8Array(0)), 20, /needs/],
  ] as const) {
    test(`refuses ${name}`, () => {
      assert.throws(() => decodeFooter(bytes, length), { kind: 'corrupt', message: expected });
    });
  }

  test('refuses an encrypted footer as unsupported', () => {
    assert.throws(() => decodeFooter(writeTail(footer, 'PARE'), fileLength), { kind: 'unsupported' });
  });
});

describe('FileIndex.parse', () => {
  test('takes row groups before the schema, and refuses either twice or missing', () => {
    const parse = (bytes: Uint8Array) => FileIndex.parse(bytes, 1e6);
    const index = parse(writeFooter({ columns, rowGroupRows: [3, 4] }));
    assert.deepEqual([index.rows, index.rowGroups, index.rowGroupFirstRow(1), index.rowGroupRows(1)], [7, 2, 3, 4]);
    const [schema, rowGroups] = [2, 4].map((id) => rawField(writeFooter({ columns, rowGroupRows: [3, 4] }), id));
    const footerOf = (...fields: Uint8Array[]) => Uint8Array.from([...fields.flatMap((field) => [...field]), 0]);
    assert.equal(parse(footerOf(rowGroups!, schema!)).rows, 7);
    assert.throws(() => parse(footerOf(rowGroups!)), { kind: 'corrupt', message: /no schema/ });
    assert.throws(() => parse(footerOf(schema!)), { kind: 'corrupt', message: /no list of row groups/ });
    assert.throws(() => parse(footerOf(schema!, schema!)), { kind: 'corrupt', message: /two schemas/ });
    assert.throws(() => parse(footerOf(schema!, rowGroups!, rowGroups!)), { kind: 'corrupt', message: /two lists/ });
  });

  test('rows may pass 2^31 in a file, offsets 2^32', () => {
    const rowGroupRows = [2 ** 31 - 1, 2 ** 31 - 1, 5];
    const starts = [4, 2 ** 40, 2 ** 45];
    const spec = { columns, rowGroupRows, chunk: (rowGroup: number) => ({ start: starts[rowGroup]! }) };
    const index = FileIndex.parse(writeFooter(spec), 2 ** 46);
    assert.equal(index.rows, 2 ** 32 + 3);
    assert.equal(index.rowGroupOf(2 ** 32), 2);
    assert.deepEqual(
      starts.map((_, rowGroup) => index.chunk(rowGroup, 0).range.start),
      starts,
    );
    assert.throws(() => FileIndex.parse(writeFooter({ columns, rowGroupRows: [2 ** 31] }), 1e6), {
      kind: 'unsupported',
    });
  });

  test('a chunk that lies about its place is refused when asked for, and its neighbours serve', () => {
    const chunk = (rowGroup: number) => (rowGroup === 1 ? { start: 999_990, length: 100 } : {});
    const index = FileIndex.parse(writeFooter({ columns, rowGroupRows: [1, 1], chunk }), 1_000_000);
    assert.equal(index.chunk(0, 0).range.start, 4);
    assert.throws(() => index.chunk(1, 0), { kind: 'corrupt', context: { rowGroup: 1, column: 'a', fileLength: 1e6 } });
  });

  test('names the codec it does not know', () => {
    const chunk = () => ({ codec: 12 });
    const index = FileIndex.parse(writeFooter({ columns, rowGroupRows: [1], chunk }), 1000);
    assert.throws(() => index.chunk(0, 0), { kind: 'unsupported', message: /codec 12/ });
  });

  test('old parquet-mr left the dictionary header out of the length', () => {
    const parse = (createdBy: string) =>
      FileIndex.parse(writeFooter({ columns, rowGroupRows: [1], createdBy }), 1000).chunk(0, 0).range.end;
    assert.equal(parse('parquet-mr version 1.2.8 (build x)'), 204);
    assert.equal(parse('parquet-mr version 1.2.9'), 104);
    assert.equal(parse('parquet-mr version 1.14.0'), 104);
    assert.equal(parse('parquet-mr'), 204);
  });

  test('keeps sorting, writer and key-value metadata, long values by name only', () => {
    const keyValues = { 'iceberg.schema': '{"a":1}', 'ARROW:schema': 'x'.repeat(10_000) };
    const sorting = [[0, true, false]] as const;
    const index = FileIndex.parse(writeFooter({ columns, rowGroupRows: [1, 1], keyValues, sorting }), 1000);
    assert.deepEqual(index.sortingColumns(1), [{ column: 0, descending: true, nullsFirst: false }]);
    assert.deepEqual(index.keyValueNames, ['iceberg.schema', 'ARROW:schema']);
    assert.equal(index.keyValueMetadata('iceberg.schema'), '{"a":1}');
    assert.equal(index.keyValueMetadata('ARROW:schema'), undefined);
    assert.equal(index.createdBy, 'test');
  });
});

describe('the corpus, against hyparquet', () => {
  let compared = 0;
  for (const name of [...corpusFiles('data'), ...corpusFiles('bad_data')]) {
    test(name, () => {
      const file = readCorpus(name);
      if (name.endsWith('.encrypted')) {
        assert.throws(() => openIndex(file), { kind: 'unsupported' });
        return;
      }
      if (name.endsWith('PARQUET-1481.parquet')) {
        assert.throws(() => openIndex(file), { kind: 'corrupt', message: /unknown type -7/ });
        return;
      }
      compareWithOracle(openIndex(file), parquetMetadata(file), file.length);
      compared += 1;
    });
  }
  test('looked at all of it', (context) => {
    context.diagnostic(`${compared} footers compared with hyparquet`);
    assert.ok(compared >= 70, `only ${compared} files were compared`);
  });
  test('flights-3m of vega-datasets', () => {
    const file = readFlights();
    compareWithOracle(openIndex(file), parquetMetadata(file), file.length);
  });
});

/** One list field of a struct, with its header in the long form, so that it can stand anywhere. */
function rawField(bytes: Uint8Array, id: number): Uint8Array {
  const reader = new ThriftReader(bytes);
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    const start = reader.offset;
    reader.skip(field);
    if (field >> 4 === id) return Uint8Array.from([9, id * 2, ...bytes.subarray(start, reader.offset)]);
  }
  throw new Error(`there is no field ${id}`);
}

function compareWithOracle(index: FileIndex, oracle: FileMetaData, fileLength: number): void {
  assert.equal(index.rowGroups, oracle.row_groups.length);
  assert.equal(index.createdBy, oracle.created_by ?? '');
  assert.deepEqual(
    index.schema.leaves.map((leaf) => leaf.physicalType),
    oracle.schema.slice(1).flatMap((element) => element.type ?? []),
  );
  assert.deepEqual(
    index.keyValueNames,
    (oracle.key_value_metadata ?? []).map((entry) => entry.key),
  );
  oracle.row_groups.forEach((rowGroup, ordinal) => {
    assert.equal(index.rowGroupRows(ordinal), Number(rowGroup.num_rows));
    rowGroup.columns.forEach((column, position) => {
      const expected = column.meta_data;
      assert.ok(expected !== undefined);
      const dictionary = Number(expected.dictionary_page_offset ?? 0);
      const start =
        dictionary > 0 ? Math.min(dictionary, Number(expected.data_page_offset)) : Number(expected.data_page_offset);
      const isOutside = Number(rowGroup.num_rows) > 0 && start + Number(expected.total_compressed_size) > fileLength;
      if (isOutside || index.schema.leaves[position]?.name !== expected.path_in_schema.join('.')) {
        assert.throws(
          () => index.chunk(ordinal, position),
          (error) => error instanceof ServiceError && error.kind === 'corrupt',
        );
        return;
      }
      const chunk = index.chunk(ordinal, position);
      assert.equal(chunk.codec, expected.codec);
      assert.equal(chunk.numValues, Number(expected.num_values));
      assert.equal(index.nullCount(ordinal, position), numberOf(expected.statistics?.null_count));
      if (Number(rowGroup.num_rows) > 0) {
        assert.equal(chunk.range.start, start);
        assert.ok(chunk.range.end >= start + Number(expected.total_compressed_size));
        assert.equal(chunk.dataPageOffset, Number(expected.data_page_offset));
      }
      assert.deepEqual([...chunk.encodings].sort(), [...new Set(expected.encodings)].sort());
      assert.equal(chunk.offsetIndexRange?.start, numberOf(column.offset_index_offset));
      assert.equal(chunk.columnIndexRange?.start, numberOf(column.column_index_offset));
      assert.equal(chunk.bloomFilterRange?.start, numberOf(expected.bloom_filter_offset));
    });
  });
}

function numberOf(value: bigint | number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
