/** Advice of `inspect` for lookups by a key: what stands in their way, what to do, and what that gains. */

import { formatBytes, rangeLength } from '../core/index.ts';
import { positionsOf, ROWS_A_KEY_MAX, type Snapshot, type TableColumn, type TableKey } from '../table/index.ts';
import type { LookupFigures } from './inspect-lookups.ts';

export interface Advice {
  readonly problem: string;
  readonly advice: string;
  readonly gain: string;
}

export interface LookupReport extends LookupFigures {
  readonly advice: readonly Advice[];
}

/** A page that is fetched and decoded for one value should be no more than this, compressed. */
const PAGE_BYTES_MAX = 128 * 1024;
const PAGE_BYTES_WANTED = 32 * 1024;
/** Neighbours meet at their ends, so that a key there is in two. */
const CLUSTERED_MAX = 2;
const SMALL_FILES_MIN = 500;
const SMALL_FILE_BYTES = 2 ** 20;
const ROW_GROUP_ROWS_MIN = 5_000;
const ROW_GROUPS_MANY = 1_000;
const COLUMNS_NAMED_MAX = 5;

export type CeilingLimits = Readonly<Record<'gets' | 'bytes', number>>;

/** `limits` are those of the server that is to serve it. */
export function adviceFor(
  snapshot: Snapshot,
  by: TableKey,
  figures: LookupFigures,
  limits: CeilingLimits,
): readonly Advice[] {
  return [
    ...aboutIndexes(snapshot, by, figures),
    ...aboutCeiling(figures, limits),
    ...aboutOrder(snapshot, by, figures),
    ...aboutPages(snapshot),
    ...aboutFiles(snapshot, figures),
    ...aboutChecksums(figures),
  ];
}

/** Chunks of the columns in files that can be read. */
function chunksOf({ files }: Snapshot, columns: readonly TableColumn[]) {
  return files.flatMap((file) => {
    if (file.kind !== 'readable') return [];
    const positions = columns.flatMap((column) => positionsOf(file.mapping, column));
    const groups = Array.from({ length: file.file.index.rowGroups }, (_, rowGroup) => rowGroup);
    return groups.flatMap((rowGroup) => positions.map((position) => file.file.chunk(rowGroup, position)));
  });
}

function aboutIndexes(snapshot: Snapshot, by: TableKey, { cold }: LookupFigures): readonly Advice[] {
  const all = chunksOf(snapshot, snapshot.columns);
  const keys = chunksOf(snapshot, by.columns);
  const unindexed = all.filter(({ chunk }) => chunk.offsetIndexRange === undefined);
  if (unindexed.length > 0) {
    const names = [...new Set(unindexed.map(({ chunk }) => chunk.leaf.name))];
    const named = names.slice(0, COLUMNS_NAMED_MAX).join(', ') + (names.length > COLUMNS_NAMED_MAX ? ', ...' : '');
    const bytes =
      cold.allColumns === undefined ? '' : `, which is a part of its ${formatBytes(cold.allColumns.bytes.p50)}`;
    return [
      {
        problem: `no page index: ${unindexed.length} of ${all.length} column chunks have no offset index (${named})`,
        advice: 'rewrite with offset and column index (most writers: write_page_index)',
        gain: `where pages lie comes with the footer; a first lookup then walks no page headers to find them${bytes}`,
      },
    ];
  }
  const unbounded = keys.filter(({ chunk }) => chunk.columnIndexRange === undefined).length;
  if (unbounded === 0) return [];
  return [
    {
      problem: `no column index: ${unbounded} of ${keys.length} chunks of the key say nothing of what their pages hold`,
      advice: 'rewrite with a column index of the key columns',
      gain: 'one key page a lookup in place of all those before the row',
    },
  ];
}

/** Then lookups go to the row by it, whatever the order. */
function isIndexed({ index, rowsOfKey }: LookupFigures): boolean {
  const isThere = index.here !== undefined || (index.mode === 'hash' && index.isBuilt);
  return isThere && rowsOfKey <= ROWS_A_KEY_MAX;
}

/** How to have a server index the key; undefined where that is no help. */
function indexAdvice({ index, rowsOfKey }: LookupFigures): Pick<Advice, 'advice'> | undefined {
  if (rowsOfKey > ROWS_A_KEY_MAX || index.here !== undefined) return undefined;
  const isOff = index.mode === 'none';
  // By `auto` none is built where bounds tell that it is not worth it.
  if (!index.isBuilt && index.fits && !isOff) return undefined;
  const room = index.fits ? '' : `, with room for it: cache.memory or cache.disk of ${formatBytes(8 * index.bytes)}`;
  return { advice: `\`index: ${isOff ? 'hash' : index.mode}\`${room}` };
}

/** A key that has many rows has pages of its own, wherever they lie; in the way are those that it shares. */
function isClustered(depth: Exclude<LookupFigures['depth'], undefined>, columns: number): boolean {
  return depth.sharedRowGroups.mean <= CLUSTERED_MAX && depth.sharedPages.mean <= columns * CLUSTERED_MAX;
}

