/**
 * The ColumnIndex: bounds of every page of a chunk, so that pages can be passed over unread. What its bounds may be
 * believed for is decided where all bounds are, in `bounds.ts`; here it is only read and held against the chunk's pages.
 */

import { corrupt, type ServiceError } from '../core/index.ts';
import { boundsMakeSense } from './believable.ts';
import { type Bounds, boundFormOf, FLOAT_FORMS } from './bounds.ts';
import { align, type BoundsLayout, BoundsTable, boundsByteLength } from './bounds-table.ts';
import type { KeyValue } from './compare.ts';
import { BOUNDARY_ORDERS, type BoundaryOrder } from './file-format.ts';
import type { ColumnChunk } from './file-index.ts';
import { KEY_BOUND_BYTES, packBoundsEntry, planBounds } from './pack-bounds.ts';
import { RAW, RawStatistics, readBoundList } from './raw-statistics.ts';
import type { LeafColumn } from './schema.ts';
import { ThriftEndError, ThriftReader, WIRE } from './thrift.ts';

const STORED_HEADER_BYTES = 32;

/** Bounds of the pages of one chunk. Unknown bounds contain everything. */
export class PageBounds {
  readonly pages: number;
  /** What the file says of the order of its bounds: a hint. Searches go by what the bounds are. */
  readonly boundaryOrder: BoundaryOrder;
  readonly byteSize: number;
  readonly #nullPages: Uint8Array;
  readonly #nullCounts: Float64Array | undefined;
  readonly #table: BoundsTable | undefined;
  readonly #tableBytes: Uint8Array;

  /** `tableBytes`, at a multiple of 8 of their buffer, are read by the layout; none where nothing is known. */
  constructor(
    nullPages: Uint8Array,
    nullCounts: Float64Array | undefined,
    boundaryOrder: BoundaryOrder,
    layout: BoundsLayout,
    tableBytes: Uint8Array,
  ) {
    this.pages = nullPages.length;
    this.boundaryOrder = boundaryOrder;
    this.byteSize = 1024 + nullPages.length + (nullCounts?.byteLength ?? 0) + tableBytes.length;
    this.#nullPages = nullPages;
    this.#nullCounts = nullCounts;
    this.#tableBytes = tableBytes;
    this.#table =
      tableBytes.length === 0 ? undefined : new BoundsTable(layout, tableBytes.buffer, tableBytes.byteOffset);
  }

  /** Takes bytes that `serialise` gave, at a multiple of 8 of their buffer. Throws `corrupt` where they do not fit. */
  static load(bytes: Uint8Array, leaf: LeafColumn): PageBounds {
    const fault = () => corrupt(`stored page bounds of column ${leaf.name} do not fit in their ${bytes.length} bytes`);
    if (bytes.length < STORED_HEADER_BYTES || bytes.byteOffset % 8 !== 0) throw fault();
    const header = new Uint32Array(bytes.buffer, bytes.byteOffset, STORED_HEADER_BYTES / 4);
    const [pages = 0, width = 0, hasLengths, order = 0, hasCounts, tableLength = 0] = header;
    const counts = hasCounts === 1 ? 8 * pages : 0;
    const nullsAt = STORED_HEADER_BYTES + counts;
    const tableAt = nullsAt + align(pages);
    if (tableAt + tableLength !== bytes.length) throw fault();
    const layout: BoundsLayout = { form: boundFormOf(leaf), entries: pages, width, hasLengths: hasLengths === 1 };
    if (tableLength !== 0 && boundsByteLength(layout) !== tableLength) throw fault();
    return new PageBounds(
      bytes.subarray(nullsAt, nullsAt + pages),
      hasCounts === 1 ? new Float64Array(bytes.buffer, bytes.byteOffset + STORED_HEADER_BYTES, pages) : undefined,
      BOUNDARY_ORDERS[order] ?? 'UNORDERED',
      layout,
      bytes.subarray(tableAt),
    );
  }

