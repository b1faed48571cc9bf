/** Chunks of one large page each, of every type, encoding and way of having nulls that blocks are decoded of apart. */

import { zstdCompressSync } from 'node:zlib';
import { ByteWriter, type ColumnSource, parquetWrite } from 'hyparquet-writer';
import { compressSync } from 'snappy';
import { Block } from '../../../src/parquet/block.ts';
import { decodeDictionaryPage, type PageContext } from '../../../src/parquet/page-decode.ts';
import { type ChunkPages, CONTEXT_DEFAULTS } from './chunk-pages.ts';
import { FUZZ_SEED, randomFrom } from './property.ts';

/** Of a page. */
export const ROWS = 100_000;
const random = randomFrom(FUZZ_SEED);
export const codecs = ['UNCOMPRESSED', 'SNAPPY', 'ZSTD'] as const;
const compressors = {
  SNAPPY: (bytes: Uint8Array) => new Uint8Array(compressSync(Buffer.from(bytes))),
  ZSTD: (bytes: Uint8Array) => new Uint8Array(zstdCompressSync(bytes)),
};

const value: Readonly<Record<string, (row: number) => number | bigint | string>> = {
  INT64: (row) => BigInt(row) * 3n,
  DOUBLE: (row) => (row % 3 === 0 ? random() : Math.trunc(random() * 1e6) / 100),
  STRING: (row) => `note ${row} ${'lorem ipsum '.repeat(row % 11)}${random() < 0.001 ? 'x'.repeat(70_000) : 'é'}`,
};

export function columns(): readonly ColumnSource[] {
  const of = (name: string, type: string, encoding: string, isNull: (row: number) => boolean, nullable = true) => {
    const make = value[type] as (row: number) => number | bigint | string;
    const data = Array.from({ length: ROWS }, (_, row) =>
      isNull(row) ? null : encoding === 'PLAIN' ? make(row) : make(row % 700),
    );
    return { name, data, type, encoding, nullable } as ColumnSource;
  };
  const never = () => false;
  const cases = Object.keys(value).flatMap((type) =>
    ['PLAIN', 'RLE_DICTIONARY'].flatMap((encoding) => [
      of(`${type} ${encoding} required`, type, encoding, never, false),
      of(`${type} ${encoding} optional`, type, encoding, never),
      of(`${type} ${encoding} nulls`, type, encoding, () => random() < 0.3),
      of(`${type} ${encoding} runs of nulls`, type, encoding, (row) => row % 20_000 < 9_000),
    ]),
  );
  return [...cases, of('INT64 PLAIN only nulls', 'INT64', 'PLAIN', () => true)];
}

export function contextOf(chunk: ChunkPages, blockBytes: number): PageContext {
  const base: PageContext = { ...CONTEXT_DEFAULTS, leaf: chunk.leaf, codec: chunk.codec, blockBytes };
  const dictionary = chunk.dictionary && Block.open(decodeDictionaryPage(chunk.dictionary, base));
  return { ...base, dictionaryRows: dictionary?.rows };
}

export function written(codec: (typeof codecs)[number], columnData: readonly ColumnSource[]): Uint8Array {
  const writer = new ByteWriter();
  parquetWrite({
    writer,
    columnData: [...columnData],
    codec,
    compressors,
    pageSize: 2 ** 28,
    rowGroupSize: ROWS,
  } as Parameters<typeof parquetWrite>[0]);
  return new Uint8Array(writer.getBytes());
}
