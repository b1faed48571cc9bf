/** Values that lie right beside a key: where a bound or a comparison is off by one, one of them is found by mistake. */

import type { KeyValue, LeafColumn } from '../../../src/parquet/index.ts';

/** Equal for values that are equal as keys. */
export function sameKey(value: KeyValue): string {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  return `${typeof value} ${value === 0 ? 0 : value}`;
}

/** May hold values that are present too. */
export function nearby(leaf: LeafColumn, value: KeyValue): readonly KeyValue[] {
  if (typeof value === 'boolean') return [!value];
  if (value instanceof Uint8Array) return nearbyBytes(leaf, value);
  if (typeof value === 'bigint') return [value - 1n, value + 1n].filter((near) => isIn64Bits(leaf, near));
  if (leaf.physicalType === 'INT32') return [value - 1, value + 1].filter((near) => (near | 0) === near && near >= 0);
  return nearbyFloats(leaf, value);
}

function isIn64Bits(leaf: LeafColumn, value: bigint): boolean {
  const isUnsigned = leaf.logicalType.kind === 'INTEGER' && !leaf.logicalType.isSigned;
  return (isUnsigned ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value)) === value;
}

function nearbyBytes({ typeLength }: LeafColumn, bytes: Uint8Array): readonly KeyValue[] {
  const last = Uint8Array.from(bytes);
  if (last.length > 0) last[last.length - 1] = last[last.length - 1]! ^ 1;
  if (typeLength > 0) return [last];
  return [last, Uint8Array.from([...bytes, 0]), bytes.slice(0, Math.max(0, bytes.length - 1))];
}

/** The neighbours among the floats of the column's width. */
function nearbyFloats(leaf: LeafColumn, value: number): readonly KeyValue[] {
  if (!Number.isFinite(value)) return [0.5, Number.MAX_VALUE];
  const view = new DataView(new ArrayBuffer(8));
  if (leaf.physicalType === 'DOUBLE') {
    view.setFloat64(0, value);
    view.setBigUint64(0, view.getBigUint64(0) ^ 1n);
    return [view.getFloat64(0)];
  }
  if (leaf.physicalType === 'FLOAT') {
    view.setFloat32(0, value);
    view.setUint32(0, view.getUint32(0) ^ 1);
    return [view.getFloat32(0)];
  }
  view.setFloat16(0, value);
  view.setUint16(0, view.getUint16(0) ^ 1);
  return [view.getFloat16(0)];
}
