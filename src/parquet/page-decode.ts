/**
 * Pages to blocks: checks the page against its header, decompresses it, decodes levels and values, cuts blocks.
 *
 *     page = header | v1: compress(levels, values)          | v2: levels, compress(values)
 *                     levels: u32 length + runs               levels: runs, lengths in the header
 *
 * Nothing in a page is believed: sizes are compared with the bytes at hand and with the caller's bound before
 * anything is allocated, and codes with the dictionary they point into, so that reading a block needs no checks.
 */

import { corrupt, unsupported } from '../core/index.ts';
import { Block } from './block.ts';
import { cutBlocks, type DecodedPage, wholeBlock } from './block-writer.ts';
import { decompress } from './codecs.ts';
import { reusedMemory } from './encodings/decode-memory.ts';
import type { CompressionCodec } from './file-format.ts';
import { decodeBitPackedValidity, decodeRleValidity, type Validity } from './levels.ts';
import { decodeNestedPages, isNested } from './nested-decode.ts';
import { bodyOf, checkDecodedBytes, lengthPrefixed, namingColumn, type PageContext, readHeader } from './page-body.ts';
import { decodePageHeader, type PageHeader } from './page-header.ts';
import { decodedWidth, decodePlain, decodeValues, isDictionaryCoded } from './page-values.ts';
import type { LeafColumn } from './schema.ts';

export type { PageContext } from './page-body.ts';

/** The values of a flat page are cut into blocks before the next page is decoded, so all pages share this. */
const memory = reusedMemory();

/**
 * Header and body of one data page to blocks; for a repeated leaf of a chunk whose rows may go on from page to page, all
 * its data pages. Throws `corrupt` or `unsupported`, naming the column.
 */
export function decodeDataPage(page: Uint8Array, context: PageContext): DecodedPage {
  return namingColumn(context, () => {
    const { leaf } = context;
    if (isNested(leaf)) return decodeNestedPages(page, context, dictionaryOf(context));
    const header = readHeader(page, context);
    if (header.type !== 'DATA_PAGE' && header.type !== 'DATA_PAGE_V2') {
      throw corrupt(`a ${header.type} stands where a data page should`);
    }
    const rows = header.numValues;
    checkRows(header, context);
    const { validity, values } =
      header.type === 'DATA_PAGE' ? openV1(page, header, context) : openV2(page, header, context);
    const dense = decodeValues(values, header, validity.valid, context, memory);
    if (dense.kind === 'BYTES') checkDecodedBytes(4 * rows + dense.data.length, context);
    return cutBlocks(dense, validity, rows, context.blockBytes);
  });
}

/** Header and body of a dictionary page to one FIXED or BYTES block. */
export function decodeDictionaryPage(page: Uint8Array, context: PageContext): ArrayBuffer {
  return namingColumn(context, () => {
    const header = readHeader(page, context);
    if (header.type !== 'DICTIONARY_PAGE') throw corrupt(`a ${header.type} stands where a dictionary page should`);
    if (header.encoding !== 'PLAIN' && header.encoding !== 'PLAIN_DICTIONARY') {
      throw unsupported(`dictionary pages encoded as ${header.encoding} cannot be read`);
    }
    const values = decompress(context.codec, bodyOf(page, header), header.uncompressedPageSize);
    return wholeBlock(decodePlain(values, context.leaf, header.numValues));
  });
}

/**
 * About how many microseconds `decodeDataPage` will take: to choose between decoding at once and a hop to a thread.
 * The rates are of the bench `decode`; they need only be right within a factor of two.
 */
export function decodeCost(page: Uint8Array, context: PageContext): number {
  let cost = 3;
  for (let at = 0; at < page.length; ) {
    const header = decodePageHeader(page, at);
    if (header === 'needs_more') return cost;
    cost +=
      header.uncompressedPageSize * MICROSECONDS_PER_BYTE[context.codec] +
      header.numValues * costPerValue(context.leaf, header);
    if (!isNested(context.leaf)) return cost;
    at += header.headerLength + header.compressedPageSize;
  }
  return cost;
}

