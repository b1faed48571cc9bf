/**
 * Reads the Thrift of a footer (FileMetaData) straight into typed arrays: no object a row group, chunk or statistic.
 * What comes out is wide and temporary; `FileIndex` packs it.
 *
 * Damage that concerns one chunk does not refuse the file here: the chunk is marked in its codec, and whoever asks for
 * it gets the error. Damage to the structure (row groups without their columns, counts the bytes cannot hold) does.
 * FileMetaData.num_rows is not read: real files give it wrong, and the row groups are what is stored.
 */

import { corrupt, ServiceError, unsupported } from '../core/index.ts';
import { COLUMN_ORDERS, PHYSICAL_TYPES } from './file-format.ts';
import { RAW, RawStatistics, readStatistics } from './raw-statistics.ts';
import type { FileSchema } from './schema.ts';
import { decodeSchema } from './schema-tree.ts';
import { ThriftReader, WIRE } from './thrift.ts';

/** In place of a codec: why the chunk cannot be read. */
export const CHUNK_FAULT = { INCOMPLETE: 240, WRONG_TYPE: 241, OTHER_FILE: 242, ENCRYPTED: 243 } as const;

/** The least bytes a ColumnChunk with all its required fields takes. */
const MIN_CHUNK_BYTES = 16;
/** A value of the key-value metadata longer than this is known by name and length only. */
const MAX_KEPT_VALUE_BYTES = 4096;

export interface SortingColumn {
  readonly column: number;
  readonly descending: boolean;
  readonly nullsFirst: boolean;
}

/** Arrays of one number a chunk stand column after column: `column * rowGroups + rowGroup`. -1 is absent. */
export class ScannedFooter {
  readonly schema: FileSchema;
  readonly schemaBytes: Uint8Array;
  readonly rowGroups: number;
  readonly rowGroupRows: Float64Array;
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
  /** The distinct sorting orders, and which of them each row group has. */
  readonly sortings: (readonly SortingColumn[])[] = [[]];
  readonly sortingOf: Float64Array;
  columnOrders = new Uint8Array(0);
  createdBy = '';
  keyValues: KeptKeyValue[] = [];

  constructor(source: Uint8Array, schema: FileSchema, schemaBytes: Uint8Array, rowGroups: number) {
    const chunks = rowGroups * schema.leaves.length;
    this.schema = schema;
    this.schemaBytes = schemaBytes;
    this.rowGroups = rowGroups;
    this.rowGroupRows = new Float64Array(rowGroups);
    this.sortingOf = new Float64Array(rowGroups);
    this.start = new Float64Array(chunks);
    this.length = new Float64Array(chunks);
    this.uncompressedLength = new Float64Array(chunks);
    this.dictionaryLength = new Float64Array(chunks);
    this.numValues = new Float64Array(chunks);
    this.codec = new Uint8Array(chunks);
    this.encodings = new Uint16Array(chunks);
    this.offsetIndexOffset = new Float64Array(chunks).fill(-1);
    this.offsetIndexLength = new Float64Array(chunks).fill(-1);
    this.columnIndexOffset = new Float64Array(chunks).fill(-1);
    this.columnIndexLength = new Float64Array(chunks).fill(-1);
    this.bloomFilterOffset = new Float64Array(chunks).fill(-1);
    this.bloomFilterLength = new Float64Array(chunks).fill(-1);
    this.nullCount = new Float64Array(chunks).fill(-1);
    this.raw = new RawStatistics(source, chunks);
  }
}

export interface KeptKeyValue {
  readonly name: string;
  /** Undefined when the value is missing or too long to be kept. */
  readonly value: string | undefined;
  readonly valueBytes: number;
}

/** `source` is exactly the bytes of FileMetaData. */
export function scanFooter(source: Uint8Array): ScannedFooter {
  return new FooterScanner(source).scan();
}

class FooterScanner {
  readonly #source: Uint8Array;
  readonly #reader: ThriftReader;
  #schema: FileSchema | undefined;
  #schemaBytes = new Uint8Array(0);
  #footer: ScannedFooter | undefined;

  constructor(source: Uint8Array) {
    this.#source = source;
    this.#reader = new ThriftReader(source);
  }

