/** The Arrow types of the columns of a table: what their Parquet types say, narrowed to nothing. */

import type { DataType } from 'apache-arrow';
import { ServiceError } from '../core/index.ts';
import type { LeafColumn } from '../parquet/index.ts';

export type Arrow = typeof import('apache-arrow');

const DECIMAL_BYTES = 16;

/** The package takes 180 ms to load, so that it is loaded by the first answer that needs it. */
export function loadArrow(): Promise<Arrow> {
  return import('apache-arrow');
}

export function typeOf(arrow: Arrow, leaf: LeafColumn): DataType {
  const { logicalType: type } = leaf;
  switch (type.kind) {
    case 'STRING':
    case 'ENUM':
    case 'JSON':
      return new arrow.Utf8();
    case 'DATE':
      return new arrow.DateDay();
    case 'INTEGER':
      return integerType(arrow, type.bitWidth, type.isSigned);
    case 'DECIMAL':
      if (type.precision > 38)
        throw new ServiceError(
          'invalid',
          'unsupported',
          `column ${leaf.name} has more digits than an Arrow decimal of 128 bits`,
          { column: leaf.name },
        );
      return new arrow.Decimal(type.scale, type.precision, 8 * DECIMAL_BYTES);
    case 'TIME':
      if (type.unit === 'MILLIS') return new arrow.TimeMillisecond();
      return type.unit === 'MICROS' ? new arrow.TimeMicrosecond() : new arrow.TimeNanosecond();
    case 'TIMESTAMP': {
      const zone = type.isAdjustedToUTC ? 'UTC' : null;
      if (type.unit === 'MILLIS') return new arrow.TimestampMillisecond(zone);
      return type.unit === 'MICROS' ? new arrow.TimestampMicrosecond(zone) : new arrow.TimestampNanosecond(zone);
    }
    case 'FLOAT16':
      return new arrow.Float32();
    default:
      return physicalType(arrow, leaf);
  }
}

function integerType(arrow: Arrow, bitWidth: number, isSigned: boolean): DataType {
  switch (bitWidth) {
    case 8:
      return isSigned ? new arrow.Int8() : new arrow.Uint8();
    case 16:
      return isSigned ? new arrow.Int16() : new arrow.Uint16();
    case 32:
      return isSigned ? new arrow.Int32() : new arrow.Uint32();
    default:
      return isSigned ? new arrow.Int64() : new arrow.Uint64();
  }
}

function physicalType(arrow: Arrow, { physicalType: type, typeLength }: LeafColumn): DataType {
  switch (type) {
    case 'BOOLEAN':
      return new arrow.Bool();
    case 'INT32':
      return new arrow.Int32();
    case 'INT64':
      return new arrow.Int64();
    case 'FLOAT':
      return new arrow.Float32();
    case 'DOUBLE':
      return new arrow.Float64();
    case 'FIXED_LEN_BYTE_ARRAY':
      return new arrow.FixedSizeBinary(typeLength);
    default:
      return new arrow.Binary();
  }
}
