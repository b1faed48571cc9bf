/**
 * Keys as callers write them, in a URL or a JSON body, to the values that blocks are searched by, and back.
 *
 * Strict on purpose: a key that could be read two ways (`007`, `1.0`, `+5`) is refused with the right form, since a
 * lookup that silently reads it as something else answers for another row. A value that the column cannot hold, such as
 * a timestamp finer than the column's unit, is refused too. Comparison is by value: `1.50` finds 1.5.
 */

import { ServiceError, unsupported } from '../core/index.ts';
import { type KeyValue, keyClassOf, type LeafColumn, type PhysicalType } from '../parquet/index.ts';
import { formatDate, formatLongTime, formatLongTimestamp, parseDate, parseTime, parseTimestamp } from './calendar.ts';
import { formatDecimal, parseDecimal } from './decimal.ts';
import { ExactNumber } from './exact-json.ts';
import { base64, formatUuid, jsonWriter } from './json-format.ts';
import { nearestFloat16, shortestFloat32 } from './short-float.ts';

export { ExactNumber, type JsonScalar, parseExactJson } from './exact-json.ts';

/** One value a column of the key that is searched by, in its order. */
export type Key = readonly KeyValue[];

/** A key part from a URL, already percent-decoded. */
export function parseKeyText(leaf: LeafColumn, text: string): KeyValue {
  const value = formOf(leaf).parse(text);
  if (value === undefined) throw badKey(leaf, text);
  return value;
}

/** A key part from a JSON body, as `parseExactJson` gives it. */
export function parseKeyJson(leaf: LeafColumn, value: unknown): KeyValue {
  if (value === null || value === undefined) throw nullKey(leaf);
  const form = formOf(leaf);
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw badKey(leaf, value);
    return parseKeyText(leaf, value);
  }
  if (typeof value === 'number' && form.fromSmall !== undefined && (value | 0) === value && !Object.is(value, -0)) {
    return form.fromSmall(value);
  }
  if (typeof value === 'boolean' && form.json === 'boolean') return value;
  const source = value instanceof ExactNumber ? value.source : typeof value === 'number' ? String(value) : undefined;
  const takesNumbers = form.json === 'number' || form.json === 'decimal';
  if (source === undefined || !takesNumbers) throw badKey(leaf, source ?? JSON.stringify(value));
  return parseKeyText(leaf, source);
}

/** The canonical JSON text of a key part, in the form that `parseKeyJson` takes. */
export function keyJson(leaf: LeafColumn, value: KeyValue): string {
  const form = formOf(leaf);
  const text = form.format(value);
  const isPlain = form.json === 'boolean' || (form.json === 'number' && !/[NI]/.test(text));
  return isPlain ? text : JSON.stringify(text);
}

/**
 * The key as percent-encoded parts of a URL's path, or undefined when a part is empty, `.` or `..`: clients remove such
 * parts before they send, so that these keys need a lookup by body.
 */
export function keyPath(leaves: readonly LeafColumn[], key: readonly KeyValue[]): string | undefined {
  const parts: string[] = [];
  for (const [i, leaf] of leaves.entries()) {
    const value = key[i];
    const text = value === undefined ? '' : formOf(leaf).format(value);
    if (text === '' || text === '.' || text === '..') return undefined;
    parts.push(encodeURIComponent(text));
  }
  return parts.join('/');
}

/** The text of a value, as `parseKeyText` takes it. */
export function keyText(leaf: LeafColumn, value: KeyValue): string {
  return formOf(leaf).format(value);
}

/** The value that a text says; undefined where it says none. */
export function valueOfText(leaf: LeafColumn, text: string): KeyValue | undefined {
  return formOf(leaf).parse(text);
}

/** The value whose text this is; undefined where there is none, or where the same value is written otherwise. */
export function canonicalKey(leaf: LeafColumn, text: string): KeyValue | undefined {
  const form = formOf(leaf);
  const value = form.parse(text);
  return value !== undefined && form.format(value) === text ? value : undefined;
}

const MAX_ECHO = 100;

function badKey(leaf: LeafColumn, given: string): ServiceError {
  const { expected } = formOf(leaf);
  const echo = given.length > MAX_ECHO ? `${given.slice(0, MAX_ECHO)}…` : given;
  const shown = echo.toWellFormed();
  const message = `key column ${leaf.name} takes ${expected}, not ${JSON.stringify(shown)}`;
  return new ServiceError('invalid', 'bad_key', message, { column: leaf.name, expected, given: shown });
}

function nullKey(leaf: LeafColumn): ServiceError {
  const { expected } = formOf(leaf);
  const message = `key column ${leaf.name} takes ${expected}, not null: a null equals nothing`;
  return new ServiceError('invalid', 'null_key', message, { column: leaf.name, expected });
}

