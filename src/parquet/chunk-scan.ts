/**
 * Reads the ColumnChunks of a footer into arrays. This is the one hot loop of opening a file, a million times over for
 * wide tables, and so is written flat over offsets, in the way `thrift-skip.ts` explains: nothing is checked on the
 * way, bytes beyond the end read as the end of everything, and the caller compares the offset it gets with the end.
 *
 * Damage that concerns one chunk does not refuse the file: the chunk is marked in its codec, and whoever asks for it
 * gets the error.
 */

import { RAW, RawStatistics } from './raw-statistics.ts';
import { naturalAt, skipInteger, skipValue, unsignedAt } from './thrift-skip.ts';

/** In place of a codec: why the chunk cannot be read. */
export const CHUNK_FAULT = { INCOMPLETE: 240, WRONG_COLUMN: 241, OTHER_FILE: 242, ENCRYPTED: 243 } as const;

/** An entry a chunk, row group after row group: `rowGroup * columns + column`. -1 is absent. */
export class ScannedChunks {
  readonly start: Float64Array;
  readonly length: Float64Array;
  readonly uncompressedLength: Float64Array;
  /** From the chunk's start to its first data page. */
  readonly dictionaryLength: Float64Array;
  readonly numValues: Float64Array;
  readonly codec: Uint8Array;
  /** A bit for each number of `Encoding`. */
  readonly encodings: Uint16Array;
  readonly offsetIndexOffset: Float64Array;
  readonly offsetIndexLength: Float64Array;
  readonly columnIndexOffset: Float64Array;
  readonly columnIndexLength: Float64Array;
  readonly bloomFilterOffset: Float64Array;
  readonly bloomFilterLength: Float64Array;
  readonly nullCount: Float64Array;
  readonly raw: RawStatistics;

  constructor(source: Uint8Array, chunks: number) {
    this.start = new Float64Array(chunks);
    this.length = new Float64Array(chunks);
    this.uncompressedLength = new Float64Array(chunks);
    this.dictionaryLength = new Float64Array(chunks);
    this.numValues = new Float64Array(chunks);
    this.codec = new Uint8Array(chunks);
    this.encodings = new Uint16Array(chunks);
    this.offsetIndexOffset = new Float64Array(chunks);
    this.offsetIndexLength = new Float64Array(chunks);
    this.columnIndexOffset = new Float64Array(chunks);
    this.columnIndexLength = new Float64Array(chunks);
    this.bloomFilterOffset = new Float64Array(chunks);
    this.bloomFilterLength = new Float64Array(chunks);
    this.nullCount = new Float64Array(chunks);
    this.raw = new RawStatistics(source, chunks);
  }
}

/** What a chunk must say of itself to be the one that the schema puts in its place. */
export interface ExpectedColumn {
  /** Number of the physical type. */
  readonly type: number;
  /** path_in_schema as writers write it: the list with its header. */
  readonly path: Uint8Array;
}

/** Reads the ColumnChunk at `start` and returns the offset behind it. */
export function scanChunk(
  bytes: Uint8Array,
  start: number,
  chunks: ScannedChunks,
  chunk: number,
  expected: ExpectedColumn,
): number {
  let at = start;
  let id = 0;
  let fault = 0;
  let offsetIndexOffset = -1;
  let offsetIndexLength = -1;
  let columnIndexOffset = -1;
  let columnIndexLength = -1;
  chunks.codec[chunk] = CHUNK_FAULT.INCOMPLETE;
  chunks.nullCount[chunk] = -1;
  chunks.bloomFilterOffset[chunk] = -1;
  chunks.bloomFilterLength[chunk] = -1;
  for (;;) {
    const header = bytes[at++]!;
    const wireType = header & 0x0f;
    if (wireType === 0) break;
    if (header >= 0x10) id += header >> 4;
    else {
      id = naturalAt(bytes, at);
      at = skipInteger(bytes, at);
    }
    if (wireType >= 4 && wireType <= 6) {
      const value = naturalAt(bytes, at);
      at = skipInteger(bytes, at);
      if (id === 4) offsetIndexOffset = value;
      else if (id === 5) offsetIndexLength = value;
      else if (id === 6) columnIndexOffset = value;
      else if (id === 7) columnIndexLength = value;
      continue;
    }
    if (id === 3 && wireType === 12) {
      at = scanColumnMetaData(bytes, at, chunks, chunk, expected);
      continue;
    }
    if (id === 1 && wireType === 8 && unsignedAt(bytes, at) > 0) fault ||= CHUNK_FAULT.OTHER_FILE; // file_path
    if (id === 8 || id === 9) fault = CHUNK_FAULT.ENCRYPTED; // crypto_metadata, encrypted_column_metadata
    at = skipValue(bytes, at, wireType, 0);
  }
  chunks.offsetIndexOffset[chunk] = offsetIndexOffset;
  chunks.offsetIndexLength[chunk] = offsetIndexLength;
  chunks.columnIndexOffset[chunk] = columnIndexOffset;
  chunks.columnIndexLength[chunk] = columnIndexLength;
  if (fault !== 0) chunks.codec[chunk] = fault;
  return at;
}

