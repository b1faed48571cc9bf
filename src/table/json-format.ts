/**
 * Values as JSON: one small function a column, chosen once by the column's type, called once a value.
 *
 * The forms are the contract with users (integers exact to 64 bits, decimals as strings, ISO-8601 times of the column's
 * own precision, bytes as base64). What the contract leaves open is decided here: -0.0 is `-0`; INT96 is a timestamp of
 * nanoseconds without `Z`, since its writers never agreed on a zone; INTERVAL is an ISO-8601 duration of months, days and
 * seconds, none carried into the other; a JSON column is a string, since nothing vouches for its text; a FLOAT16 is the
 * shortest decimal that reads back, as a FLOAT is; invalid UTF-8 becomes U+FFFD.
 */

import { type ServiceError, unsupported } from '../core/index.ts';
import type { Block, LeafColumn, PhysicalType, TimeUnit } from '../parquet/index.ts';
import { formatDate, formatLongTime, formatLongTimestamp, formatTime, formatTimestamp } from './calendar.ts';
import { formatDecimal, MAX_DECIMAL_PRECISION, unscaledFromBytes } from './decimal.ts';
import { shortestFloat16, shortestFloat32 } from './short-float.ts';
import {
  isSafeHigh,
  LOAD_BOOLEAN,
  LOAD_FLOAT32,
  LOAD_FLOAT64,
  LOAD_INT32,
  LOAD_INT64,
  LOAD_UINT32,
  LOAD_UINT64,
  type Load,
  safeNumber,
} from './value-load.ts';
import { valueTooLarge } from './value-size.ts';

export interface JsonOptions {
  readonly int64: 'number' | 'string';
  readonly nonfinite: 'null' | 'string';
  /** Bytes, as they lie in the file, of one value; a larger one is refused before its text is made. */
  readonly valueBytesMax?: number;
}

/** What a writer asks of a block; a file of another type than the table's puts a cast between the two. */
export type ValueReader = Pick<
  Block,
  | 'isNull'
  | 'int32At'
  | 'uint32At'
  | 'int64At'
  | 'uint64At'
  | 'int64LowAt'
  | 'int64HighAt'
  | 'float16At'
  | 'float32At'
  | 'float64At'
  | 'booleanAt'
  | 'byteLengthAt'
  | 'bytesAt'
  | 'utf8At'
>;

/** What JSON has for a value that is no list and no object. Of numbers it has no -0: that is written apart. */
export type JsonValue = number | string | boolean | null;

/**
 * Types whose values are numbers, or integers that mostly are: how they are loaded, and what JSON has for each. `wide` gives the text
 * of integers beyond what a double holds.
 */
export interface NumberForm {
  readonly load: Load;
  readonly value: (value: number) => JsonValue;
  readonly wide?: (value: bigint) => string;
}

/** The JSON text of the value at a row of the block, `null` for null. */
export type JsonWriter = (block: ValueReader, row: number) => string;

export interface RawValue {
  readonly contentType: string;
  /** Bytes are a view of the block that the value lies in. */
  readonly body: string | Uint8Array;
}

/** One value on its own; undefined for null. */
export type ValueWriter = (block: ValueReader, row: number) => RawValue | undefined;

/** Nanoseconds of a day and its Julian day number, little-endian: the epoch is day 2,440,588. */
const JULIAN_EPOCH = 2_440_588;
const NANOS_PER_DAY = 86_400_000_000_000n;

