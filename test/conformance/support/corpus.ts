/**
 * The format's own conformance files, each read by the product and by every other reader at hand, value by value.
 *
 * `measure` only observes; what is expected of each file, and why readers disagree, is in `rules.ts`.
 */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { asServiceError, type ErrorKind } from '../../../src/core/index.ts';
import type { NodeOptions } from '../../../src/main.ts';
import { arrowColumns } from './arrow-oracle.ts';
import { documentedColumns } from './documented-oracle.ts';
import { duckdbColumns } from './duckdb-oracle.ts';
import { difference, type Expected, type ExpectedColumns } from './expected.ts';
import { halfColumns, hyparquetColumns, metadataOf } from './hyparquet-oracle.ts';
import { JSON_FORM, type OpenedTable, scannedRows, withTable } from './product.ts';

const CORPUS = fileURLToPath(new URL('../../../../shared/corpus/parquet-testing/', import.meta.url));

export const ORACLES = ['DuckDB', 'parquet-wasm', 'hyparquet', 'documented'] as const;
export type OracleName = (typeof ORACLES)[number];

/** How one oracle stands to our answer. `flat` is same in every flat column, where the file has nested ones too. */
export type Agreement =
  | { readonly kind: 'same' | 'flat' }
  | { readonly kind: 'differs'; readonly columns: readonly string[]; readonly example: string }
  | { readonly kind: 'fails'; readonly message: string };

export type Outcome =
  | {
      readonly kind: 'read';
      readonly rows: number;
      readonly columns: number;
      readonly agreements: ReadonlyMap<OracleName, Agreement>;
    }
  | { readonly kind: 'refused'; readonly error: ErrorKind; readonly code: string; readonly message: string };

export function hasCorpus(): boolean {
  return existsSync(`${CORPUS}data`);
}

/** What a checkout without the corpus is told; CI has it. */
export const NO_CORPUS = `the conformance files are not at ${CORPUS}: nothing was compared`;

/** Of thousands of pages each: these take longer than all others together, so that a short run takes a part of them. */
export const MANY_PAGES: readonly string[] = [
  'data/overflow_i16_page_cnt.parquet',
  'data/alltypes_tiny_pages.parquet',
  'data/alltypes_tiny_pages_plain.parquet',
];

export function pathOf(name: string): string {
  return CORPUS + name;
}

export function isParquet(name: string): boolean {
  return /\.parquet(\.encrypted)?$/.test(name);
}

/** Every entry below `data/` and `bad_data/` that is no folder, as `data/x`, in order. */
export function corpusEntries(): readonly string[] {
  return ['data', 'bad_data'].flatMap((folder) =>
    readdirSync(CORPUS + folder, { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name}`)
      .filter((name) => !statSync(CORPUS + name).isDirectory())
      .sort(),
  );
}

/** The JSON texts of a file's columns, or the error that the product refuses it with. */
async function ourColumns(
  path: string,
  options: Partial<NodeOptions>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const read = async (table: OpenedTable) => {
    const projection = table.snapshot.projection(undefined, JSON_FORM);
    const columns = new Map<string, string[]>(projection.columns.map((column) => [column.name, []]));
    for await (const values of scannedRows(table, projection)) {
      for (const [i, column] of projection.columns.entries()) columns.get(column.name)?.push(values[i] ?? '');
    }
    return columns;
  };
  return withTable(path, [], read, options);
}

export async function measure(path: string, options: Partial<NodeOptions> = {}): Promise<Outcome> {
  let ours: ReadonlyMap<string, readonly string[]>;
  try {
    ours = await ourColumns(path, options);
  } catch (thrown) {
    const { kind, code, message } = asServiceError(thrown);
    return { kind: 'refused', error: kind, code, message };
  }
  const agreements = new Map<OracleName, Agreement>();
  for (const oracle of ORACLES) {
    const agreement = await agreementWith(oracle, path, ours);
    if (agreement !== undefined) agreements.set(oracle, agreement);
  }
  const [first = []] = ours.values();
  return { kind: 'read', rows: first.length, columns: ours.size, agreements };
}

async function agreementWith(
  oracle: OracleName,
  path: string,
  ours: ReadonlyMap<string, readonly string[]>,
): Promise<Agreement | undefined> {
  let theirs: ExpectedColumns | undefined;
  try {
    theirs = await columnsBy(oracle, path, [...ours.keys()]);
  } catch (thrown) {
    return { kind: 'fails', message: String((thrown as Error).message ?? thrown).split('\n')[0] ?? '' };
  }
  if (theirs === undefined) return undefined;
  const differing: string[] = [];
  let example = '';
  let compared = 0;
  for (const [column, texts] of ours) {
    const values = theirs.get(column);
    if (values === undefined && oracle === 'hyparquet') continue;
    compared += 1;
    const found = firstDifference(texts, values ?? []);
    if (found === undefined) continue;
    differing.push(column);
    example ||= `${column} ${found}`;
  }
  if (differing.length > 0) return { kind: 'differs', columns: differing, example };
  if (compared === 0) return undefined;
  return { kind: compared === ours.size ? 'same' : 'flat' };
}

function firstDifference(texts: readonly string[], values: readonly Expected[]): string | undefined {
  if (texts.length !== values.length) return `has ${texts.length} rows, there ${values.length}`;
  for (const [row, text] of texts.entries()) {
    const found = difference(text, values[row] ?? null);
    if (found !== undefined) return `row ${row} ${found}`;
  }
  return undefined;
}

async function columnsBy(
  oracle: OracleName,
  path: string,
  columns: readonly string[],
): Promise<ExpectedColumns | undefined> {
  const bytes = new Uint8Array(readFileSync(path));
  switch (oracle) {
    case 'DuckDB':
      return duckdbColumns(path, halfColumns(metadataOf(bytes)));
    case 'parquet-wasm':
      return arrowColumns(bytes);
    case 'hyparquet':
      return hyparquetColumns(bytes);
    case 'documented':
      return documentedColumns(path, columns);
  }
}
