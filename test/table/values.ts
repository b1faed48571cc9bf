/** Columns and one-column blocks for tests of value forms. */

import { Block, type LeafColumn, type LogicalType, type PhysicalType } from '../../src/parquet/index.ts';

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

const WIDTHS: Readonly<Record<PhysicalType, number>> = {
  BOOLEAN: 1,
  INT32: 4,
  INT64: 8,
  INT96: 12,
  FLOAT: 4,
  DOUBLE: 8,
  BYTE_ARRAY: 4,
  FIXED_LEN_BYTE_ARRAY: 0,
};

/** A real block of these values, laid out by hand from the description in `src/parquet/block-layout.ts`. */
export function blockOf(leaf: LeafColumn, values: readonly Stored[]): Block {
  const isBytes = leaf.physicalType === 'BYTE_ARRAY';
  const width = leaf.typeLength || WIDTHS[leaf.physicalType];
  const hasNulls = values.includes(null);
  const bodies = values.map((value) => bytesOf(leaf, value, width));
  const joined = Buffer.concat(bodies);
  const validityBytes = hasNulls ? Math.ceil(Math.ceil(values.length / 8) / 8) * 8 : 0;
  const offsetsBytes = isBytes ? 4 * (values.length + 1) : 0;
  const byteLength = Math.ceil((32 + validityBytes + offsetsBytes + joined.length) / 8) * 8;
  const block = Buffer.from(new ArrayBuffer(byteLength));
  const isAscii = isBytes && joined.every((byte) => byte < 0x80);
  block.writeUInt32LE(0x314b4c42, 0);
  block.set([1, isBytes ? 2 : 1, (hasNulls ? 1 : 0) | (isAscii ? 4 : 0)], 4);
  block.writeUInt32LE(values.length, 8);
  block.writeUInt32LE(width, 12);
  block.writeUInt32LE(byteLength, 16);
  for (const [row, value] of values.entries()) {
    if (hasNulls && value !== null) block[32 + (row >> 3)] = (block[32 + (row >> 3)] ?? 0) | (1 << (row & 7));
  }
  let end = 0;
  for (const [row, body] of isBytes ? bodies.entries() : []) {
    end += body.length;
    block.writeUInt32LE(end, 32 + validityBytes + 4 * (row + 1));
  }
  joined.copy(block, 32 + validityBytes + offsetsBytes);
  return Block.open(block.buffer);
}

function bytesOf(leaf: LeafColumn, value: Stored, width: number): Buffer {
  if (leaf.physicalType === 'BYTE_ARRAY') return value === null ? Buffer.alloc(0) : Buffer.from(value as Uint8Array);
  const bytes = Buffer.alloc(width);
  if (value === null) return bytes;
  if (value instanceof Uint8Array) bytes.set(value);
  else if (leaf.physicalType === 'BOOLEAN') bytes[0] = value === true ? 1 : 0;
  else if (leaf.physicalType === 'INT32') bytes.writeInt32LE(Number(BigInt.asIntN(32, BigInt(value))));
  else if (leaf.physicalType === 'INT64') bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)));
  else if (leaf.physicalType === 'FLOAT') bytes.writeFloatLE(Number(value));
  else bytes.writeDoubleLE(Number(value));
  return bytes;
}
