/**
 * One number for each of many chunks, in as few bytes as their span needs: none when all are equal, else 1, 2 or 4, or
 * a double. Offsets of a file lie close together once a base is taken off them.
 */

/** Bytes an entry: 0, 1, 2, 4, or 8 for doubles. */
export type FieldWidth = 0 | 1 | 2 | 4 | 8;

export interface PackedField {
  readonly width: FieldWidth;
  readonly base: number;
  /** Whether a stored 0 means absent, and values then count from 1. */
  readonly optional: boolean;
  readonly values: Float64Array | Uint8Array | Uint16Array;
  /** Taken off each value before the base, one for every so many values; for offsets inside a row group. */
  readonly origins: Float64Array | undefined;
}

/** A field in which -1 is absent, if `optional`. */
export function planField(
  values: Float64Array | Uint8Array | Uint16Array,
  optional: boolean,
  origins?: Float64Array,
): PackedField {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  const each = perOrigin(values, origins);
  for (let first = 0, group = 0; first < values.length; first += each, group += 1) {
    const origin = origins === undefined ? 0 : origins[group]!;
    for (let index = first; index < first + each; index += 1) {
      const value = values[index]!;
      if (optional && value === -1) continue;
      if (value - origin < min) min = value - origin;
      if (value - origin > max) max = value - origin;
    }
  }
  if (max < min) return { width: 0, base: optional ? -1 : 0, optional, values, origins };
  const base = optional ? min - 1 : min;
  const span = max - base;
  return { width: widthOf(span), base, optional, values, origins };
}

function widthOf(span: number): FieldWidth {
  if (span === 0) return 0;
  if (span <= 0xff) return 1;
  if (span <= 0xffff) return 2;
  return span <= 0xffff_ffff ? 4 : 8;
}

export function packField(field: PackedField, buffer: ArrayBuffer, byteOffset: number): void {
  const { width, values, base, optional, origins } = field;
  if (width === 0) return;
  const target = targetArray(width, buffer, byteOffset, values.length);
  const each = perOrigin(values, origins);
  for (let first = 0, group = 0; first < values.length; first += each, group += 1) {
    const taken = base + (origins === undefined ? 0 : origins[group]!);
    for (let index = first; index < first + each; index += 1) {
      const value = values[index]!;
      target[index] = optional && value === -1 ? 0 : value - taken;
    }
  }
}

/** How many values in a row share an origin. */
function perOrigin(values: PackedField['values'], origins: Float64Array | undefined): number {
  return origins === undefined || origins.length === 0 ? values.length : values.length / origins.length;
}

function targetArray(width: FieldWidth, buffer: ArrayBuffer, byteOffset: number, length: number) {
  if (width === 1) return new Uint8Array(buffer, byteOffset, length);
  if (width === 2) return new Uint16Array(buffer, byteOffset, length);
  return width === 4 ? new Uint32Array(buffer, byteOffset, length) : new Float64Array(buffer, byteOffset, length);
}

/** The stored number, before base and origin. */
export function storedNumber(view: DataView, byteOffset: number, width: number, index: number): number {
  if (width === 4) return view.getUint32(byteOffset + index * 4, true);
  if (width === 2) return view.getUint16(byteOffset + index * 2, true);
  if (width === 1) return view.getUint8(byteOffset + index);
  return width === 0 ? 0 : view.getFloat64(byteOffset + index * 8, true);
}
