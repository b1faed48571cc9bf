/**
 * Pages of nested columns to NESTED blocks: levels, values, and the rows that the levels make.
 *
 * Pages of the second version, and every page that an offset index names, begin with a row. Pages of the first version
 * may go on with the row of the page before; without an offset index nothing tells but the levels themselves, so then
 * all data pages of a chunk come here together as one unit, and the bound on pages holds for their sum.
 */

import { corrupt } from '../core/index.ts';
import type { Block } from './block.ts';
import { allocateNestedBlock, BLOCK_HEADER_BYTES } from './block-layout.ts';
import { bytesOf, cutBlock, type DecodedPage, shiftFor } from './block-writer.ts';
import { decompress } from './codecs.ts';
import type { DenseValues } from './encodings/dense-values.ts';
import { joinValues } from './join-values.ts';
import { countBits } from './levels.ts';
import { decodeBitPackedLevels, decodeRleLevels } from './nested-levels.ts';
import { bodyOf, checkDecodedBytes, lengthPrefixed, type PageContext, readHeader } from './page-body.ts';
import type { PageHeader } from './page-header.ts';
import { decodedWidth, decodeValues } from './page-values.ts';
import type { LeafColumn } from './schema.ts';

/** Whether the leaf needs more than one bit a row to say what is there. */
export function isNested(leaf: LeafColumn): boolean {
  return leaf.maxRepetitionLevel > 0 || leaf.maxDefinitionLevel > 1;
}

interface RawPage {
  readonly header: PageHeader;
  readonly page: Uint8Array;
}

/** The level pairs and dense values of the whole unit. */
interface Entries {
  readonly count: number;
  readonly repetition: Uint8Array;
  readonly definition: Uint8Array;
  readonly values: DenseValues;
}

/** `unit` is a data page, or the data pages of a chunk one after the other; `dictionary` is needed where they mix. */
export function decodeNestedPages(unit: Uint8Array, context: PageContext, dictionary: Block | undefined): DecodedPage {
  const pages = splitPages(unit, context);
  const entries = decodeEntries(pages, context, dictionary);
  const rowStart = rowStarts(entries, context);
  checkPageRows(pages, rowStart.length - 1);
  if (context.expectedRows !== undefined && rowStart.length - 1 !== context.expectedRows) {
    throw corrupt(`a page holds ${rowStart.length - 1} rows where its location promises ${context.expectedRows}`);
  }
  return cutNestedBlocks(entries, rowStart, context);
}

function splitPages(unit: Uint8Array, context: PageContext): readonly RawPage[] {
  const pages: RawPage[] = [];
  let entries = 0;
  let uncompressed = 0;
  for (let at = 0; at < unit.length; ) {
    const page = at === 0 ? unit : unit.subarray(at);
    const header = readHeader(page, context);
    at += header.headerLength + header.compressedPageSize;
    if (header.type === 'INDEX_PAGE') continue;
    if (header.type === 'DICTIONARY_PAGE') throw corrupt('a DICTIONARY_PAGE stands where a data page should');
    // An empty page need not even have levels.
    if (header.numValues > 0) pages.push({ header, page });
    // What a few bytes of runs can claim is bounded here, before levels or codes are allocated.
    entries += header.numValues;
    uncompressed += header.uncompressedPageSize;
    checkDecodedBytes(entries * (decodedWidth(context.leaf, header) + 6), context);
    checkDecodedBytes(uncompressed, context);
  }
  return pages;
}

function decodeEntries(pages: readonly RawPage[], context: PageContext, dictionary: Block | undefined): Entries {
  const count = pages.reduce((sum, { header }) => sum + header.numValues, 0);
  const repetition = new Uint8Array(context.leaf.maxRepetitionLevel > 0 ? count : 0);
  const definition = new Uint8Array(count);
  const parts: DenseValues[] = [];
  let done = 0;
  for (const { header, page } of pages) {
    const levels = { repetition, definition, start: done, count: header.numValues };
    const opened =
      header.type === 'DATA_PAGE' ? openV1(page, header, levels, context) : openV2(page, header, levels, context);
    const values = opened.values();
    const dense = decodeValues(values, header, opened.present, context);
    if (dense.kind === 'BYTES') checkDecodedBytes(4 * count + dense.data.length, context);
    parts.push(dense);
    done += header.numValues;
  }
  return { count, repetition, definition, values: joinValues(parts, context, dictionary) };
}

/** Where the levels of one page go. */
interface LevelSpan {
  readonly repetition: Uint8Array;
  readonly definition: Uint8Array;
  readonly start: number;
  readonly count: number;
}

interface OpenedPage {
  /** Entries that have a value. */
  readonly present: number;
  /** The encoded values, decompressed. */
  readonly values: () => Uint8Array;
}

function openV1(page: Uint8Array, header: PageHeader, span: LevelSpan, context: PageContext): OpenedPage {
  const { maxRepetitionLevel, maxDefinitionLevel } = context.leaf;
  let data = decompress(context.codec, bodyOf(page, header), header.uncompressedPageSize);
  data = levelsV1(data, header.repetitionLevelEncoding, maxRepetitionLevel, span.repetition, span);
  data = levelsV1(data, header.definitionLevelEncoding, maxDefinitionLevel, span.definition, span);
  return { present: countPresent(span, maxDefinitionLevel), values: () => data };
}

