/**
 * Pages to blocks: checks the page against its header, decompresses it, decodes levels and values, cuts blocks.
 *
 *     page = header | v1: compress(levels, values)          | v2: levels, compress(values)
 *                     levels: u32 length + runs               levels: runs, lengths in the header
 *
 * Nothing in a page is believed: sizes are compared with the bytes at hand and with the caller's bound before
 * anything is allocated, and codes with the dictionary they point into, so that reading a block needs no checks.
 */

import { crc32 } from 'node:zlib';
import { corrupt, ServiceError, unsupported } from '../core/index.ts';
import { cutBlocks, type DecodedPage, wholeBlock } from './block-writer.ts';
import { decompress } from './codecs.ts';
import { decodeByteStreamSplit } from './encodings/byte-stream-split.ts';
import { decodeDeltaInt32, decodeDeltaInt64 } from './encodings/delta-binary-packed.ts';
import { decodeDeltaByteArrays, decodeDeltaLengthByteArrays } from './encodings/delta-byte-array.ts';
import {
  type BytesValues,
  type CodeValues,
  type DenseValues,
  type FixedValues,
  fixedValues,
} from './encodings/dense-values.ts';
import { decodePlainBooleans, decodePlainByteArrays } from './encodings/plain.ts';
import { decodeRleBitPacked } from './encodings/rle-bit-packed.ts';
import type { CompressionCodec } from './file-format.ts';
import { decodeBitPackedValidity, decodeRleValidity, type Validity } from './levels.ts';
import { decodePageHeader, type PageHeader } from './page-header.ts';
import type { LeafColumn } from './schema.ts';

export interface PageContext {
  readonly leaf: LeafColumn;
  readonly codec: CompressionCodec;
  /** Rows of the chunk's dictionary block; undefined where the chunk has none. */
  readonly dictionaryRows: number | undefined;
  /** Rows that the page locations promise; undefined where nothing does. */
  readonly expectedRows: number | undefined;
  readonly verifyCrc: boolean;
  /** What an average block should weigh. */
  readonly blockBytes: number;
  /** No page may be larger, neither decompressed nor decoded. */
  readonly maxPageBytes: number;
}

/** Offsets in blocks are 32 bits; this leaves room for headers and padding. */
const MAX_DECODED_BYTES = 2 ** 31;

