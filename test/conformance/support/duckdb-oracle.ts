/** A file's columns as DuckDB reads them. */

import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBGeometryValue,
  DuckDBInstance,
  DuckDBIntervalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBTimeValue,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
} from '@duckdb/node-api';
import { base64, type Expected, type ExpectedColumns, expectedMap, Fields, Float, Instant } from './expected.ts';

/** One for all: making one takes longer than reading most files. */
let duckdb: Promise<DuckDBInstance> | undefined;

/** `halves` are the columns of FLOAT16, which DuckDB widens. */
export async function duckdbColumns(path: string, halves: ReadonlySet<string>): Promise<ExpectedColumns> {
  duckdb ??= DuckDBInstance.create();
  const connection = await (await duckdb).connect();
  try {
    const result = await connection.runAndReadAll(`from read_parquet('${path.replaceAll("'", "''")}')`);
    const types = result.columnTypes();
    const columns = result.getColumns();
    return new Map(
      result.columnNames().map((name, i) => {
        const bits = halves.has(name) ? 16 : 32;
        return [name, (columns[i] ?? []).map((value) => expected(value, types[i] as DuckDBType, bits))];
      }),
    );
  } finally {
    connection.closeSync();
  }
}

const DAY_NANOS = 86_400_000_000_000n;

function expected(value: DuckDBValue, type: DuckDBType, floatBits: 16 | 32): Expected {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return value;
  if (typeof value === 'string') return value;
  if (typeof value === 'number') {
    if (type.typeId === DuckDBTypeId.FLOAT) return new Float(value, floatBits);
    return type.typeId === DuckDBTypeId.DOUBLE ? new Float(value, 64) : BigInt(value);
  }
  if (value instanceof DuckDBBlobValue || value instanceof DuckDBGeometryValue) return base64(value.bytes);
  if (value instanceof DuckDBDecimalValue) return decimalText(value.value, value.scale);
  if (value instanceof DuckDBTimestampValue) return new Instant(value.micros * 1000n, false);
  if (value instanceof DuckDBTimestampTZValue) return new Instant(value.micros * 1000n, true);
  if (value instanceof DuckDBTimestampMillisecondsValue) return new Instant(value.millis * 1_000_000n, false);
  if (value instanceof DuckDBTimestampNanosecondsValue) return new Instant(value.nanos, false);
  if (value instanceof DuckDBDateValue) return isoDate(value.days);
  if (value instanceof DuckDBTimeValue) return isoTime(value.micros * 1000n, 6);
  if (value instanceof DuckDBIntervalValue) return interval(value);
  return nested(value, type, floatBits);
}

function nested(value: DuckDBValue, type: DuckDBType, floatBits: 16 | 32): Expected {
  if (value instanceof DuckDBListValue && type.typeId === DuckDBTypeId.LIST) {
    return value.items.map((item) => expected(item, type.valueType, floatBits));
  }
  if (value instanceof DuckDBMapValue && type.typeId === DuckDBTypeId.MAP) {
    const { keyType, valueType } = type;
    return expectedMap(
      keyType.typeId === DuckDBTypeId.VARCHAR,
      value.entries.map((entry) => [
        expected(entry.key, keyType, floatBits),
        expected(entry.value, valueType, floatBits),
      ]),
    );
  }
  if (value instanceof DuckDBStructValue && type.typeId === DuckDBTypeId.STRUCT) {
    return new Fields(
      type.entryNames.map((name, i) => [
        name,
        expected(value.entries[name] ?? null, type.entryTypes[i] as DuckDBType, floatBits),
      ]),
    );
  }
  if (type.typeId === DuckDBTypeId.UUID) return String(value);
  throw new Error(`a value of DuckDB's ${type} has no expected form here`);
}

export function decimalText(unscaled: bigint, scale: number): string {
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0');
  const sign = unscaled < 0n ? '-' : '';
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

export function isoDate(days: number): string {
  return new Date(days * 86_400_000).toISOString().slice(0, -14);
}

export function isoTime(nanosOfDay: bigint, digits: number): string {
  const seconds = new Date(Number((nanosOfDay % DAY_NANOS) / 1_000_000_000n) * 1000).toISOString().slice(11, 19);
  const fraction = String(nanosOfDay % 1_000_000_000n).padStart(9, '0');
  return `${seconds}.${fraction.slice(0, digits)}`;
}

function interval({ months, days, micros }: DuckDBIntervalValue): string {
  const milliseconds = micros / 1000n;
  return `P${months}M${days}DT${milliseconds / 1000n}.${String(milliseconds % 1000n).padStart(3, '0')}S`;
}
