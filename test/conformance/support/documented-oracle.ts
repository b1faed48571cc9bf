/** What the corpus itself says a file holds: a CSV beside it, or the values of its description. */

import { existsSync, readFileSync } from 'node:fs';
import { Cell, type ExpectedColumns, Instant } from './expected.ts';

/** int96_from_spark.md lists microseconds since the epoch. */
const INT96_FROM_SPARK = [
  1704141296123456n,
  1704070800000000n,
  253402225200000000n,
  1735599600000000n,
  null,
  9089380393200000000n,
];

/** Undefined where nothing beside the file says what is in it. CSV columns are taken by position: some names differ. */
export function documentedColumns(path: string, names: readonly string[]): ExpectedColumns | undefined {
  if (path.endsWith('/int96_from_spark.parquet')) {
    const values = INT96_FROM_SPARK.map((micros) => (micros === null ? null : new Instant(micros * 1000n, false, 9)));
    return new Map([['a', values]]);
  }
  const csv = path.replace(/\.parquet$/, '_expect.csv');
  if (!existsSync(csv)) return undefined;
  const [header = [], ...rows] = parseCsv(readFileSync(csv, 'utf8'));
  if (header.length !== names.length) throw new Error(`${csv} has ${header.length} columns, the file ${names.length}`);
  return new Map(names.map((name, i) => [name, rows.map((row) => new Cell(row[i] ?? ''))]));
}

function parseCsv(text: string): string[][] {
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  return lines.map((line) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '',
    ),
  );
}
