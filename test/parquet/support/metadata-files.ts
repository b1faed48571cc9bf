/** Files to test metadata on: the format's own corpus, a published file, and files made with chosen writers. */

import { readdirSync, readFileSync } from 'node:fs';

import { type BasicType, parquetWriteBuffer } from 'hyparquet-writer';
import { Block } from '../../../src/parquet/block.ts';
import type { KeyValue } from '../../../src/parquet/compare.ts';
import type { ColumnChunk, FileIndex } from '../../../src/parquet/file-index.ts';
import { decodeFooter } from '../../../src/parquet/footer.ts';
import { keyValueAt } from '../../../src/parquet/key-value.ts';
import { decodeDataPage, decodeDictionaryPage } from '../../../src/parquet/page-decode.ts';
import { decodePageHeader } from '../../../src/parquet/page-header.ts';
import { decodeOffsetIndex, type PageLocations } from '../../../src/parquet/page-locations.ts';
import { PageWalker } from '../../../src/parquet/page-walker.ts';

const CORPUS = new URL('../../../../shared/corpus/parquet-testing/', import.meta.url);

export function corpusFiles(folder: 'data' | 'bad_data'): string[] {
  return readdirSync(new URL(`${folder}/`, CORPUS), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.parquet(\.encrypted)?$/.test(name))
    .map((name) => `${folder}/${name}`)
    .sort();
}

export function readCorpus(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(name, CORPUS)));
}

export function readFlights(): Uint8Array {
  const path = new URL('../../../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url);
  return new Uint8Array(readFileSync(path));
}

export interface GeneratedColumn {
  readonly name: string;
  readonly type: BasicType;
  readonly data: readonly unknown[];
}

/** Small pages and row groups, page indexes and bloom filters on every column. */
export function writeGenerated(
  columns: readonly GeneratedColumn[],
  rowGroupSize: number,
  pageSize: number,
): Uint8Array {
  const columnData = columns.map(({ name, type, data }) => ({
    name,
    type,
    data: [...data],
    nullable: true,
    columnIndex: true,
    offsetIndex: true,
    bloomFilter: type !== 'BOOLEAN',
  }));
  return new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize, pageSize }));
}

export function openIndex(file: Uint8Array): FileIndex {
  const decoded = decodeFooter(file, file.length);
  if (decoded.kind === 'needs') throw new Error('a whole file is enough for its footer');
  return decoded.index;
}

/** Locations by the offset index where the file has one. */
export function locate(file: Uint8Array, index: FileIndex, chunk: ColumnChunk): PageLocations {
  const rows = index.rowGroupRows(chunk.rowGroup);
  const range = chunk.offsetIndexRange;
  if (range === undefined) return walk(file, index, chunk);
  return decodeOffsetIndex(file.subarray(range.start, range.end), chunk, rows);
}

/** Locations by walking, with the whole file at hand. */
export function walk(file: Uint8Array, index: FileIndex, chunk: ColumnChunk): PageLocations {
  const step = new PageWalker(chunk, index.rowGroupRows(chunk.rowGroup)).next(file, 0);
  if (step.kind === 'needs') throw new Error('a whole file is enough for its pages');
  return step.locations;
}

/** Every key value of one page. */
export function pageKeys(file: Uint8Array, chunk: ColumnChunk, locations: PageLocations, page: number): KeyValue[] {
  const context = {
    leaf: chunk.leaf,
    codec: chunk.codec,
    dictionaryRows: undefined as number | undefined,
    expectedRows: locations.rowEnd(page) - locations.firstRow(page),
    verifyCrc: false,
    blockBytes: 32_768,
    maxPageBytes: 2 ** 28,
  };
  let dictionary: Block | undefined;
  if (locations.dictionaryRange !== undefined) {
    const { start, end } = locations.dictionaryRange;
    dictionary = Block.open(decodeDictionaryPage(file.subarray(start, end), context));
    context.dictionaryRows = dictionary.rows;
  }
  const { start, end } = locations.range(page);
  const decoded = decodeDataPage(file.subarray(start, end), context);
  return decoded.blocks.flatMap((bytes) => {
    const block = Block.open(bytes);
    if (block.kind === 'CODES') block.dictionary = dictionary;
    const keys: KeyValue[] = [];
    for (let row = 0; row < block.rows; row += 1) if (!block.isNull(row)) keys.push(keyValueAt(block, chunk.leaf, row));
    return keys;
  });
}

/** Where the body of the page at `start` begins, and whether a CRC vouches for it. */
export function pageBodyAt(file: Uint8Array, start: number): { readonly start: number; readonly hasCrc: boolean } {
  const header = decodePageHeader(file, start);
  if (header === 'needs_more') throw new Error('a whole file is enough for a page header');
  return { start: start + header.headerLength, hasCrc: header.crc !== undefined };
}
