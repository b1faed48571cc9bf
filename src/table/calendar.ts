/**
 * Dates and times as text, and back.
 *
 * Written by hand because a Parquet DATE reaches year 5,881,580 and a TIMESTAMP in milliseconds year 292 million, beyond
 * what `Date` holds, and because microseconds and nanoseconds must survive. The calendar is the proleptic Gregorian one
 * with a year 0, as in ISO 8601; years outside 0000..9999 take ISO's expanded form with a sign and at least six digits,
 * which is also ECMAScript's. Days to civil dates and back is Howard Hinnant's algorithm
 * (https://howardhinnant.github.io/date_algorithms.html).
 */

import type { TimeUnit } from '../parquet/index.ts';

const DAYS_PER_ERA = 146_097;
/** From 0000-03-01, where the algorithm's years begin, to 1970-01-01. */
const EPOCH_OFFSET = 719_468;
const SECONDS_PER_DAY = 86_400;

const UNITS_PER_SECOND: Readonly<Record<TimeUnit, number>> = { MILLIS: 1e3, MICROS: 1e6, NANOS: 1e9 };
const FRACTION_DIGITS: Readonly<Record<TimeUnit, number>> = { MILLIS: 3, MICROS: 6, NANOS: 9 };

/** Days since 1970-01-01 as `2026-01-31`. */
export function formatDate(days: number): string {
  const shifted = days + EPOCH_OFFSET;
  const era = Math.floor(shifted / DAYS_PER_ERA);
  const dayOfEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${yearText(year)}-${twoDigits(month)}-${twoDigits(day)}`;
}

function yearText(year: number): string {
  if (year >= 1000 && year <= 9999) return String(year);
  if (year >= 0 && year <= 9999) return String(year).padStart(4, '0');
  return `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`;
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/** Days since 1970-01-01, or undefined when the text is no day of the calendar in the form of `formatDate`. */
export function parseDate(text: string): number | undefined {
  const match = /^([0-9]{4}|[+-][0-9]{6,9})-([0-9]{2})-([0-9]{2})$/.exec(text);
  if (match === null || match[1] === '-000000') return undefined;
  const year = Number(match[1]);
  const month = Number(match[2]);
  const day = Number(match[3]);
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return undefined;
  return daysFromCivil(year, month, day);
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function daysFromCivil(year: number, month: number, day: number): number {
  const marchYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(marchYear / 400);
  const yearOfEra = marchYear - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * DAYS_PER_ERA + dayOfEra - EPOCH_OFFSET;
}

/** `12:34:56.123456`, always with the unit's own number of digits. Hours run on past 24 and a negative time has a sign. */
export function formatTime(units: number, unit: TimeUnit): string {
  return units < 0 ? `-${timeOfDay(-units, unit)}` : timeOfDay(units, unit);
}

function timeOfDay(units: number, unit: TimeUnit): string {
  const perSecond = UNITS_PER_SECOND[unit];
  const seconds = Math.floor(units / perSecond);
  const fraction = units - seconds * perSecond;
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const clock = `${twoDigits(hours)}:${twoDigits(minutes - hours * 60)}:${twoDigits(seconds - minutes * 60)}`;
  return `${clock}.${String(fraction).padStart(FRACTION_DIGITS[unit], '0')}`;
}

/** The same for a value that no double holds, which no real time of day needs. */
export function formatLongTime(units: bigint, unit: TimeUnit): string {
  if (isSafe(units)) return formatTime(Number(units), unit);
  const magnitude = units < 0n ? -units : units;
  const perHour = BigInt(UNITS_PER_SECOND[unit]) * 3600n;
  const withinHour = timeOfDay(Number(magnitude % perHour), unit).slice(2);
  return `${units < 0n ? '-' : ''}${magnitude / perHour}${withinHour}`;
}

/** Units since midnight, or undefined when the text has another form or is finer than the unit. */
export function parseTime(text: string, unit: TimeUnit): bigint | undefined {
  const match = /^(-?)([0-9]{2,13}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?$/.exec(text);
  if (match === null) return undefined;
  const fraction = fractionUnits(match[5] ?? '', unit);
  if (fraction === undefined) return undefined;
  const seconds = BigInt(match[2] ?? '') * 3600n + BigInt(Number(match[3]) * 60 + Number(match[4]));
  const units = seconds * BigInt(UNITS_PER_SECOND[unit]) + BigInt(fraction);
  return match[1] === '-' ? -units : units;
}

/** Digits after the point as units; undefined when they say more than the unit can. */
function fractionUnits(digits: string, unit: TimeUnit): number | undefined {
  const width = FRACTION_DIGITS[unit];
  if (/[1-9]/.test(digits.slice(width))) return undefined;
  return Number(digits.slice(0, width).padEnd(width, '0'));
}

/** A timestamp that a double holds exactly: `2026-01-31T12:34:56.123456`. The caller adds `Z`. */
export function formatTimestamp(units: number, unit: TimeUnit): string {
  const perDay = UNITS_PER_SECOND[unit] * SECONDS_PER_DAY;
  let days = Math.floor(units / perDay);
  let rest = units - days * perDay;
  // The quotient was rounded, so that a time just before midnight can land on the next day.
  if (rest < 0) {
    days -= 1;
    rest += perDay;
  }
  return `${formatDate(days)}T${timeOfDay(rest, unit)}`;
}

/** Any timestamp of 64 bits. */
export function formatLongTimestamp(units: bigint, unit: TimeUnit): string {
  if (isSafe(units)) return formatTimestamp(Number(units), unit);
  const perDay = BigInt(UNITS_PER_SECOND[unit] * SECONDS_PER_DAY);
  const remainder = units % perDay;
  const rest = remainder < 0n ? remainder + perDay : remainder;
  return `${formatDate(Number((units - rest) / perDay))}T${timeOfDay(Number(rest), unit)}`;
}

/**
 * Units since the epoch, or undefined when the text has another form or is finer than the unit. A column of instants
 * needs `Z` or an offset and one of local times takes neither, since the value would else depend on a guess.
 */
export function parseTimestamp(text: string, unit: TimeUnit, isAdjustedToUTC: boolean): bigint | undefined {
  const match =
    /^([^T]{10,16})T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?$/.exec(
      text,
    );
  if (match === null) return undefined;
  const [, date = '', hours, minutes, seconds, digits = '', zone] = match;
  if ((zone !== undefined) !== isAdjustedToUTC) return undefined;
  const days = parseDate(date);
  const fraction = fractionUnits(digits, unit);
  if (days === undefined || fraction === undefined) return undefined;
  const ofDay = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds) - zoneSeconds(zone);
  return (BigInt(days) * 86_400n + BigInt(ofDay)) * BigInt(UNITS_PER_SECOND[unit]) + BigInt(fraction);
}

function zoneSeconds(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const seconds = Number(zone.slice(1, 3)) * 3600 + Number(zone.slice(4)) * 60;
  return zone.startsWith('-') ? -seconds : seconds;
}

function isSafe(units: bigint): boolean {
  return units >= BigInt(Number.MIN_SAFE_INTEGER) && units <= BigInt(Number.MAX_SAFE_INTEGER);
}
