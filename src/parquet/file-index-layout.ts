/**
 * The bytes of a FileIndex. One flat buffer, the same in memory and on disk:
 *
 *     header       magic, version, CRC-32 of all that follows, reserved: four 32-bit numbers
 *     directory    doubles, at the positions of SLOT
 *     sections     each from a multiple of 8
 *       schema       the schema's own Thrift bytes
 *       text         JSON: created_by, key-value metadata, sorting orders
 *       orders       a byte a column: its ColumnOrder
 *       first rows   a double a row group, and one beyond
 *       fields       one packed number a chunk each, row group after row group; each with its origins, doubles
 *       bounds       two 32-bit numbers a column (where its table is, in units of 8 bytes; width and lengths), tables
 *
 * Everything is little-endian, which is every machine this runs on. A change of layout changes VERSION, and an index
 * of another version is simply made anew from its file.
 */

import { crc32 } from 'node:zlib';

import { corrupt } from '../core/index.ts';
import { type BoundsLayout, boundsByteLength } from './bounds-table.ts';
import { COLUMN_ORDERS } from './file-format.ts';
import type { ScannedFooter } from './footer-scan.ts';
import { BOUND_BYTES, type BoundsPlan, KEY_BOUND_BYTES, packBoundsEntry, planBounds } from './pack-bounds.ts';
import { type PackedField, packField, planField } from './packed-field.ts';

const MAGIC = 0x58_49_4c_50; // PLIX
const VERSION = 2;
const HEADER_BYTES = 16;

/** Positions in the directory. */
export const SLOT = {
  BYTE_LENGTH: 0,
  ROW_GROUPS: 1,
  COLUMNS: 2,
  FILE_LENGTH: 3,
  /** Bytes beyond a chunk's stated length that still belong to it, see `chunkSlack`. */
  CHUNK_SLACK: 4,
  SCHEMA: 5,
  SCHEMA_LENGTH: 6,
  TEXT: 7,
  TEXT_LENGTH: 8,
  ORDERS: 9,
  FIRST_ROWS: 10,
  BOUNDS: 11,
  /** From here on FIELD_SLOTS doubles a field. */
  FIELDS: 12,
} as const;

/** Positions in the directory from a field's own first one. */
export const FIELD_SLOT = {
  AT: 0,
  WIDTH: 1,
  BASE: 2,
  /** 1 where a stored 0 means absent. */
  ZERO_IS_ABSENT: 3,
  /** Where the origins of row groups are, a double each; 0 where there are none. */
  ROW_ORIGINS: 4,
  COLUMN_ORIGINS: 5,
} as const;

/** Fields in the order of the directory. The last has an entry a row group, the others one a chunk. */
export const FIELD = {
  START: 0,
  LENGTH: 1,
  UNCOMPRESSED_LENGTH: 2,
  DICTIONARY_LENGTH: 3,
  NUM_VALUES: 4,
  CODEC: 5,
  ENCODINGS: 6,
  OFFSET_INDEX_OFFSET: 7,
  OFFSET_INDEX_LENGTH: 8,
  COLUMN_INDEX_OFFSET: 9,
  COLUMN_INDEX_LENGTH: 10,
  BLOOM_FILTER_OFFSET: 11,
  BLOOM_FILTER_LENGTH: 12,
  NULL_COUNT: 13,
  SORTING: 14,
} as const;

const FIELD_COUNT = 15;
const FIELD_SLOTS = 6;
const DIRECTORY_SLOTS = SLOT.FIELDS + FIELD_SLOTS * FIELD_COUNT;
const SECTIONS_AT = HEADER_BYTES + 8 * DIRECTORY_SLOTS;

/** The first position of a field in the directory. */
export function slotOf(field: number): number {
  return SLOT.FIELDS + FIELD_SLOTS * field;
}

export interface FileIndexText {
  readonly createdBy: string;
  readonly keyValues: ScannedFooter['keyValues'];
  readonly sortings: ScannedFooter['sortings'];
}

