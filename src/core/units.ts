/** Sizes and durations as people write them in configuration files and flags. */

import { ServiceError } from './errors.ts';

const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 };

/** `64MiB`, `4 GiB`, `1000` (bytes) to bytes. */
export function parseByteSize(text: string | number): number {
  return parseUnit(text, SIZE_UNITS, 'b', 'a size such as 64MiB or 4GiB');
}

/** `500ms`, `60s`, `5m`, `1000` (milliseconds) to milliseconds. */
export function parseDuration(text: string | number): number {
  return parseUnit(text, DURATION_UNITS, 'ms', 'a duration such as 500ms, 60s or 5m');
}

function parseUnit(text: string | number, units: Readonly<Record<string, number>>, plain: string, expected: string) {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*$/i.exec(String(text));
  const factor = match && units[(match[2] || plain).toLowerCase()];
  const value = match && factor !== undefined ? Number(match[1]) * (factor ?? 0) : Number.NaN;
  if (!Number.isSafeInteger(Math.round(value))) {
    throw new ServiceError('invalid', 'invalid_unit', `expected ${expected}, got ${JSON.stringify(text)}`);
  }
  return Math.round(value);
}

/** Bytes for people: `13.5 MB`. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < names.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${names[unit]}`;
}
