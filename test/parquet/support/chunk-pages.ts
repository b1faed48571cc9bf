/**
 * Column chunks read through the page decoder, with the layout taken from hyparquet's reading of the footer, so that
 * a fault in our own metadata cannot hide one in the decoder.
 */

import assert from 'node:assert/strict';
import { parquetMetadata } from 'hyparquet';
import { Block } from '../../../src/parquet/block.ts';
import type { DecodedPage } from '../../../src/parquet/block-writer.ts';
import type { CompressionCodec } from '../../../src/parquet/file-format.ts';
import { blockCost, decodeBlockOf, decodeBlockOfPrefix } from '../../../src/parquet/page-block.ts';
import { decodeDataPage, decodeDictionaryPage, type PageContext } from '../../../src/parquet/page-decode.ts';
import { decodePageHeader } from '../../../src/parquet/page-header.ts';
import type { LeafColumn, LogicalType, PhysicalType } from '../../../src/parquet/schema.ts';

type Metadata = ReturnType<typeof parquetMetadata>;
type ColumnMetaData = NonNullable<Metadata['row_groups'][number]['columns'][number]['meta_data']>;
type Element = Metadata['schema'][number];

export interface ChunkPages {
  readonly leaf: LeafColumn;
  readonly rowGroup: number;
  readonly codec: CompressionCodec;
  readonly rows: number;
  readonly dictionary: Uint8Array | undefined;
  readonly pages: readonly Uint8Array[];
}

export function metadataOf(file: Uint8Array): Metadata {
  return parquetMetadata(bufferOf(file));
}

export function bufferOf(file: Uint8Array): ArrayBuffer {
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
}

/** Every leaf of the schema in order, with its levels. */
export function leavesOf(metadata: Metadata): LeafColumn[] {
  const leaves: LeafColumn[] = [];
  let next = 1;
  const walk = (count: number, path: readonly string[], definition: number, repetition: number) => {
    for (let i = 0; i < count; i += 1) {
      const element = metadata.schema[next++]!;
      const name = [...path, element.name];
      const d = definition + (element.repetition_type === 'REQUIRED' ? 0 : 1);
      const r = repetition + (element.repetition_type === 'REPEATED' ? 1 : 0);
      if (element.type === undefined) walk(element.num_children ?? 0, name, d, r);
      else leaves.push(leafOf(element, leaves.length, name, d, r));
    }
  };
  walk(metadata.schema[0]?.num_children ?? 0, [], 0, 0);
  return leaves;
}

function leafOf(element: Element, ordinal: number, path: string[], d: number, r: number): LeafColumn {
  return {
    ordinal,
    path,
    name: path.join('.'),
    physicalType: element.type as PhysicalType,
    typeLength: element.type === 'FIXED_LEN_BYTE_ARRAY' ? (element.type_length ?? 0) : 0,
    logicalType: logicalTypeOf(element),
    maxDefinitionLevel: d,
    maxRepetitionLevel: r,
  };
}

function logicalTypeOf(element: Element): LogicalType {
  const converted = element.converted_type;
  const logical = element.logical_type;
  if (logical?.type === 'FLOAT16') return { kind: 'FLOAT16' };
  if (logical?.type === 'INTEGER') {
    return { kind: 'INTEGER', bitWidth: logical.bitWidth as 8 | 16 | 32 | 64, isSigned: logical.isSigned };
  }
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    return { kind: 'DECIMAL', precision: element.precision ?? 0, scale: element.scale ?? 0 };
  }
  if (converted === 'INTERVAL') return { kind: 'INTERVAL' };
  const unsigned = /^UINT_(8|16|32|64)$/.exec(converted ?? '');
  if (unsigned) return { kind: 'INTEGER', bitWidth: Number(unsigned[1]) as 8 | 16 | 32 | 64, isSigned: false };
  return { kind: 'NONE' };
}

/** The pages of every chunk of the flat leaves; others are named in `nested`. */
export function chunksOf(file: Uint8Array, metadata = metadataOf(file)): { chunks: ChunkPages[]; nested: string[] } {
  const leaves = leavesOf(metadata);
  const nested = leaves.filter((leaf) => !isFlat(leaf)).map((leaf) => leaf.name);
  const chunks: ChunkPages[] = [];
  metadata.row_groups.forEach((rowGroup, ordinal) => {
    rowGroup.columns.forEach((column, c) => {
      const leaf = leaves[c]!;
      if (!isFlat(leaf) || column.meta_data === undefined) return;
      const pages = pagesOf(file, column.meta_data);
      chunks.push({
        leaf,
        rowGroup: ordinal,
        codec: column.meta_data.codec,
        rows: Number(rowGroup.num_rows),
        ...pages,
      });
    });
  });
  return { chunks, nested };
}

export function isFlat(leaf: LeafColumn): boolean {
  return leaf.maxRepetitionLevel === 0 && leaf.maxDefinitionLevel <= 1;
}

