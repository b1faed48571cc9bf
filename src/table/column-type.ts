/**
 * The type of a column apart from where it is stored: as error messages write it, as `pointlake.yaml` writes it, and
 * taken apart for whoever compares two of them.
 */

import type { LeafColumn, TimeUnit } from '../parquet/index.ts';
import { MAX_DECIMAL_PRECISION } from './decimal.ts';

export type ColumnType = Pick<LeafColumn, 'physicalType' | 'typeLength' | 'logicalType'>;

/** As people and error messages read it, such as `INT64 TIMESTAMP(MICROS,UTC)`. */
export function typeText(type: ColumnType): string {
  const length = type.physicalType === 'FIXED_LEN_BYTE_ARRAY' ? `(${type.typeLength})` : '';
  const logical = logicalText(type);
  return `${type.physicalType}${length}${logical === '' ? '' : ` ${logical}`}`;
}

function logicalText({ logicalType: type }: ColumnType): string {
  switch (type.kind) {
    case 'NONE':
      return '';
    case 'INTEGER':
      return `${type.isSigned ? 'INT' : 'UINT'}(${type.bitWidth})`;
    case 'DECIMAL':
      return `DECIMAL(${type.precision},${type.scale})`;
    case 'TIME':
    case 'TIMESTAMP':
      return `${type.kind}(${type.unit}${type.isAdjustedToUTC ? ',UTC' : ''})`;
    default:
      return type.kind;
  }
}

/** Texts are equal exactly where types are. */
export function isSameType(a: ColumnType, b: ColumnType): boolean {
  return typeText(a) === typeText(b);
}

export interface IntegerType {
  readonly bitWidth: 8 | 16 | 32 | 64;
  readonly isSigned: boolean;
}

/** Undefined for what is no integer; a plain INT32 or INT64 is a signed one. */
export function integerOf({ physicalType, logicalType }: ColumnType): IntegerType | undefined {
  if (logicalType.kind === 'INTEGER') return logicalType;
  if (logicalType.kind !== 'NONE') return undefined;
  if (physicalType === 'INT32') return { bitWidth: 32, isSigned: true };
  return physicalType === 'INT64' ? { bitWidth: 64, isSigned: true } : undefined;
}

/** Signed integers of 32 and 64 bits need no annotation. */
export function integerType({ bitWidth, isSigned }: IntegerType): ColumnType {
  const physicalType = bitWidth === 64 ? 'INT64' : 'INT32';
  const isPlain = isSigned && bitWidth >= 32;
  return {
    physicalType,
    typeLength: 0,
    logicalType: isPlain ? { kind: 'NONE' } : { kind: 'INTEGER', bitWidth, isSigned },
  };
}

/** Significant bits of a floating-point column, undefined for what is none. */
export function floatBitsOf({ physicalType, logicalType }: ColumnType): 16 | 32 | 64 | undefined {
  if (logicalType.kind === 'FLOAT16') return 16;
  if (logicalType.kind !== 'NONE') return undefined;
  if (physicalType === 'FLOAT') return 32;
  return physicalType === 'DOUBLE' ? 64 : undefined;
}

/** TIME and TIMESTAMP of this unit: only a TIME in milliseconds has 32 bits. */
export function timeType(kind: 'TIME' | 'TIMESTAMP', unit: TimeUnit, isAdjustedToUTC: boolean): ColumnType {
  const physicalType = kind === 'TIME' && unit === 'MILLIS' ? 'INT32' : 'INT64';
  return { physicalType, typeLength: 0, logicalType: { kind, unit, isAdjustedToUTC } };
}

/** Digits after the second. */
export const UNIT_DIGITS: Readonly<Record<TimeUnit, number>> = { MILLIS: 3, MICROS: 6, NANOS: 9 };

/** For the error message of a type that is none. */
export const COLUMN_TYPE_NAMES =
  'boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float, double, decimal(p,s), string, binary, ' +
  'uuid, date, time(ms), time(ms,utc), timestamp(us), timestamp(us,utc), with ms, us or ns';

const UNITS: Readonly<Record<string, TimeUnit>> = { ms: 'MILLIS', us: 'MICROS', ns: 'NANOS' };

const PLAIN_TYPES: Readonly<Record<string, ColumnType>> = {
  boolean: { physicalType: 'BOOLEAN', typeLength: 0, logicalType: { kind: 'NONE' } },
  float: { physicalType: 'FLOAT', typeLength: 0, logicalType: { kind: 'NONE' } },
  double: { physicalType: 'DOUBLE', typeLength: 0, logicalType: { kind: 'NONE' } },
  string: { physicalType: 'BYTE_ARRAY', typeLength: 0, logicalType: { kind: 'STRING' } },
  binary: { physicalType: 'BYTE_ARRAY', typeLength: 0, logicalType: { kind: 'NONE' } },
  uuid: { physicalType: 'FIXED_LEN_BYTE_ARRAY', typeLength: 16, logicalType: { kind: 'UUID' } },
  date: { physicalType: 'INT32', typeLength: 0, logicalType: { kind: 'DATE' } },
};

/** A type by its name in the configuration, or undefined where there is none of that name. */
export function parseColumnType(text: string): ColumnType | undefined {
  const [, name = '', rest = ''] = /^([a-z]+)(.*)$/.exec(text.toLowerCase().replace(/\s/g, '')) ?? [];
  if (rest === '') return Object.hasOwn(PLAIN_TYPES, name) ? PLAIN_TYPES[name] : undefined;
  if (name === 'int' || name === 'uint') {
    const bitWidth = ([8, 16, 32, 64] as const).find((width) => String(width) === rest);
    return bitWidth && integerType({ bitWidth, isSigned: name === 'int' });
  }
  if (name === 'decimal') return parseDecimalType(rest);
  const time = /^\((ms|us|ns)(,utc)?\)$/.exec(rest);
  const unit = UNITS[time?.[1] ?? ''];
  if (unit === undefined || (name !== 'time' && name !== 'timestamp')) return undefined;
  return timeType(name === 'time' ? 'TIME' : 'TIMESTAMP', unit, time?.[2] !== undefined);
}

function parseDecimalType(parameters: string): ColumnType | undefined {
  const match = /^\(([0-9]{1,4}),([0-9]{1,4})\)$/.exec(parameters);
  const precision = Number(match?.[1] ?? 0);
  const scale = Number(match?.[2] ?? 0);
  if (precision < 1 || precision > MAX_DECIMAL_PRECISION || scale > precision) return undefined;
  const physicalType = precision <= 9 ? 'INT32' : precision <= 18 ? 'INT64' : 'BYTE_ARRAY';
  return { physicalType, typeLength: 0, logicalType: { kind: 'DECIMAL', precision, scale } };
}