/** How the values of one column are written. */
interface KeyForm {
  /** For the error message: what a key looks like. */
  readonly expected: string;
  /** The JSON type of a key in a body; a string in the text form is taken beside it. A decimal is written as a string. */
  readonly json: 'number' | 'decimal' | 'string' | 'boolean';
  /** Undefined when the text is not of the form. */
  readonly parse: (text: string) => KeyValue | undefined;
  readonly format: (value: KeyValue) => string;
  /** For signed integers of 32 bits and more: the value of a number that fits them, without its text. */
  readonly fromSmall?: (value: number) => KeyValue;
}

const forms = new WeakMap<LeafColumn, KeyForm>();

function formOf(leaf: LeafColumn): KeyForm {
  let form = forms.get(leaf);
  if (form === undefined) {
    form = makeForm(leaf);
    forms.set(leaf, form);
  }
  return form;
}

function makeForm(leaf: LeafColumn): KeyForm {
  if (keyClassOf(leaf) === 'unsearchable') {
    const type = leaf.logicalType.kind === 'NONE' ? leaf.physicalType : leaf.logicalType.kind;
    throw unsupported(`column ${leaf.name} cannot be a key: ${type} values are not searchable`, { column: leaf.name });
  }
  // A key is echoed as JSON, and what has no JSON form (nested, an annotation that does not fit) is no key either.
  jsonWriter(leaf, { int64: 'number', nonfinite: 'string' });
  const type = leaf.logicalType;
  switch (type.kind) {
    case 'STRING':
    case 'ENUM':
    case 'JSON':
      return stringForm;
    case 'UUID':
      return uuidForm;
    case 'DATE':
      return dateForm;
    case 'INTEGER':
      return integerForm(type.bitWidth, type.isSigned);
    case 'DECIMAL':
      return decimalForm(type.precision, type.scale, leaf.physicalType);
    case 'TIME':
      return timeForm(type.unit, leaf.physicalType);
    case 'TIMESTAMP':
      return timestampForm(type.unit, type.isAdjustedToUTC);
    case 'FLOAT16':
      return floatForm(nearestFloat16, 'a number such as 1.5');
    default:
      return physicalForm(leaf);
  }
}

function physicalForm(leaf: LeafColumn): KeyForm {
  switch (leaf.physicalType) {
    case 'BOOLEAN':
      return booleanForm;
    case 'INT32':
      return integerForm(32, true);
    case 'INT64':
      return integerForm(64, true);
    case 'FLOAT':
      return floatForm(Math.fround, 'a number such as 1.5');
    case 'DOUBLE':
      return floatForm((value) => value, 'a number such as 1.5');
    default:
      return binaryForm(leaf.physicalType === 'FIXED_LEN_BYTE_ARRAY' ? leaf.typeLength : undefined);
  }
}

/** A lone surrogate would be searched as U+FFFD and could find a row that is not meant. */
const stringForm: KeyForm = {
  expected: 'a string',
  json: 'string',
  parse: (text) => (text.isWellFormed() ? Buffer.from(text, 'utf8') : undefined),
  format: (value) => bytesOf(value).toString('utf8'),
};

const uuidForm: KeyForm = {
  expected: 'a UUID such as 123e4567-e89b-12d3-a456-426614174000',
  json: 'string',
  parse: (text) =>
    /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
      ? Buffer.from(text.replaceAll('-', ''), 'hex')
      : undefined,
  format: (value) => formatUuid(bytesOf(value)),
};

const booleanForm: KeyForm = {
  expected: 'true or false',
  json: 'boolean',
  parse: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
  format: String,
};

const dateForm: KeyForm = {
  expected: 'a date such as 2026-01-31',
  json: 'string',
  parse: (text) => {
    const days = parseDate(text);
    return days !== undefined && (days | 0) === days ? days : undefined;
  },
  format: (value) => formatDate(Number(value)),
};

/** Of up to nine digits; -1 for what has more or is not of the form of a whole number. */
function smallNumber(text: string): number {
  const { length } = text;
  if (length === 0 || length > 9 || (length > 1 && text.charCodeAt(0) === 0x30)) return -1;
  let value = 0;
  for (let i = 0; i < length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = 10 * value + digit;
  }
  return value;
}

