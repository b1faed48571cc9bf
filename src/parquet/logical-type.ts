/**
 * Annotations of schema elements: LogicalType, and the ConvertedType it superseded, brought to one form
 * (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md). Where both are given and LogicalType is one
 * this version does not know, ConvertedType is what the writer meant older readers to use.
 */

import type { LogicalType, PhysicalType, TimeUnit } from './schema.ts';
import { type ThriftReader, WIRE } from './thrift.ts';

export type Annotation = LogicalType | { readonly kind: 'LIST' } | { readonly kind: 'MAP' };

/** What a SchemaElement says of its meaning. */
export interface AnnotationFields {
  readonly logicalType: Annotation | undefined;
  readonly convertedType: number | undefined;
  readonly scale: number;
  readonly precision: number;
  /** Undefined for a group. */
  readonly physicalType: PhysicalType | undefined;
  readonly typeLength: number;
}

const NONE: LogicalType = { kind: 'NONE' };
const UNRECOGNISED: LogicalType = { kind: 'UNRECOGNISED' };

/** The union's members that carry no fields, or none that are read. */
const PLAIN_LOGICAL_TYPES: Readonly<Record<number, Annotation>> = {
  1: { kind: 'STRING' },
  2: { kind: 'MAP' },
  3: { kind: 'LIST' },
  4: { kind: 'ENUM' },
  6: { kind: 'DATE' },
  11: { kind: 'UNKNOWN' },
  12: { kind: 'JSON' },
  13: { kind: 'BSON' },
  14: { kind: 'UUID' },
  15: { kind: 'FLOAT16' },
  16: { kind: 'VARIANT' },
  17: { kind: 'GEOMETRY' },
  18: { kind: 'GEOGRAPHY' },
};

/** ConvertedType by number; DECIMAL (5) needs the element's scale and precision. Times were all adjusted to UTC. */
const CONVERTED_TYPES: readonly (Annotation | undefined)[] = [
  { kind: 'STRING' },
  { kind: 'MAP' },
  { kind: 'MAP' },
  { kind: 'LIST' },
  { kind: 'ENUM' },
  undefined,
  { kind: 'DATE' },
  { kind: 'TIME', unit: 'MILLIS', isAdjustedToUTC: true },
  { kind: 'TIME', unit: 'MICROS', isAdjustedToUTC: true },
  { kind: 'TIMESTAMP', unit: 'MILLIS', isAdjustedToUTC: true },
  { kind: 'TIMESTAMP', unit: 'MICROS', isAdjustedToUTC: true },
  { kind: 'INTEGER', bitWidth: 8, isSigned: false },
  { kind: 'INTEGER', bitWidth: 16, isSigned: false },
  { kind: 'INTEGER', bitWidth: 32, isSigned: false },
  { kind: 'INTEGER', bitWidth: 64, isSigned: false },
  { kind: 'INTEGER', bitWidth: 8, isSigned: true },
  { kind: 'INTEGER', bitWidth: 16, isSigned: true },
  { kind: 'INTEGER', bitWidth: 32, isSigned: true },
  { kind: 'INTEGER', bitWidth: 64, isSigned: true },
  { kind: 'JSON' },
  { kind: 'BSON' },
  { kind: 'INTERVAL' },
];

export function annotationOf(fields: AnnotationFields): Annotation {
  const { logicalType, convertedType, scale, precision } = fields;
  let annotation = logicalType;
  if (convertedType !== undefined && (annotation === undefined || annotation.kind === 'UNRECOGNISED')) {
    annotation = convertedType === 5 ? { kind: 'DECIMAL', precision, scale } : CONVERTED_TYPES[convertedType];
    annotation ??= UNRECOGNISED;
  }
  if (annotation === undefined) return NONE;
  if (fields.physicalType === undefined) return annotation;
  return fits(annotation, fields.physicalType, fields.typeLength) ? annotation : UNRECOGNISED;
}

