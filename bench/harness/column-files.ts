/** One-column Parquet files of the kinds that matter, written by parquet-wasm from numbers that depend on nothing. */

import * as arrow from 'apache-arrow';
import * as wasm from 'parquet-wasm/node';

export interface ColumnCase {
  readonly name: string;
  readonly encoding:
    | 'PLAIN'
    | 'RLE_DICTIONARY'
    | 'DELTA_BINARY_PACKED'
    | 'DELTA_LENGTH_BYTE_ARRAY'
    | 'DELTA_BYTE_ARRAY'
    | 'BYTE_STREAM_SPLIT';
  readonly values: (rows: number) => arrow.Vector;
  readonly required?: boolean;
}

/** A hash of the row number: 32 bits that look random. */
function mix(row: number): number {
  let x = Math.imul(row + 0x9e3779b9, 0x85ebca6b);
  x ^= x >>> 15;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 13)) >>> 0;
}

const ids = (rows: number) => {
  const values = new BigInt64Array(rows);
  for (let i = 0; i < rows; i += 1) values[i] = BigInt(i) * 16n + BigInt(mix(i) % 16);
  return arrow.makeVector(values);
};
const fewNumbers = (rows: number) => {
  const values = new BigInt64Array(rows);
  for (let i = 0; i < rows; i += 1) values[i] = BigInt(mix(i) % 1000) * 1_000_003n;
  return arrow.makeVector(values);
};
const prices = (rows: number) => {
  const values = new Float64Array(rows);
  for (let i = 0; i < rows; i += 1) values[i] = (mix(i) % 1_000_000) / 100;
  return arrow.makeVector(values);
};
const text = (textOf: (row: number) => string) => (rows: number) =>
  arrow.vectorFromArray(
    Array.from({ length: rows }, (_, row) => textOf(row)),
    new arrow.Utf8(),
  );
const cities = text((row) => `city-${mix(row) % 500}`);
const urls = text((row) => `https://example.org/items/${(row * 64 + (mix(row) % 64)).toString(36).padStart(8, '0')}`);

export const COLUMN_CASES: readonly ColumnCase[] = [
  { name: 'int64', encoding: 'PLAIN', values: ids },
  { name: 'int64, required', encoding: 'PLAIN', values: ids, required: true },
  { name: 'int64', encoding: 'DELTA_BINARY_PACKED', values: ids },
  { name: 'int64, 1000 distinct', encoding: 'RLE_DICTIONARY', values: fewNumbers },
  { name: 'double', encoding: 'PLAIN', values: prices },
  { name: 'double, required', encoding: 'PLAIN', values: prices, required: true },
  { name: 'double', encoding: 'BYTE_STREAM_SPLIT', values: prices },
  { name: 'string, 500 distinct', encoding: 'RLE_DICTIONARY', values: cities },
  { name: 'string, 500 distinct', encoding: 'PLAIN', values: cities },
  { name: 'string, all distinct', encoding: 'PLAIN', values: urls },
  { name: 'string, all distinct', encoding: 'DELTA_LENGTH_BYTE_ARRAY', values: urls },
  { name: 'string, all distinct', encoding: 'DELTA_BYTE_ARRAY', values: urls },
];

/** The column is OPTIONAL, as nearly all writers make it, unless `required`; it has no nulls either way. */
export function writeColumn(
  vector: arrow.Vector,
  encoding: ColumnCase['encoding'],
  codec: 'SNAPPY' | 'ZSTD',
  required = false,
): Uint8Array {
  // A table made of the vector alone would guess its nullability, and not the same each time.
  const schema = new arrow.Schema([new arrow.Field('c', vector.type, !required)]);
  const ipc = arrow.tableToIPC(new arrow.Table(schema, { c: vector }), 'stream');
  const isDictionary = encoding === 'RLE_DICTIONARY';
  const properties = new wasm.WriterPropertiesBuilder()
    .setCompression(wasm.Compression[codec])
    .setDictionaryEnabled(isDictionary)
    .setEncoding(wasm.Encoding[isDictionary ? 'PLAIN' : encoding])
    .build();
  return wasm.writeParquet(wasm.Table.fromIPCStream(ipc), properties);
}
