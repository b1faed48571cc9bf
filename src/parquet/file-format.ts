/**
 * The enumerations of parquet.thrift, position by number
 * (https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift). A hole is a number that the
 * format never used.
 */

import type { PhysicalType, Repetition } from './schema.ts';

export type CompressionCodec = 'UNCOMPRESSED' | 'SNAPPY' | 'GZIP' | 'LZO' | 'BROTLI' | 'LZ4' | 'ZSTD' | 'LZ4_RAW';

export type Encoding =
  | 'PLAIN'
  | 'PLAIN_DICTIONARY'
  | 'RLE'
  | 'BIT_PACKED'
  | 'DELTA_BINARY_PACKED'
  | 'DELTA_LENGTH_BYTE_ARRAY'
  | 'DELTA_BYTE_ARRAY'
  | 'RLE_DICTIONARY'
  | 'BYTE_STREAM_SPLIT';

export type PageType = 'DATA_PAGE' | 'INDEX_PAGE' | 'DICTIONARY_PAGE' | 'DATA_PAGE_V2';

/** How the bounds of a column are ordered, as FileMetaData.column_orders says; UNDEFINED where it says nothing known. */
export type ColumnOrder = 'UNDEFINED' | 'TYPE_ORDER' | 'IEEE_754_TOTAL_ORDER' | 'INT96_TIMESTAMP_ORDER';

export type BoundaryOrder = 'UNORDERED' | 'ASCENDING' | 'DESCENDING';

export const PHYSICAL_TYPES: readonly PhysicalType[] = [
  'BOOLEAN',
  'INT32',
  'INT64',
  'INT96',
  'FLOAT',
  'DOUBLE',
  'BYTE_ARRAY',
  'FIXED_LEN_BYTE_ARRAY',
];

export const REPETITIONS: readonly Repetition[] = ['REQUIRED', 'OPTIONAL', 'REPEATED'];

export const COMPRESSION_CODECS: readonly CompressionCodec[] = [
  'UNCOMPRESSED',
  'SNAPPY',
  'GZIP',
  'LZO',
  'BROTLI',
  'LZ4',
  'ZSTD',
  'LZ4_RAW',
];

export const ENCODINGS: readonly (Encoding | undefined)[] = [
  'PLAIN',
  undefined,
  'PLAIN_DICTIONARY',
  'RLE',
  'BIT_PACKED',
  'DELTA_BINARY_PACKED',
  'DELTA_LENGTH_BYTE_ARRAY',
  'DELTA_BYTE_ARRAY',
  'RLE_DICTIONARY',
  'BYTE_STREAM_SPLIT',
];

export const PAGE_TYPES: readonly PageType[] = ['DATA_PAGE', 'INDEX_PAGE', 'DICTIONARY_PAGE', 'DATA_PAGE_V2'];

export const COLUMN_ORDERS: readonly ColumnOrder[] = [
  'UNDEFINED',
  'TYPE_ORDER',
  'IEEE_754_TOTAL_ORDER',
  'INT96_TIMESTAMP_ORDER',
];

export const BOUNDARY_ORDERS: readonly BoundaryOrder[] = ['UNORDERED', 'ASCENDING', 'DESCENDING'];
