/**
 * A footer made compact: where every column chunk lies, what is known of its values, and the schema, in one flat
 * buffer that is also its form on disk. A footer of 1,000 row groups and 50 columns takes some 2 MB here, and as objects
 * about 50.
 *
 * Nothing is unpacked ahead of time. `chunk` makes a small object when a chunk is about to be read; pruning goes over
 * the packed bounds of one column, through a table that is kept for the columns it was asked of.
 */

import { type ByteRange, copyBytes, corrupt, type ErrorContext, unsupported } from '../core/index.ts';
import { type Bounds, boundFormOf } from './bounds.ts';
import { type BoundsLayout, BoundsTable } from './bounds-table.ts';
import { CHUNK_FAULT } from './chunk-scan.ts';
import type { KeyValue } from './compare.ts';
import {
  COLUMN_ORDERS,
  COMPRESSION_CODECS,
  type ColumnOrder,
  type CompressionCodec,
  ENCODINGS,
  type Encoding,
} from './file-format.ts';
import {
  checkTable,
  directoryOf,
  FIELD,
  type FileIndexText,
  openDirectory,
  packFileIndex,
  SLOT,
  writeChecksum,
} from './file-index-layout.ts';
import { type SortingColumn, scanFooter } from './footer-scan.ts';
import { storedNumber } from './packed-field.ts';
import type { FileSchema, LeafColumn } from './schema.ts';
import { decodeSchema } from './schema-tree.ts';
import { ThriftReader } from './thrift.ts';

export type { CompressionCodec } from './file-format.ts';

/** One column of one row group: what has to be known to read its pages. */
export interface ColumnChunk {
  readonly rowGroup: number;
  readonly leaf: LeafColumn;
  readonly codec: CompressionCodec;
  /** Nulls included; for flat columns the row group's number of rows. */
  readonly numValues: number;
  /** All pages, the dictionary's included. */
  readonly range: ByteRange;
  /** Bytes of all pages once decompressed, headers included, as the footer says; an estimate. */
  readonly uncompressedBytes: number;
  /** Where the footer says that a dictionary page is. Undefined does not prove that there is none. */
  readonly dictionaryPageOffset: number | undefined;
  /** Where the footer says the first data page is; some writers give the dictionary page's offset instead. */
  readonly dataPageOffset: number;
  readonly encodings: readonly Encoding[];
  readonly nullCount: number | undefined;
  readonly offsetIndexRange: ByteRange | undefined;
  readonly columnIndexRange: ByteRange | undefined;
  /** Header and bits; where the footer does not say how long they are, enough of the start for the header. */
  readonly bloomFilterRange: ByteRange | undefined;
  readonly bloomFilterLengthKnown: boolean;
  /** How bounds of this column are ordered, in statistics and in the column index. */
  readonly columnOrder: ColumnOrder;
}

export interface FileIndexOptions {
  /** Dotted names of the columns that are looked up by: their bounds are kept longer. */
  readonly keyColumns?: ReadonlySet<string>;
  /** An index whose schema object is shared when the schemas are byte for byte the same. */
  readonly like?: FileIndex | undefined;
}

/** Asked for when a bloom filter's length is unknown: its header, and all of a small filter. */
const BLOOM_GUESS_BYTES = 4096;

export class FileIndex {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #directory: Float64Array;
  readonly #firstRows: Float64Array;
  readonly #tables = new Map<number, BoundsTable | undefined>();
  #schema: FileSchema | undefined;
  #sharesSchema = false;
  #hasChecksum: boolean;
  #text: FileIndexText | undefined;

