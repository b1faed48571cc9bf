/**
 * From the type that a file stores to the type that its table has, value by value, and back.
 *
 * Every cast is exact and so has an inverse: a value that would lose is an error, and a key of the table is either one
 * value of the file or provably none of its. That lets a file be searched and pruned by its own type.
 *
 *     integer <-> integer, decimal     by value
 *     decimal, time, timestamp         to other digits, where no digit is lost
 *     integer <-> float, float         where the double or float holds the value
 *     string <-> integer, decimal, date, time, timestamp, uuid, boolean    in the form that Pointlake writes
 *     string, binary, uuid             by bytes
 */

import { isUtf8 } from 'node:buffer';
import { ServiceError } from '../core/index.ts';
import { type KeyValue, keyClassOf, type LeafColumn } from '../parquet/index.ts';
import { type ColumnType, floatBitsOf, integerOf, isSameType, typeText, UNIT_DIGITS } from './column-type.ts';
import { canonicalKey, keyText } from './key.ts';
import { widerType } from './widening.ts';

/** Undefined where there is no such value on the other side. */
type Convert = (value: KeyValue) => KeyValue | undefined;

interface Conversion {
  readonly forward: Convert;
  readonly backward: Convert;
}

/** `same`: the file's values already read as the table's. `none`: there is no exact cast. */
export type CastBetween = Cast | 'same' | 'none';

export function castBetween(from: LeafColumn, to: LeafColumn): CastBetween {
  if (readsAs(from, to)) return 'same';
  const conversion =
    scaledConversion(from, to) ??
    floatConversion(from, to) ??
    integerFloatConversion(from, to) ??
    bytesConversion(from, to) ??
    textConversion(from, to);
  return conversion === undefined ? 'none' : new Cast(from, to, conversion);
}

export class Cast {
  readonly from: LeafColumn;
  readonly to: LeafColumn;
  readonly #conversion: Conversion;

  constructor(from: LeafColumn, to: LeafColumn, conversion: Conversion) {
    this.from = from;
    this.to = to;
    this.#conversion = conversion;
  }

  /** A value of the file as the table's. Throws `overflow`, or `inexact_cast` where the operator asked for the cast. */
  forward(value: KeyValue): KeyValue {
    const converted = this.#conversion.forward(value);
    if (converted === undefined) throw this.#fault(value);
    return converted;
  }

  /** A key of the table as the file's; undefined where no value of the file can be it. */
  backward(key: KeyValue): KeyValue | undefined {
    return this.#conversion.backward(key);
  }

  /** What widens by itself can only be too large; the rest was asked for. */
  #fault(value: KeyValue): ServiceError {
    const wider = widerType(this.from, this.to);
    const widens = wider !== undefined && isSameType(wider, this.to);
    const types = [typeText(this.from), typeText(this.to)] as const;
    const shown = value instanceof Uint8Array ? 'a value' : `the value ${value}`;
    const message = widens
      ? `${shown} of ${types[0]} column ${this.to.name} is beyond what the table's ${types[1]} can hold`
      : `${shown} of ${types[0]} column ${this.to.name} cannot be cast to ${types[1]} without loss`;
    const context = { column: this.to.name, types };
    return new ServiceError('corrupt', widens ? 'overflow' : 'inexact_cast', message, context);
  }
}

/** Numbers that are integers times a power of ten, in one family: what they mean is compared by value. */
interface Scaled {
  readonly family: string;
  /** Decimal digits of the fraction. */
  readonly digits: number;
  /** What the type may hold. */
  readonly min: bigint;
  readonly max: bigint;
  /** Bits that a value is stored in; 0 without end. A file may hold more than its annotation allows. */
  readonly bits: 0 | 32 | 64;
  readonly isUnsigned: boolean;
}

function scaledOf(type: ColumnType): Scaled | undefined {
  const bits = type.physicalType === 'INT32' ? 32 : type.physicalType === 'INT64' ? 64 : 0;
  const integer = integerOf(type);
  if (integer !== undefined) {
    const isUnsigned = !integer.isSigned;
    return { family: 'number', digits: 0, ...rangeOf(integer.bitWidth, isUnsigned), bits, isUnsigned };
  }
  const { logicalType } = type;
  if (logicalType.kind === 'DECIMAL') {
    const limit = 10n ** BigInt(logicalType.precision);
    return { family: 'number', digits: logicalType.scale, min: 1n - limit, max: limit - 1n, bits, isUnsigned: false };
  }
  if (logicalType.kind !== 'TIME' && logicalType.kind !== 'TIMESTAMP') return undefined;
  const family = `${logicalType.kind} ${logicalType.isAdjustedToUTC}`;
  return { family, digits: UNIT_DIGITS[logicalType.unit], ...rangeOf(bits, false), bits, isUnsigned: false };
}

function rangeOf(bits: number, isUnsigned: boolean): { readonly min: bigint; readonly max: bigint } {
  if (isUnsigned) return { min: 0n, max: (1n << BigInt(bits)) - 1n };
  const half = 1n << BigInt(bits - 1);
  return { min: -half, max: half - 1n };
}

/** Whether blocks of one type can be read and searched as the other without a look at the values. */
function readsAs(from: LeafColumn, to: LeafColumn): boolean {
  if (isSameType(from, to)) return true;
  const [one, other] = [scaledOf(from), scaledOf(to)];
  if (one !== undefined && other !== undefined) {
    return (
      one.family === other.family &&
      one.digits === other.digits &&
      one.bits === other.bits &&
      one.isUnsigned === other.isUnsigned &&
      other.min <= one.min &&
      one.max <= other.max
    );
  }
  if (!isBytes(from) || !isBytes(to)) return false;
  return from.logicalType.kind === to.logicalType.kind || (isText(from) && isText(to)) || isBinary(to);
}

