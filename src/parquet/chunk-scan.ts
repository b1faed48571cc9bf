/**
 * Reads the ColumnChunks of a footer into arrays. This is the one hot loop of opening a file, a million times over for
 * wide tables, and so is written flat over offsets, in the way `thrift-skip.ts` explains: nothing is checked on the
 * way, bytes beyond the end read as the end of everything, and the caller compares the offset it gets with the end.
 *
 * Damage that concerns one chunk does not refuse the file: the chunk is marked in its codec, and whoever asks for it
 * gets the error.
 */

import { boundsMakeSense } from './believable.ts';
import type { BoundForm } from './bounds.ts';
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
  readonly codec: Float64Array;
  /** A bit for each number of `Encoding`. */
  readonly encodings: Float64Array;
  readonly offsetIndexOffset: Float64Array;
  readonly offsetIndexLength: Float64Array;
  readonly columnIndexOffset: Float64Array;
  readonly columnIndexLength: Float64Array;
  /** Empty until a chunk has a bloom filter, which most files' have not. */
  bloomFilterOffset = new Float64Array(0);
  bloomFilterLength = new Float64Array(0);
  readonly nullCount: Float64Array;
  readonly raw: RawStatistics;

  constructor(source: Uint8Array, chunks: number) {
    this.start = new Float64Array(chunks);
    this.length = new Float64Array(chunks);
    this.uncompressedLength = new Float64Array(chunks);
    this.dictionaryLength = new Float64Array(chunks);
    this.numValues = new Float64Array(chunks);
    this.codec = new Float64Array(chunks);
    this.encodings = new Float64Array(chunks);
    this.offsetIndexOffset = new Float64Array(chunks);
    this.offsetIndexLength = new Float64Array(chunks);
    this.columnIndexOffset = new Float64Array(chunks);
    this.columnIndexLength = new Float64Array(chunks);
    this.nullCount = new Float64Array(chunks);
    this.raw = new RawStatistics(source, chunks);
  }

  setBloomFilter(chunk: number, offset: number, length: number): void {
    if (this.bloomFilterOffset.length === 0) {
      this.bloomFilterOffset = new Float64Array(this.start.length).fill(-1);
      this.bloomFilterLength = new Float64Array(this.start.length).fill(-1);
    }
    this.bloomFilterOffset[chunk] = offset;
    this.bloomFilterLength[chunk] = length;
  }
}

/** What a chunk must say of itself to be the one that the schema puts in its place. */
export interface ExpectedColumn {
  /** Number of the physical type. */
  readonly type: number;
  /** path_in_schema as writers write it: the list with its header. */
  readonly path: DataView;
  /** How its bounds are to be read. */
  readonly form: BoundForm;
  readonly typeLength: number;
}

/** The integers of the struct being read, by field id. What is not kept goes to 0, which is no field's id. */
const FIELDS = 16;
const chunkFields = new Float64Array(FIELDS);
const metaDataFields = new Float64Array(FIELDS);
const statisticsFields = new Float64Array(FIELDS);

/** Reads the ColumnChunk at `start` and returns the offset behind it. */
export function scanChunk(
  bytes: Uint8Array,
  start: number,
  chunks: ScannedChunks,
  chunk: number,
  expected: ExpectedColumn,
): number {
  const fields = chunkFields;
  fields[4] = fields[5] = fields[6] = fields[7] = -1;
  let at = start;
  let id = 0;
  let fault = 0;
  chunks.codec[chunk] = CHUNK_FAULT.INCOMPLETE;
  chunks.nullCount[chunk] = -1;
  // As nearly every writer begins: a file_offset of one byte, then meta_data, then where the page indexes are.
  if (bytes[at] === 0x26 && bytes[at + 1]! < 0x80 && bytes[at + 2] === 0x1c) {
    at = scanColumnMetaData(bytes, at + 3, chunks, chunk, expected);
    id = 3;
    for (; id < 7 && bytes[at] === 0x15 + (id & 1); id += 1) at = readField(bytes, at + 1, fields, id + 1);
  }
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
      at = readField(bytes, at, fields, id);
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
  chunks.offsetIndexOffset[chunk] = fields[4]!;
  chunks.offsetIndexLength[chunk] = fields[5]!;
  chunks.columnIndexOffset[chunk] = fields[6]!;
  chunks.columnIndexLength[chunk] = fields[7]!;
  if (fault !== 0) chunks.codec[chunk] = fault;
  return at;
}

/**
 * Reads a zigzag integer into its field's place, -1 if it is no natural number, and returns the offset behind it. Those
 * of up to four bytes, which most are, never become doubles on the way.
 */