/** Decodes one of the two kinds of levels; returns what follows them. */
function levelsV1(
  data: Uint8Array,
  encoding: PageHeader['definitionLevelEncoding'],
  maxLevel: number,
  out: Uint8Array,
  { start, count }: LevelSpan,
): Uint8Array {
  if (maxLevel === 0) return data;
  if (encoding === 'BIT_PACKED') return data.subarray(decodeBitPackedLevels(data, 0, maxLevel, out, start, count));
  if (encoding !== 'RLE') throw corrupt(`levels cannot be encoded as ${encoding}`);
  const runs = lengthPrefixed(data, 'levels');
  decodeRleLevels(data, runs.start, runs.end, maxLevel, out, start, count);
  return data.subarray(runs.end);
}

function openV2(page: Uint8Array, header: PageHeader, span: LevelSpan, context: PageContext): OpenedPage {
  const { maxRepetitionLevel, maxDefinitionLevel } = context.leaf;
  const body = bodyOf(page, header);
  const definitionAt = header.repetitionLevelsByteLength;
  const levelsEnd = definitionAt + header.definitionLevelsByteLength;
  const { start, count } = span;
  if (maxRepetitionLevel > 0) decodeRleLevels(body, 0, definitionAt, maxRepetitionLevel, span.repetition, start, count);
  decodeRleLevels(body, definitionAt, levelsEnd, maxDefinitionLevel, span.definition, start, count);
  const present = countPresent(span, maxDefinitionLevel);
  const stored = body.subarray(levelsEnd);
  const codec = header.isCompressed ? context.codec : 'UNCOMPRESSED';
  // A page without a value may leave the compressed part out altogether.
  if (stored.length === 0 && present === 0) return { present, values: () => stored };
  return { present, values: () => decompress(codec, stored, header.uncompressedPageSize - levelsEnd) };
}

function countPresent({ definition, start, count }: LevelSpan, maxDefinitionLevel: number): number {
  let present = 0;
  for (let i = start; i < start + count; i += 1) if (definition[i] === maxDefinitionLevel) present += 1;
  return present;
}

/** The first entry of each row, and the number of entries behind the last. */
function rowStarts({ count, repetition }: Entries, { leaf }: PageContext): Uint32Array {
  if (leaf.maxRepetitionLevel === 0) {
    const starts = new Uint32Array(count + 1);
    for (let i = 0; i <= count; i += 1) starts[i] = i;
    return starts;
  }
  if (count > 0 && repetition[0] !== 0) throw corrupt('a page begins in the middle of a row');
  let rows = 0;
  for (let i = 0; i < count; i += 1) if (repetition[i] === 0) rows += 1;
  const starts = new Uint32Array(rows + 1);
  let row = 0;
  for (let i = 0; i < count; i += 1) if (repetition[i] === 0) starts[row++] = i;
  starts[rows] = count;
  return starts;
}

/** A second-version page counts its rows; where all are such the sum must be right. */
function checkPageRows(pages: readonly RawPage[], rows: number): void {
  let declared = 0;
  for (const { header } of pages) {
    if (header.numRows === undefined) return;
    declared += header.numRows;
  }
  if (declared !== rows) throw corrupt(`a page declares ${declared} rows where its levels make ${rows}`);
}

function cutNestedBlocks(entries: Entries, rowStart: Uint32Array, context: PageContext): DecodedPage {
  const { values, count, definition } = entries;
  const { maxDefinitionLevel, maxRepetitionLevel } = context.leaf;
  const rows = rowStart.length - 1;
  const isRepeated = maxRepetitionLevel > 0;
  const bitmap = values.count === count ? undefined : presence(definition, maxDefinitionLevel);
  const levelBytes = isRepeated ? 2 * count + 4 * rows : count;
  const shift = rows === 0 ? 0 : shiftFor((bytesOf(values, count) + levelBytes) / rows, context.blockBytes);
  const blocks: ArrayBuffer[] = [];
  let value = 0;
  for (let row = 0; row < rows; row += 2 ** shift) {
    const rowEnd = Math.min(rows, row + 2 ** shift);
    const from = rowStart[row]!;
    const to = rowStart[rowEnd]!;
    const valid = bitmap === undefined ? to - from : countBits(bitmap, from, to);
    const block = allocateNestedBlock(
      rowEnd - row,
      isRepeated,
      to - from,
      cutBlock(values, bitmap, from, to, value, valid),
    );
    if (isRepeated) {
      const starts = new Uint32Array(block.buffer, BLOCK_HEADER_BYTES, rowEnd - row + 1);
      for (let i = 0; i < starts.length; i += 1) starts[i] = rowStart[row + i]! - from;
      new Uint8Array(block.buffer, block.repetitionStart, to - from).set(entries.repetition.subarray(from, to));
    }
    new Uint8Array(block.buffer, block.definitionStart, to - from).set(definition.subarray(from, to));
    blocks.push(block.buffer);
    value += valid;
  }
  return { rows, shift, blocks };
}

function presence(definition: Uint8Array, maxDefinitionLevel: number): Uint8Array {
  const bitmap = new Uint8Array((definition.length + 7) >>> 3);
  for (let i = 0; i < definition.length; i += 1) {
    if (definition[i] === maxDefinitionLevel) bitmap[i >>> 3]! |= 1 << (i & 7);
  }
  return bitmap;
}