  scan(): ScannedFooter {
    const reader = this.#reader;
    let rowGroupsAt = -1;
    let createdBy = '';
    let keyValues: KeptKeyValue[] = [];
    let columnOrders = new Uint8Array(0);
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      switch (field) {
        case 0x29: // schema
          this.#readSchema();
          break;
        case 0x49: // row_groups
          if (this.#schema === undefined) {
            rowGroupsAt = reader.offset;
            reader.skip(field);
          } else this.#readRowGroups(this.#schema);
          break;
        case 0x59: // key_value_metadata
          keyValues = readKeyValues(reader);
          break;
        case 0x68: // created_by
          createdBy = reader.string();
          break;
        case 0x79: // column_orders
          columnOrders = readColumnOrders(reader);
          break;
        case 0x8c: // encryption_algorithm
          throw unsupported('the file is encrypted (with its footer in plain), and encrypted files cannot be read');
        default:
          reader.skip(field);
      }
    }
    if (this.#schema === undefined) throw corrupt('the footer has no schema');
    if (rowGroupsAt !== -1 && this.#footer === undefined) {
      reader.offset = rowGroupsAt;
      this.#readRowGroups(this.#schema);
    }
    if (this.#footer === undefined) throw corrupt('the footer has no list of row groups');
    this.#footer.createdBy = createdBy;
    this.#footer.keyValues = keyValues;
    this.#footer.columnOrders = columnOrders;
    return this.#footer;
  }

  #readSchema(): void {
    if (this.#schema !== undefined) throw corrupt('the footer has two schemas');
    const from = this.#reader.offset;
    this.#schema = decodeSchema(this.#reader);
    this.#schemaBytes = this.#source.slice(from, this.#reader.offset);
  }

  /** list<RowGroup> */
  #readRowGroups(schema: FileSchema): void {
    if (this.#footer !== undefined) throw corrupt('the footer has two lists of row groups');
    const leaves = schema.leaves.length;
    const rowGroups = this.#reader.listSize(WIRE.STRUCT, Math.max(1, leaves * MIN_CHUNK_BYTES));
    this.#footer = new ScannedFooter(this.#source, schema, this.#schemaBytes, rowGroups);
    const types = Int8Array.from(schema.leaves, (leaf) => PHYSICAL_TYPES.indexOf(leaf.physicalType));
    for (let rowGroup = 0; rowGroup < rowGroups; rowGroup += 1) {
      try {
        this.#readRowGroup(this.#footer, types, rowGroup);
      } catch (error) {
        throw error instanceof ServiceError ? error.with({ rowGroup }) : error;
      }
    }
  }

  #readRowGroup(footer: ScannedFooter, types: Int8Array, rowGroup: number): void {
    const reader = this.#reader;
    let numRows = -1;
    let columns = -1;
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      if (field === 0x19) {
        columns = reader.listSize(WIRE.STRUCT);
        if (columns !== types.length) break;
        let chunk = rowGroup;
        for (let column = 0; column < columns; column += 1) {
          readColumnChunk(reader, footer, chunk, types[column]!);
          chunk += footer.rowGroups;
        }
      } else if (field === 0x36) numRows = reader.integer();
      else if (field === 0x49) readSortingColumns(reader, footer, rowGroup);
      else reader.skip(field);
    }
    if (columns !== types.length) {
      throw corrupt(`row group ${rowGroup} has ${Math.max(0, columns)} column chunks for ${types.length} columns`);
    }
    if (numRows < 0) throw corrupt(`row group ${rowGroup} has ${numRows === -1 ? 'no' : 'a negative'} number of rows`);
    if (numRows > 0x7fff_ffff) throw unsupported(`row group ${rowGroup} has ${numRows} rows, more than 2^31 - 1`);
    footer.rowGroupRows[rowGroup] = numRows;
  }
}

/** ColumnChunk */
function readColumnChunk(reader: ThriftReader, footer: ScannedFooter, chunk: number, type: number): void {
  let isElsewhere = false;
  let isEncrypted = false;
  footer.codec[chunk] = CHUNK_FAULT.INCOMPLETE;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    switch (field) {
      case 0x18: // file_path
        isElsewhere = reader.binary().length > 0;
        break;
      case 0x3c: // meta_data
        readColumnMetaData(reader, footer, chunk, type);
        break;
      case 0x46:
        footer.offsetIndexOffset[chunk] = natural(reader.integer());
        break;
      case 0x56:
        footer.offsetIndexLength[chunk] = natural(reader.integer());
        break;
      case 0x66:
        footer.columnIndexOffset[chunk] = natural(reader.integer());
        break;
      case 0x76:
        footer.columnIndexLength[chunk] = natural(reader.integer());
        break;
      case 0x8c: // crypto_metadata
      case 0x98: // encrypted_column_metadata
        isEncrypted = true;
        reader.skip(field);
        break;
      default:
        reader.skip(field);
    }
  }
  if (isEncrypted) footer.codec[chunk] = CHUNK_FAULT.ENCRYPTED;
  else if (isElsewhere) footer.codec[chunk] = CHUNK_FAULT.OTHER_FILE;
}

