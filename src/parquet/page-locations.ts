/**
 * Where the data pages of one column chunk lie and which rows of the row group they hold; from the file's OffsetIndex,
 * or from walking its page headers where there is none. Nothing here has seen a page's body.
 */

import { type ByteRange, corrupt, type ServiceError } from '../core/index.ts';
import type { ColumnChunk } from './file-index.ts';
import { ThriftEndError, ThriftReader, WIRE } from './thrift.ts';

export class PageLocations {
  readonly rowGroupRows: number;
  readonly pages: number;
  readonly dictionaryRange: ByteRange | undefined;
  /** Offsets in the file, which may pass 2^32. */
  readonly #starts: Float64Array;
  readonly #lengths: Uint32Array;
  /** One more than there are pages. */
  readonly #firstRows: Uint32Array;
  /** Rows of every page but the last, where they are the same: then a division finds a row's page. 0 where they differ. */
  readonly #stride: number;

  /** The arrays are kept, not copied. Rows ascend from 0, and no page begins before the one before it ends. */
  constructor(
    starts: Float64Array,
    lengths: Uint32Array,
    firstRows: Uint32Array,
    dictionaryRange: ByteRange | undefined,
  ) {
    this.rowGroupRows = firstRows[starts.length]!;
    this.pages = starts.length;
    this.dictionaryRange = dictionaryRange;
    this.#starts = starts;
    this.#lengths = lengths;
    this.#firstRows = firstRows;
    this.#stride = strideOf(firstRows, starts.length);
  }

  /** Takes bytes that `serialise` gave, at a multiple of 8 of their buffer. Throws `corrupt` where they do not fit. */
  static load(bytes: Uint8Array): PageLocations {
    const { buffer, byteOffset, byteLength } = bytes;
    const isHeaded = byteLength >= STORED_HEADER_BYTES && byteOffset % 8 === 0;
    const [pages = -1, dictionaryStart = -1, dictionaryEnd = -1] = isHeaded
      ? new Float64Array(buffer, byteOffset, 3)
      : [];
    if (!Number.isSafeInteger(pages) || pages < 0 || storedBytes(pages) !== byteLength) {
      throw corrupt(`stored page locations have ${byteLength} bytes, which fits no number of pages`);
    }
    const at = byteOffset + STORED_HEADER_BYTES;
    const starts = new Float64Array(buffer, at, pages);
    const lengths = new Uint32Array(buffer, at + 8 * pages, pages);
    const firstRows = new Uint32Array(buffer, at + 12 * pages, pages + 1);
    const dictionary = dictionaryEnd > 0 ? { start: dictionaryStart, end: dictionaryEnd } : undefined;
    return new PageLocations(starts, lengths, firstRows, dictionary);
  }