/** ColumnMetaData */
function scanColumnMetaData(
  bytes: Uint8Array,
  start: number,
  chunks: ScannedChunks,
  chunk: number,
  expected: ExpectedColumn,
): number {
  let at = start;
  let id = 0;
  let isExpected = true;
  let foundType = -1;
  let codec = -1;
  let numValues = -1;
  let length = -1;
  let dataPageOffset = -1;
  let dictionaryPageOffset = -1;
  for (;;) {
    const header = bytes[at++]!;
    const wireType = header & 0x0f;
    if (wireType === 0) break;
    if (header >= 0x10) id += header >> 4;
    else {
      id = naturalAt(bytes, at);
      at = skipInteger(bytes, at);
    }
    if (wireType >= 4 && wireType <= 6) {
      const value = naturalAt(bytes, at);
      at = skipInteger(bytes, at);
      if (id === 1) foundType = value;
      else if (id === 4) codec = value;
      else if (id === 5) numValues = value;
      else if (id === 6) chunks.uncompressedLength[chunk] = Math.max(0, value);
      else if (id === 7) length = value;
      else if (id === 9) dataPageOffset = value;
      else if (id === 11) dictionaryPageOffset = value;
      else if (id === 14) chunks.bloomFilterOffset[chunk] = value;
      else if (id === 15) chunks.bloomFilterLength[chunk] = value;
      continue;
    }
    if (id === 2 && wireType === 9) chunks.encodings[chunk] = encodingsAt(bytes, at);
    if (id === 3 && wireType === 9) isExpected = startsWith(bytes, at, expected.path);
    if (id === 12 && wireType === 12) at = scanStatistics(bytes, at, chunks, chunk);
    else at = skipValue(bytes, at, wireType, 0);
  }
  // An offset of 0 is how some writers say that there is no dictionary page.
  const hasDictionary = dictionaryPageOffset > 0 && dictionaryPageOffset < dataPageOffset;
  chunks.start[chunk] = hasDictionary ? dictionaryPageOffset : dataPageOffset;
  chunks.length[chunk] = length;
  chunks.dictionaryLength[chunk] = hasDictionary ? dataPageOffset - dictionaryPageOffset : 0;
  chunks.numValues[chunk] = numValues;
  if (numValues > 0 && chunks.nullCount[chunk] === numValues) {
    chunks.raw.bits[chunk] = chunks.raw.bits[chunk]! | RAW.ALL_NULL;
  }
  if (length === -1 || dataPageOffset === -1 || numValues === -1 || codec === -1) return at;
  if (foundType !== expected.type || !isExpected) chunks.codec[chunk] = CHUNK_FAULT.WRONG_COLUMN;
  else chunks.codec[chunk] = Math.min(codec, CHUNK_FAULT.INCOMPLETE - 1);
  return at;
}

function startsWith(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index += 1) if (bytes[at + index] !== expected[index]) return false;
  return true;
}

/** Statistics. The newer pair of bounds wins over the deprecated one. */
function scanStatistics(bytes: Uint8Array, start: number, chunks: ScannedChunks, chunk: number): number {
  const { raw } = chunks;
  let at = start;
  let id = 0;
  let bits = 0;
  let oldMin = -1;
  let oldMinLength = 0;
  let oldMax = -1;
  let oldMaxLength = 0;
  for (;;) {
    const header = bytes[at++]!;
    const wireType = header & 0x0f;
    if (wireType === 0) break;
    if (header >= 0x10) id += header >> 4;
    else {
      id = naturalAt(bytes, at);
      at = skipInteger(bytes, at);
    }
    if (wireType === 8) {
      const length = unsignedAt(bytes, at);
      at = skipInteger(bytes, at);
      if (id === 5) {
        raw.maxStart[chunk] = at;
        raw.maxLength[chunk] = length;
        bits |= RAW.MAX;
      } else if (id === 6) {
        raw.minStart[chunk] = at;
        raw.minLength[chunk] = length;
        bits |= RAW.MIN;
      } else if (id === 1) {
        oldMax = at;
        oldMaxLength = length;
      } else if (id === 2) {
        oldMin = at;
        oldMinLength = length;
      }
      at += length;
    } else if (wireType === 1) {
      if (id === 7) bits |= RAW.MAX_EXACT;
      else if (id === 8) bits |= RAW.MIN_EXACT;
    } else if (wireType >= 4 && wireType <= 6) {
      if (id === 3) chunks.nullCount[chunk] = naturalAt(bytes, at);
      else if (id === 9 && naturalAt(bytes, at) === 0) bits |= RAW.NO_NAN;
      at = skipInteger(bytes, at);
    } else at = skipValue(bytes, at, wireType, 0);
  }
  if ((bits & (RAW.MIN | RAW.MAX)) === 0) {
    bits &= RAW.NO_NAN;
    if (oldMin !== -1) bits |= raw.setMin(chunk, oldMin, oldMinLength) | RAW.DEPRECATED;
    if (oldMax !== -1) bits |= raw.setMax(chunk, oldMax, oldMaxLength) | RAW.DEPRECATED;
  }
  raw.bits[chunk] = bits;
  return at;
}

/** list<Encoding> as a set of bits. An encoding this version does not know is left to the page that uses it. */
function encodingsAt(bytes: Uint8Array, start: number): number {
  const header = bytes[start]!;
  // No chunk has fifteen encodings, of nine that there are.
  const size = header >> 4;
  if (size === 15 || (header & 0x0f) < 4 || (header & 0x0f) > 6) return 0;
  let at = start + 1;
  let encodings = 0;
  for (let index = 0; index < size; index += 1) {
    const encoding = naturalAt(bytes, at);
    if (encoding >= 0 && encoding < 16) encodings |= 1 << encoding;
    at = skipInteger(bytes, at);
  }
  return encodings;
}
