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
  FIELD_SLOT,
  type FileIndexText,
  openDirectory,
  packFileIndex,
  SLOT,
  slotOf,
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

const textDecoder = new TextDecoder();

export interface LoadOptions extends Pick<FileIndexOptions, 'like'> {
  /** `of storage` where the bytes were just read under a checksum of whoever stored them: one suffices. */
  readonly checksum?: 'own' | 'of storage';
}

/** Asked for when a bloom filter's length is unknown: its header, and all of a small filter. */
const BLOOM_GUESS_BYTES = 4096;

export class FileIndex {
  #bytes: Uint8Array;
  #view: DataView;
  #directory: Float64Array;
  #firstRows: Float64Array;
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
  static load(stored: Uint8Array, options: LoadOptions = {}): FileIndex {
    const bytes = stored.byteOffset % 8 === 0 ? stored : copyBytes(stored);
    const index = new FileIndex(bytes, openDirectory(bytes, options.checksum ?? 'own'), undefined);
    index.#shareSchema(options.like);
    return index;
  }

  /** The index's own bytes, not a copy, with their checksum. */
  serialise(): Uint8Array {
    if (!this.#hasChecksum) writeChecksum(this.#bytes);
    this.#hasChecksum = true;
    return this.#bytes;
  }

  /** The same bytes, from now on in memory that other threads can read too. */
  share(): Uint8Array<SharedArrayBuffer> {
    const { buffer } = this.serialise();
    if (buffer instanceof SharedArrayBuffer) return new Uint8Array(buffer);
    const shared = new Uint8Array(new SharedArrayBuffer(this.#bytes.byteLength));
    shared.set(this.#bytes);
    this.#bytes = shared;
    this.#view = new DataView(shared.buffer);
    this.#directory = directoryOf(shared);
    this.#firstRows = new Float64Array(shared.buffer, this.#directory[SLOT.FIRST_ROWS]!, this.rowGroups + 1);
    this.#tables.clear();
    return shared;
  }

  get schema(): FileSchema {
    // Text is not decoded out of shared memory.
    this.#schema ??= decodeSchema(new ThriftReader(Uint8Array.from(this.schemaBytes)));
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
    return this.#readText().sortings[this.#number(FIELD.SORTING, this.#checkRowGroup(rowGroup), 0, 1)] ?? [];
  }

  /** Names of the footer's key-value metadata, in its order. */
  get keyValueNames(): readonly string[] {
    return this.#readText().keyValues.map((entry) => entry.name);
  }

  /** A value of the key-value metadata. Values over 4 KiB are not kept: `keyValueNames` still has their names. */
  keyValueMetadata(name: string): string | undefined {
    return this.#readText().keyValues.find((entry) => entry.name === name)?.value;
  }

  /** Whether any chunk is said to have an offset index. */
  get hasOffsetIndexes(): boolean {
    const slot = slotOf(FIELD.OFFSET_INDEX_OFFSET);
    return this.#directory[slot + FIELD_SLOT.WIDTH] !== 0 || this.#directory[slot + FIELD_SLOT.ZERO_IS_ABSENT] !== 1;
  }

  /** Whether `chunk` throws for any since its codec is not known, or the chunk is not what it should be. */
  get hasUnreadableChunks(): boolean {
    const columns = this.#directory[SLOT.COLUMNS]!;
    const isSameOfAll = this.#directory[slotOf(FIELD.CODEC) + FIELD_SLOT.WIDTH] === 0;
    const chunks = isSameOfAll ? Math.min(1, this.rowGroups * columns) : this.rowGroups * columns;
    for (let at = 0; at < chunks; at += 1) {
      const codec = this.#number(FIELD.CODEC, Math.trunc(at / columns), at % columns);
      if (COMPRESSION_CODECS[codec] === undefined) return true;
    }
    return false;
  }

  columnOrder(column: number): ColumnOrder {
    return COLUMN_ORDERS[this.#bytes[this.#directory[SLOT.ORDERS]! + column] ?? 0] ?? 'UNDEFINED';
  }

  /** Throws `corrupt` or `unsupported`, naming row group and column, when the footer's word on the chunk is unusable. */
  chunk(rowGroup: number, column: number): ColumnChunk {
    const leaf = this.#leaf(column);
    this.#checkRowGroup(rowGroup);
    const number = (field: number) => this.#number(field, rowGroup, column);
    const context = { rowGroup, column: leaf.name };
    const codec = codecOf(number(FIELD.CODEC), context);
    const rows = this.rowGroupRows(rowGroup);
    const numValues = number(FIELD.NUM_VALUES);
    if (leaf.maxRepetitionLevel === 0 && numValues !== rows) {
      throw corrupt(`column ${leaf.name} has ${numValues} values in a row group of ${rows} rows`, context);
    }
    const range = this.#chunkRange(number(FIELD.START), number(FIELD.LENGTH), rows, context);
    const dictionaryLength = number(FIELD.DICTIONARY_LENGTH);
    const bloomFilterLength = number(FIELD.BLOOM_FILTER_LENGTH);
    return {
      rowGroup,
      leaf,
      codec,
      numValues,
      range,
      uncompressedBytes: number(FIELD.UNCOMPRESSED_LENGTH),
      dictionaryPageOffset: dictionaryLength > 0 ? range.start : undefined,
      dataPageOffset: range.start + dictionaryLength,
      encodings: encodingsOf(number(FIELD.ENCODINGS)),
      nullCount: optional(number(FIELD.NULL_COUNT)),
      offsetIndexRange: this.#indexRange(number(FIELD.OFFSET_INDEX_OFFSET), number(FIELD.OFFSET_INDEX_LENGTH), context),
      columnIndexRange: this.#indexRange(number(FIELD.COLUMN_INDEX_OFFSET), number(FIELD.COLUMN_INDEX_LENGTH), context),
      bloomFilterRange: this.#bloomFilterRange(number(FIELD.BLOOM_FILTER_OFFSET), bloomFilterLength, context),
      bloomFilterLengthKnown: bloomFilterLength > 0,
      columnOrder: this.columnOrder(column),
    };
  }

  /** What is known of the values of a chunk; undefined is unknown, which prunes nothing. */
  chunkBounds(rowGroup: number, column: number): Bounds | undefined {
    this.#check(rowGroup, column);
    return this.#table(column)?.at(rowGroup);
  }

  nullCount(rowGroup: number, column: number): number | undefined {
    this.#check(rowGroup, column);
    return optional(this.#number(FIELD.NULL_COUNT, rowGroup, column));
  }

  /** Whether a row group may hold the key in that column. */
  canContain(rowGroup: number, column: number, key: KeyValue): boolean {
    this.#check(rowGroup, column);
    return this.#table(column)?.canContain(rowGroup, key) ?? true;
  }

  /** Whether a row group may hold a value from `low` to `high`, both included; undefined is without end. */
  canContainBetween(rowGroup: number, column: number, low: KeyValue | undefined, high: KeyValue | undefined): boolean {
    this.#check(rowGroup, column);
    return this.#table(column)?.canContainBetween(rowGroup, low, high) ?? true;
  }

  /** The first row group from `from` on that may hold the key, or -1. Makes no garbage. */
  nextRowGroup(column: number, key: KeyValue, from = 0): number {
    this.#leaf(column);
    const table = this.#table(column);
    if (table === undefined) return from < this.rowGroups ? from : -1;
    return table.next(key, from);
  }

  /** Of the chunks of a column, by row group; undefined where none is known. */
  boundsOf(column: number): BoundsTable | undefined {
    return this.#table(column);
  }

  #chunkRange(start: number, length: number, rows: number, context: ErrorContext): ByteRange {
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

  #indexRange(start: number, length: number, context: ErrorContext): ByteRange | undefined {
    if (start <= 0 || length <= 0) return undefined;
    return this.#checkRange(start, start + length, 'page index', context);
  }

  #bloomFilterRange(start: number, length: number, context: ErrorContext): ByteRange | undefined {
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

  #check(rowGroup: number, column: number): void {
    this.#leaf(column);
    this.#checkRowGroup(rowGroup);
  }

  /** A packed number; an absent one of an optional field is -1. */
  #number(field: number, rowGroup: number, column: number, columns = this.#directory[SLOT.COLUMNS]!): number {
    const directory = this.#directory;
    const slot = slotOf(field);
    const at = directory[slot + FIELD_SLOT.AT]!;
    const stored = storedNumber(this.#view, at, directory[slot + FIELD_SLOT.WIDTH]!, rowGroup * columns + column);
    if (stored === 0 && directory[slot + FIELD_SLOT.ZERO_IS_ABSENT] === 1) return -1;
    const rowOrigins = directory[slot + FIELD_SLOT.ROW_ORIGINS]!;
    const columnOrigins = directory[slot + FIELD_SLOT.COLUMN_ORIGINS]!;
    let value = stored + directory[slot + FIELD_SLOT.BASE]!;
    if (rowOrigins !== 0) value += this.#view.getFloat64(rowOrigins + 8 * rowGroup, true);
    if (columnOrigins !== 0) value += this.#view.getFloat64(columnOrigins + 8 * column, true);
    return value;
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

  /** The footer's `list<SchemaElement>`, as it is. */
  get schemaBytes(): Uint8Array {
    const at = this.#directory[SLOT.SCHEMA]!;
    return this.#bytes.subarray(at, at + this.#directory[SLOT.SCHEMA_LENGTH]!);
  }

  #readText(): FileIndexText {
    if (this.#text === undefined) {
      const at = this.#directory[SLOT.TEXT]!;
      const text = this.#bytes.subarray(at, at + this.#directory[SLOT.TEXT_LENGTH]!);
      this.#text = JSON.parse(textDecoder.decode(Uint8Array.from(text))) as FileIndexText;
    }
    return this.#text;
  }

  #shareSchema(like: FileIndex | undefined): void {
    if (like === undefined || Buffer.compare(like.schemaBytes, this.schemaBytes) !== 0) return;
    this.#schema = like.schema;
    this.#sharesSchema = true;
  }
}

function codecOf(number: number, context: ErrorContext): CompressionCodec {
  const codec = COMPRESSION_CODECS[number];
  if (codec !== undefined) return codec;
  const column = `column ${context.column}`;
  if (number === CHUNK_FAULT.ENCRYPTED) throw unsupported(`${column} is encrypted`, context);
  if (number === CHUNK_FAULT.OTHER_FILE) throw unsupported(`${column} is stored in another file`, context);
  if (number === CHUNK_FAULT.WRONG_COLUMN) throw corrupt(`in place of ${column} is a chunk of another`, context);
  if (number === CHUNK_FAULT.INCOMPLETE) throw corrupt(`the metadata of ${column} is incomplete`, context);
  throw unsupported(`${column} is compressed with codec ${number}, which is not known to this version`, context);
}

function optional(value: number): number | undefined {
  return value === -1 ? undefined : value;
}

function encodingsOf(bits: number): Encoding[] {
  return ENCODINGS.filter((encoding, number) => encoding !== undefined && (bits & (1 << number)) !== 0) as Encoding[];
}