function readField(bytes: Uint8Array, start: number, fields: Float64Array, id: number): number {
  const slot = id < FIELDS ? id : 0;
  let at = start;
  let byte = bytes[at++]!;
  const first = byte;
  let low = byte & 0x7f;
  if (byte >= 0x80) {
    byte = bytes[at++]!;
    low |= (byte & 0x7f) << 7;
    if (byte >= 0x80) {
      byte = bytes[at++]!;
      low |= (byte & 0x7f) << 14;
      if (byte >= 0x80) {
        byte = bytes[at++]!;
        low |= (byte & 0x7f) << 21;
        if (byte >= 0x80) {
          byte = bytes[at++]!;
          let high = byte & 0x7f;
          if (byte >= 0x80) {
            byte = bytes[at++]!;
            high |= (byte & 0x7f) << 7;
            if (byte >= 0x80) {
              byte = bytes[at++]!;
              high |= (byte & 0x7f) << 14;
              if (byte >= 0x80) {
                byte = bytes[at++]!;
                high |= (byte & 0x7f) << 21;
              }
            }
          }
          // Up to 56 bits are here; more are no natural number that a double holds.
          if (byte >= 0x80 || high > 0x3ff_ffff || (first & 1) === 1) fields[slot] = -1;
          else fields[slot] = high * 0x800_0000 + (low >>> 1);
          if (byte >= 0x80) return skipInteger(bytes, at);
          return at;
        }
      }
    }
  }
  fields[slot] = (first & 1) === 0 ? low >>> 1 : -1;
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
  const fields = metaDataFields;
  fields[1] = fields[4] = fields[5] = fields[6] = fields[7] = fields[9] = fields[11] = fields[14] = fields[15] = -1;
  let at = scanRequired(bytes, chunks.raw.view, start, fields, expected);
  let id = 0;
  let isExpected = true;
  if (at !== -1) {
    id = 9;
    chunks.encodings[chunk] = encodingsAt(bytes, start + 3);
  } else at = start;
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
      at = readField(bytes, at, fields, id);
    } else if (id === 12 && wireType === 12) {
      at = scanStatistics(bytes, at, chunks, chunk, expected);
    } else if (id === 13 && wireType === 9) {
      at = skipEncodingStats(bytes, at);
    } else {
      if (id === 2 && wireType === 9) chunks.encodings[chunk] = encodingsAt(bytes, at);
      if (id === 3 && wireType === 9) isExpected = isPath(chunks.raw.view, at, expected.path);
      at = id === 3 && isExpected ? at + expected.path.byteLength : skipValue(bytes, at, wireType, 0);
    }
  }
  keepMetaData(chunks, chunk, fields, isExpected && fields[1] === expected.type);
  return at;
}

/**
 * Fields 1 to 7 and 9 the way nearly every writer puts them: all there, in order, the column the expected one. Returns
 * the offset behind them, or -1 when anything is otherwise, for the loop that takes fields as they come.
 */
function scanRequired(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  fields: Float64Array,
  expected: ExpectedColumn,
): number {
  if (bytes[start] !== 0x15 || bytes[start + 1] !== expected.type << 1 || bytes[start + 2] !== 0x19) return -1;
  const size = bytes[start + 3]! >> 4;
  let at = start + 4 + size;
  if (size === 15 || bytes[at] !== 0x19 || !isPath(view, at + 1, expected.path)) return -1;
  at += 1 + expected.path.byteLength;
  if (bytes[at] !== 0x15) return -1;
  fields[4] = bytes[at + 1]! >> 1;
  at += 2;
  if (bytes[at] !== 0x16) return -1;
  at = readField(bytes, at + 1, fields, 5);
  if (bytes[at] !== 0x16) return -1;
  at = readField(bytes, at + 1, fields, 6);
  if (bytes[at] !== 0x16) return -1;
  at = readField(bytes, at + 1, fields, 7);
  if (bytes[at] !== 0x26) return -1;
  fields[1] = expected.type;
  return readField(bytes, at + 1, fields, 9);
}

function keepMetaData(chunks: ScannedChunks, chunk: number, fields: Float64Array, isExpected: boolean): void {
  const codec = fields[4]!;
  const numValues = fields[5]!;
  const length = fields[7]!;
  const dataPageOffset = fields[9]!;
  const dictionaryPageOffset = fields[11]!;
  // An offset of 0 is how some writers say that there is no dictionary page.
  const hasDictionary = dictionaryPageOffset > 0 && dictionaryPageOffset < dataPageOffset;
  chunks.start[chunk] = hasDictionary ? dictionaryPageOffset : dataPageOffset;
  chunks.length[chunk] = length;
  chunks.uncompressedLength[chunk] = Math.max(0, fields[6]!);
  chunks.dictionaryLength[chunk] = hasDictionary ? dataPageOffset - dictionaryPageOffset : 0;
  chunks.numValues[chunk] = numValues;
  if (fields[14] !== -1) chunks.setBloomFilter(chunk, fields[14]!, fields[15]!);
  if (numValues > 0 && chunks.nullCount[chunk] === numValues) {
    chunks.raw.bits[chunk] = chunks.raw.bits[chunk]! | RAW.ALL_NULL;
  }
  if (length === -1 || dataPageOffset === -1 || numValues === -1 || codec === -1) return;
  chunks.codec[chunk] = isExpected ? Math.min(codec, CHUNK_FAULT.INCOMPLETE - 1) : CHUNK_FAULT.WRONG_COLUMN;
}