  /** A header of eight 32-bit numbers, null counts, a byte a page that is all null, the table; a multiple of 8 long. */
  serialise(): Uint8Array<ArrayBuffer> {
    const counts = this.#nullCounts?.byteLength ?? 0;
    const tableAt = STORED_HEADER_BYTES + counts + align(this.pages);
    const bytes = new Uint8Array(tableAt + this.#tableBytes.length);
    const { width = 0, hasLengths = false } = this.#table?.layout ?? {};
    const order = BOUNDARY_ORDERS.indexOf(this.boundaryOrder);
    const words = [this.pages, width, Number(hasLengths), order, Number(counts > 0), this.#tableBytes.length];
    new Uint32Array(bytes.buffer, 0, words.length).set(words);
    if (this.#nullCounts !== undefined) {
      new Float64Array(bytes.buffer, STORED_HEADER_BYTES, this.pages).set(this.#nullCounts);
    }
    bytes.set(this.#nullPages, STORED_HEADER_BYTES + counts);
    bytes.set(this.#tableBytes, tableAt);
    return bytes;
  }

  /** True when the page holds nothing but nulls. */
  nullPage(page: number): boolean {
    return this.#nullPages[page] === 1;
  }

  nullCount(page: number): number | undefined {
    const count = this.#nullCounts?.[page];
    return count === undefined || count < 0 ? undefined : count;
  }

  at(page: number): Bounds | undefined {
    return this.#table?.at(page);
  }

  canContain(page: number, key: KeyValue): boolean {
    return this.#table?.canContain(page, key) ?? true;
  }

  /** Whether the page may hold a value from `low` to `high`, both included; undefined is without end. */
  canContainBetween(page: number, low: KeyValue | undefined, high: KeyValue | undefined): boolean {
    return this.#table?.canContainBetween(page, low, high) ?? true;
  }

  /** The first page from `from` on that may hold the key, or -1. Makes no garbage. */
  next(key: KeyValue, from = 0): number {
    if (this.#table !== undefined) return this.#table.next(key, from);
    return from < this.pages ? from : -1;
  }

  /** By page; undefined where nothing is known. */
  get table(): BoundsTable | undefined {
    return this.#table;
  }
}

interface RawColumnIndex {
  readonly raw: RawStatistics;
  readonly nullPages: Uint8Array;
  readonly nullCounts: Float64Array | undefined;
  readonly boundaryOrder: BoundaryOrder;
}

/** `pages` is the number of data pages of the chunk's offset index. */
export function decodeColumnIndex(bytes: Uint8Array, chunk: ColumnChunk, pages: number): PageBounds {
  const fault = (why: string): ServiceError =>
    corrupt(`the column index of column ${chunk.leaf.name} ${why}`, {
      rowGroup: chunk.rowGroup,
      column: chunk.leaf.name,
    });
  // Each page takes at least a byte of each of three lists.
  if (pages * 3 > bytes.length) throw fault(`has ${bytes.length} bytes, too few for ${pages} pages`);
  let index: RawColumnIndex;
  try {
    index = readColumnIndex(new ThriftReader(bytes), chunk, pages, fault);
  } catch (error) {
    throw error instanceof ThriftEndError ? fault('ends before its last field') : error;
  }
  const plan = planBounds(chunk.leaf, chunk.columnOrder, index.raw, 0, 1, pages, KEY_BOUND_BYTES);
  const packed = new Uint8Array(plan.byteLength);
  const target = new DataView(packed.buffer);
  for (let page = 0; plan.byteLength > 0 && page < pages; page += 1) packBoundsEntry(plan, page, target, 0);
  return new PageBounds(index.nullPages, index.nullCounts, index.boundaryOrder, plan.layout, packed);
}

function readColumnIndex(
  reader: ThriftReader,
  chunk: ColumnChunk,
  pages: number,
  fault: (why: string) => ServiceError,
): RawColumnIndex {
  const raw = new RawStatistics(reader.bytes, pages);
  const nullPages = new Uint8Array(pages);
  let nullCounts: Float64Array | undefined;
  let nanCounts: Float64Array | undefined;
  let boundaryOrder: BoundaryOrder = 'UNORDERED';
  const sizes = [-1, -1, -1];
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    switch (field) {
      case 0x19: // null_pages
        sizes[0] = readFlags(reader, nullPages);
        break;
      case 0x29: // min_values
        sizes[1] = readBoundList(reader, raw, 'min');
        break;
      case 0x39: // max_values
        sizes[2] = readBoundList(reader, raw, 'max');
        break;
      case 0x46: // boundary_order
        boundaryOrder = BOUNDARY_ORDERS[reader.integer()] ?? 'UNORDERED';
        break;
      case 0x59: // null_counts
        nullCounts = readCounts(reader, pages);
        break;
      case 0x89: // nan_counts
        nanCounts = readCounts(reader, pages);
        break;
      default:
        reader.skip(field);
    }
  }
  for (const size of sizes) {
    if (size !== pages) throw fault(`has ${size === -1 ? 'no' : size} bounds for ${pages} pages`);
  }
  dropNonsense(raw, chunk.leaf);
  settleNullPages(raw, nullPages, nullCounts, chunk.leaf.maxDefinitionLevel > 0);
  if (nanCounts !== undefined && FLOAT_FORMS.has(boundFormOf(chunk.leaf))) {
    nanCounts.forEach((count, page) => {
      if (count === 0) raw.bits[page] = raw.bits[page]! | RAW.NO_NAN;
    });
  }
  return { raw, nullPages, nullCounts, boundaryOrder };
}

function dropNonsense(raw: RawStatistics, leaf: LeafColumn): void {
  const form = boundFormOf(leaf);
  for (let page = 0; page < raw.bits.length; page += 1) {
    if (!boundsMakeSense(form, leaf.typeLength, raw, page, raw.bits[page]!)) raw.bits[page] = 0;
  }
}

/**
 * Settles which pages are all null, and so have placeholders for bounds. Only a page that also counts a null is
 * believed: parquet-mr marks every page as null when statistics were switched off, even of a required column, and then
 * counts -1 nulls in it. Of a page that is not believed nothing is known.
 */
function settleNullPages(
  raw: RawStatistics,
  nullPages: Uint8Array,
  nullCounts: Float64Array | undefined,
  isNullable: boolean,
): void {
  for (let page = 0; page < nullPages.length; page += 1) {
    if (nullPages[page] === 0) continue;
    const isBelieved = isNullable && (nullCounts?.[page] ?? -1) > 0;
    nullPages[page] = isBelieved ? 1 : 0;
    raw.bits[page] = isBelieved ? RAW.ALL_NULL : 0;
  }
}

/** list<bool>, a byte each, 1 for true. */
function readFlags(reader: ThriftReader, flags: Uint8Array): number {
  const size = reader.listSize(WIRE.TRUE);
  for (let index = 0; index < size; index += 1) {
    const byte = reader.byte();
    if (index < flags.length) flags[index] = byte === 1 ? 1 : 0;
  }
  return size;
}

/** list<i64> with one count a page; a list of another length is as good as none. */
function readCounts(reader: ThriftReader, pages: number): Float64Array | undefined {
  const size = reader.listSize(WIRE.INT);
  const counts = new Float64Array(size);
  for (let index = 0; index < size; index += 1) counts[index] = reader.integer();
  return size === pages ? counts : undefined;
}