function integerForm(bitWidth: number, isSigned: boolean): KeyForm {
  const bits = BigInt(bitWidth);
  const min = isSigned ? -(1n << (bits - 1n)) : 0n;
  const max = isSigned ? (1n << (bits - 1n)) - 1n : (1n << bits) - 1n;
  const fromSmall = bitWidth === 64 ? (value: number) => BigInt(value) : (value: number) => value;
  const parse = (text: string): KeyValue | undefined => {
    const small = bitWidth < 32 ? -1 : smallNumber(text);
    if (small >= 0) return fromSmall(small);
    // The longest that can be in range: a sign and 19 digits, or 20 digits without one.
    if (text.length > 20 || !/^-?(?:0|[1-9][0-9]*)$/.test(text)) return undefined;
    const value = BigInt(text);
    if (value < min || value > max) return undefined;
    return bitWidth === 64 ? value : Number(value);
  };
  const expected = `an integer from ${min} to ${max}, written like 42`;
  return { expected, json: 'number', parse, format: String, ...(isSigned && bitWidth >= 32 && { fromSmall }) };
}

function floatForm(round: (value: number) => number, expected: string): KeyForm {
  const parse = (text: string): KeyValue | undefined => {
    if (text === 'NaN') return Number.NaN;
    if (text === 'Infinity') return Number.POSITIVE_INFINITY;
    if (text === '-Infinity') return Number.NEGATIVE_INFINITY;
    if (!/^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/.test(text)) return undefined;
    const value = round(Number(text));
    return Number.isFinite(value) ? value : undefined;
  };
  const isFloat32 = round === Math.fround;
  const format = (value: KeyValue): string => {
    const number = Number(value);
    return Object.is(number, -0) ? '-0' : String(isFloat32 ? shortestFloat32(number) : number);
  };
  return { expected: `${expected}, NaN, Infinity or -Infinity`, json: 'number', parse, format };
}

function decimalForm(precision: number, scale: number, physicalType: PhysicalType): KeyForm {
  const limit = 10n ** BigInt(precision);
  const parse = (text: string): KeyValue | undefined => {
    const unscaled = parseDecimal(text, scale);
    if (unscaled === undefined || unscaled >= limit || unscaled <= -limit) return undefined;
    return physicalType === 'INT32' ? Number(unscaled) : unscaled;
  };
  const whole = precision - scale;
  return {
    expected: `a decimal of at most ${whole} digits before and ${scale} after the point, such as ${formatDecimal(5, scale)}`,
    json: 'decimal',
    parse,
    format: (value) => formatDecimal(unscaledOf(value), scale),
  };
}

function timeForm(unit: 'MILLIS' | 'MICROS' | 'NANOS', physicalType: PhysicalType): KeyForm {
  const bits = physicalType === 'INT32' ? 32 : 64;
  return {
    expected: `a time in ${unit.toLowerCase()} such as ${formatLongTime(0n, unit).replace('00:00:00', '12:34:56')}`,
    json: 'string',
    parse: (text) => {
      const units = parseTime(text, unit);
      if (units === undefined || BigInt.asIntN(bits, units) !== units) return undefined;
      return bits === 32 ? Number(units) : units;
    },
    format: (value) => formatLongTime(unscaledOf(value), unit),
  };
}

function timestampForm(unit: 'MILLIS' | 'MICROS' | 'NANOS', isAdjustedToUTC: boolean): KeyForm {
  const zone = isAdjustedToUTC ? 'Z' : '';
  const example = `${formatLongTimestamp(0n, unit).replace('1970-01-01T00:00:00', '2026-01-31T12:34:56')}${zone}`;
  const zoneRule = isAdjustedToUTC ? 'with Z or an offset' : 'without a zone';
  return {
    expected: `a timestamp in ${unit.toLowerCase()} ${zoneRule} such as ${example}`,
    json: 'string',
    parse: (text) => {
      const units = parseTimestamp(text, unit, isAdjustedToUTC);
      return units !== undefined && BigInt.asIntN(64, units) === units ? units : undefined;
    },
    format: (value) => formatLongTimestamp(unscaledOf(value), unit) + zone,
  };
}

/** Decoding and encoding again tells whether the text was canonical, which `Buffer` alone does not. */
function binaryForm(length: number | undefined): KeyForm {
  const size = length === undefined ? '' : ` of ${length} bytes`;
  return {
    expected: `binary${size} as base64 such as AAEC (in a URL, / is written %2F)`,
    json: 'string',
    parse: (text) => {
      const bytes = Buffer.from(text, 'base64');
      const fits = length === undefined || bytes.length === length;
      return fits && bytes.toString('base64') === text ? bytes : undefined;
    },
    format: (value) => base64(bytesOf(value)),
  };
}

/** A key value has the type of its column's key class; only our own mistake gives another. */
function bytesOf(value: KeyValue): Buffer {
  if (!(value instanceof Uint8Array)) throw new TypeError('a key of bytes was expected');
  return Buffer.from(value.buffer, value.byteOffset, value.length);
}

function unscaledOf(value: KeyValue): bigint {
  return typeof value === 'bigint' ? value : BigInt(Number(value));
}
