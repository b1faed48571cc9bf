/**
 * What another reader says a value is, in a form that holds no reader's own ideas, and whether our JSON says the same.
 *
 * Each oracle turns its values into these: exact integers, floats of a width, instants in nanoseconds, texts. Ours is the
 * JSON text that users get, parsed with its numbers as they were written, so that a digit lost on the way shows.
 */

import { ExactNumber, parseExactJson } from '../../../src/table/index.ts';

/** A float of 16, 32 or 64 bits: ours is a decimal that must read back as it. */
export class Float {
  readonly value: number;
  readonly bits: 16 | 32 | 64;

  constructor(value: number, bits: 16 | 32 | 64) {
    this.value = value;
    this.bits = bits;
  }
}

/** Nanoseconds since the epoch. `digits` is how many follow the second, where the oracle knows the column's unit. */
export class Instant {
  readonly nanos: bigint;
  readonly digits: number | undefined;
  readonly isUtc: boolean;

  constructor(nanos: bigint, isUtc: boolean, digits?: number) {
    this.nanos = nanos;
    this.isUtc = isUtc;
    this.digits = digits;
  }
}

/** A cell of a CSV: the text of a string or number, nothing for null. */
export class Cell {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A struct, or a map whose keys are strings. */
export class Fields {
  readonly entries: ReadonlyMap<string, Expected>;

  constructor(entries: Iterable<readonly [string, Expected]>) {
    this.entries = new Map(entries);
  }
}

export type Expected = null | boolean | bigint | string | Float | Instant | Cell | Fields | readonly Expected[];

/** Columns by name, each with all its rows. */
export type ExpectedColumns = ReadonlyMap<string, readonly Expected[]>;

/** A map as the product writes it: an object where keys are strings, else a list of entries; of equal keys the last. */
export function expectedMap(keysAreText: boolean, entries: readonly (readonly [Expected, Expected])[]): Expected {
  if (keysAreText) return new Fields(entries as [string, Expected][]);
  return entries.map(
    ([key, value]) =>
      new Fields([
        ['key', key],
        ['value', value],
      ]),
  );
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** Undefined where the JSON text says what is expected, else where and how it differs. */
export function difference(json: string, expected: Expected): string | undefined {
  return differ(parseExactJson(json), expected, '');
}

function differ(ours: unknown, expected: Expected, path: string): string | undefined {
  const verdict = (same: boolean) => (same ? undefined : `${path}: ours ${show(ours)}, expected ${show(expected)}`);
  if (expected === null || typeof expected === 'boolean' || typeof expected === 'string')
    return verdict(ours === expected);
  if (typeof expected === 'bigint') return verdict(sourceOf(ours) === String(expected));
  if (expected instanceof Float) return verdict(isFloat(ours, expected));
  if (expected instanceof Instant) return verdict(isInstant(ours, expected));
  if (expected instanceof Cell) return verdict(cellOf(ours) === expected.text);
  if (expected instanceof Fields) return differFields(ours, expected.entries, path);
  if (!Array.isArray(ours) || ours.length !== expected.length) return verdict(false);
  for (const [i, element] of expected.entries()) {
    const found = differ(ours[i], element, `${path}[${i}]`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function differFields(ours: unknown, entries: ReadonlyMap<string, Expected>, path: string): string | undefined {
  const isObject = typeof ours === 'object' && ours !== null && !Array.isArray(ours) && !(ours instanceof ExactNumber);
  const names = isObject ? Object.keys(ours).sort() : [];
  if (!isObject || names.join('\n') !== [...entries.keys()].sort().join('\n')) {
    return `${path}: ours ${show(ours)}, expected fields ${[...entries.keys()].join(', ')}`;
  }
  for (const [name, value] of entries) {
    const found = differ((ours as Record<string, unknown>)[name], value, `${path}.${name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function cellOf(ours: unknown): string | undefined {
  if (ours === null) return '';
  return typeof ours === 'string' ? ours : sourceOf(ours);
}

function sourceOf(ours: unknown): string | undefined {
  if (ours instanceof ExactNumber) return ours.source;
  return typeof ours === 'number' ? String(ours) : undefined;
}

const ROUND = { 16: Math.f16round, 32: Math.fround, 64: (value: number) => value } as const;

/** Non-finite values are asked for as strings, so that they cannot pass for nulls. */
function isFloat(ours: unknown, { value, bits }: Float): boolean {
  if (!Number.isFinite(value)) return ours === String(value);
  const source = sourceOf(ours);
  return source !== undefined && Object.is(ROUND[bits](Number(source)), value);
}

function isInstant(ours: unknown, { nanos, digits, isUtc }: Instant): boolean {
  if (typeof ours !== 'string') return false;
  const match = /^([+-]\d{6}|\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{3,9}))?(Z?)$/.exec(ours);
  if (match === null || (match[8] === 'Z') !== isUtc) return false;
  const fraction = match[7] ?? '';
  if (digits !== undefined && fraction.length !== digits) return false;
  const [year = 0, month = 1, day = 1, hours = 0, minutes = 0, seconds = 0] = match.slice(1, 7).map(Number);
  const secondsOfDay = hours * 3600 + minutes * 60 + seconds;
  const total = BigInt(daysSinceEpoch(year, month, day)) * 86_400n + BigInt(secondsOfDay);
  return total * 1_000_000_000n + BigInt(fraction.padEnd(9, '0')) === nanos;
}

/** 400 years of the Gregorian calendar are 146,097 days; JavaScript's own dates end in the year 275760. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const cycles = Math.floor((year - 2000) / 400);
  return cycles * 146_097 + Date.UTC(year - cycles * 400, month - 1, day) / 86_400_000;
}

function show(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return `${inner}n`;
    if (inner instanceof Map) return Object.fromEntries(inner);
    return inner;
  });
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
