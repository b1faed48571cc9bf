/**
 * Random columns written by three other implementations, in every type, encoding and codec each of them offers, and
 * decoded to blocks. The values that were given to the writer are the truth; for DuckDB, which makes its own, hyparquet
 * is.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import * as arrow from 'apache-arrow';
import fc from 'fast-check';
import { ByteWriter, parquetWrite } from 'hyparquet-writer';
import { compressSync as compressLz4 } from 'lz4-napi';
import * as wasm from 'parquet-wasm/node';
import { compressSync as compressSnappy } from 'snappy';
import { chunksOf, decodeChunk, valuesOf } from './support/chunk-pages.ts';
import { oracleColumn } from './support/hyparquet-oracle.ts';
import { asyncProperty, FUZZ_SEED, property } from './support/property.ts';

type Value = number | bigint | boolean | Uint8Array | null;

/** The columns of a file by name, with the encodings of their data pages left to what the writer chose. */
function decodeFile(file: Uint8Array, blockBytes: number): Map<string, unknown[]> {
  const columns = new Map<string, unknown[]>();
  for (const chunk of chunksOf(file).chunks) {
    const values = valuesOf(decodeChunk(chunk, { blockBytes }));
    assert.equal(values.length, chunk.rows);
    const column = columns.get(chunk.leaf.name);
    if (column === undefined) columns.set(chunk.leaf.name, values);
    else column.push(...values);
  }
  return columns;
}

function comparable(values: readonly unknown[]): unknown[] {
  return values.map((value) => (value instanceof Uint8Array ? `bytes ${Buffer.from(value).toString('hex')}` : value));
}

const int32 = fc.oneof(fc.integer(), fc.integer({ min: 0, max: 20 }));
const int64 = fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: 0n, max: 30n }));
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 30 }),
  fc.constantFrom(Buffer.from('common'), Buffer.from('prefix-1'), Buffer.from('prefix-2')),
);
const double = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1.25, Number.NaN));
const float = double.map(Math.fround);

interface Written {
  readonly type: string;
  readonly values: fc.Arbitrary<Value>;
  readonly encodings: readonly string[];
}

const DICTIONARY = 'RLE_DICTIONARY';

