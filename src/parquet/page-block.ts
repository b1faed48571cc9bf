/**
 * One block of a page without the others: what a lookup of one row wants of a page of a hundred thousand.
 *
 *     page = header | compress(levels, values)      levels -> which value the block begins with
 *                                                   values -> where that one lies -> the block
 *
 * It is the very block that decoding the whole page would give. Of a Snappy page only the parts on the way to it are
 * decompressed; of dictionary codes those before it are decoded; of byte arrays the lengths before it are gone through. What
 * lies behind is not looked at, so a page that is broken there gives a block all the same; its CRC, where there is one, holds
 * for all of it. Nor need it be there: `page-prefix.ts` tells how much of a page is.
 */

import { corrupt, ServiceError } from '../core/index.ts';
import { codeWidth, cutBlock, type DecodedPage, shiftFor } from './block-writer.ts';
import { decompress } from './codecs.ts';
import { reusedMemory } from './encodings/decode-memory.ts';
import { type DenseValues, fixedValues } from './encodings/dense-values.ts';
import { decodePlainByteArrays } from './encodings/plain.ts';
import type { CompressionCodec } from './file-format.ts';
import { countBits, decodeRleValidity, type Validity } from './levels.ts';
import { isNested } from './nested-decode.ts';
import { bodyOf, checkDecodedBytes, namingColumn, type PageContext, readHeader } from './page-body.ts';
import { checkRows, MICROSECONDS_PER_BYTE } from './page-decode.ts';
import { decodePageHeader, type PageHeader } from './page-header.ts';
import { decodeCodes, emptyValues, fixedWidth, isDictionaryCoded } from './page-values.ts';
import { type Piece, SnappyParts } from './snappy-parts.ts';

/** Of a page of fewer blocks than this, all are as quickly decoded as one. */
const BLOCKS_MIN = 8;
/** What byte arrays are gone through by. */
const WALK_BYTES = 128 * 1024;

const memory = reusedMemory();

/** Whether a block of the page can be had by itself, and is worth that. */
function hasBlocksApart(header: PageHeader, { leaf, blockBytes }: PageContext): boolean {
  const isPlain = header.encoding === 'PLAIN' && leaf.physicalType !== 'BOOLEAN';
  const isData = header.type === 'DATA_PAGE' || header.type === 'DATA_PAGE_V2';
  const hasRuns = header.type === 'DATA_PAGE_V2' || header.definitionLevelEncoding === 'RLE';
  const isLarge = header.uncompressedPageSize >= BLOCKS_MIN * blockBytes;
  return isData && !isNested(leaf) && (isPlain || isDictionaryCoded(header)) && hasRuns && isLarge;
}

/**
 * The block that holds a row, counted from the page's first; undefined where the page is decoded as well as a whole.
 * Throws `corrupt` or `unsupported`, naming the column.
 */
export function decodeBlockOf(row: number, page: Uint8Array, context: PageContext): DecodedPage | undefined {
  return namingColumn(context, () => {
    const header = readHeader(page, context);
    return hasBlocksApart(header, context) ? blockOf(row, page, header, context) : undefined;
  });
}

/**
 * The same of a page of `pageBytes` of which only the first are there; undefined also where these do not tell, or something is wrong
 * with them: what that is the whole page says. A CRC holds for all of a page, so one that has it and is to be verified is read whole.
 */
export function decodeBlockOfPrefix(
  row: number,
  prefix: Uint8Array,
  pageBytes: number,
  context: PageContext,
): DecodedPage | undefined {
  try {
    const header = decodePageHeader(prefix, 0);
    if (header === 'needs_more' || !isReadInOrder(header, context)) return undefined;
    return blockOf(row, prefix, readHeader(prefix, context, pageBytes), context);
  } catch (thrown) {
    if (thrown instanceof ServiceError) return undefined;
    throw thrown;
  }
}

/** Whether a block of the page can be had of what it begins with. */
function isReadInOrder(header: PageHeader, context: PageContext): boolean {
  const isChecked = context.verifyCrc && header.crc !== undefined;
  return !isChecked && !isDictionaryCoded(header) && hasBlocksApart(header, context);
}