/** Packs a scanned footer into a fresh buffer. The checksum waits until the bytes leave this process. */
export function packFileIndex(footer: ScannedFooter, fileLength: number, keyColumns: ReadonlySet<string>): ArrayBuffer {
  const rowGroups = footer.rowGroupRows.length;
  const text = Buffer.from(JSON.stringify(textOf(footer)));
  const fields = planFields(footer);
  const bounds = planAllBounds(footer, keyColumns);
  const { leaves } = footer.schema;
  let end = SECTIONS_AT;
  const place = (byteLength: number): number => {
    const at = end;
    end += Math.ceil(byteLength / 8) * 8;
    return at;
  };
  const directory = new Float64Array(DIRECTORY_SLOTS);
  directory[SLOT.ROW_GROUPS] = rowGroups;
  directory[SLOT.COLUMNS] = leaves.length;
  directory[SLOT.FILE_LENGTH] = fileLength;
  directory[SLOT.CHUNK_SLACK] = chunkSlack(footer.createdBy);
  directory[SLOT.SCHEMA] = place(footer.schemaBytes.length);
  directory[SLOT.SCHEMA_LENGTH] = footer.schemaBytes.length;
  directory[SLOT.TEXT] = place(text.length);
  directory[SLOT.TEXT_LENGTH] = text.length;
  directory[SLOT.ORDERS] = place(leaves.length);
  directory[SLOT.FIRST_ROWS] = place(8 * (rowGroups + 1));
  fields.forEach((field, index) => {
    const at = place(field.width * field.values.length);
    const origins = [field.rowOrigins, field.columnOrigins].map(({ byteLength }) => byteLength && place(byteLength));
    directory.set([at, field.width, field.base, Number(field.zeroIsAbsent), ...origins], slotOf(index));
  });
  directory[SLOT.BOUNDS] = place(8 * leaves.length);
  const tables = bounds.map((plan) => (plan.byteLength === 0 ? 0 : place(plan.byteLength)));
  directory[SLOT.BYTE_LENGTH] = end;

  const buffer = new ArrayBuffer(end);
  const bytes = new Uint8Array(buffer);
  new Float64Array(buffer, HEADER_BYTES, DIRECTORY_SLOTS).set(directory);
  bytes.set(footer.schemaBytes, directory[SLOT.SCHEMA]);
  bytes.set(text, directory[SLOT.TEXT]);
  bytes.set(footer.columnOrders.subarray(0, leaves.length), directory[SLOT.ORDERS]);
  writeFirstRows(footer, new Float64Array(buffer, directory[SLOT.FIRST_ROWS], rowGroups + 1));
  fields.forEach((field, index) => {
    const slot = slotOf(index);
    packField(field, buffer, directory[slot]!);
    for (const [which, origins] of [field.rowOrigins, field.columnOrigins].entries()) {
      if (origins.length > 0) {
        new Float64Array(buffer, directory[slot + FIELD_SLOT.ROW_ORIGINS + which], origins.length).set(origins);
      }
    }
  });
  const boundsDirectory = new Uint32Array(buffer, directory[SLOT.BOUNDS], 2 * leaves.length);
  bounds.forEach((plan, column) => {
    boundsDirectory[2 * column] = tables[column]! / 8;
    boundsDirectory[2 * column + 1] = plan.layout.width | (plan.layout.hasLengths ? 0x100 : 0);
  });
  packAllBounds(bounds, tables, rowGroups, new DataView(buffer));
  new Uint32Array(buffer, 0, 2).set([MAGIC, VERSION]);
  return buffer;
}

/** Completes packed bytes for storage. */
export function writeChecksum(bytes: Uint8Array): void {
  new Uint32Array(bytes.buffer, bytes.byteOffset, 4)[2] = crc32(bytes.subarray(HEADER_BYTES));
}

function textOf(footer: ScannedFooter): FileIndexText {
  return { createdBy: footer.createdBy, keyValues: footer.keyValues, sortings: footer.sortings };
}

/**
 * parquet-mr before 1.2.9 left the dictionary page's header out of a chunk's length (PARQUET-816), so that its last
 * page ends up to this much later. Pages are walked until all rows are found, so the surplus does no harm.
 */
function chunkSlack(createdBy: string): number {
  const version = /^parquet-mr(?: version (\d+)\.(\d+)\.(\d+))?/.exec(createdBy);
  if (version === null) return 0;
  if (version[1] === undefined) return 100;
  const [major, minor, patch] = [Number(version[1]), Number(version[2]), Number(version[3])];
  return major === 1 && (minor < 2 || (minor === 2 && patch < 9)) ? 100 : 0;
}

/** In the order of FIELD. */
function planFields(footer: ScannedFooter): PackedField[] {
  const { chunks } = footer;
  const rowGroups = footer.rowGroupRows.length;
  const shape = { rowGroups, columns: footer.schema.leaves.length };
  return [
    planField(chunks.start, shape, false),
    planField(chunks.length, shape, false),
    planField(chunks.uncompressedLength, shape, false),
    planField(chunks.dictionaryLength, shape, false),
    planField(chunks.numValues, shape, false),
    planField(chunks.codec, shape, false),
    planField(chunks.encodings, shape, false),
    planField(chunks.offsetIndexOffset, shape, true),
    planField(chunks.offsetIndexLength, shape, true),
    planField(chunks.columnIndexOffset, shape, true),
    planField(chunks.columnIndexLength, shape, true),
    planField(chunks.bloomFilterOffset, shape, true),
    planField(chunks.bloomFilterLength, shape, true),
    planField(chunks.nullCount, shape, true),
    planField(footer.sortingOf, { rowGroups, columns: 1 }, false),
  ];
}