/** ColumnMetaData. The path is not compared: the format says that chunks stand in the order of the schema. */
function readColumnMetaData(reader: ThriftReader, footer: ScannedFooter, chunk: number, type: number): void {
  let foundType = -1;
  let codec = -1;
  let numValues = -1;
  let length = -1;
  let dataPageOffset = -1;
  let dictionaryPageOffset = -1;
  footer.uncompressedLength[chunk] = 0;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    switch (field) {
      case 0x16:
        foundType = reader.integer();
        break;
      case 0x29:
        footer.encodings[chunk] = readEncodings(reader);
        break;
      case 0x46:
        codec = reader.integer();
        break;
      case 0x56:
        numValues = natural(reader.integer());
        break;
      case 0x66:
        footer.uncompressedLength[chunk] = Math.max(0, natural(reader.integer()));
        break;
      case 0x76:
        length = natural(reader.integer());
        break;
      case 0x96:
        dataPageOffset = natural(reader.integer());
        break;
      case 0xb6:
        dictionaryPageOffset = natural(reader.integer());
        break;
      case 0xcc:
        footer.nullCount[chunk] = readStatistics(reader, footer.raw, chunk);
        break;
      case 0xe6:
        footer.bloomFilterOffset[chunk] = natural(reader.integer());
        break;
      case 0xf6:
        footer.bloomFilterLength[chunk] = natural(reader.integer());
        break;
      default:
        reader.skip(field);
    }
  }
  // An offset of 0 is how some writers say that there is no dictionary page.
  const hasDictionary = dictionaryPageOffset > 0 && dictionaryPageOffset < dataPageOffset;
  const start = hasDictionary ? dictionaryPageOffset : dataPageOffset;
  footer.start[chunk] = start;
  footer.length[chunk] = length;
  footer.dictionaryLength[chunk] = dataPageOffset - start;
  footer.numValues[chunk] = numValues;
  if (numValues > 0 && footer.nullCount[chunk] === numValues) {
    footer.raw.bits[chunk] = footer.raw.bits[chunk]! | RAW.ALL_NULL;
  }
  if (length === -1 || dataPageOffset === -1 || numValues === -1 || codec === -1) return;
  if (foundType !== type) footer.codec[chunk] = CHUNK_FAULT.WRONG_TYPE;
  else footer.codec[chunk] = codec >= 0 && codec < CHUNK_FAULT.INCOMPLETE ? codec : CHUNK_FAULT.INCOMPLETE - 1;
}

/** list<Encoding> as a set of bits; an encoding this version does not know is left to the page that uses it. */
function readEncodings(reader: ThriftReader): number {
  const size = reader.listSize(WIRE.INT);
  let encodings = 0;
  for (let index = 0; index < size; index += 1) {
    const encoding = reader.integer();
    if (encoding >= 0 && encoding < 16) encodings |= 1 << encoding;
  }
  return encodings;
}

/** list<SortingColumn>. Row groups mostly share one order, which is then kept once. */
function readSortingColumns(reader: ThriftReader, footer: ScannedFooter, rowGroup: number): void {
  const size = reader.listSize(WIRE.STRUCT);
  const sorting: SortingColumn[] = [];
  for (let index = 0; index < size; index += 1) {
    let column = -1;
    let descending = false;
    let nullsFirst = false;
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      if (field === 0x16) column = reader.integer();
      else if (field === 0x21) descending = true;
      else if (field === 0x31) nullsFirst = true;
      else reader.skip(field);
    }
    if (column >= 0 && column < footer.schema.leaves.length) sorting.push({ column, descending, nullsFirst });
  }
  const last = footer.sortings.length - 1;
  const isLast = JSON.stringify(sorting) === JSON.stringify(footer.sortings[last]);
  if (!isLast) footer.sortings.push(sorting);
  footer.sortingOf[rowGroup] = isLast ? last : last + 1;
}

/** list<KeyValue> */
function readKeyValues(reader: ThriftReader): KeptKeyValue[] {
  const size = reader.listSize(WIRE.STRUCT, 2);
  const keyValues: KeptKeyValue[] = [];
  for (let index = 0; index < size; index += 1) {
    let name = '';
    let value: string | undefined;
    let valueBytes = 0;
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      if (field === 0x18) name = reader.string();
      else if (field === 0x28) {
        valueBytes = reader.binaryLength();
        if (valueBytes <= MAX_KEPT_VALUE_BYTES) {
          value = Buffer.from(reader.bytes.buffer, reader.bytes.byteOffset + reader.offset, valueBytes).toString(
            'utf8',
          );
        }
        reader.offset += valueBytes;
      } else reader.skip(field);
    }
    keyValues.push({ name, value, valueBytes });
  }
  return keyValues;
}

/** list<ColumnOrder>, each as its position in COLUMN_ORDERS. */
function readColumnOrders(reader: ThriftReader): Uint8Array<ArrayBuffer> {
  const size = reader.listSize(WIRE.STRUCT);
  const orders = new Uint8Array(size);
  for (let index = 0; index < size; index += 1) {
    for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
      const id = field >> 4;
      if (id > 0 && id < COLUMN_ORDERS.length) orders[index] = id;
      reader.skip(field);
    }
  }
  return orders;
}

/** Offsets, lengths and counts: anything but a natural number that a double holds exactly is as good as absent. */
function natural(value: number): number {
  return Number.isSafeInteger(value) && value >= 0 ? value : -1;
}
