/**
 * What a lookup by a key takes in this table: the part of `inspect` for a named key.
 *
 * Depths are told from bounds alone, for keys of rows all over the table. What a cold lookup asks of S3 is told by going
 * through some with the lookup's own code. Local files are treated as if they lay in S3.
 */

import { rangeLength } from '../core/index.ts';
import { decodePageHeader } from '../parquet/index.ts';
import { type ColdCost, type PageLoader, Rehearsals, type SampledRow, sampledRows } from '../shard/index.ts';
import {
  chooseIndex,
  coldSearchCost,
  type IndexMode,
  keyDepth,
  positionsOf,
  type Snapshot,
  type TableColumn,
  type TableKey,
} from '../table/index.ts';
import type { BuiltIndex } from './inspect-index.ts';

const REHEARSALS_MAX = 24;
/** Bytes of a page in which its header is looked for. */
const HEADER_BYTES = 4096;
const CHECKSUM_PAGES_MAX = 8;
/** As the key index measures itself: see the key index in docs/configuration.md. */
const INDEX_BYTES_A_KEY = 9.05;

/** Of the sampled keys. */
export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface LookupFigures {
  readonly key: readonly string[];
  /** Of a named key of a configuration. */
  readonly name?: string;
  readonly sampledKeys: number;
  /** What may hold a key, by bounds alone; `bytes` are those of `pages`, which are of the key columns. */
  readonly depth: Readonly<Record<'files' | 'rowGroups' | 'pages' | 'bytes', Spread>> | undefined;
  readonly cold: {
    /** Lookups gone through for each. */
    readonly lookups: number;
    readonly allColumns: ColdReport | undefined;
    readonly keyOnly: ColdReport | undefined;
  };
  /** What finding a key may take without a key index, which is what one takes that is not there. */
  readonly search: Readonly<Record<'gets' | 'bytes', Spread>> | undefined;
  readonly index: {
    /** As it is configured, or `auto`. */
    readonly mode: IndexMode;
    /** Whether a server builds one. */
    readonly isBuilt: boolean;
    readonly reason: string;
    /** What it takes in memory, as foretold. */
    readonly bytes: number;
    /** Where one was built to be looked at: what it really takes, and what lookups then cost. */
    readonly here?: IndexInPlace;
  };
  /** Of the pages whose header was looked at, how many have a CRC. */
  readonly checksums: { readonly pages: number; readonly withCrc: number };
  /** Of all footers, and of the page locations and bounds that were read of them. */
  readonly metadataBytes: number;
}

export interface IndexInPlace extends Pick<BuiltIndex, 'bytes' | 'keys' | 'runs' | 'filesIndexed' | 'files'> {
  readonly allColumns: ColdReport | undefined;
  readonly keyOnly: ColdReport | undefined;
}

export type ColdReport = Readonly<Record<'roundTrips' | 'gets' | 'bytes', Spread>>;

export interface InspectedKey {
  readonly loader: PageLoader;
  readonly snapshot: Snapshot;
  readonly by: TableKey;
  readonly mode: IndexMode;
}

/**
 * Begun before anything is read of the snapshot, so that cold is what its opening left. `findPages` reads what the rest is
 * told from, `buildIndex` is there where an index is to be built and looked at.
 */