/** Row group after row group, as the values lie in the footer: going by column would miss the CPU's caches each time. */
function packAllBounds(
  plans: readonly BoundsPlan[],
  tables: readonly number[],
  rowGroups: number,
  target: DataView,
): void {
  for (let rowGroup = 0; rowGroup < rowGroups; rowGroup += 1) {
    for (let column = 0; column < plans.length; column += 1) {
      const plan = plans[column]!;
      if (plan.byteLength > 0) packBoundsEntry(plan, rowGroup, target, tables[column]!);
    }
  }
}

function planAllBounds(footer: ScannedFooter, keyColumns: ReadonlySet<string>): BoundsPlan[] {
  const { leaves } = footer.schema;
  const rowGroups = footer.rowGroupRows.length;
  return leaves.map((leaf, column) => {
    const limit = keyColumns.has(leaf.name) ? KEY_BOUND_BYTES : BOUND_BYTES;
    const order = COLUMN_ORDERS[footer.columnOrders[column] ?? 0] ?? 'UNDEFINED';
    return planBounds(leaf, order, footer.chunks.raw, column, leaves.length, rowGroups, limit);
  });
}

function writeFirstRows(footer: ScannedFooter, target: Float64Array): void {
  let row = 0;
  footer.rowGroupRows.forEach((rows, rowGroup) => {
    target[rowGroup] = row;
    row += rows;
  });
  target[footer.rowGroupRows.length] = row;
}

/**
 * The directory of packed bytes, once magic, version, length and own checksum are right and every section is inside.
 * `bytes` starts at a multiple of 8 of its buffer.
 */
export function openDirectory(bytes: Uint8Array, checksum: 'own' | 'of storage'): Float64Array {
  if (bytes.length < SECTIONS_AT) throw damaged(`it has only ${bytes.length} bytes`);
  const header = new Uint32Array(bytes.buffer, bytes.byteOffset, 4);
  if (header[0] !== MAGIC) throw damaged('it does not start with PLIX');
  if (header[1] !== VERSION) throw damaged(`it is of version ${header[1]}, not ${VERSION}`);
  const directory = directoryOf(bytes);
  if (directory[SLOT.BYTE_LENGTH] !== bytes.length) throw damaged(`it has ${bytes.length} bytes and says otherwise`);
  if (checksum === 'own' && header[2] !== crc32(bytes.subarray(HEADER_BYTES))) throw damaged('its checksum is wrong');
  checkSections(directory);
  return directory;
}

/** The directory of bytes that are known to be good. */
export function directoryOf(bytes: Uint8Array): Float64Array {
  return new Float64Array(bytes.buffer, bytes.byteOffset + HEADER_BYTES, DIRECTORY_SLOTS);
}

function checkSections(directory: Float64Array): void {
  const rowGroups = directory[SLOT.ROW_GROUPS]!;
  const columns = directory[SLOT.COLUMNS]!;
  const end = directory[SLOT.BYTE_LENGTH]!;
  const check = (at: number, byteLength: number): void => {
    const isInside = Number.isSafeInteger(byteLength) && at >= SECTIONS_AT && at % 8 === 0 && at + byteLength <= end;
    if (!isInside) throw damaged('one of its sections lies outside');
  };
  check(directory[SLOT.SCHEMA]!, directory[SLOT.SCHEMA_LENGTH]!);
  check(directory[SLOT.TEXT]!, directory[SLOT.TEXT_LENGTH]!);
  check(directory[SLOT.ORDERS]!, columns);
  check(directory[SLOT.FIRST_ROWS]!, 8 * (rowGroups + 1));
  check(directory[SLOT.BOUNDS]!, 8 * columns);
  for (let field = 0; field < FIELD_COUNT; field += 1) {
    const slot = slotOf(field);
    const entries = field === FIELD.SORTING ? rowGroups : rowGroups * columns;
    check(directory[slot]!, directory[slot + FIELD_SLOT.WIDTH]! * entries);
    if (directory[slot + FIELD_SLOT.ROW_ORIGINS] !== 0) check(directory[slot + FIELD_SLOT.ROW_ORIGINS]!, 8 * rowGroups);
    if (directory[slot + FIELD_SLOT.COLUMN_ORIGINS] !== 0) {
      check(directory[slot + FIELD_SLOT.COLUMN_ORIGINS]!, 8 * columns);
    }
  }
}

/** Checks that a column's table lies inside the bytes. */
export function checkTable(layout: BoundsLayout, at: number, byteLength: number): void {
  if (at + boundsByteLength(layout) > byteLength) throw damaged('the bounds of a column lie outside');
}

function damaged(why: string) {
  return corrupt(`this is no usable file index: ${why}; it is to be made anew from its Parquet file`);
}
