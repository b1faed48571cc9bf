/** Columns and one-column blocks for tests of value forms. */

import type { Block, LeafColumn, LogicalType, PhysicalType } from '../../src/parquet/index.ts';

export function leafOf(physicalType: PhysicalType, logicalType: LogicalType = { kind: 'NONE' }, typeLength = 0) {
  const leaf: LeafColumn = {
    ordinal: 0,
    path: ['c'],
    name: 'c',
    physicalType,
    typeLength,
    logicalType,
    maxDefinitionLevel: 1,
    maxRepetitionLevel: 0,
  };
  return leaf;
}

export type Stored = number | bigint | boolean | string | Uint8Array | null;

/** Reads a plain array as a block does: the same bits behind every reader. */
export function blockOf(values: readonly Stored[]): Block {
  const integer = (row: number): bigint => {
    const value = values[row];
    return typeof value === 'bigint' ? value : BigInt(Number(value));
  };
  const bytes = (row: number): Uint8Array => {
    const value = values[row];
    return value instanceof Uint8Array ? value : Buffer.from(String(value), 'utf8');
  };
  const readers = {
    rows: values.length,
    isNull: (row: number) => values[row] === null,
    int32At: (row: number) => Number(BigInt.asIntN(32, integer(row))),
    uint32At: (row: number) => Number(BigInt.asUintN(32, integer(row))),
    int64At: (row: number) => BigInt.asIntN(64, integer(row)),
    uint64At: (row: number) => BigInt.asUintN(64, integer(row)),
    int64LowAt: (row: number) => Number(BigInt.asIntN(32, integer(row))),
    int64HighAt: (row: number) => Number(BigInt.asIntN(32, integer(row) >> 32n)),
    float32At: (row: number) => Math.fround(Number(values[row])),
    float64At: (row: number) => Number(values[row]),
    booleanAt: (row: number) => values[row] === true,
    bytesAt: bytes,
    utf8At: (row: number) => Buffer.from(bytes(row)).toString('utf8'),
  };
  return readers as unknown as Block;
}