export async function inspectLookups(
  { loader, snapshot, by, mode }: InspectedKey,
  findPages: () => Promise<void>,
  buildIndex?: () => Promise<BuiltIndex>,
): Promise<LookupFigures> {
  const signal = new AbortController().signal;
  const rehearsals = new Rehearsals(loader, snapshot, by);
  // Made now too: what is read from here on is no longer cold.
  const indexed = buildIndex && new Rehearsals(loader, snapshot, by);
  const rows = await sampledRows(loader, snapshot, by, signal);
  const some = evenly(rows, REHEARSALS_MAX);
  const cold = { lookups: some.length, ...(await coldLookups(rehearsals, snapshot, by, some, signal)) };
  const built = await buildIndex?.();
  if (built !== undefined) indexed?.goBy(built.view);
  const here = built && indexed && (await coldLookups(indexed, snapshot, by, some, signal));
  await findPages();
  const depths = rows.map(({ key }) => keyDepth(snapshot, by, key));
  const choice = chooseIndex(snapshot, by, mode);
  return {
    key: by.columns.map(({ name }) => name),
    ...(by.name !== undefined && { name: by.name }),
    sampledKeys: rows.length,
    depth: spreads(depths, ['files', 'rowGroups', 'pages', 'bytes']),
    cold,
    search: spreads(
      rows.map(({ key }) => coldSearchCost(snapshot, by, key)),
      ['gets', 'bytes'],
    ),
    index: {
      mode,
      isBuilt: choice.isWanted,
      reason: choice.reason,
      bytes: Math.round(snapshot.rows * INDEX_BYTES_A_KEY),
      ...(built && here && { here: { ...figuresOf(built), ...here } }),
    },
    checksums: await checksumsOf(snapshot, by.columns, signal),
    metadataBytes: snapshot.files.reduce(
      (sum, file) => sum + (file.kind === 'readable' ? file.file.metadataBytes : 0),
      0,
    ),
  };
}

async function coldLookups(
  rehearsals: Rehearsals,
  snapshot: Snapshot,
  by: TableKey,
  rows: readonly SampledRow[],
  signal: AbortSignal,
): Promise<Pick<LookupFigures['cold'], 'allColumns' | 'keyOnly'>> {
  const rehearsed = async (columns: readonly TableColumn[]): Promise<ColdReport | undefined> => {
    const costs: ColdCost[] = [];
    for (const row of rows) {
      const cost = await rehearsals.lookup(row, columns, signal);
      if (cost !== undefined) costs.push(cost);
    }
    return spreads(costs, ['roundTrips', 'gets', 'bytes']);
  };
  const all = snapshot.columns.filter(({ unsupported }) => unsupported === undefined);
  return { allColumns: await rehearsed(all), keyOnly: await rehearsed(by.columns) };
}

function figuresOf({ bytes, keys, runs, filesIndexed, files }: BuiltIndex) {
  return { bytes, keys, runs, filesIndexed, files };
}

function evenly(rows: readonly SampledRow[], max: number): readonly SampledRow[] {
  const count = Math.min(max, rows.length);
  return Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]).filter(
    (row) => row !== undefined,
  );
}

function spreads<Name extends string>(
  samples: readonly Readonly<Record<Name, number>>[],
  names: readonly Name[],
): Readonly<Record<Name, Spread>> | undefined {
  if (samples.length === 0) return undefined;
  const entries = names.map((name) => [name, spreadOf(samples.map((sample) => sample[name]))] as const);
  return Object.fromEntries(entries) as Record<Name, Spread>;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / Math.max(1, sorted.length);
  return { mean: Math.round(mean * 100) / 100, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** Of the first page of the key's chunks in some row groups: a writer gives all pages a CRC or none. */
async function checksumsOf(
  { files }: Snapshot,
  columns: readonly TableColumn[],
  signal: AbortSignal,
): Promise<LookupFigures['checksums']> {
  const checksums = { pages: 0, withCrc: 0 };
  for (const file of files) {
    if (file.kind !== 'readable') continue;
    const positions = columns.flatMap((column) => positionsOf(file.mapping, column));
    for (let rowGroup = 0; rowGroup < file.file.index.rowGroups; rowGroup++) {
      for (const position of positions) {
        if (checksums.pages >= CHECKSUM_PAGES_MAX) return checksums;
        const locations = file.file.chunk(rowGroup, position).layout?.locations;
        if (locations === undefined || locations.pages === 0) continue;
        const page = locations.range(0);
        const range = { start: page.start, end: page.start + Math.min(HEADER_BYTES, rangeLength(page)) };
        const header = decodePageHeader(await file.file.store.getRange(file.file.object, range, { signal }), 0);
        if (header === 'needs_more') continue;
        checksums.pages += 1;
        if (header.crc !== undefined) checksums.withCrc += 1;
      }
    }
  }
  return checksums;
}
