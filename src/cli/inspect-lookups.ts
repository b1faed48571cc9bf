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
  coldSearchCost,
  type IndexMode,
  keyDepth,
  positionsOf,
  type Snapshot,
  type TableColumn,
  type TableKey,
} from '../table/index.ts';
import { type BuiltIndex, type ForetoldIndex, foretellIndex } from './inspect-index.ts';
import type { IndexRoom } from './one-table.ts';

const REHEARSALS_MAX = 24;
/** Bytes of a page in which its header is looked for. */
const HEADER_BYTES = 4096;
const CHECKSUM_PAGES_MAX = 8;

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
  /** About how many rows have the key of a row, by a sample: too few where they lie side by side, 1 where none is seen. */
  readonly rowsOfKey: number;
  /**
   * What may hold a key, by bounds alone; `bytes` are those of `pages`, which are of the key columns, and shared is what may
   * hold other keys too.
   */
  readonly depth:
    | Readonly<Record<'files' | 'rowGroups' | 'pages' | 'bytes' | 'sharedRowGroups' | 'sharedPages', Spread>>
    | undefined;
  readonly cold: {
    /** Lookups gone through for each. */
    readonly lookups: number;
    readonly allColumns: ColdReport | undefined;
    /** Where the configuration names them: what a request that names none is answered. */
    readonly defaultColumns?: ColdReport | undefined;
    readonly keyOnly: ColdReport | undefined;
  };
  /** What finding a key may take without a key index, which is what one takes that is not there. */
  readonly search: Readonly<Record<'gets' | 'bytes', Spread>> | undefined;
  readonly index: ForetoldIndex & {
    /** Where one was built to be looked at: what it really takes, and what lookups then cost. */
    readonly here?: IndexInPlace;
  };
  /** Of the pages whose header was looked at, how many have a CRC. */
  readonly checksums: { readonly pages: number; readonly withCrc: number };
  /** Of all footers, and of the page locations and bounds that were read of them. */
  readonly metadataBytes: number;
}

export interface IndexInPlace
  extends Pick<BuiltIndex, 'bytes' | 'keys' | 'duplicates' | 'runs' | 'filesIndexed' | 'files'> {
  readonly allColumns: ColdReport | undefined;
  readonly defaultColumns?: ColdReport | undefined;
  readonly keyOnly: ColdReport | undefined;
}

export type ColdReport = Readonly<Record<'roundTrips' | 'gets' | 'bytes', Spread>>;

export interface InspectedKey {
  readonly loader: PageLoader;
  readonly snapshot: Snapshot;
  readonly by: TableKey;
  readonly mode: IndexMode;
  readonly room: IndexRoom;
}

/**
 * Begun before anything is read of the snapshot, so that cold is what its opening left. `findPages` reads what the rest is
 * told from, `buildIndex` is there where an index is to be built and looked at.
 */
export async function inspectLookups(
  { loader, snapshot, by, mode, room }: InspectedKey,
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
  return {
    key: by.columns.map(({ name }) => name),
    ...(by.name !== undefined && { name: by.name }),
    sampledKeys: rows.length,
    rowsOfKey: rowsOfKey(snapshot, rows),
    depth: spreads(depths, ['files', 'rowGroups', 'pages', 'bytes', 'sharedRowGroups', 'sharedPages']),
    cold,
    search: spreads(
      rows.map(({ key }) => coldSearchCost(snapshot, by, key)),
      ['gets', 'bytes'],
    ),
    index: {
      ...foretellIndex(snapshot, by, mode, room),
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
): Promise<Omit<LookupFigures['cold'], 'lookups'>> {
  const rehearsed = async (columns: readonly TableColumn[]): Promise<ColdReport | undefined> => {
    const costs: ColdCost[] = [];
    for (const row of rows) {
      const cost = await rehearsals.lookup(row, columns, signal);
      if (cost !== undefined) costs.push(cost);
    }
    return spreads(costs, ['roundTrips', 'gets', 'bytes']);
  };
  const all = snapshot.columns.filter(({ unsupported }) => unsupported === undefined);
  const byDefault = snapshot.definition.defaultColumns && snapshot.projection(undefined).columns;
  return {
    allColumns: await rehearsed(all),
    ...(byDefault && { defaultColumns: await rehearsed(byDefault) }),
    keyOnly: await rehearsed(by.columns),
  };
}

function figuresOf({ view: _, ...figures }: BuiltIndex) {
  return figures;
}

/**
 * By how many of the sampled pairs agree in it. Rows were taken from places all over the table, several from each; those
 * of one place lie nearer to each other than chance would have them, and in a file that is clustered agree more often.
 */
function rowsOfKey(snapshot: Snapshot, rows: readonly SampledRow[]): number {
  const texts = rows.map(({ key }) => key.map((part) => `${typeof part} ${part}`).join('/'));
  const near = snapshot.rows / (2 * rows.length);
  const isNear = (a: SampledRow, b: SampledRow) =>
    a.file === b.file && a.rowGroup === b.rowGroup && Math.abs(a.row - b.row) < near;
  let pairs = 0;
  let alike = 0;
  for (const [i, a] of rows.entries()) {
    for (let j = i + 1; j < rows.length; j++) {
      const b = rows[j];
      if (b === undefined || isNear(a, b)) continue;
      pairs += 1;
      if (texts[i] === texts[j]) alike += 1;
    }
  }
  return Math.max(1, Math.round((snapshot.rows * alike) / Math.max(1, pairs)));
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
