/**
 * Good files to make bad ones of: the small files of the corpus, where it is at hand; files of three writers; and bombs,
 * whose pages hold or claim far more than their bytes.
 */

import { readFileSync } from 'node:fs';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import * as arrow from 'apache-arrow';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import * as wasm from 'parquet-wasm/node';
import { compressSync } from 'snappy';
import { TYPE, writeFooter } from '../../parquet/support/footer-writer.ts';
import { openIndex, pageBodyAt, walk } from '../../parquet/support/metadata-files.ts';
import { v1Header } from '../../parquet/support/pages.ts';
import { corpusEntries, hasCorpus, isParquet, pathOf } from './corpus.ts';
import { refusalOf } from './rules.ts';

export interface FuzzSeed {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly footerStart: number;
  /** Where pages begin, headers first. */
  readonly pageStarts: readonly number[];
  /** Ranges of page bodies whose CRC is checked: a flip in one must be refused. */
  readonly checkedBodies: readonly (readonly [start: number, end: number])[];
}

/** Larger files only make the run slower. */
const SEED_BYTES_MAX = 9000;

/** Read whole, as they are. */
export function goodSeeds(): readonly FuzzSeed[] {
  return [...corpusSeeds(), ...writtenSeeds()];
}

function corpusSeeds(): readonly FuzzSeed[] {
  if (!hasCorpus()) return [];
  return corpusEntries()
    .filter((name) => isParquet(name) && refusalOf(name) === undefined)
    .map((name) => seedOf(name, new Uint8Array(readFileSync(pathOf(name)))))
    .filter(({ bytes, checkedBodies }) => bytes.length <= SEED_BYTES_MAX || checkedBodies.length > 0)
    .filter(({ bytes }) => bytes.length <= 4 * SEED_BYTES_MAX);
}

/** Whatever is not a page that can be walked to is left to the mutations of whole files. */
function seedOf(name: string, bytes: Uint8Array): FuzzSeed {
  const footerStart = bytes.length - 8 - new DataView(bytes.buffer, bytes.byteOffset).getUint32(bytes.length - 8, true);
  const pageStarts = [4];
  const checkedBodies: [number, number][] = [];
  const index = openIndex(bytes);
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
    for (const leaf of index.schema.leaves) {
      const locations = walk(bytes, index, index.chunk(rowGroup, leaf.ordinal));
      const ranges = Array.from({ length: locations.pages }, (_, page) => locations.range(page));
      if (locations.dictionaryRange !== undefined) ranges.push(locations.dictionaryRange);
      for (const { start, end } of ranges) {
        pageStarts.push(start);
        const body = pageBodyAt(bytes, start);
        if (body.hasCrc) checkedBodies.push([body.start, end]);
      }
    }
  }
  return { name, bytes, footerStart, pageStarts, checkedBodies };
}

const TEXTS = ['', 'a', 'common', 'é𝄞', 'prefix-1', 'prefix-22'];

function writtenSeeds(): readonly FuzzSeed[] {
  const rows = 60;
  const numbers = Array.from({ length: rows }, (_, row) => (row % 9 === 4 ? null : (row * 7919) % 101));
  const texts = numbers.map((value) => (value === null ? null : (TEXTS[value % TEXTS.length] ?? '')));
  const columns: ColumnSource[] = [
    { name: 'id', type: 'INT64', data: Array.from({ length: rows }, (_, row) => BigInt(row)) },
    { name: 'n', type: 'INT32', data: numbers, nullable: true },
    { name: 'f', type: 'DOUBLE', data: numbers.map((value) => (value === null ? null : value / 8)), nullable: true },
    { name: 's', type: 'STRING', data: texts, nullable: true },
    { name: 'b', type: 'BOOLEAN', data: numbers.map((value) => value && value % 2 === 0) as boolean[], nullable: true },
  ];
  const indexed = columns.map((column) => ({
    ...column,
    columnIndex: true,
    offsetIndex: true,
    bloomFilter: column.type !== 'BOOLEAN',
  }));
  const layout = { rowGroupSize: 25, pageSize: 100 };
  return [
    seedOf('hyparquet-writer, indexes, snappy', written({ columnData: indexed, codec: 'SNAPPY', ...layout })),
    seedOf('hyparquet-writer, plain', written({ columnData: columns, codec: 'UNCOMPRESSED', ...layout })),
    seedOf('hyparquet-writer, delta', written({ columnData: deltas(columns), codec: 'UNCOMPRESSED', ...layout })),
    ...(['SNAPPY', 'ZSTD', 'GZIP', 'BROTLI', 'LZ4_RAW', 'UNCOMPRESSED'] as const).map((codec) =>
      seedOf(`parquet-wasm, nested, ${codec}`, nestedFile(codec)),
    ),
  ];
}