function pagesOf(file: Uint8Array, meta: ColumnMetaData) {
  let position = Number(meta.data_page_offset);
  const dictionaryAt = Number(meta.dictionary_page_offset ?? 0n);
  if (dictionaryAt > 0 && dictionaryAt < position) position = dictionaryAt;
  let dictionary: Uint8Array | undefined;
  const pages: Uint8Array[] = [];
  for (let values = 0; values < Number(meta.num_values); ) {
    const header = decodePageHeader(file, position);
    if (header === 'needs_more') throw new Error(`page header at ${position} is cut off`);
    const end = position + header.headerLength + header.compressedPageSize;
    const page = file.subarray(position, end);
    if (header.type === 'DICTIONARY_PAGE') dictionary = page;
    else if (header.type !== 'INDEX_PAGE') {
      pages.push(page);
      values += header.numValues;
    }
    position = end;
  }
  return { dictionary, pages };
}

export const CONTEXT_DEFAULTS = {
  dictionaryRows: undefined,
  expectedRows: undefined,
  verifyCrc: true,
  blockBytes: 32 * 1024,
  maxPageBytes: 256 * 2 ** 20,
} as const;

export interface ChunkBlocks {
  readonly leaf: LeafColumn;
  readonly blocks: readonly Block[];
  /** First row of each block within the chunk. */
  readonly firstRows: readonly number[];
  readonly rows: number;
}

/** Decodes a whole chunk and checks what every decoded page must hold: full blocks but the last. */
export function decodeChunk(chunk: ChunkPages, overrides: Partial<PageContext> = {}): ChunkBlocks {
  const base: PageContext = { ...CONTEXT_DEFAULTS, leaf: chunk.leaf, codec: chunk.codec, ...overrides };
  const dictionary = chunk.dictionary && Block.open(decodeDictionaryPage(chunk.dictionary, base));
  const context: PageContext = { ...base, dictionaryRows: dictionary?.rows };
  const blocks: Block[] = [];
  const firstRows: number[] = [];
  let row = 0;
  for (const page of chunk.pages) {
    const decoded = decodeDataPage(page, context);
    for (const wanted of [0, decoded.rows >>> 1, decoded.rows - 1]) {
      assertBlockOf(wanted, page, context, decoded);
      if (wanted < 0) continue;
      for (const share of [0.3, 0.6, 0.9]) assertBlockOfPrefix(wanted, share * page.length, page, context, decoded);
    }
    let left = decoded.rows;
    for (const buffer of decoded.blocks) {
      const block = Block.open(buffer);
      if (block.kind === 'CODES') block.dictionary = dictionary;
      const expected = Math.min(left, 2 ** decoded.shift);
      if (block.rows !== expected) throw new Error(`a block has ${block.rows} rows instead of ${expected}`);
      blocks.push(block);
      firstRows.push(row);
      row += block.rows;
      left -= block.rows;
    }
    if (left !== 0) throw new Error(`${left} rows of a page are in no block`);
  }
  return { leaf: chunk.leaf, blocks, firstRows, rows: row };
}

/** Where a page gives one block by itself, it is the block that the whole page has. Says whether it does. */
export function assertBlockOf(row: number, page: Uint8Array, context: PageContext, whole: DecodedPage): boolean {
  const alone = row < 0 ? undefined : decodeBlockOf(row, page, context);
  assert.ok(alone === undefined || blockCost(row, page, context) !== undefined);
  if (alone === undefined) return false;
  assertSameBlock(row, alone, whole);
  return true;
}

/** The same of the first bytes of a page, where they give a block. */
export function assertBlockOfPrefix(
  row: number,
  bytes: number,
  page: Uint8Array,
  context: PageContext,
  whole: DecodedPage,
): boolean {
  // In memory of its own, so that what lies behind it cannot be looked at.
  const alone = decodeBlockOfPrefix(row, Uint8Array.from(page.subarray(0, bytes)), page.length, context);
  if (alone !== undefined) assertSameBlock(row, alone, whole);
  return alone !== undefined;
}

function assertSameBlock(row: number, alone: DecodedPage, whole: DecodedPage): void {
  const { firstBlock = -1, blocks, ...form } = alone;
  assert.deepEqual(form, { rows: whole.rows, shift: whole.shift });
  assert.equal(firstBlock, row >>> whole.shift);
  const [block] = blocks;
  const same = whole.blocks[firstBlock];
  assert.ok(blocks.length === 1 && block !== undefined && same !== undefined);
  assert.ok(Buffer.from(block).equals(Buffer.from(same)), `the block of row ${row} is what the whole page has there`);
}

/** One value as the plain form that tests compare: null, number, bigint, boolean or bytes. */
export function valueAt(leaf: LeafColumn, block: Block, row: number): unknown {
  if (block.isNull(row)) return null;
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      return block.booleanAt(row);
    case 'INT32':
      return block.int32At(row);
    case 'INT64':
      return block.int64At(row);
    case 'FLOAT':
      return block.float32At(row);
    case 'DOUBLE':
      return block.float64At(row);
    default:
      return block.bytesAt(row);
  }
}

export function valuesOf({ leaf, blocks }: ChunkBlocks): unknown[] {
  const values: unknown[] = [];
  for (const block of blocks) for (let row = 0; row < block.rows; row += 1) values.push(valueAt(leaf, block, row));
  return values;
}