export function jsonWriter(leaf: LeafColumn, options: JsonOptions): JsonWriter {
  if (leaf.path.length > 1 || leaf.maxRepetitionLevel > 0) throw noJsonForm(leaf, 'nested columns');
  const type = leaf.logicalType;
  if (!fitsPhysicalType(leaf)) throw noJsonForm(leaf, `${type.kind} columns stored as ${leaf.physicalType}`);
  const form = numberForm(leaf, options);
  if (form !== undefined) return formWriter(form);
  switch (type.kind) {
    case 'STRING':
    case 'ENUM':
    case 'JSON':
      return stringWriter(leaf, options);
    case 'UUID':
      return textWriter((block, row) => formatUuid(block.bytesAt(row)));
    case 'DECIMAL':
      return textWriter(decimalText(leaf, type.precision, type.scale));
    case 'TIME':
      return textWriter((block, row) => formatLongTime(block.int64At(row), type.unit));
    case 'FLOAT16':
      return float16Writer(options);
    case 'INTERVAL':
      return textWriter((block, row) => formatInterval(block.bytesAt(row)));
    case 'VARIANT':
      throw noJsonForm(leaf, 'VARIANT');
    default:
      if (leaf.physicalType === 'INT96') return textWriter((block, row) => formatInt96(block.bytesAt(row)));
      return base64Writer(leaf, options);
  }
}

/** Whether values are texts that need nothing but escapes. */
export function isText({ logicalType: { kind }, physicalType }: LeafColumn): boolean {
  return physicalType === 'BYTE_ARRAY' && (kind === 'STRING' || kind === 'ENUM' || kind === 'JSON');
}

/** Undefined for types that are something else than numbers. The leaf is one that `jsonWriter` takes. */
export function numberForm(
  { logicalType: type, physicalType }: LeafColumn,
  options: JsonOptions,
): NumberForm | undefined {
  switch (type.kind) {
    case 'DATE':
      return { load: LOAD_INT32, value: formatDate };
    case 'INTEGER':
      return integerForm(type.bitWidth, type.isSigned, options);
    case 'TIME':
      return physicalType === 'INT32' ? { load: LOAD_INT32, value: (n) => formatTime(n, type.unit) } : undefined;
    case 'TIMESTAMP':
      return timestampForm(type.unit, type.isAdjustedToUTC ? 'Z' : '');
    case 'DECIMAL':
    case 'FLOAT16':
      return undefined;
    default:
      return physicalForm(physicalType, options);
  }
}

function physicalForm(physicalType: PhysicalType, options: JsonOptions): NumberForm | undefined {
  switch (physicalType) {
    case 'BOOLEAN':
      return { load: LOAD_BOOLEAN, value: (bit) => bit !== 0 };
    case 'INT32':
      return integerForm(32, true, options);
    case 'INT64':
      return integerForm(64, true, options);
    case 'FLOAT':
      return { load: LOAD_FLOAT32, value: floatValue(options) };
    case 'DOUBLE':
      return { load: LOAD_FLOAT64, value: doubleValue(options) };
    default:
      return undefined;
  }
}

function formWriter({ load, value, wide }: NumberForm): JsonWriter {
  const text = (number: number) => jsonText(value(number));
  switch (load) {
    case LOAD_BOOLEAN:
      return (block, row) => (block.isNull(row) ? 'null' : text(block.booleanAt(row) ? 1 : 0));
    case LOAD_INT32:
      return (block, row) => (block.isNull(row) ? 'null' : text(block.int32At(row)));
    case LOAD_UINT32:
      return (block, row) => (block.isNull(row) ? 'null' : text(block.uint32At(row)));
    case LOAD_FLOAT32:
      return (block, row) => (block.isNull(row) ? 'null' : text(block.float32At(row)));
    case LOAD_FLOAT64:
      return (block, row) => (block.isNull(row) ? 'null' : text(block.float64At(row)));
    default:
      return (block, row) => {
        if (block.isNull(row)) return 'null';
        const high = block.int64HighAt(row);
        if (isSafeHigh(high, load) || wide === undefined) return text(safeNumber(high, block.int64LowAt(row) >>> 0));
        return wide(block.int64At(row));
      };
  }
}

function noJsonForm(leaf: LeafColumn, feature: string): ServiceError {
  const message = `column ${leaf.name} cannot be answered: ${feature} have no JSON form in this version; ask for other columns`;
  return unsupported(message, { column: leaf.name, feature });
}

