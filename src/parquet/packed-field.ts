/**
 * One number for each chunk, in as few bytes as their span needs: none when all are equal, else 1, 2 or 4, or a double.
 * Chunks of one row group lie close together in a file, and those of one column are alike, so origins are taken off
 * first where what is left is narrower for it:
 *
 *     value = stored + base + origin of its row group + origin of its column
 */

/** Bytes an entry: 0, 1, 2, 4, or 8 for doubles. */
export type FieldWidth = 0 | 1 | 2 | 4 | 8;

/** The values are in the order of row groups, one for each column. */
export interface FieldShape {
  readonly rowGroups: number;
  readonly columns: number;
}

export interface PackedField {
  readonly width: FieldWidth;
  readonly base: number;
  /** Whether a stored 0 means absent, and values then count from 1. */
  readonly zeroIsAbsent: boolean;
  /** What is left once the origins are taken off. */
  readonly values: Float64Array;
  /** One a row group, or none. */
  readonly rowOrigins: Float64Array;
  /** One a column, or none. */
  readonly columnOrigins: Float64Array;
}

const NO_ORIGINS = new Float64Array(0);
/** Below this every sum with origins is exact, whatever the order. */
const ORIGINS_BELOW = 2 ** 52;

/** A field in which -1 is absent, if `optional`. One of no values at all is absent everywhere. */
export function planField(values: Float64Array, shape: FieldShape, optional: boolean): PackedField {
  const { min, max, absent } = optional ? presentSpan(values) : spanOf(values);
  const parts = { values, zeroIsAbsent: absent, rowOrigins: NO_ORIGINS, columnOrigins: NO_ORIGINS };
  if (max < min) return { ...parts, width: 0, base: 0, zeroIsAbsent: optional };
  const base = absent ? min - 1 : min;
  const plain = { ...parts, width: widthOf(max - base), base };
  if (plain.width < 2 || absent || max >= ORIGINS_BELOW || shape.rowGroups < 2) return plain;
  const byColumn = lessOrigins(plain, shape, new Float64Array(shape.rowGroups));
  const byBoth = lessOrigins(plain, shape, firstColumn(values, shape));
  return [byColumn, byBoth].reduce((least, field) => (byteLength(field) < byteLength(least) ? field : least), plain);
}

interface Span {
  readonly min: number;
  readonly max: number;
  readonly absent: boolean;
}

function spanOf(values: Float64Array): Span {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { min, max, absent: false };
}

/** Of values that are not -1; the maximum is below the minimum where there are none. */
function presentSpan(values: Float64Array): Span {
  let min = Number.POSITIVE_INFINITY;
  let max = -1;
  let absent = false;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    if (value > max) max = value;
    if (value === -1) absent = true;
    else if (value < min) min = value;
  }
  return { min, max, absent };
}

function widthOf(span: number): FieldWidth {
  if (span === 0) return 0;
  if (span <= 0xff) return 1;
  if (span <= 0xffff) return 2;
  return span <= 0xffff_ffff ? 4 : 8;
}

function byteLength({ width, values, rowOrigins, columnOrigins }: PackedField): number {
  return width * values.length + 8 * (rowOrigins.length + columnOrigins.length);
}

function firstColumn(values: Float64Array, { rowGroups, columns }: FieldShape): Float64Array {
  const origins = new Float64Array(rowGroups);
  for (let rowGroup = 0; rowGroup < rowGroups; rowGroup += 1) origins[rowGroup] = values[rowGroup * columns]!;
  return origins;
}

/**
 * The field less these origins of its row groups, and of its columns what is then left of the first row group. The same
 * field where that is no narrower, as mostly shows in the last row group alone.
 */
function lessOrigins(field: PackedField, { rowGroups, columns }: FieldShape, rowOrigins: Float64Array): PackedField {
  const { values } = field;
  const columnOrigins = values.slice(0, columns);
  takeOff(columnOrigins, rowOrigins, new Float64Array(columns));
  const last = values.slice((rowGroups - 1) * columns);
  takeOff(last, rowOrigins.subarray(rowGroups - 1), columnOrigins);
  const lastSpan = spanOf(last);
  if (widthOf(lastSpan.max - lastSpan.min) >= field.width) return field;
  const left = values.slice();
  takeOff(left, rowOrigins, columnOrigins);
  const { min, max } = spanOf(left);
  const width = widthOf(max - min);
  const kept = rowOrigins.some((origin) => origin !== 0) ? rowOrigins : NO_ORIGINS;
  return { ...field, values: left, width, base: min, rowOrigins: kept, columnOrigins };
}

function takeOff(values: Float64Array, rowOrigins: Float64Array, columnOrigins: Float64Array): void {
  const columns = columnOrigins.length;
  for (let first = 0, rowGroup = 0; first < values.length; first += columns, rowGroup += 1) {
    const origin = rowOrigins[rowGroup]!;
    for (let column = 0; column < columns; column += 1) {
      values[first + column] = values[first + column]! - origin - columnOrigins[column]!;
    }
  }
}

export function packField({ width, values, base, zeroIsAbsent }: PackedField, buffer: ArrayBuffer, at: number): void {
  // One loop a width, each over one kind of array, is several times as fast as one for all.
  const absent = zeroIsAbsent ? -1 : Number.NaN;
  if (width === 1) narrow8(values, new Uint8Array(buffer, at, values.length), base, absent);
  else if (width === 2) narrow16(values, new Uint16Array(buffer, at, values.length), base, absent);
  else if (width === 4) narrow32(values, new Uint32Array(buffer, at, values.length), base, absent);
  else if (width === 8) widen64(values, new Float64Array(buffer, at, values.length), base, absent);
}

function narrow8(values: Float64Array, target: Uint8Array, base: number, absent: number): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = value === absent ? 0 : value - base;
  }
}

function narrow16(values: Float64Array, target: Uint16Array, base: number, absent: number): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = value === absent ? 0 : value - base;
  }
}

function narrow32(values: Float64Array, target: Uint32Array, base: number, absent: number): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = value === absent ? 0 : value - base;
  }
}

function widen64(values: Float64Array, target: Float64Array, base: number, absent: number): void {
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index]!;
    target[index] = value === absent ? 0 : value - base;
  }
}

/** The stored number, before base and origins. */
export function storedNumber(view: DataView, byteOffset: number, width: number, index: number): number {
  if (width === 4) return view.getUint32(byteOffset + index * 4, true);
  if (width === 2) return view.getUint16(byteOffset + index * 2, true);
  if (width === 1) return view.getUint8(byteOffset + index);
  return width === 0 ? 0 : view.getFloat64(byteOffset + index * 8, true);
}