const HYPARQUET_TYPES: readonly Written[] = [
  { type: 'BOOLEAN', values: fc.boolean(), encodings: ['PLAIN', 'RLE'] },
  { type: 'INT32', values: int32, encodings: ['PLAIN', DICTIONARY, 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'] },
  { type: 'INT64', values: int64, encodings: ['PLAIN', DICTIONARY, 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'] },
  { type: 'FLOAT', values: float, encodings: ['PLAIN', DICTIONARY, 'BYTE_STREAM_SPLIT'] },
  { type: 'DOUBLE', values: double, encodings: ['PLAIN', DICTIONARY, 'BYTE_STREAM_SPLIT'] },
  {
    type: 'BYTE_ARRAY',
    values: bytes,
    encodings: ['PLAIN', DICTIONARY, 'DELTA_LENGTH_BYTE_ARRAY', 'DELTA_BYTE_ARRAY'],
  },
];

const COMPRESSORS = {
  SNAPPY: (input: Uint8Array) => compressSnappy(Buffer.from(input)),
  GZIP: (input: Uint8Array) => gzipSync(input),
  ZSTD: (input: Uint8Array) => zstdCompressSync(input),
  BROTLI: (input: Uint8Array) => brotliCompressSync(input),
  LZ4_RAW: (input: Uint8Array) => compressLz4(Buffer.from(input)).subarray(4),
};

const layout = fc.record({
  codec: fc.constantFrom(
    'UNCOMPRESSED' as const,
    'SNAPPY' as const,
    'GZIP' as const,
    'ZSTD' as const,
    'BROTLI' as const,
    'LZ4_RAW' as const,
  ),
  pageSize: fc.constantFrom(100, 1000, 100_000),
  blockBytes: fc.constantFrom(32, 512, 32 * 1024),
});

/** One to 300 values, some runs of equal ones, and nulls where they are asked for. */
function columnOf(values: fc.Arbitrary<Value>): fc.Arbitrary<{ readonly nullable: boolean; readonly data: Value[] }> {
  return fc.boolean().chain((nullable) =>
    fc
      .array(fc.tuple(nullable ? fc.option(values, { freq: 3 }) : values, fc.constantFrom(1, 1, 1, 9, 40)), {
        minLength: 1,
        maxLength: 120,
      })
      .map((runs) => ({ nullable, data: runs.flatMap(([value, length]) => new Array<Value>(length).fill(value)) })),
  );
}

test('hyparquet-writer: v2 pages of every type, encoding and codec', () => {
  for (const { type, values, encodings } of HYPARQUET_TYPES) {
    for (const encoding of encodings) {
      property(
        fc.tuple(columnOf(values), layout),
        ([{ nullable, data }, { codec, pageSize, blockBytes }]) => {
          const writer = new ByteWriter();
          const column = { name: 'c', data, type, nullable, encoding };
          parquetWrite({
            writer,
            columnData: [column] as never,
            codec,
            compressors: COMPRESSORS,
            pageSize,
            statistics: false,
          });
          const decoded = decodeFile(new Uint8Array(writer.getBuffer()), blockBytes).get('c')!;
          // This writer's dictionaries take -0 and 0 for one value; only there is that let pass.
          const zeros = (values: readonly unknown[]) =>
            encoding === DICTIONARY ? values.map((v) => (v === 0 ? 0 : v)) : values;
          assert.deepStrictEqual(comparable(zeros(decoded)), comparable(zeros(data)), `${type} ${encoding} ${codec}`);
        },
        25,
      );
    }
  }
});

test('hyparquet-writer: fixed-length byte arrays', () => {
  for (const width of [1, 2, 5, 16]) {
    for (const encoding of ['PLAIN', DICTIONARY, 'BYTE_STREAM_SPLIT']) {
      const value = fc.uint8Array({ minLength: width, maxLength: width, max: 3 });
      property(
        fc.tuple(columnOf(value), layout),
        ([{ nullable, data }, { codec, pageSize, blockBytes }]) => {
          const writer = new ByteWriter();
          const schema = [
            { name: 'root', num_children: 1 },
            {
              name: 'c',
              type: 'FIXED_LEN_BYTE_ARRAY',
              type_length: width,
              repetition_type: nullable ? 'OPTIONAL' : 'REQUIRED',
            },
          ];
          const columnData = [{ name: 'c', data, encoding }];
          parquetWrite({
            writer,
            columnData: columnData as never,
            schema: schema as never,
            codec,
            compressors: COMPRESSORS,
            pageSize,
            statistics: false,
          });
          const decoded = decodeFile(new Uint8Array(writer.getBuffer()), blockBytes).get('c');
          assert.deepStrictEqual(comparable(decoded!), comparable(data), `width ${width} ${encoding} ${codec}`);
        },
        12,
      );
    }
  }
});

const ARROW_TYPES: ReadonlyArray<Written & { readonly arrow: arrow.DataType }> = [
  { type: 'BOOLEAN', arrow: new arrow.Bool(), values: fc.boolean(), encodings: ['PLAIN', 'RLE'] },
  {
    type: 'INT32',
    arrow: new arrow.Int32(),
    values: int32,
    encodings: ['PLAIN', 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'],
  },
  {
    type: 'INT64',
    arrow: new arrow.Int64(),
    values: int64,
    encodings: ['PLAIN', 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'],
  },
  { type: 'FLOAT', arrow: new arrow.Float32(), values: float, encodings: ['PLAIN', 'BYTE_STREAM_SPLIT'] },
  { type: 'DOUBLE', arrow: new arrow.Float64(), values: double, encodings: ['PLAIN', 'BYTE_STREAM_SPLIT'] },
  {
    type: 'BYTE_ARRAY',
    arrow: new arrow.Binary(),
    values: bytes,
    encodings: ['PLAIN', 'DELTA_LENGTH_BYTE_ARRAY', 'DELTA_BYTE_ARRAY'],
  },
  {
    type: 'FIXED_LEN_BYTE_ARRAY',
    arrow: new arrow.FixedSizeBinary(6),
    values: fc.uint8Array({ minLength: 6, maxLength: 6, max: 2 }),
    encodings: ['PLAIN', 'DELTA_BYTE_ARRAY', 'BYTE_STREAM_SPLIT'],
  },
];

const wasmLayout = fc.record({
  compression: fc.constantFrom(
    'UNCOMPRESSED' as const,
    'SNAPPY' as const,
    'GZIP' as const,
    'BROTLI' as const,
    'ZSTD' as const,
    'LZ4' as const,
    'LZ4_RAW' as const,
  ),
  version: fc.constantFrom(wasm.WriterVersion.V1, wasm.WriterVersion.V2),
  dictionary: fc.boolean(),
  pageBytes: fc.constantFrom(100, 2000, 1_000_000),
  blockBytes: fc.constantFrom(32, 512, 32 * 1024),
});

function writeWasm(
  data: readonly Value[],
  type: arrow.DataType,
  encoding: string,
  options: typeof wasmLayout extends fc.Arbitrary<infer O> ? O : never,
) {
  const vector = arrow.vectorFromArray(data, type);
  const ipc = arrow.tableToIPC(new arrow.Table({ c: vector }), 'stream');
  const properties = new wasm.WriterPropertiesBuilder()
    .setCompression(wasm.Compression[options.compression])
    .setWriterVersion(options.version)
    .setDictionaryEnabled(options.dictionary)
    .setEncoding(wasm.Encoding[encoding as 'PLAIN'])
    .setDataPageSizeLimit(options.pageBytes)
    .setWriteBatchSize(16)
    .build();
  return wasm.writeParquet(wasm.Table.fromIPCStream(ipc), properties);
}

test('parquet-wasm: v1 and v2 pages, with and without a dictionary, of every type, encoding and codec', () => {
  for (const { type, arrow: arrowType, values, encodings } of ARROW_TYPES) {
    for (const encoding of encodings) {
      property(
        fc.tuple(columnOf(values), wasmLayout),
        ([{ data }, options]) => {
          const file = writeWasm(data, arrowType, encoding, options);
          const decoded = decodeFile(file, options.blockBytes).get('c');
          assert.deepStrictEqual(
            comparable(decoded!),
            comparable(data),
            `${type} ${encoding} ${JSON.stringify(options)}`,
          );
        },
        20,
      );
    }
  }
});

/** Every physical type DuckDB writes; `x` is a hash of the row and the seed. */
const DUCKDB_COLUMNS: Readonly<Record<string, string>> = {
  bool: 'x % 2 = 0',
  tiny: '(x % 100)::utinyint',
  int: '((x % 4294967296)::bigint - 2147483648)::integer',
  low_int: '(x % 7)::integer',
  uint: '(x % 4294967296)::uinteger',
  bigint: '(x::hugeint - 9223372036854775808)::bigint',
  ubigint: 'x::ubigint',
  rising: '(i * 3 + x % 3)::bigint',
  real: '(x % 1000 / 8)::float',
  dbl: 'x / 7.0::double',
  text: "repeat(chr((65 + x % 26)::integer), (x % 20)::integer) || 'é'",
  low_text: "'name-' || (x % 9)",
  blob: "encode('b' || x)",
  uuid: 'md5(x::varchar)::uuid',
  small_decimal: '(x % 1000000)::decimal(9, 2)',
  decimal: '(x % 1000000)::decimal(18, 4)',
  wide_decimal: 'x::decimal(38, 5)',
  day: "date '2000-01-01' + (x % 9999)::integer",
  moment: "timestamp '2000-01-01' + to_microseconds((x % 9999999999)::bigint)",
  constant: "'one'",
  nothing: 'null::integer',
};

const duckdbLayout = fc.record({
  rows: fc.integer({ min: 1, max: 6000 }),
  seed: fc.nat(1_000_000),
  nullsEvery: fc.constantFrom(0, 2, 7, 1000),
  codec: fc.constantFrom('uncompressed', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'lz4_raw'),
  version: fc.constantFrom('V1', 'V2'),
  dictionaryLimit: fc.constantFrom(1, 100, 100_000),
  blockBytes: fc.constantFrom(64, 2048, 32 * 1024),
});

test('DuckDB: every type, codec and version', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pointlake-pages-'));
  const connection = await (await DuckDBInstance.create()).connect();
  try {
    await asyncProperty(
      duckdbLayout,
      async (options) => {
        const { rows, seed, nullsEvery, codec, version, dictionaryLimit, blockBytes } = options;
        const path = join(folder, 'written.parquet');
        const columns = Object.entries(DUCKDB_COLUMNS).map(([name, sql]) =>
          nullsEvery === 0
            ? `${sql} as ${name}`
            : `case when hash(x + length('${name}')) % ${nullsEvery} = 1 then null else ${sql} end as ${name}`,
        );
        await connection.run(
          `copy (select ${columns.join(', ')} from (select i, hash(i + ${seed}) as x from range(${rows}) t(i)) order by i)
         to '${path}' (format parquet, codec ${codec}, parquet_version ${version}, row_group_size 2048, dictionary_size_limit ${dictionaryLimit})`,
        );
        const file = readFileSync(path);
        const decoded = decodeFile(file, blockBytes);
        assert.equal(decoded.size, Object.keys(DUCKDB_COLUMNS).length);
        for (const { leaf } of chunksOf(file).chunks.slice(0, decoded.size)) {
          const ours = decoded.get(leaf.name)!;
          assert.equal(ours.length, rows);
          // hyparquet reads the first value of deltas as 32 bits, which DuckDB's zigzag of unsigned ones exceeds.
          if (leaf.name === 'uint') continue;
          assert.deepStrictEqual(
            comparable(ours),
            comparable(await oracleColumn(file, leaf)),
            `${leaf.name} ${JSON.stringify(options)}`,
          );
        }
        await compareWithSql(connection, decoded, path);
      },
      12,
    );
  } finally {
    connection.closeSync();
    rmSync(folder, { recursive: true });
  }
});

type Connection = Awaited<ReturnType<DuckDBInstance['connect']>>;

/** A few columns as DuckDB itself reads them back, so that hyparquet and we are not wrong together. */
async function compareWithSql(connection: Connection, decoded: Map<string, unknown[]>, path: string): Promise<void> {
  for (const name of ['int', 'uint', 'bigint', 'dbl', 'text', 'low_text']) {
    const result = await connection.runAndReadAll(`select ${name} from '${path}'`);
    const theirs = result.getRows().map(([value]) => (typeof value === 'string' ? Buffer.from(value) : value));
    const ours = decoded.get(name)!;
    const stored = name === 'uint' ? ours.map((value) => (value === null ? null : (value as number) >>> 0)) : ours;
    assert.deepStrictEqual(comparable(stored), comparable(theirs), name);
  }
}

test('the seed of this run is printed, for a replay with FUZZ_SEED', (t) => {
  t.diagnostic(`seed ${FUZZ_SEED}`);
});
