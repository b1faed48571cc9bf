/**
 * What is expected of each conformance file beyond "read as every other reader reads it": what is refused and why, and
 * where another reader fails or differs, why ours is right. A rule that no longer holds fails the tests, as does an entry
 * of the corpus that nothing here accounts for.
 */

import type { ErrorKind } from '../../../src/core/index.ts';
import type { OracleName } from './corpus.ts';

interface Refusal {
  readonly error: ErrorKind;
  readonly message: RegExp;
  readonly why: string;
}

const NO_LZ4 = 'DuckDB does not read the codec LZ4';
const ENCRYPTED: Refusal = { error: 'unsupported', message: /encrypted/, why: 'encrypted; no keys can be given' };

const REFUSALS: Readonly<Record<string, Refusal>> = {
  'data/datapage_v1-corrupt-checksum.parquet': {
    error: 'corrupt',
    message: /CRC/,
    why: 'pages with a wrong CRC, on purpose; the other readers do not look at it',
  },
  'data/rle-dict-uncompressed-corrupt-checksum.parquet': {
    error: 'corrupt',
    message: /CRC/,
    why: 'pages with a wrong CRC, on purpose; the other readers do not look at it',
  },
  'data/large_string_map.brotli.parquet': {
    error: 'unsupported',
    message: /over the bound/,
    why: 'two strings of 1 GiB in 4 KB of Brotli; a page may have 256 MiB when decompressed',
  },
  'bad_data/ARROW-GH-41317.parquet': {
    error: 'corrupt',
    message: /is a chunk of another/,
    why: 'column chunks in place of those of other columns',
  },
  'bad_data/ARROW-GH-41321.parquet': {
    error: 'corrupt',
    message: /definition levels end/,
    why: 'fewer levels than the page says it has values',
  },
  'bad_data/ARROW-GH-45185.parquet': {
    error: 'corrupt',
    message: /begins in the middle of a row/,
    why: 'repetition levels that begin with 1',
  },
  'bad_data/ARROW-GH-47662.parquet': {
    error: 'corrupt',
    message: /do not fit/,
    why: 'nulls in a required column',
  },
  'bad_data/ARROW-RS-GH-6229-DICTHEADER.parquet': {
    error: 'corrupt',
    message: /outside the file/,
    why: 'a dictionary page header with a negative count, in a file cut short',
  },
  'bad_data/ARROW-RS-GH-6229-LEVELS.parquet': {
    error: 'corrupt',
    message: /levels end/,
    why: 'fewer repetition levels than values',
  },
  'bad_data/PARQUET-1481.parquet': {
    error: 'corrupt',
    message: /unknown type -7/,
    why: 'a schema element whose type is -7',
  },
};

export function refusalOf(name: string): Refusal | undefined {
  return name.endsWith('.encrypted') ? ENCRYPTED : REFUSALS[name];
}

/** A file of bad_data that is read all the same. */
export const READABLE_BAD: Readonly<Record<string, string>> = {
  'bad_data/ARROW-GH-43605.parquet':
    'codes of width 0 for a dictionary of one entry, which the format allows and every reader at hand reads',
};

/** Where another reader fails on a file or differs from us. */
export const DISAGREEMENTS: Readonly<Record<string, Partial<Readonly<Record<OracleName, string>>>>> = {
  'data/byte_stream_split_extended.gzip.parquet': {
    DuckDB: 'DuckDB reads BYTE_STREAM_SPLIT of FLOAT and DOUBLE only',
  },
  'data/datapage_v2_empty_datapage.snappy.parquet': {
    hyparquet: 'hyparquet hands the empty body to SNAPPY, which the page of no values does not hold',
  },
  'data/dict-page-offset-zero.parquet': {
    'parquet-wasm':
      'parquet-wasm fails on a field of the footer that has another type than the format gives it; nothing needs it',
  },
  'data/hadoop_lz4_compressed.parquet': { DuckDB: NO_LZ4 },
  'data/hadoop_lz4_compressed_larger.parquet': { DuckDB: NO_LZ4 },
  'data/non_hadoop_lz4_compressed.parquet': { DuckDB: NO_LZ4 },
  'data/int96_from_spark.parquet': {
    DuckDB: 'DuckDB overflows in the year 290000',
    'parquet-wasm': 'parquet-wasm takes INT96 for nanoseconds of 64 bits, which end in 2262',
    hyparquet: 'hyparquet loses the sign of the nanoseconds in the year 290000',
  },
  'data/map_no_value.parquet': { DuckDB: 'DuckDB refuses a map without values, which the format allows' },
  'data/nation.dict-malformed.parquet': {
    'parquet-wasm': 'the footer does not name the dictionary page, and parquet-wasm takes the first page for data',
    hyparquet: 'the footer does not name the dictionary page, and hyparquet ends the chunk before its data',
  },
  'data/nested_structs.rust.parquet': {
    DuckDB: 'DuckDB leaves out the zone of TIMESTAMP_MICROS, which the format says is UTC',
  },
  'data/repeated_no_annotation.parquet': {
    'parquet-wasm': 'parquet-wasm hands no rows of this file to Arrow',
  },
};

/** Entries that are no Parquet file, and what became of them. */
export const OTHER_ENTRIES: Readonly<Record<string, string>> = {
  'bad_data/README.md': 'describes the files',
  'data/README.md': 'describes the files',
  'data/geospatial/README.md': 'describes the files',
  'data/_KEY_MATERIAL_FOR_external_key_material_java.parquet.encrypted.json': 'keys of an encrypted file',
  'data/bloom_filter.bin': 'a bloom filter of the old, unused kind (murmur3)',
  'data/bloom_filter.xxhash.bin': 'a bloom filter without a file; the tests of bloom filters read it',
  'data/delta_binary_packed.md': 'describes the file',
  'data/delta_binary_packed_expect.csv': 'compared with the file',
  'data/delta_byte_array.md': 'describes the file',
  'data/delta_byte_array_expect.csv': 'compared with the file',
  'data/delta_encoding_optional_column.md': 'describes the file',
  'data/delta_encoding_optional_column_expect.csv': 'compared with the file',
  'data/delta_encoding_required_column.md': 'describes the file',
  'data/delta_encoding_required_column_expect.csv': 'compared with the file',
  'data/fixed_length_byte_array.md': 'describes the file',
  'data/int32_with_null_pages.md': 'describes the file',
  'data/int96_from_spark.md': 'its values are compared with the file',
  'data/map_no_value.md': 'describes the file',
  'data/old_list_structure.md': 'describes the file',
  'data/geospatial/crs-gen.py': 'wrote the files',
  'data/geospatial/geospatial-gen-geography.py': 'wrote the files',
  'data/geospatial/geospatial-gen.py': 'wrote the files',
  'data/geospatial/geospatial.yaml': 'describes the files',
};