function blockOf(row: number, page: Uint8Array, header: PageHeader, context: PageContext): DecodedPage | undefined {
  checkRows(header, context);
  const rows = header.numValues;
  if (row >= rows) throw corrupt(`row ${row} was asked for of a page of ${rows}`);
  const { validity, source, start } = open(page, header, context);
  const { bitmap, valid } = validity;
  if (valid === 0) return undefined;
  const shift = shiftFor(bytesPerRow(header, context, source.length - start, valid), context.blockBytes);
  const firstBlock = row >>> shift;
  const from = firstBlock * 2 ** shift;
  const to = Math.min(rows, from + 2 ** shift);
  const before = bitmap === undefined ? from : countBits(bitmap, 0, from);
  const count = bitmap === undefined ? to - from : countBits(bitmap, from, to);
  const { dense, first } = valuesBehind(before, count, header, context, source, start);
  return { rows, shift, blocks: [cutBlock(dense, bitmap, from, to, first, count)], firstBlock };
}

/** About how many microseconds that takes; undefined where the page has to be decoded as a whole. */
export function blockCost(row: number, page: Uint8Array, context: PageContext): number | undefined {
  const header = decodePageHeader(page, 0);
  if (header === 'needs_more' || !hasBlocksApart(header, context)) return undefined;
  const { uncompressedPageSize, compressedPageSize, numValues } = header;
  const share = Math.min(1, row / Math.max(1, numValues));
  const isCoded = isDictionaryCoded(header);
  const isText = context.leaf.physicalType === 'BYTE_ARRAY' && !isCoded;
  const values = isText || isCoded ? share * numValues * MICROSECONDS_PER_VALUE_PASSED : 0;
  if (context.codec !== 'SNAPPY') return values + uncompressedPageSize * MICROSECONDS_PER_BYTE[context.codec];
  const bytes = isText || isCoded ? 0.5 * share * uncompressedPageSize : 0;
  const elements = Math.min(2 * (uncompressedPageSize - compressedPageSize), compressedPageSize);
  const walked = share * Math.max(0, elements) * MICROSECONDS_PER_BYTE_WALKED;
  return values + walked + (bytes + PART_BYTES) * MICROSECONDS_PER_BYTE.SNAPPY;
}

const MICROSECONDS_PER_VALUE_PASSED = 0.004;
/** Of compressed bytes, or of twice those that compression saved where these are fewer: a page that cannot be compressed is one literal. */
const MICROSECONDS_PER_BYTE_WALKED = 0.0018;
/** What is decompressed for a block at least. */
const PART_BYTES = 64 * 1024;

/** What is compressed, by parts. */
interface PageBytes {
  readonly length: number;
  /** At least [start, least), and up to `end` what of that is there. Throws `corrupt`. */
  piece(start: number, end: number, least?: number): Piece;
}

/** Of the `storedBytes` that are compressed, `stored` are there. */
function bytesOf(codec: CompressionCodec, stored: Uint8Array, storedBytes: number, length: number): PageBytes {
  const isWhole = stored.length === storedBytes;
  if (codec === 'SNAPPY' && length > 0) return new SnappyParts(stored, length, isWhole);
  if (isWhole) return piecesOf(decompress(codec, stored, length), length);
  if (codec === 'UNCOMPRESSED' && storedBytes === length) return piecesOf(stored, length);
  throw corrupt(`${stored.length} of ${storedBytes} bytes of ${codec} do not give a part of ${length}`);
}

function piecesOf(bytes: Uint8Array, length: number): PageBytes {
  const all = { start: 0, bytes };
  return {
    length,
    piece: (_start, end, least = end) => {
      if (least > bytes.length) throw corrupt(`${bytes.length} bytes of a page of ${length} end before byte ${least}`);
      return all;
    },
  };
}

function exactly(source: PageBytes, start: number, end: number): Uint8Array {
  if (end > source.length) throw corrupt(`a page of ${source.length} bytes ends before byte ${end} of its values`);
  const piece = source.piece(start, end);
  return piece.bytes.subarray(start - piece.start, end - piece.start);
}