function scaledConversion(from: LeafColumn, to: LeafColumn): Conversion | undefined {
  const [one, other] = [scaledOf(from), scaledOf(to)];
  if (one === undefined || other === undefined || one.family !== other.family) return undefined;
  const finer = shifter(other.digits - one.digits);
  const coarser = shifter(one.digits - other.digits);
  return {
    forward: (value) => allowedBy(other, finer(BigInt(value as number | bigint))),
    backward: (key) => storedBy(one, coarser(BigInt(key as number | bigint))),
  };
}

/** Times a power of ten; undefined where digits would be lost. */
function shifter(digits: number): (value: bigint) => bigint | undefined {
  if (digits === 0) return (value) => value;
  const power = 10n ** BigInt(Math.abs(digits));
  if (digits > 0) return (value) => value * power;
  return (value) => (value % power === 0n ? value / power : undefined);
}

/** What the type may hold. 32-bit values are numbers, all else is a BigInt. */
function allowedBy({ min, max, bits }: Scaled, value: bigint | undefined): KeyValue | undefined {
  if (value === undefined || value < min || value > max) return undefined;
  return bits === 32 ? Number(value) : value;
}

/** What a file can hold: more than the annotation allows, if its writer was careless. */
function storedBy({ bits, isUnsigned }: Scaled, value: bigint | undefined): KeyValue | undefined {
  if (value === undefined || bits === 0) return value;
  const { min, max } = rangeOf(bits, isUnsigned);
  if (value < min || value > max) return undefined;
  return bits === 32 ? Number(value) : value;
}

/** NaN stands in every width. A FLOAT16 is only ever widened, so that what its file holds is left to the search. */
function floatConversion(from: LeafColumn, to: LeafColumn): Conversion | undefined {
  if (floatBitsOf(from) === undefined || floatBitsOf(to) === undefined) return undefined;
  return { forward: (value) => heldBy(to, Number(value)), backward: (key) => heldBy(from, Number(key)) };
}

function heldBy(type: ColumnType, value: number): number | undefined {
  return floatBitsOf(type) !== 32 || Object.is(Math.fround(value), value) ? value : undefined;
}

function integerFloatConversion(from: LeafColumn, to: LeafColumn): Conversion | undefined {
  const [one, other] = [scaledOf(from), scaledOf(to)];
  if (one !== undefined && integerOf(from) !== undefined && floatBitsOf(to) !== undefined) {
    return { forward: (value) => asFloat(to, value), backward: (key) => storedBy(one, asInteger(key)) };
  }
  if (other !== undefined && integerOf(to) !== undefined && floatBitsOf(from) !== undefined) {
    return { forward: (value) => allowedBy(other, asInteger(value)), backward: (key) => asFloat(from, key) };
  }
  return undefined;
}

function asFloat(float: LeafColumn, integer: KeyValue): KeyValue | undefined {
  const number = Number(integer);
  return BigInt(number) === BigInt(integer as number | bigint) ? heldBy(float, number) : undefined;
}

function asInteger(float: KeyValue): bigint | undefined {
  const number = Number(float);
  return Number.isInteger(number) ? BigInt(number) : undefined;
}

function isBytes(leaf: LeafColumn): boolean {
  return isText(leaf) || isBinary(leaf) || leaf.logicalType.kind === 'UUID' || leaf.logicalType.kind === 'BSON';
}

function isText({ logicalType: { kind } }: ColumnType): boolean {
  return kind === 'STRING' || kind === 'ENUM' || kind === 'JSON';
}

function isBinary({ physicalType, logicalType }: ColumnType): boolean {
  return logicalType.kind === 'NONE' && physicalType.endsWith('BYTE_ARRAY');
}

/** Bytes that nobody annotated may be text or a UUID if they look like it. */
function bytesConversion(from: LeafColumn, to: LeafColumn): Conversion | undefined {
  if (!isBinary(from)) return undefined;
  const same: Convert = (value) => value;
  const isOne = (value: KeyValue): value is Uint8Array => value instanceof Uint8Array;
  if (isText(to)) return { forward: (value) => (isOne(value) && isUtf8(value) ? value : undefined), backward: same };
  if (to.logicalType.kind !== 'UUID') return undefined;
  return { forward: (value) => (isOne(value) && value.length === 16 ? value : undefined), backward: same };
}

/** Only the one text that is written for a value is read as that value: `007` and `7` are two strings but one number. */
function textConversion(from: LeafColumn, to: LeafColumn): Conversion | undefined {
  const format = (leaf: LeafColumn): Convert => {
    return (value) => Buffer.from(keyText(leaf, value), 'utf8');
  };
  const parse = (leaf: LeafColumn): Convert => {
    return (value) =>
      value instanceof Uint8Array ? canonicalKey(leaf, Buffer.from(value).toString('utf8')) : undefined;
  };
  if (to.logicalType.kind === 'STRING' && hasOneText(from)) return { forward: format(from), backward: parse(from) };
  if (from.logicalType.kind === 'STRING' && hasOneText(to)) return { forward: parse(to), backward: format(to) };
  return undefined;
}

/** Floats have two zeros, which are equal numbers but two texts. */
function hasOneText(leaf: LeafColumn): boolean {
  if (keyClassOf(leaf) === 'unsearchable') return false;
  const { kind } = leaf.logicalType;
  return scaledOf(leaf) !== undefined || kind === 'DATE' || kind === 'UUID' || leaf.physicalType === 'BOOLEAN';
}