function deltas(columns: readonly ColumnSource[]): ColumnSource[] {
  const encodings = ['DELTA_BINARY_PACKED', 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT', 'DELTA_BYTE_ARRAY'] as const;
  return columns.map((column, i) => {
    const encoding = encodings[i];
    return encoding === undefined ? column : { ...column, encoding };
  });
}

function written(options: Parameters<typeof parquetWriteBuffer>[0]): Uint8Array {
  return new Uint8Array(parquetWriteBuffer(options));
}

function nestedFile(codec: 'SNAPPY' | 'ZSTD' | 'GZIP' | 'BROTLI' | 'LZ4_RAW' | 'UNCOMPRESSED'): Uint8Array {
  const rows = 40;
  const item = new arrow.Struct([
    new arrow.Field('a', new arrow.Int32(), true),
    new arrow.Field('t', new arrow.List(new arrow.Field('element', new arrow.Utf8(), true)), true),
  ]);
  const type = new arrow.List(new arrow.Field('element', item, true));
  const values = Array.from({ length: rows }, (_, row) => {
    if (row % 7 === 3) return null;
    return Array.from({ length: row % 4 }, (_, i) =>
      i === 2 ? null : { a: row - i, t: i === 0 ? null : TEXTS.slice(i) },
    );
  });
  const table = new arrow.Table({
    k: arrow.vectorFromArray(
      Array.from({ length: rows }, (_, row) => row % 11),
      new arrow.Int32(),
    ),
    v: arrow.vectorFromArray(values, type),
  });
  const properties = new wasm.WriterPropertiesBuilder()
    .setCompression(wasm.Compression[codec])
    .setDataPageSizeLimit(200)
    .setMaxRowGroupSize(25)
    .build();
  return wasm.writeParquet(wasm.Table.fromIPCStream(arrow.tableToIPC(table, 'stream')), properties);
}

const MIB = 2 ** 20;
/** By the numbers of parquet.thrift's CompressionCodec. */
const COMPRESS: readonly (readonly [number, (bytes: Uint8Array) => Uint8Array])[] = [
  [1, (bytes) => compressSync(Buffer.from(bytes))],
  [2, (bytes) => gzipSync(bytes)],
  [4, (bytes) => brotliCompressSync(bytes)],
  [6, (bytes) => zstdCompressSync(bytes)],
];

/**
 * Files of one page that decompresses to 64 MiB, by headers that say so, that say less and that say more. None is good:
 * a page of so few rows has no such size.
 */
export function bombs(): readonly FuzzSeed[] {
  const zeros = new Uint8Array(64 * MIB);
  return COMPRESS.flatMap(([codec, compress]) => {
    const body = compress(zeros);
    return [zeros.length, 4000, 255 * MIB, 2 ** 31 - 1].flatMap((claimed) =>
      [1000, 2 ** 24, 2 ** 31 - 1].map((rows) => bomb(codec, body, claimed, rows)),
    );
  });
}

function bomb(codec: number, body: Uint8Array, claimed: number, rows: number): FuzzSeed {
  const page = Buffer.concat([v1Header(rows, 'PLAIN', 'data', claimed, body.length), body]);
  const footer = writeFooter({
    columns: [{ name: 'k', type: TYPE.INT32, repetition: 1 }],
    rowGroupRows: [rows],
    chunk: () => ({ numValues: rows, start: 4, length: page.length, uncompressedLength: claimed, codec }),
  });
  const end = Buffer.alloc(8, 'PAR1PAR1');
  end.writeUInt32LE(footer.length, 0);
  const bytes = new Uint8Array(Buffer.concat([Buffer.from('PAR1'), page, footer, end]));
  const name = `bomb of codec ${codec}, ${claimed} bytes claimed, ${rows} rows`;
  return { name, bytes, footerStart: 4 + page.length, pageStarts: [4], checkedBodies: [] };
}