/** Whether the list at `at` is the expected path; four bytes at a time, since every chunk repeats it. */
function isPath(view: DataView, at: number, path: DataView): boolean {
  const length = path.byteLength;
  if (length > view.byteLength - at) return false;
  let index = 0;
  for (; index + 4 <= length; index += 4) if (view.getInt32(at + index) !== path.getInt32(index)) return false;
  for (; index < length; index += 1) if (view.getUint8(at + index) !== path.getUint8(index)) return false;
  return true;
}

/** Statistics. The newer pair of bounds wins over the deprecated one. */
function scanStatistics(
  bytes: Uint8Array,
  start: number,
  chunks: ScannedChunks,
  chunk: number,
  expected: ExpectedColumn,
): number {
  const { raw } = chunks;
  const fields = statisticsFields;
  fields[3] = fields[9] = -1;
  let at = start;
  let id = 0;
  let bits = 0;
  let oldMin = -1;
  let oldMinLength = 0;
  let oldMax = -1;
  let oldMaxLength = 0;
  // As most writers begin: null_count, max_value and min_value of less than 128 bytes, that both are exact.
  if (bytes[at] === 0x36) {
    at = readField(bytes, at + 1, fields, 3);
    id = 3;
    if (bytes[at] === 0x28 && bytes[at + 1]! < 0x80) {
      bits |= raw.setMax(chunk, at + 2, bytes[at + 1]!);
      at += 2 + bytes[at + 1]!;
      id = 5;
      if (bytes[at] === 0x18 && bytes[at + 1]! < 0x80) {
        bits |= raw.setMin(chunk, at + 2, bytes[at + 1]!);
        at += 2 + bytes[at + 1]!;
        id = 6;
        if (bytes[at] === 0x11 && bytes[at + 1] === 0x11) {
          bits |= RAW.MAX_EXACT | RAW.MIN_EXACT;
          at += 2;
          id = 8;
        }
      }
    }
  }
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
      let length = bytes[at]!;
      if (length < 0x80) at += 1;
      else {
        length = unsignedAt(bytes, at);
        at = skipInteger(bytes, at);
      }
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
      at = readField(bytes, at, fields, id);
    } else at = skipValue(bytes, at, wireType, 0);
  }
  chunks.nullCount[chunk] = fields[3]!;
  if ((bits & (RAW.MIN | RAW.MAX)) === 0) {
    bits = 0;
    if (oldMin !== -1) bits |= raw.setMin(chunk, oldMin, oldMinLength) | RAW.DEPRECATED;
    if (oldMax !== -1) bits |= raw.setMax(chunk, oldMax, oldMaxLength) | RAW.DEPRECATED;
  }
  if (fields[9] === 0) bits |= RAW.NO_NAN; // nan_count
  // Bounds beyond the end are not looked at; the caller is about to see that.
  const makesSense = at <= bytes.length && boundsMakeSense(expected.form, expected.typeLength, raw, chunk, bits);
  raw.bits[chunk] = makesSense ? bits : bits & ~(RAW.MIN | RAW.MAX);
  return at;
}

/** list<PageEncodingStats>: short and everywhere the same, so that it is passed over without a look at its types. */
function skipEncodingStats(bytes: Uint8Array, start: number): number {
  const header = bytes[start]!;
  let left = header >> 4;
  let at = start + 1;
  if ((header & 0x0f) !== 12 || left === 15) return skipValue(bytes, start, 9, 0);
  // page_type and encoding in a byte each, count, the end
  while (left > 0 && bytes[at] === 0x15 && bytes[at + 2] === 0x15 && bytes[at + 4] === 0x15) {
    if (bytes[at + 1]! >= 0x80 || bytes[at + 3]! >= 0x80) break;
    at = skipInteger(bytes, at + 5);
    if (bytes[at] !== 0) break;
    at += 1;
    left -= 1;
  }
  return left === 0 ? at : skipValue(bytes, start, 9, 0);
}

/** list<Encoding> as a set of bits. An encoding this version does not know is left to the page that uses it. */
function encodingsAt(bytes: Uint8Array, start: number): number {
  const header = bytes[start]!;
  // No chunk has fifteen encodings, of nine that there are, nor one whose number takes two bytes.
  const size = header >> 4;
  if (size === 15 || (header & 0x0f) < 4 || (header & 0x0f) > 6) return 0;
  let encodings = 0;
  for (let at = start + 1; at <= start + size; at += 1) {
    const zigzag = bytes[at]!;
    if (zigzag >= 0x20) return encodings;
    encodings |= 1 << (zigzag >> 1);
  }
  return encodings;
}