/** A schema can claim anything; reading a date out of bytes would be nonsense. */
function fitsPhysicalType({ logicalType: type, physicalType, typeLength }: LeafColumn): boolean {
  switch (type.kind) {
    case 'STRING':
    case 'ENUM':
    case 'JSON':
    case 'BSON':
      return physicalType.endsWith('BYTE_ARRAY');
    case 'UUID':
      return typeLength === 16;
    case 'FLOAT16':
      return typeLength === 2;
    case 'INTERVAL':
      return typeLength === 12;
    case 'DATE':
      return physicalType === 'INT32';
    case 'INTEGER':
      return physicalType === (type.bitWidth === 64 ? 'INT64' : 'INT32');
    case 'TIME':
      return physicalType === (type.unit === 'MILLIS' ? 'INT32' : 'INT64');
    case 'TIMESTAMP':
      return physicalType === 'INT64';
    case 'DECIMAL':
      return physicalType === 'INT32' || physicalType === 'INT64' || physicalType.endsWith('BYTE_ARRAY');
    default:
      return true;
  }
}

function stringWriter({ name }: LeafColumn, { valueBytesMax }: JsonOptions): JsonWriter {
  if (valueBytesMax === undefined) return plainStringWriter;
  return (block, row) => {
    if (block.isNull(row)) return 'null';
    checkSize(block, row, valueBytesMax, name);
    return JSON.stringify(block.utf8At(row));
  };
}

function plainStringWriter(block: ValueReader, row: number): string {
  return block.isNull(row) ? 'null' : JSON.stringify(block.utf8At(row));
}

function base64Writer({ name }: LeafColumn, { valueBytesMax = Number.POSITIVE_INFINITY }: JsonOptions): JsonWriter {
  return textWriter((block, row) => {
    checkSize(block, row, valueBytesMax, name);
    return base64(block.bytesAt(row));
  });
}

function checkSize(block: ValueReader, row: number, bytesMax: number, column: string): void {
  const bytes = block.byteLengthAt(row);
  if (bytes > bytesMax) throw valueTooLarge(column, bytes, bytesMax);
}

/** For texts of ours, in which nothing needs an escape. */
function textWriter(textAt: (block: ValueReader, row: number) => string): JsonWriter {
  return (block, row) => (block.isNull(row) ? 'null' : `"${textAt(block, row)}"`);
}

/** Most 64-bit integers fit a double, and a double prints without allocating a BigInt. */
function integerForm(bitWidth: number, isSigned: boolean, { int64 }: JsonOptions): NumberForm {
  if (bitWidth < 64) return { load: isSigned ? LOAD_INT32 : LOAD_UINT32, value: asIs };
  const load = isSigned ? LOAD_INT64 : LOAD_UINT64;
  const wide = (value: bigint) => `${isSigned ? value : BigInt.asUintN(64, value)}`;
  if (int64 === 'number') return { load, value: asIs, wide };
  return { load, value: String, wide: (value) => `"${wide(value)}"` };
}

function asIs(value: number): number {
  return value;
}

function doubleValue({ nonfinite }: JsonOptions): (value: number) => JsonValue {
  return nonfinite === 'string' ? finiteOrText : finiteOrNull;
}

/** `value - value` is 0 for finite numbers and NaN for the rest. */
function finiteOrNull(value: number): number | null {
  return value - value === 0 ? value : null;
}

function finiteOrText(value: number): number | string {
  return value - value === 0 ? value : `${value}`;
}

function floatValue(options: JsonOptions): (value: number) => JsonValue {
  const ofDouble = doubleValue(options);
  return (value) => ofDouble(shortestFloat32(value));
}

function float16Writer(options: JsonOptions): JsonWriter {
  const ofDouble = doubleValue(options);
  return (block, row) => (block.isNull(row) ? 'null' : jsonText(ofDouble(shortestFloat16(block.float16At(row)))));
}

/**
 * For texts of ours, in which nothing needs an escape. V8 keeps the texts that it made of numbers, but for those of JSON: 40
 * bytes each that outlive the request, and are freed only when all of the heap is collected.
 */
