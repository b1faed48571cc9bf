/**
 * Finds the pages of a chunk that has no offset index, by reading one page header after another. The walker holds no
 * bytes: it is fed pieces of the file and says which it needs next, so a caller may give it the whole chunk at once or
 * hop from header to header.
 *
 * It ends when all rows of the row group are found, not at the chunk's stated end: old writers state that wrongly.
 *
 * Pages of the first version do not say how many rows of a repeated column they hold, and a row may go on from page to
 * page. Where a chunk has such pages, its data pages are one unit that holds all rows, and their values are counted
 * instead.
 */

import { type ByteRange, corrupt, type ErrorContext, unsupported } from '../core/index.ts';
import type { ColumnChunk } from './file-index.ts';
import { decodePageHeader, type PageHeader } from './page-header.ts';
import { PageLocations } from './page-locations.ts';

export type WalkStep =
  | { readonly kind: 'data'; readonly locations: PageLocations }
  | { readonly kind: 'needs'; readonly ranges: readonly ByteRange[] };

/** Asked for when a header is not at hand: longer than nearly every one without statistics. */
const HEADER_GUESS_BYTES = 256;

/** Pages that have to be decoded together. What they decompress to is bounded where they are decoded. */
const MAX_UNIT_BYTES = 2 ** 30;

export class PageWalker {
  readonly #chunk: ColumnChunk;
  readonly #rowGroupRows: number;
  readonly #starts: number[] = [];
  readonly #lengths: number[] = [];
  readonly #firstRows: number[] = [];
  #dictionaryRange: ByteRange | undefined;
  #at: number;
  #rows = 0;
  #values = 0;
  /** Where the last data page ends. */
  #dataEnd = 0;
  #isOneUnit = false;
  #wanted = HEADER_GUESS_BYTES;

  constructor(chunk: ColumnChunk, rowGroupRows: number) {
    this.#chunk = chunk;
    this.#rowGroupRows = rowGroupRows;
    this.#at = chunk.range.start;
  }

  /**
   * Takes bytes that lie at `atOffset` of the file and walks as far as they go. Pieces that do not cover the next
   * header are passed over. Throws `corrupt` naming the page when headers make no sense.
   */
  next(bytes: Uint8Array, atOffset: number): WalkStep {
    while (!this.#isDone()) {
      if (this.#at >= this.#chunk.range.end) throw this.#fault(`ends after ${this.#progress()}`);
      const offset = this.#at - atOffset;
      if (offset < 0 || offset >= bytes.length) return this.#needs();
      const header = this.#decode(bytes, offset);
      if (header === 'needs_more') {
        if (atOffset + bytes.length >= this.#chunk.range.end) throw this.#fault('ends inside a page header');
        this.#wanted = Math.max(this.#wanted, 2 * (bytes.length - offset));
        return this.#needs();
      }
      this.#wanted = HEADER_GUESS_BYTES;
      this.#add(header);
    }
    return { kind: 'data', locations: this.#locations() };
  }

  #isDone(): boolean {
    return this.#isOneUnit ? this.#values >= this.#chunk.numValues : this.#rows >= this.#rowGroupRows;
  }

  #progress(): string {
    return this.#isOneUnit ? `${this.#values} of its ${this.#chunk.numValues} values` : `${this.#rows} of its rows`;
  }

  #decode(bytes: Uint8Array, offset: number): PageHeader | 'needs_more' {
    const last = Math.min(bytes.length, this.#chunk.range.end - this.#at + offset);
    return decodePageHeader(last < bytes.length ? bytes.subarray(0, last) : bytes, offset);
  }

  #needs(): WalkStep {
    const end = Math.min(this.#chunk.range.end, this.#at + this.#wanted);
    return { kind: 'needs', ranges: [{ start: this.#at, end }] };
  }

  #add(header: PageHeader): void {
    const start = this.#at;
    const length = header.headerLength + header.compressedPageSize;
    const end = start + length;
    if (end > this.#chunk.range.end) throw this.#fault(`is passed by a page that ends at byte ${end}`);
    this.#at = end;
    if (header.type === 'DICTIONARY_PAGE') {
      if (this.#dictionaryRange !== undefined) throw this.#fault('has two dictionary pages');
      if (this.#starts.length > 0) throw this.#fault('has its dictionary page after a data page');
      this.#dictionaryRange = { start, end };
      return;
    }
    if (header.type === 'INDEX_PAGE') return;
    this.#values += header.numValues;
    this.#dataEnd = end;
    const rows = this.#rowsOf(header);
    // An empty page holds no row anyone could ask for.
    if (rows === 0) return;
    this.#starts.push(start);
    this.#lengths.push(length);
    this.#firstRows.push(this.#rows);
    if (this.#isOneUnit) return;
    this.#rows += rows;
    if (this.#rows > this.#rowGroupRows) throw this.#fault(`has more rows than its row group's ${this.#rowGroupRows}`);
  }

  #rowsOf(header: PageHeader): number {
    const { maxRepetitionLevel } = this.#chunk.leaf;
    if (header.numRows !== undefined) {
      if (maxRepetitionLevel === 0 && header.numRows !== header.numValues) {
        throw this.#fault(`has a page of ${header.numValues} values in ${header.numRows} rows, though it is flat`);
      }
      return header.numRows;
    }
    if (maxRepetitionLevel === 0) return header.numValues;
    this.#isOneUnit = true;
    return header.numValues === 0 ? 0 : 1;
  }

  #locations(): PageLocations {
    if (this.#isOneUnit) return this.#unit();
    const starts = Float64Array.from(this.#starts);
    const lengths = Uint32Array.from(this.#lengths);
    const firstRows = Uint32Array.from([...this.#firstRows, this.#rowGroupRows]);
    return new PageLocations(starts, lengths, firstRows, this.#dictionaryRange);
  }

  #unit(): PageLocations {
    const [start = this.#at] = this.#starts;
    const length = this.#dataEnd - start;
    if (length > MAX_UNIT_BYTES) {
      throw unsupported(
        `the pages of column ${this.#chunk.leaf.name} take ${length} bytes and cannot be told apart by row, which is read up to ${MAX_UNIT_BYTES}`,
        this.#context(),
      );
    }
    const rows = Uint32Array.of(0, this.#rowGroupRows);
    return new PageLocations(Float64Array.of(start), Uint32Array.of(length), rows, this.#dictionaryRange);
  }

  #context(): ErrorContext {
    return { rowGroup: this.#chunk.rowGroup, column: this.#chunk.leaf.name, page: this.#starts.length };
  }

  #fault(why: string) {
    return corrupt(`the chunk of column ${this.#chunk.leaf.name} ${why}`, this.#context());
  }
}