/** Header and body of one data page to blocks. Throws `corrupt` or `unsupported`, naming the column. */
export function decodeDataPage(page: Uint8Array, context: PageContext): DecodedPage {
  return namingColumn(context, () => {
    const { leaf } = context;
    refuseNested(leaf);
    const header = readHeader(page, context);
    if (header.type !== 'DATA_PAGE' && header.type !== 'DATA_PAGE_V2') {
      throw corrupt(`a ${header.type} stands where a data page should`);
    }
    const rows = header.numValues;
    checkRows(header, context);
    const { validity, values } =
      header.type === 'DATA_PAGE' ? openV1(page, header, context) : openV2(page, header, context);
    const dense = decodeValues(values, header, validity.valid, context);
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
  const header = decodePageHeader(page, 0);
  if (header === 'needs_more') return 0;
  const perByte = MICROSECONDS_PER_BYTE[context.codec];
  return 3 + header.uncompressedPageSize * perByte + header.numValues * MICROSECONDS_PER_VALUE;
}

const MICROSECONDS_PER_VALUE = 0.006;
const MICROSECONDS_PER_BYTE: Readonly<Record<CompressionCodec, number>> = {
  UNCOMPRESSED: 0.0003,
  SNAPPY: 0.001,
  LZ4: 0.0015,
  LZ4_RAW: 0.0012,
  ZSTD: 0.0015,
  GZIP: 0.0035,
  BROTLI: 0.006,
  LZO: 0,
};

function namingColumn<Result>(context: PageContext, decode: () => Result): Result {
  try {
    return decode();
  } catch (thrown) {
    throw thrown instanceof ServiceError ? thrown.with({ column: context.leaf.name }) : thrown;
  }
}

function refuseNested(leaf: LeafColumn): void {
  if (leaf.maxRepetitionLevel > 0 || leaf.maxDefinitionLevel > 1) {
    throw unsupported(
      `column ${leaf.name} is nested (repeated, or optional within an optional group), which cannot be read yet`,
      {
        feature: 'nested columns',
      },
    );
  }
}

/** The header, its sizes compared with the page and with the bound, and the body with its CRC. */
function readHeader(page: Uint8Array, context: PageContext): PageHeader {
  const header = decodePageHeader(page, 0);
  if (header === 'needs_more') throw corrupt('a page ends in the middle of its header');
  const left = page.length - header.headerLength;
  if (header.compressedPageSize > left) {
    throw corrupt(`a page header declares ${header.compressedPageSize} bytes where ${left} follow`);
  }
  if (header.uncompressedPageSize > context.maxPageBytes) {
    throw unsupported(`a page of ${header.uncompressedPageSize} bytes is over the bound of ${context.maxPageBytes}`, {
      feature: 'page size',
    });
  }
  if (context.verifyCrc && header.crc !== undefined && crc32(bodyOf(page, header)) !== header.crc >>> 0) {
    throw corrupt('the CRC of a page does not match its bytes');
  }
  return header;
}

function bodyOf(page: Uint8Array, header: PageHeader): Uint8Array {
  return page.subarray(header.headerLength, header.headerLength + header.compressedPageSize);
}

function checkRows(header: PageHeader, context: PageContext): void {
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

function decodedWidth(leaf: LeafColumn, header: PageHeader): number {
  return isDictionaryCoded(header) || leaf.physicalType === 'BYTE_ARRAY' ? 4 : fixedWidth(leaf);
}

function checkDecodedBytes(bytes: number, { maxPageBytes }: PageContext): void {
  const bound = Math.min(maxPageBytes, MAX_DECODED_BYTES);
  if (bytes > bound) {
    throw unsupported(`a page that decodes to ${bytes} bytes is over the bound of ${bound}`, { feature: 'page size' });
  }
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

/** The range behind a 4-byte little-endian length. */
function lengthPrefixed(data: Uint8Array, what: string): { readonly start: number; readonly end: number } {
  if (data.length < 4) throw corrupt(`the page ends before the length of its ${what}`);
  const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  if (length > data.length - 4) throw corrupt(`the ${what} claim ${length} bytes where ${data.length - 4} are left`);
  return { start: 4, end: 4 + length };
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

function isDictionaryCoded(header: PageHeader): boolean {
  return header.encoding === 'RLE_DICTIONARY' || header.encoding === 'PLAIN_DICTIONARY';
}

function decodeValues(values: Uint8Array, header: PageHeader, count: number, context: PageContext): DenseValues {
  const { leaf } = context;
  // A page of nulls need not hold anything, and its codes would point into an empty dictionary.
  if (count === 0) return emptyValues(leaf);
  switch (header.encoding) {
    case 'PLAIN':
      return decodePlain(values, leaf, count);
    case 'RLE_DICTIONARY':
    case 'PLAIN_DICTIONARY':
      return decodeCodes(values, count, context);
    case 'RLE':
      return decodeRleBooleans(values, leaf, count);
    case 'DELTA_BINARY_PACKED':
      return decodeDelta(values, leaf, count);
    case 'DELTA_LENGTH_BYTE_ARRAY':
      if (leaf.physicalType !== 'BYTE_ARRAY') throw wrongEncoding(header, leaf);
      return decodeDeltaLengthByteArrays(values, count);
    case 'DELTA_BYTE_ARRAY':
      return decodeDeltaStrings(values, count, header, context);
    case 'BYTE_STREAM_SPLIT':
      if (!SPLIT_TYPES.has(leaf.physicalType)) throw wrongEncoding(header, leaf);
      return decodeByteStreamSplit(values, fixedWidth(leaf), count);
    case 'BIT_PACKED':
      throw wrongEncoding(header, leaf);
  }
}

const SPLIT_TYPES: ReadonlySet<string> = new Set(['INT32', 'INT64', 'FLOAT', 'DOUBLE', 'FIXED_LEN_BYTE_ARRAY']);

function wrongEncoding(header: PageHeader, leaf: LeafColumn): ServiceError {
  return corrupt(`${leaf.physicalType} values cannot be encoded as ${header.encoding}`);
}

function emptyValues(leaf: LeafColumn): DenseValues {
  const data = new Uint8Array(0);
  return leaf.physicalType === 'BYTE_ARRAY'
    ? { kind: 'BYTES', count: 0, data, offsets: new Uint32Array(1), gap: 0 }
    : { kind: 'FIXED', count: 0, data, width: fixedWidth(leaf) };
}

/** Bytes of one value in a block. Booleans take a whole one, so that they are read and searched without shifts. */
function fixedWidth(leaf: LeafColumn): number {
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      return 1;
    case 'INT32':
    case 'FLOAT':
      return 4;
    case 'INT64':
    case 'DOUBLE':
      return 8;
    case 'INT96':
      return 12;
    case 'FIXED_LEN_BYTE_ARRAY':
      if (leaf.typeLength < 1) throw corrupt(`a FIXED_LEN_BYTE_ARRAY cannot have a length of ${leaf.typeLength}`);
      return leaf.typeLength;
    case 'BYTE_ARRAY':
      throw corrupt('a BYTE_ARRAY has no fixed width');
  }
}

function decodePlain(values: Uint8Array, leaf: LeafColumn, count: number): FixedValues | BytesValues {
  if (leaf.physicalType === 'BYTE_ARRAY') return decodePlainByteArrays(values, count);
  if (leaf.physicalType === 'BOOLEAN') return decodePlainBooleans(values, count);
  return fixedValues(values, fixedWidth(leaf), count);
}

function decodeCodes(values: Uint8Array, count: number, { dictionaryRows }: PageContext): CodeValues {
  if (dictionaryRows === undefined)
    throw corrupt('a page holds dictionary codes but its column chunk has no dictionary');
  const bitWidth = values[0];
  if (bitWidth === undefined) throw corrupt('a page of dictionary codes ends before their bit width');
  const codes = new Uint32Array(count);
  if (bitWidth !== 0) decodeRleBitPacked(values, 1, values.length, bitWidth, codes, count);
  let greatest = 0;
  for (let i = 0; i < count; i += 1) if (codes[i]! > greatest) greatest = codes[i]!;
  if (greatest >= dictionaryRows) {
    throw corrupt(`code ${greatest} points beyond the ${dictionaryRows} entries of the dictionary`);
  }
  return { kind: 'CODES', count, codes, dictionaryRows };
}

function decodeRleBooleans(values: Uint8Array, leaf: LeafColumn, count: number): FixedValues {
  if (leaf.physicalType !== 'BOOLEAN') throw corrupt(`${leaf.physicalType} values cannot be encoded as RLE`);
  const { start, end } = lengthPrefixed(values, 'booleans');
  // Booleans are encoded as levels of 0 and 1 are, so the same decoder makes a bitmap of them.
  const { bitmap } = decodeRleValidity(values, start, end, count);
  return bitmap === undefined
    ? { kind: 'FIXED', count, width: 1, data: new Uint8Array(count).fill(1) }
    : decodePlainBooleans(bitmap, count);
}

function decodeDelta(values: Uint8Array, leaf: LeafColumn, count: number): FixedValues {
  if (leaf.physicalType === 'INT32') {
    const out = new Int32Array(count);
    decodeDeltaInt32(values, 0, values.length, out, count);
    return { kind: 'FIXED', count, width: 4, data: new Uint8Array(out.buffer) };
  }
  if (leaf.physicalType === 'INT64') {
    const out = new Int32Array(2 * count);
    decodeDeltaInt64(values, 0, values.length, out, count);
    return { kind: 'FIXED', count, width: 8, data: new Uint8Array(out.buffer) };
  }
  throw corrupt(`${leaf.physicalType} values cannot be encoded as DELTA_BINARY_PACKED`);
}

function decodeDeltaStrings(values: Uint8Array, count: number, header: PageHeader, context: PageContext): DenseValues {
  const { leaf } = context;
  if (leaf.physicalType !== 'BYTE_ARRAY' && leaf.physicalType !== 'FIXED_LEN_BYTE_ARRAY')
    throw wrongEncoding(header, leaf);
  const bound = Math.min(context.maxPageBytes, MAX_DECODED_BYTES);
  const strings = decodeDeltaByteArrays(values, count, bound);
  if (leaf.physicalType === 'BYTE_ARRAY') return strings;
  const width = fixedWidth(leaf);
  for (let i = 0; i < count; i += 1) {
    const length = strings.offsets[i + 1]! - strings.offsets[i]!;
    if (length !== width) throw corrupt(`a value of ${length} bytes stands in a column of ${width} bytes each`);
  }
  return { kind: 'FIXED', count, width, data: strings.data };
}