/** Whether the physical type can carry the annotation, by the rules of LogicalTypes.md. */
function fits(annotation: Annotation, physicalType: PhysicalType, typeLength: number): boolean {
  switch (annotation.kind) {
    case 'STRING':
    case 'ENUM':
    case 'JSON':
    case 'BSON':
    case 'GEOMETRY':
    case 'GEOGRAPHY':
      // Writers are known to put STRING on fixed-length arrays; the meaning is plain, so it is taken.
      return physicalType === 'BYTE_ARRAY' || physicalType === 'FIXED_LEN_BYTE_ARRAY';
    case 'UUID':
      return physicalType === 'FIXED_LEN_BYTE_ARRAY' && typeLength === 16;
    case 'FLOAT16':
      return physicalType === 'FIXED_LEN_BYTE_ARRAY' && typeLength === 2;
    case 'INTERVAL':
      return physicalType === 'FIXED_LEN_BYTE_ARRAY' && typeLength === 12;
    case 'DATE':
      return physicalType === 'INT32';
    case 'TIME':
      return physicalType === (annotation.unit === 'MILLIS' ? 'INT32' : 'INT64');
    case 'TIMESTAMP':
      return physicalType === 'INT64';
    case 'INTEGER':
      return physicalType === (annotation.bitWidth === 64 ? 'INT64' : 'INT32');
    case 'DECIMAL':
      return fitsDecimal(annotation.precision, annotation.scale, physicalType);
    case 'NONE':
    case 'UNKNOWN':
      return true;
    default:
      return false;
  }
}

/** A scale beyond the precision would have a reader write zeros without end. */
function fitsDecimal(precision: number, scale: number, physicalType: PhysicalType): boolean {
  if (precision < 1 || precision > 1000 || scale < 0 || scale > precision) return false;
  return ['INT32', 'INT64', 'BYTE_ARRAY', 'FIXED_LEN_BYTE_ARRAY'].includes(physicalType);
}

/** union LogicalType */
export function readLogicalType(reader: ThriftReader): Annotation {
  let annotation: Annotation = UNRECOGNISED;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if ((field & 0x0f) !== WIRE.STRUCT) {
      reader.skip(field);
      continue;
    }
    const id = field >> 4;
    if (id === 5) annotation = readDecimal(reader);
    else if (id === 7 || id === 8) annotation = readTime(reader, id === 7 ? 'TIME' : 'TIMESTAMP');
    else if (id === 10) annotation = readInteger(reader);
    else {
      reader.skip(field);
      annotation = PLAIN_LOGICAL_TYPES[id] ?? UNRECOGNISED;
    }
  }
  return annotation;
}

/** DecimalType */
function readDecimal(reader: ThriftReader): LogicalType {
  let scale = 0;
  let precision = 0;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x16) scale = reader.integer();
    else if (field === 0x26) precision = reader.integer();
    else reader.skip(field);
  }
  return { kind: 'DECIMAL', precision, scale };
}

/** TimeType and TimestampType */
function readTime(reader: ThriftReader, kind: 'TIME' | 'TIMESTAMP'): LogicalType {
  let isAdjustedToUTC = false;
  let unit: TimeUnit | undefined;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x11) isAdjustedToUTC = true;
    else if (field === 0x2c) unit = readTimeUnit(reader);
    else reader.skip(field);
  }
  return unit === undefined ? UNRECOGNISED : { kind, unit, isAdjustedToUTC };
}

/** union TimeUnit */
function readTimeUnit(reader: ThriftReader): TimeUnit | undefined {
  let unit: TimeUnit | undefined;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x1c) unit = 'MILLIS';
    else if (field === 0x2c) unit = 'MICROS';
    else if (field === 0x3c) unit = 'NANOS';
    reader.skip(field);
  }
  return unit;
}

/** IntType. The width is an i8, which some writers give as a wider integer. */
function readInteger(reader: ThriftReader): LogicalType {
  let bitWidth = 0;
  let isSigned = false;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x13) bitWidth = reader.byte();
    else if (field === 0x16) bitWidth = reader.integer();
    else if (field === 0x21) isSigned = true;
    else reader.skip(field);
  }
  const known = ([8, 16, 32, 64] as const).find((width) => width === bitWidth);
  return known === undefined ? UNRECOGNISED : { kind: 'INTEGER', bitWidth: known, isSigned };
}
