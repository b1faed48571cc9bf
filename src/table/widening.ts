/**
 * The type that holds every value of two, where the files of a table disagree about a column.
 *
 *     integers     the narrower into the wider; unsigned into a signed type of more bits
 *     floats       FLOAT16 -> FLOAT -> DOUBLE
 *     decimals     of one scale to the larger precision, whatever they are stored as
 *     times        of one meaning (same isAdjustedToUTC) to the finer unit
 *     bytes        of one meaning, fixed length or not
 *
 * Nothing else is widened: an integer is no decimal and a date no timestamp, since nobody said so. The result does not
 * depend on the order of the files. That a time can be too far away for the finer unit is found when it is read.
 */

import {
  type ColumnType,
  floatBitsOf,
  integerOf,
  integerType,
  isSameType,
  timeType,
  UNIT_DIGITS,
} from './column-type.ts';

/** Undefined where no type holds both. */
export function widerType(a: ColumnType, b: ColumnType): ColumnType | undefined {
  if (isSameType(a, b)) return a;
  return widerInteger(a, b) ?? widerFloat(a, b) ?? widerDecimal(a, b) ?? widerTime(a, b) ?? widerBytes(a, b);
}

/** 64 unsigned bits and any sign together are more than 64 bits. */
function widerInteger(a: ColumnType, b: ColumnType): ColumnType | undefined {
  const [one, other] = [integerOf(a), integerOf(b)];
  if (one === undefined || other === undefined) return undefined;
  const isSigned = one.isSigned || other.isSigned;
  const needed = (type: typeof one) => (isSigned && !type.isSigned ? type.bitWidth * 2 : type.bitWidth);
  const bits = Math.max(needed(one), needed(other));
  const bitWidth = ([8, 16, 32, 64] as const).find((width) => width === bits);
  return bitWidth && integerType({ bitWidth, isSigned });
}

function widerFloat(a: ColumnType, b: ColumnType): ColumnType | undefined {
  const [one, other] = [floatBitsOf(a), floatBitsOf(b)];
  if (one === undefined || other === undefined) return undefined;
  return one > other ? a : b;
}

function widerDecimal(a: ColumnType, b: ColumnType): ColumnType | undefined {
  const [one, other] = [a.logicalType, b.logicalType];
  if (one.kind !== 'DECIMAL' || other.kind !== 'DECIMAL' || one.scale !== other.scale) return undefined;
  const precision = Math.max(one.precision, other.precision);
  return { ...widerStorage(a, b), logicalType: { kind: 'DECIMAL', precision, scale: one.scale } };
}

function widerStorage(a: ColumnType, b: ColumnType): Pick<ColumnType, 'physicalType' | 'typeLength'> {
  if (a.physicalType === b.physicalType) {
    return { physicalType: a.physicalType, typeLength: Math.max(a.typeLength, b.typeLength) };
  }
  const areIntegers = a.physicalType.startsWith('INT') && b.physicalType.startsWith('INT');
  return { physicalType: areIntegers ? 'INT64' : 'BYTE_ARRAY', typeLength: 0 };
}

function widerTime(a: ColumnType, b: ColumnType): ColumnType | undefined {
  const [one, other] = [a.logicalType, b.logicalType];
  if (one.kind !== 'TIME' && one.kind !== 'TIMESTAMP') return undefined;
  if (other.kind !== one.kind || other.isAdjustedToUTC !== one.isAdjustedToUTC) return undefined;
  const unit = UNIT_DIGITS[one.unit] > UNIT_DIGITS[other.unit] ? one.unit : other.unit;
  return timeType(one.kind, unit, one.isAdjustedToUTC);
}

const KINDS_OF_ANY_LENGTH: readonly string[] = ['NONE', 'STRING', 'ENUM', 'JSON', 'BSON'];

function widerBytes(a: ColumnType, b: ColumnType): ColumnType | undefined {
  const { logicalType } = a;
  const areBytes = a.physicalType.endsWith('BYTE_ARRAY') && b.physicalType.endsWith('BYTE_ARRAY');
  if (!areBytes || logicalType.kind !== b.logicalType.kind) return undefined;
  if (!KINDS_OF_ANY_LENGTH.includes(logicalType.kind)) return undefined;
  return { physicalType: 'BYTE_ARRAY', typeLength: 0, logicalType };
}