  private constructor(bytes: Uint8Array, directory: Float64Array, schema: FileSchema | undefined) {
    // Parsed bytes have none yet, loaded ones have had theirs verified.
    this.#hasChecksum = schema === undefined;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#directory = directory;
    this.#firstRows = new Float64Array(
      bytes.buffer,
      bytes.byteOffset + directory[SLOT.FIRST_ROWS]!,
      this.rowGroups + 1,
    );
    this.#schema = schema;
  }

  /** `footer` is exactly the Thrift bytes of FileMetaData. Throws `corrupt` or `unsupported`. */
  static parse(footer: Uint8Array, fileLength: number, options: FileIndexOptions = {}): FileIndex {
    const scanned = scanFooter(footer);
    const bytes = new Uint8Array(packFileIndex(scanned, fileLength, options.keyColumns ?? new Set()));
    const index = new FileIndex(bytes, directoryOf(bytes), scanned.schema);
    index.#shareSchema(options.like);
    return index;
  }

  /**
   * Takes bytes that `serialise` gave, without a copy where they start at a multiple of 8. They must not be changed
   * afterwards. Throws `corrupt` when they are damaged or of another version.
   */
  static load(stored: Uint8Array, options: Pick<FileIndexOptions, 'like'> = {}): FileIndex {
    const bytes = stored.byteOffset % 8 === 0 ? stored : copyBytes(stored);
    const index = new FileIndex(bytes, openDirectory(bytes), undefined);
    index.#shareSchema(options.like);
    return index;
  }

  /** The index's own bytes, not a copy, with their checksum. */
  serialise(): Uint8Array {
    if (!this.#hasChecksum) writeChecksum(this.#bytes);
    this.#hasChecksum = true;
    return this.#bytes;
  }

  get schema(): FileSchema {
    this.#schema ??= decodeSchema(new ThriftReader(this.#schemaBytes()));
    return this.#schema;
  }

  get rows(): number {
    return this.#firstRows[this.rowGroups]!;
  }

  get rowGroups(): number {
    return this.#directory[SLOT.ROW_GROUPS]!;
  }

  get fileLength(): number {
    return this.#directory[SLOT.FILE_LENGTH]!;
  }

  get createdBy(): string {
    return this.#readText().createdBy;
  }

  /** Bytes of memory this index holds, estimated for the parts that are not its buffer. */
  get byteSize(): number {
    const schema = this.#sharesSchema ? 0 : this.#directory[SLOT.COLUMNS]! * 400;
    return this.#bytes.byteLength + 1024 + schema + this.#tables.size * 1024;
  }

  rowGroupFirstRow(rowGroup: number): number {
    return this.#firstRows[this.#checkRowGroup(rowGroup)]!;
  }

  rowGroupRows(rowGroup: number): number {
    return this.#firstRows[this.#checkRowGroup(rowGroup) + 1]! - this.#firstRows[rowGroup]!;
  }

  /** The row group that holds a row of the file, counted from 0. */
  rowGroupOf(row: number): number {
    let low = 0;
    let high = this.rowGroups;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#firstRows[middle + 1]! <= row) low = middle + 1;
      else high = middle;
    }
    return this.#checkRowGroup(low);
  }

  /** How the rows of the row group are said to be sorted: a hint, never proof. */
  sortingColumns(rowGroup: number): readonly SortingColumn[] {
    return this.#readText().sortings[this.#number(FIELD.SORTING, this.#checkRowGroup(rowGroup))] ?? [];
  }

  /** Names of the footer's key-value metadata, in its order. */
  get keyValueNames(): readonly string[] {
    return this.#readText().keyValues.map((entry) => entry.name);
  }

  /** A value of the key-value metadata. Values over 4 KiB are not kept: `keyValueNames` still has their names. */
  keyValueMetadata(name: string): string | undefined {
    return this.#readText().keyValues.find((entry) => entry.name === name)?.value;
  }

  columnOrder(column: number): ColumnOrder {
    return COLUMN_ORDERS[this.#bytes[this.#directory[SLOT.ORDERS]! + column] ?? 0] ?? 'UNDEFINED';
  }

  /** Throws `corrupt` or `unsupported`, naming row group and column, when the footer's word on the chunk is unusable. */
  chunk(rowGroup: number, column: number): ColumnChunk {
    const leaf = this.#leaf(column);
    const at = this.#entry(rowGroup, column);
    const context = { rowGroup, column: leaf.name };
    const codec = this.#codec(at, context);
    const rows = this.rowGroupRows(rowGroup);
    const numValues = this.#number(FIELD.NUM_VALUES, at) + rows;
    if (leaf.maxRepetitionLevel === 0 && numValues !== rows) {
      throw corrupt(`column ${leaf.name} has ${numValues} values in a row group of ${rows} rows`, context);
    }
    const range = this.#chunkRange(at, rowGroup, rows, context);
    const dictionaryLength = this.#number(FIELD.DICTIONARY_LENGTH, at);
    const bloomFilterLength = this.#number(FIELD.BLOOM_FILTER_LENGTH, at);
    return {
      rowGroup,
      leaf,
      codec,
      numValues,
      range,
      uncompressedBytes: this.#number(FIELD.UNCOMPRESSED_LENGTH, at),
      dictionaryPageOffset: dictionaryLength > 0 ? range.start : undefined,
      dataPageOffset: range.start + dictionaryLength,
      encodings: encodingsOf(this.#number(FIELD.ENCODINGS, at)),
      nullCount: optional(this.#number(FIELD.NULL_COUNT, at)),
      offsetIndexRange: this.#indexRange(FIELD.OFFSET_INDEX_OFFSET, FIELD.OFFSET_INDEX_LENGTH, at, context),
      columnIndexRange: this.#indexRange(FIELD.COLUMN_INDEX_OFFSET, FIELD.COLUMN_INDEX_LENGTH, at, context),
      bloomFilterRange: this.#bloomFilterRange(at, bloomFilterLength, context),
      bloomFilterLengthKnown: bloomFilterLength > 0,
      columnOrder: this.columnOrder(column),
    };
  }

  /** What is known of the values of a chunk; undefined is unknown, which prunes nothing. */
  chunkBounds(rowGroup: number, column: number): Bounds | undefined {
    this.#entry(rowGroup, column);
    return this.#table(column)?.at(rowGroup);
  }

  nullCount(rowGroup: number, column: number): number | undefined {
    return optional(this.#number(FIELD.NULL_COUNT, this.#entry(rowGroup, column)));
  }

  /** Whether a row group may hold the key in that column. */
  canContain(rowGroup: number, column: number, key: KeyValue): boolean {
    this.#entry(rowGroup, column);
    return this.#table(column)?.canContain(rowGroup, key) ?? true;
  }

  /** Whether a row group may hold a value from `low` to `high`, both included; undefined is without end. */
  canContainBetween(rowGroup: number, column: number, low: KeyValue | undefined, high: KeyValue | undefined): boolean {
    this.#entry(rowGroup, column);
    return this.#table(column)?.canContainBetween(rowGroup, low, high) ?? true;
  }

  /** The first row group from `from` on that may hold the key, or -1. Makes no garbage. */
  nextRowGroup(column: number, key: KeyValue, from = 0): number {
    this.#leaf(column);
    const table = this.#table(column);
    if (table === undefined) return from < this.rowGroups ? from : -1;
    return table.next(key, from);
  }

  #codec(at: number, context: ErrorContext): CompressionCodec {
    const number = this.#number(FIELD.CODEC, at);
    const codec = COMPRESSION_CODECS[number];
    if (codec !== undefined) return codec;
    const column = `column ${context.column}`;
    if (number === CHUNK_FAULT.ENCRYPTED) throw unsupported(`${column} is encrypted`, context);
    if (number === CHUNK_FAULT.OTHER_FILE) throw unsupported(`${column} is stored in another file`, context);
    if (number === CHUNK_FAULT.WRONG_COLUMN) throw corrupt(`in place of ${column} is a chunk of another`, context);
    if (number === CHUNK_FAULT.INCOMPLETE) throw corrupt(`the metadata of ${column} is incomplete`, context);
    throw unsupported(`${column} is compressed with codec ${number}, which is not known to this version`, context);
  }

  #chunkRange(at: number, rowGroup: number, rows: number, context: ErrorContext): ByteRange {
    const starts = this.#directory[SLOT.STARTS]!;
    const start = this.#number(FIELD.START, at) + this.#view.getFloat64(starts + 8 * rowGroup, true);
    const length = this.#number(FIELD.LENGTH, at);
    // Writers put anything as the offset of a chunk that has no pages.
    if (rows === 0) return { start: 0, end: 0 };
    const end = start + length;
    if (start < 4 || length <= 0 || end > this.fileLength) {
      throw corrupt(`the chunk of column ${context.column} is said to lie at ${start} to ${end}, outside the file`, {
        ...context,
        fileLength: this.fileLength,
      });
    }
    return { start, end: Math.min(this.fileLength, end + this.#directory[SLOT.CHUNK_SLACK]!) };
  }

  #indexRange(offsetField: number, lengthField: number, at: number, context: ErrorContext): ByteRange | undefined {
    const start = this.#number(offsetField, at);
    const length = this.#number(lengthField, at);
    if (start <= 0 || length <= 0) return undefined;
    return this.#checkRange(start, start + length, 'page index', context);
  }

  #bloomFilterRange(at: number, length: number, context: ErrorContext): ByteRange | undefined {
    const start = this.#number(FIELD.BLOOM_FILTER_OFFSET, at);
    if (start <= 0) return undefined;
    const end = length > 0 ? start + length : Math.min(this.fileLength, start + BLOOM_GUESS_BYTES);
    return this.#checkRange(start, end, 'bloom filter', context);
  }

  #checkRange(start: number, end: number, what: string, context: ErrorContext): ByteRange {
    if (end <= this.fileLength && end > start) return { start, end };
    throw corrupt(`the ${what} of column ${context.column} is said to lie at ${start} to ${end}, outside the file`, {
      ...context,
      fileLength: this.fileLength,
    });
  }

  #leaf(column: number): LeafColumn {
    const leaf = this.schema.leaves[column];
    if (leaf === undefined) throw new RangeError(`there is no column ${column}`);
    return leaf;
  }

  #checkRowGroup(rowGroup: number): number {
    if (rowGroup >= 0 && rowGroup < this.rowGroups) return rowGroup;
    throw new RangeError(`there is no row group ${rowGroup}`);
  }

  #entry(rowGroup: number, column: number): number {
    this.#leaf(column);
    return this.#checkRowGroup(rowGroup) * this.#directory[SLOT.COLUMNS]! + column;
  }

  /** A packed number; an absent one of an optional field is -1. */
  #number(field: number, entry: number): number {
    const slot = SLOT.FIELDS + 3 * field;
    const base = this.#directory[slot + 2]!;
    const stored = storedNumber(this.#view, this.#directory[slot]!, this.#directory[slot + 1]!, entry);
    if (stored === 0 && field >= FIELD.OFFSET_INDEX_OFFSET && field <= FIELD.NULL_COUNT) return -1;
    return base + stored;
  }

  #table(column: number): BoundsTable | undefined {
    const known = this.#tables.get(column);
    if (known !== undefined || this.#tables.has(column)) return known;
    const table = this.#openTable(column);
    this.#tables.set(column, table);
    return table;
  }

  #openTable(column: number): BoundsTable | undefined {
    const slot = this.#directory[SLOT.BOUNDS]! + 8 * column;
    const at = this.#view.getUint32(slot, true) * 8;
    const shape = this.#view.getUint32(slot + 4, true);
    if (at === 0) return undefined;
    const form = boundFormOf(this.#leaf(column));
    const layout: BoundsLayout = { form, entries: this.rowGroups, width: shape & 0xff, hasLengths: shape > 0xff };
    checkTable(layout, at, this.#bytes.length);
    return new BoundsTable(layout, this.#bytes.buffer, this.#bytes.byteOffset + at);
  }

  #schemaBytes(): Uint8Array {
    const at = this.#directory[SLOT.SCHEMA]!;
    return this.#bytes.subarray(at, at + this.#directory[SLOT.SCHEMA_LENGTH]!);
  }

  #readText(): FileIndexText {
    if (this.#text === undefined) {
      const at = this.#directory[SLOT.TEXT]!;
      const text = this.#bytes.subarray(at, at + this.#directory[SLOT.TEXT_LENGTH]!);
      this.#text = JSON.parse(new TextDecoder().decode(text)) as FileIndexText;
    }
    return this.#text;
  }

  #shareSchema(like: FileIndex | undefined): void {
    if (like === undefined || Buffer.compare(like.#schemaBytes(), this.#schemaBytes()) !== 0) return;
    this.#schema = like.schema;
    this.#sharesSchema = true;
  }
}

function optional(value: number): number | undefined {
  return value === -1 ? undefined : value;
}

function encodingsOf(bits: number): Encoding[] {
  return ENCODINGS.filter((encoding, number) => encoding !== undefined && (bits & (1 << number)) !== 0) as Encoding[];
}