/** Byte arrays are copied one by one, unless a dictionary stands for them. */
function costPerValue(leaf: LeafColumn, header: PageHeader): number {
  const isText = leaf.physicalType === 'BYTE_ARRAY' && !isDictionaryCoded(header);
  const cost = isText ? MICROSECONDS_PER_BYTE_ARRAY : MICROSECONDS_PER_VALUE;
  return isNested(leaf) ? cost + MICROSECONDS_PER_LEVELS : cost;
}

const MICROSECONDS_PER_LEVELS = 0.02;
const MICROSECONDS_PER_VALUE = 0.006;
const MICROSECONDS_PER_BYTE_ARRAY = 0.03;
export const MICROSECONDS_PER_BYTE: Readonly<Record<CompressionCodec, number>> = {
  UNCOMPRESSED: 0.0003,
  SNAPPY: 0.001,
  LZ4: 0.0015,
  LZ4_RAW: 0.0012,
  ZSTD: 0.0015,
  GZIP: 0.0035,
  BROTLI: 0.006,
  LZO: 0,
};

function dictionaryOf({ dictionary }: PageContext): Block | undefined {
  return dictionary && Block.open(dictionary.buffer, dictionary.byteOffset, dictionary.byteLength);
}

export function checkRows(header: PageHeader, context: PageContext): void {
  const rows = header.numValues;
  if (header.numRows !== undefined && header.numRows !== rows) {
    throw corrupt(`a page of a flat column declares ${header.numRows} rows and ${rows} values`);
  }
  if (context.expectedRows !== undefined && context.expectedRows !== rows) {
    throw corrupt(`a page holds ${rows} rows where its location promises ${context.expectedRows}`);
  }
  // What a few bytes of runs can claim is bounded here, before levels or codes are allocated.
  checkDecodedBytes(rows * decodedWidth(context.leaf, header), context);
}

interface OpenedPage {
  readonly validity: Validity;
  /** The encoded values, decompressed. */
  readonly values: Uint8Array;
}

function openV1(page: Uint8Array, header: PageHeader, context: PageContext): OpenedPage {
  const rows = header.numValues;
  const data = decompress(context.codec, bodyOf(page, header), header.uncompressedPageSize);
  if (context.leaf.maxDefinitionLevel === 0) return { validity: { bitmap: undefined, valid: rows }, values: data };
  if (header.definitionLevelEncoding === 'BIT_PACKED') {
    const length = Math.ceil(rows / 8);
    if (length > data.length) throw corrupt(`the definition levels of ${rows} rows do not fit in the page`);
    return { validity: decodeBitPackedValidity(data, 0, rows), values: data.subarray(length) };
  }
  if (header.definitionLevelEncoding !== 'RLE') {
    throw corrupt(`definition levels cannot be encoded as ${header.definitionLevelEncoding}`);
  }
  const { start, end } = lengthPrefixed(data, 'definition levels');
  return { validity: decodeRleValidity(data, start, end, rows), values: data.subarray(end) };
}

function openV2(page: Uint8Array, header: PageHeader, context: PageContext): OpenedPage {
  const rows = header.numValues;
  const body = bodyOf(page, header);
  const levelsStart = header.repetitionLevelsByteLength;
  const levelsEnd = levelsStart + header.definitionLevelsByteLength;
  const validity =
    context.leaf.maxDefinitionLevel === 0
      ? { bitmap: undefined, valid: rows }
      : decodeRleValidity(body, levelsStart, levelsEnd, rows);
  const stored = body.subarray(levelsEnd);
  const codec = header.isCompressed ? context.codec : 'UNCOMPRESSED';
  // A page of nulls has no values; some writers then leave the compressed part out altogether.
  if (stored.length === 0 && validity.valid === 0) return { validity, values: stored };
  return { validity, values: decompress(codec, stored, header.uncompressedPageSize - levelsEnd) };
}