interface OpenedPage {
  readonly validity: Validity;
  /** Has the values from byte `start` on. */
  readonly source: PageBytes;
  readonly start: number;
}

function open(page: Uint8Array, header: PageHeader, context: PageContext): OpenedPage {
  const rows = header.numValues;
  const hasLevels = context.leaf.maxDefinitionLevel > 0;
  const body = bodyOf(page, header);
  if (header.type === 'DATA_PAGE') {
    const source = bytesOf(context.codec, body, header.compressedPageSize, header.uncompressedPageSize);
    if (!hasLevels) return { validity: { bitmap: undefined, valid: rows }, source, start: 0 };
    const prefix = exactly(source, 0, 4);
    const start = 4 + new DataView(prefix.buffer, prefix.byteOffset, 4).getUint32(0, true);
    const levels = exactly(source, 4, start);
    return { validity: decodeRleValidity(levels, 0, levels.length, rows), source, start };
  }
  const levelsStart = header.repetitionLevelsByteLength;
  const levelsEnd = levelsStart + header.definitionLevelsByteLength;
  const codec = header.isCompressed ? context.codec : 'UNCOMPRESSED';
  if (levelsEnd > body.length) throw corrupt(`${body.length} bytes of a page end before its levels do`);
  const validity = hasLevels
    ? decodeRleValidity(body, levelsStart, levelsEnd, rows)
    : { bitmap: undefined, valid: rows };
  const storedBytes = header.compressedPageSize - levelsEnd;
  // A page of nulls has no values; some writers then leave the compressed part out altogether.
  const length = storedBytes === 0 && validity.valid === 0 ? 0 : header.uncompressedPageSize - levelsEnd;
  return { validity, source: bytesOf(codec, body.subarray(levelsEnd), storedBytes, length), start: 0 };
}

/** As `cutBlocks` counts them, of which the length of a block follows. */
function bytesPerRow(header: PageHeader, context: PageContext, valueBytes: number, valid: number): number {
  if (isDictionaryCoded(header)) return codeWidth(context.dictionaryRows ?? 0);
  if (context.leaf.physicalType !== 'BYTE_ARRAY') return fixedWidth(context.leaf);
  return 4 + (valueBytes - 4 * valid) / header.numValues;
}

/** At least the `count` values behind the first `before` ones; `first` says which of them is the first of these. */
function valuesBehind(
  before: number,
  count: number,
  header: PageHeader,
  context: PageContext,
  source: PageBytes,
  start: number,
): { readonly dense: DenseValues; readonly first: number } {
  const { leaf } = context;
  if (isDictionaryCoded(header)) {
    const codes = exactly(source, start, source.length);
    return { dense: decodeCodes(codes, before + count, context, memory), first: before };
  }
  if (count === 0) return { dense: emptyValues(leaf), first: 0 };
  if (leaf.physicalType === 'BYTE_ARRAY') {
    const from = passByteArrays(source, start, before);
    const end = passByteArrays(source, from, count);
    checkDecodedBytes(end - from, context);
    return { dense: decodePlainByteArrays(exactly(source, from, end), count, memory), first: 0 };
  }
  const width = fixedWidth(leaf);
  const from = start + before * width;
  return { dense: fixedValues(exactly(source, from, from + count * width), width, count), first: 0 };
}

/** Where the byte array behind so many begins. */
function passByteArrays(source: PageBytes, start: number, count: number): number {
  let at = start;
  let pieceStart = 0;
  let pieceEnd = 0;
  let view: DataView = new DataView(new ArrayBuffer(0));
  for (let i = 0; i < count; i += 1) {
    if (at + 4 > pieceEnd) {
      if (at + 4 > source.length) throw corrupt(`the page ends before a byte array of ${count}`);
      const { start: first, bytes } = source.piece(at, Math.min(source.length, at + WALK_BYTES), at + 4);
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      pieceStart = first;
      pieceEnd = first + bytes.length;
    }
    at += 4 + view.getUint32(at - pieceStart, true);
  }
  if (at > source.length) throw corrupt(`a byte array ends at byte ${at} of a page of ${source.length}`);
  return at;
}
