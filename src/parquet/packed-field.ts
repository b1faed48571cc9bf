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
  readonly values: Float64Array;
  /** Taken off each value before the base, one for every so many values; for offsets inside a row group. */
  readonly origins: Float64Array | undefined;
}

/** A field in which -1 is absent, if `optional`. One of no values at all is absent everywhere. */
export function planField(values: Float64Array, optional: boolean, origins?: Float64Array): PackedField {
  const span = new Span();
  const each = perOrigin(values, origins);
  for (let first = 0, group = 0; first < values.length; first += each, group += 1) {
    const origin = origins === undefined ? 0 : origins[group]!;
    if (optional) span.addPresent(values, first, first + each);
    else span.add(values, first, first + each, origin);
  }
  if (span.max < span.min) return { width: 0, base: optional ? -1 : 0, optional, values, origins };
  const base = optional ? span.min - 1 : span.min;
  return { width: widthOf(span.max - base), base, optional, values, origins };
}

class Span {
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;

  add(values: Float64Array, from: number, to: number, origin: number): void {
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    for (let index = from; index < to; index += 1) {
      const value = values[index]!;
      if (value < min) min = value;
      if (value > max) max = value;
    }
    this.min = Math.min(this.min, min - origin);
    this.max = Math.max(this.max, max - origin);
  }

  addPresent(values: Float64Array, from: number, to: number): void {
    let { min, max } = this;
    for (let index = from; index < to; index += 1) {
      const value = values[index]!;
      if (value > max) max = value;
      if (value < min && value !== -1) min = value;
    }
    this.min = min;
    // A maximum of -1 is only the mark of what is absent.
    this.max = max === -1 ? Number.NEGATIVE_INFINITY : max;
  }
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
  const each = perOrigin(values, origins);
  for (let first = 0, group = 0; first < values.length; first += each, group += 1) {
    const taken = base + (origins === undefined ? 0 : origins[group]!);
    const part = values.subarray(first, first + each);
    const at = byteOffset + first * width;
    // One loop a width, each over one kind of array, is several times as fast as one for all.
    if (width === 1) narrow8(part, new Uint8Array(buffer, at, each), taken, optional);
    else if (width === 2) narrow16(part, new Uint16Array(buffer, at, each), taken, optional);
    else if (width === 4) narrow32(part, new Uint32Array(buffer, at, each), taken, optional);
    else widen64(part, new Float64Array(buffer, at, each), taken, optional);
  }
}

function narrow8(values: Float64Array, target: Uint8Array, taken: number, optional: boolean): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = optional && value === -1 ? 0 : value - taken;
  }
}

function narrow16(values: Float64Array, target: Uint16Array, taken: number, optional: boolean): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = optional && value === -1 ? 0 : value - taken;
  }
}

function narrow32(values: Float64Array, target: Uint32Array, taken: number, optional: boolean): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = optional && value === -1 ? 0 : value - taken;
  }
}

function widen64(values: Float64Array, target: Float64Array, taken: number, optional: boolean): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = optional && value === -1 ? 0 : value - taken;
  }
}

/** How many values in a row share an origin. */
function perOrigin(values: Float64Array, origins: Float64Array | undefined): number {
  return origins === undefined || origins.length === 0 ? values.length : values.length / origins.length;
}

/** The stored number, before base and origin. */
export function storedNumber(view: DataView, byteOffset: number, width: number, index: number): number {
  if (width === 4) return view.getUint32(byteOffset + index * 4, true);
  if (width === 2) return view.getUint16(byteOffset + index * 2, true);
  if (width === 1) return view.getUint8(byteOffset + index);
  return width === 0 ? 0 : view.getFloat64(byteOffset + index * 8, true);
}