  /** Pages and dictionary range as doubles, then the arrays as they are; a multiple of 8 long. */
  serialise(): Uint8Array<ArrayBuffer> {
    const { pages, dictionaryRange } = this;
    const buffer = new ArrayBuffer(storedBytes(pages));
    new Float64Array(buffer, 0, 3).set([pages, dictionaryRange?.start ?? 0, dictionaryRange?.end ?? 0]);
    new Float64Array(buffer, STORED_HEADER_BYTES, pages).set(this.#starts);
    new Uint32Array(buffer, STORED_HEADER_BYTES + 8 * pages, pages).set(this.#lengths);
    new Uint32Array(buffer, STORED_HEADER_BYTES + 12 * pages, pages + 1).set(this.#firstRows);
    return new Uint8Array(buffer);
  }

  /** Rows of every page but the last, where they are the same; else 0. */
  get stride(): number {
    return this.#stride;
  }

  get byteSize(): number {
    return 256 + 16 * this.pages;
  }

  /** First row of a page within its row group; `firstRow(pages)` is the row group's number of rows. */
  firstRow(page: number): number {
    return this.#stride === 0 ? this.#firstRows[page]! : Math.min(page * this.#stride, this.rowGroupRows);
  }

  rowEnd(page: number): number {
    return this.firstRow(page + 1);
  }

  /** Header and body. */
  range(page: number): ByteRange {
    const start = this.#starts[page]!;
    return { start, end: start + this.#lengths[page]! };
  }

  /** The page that holds a row of the row group, which must be one of its rows. */
  pageOf(row: number): number {
    if (this.#stride !== 0) return Math.trunc(row / this.#stride);
    let low = 0;
    let high = this.pages - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.#firstRows[middle]! <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

const STORED_HEADER_BYTES = 24;

function storedBytes(pages: number): number {
  return Math.ceil((STORED_HEADER_BYTES + 16 * pages + 4) / 8) * 8;
}

/** 0 where the pages differ, or the last one is longer than the others, so that a division would pass it. */
function strideOf(firstRows: Uint32Array, pages: number): number {
  const stride = pages === 0 ? 0 : firstRows[1]! - firstRows[0]!;
  for (let page = 1; page < pages; page += 1) {
    const rows = firstRows[page + 1]! - firstRows[page]!;
    if (rows > stride || (rows < stride && page < pages - 1)) return 0;
  }
  return stride;
}

/** Bytes of the shortest PageLocation. */
const MIN_LOCATION_BYTES = 7;

/**
 * Decodes an OffsetIndex and holds it against the chunk. Whatever lies between the chunk's start and its first data
 * page is the dictionary page: some writers give no dictionary_page_offset, or put it in data_page_offset.
 */
export function decodeOffsetIndex(bytes: Uint8Array, chunk: ColumnChunk, rowGroupRows: number): PageLocations {
  const fault = (why: string): ServiceError =>
    corrupt(`the offset index of column ${chunk.leaf.name} ${why}`, {
      rowGroup: chunk.rowGroup,
      column: chunk.leaf.name,
    });
  const { starts, lengths, firstRows } = readLocations(bytes, fault);
  const pages = starts.length;
  if (pages === 0 && rowGroupRows > 0) throw fault(`has no pages for ${rowGroupRows} rows`);
  const rows = new Uint32Array(pages + 1);
  let end = chunk.range.start;
  for (let page = 0; page < pages; page += 1) {
    const start = starts[page]!;
    if (!(start >= end) || start + lengths[page]! > chunk.range.end) {
      throw fault(`puts page ${page} at ${start} to ${start + lengths[page]!}, outside the chunk or into another page`);
    }
    end = start + lengths[page]!;
    const row = firstRows[page]!;
    const isInOrder = page === 0 ? row === 0 : row >= rows[page - 1]!;
    if (!isInOrder || row > rowGroupRows) throw fault(`starts page ${page} at row ${row} of ${rowGroupRows}`);
    rows[page] = row;
  }
  rows[pages] = rowGroupRows;
  const firstPage = pages === 0 ? chunk.range.start : starts[0]!;
  const dictionary = firstPage > chunk.range.start ? { start: chunk.range.start, end: firstPage } : undefined;
  return new PageLocations(starts, lengths, rows, dictionary);
}

interface RawLocations {
  readonly starts: Float64Array;
  readonly lengths: Uint32Array;
  readonly firstRows: Float64Array;
}

function readLocations(bytes: Uint8Array, fault: (why: string) => ServiceError): RawLocations {
  const reader = new ThriftReader(bytes);
  let locations: RawLocations | undefined;
  try {
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      if (field === 0x19) locations = readLocationList(reader, fault);
      else reader.skip(field);
    }
  } catch (error) {
    throw error instanceof ThriftEndError ? fault('ends before its last field') : error;
  }
  if (locations === undefined) throw fault('has no page locations');
  return locations;
}

/** list<PageLocation> */
function readLocationList(reader: ThriftReader, fault: (why: string) => ServiceError): RawLocations {
  const size = reader.listSize(WIRE.STRUCT, MIN_LOCATION_BYTES);
  const starts = new Float64Array(size);
  const lengths = new Uint32Array(size);
  const firstRows = new Float64Array(size);
  for (let page = 0; page < size; page += 1) {
    let start = -1;
    let length = -1;
    let firstRow = -1;
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      if (field === 0x16) start = reader.integer();
      else if (field === 0x26) length = reader.integer();
      else if (field === 0x36) firstRow = reader.integer();
      else reader.skip(field);
    }
    if (start < 0 || length <= 0 || length > 0x7fff_ffff || firstRow < 0) {
      throw fault(`has an incomplete location of page ${page}`);
    }
    starts[page] = start;
    lengths[page] = length;
    firstRows[page] = firstRow;
  }
  return { starts, lengths, firstRows };
}
