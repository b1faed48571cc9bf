/**
 * A file's flat columns as hyparquet reads them, stored values only: what an annotation makes of them is worked out here,
 * since hyparquet rounds decimals to doubles and times to milliseconds. Nested columns are left to the other oracles.
 */

import { parquetMetadata } from 'hyparquet';
import { leavesOf } from '../../parquet/support/chunk-pages.ts';
import { oracleColumn } from '../../parquet/support/hyparquet-oracle.ts';
import { decimalText, isoDate, isoTime } from './duckdb-oracle.ts';
import { base64, type Expected, type ExpectedColumns, Float, Instant } from './expected.ts';

type Metadata = ReturnType<typeof parquetMetadata>;
type Element = Metadata['schema'][number];

const UNIT_DIGITS = { MILLIS: 3, MICROS: 6, NANOS: 9 } as const;

export function metadataOf(file: Uint8Array): Metadata {
  return parquetMetadata(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer);
}

/** Names of the top-level columns with a leaf of FLOAT16. */
export function halfColumns(metadata: Metadata): ReadonlySet<string> {
  return new Set(metadata.schema.filter((element) => element.logical_type?.type === 'FLOAT16').map(({ name }) => name));
}

export async function hyparquetColumns(file: Uint8Array): Promise<ExpectedColumns> {
  const metadata = metadataOf(file);
  const columns = new Map<string, readonly Expected[]>();
  for (const leaf of leavesOf(metadata)) {
    const element = metadata.schema.find((candidate) => candidate.name === leaf.name && candidate.type !== undefined);
    if (leaf.path.length > 1 || leaf.maxRepetitionLevel > 0 || element === undefined) continue;
    columns.set(
      leaf.name,
      (await oracleColumn(file, leaf)).map((value) => expected(value, element)),
    );
  }
  return columns;
}

function expected(value: unknown, element: Element): Expected {
  if (value === null || value === undefined) return null;
  if (typeof value === 'boolean') return value;
  if (element.type === 'INT96') return new Instant(value as bigint, false, 9);
  const logical = element.logical_type;
  const converted = element.converted_type;
  if (logical?.type === 'DECIMAL' || converted === 'DECIMAL') return decimalText(unscaled(value), element.scale ?? 0);
  if (value instanceof Uint8Array) return bytesValue(value, element);
  if (logical?.type === 'TIMESTAMP') return instant(BigInt(value as number), logical.unit, logical.isAdjustedToUTC);
  if (converted === 'TIMESTAMP_MILLIS') return instant(value as bigint, 'MILLIS', true);
  if (converted === 'TIMESTAMP_MICROS') return instant(value as bigint, 'MICROS', true);
  if (logical?.type === 'TIME') return time(BigInt(value as number), logical.unit);
  if (converted === 'DATE' || logical?.type === 'DATE') return isoDate(Number(value));
  if (element.type === 'FLOAT') return new Float(Number(value), 32);
  if (element.type === 'DOUBLE') return new Float(Number(value), 64);
  const isUnsigned = (logical?.type === 'INTEGER' && !logical.isSigned) || converted?.startsWith('UINT_');
  const bits = element.type === 'INT64' ? 64 : 32;
  return isUnsigned ? BigInt.asUintN(bits, BigInt(value as number)) : BigInt(value as number);
}

function bytesValue(bytes: Uint8Array, element: Element): Expected {
  const kind = element.logical_type?.type ?? element.converted_type;
  if (kind === 'STRING' || kind === 'UTF8' || kind === 'ENUM' || kind === 'JSON') return Buffer.from(bytes).toString();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (kind === 'FLOAT16') return new Float(view.getFloat16(0, true), 16);
  if (kind === 'UUID') {
    return Buffer.from(bytes)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  }
  return base64(bytes);
}

function unscaled(value: unknown): bigint {
  if (!(value instanceof Uint8Array)) return BigInt(value as number);
  return BigInt.asIntN(8 * value.length, BigInt(`0x${Buffer.from(value).toString('hex') || '0'}`));
}

const NANOS_A_UNIT = { MILLIS: 1_000_000n, MICROS: 1000n, NANOS: 1n } as const;

function instant(units: bigint, unit: keyof typeof UNIT_DIGITS, isUtc: boolean): Instant {
  return new Instant(units * NANOS_A_UNIT[unit], isUtc, UNIT_DIGITS[unit]);
}

function time(units: bigint, unit: keyof typeof UNIT_DIGITS): string {
  return isoTime(units * NANOS_A_UNIT[unit], UNIT_DIGITS[unit]);
}