export function jsonText(value: JsonValue): string {
  if (typeof value === 'string') return `"${value}"`;
  return value === 0 && Object.is(value, -0) ? '-0' : JSON.stringify(value);
}

function decimalText(leaf: LeafColumn, precision: number, scale: number): (block: ValueReader, row: number) => string {
  if (!(scale >= 0 && scale <= precision && precision <= MAX_DECIMAL_PRECISION)) {
    throw noJsonForm(leaf, `decimals of precision ${precision} and scale ${scale}`);
  }
  if (leaf.physicalType === 'INT32') return (block, row) => formatDecimal(block.int32At(row), scale);
  if (leaf.physicalType === 'INT64') return (block, row) => formatDecimal(block.int64At(row), scale);
  return (block, row) => formatDecimal(unscaledFromBytes(block.bytesAt(row)), scale);
}

function timestampForm(unit: TimeUnit, zone: string): NumberForm {
  return {
    load: LOAD_INT64,
    value: (value) => formatTimestamp(value, unit) + zone,
    wide: (value) => `"${formatLongTimestamp(value, unit)}${zone}"`,
  };
}

export function formatUuid(bytes: Uint8Array): string {
  const hex = viewOf(bytes).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * Spark makes these of microseconds, and its sums wrap at 64 bits for years beyond 287,000: wrapping likewise
 * brings its values back, and meets no other writer's, whose nanoseconds span 584 years.
 */
function formatInt96(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  const days = BigInt(view.readInt32LE(8) - JULIAN_EPOCH);
  const nanos = days * NANOS_PER_DAY + view.readBigInt64LE(0);
  const belowMicros = ((nanos % 1000n) + 1000n) % 1000n;
  const micros = BigInt.asIntN(64, (nanos - belowMicros) / 1000n);
  return formatLongTimestamp(micros * 1000n + belowMicros, 'NANOS');
}

/** Months, days and milliseconds are three counts of their own: `P14M3DT0.250S` is not 1 year, 2 months and 3 days. */
function formatInterval(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  const milliseconds = view.readUInt32LE(8);
  const seconds = `${Math.floor(milliseconds / 1000)}.${String(milliseconds % 1000).padStart(3, '0')}`;
  return `P${view.readUInt32LE(0)}M${view.readUInt32LE(4)}DT${seconds}S`;
}

export function base64(bytes: Uint8Array): string {
  return viewOf(bytes).toString('base64');
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';
const BINARY = 'application/octet-stream';

/** Texts and bytes go out as they lie in the file: nothing is decoded, and nothing copied here. */
export function valueWriter(leaf: LeafColumn, options: JsonOptions): ValueWriter {
  const json = jsonWriter(leaf, options);
  switch (valueForm(leaf)) {
    case 'text':
      return bytesValue(TEXT, leaf, options);
    case 'json text':
      return bytesValue(JSON_TYPE, leaf, options);
    case 'binary':
      return bytesValue(BINARY, leaf, options);
    default:
      return (block, row) => (block.isNull(row) ? undefined : { contentType: JSON_TYPE, body: json(block, row) });
  }
}

function bytesValue(
  contentType: string,
  { name }: LeafColumn,
  { valueBytesMax = Number.POSITIVE_INFINITY }: JsonOptions,
): ValueWriter {
  return (block, row) => {
    if (block.isNull(row)) return undefined;
    checkSize(block, row, valueBytesMax, name);
    return { contentType, body: block.bytesAt(row) };
  };
}

/** A JSON column's own text is its bare value, whereas inside a row it is a string. */
function valueForm(leaf: LeafColumn): 'text' | 'json text' | 'binary' | 'json' {
  switch (leaf.logicalType.kind) {
    case 'STRING':
    case 'ENUM':
      return 'text';
    case 'JSON':
      return 'json text';
    case 'NONE':
    case 'BSON':
    case 'UNKNOWN':
    case 'GEOMETRY':
    case 'GEOGRAPHY':
      return leaf.physicalType.endsWith('BYTE_ARRAY') ? 'binary' : 'json';
    default:
      return 'json';
  }
}