function aboutOrder(snapshot: Snapshot, by: TableKey, figures: LookupFigures): readonly Advice[] {
  const { key, depth, index, rowsOfKey } = figures;
  if (depth === undefined || isClustered(depth, key.length)) return [];
  if (isIndexed(figures)) return [];
  const problem = `not clustered by ${key.join(', ')}: a key may be in ${depth.pages.p50} key pages of ${depth.rowGroups.p50} row groups, ${formatBytes(depth.bytes.p50)}`;
  const advice = [
    {
      problem,
      advice: `sort by ${key.join(', ')} when writing (pointlake rewrite --key ${key.join(',')})`,
      gain: `about one page of each key column in place of ${depth.pages.p50} pages, and no index is needed`,
    },
  ];
  const indexed = indexAdvice(figures);
  if (indexed !== undefined) {
    advice.push({
      problem,
      advice: `or add a key index: ${indexed.advice}`,
      gain: `no key page but those of its rows, for ${formatBytes(index.bytes)} of memory`,
    });
  }
  const unfiltered = chunksOf(snapshot, by.columns).filter(({ chunk }) => chunk.bloomFilterRange === undefined).length;
  // A filter passes over no row group that has the key.
  if (unfiltered > 0 && depth.rowGroups.p50 > Math.max(CLUSTERED_MAX, rowsOfKey)) {
    advice.push({
      problem,
      advice: 'or write bloom filters of the key',
      gain: `most of ${depth.rowGroups.p50} row groups are passed over, once their filters are in memory`,
    });
  }
  return advice;
}

/** What the server would refuse. */
function aboutCeiling(figures: LookupFigures, { gets, bytes }: CeilingLimits): readonly Advice[] {
  const { key, search } = figures;
  if (search === undefined || (search.gets.max <= gets && search.bytes.max <= bytes)) return [];
  if (isIndexed(figures)) return [];
  const problem = `finding a key by ${key.join(', ')} may take ${search.gets.p50} GETs of ${formatBytes(search.bytes.p50)}, up to ${search.gets.max} of ${formatBytes(search.bytes.max)}: above limits.gets (${gets}) or limits.bytes (${formatBytes(bytes)})`;
  const gain = 'lookups are answered, in place of 422 plan_too_expensive';
  const raise = { problem, advice: 'raise limits.gets and limits.bytes', gain: `${gain}, however long they take` };
  const indexed = indexAdvice(figures);
  if (indexed === undefined) return [raise];
  return [
    {
      problem,
      advice: `let the server index it: ${indexed.advice}`,
      gain: `${gain}; 503 indexing until it is built`,
    },
    raise,
  ];
}

/** The columns whose pages are largest, the largest first. */
function aboutPages(snapshot: Snapshot): readonly Advice[] {
  const large = snapshot.columns.flatMap((column) => {
    const pages = chunksOf(snapshot, [column]).flatMap(({ layout }) => {
      const { locations } = layout ?? {};
      if (locations === undefined) return [];
      return Array.from({ length: locations.pages }, (_, page) => ({
        bytes: rangeLength(locations.range(page)),
        rows: locations.rowEnd(page) - locations.firstRow(page),
      }));
    });
    pages.sort((a, b) => a.bytes - b.bytes);
    const median = pages[pages.length >> 1];
    // A page of one row cannot be cut.
    return median === undefined || median.bytes <= PAGE_BYTES_MAX || median.rows <= 1 ? [] : [{ column, ...median }];
  });
  large.sort((a, b) => b.bytes - a.bytes);
  return large.slice(0, COLUMNS_NAMED_MAX).map(({ column, bytes, rows }) => {
    const wanted = Math.max(1, 2 ** Math.floor(Math.log2((rows * PAGE_BYTES_WANTED) / bytes)));
    return {
      problem: `large pages: those of ${column.name} have ${rows} rows and ${formatBytes(bytes)}, fetched and decoded whole for one value`,
      advice: `rewrite with pages of ${wanted} rows`,
      gain: `${formatBytes((bytes * wanted) / rows)} in place of ${formatBytes(bytes)} for its value in a cold lookup`,
    };
  });
}

function aboutFiles({ files, rows }: Snapshot, { metadataBytes }: LookupFigures): readonly Advice[] {
  const readable = files.filter((file) => file.kind === 'readable');
  const rowGroups = readable.reduce((sum, { file }) => sum + file.index.rowGroups, 0);
  const bytes = readable.reduce((sum, { file }) => sum + file.object.sizeBytes, 0);
  const advice: Advice[] = [];
  if (readable.length >= SMALL_FILES_MIN && bytes / readable.length < SMALL_FILE_BYTES) {
    advice.push({
      problem: `many small files: ${readable.length} of ${formatBytes(bytes / readable.length)} on average`,
      advice: 'join them into files of 100 MB and more',
      gain: `a start by ${Math.ceil(bytes / (100 * 2 ** 20))} GETs or so in place of ${readable.length}`,
    });
  }
  if (rowGroups >= ROW_GROUPS_MANY && rows / rowGroups < ROW_GROUP_ROWS_MIN) {
    advice.push({
      problem: `small row groups: ${rowGroups} of ${Math.round(rows / rowGroups)} rows on average`,
      advice: 'write row groups of 100000 rows and more',
      gain: `a small part of the ${formatBytes(metadataBytes)} of memory that metadata takes now`,
    });
  }
  const [only] = readable;
  if (
    rowGroups === 1 &&
    only !== undefined &&
    rows > 10 * 100_000 &&
    only.file.index.chunk(0, 0).offsetIndexRange === undefined
  ) {
    advice.push({
      problem: `one row group of ${rows} rows, without a page index: nothing is ruled out`,
      advice: 'write row groups of 100000 rows',
      gain: `${Math.ceil(rows / 100_000)} row groups, of which bounds leave one where it is sorted`,
    });
  }
  return advice;
}

function aboutChecksums({ checksums }: LookupFigures): readonly Advice[] {
  if (checksums.pages === 0 || checksums.withCrc === checksums.pages) return [];
  return [
    {
      problem: 'no page checksums (CRC)',
      advice: 'have the writer make them',
      gain: 'a damaged page is refused, where it might else decode to wrong values',
    },
  ];
}
