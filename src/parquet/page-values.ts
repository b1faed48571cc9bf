/** The encoded values of a data page, or of a dictionary page, to dense ones: which encoding may stand for which type. */

import { corrupt, type ServiceError } from '../core/index.ts';
import { decodeByteStreamSplit } from './encodings/byte-stream-split.ts';
import { freshMemory, type TakeMemory } from './encodings/decode-memory.ts';
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
import { decodeRleValidity } from './levels.ts';
import { lengthPrefixed, MAX_DECODED_BYTES, type PageContext } from './page-body.ts';
import type { PageHeader } from './page-header.ts';
import type { LeafColumn } from './schema.ts';

export function decodedWidth(leaf: LeafColumn, header: PageHeader): number {
  return isDictionaryCoded(header) || leaf.physicalType === 'BYTE_ARRAY' ? 4 : fixedWidth(leaf);
}

export function isDictionaryCoded(header: PageHeader): boolean {
  return header.encoding === 'RLE_DICTIONARY' || header.encoding === 'PLAIN_DICTIONARY';
}

/** What comes out may lie in the page itself, or in memory of `take`. */
export function decodeValues(
  values: Uint8Array,
  header: PageHeader,
  count: number,
  context: PageContext,
  take: TakeMemory = freshMemory,
): DenseValues {
  const { leaf } = context;
  // A page of nulls need not hold anything, and its codes would point into an empty dictionary.
  if (count === 0) return emptyValues(leaf);
  switch (header.encoding) {
    case 'PLAIN':
      return decodePlain(values, leaf, count, take);
    case 'RLE_DICTIONARY':
    case 'PLAIN_DICTIONARY':
      return decodeCodes(values, count, context, take);
    case 'RLE':
      return decodeRleBooleans(values, leaf, count);
    case 'DELTA_BINARY_PACKED':
      return decodeDelta(values, leaf, count, take);
    case 'DELTA_LENGTH_BYTE_ARRAY':
      if (leaf.physicalType !== 'BYTE_ARRAY') throw wrongEncoding(header, leaf);
      return decodeDeltaLengthByteArrays(values, count, take);
    case 'DELTA_BYTE_ARRAY':
      return decodeDeltaStrings(values, count, header, context, take);
    case 'BYTE_STREAM_SPLIT':
      if (!SPLIT_TYPES.has(leaf.physicalType)) throw wrongEncoding(header, leaf);
      return decodeByteStreamSplit(values, fixedWidth(leaf), count, take);
    case 'BIT_PACKED':
      throw wrongEncoding(header, leaf);
  }
}

const SPLIT_TYPES: ReadonlySet<string> = new Set(['INT32', 'INT64', 'FLOAT', 'DOUBLE', 'FIXED_LEN_BYTE_ARRAY']);

function wrongEncoding(header: PageHeader, leaf: LeafColumn): ServiceError {
  return corrupt(`${leaf.physicalType} values cannot be encoded as ${header.encoding}`);
}

export function emptyValues(leaf: LeafColumn): DenseValues {
  const data = new Uint8Array(0);
  return leaf.physicalType === 'BYTE_ARRAY'
    ? { kind: 'BYTES', count: 0, data, offsets: new Uint32Array(1), gap: 0 }
    : { kind: 'FIXED', count: 0, data, width: fixedWidth(leaf) };
}

/** Bytes of one value in a block. Booleans take a whole one, so that they are read and searched without shifts. */
export function fixedWidth(leaf: LeafColumn): number {
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

export function decodePlain(
  values: Uint8Array,
  leaf: LeafColumn,
  count: number,
  take: TakeMemory = freshMemory,
): FixedValues | BytesValues {
  if (leaf.physicalType === 'BYTE_ARRAY') return decodePlainByteArrays(values, count, take);
  if (leaf.physicalType === 'BOOLEAN') return decodePlainBooleans(values, count);
  return fixedValues(values, fixedWidth(leaf), count);
}

export function decodeCodes(
  values: Uint8Array,
  count: number,
  { dictionaryRows }: PageContext,
  take: TakeMemory,
): CodeValues {
  if (dictionaryRows === undefined)
    throw corrupt('a page holds dictionary codes but its column chunk has no dictionary');
  const bitWidth = values[0];
  if (bitWidth === undefined) throw corrupt('a page of dictionary codes ends before their bit width');
  const codes = new Uint32Array(take('values', 4 * count), 0, count);
  if (bitWidth === 0) codes.fill(0);
  else decodeRleBitPacked(values, 1, values.length, bitWidth, codes, count);
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

function decodeDelta(values: Uint8Array, leaf: LeafColumn, count: number, take: TakeMemory): FixedValues {
  if (leaf.physicalType === 'INT32') {
    const out = new Int32Array(take('values', 4 * count), 0, count);
    decodeDeltaInt32(values, 0, values.length, out, count);
    return { kind: 'FIXED', count, width: 4, data: new Uint8Array(out.buffer, 0, 4 * count) };
  }
  if (leaf.physicalType === 'INT64') {
    const out = new Int32Array(take('values', 8 * count), 0, 2 * count);
    decodeDeltaInt64(values, 0, values.length, out, count);
    return { kind: 'FIXED', count, width: 8, data: new Uint8Array(out.buffer, 0, 8 * count) };
  }
  throw corrupt(`${leaf.physicalType} values cannot be encoded as DELTA_BINARY_PACKED`);
}

function decodeDeltaStrings(
  values: Uint8Array,
  count: number,
  header: PageHeader,
  context: PageContext,
  take: TakeMemory,
): DenseValues {
  const { leaf } = context;
  if (leaf.physicalType !== 'BYTE_ARRAY' && leaf.physicalType !== 'FIXED_LEN_BYTE_ARRAY')
    throw wrongEncoding(header, leaf);
  const bound = Math.min(context.maxPageBytes, MAX_DECODED_BYTES);
  const strings = decodeDeltaByteArrays(values, count, bound, take);
  if (leaf.physicalType === 'BYTE_ARRAY') return strings;
  const width = fixedWidth(leaf);
  for (let i = 0; i < count; i += 1) {
    const length = strings.offsets[i + 1]! - strings.offsets[i]!;
    if (length !== width) throw corrupt(`a value of ${length} bytes stands in a column of ${width} bytes each`);
  }
  return { kind: 'FIXED', count, width, data: strings.data };
}
