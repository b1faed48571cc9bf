/**
 * Rows from all over a table with their keys: some from each of some pages, spread evenly over its rows. The pages of the
 * key columns are read, and of few pages several rows are taken, since those cost nothing more.
 */

import { asServiceError, rangeLength } from '../core/index.ts';
import { folderValue, type Need, Pins, type Snapshot, type TableKey, tableValueAt } from '../table/index.ts';
import type { PageLoader } from './page-loader.ts';
import type { SampledRow } from './rehearsal.ts';

const PAGES_MAX = 64;
const ROWS_A_PAGE = 4;
/** Of pages as they are stored; a table of very large pages is told from fewer of them. */
const BYTES_MAX = 64 * 2 ** 20;

/** Rows whose key is null, or cannot be read, are left out. */
export async function sampledRows(
  loader: PageLoader,
  snapshot: Snapshot,
  by: TableKey,
  signal: AbortSignal,
): Promise<readonly SampledRow[]> {
  const total = snapshot.rows;
  const sampled = new Map<string, SampledRow>();
  const pages = Math.min(PAGES_MAX, total);
  let bytesLeft = BYTES_MAX;
  // In an order that has seen the whole table evenly whenever it stops.
  for (const at of spread(pages)) {
    if (bytesLeft <= 0) break;
    const place = placeOf(snapshot, Math.floor(((at + 0.5) * total) / pages));
    if (place === undefined) continue;
    const read = await keysBeside(loader, snapshot, by, place, signal);
    bytesLeft -= read.bytes;
    for (const row of read.rows) sampled.set(`${row.file} ${row.rowGroup} ${row.row}`, row);
  }
  return [...sampled.values()];
}

/** 0 to n - 1, each about half way between others before it. */
function* spread(n: number): Iterable<number> {
  const bits = Math.ceil(Math.log2(Math.max(1, n)));
  for (let i = 0; i < 2 ** bits; i++) {
    let reversed = 0;
    for (let bit = 0; bit < bits; bit++) if ((i & (1 << bit)) !== 0) reversed |= 1 << (bits - 1 - bit);
    if (reversed < n) yield reversed;
  }
}

interface Place {
  readonly file: number;
  readonly rowGroup: number;
  readonly row: number;
}

function placeOf({ files }: Snapshot, row: number): Place | undefined {
  let left = row;
  for (const [ordinal, file] of files.entries()) {
    if (file.kind !== 'readable') continue;
    const { index } = file.file;
    if (left < index.rows) {
      const rowGroup = index.rowGroupOf(left);
      return { file: ordinal, rowGroup, row: left - index.rowGroupFirstRow(rowGroup) };
    }
    left -= index.rows;
  }
  return undefined;
}

/** Of rows of the smallest of the key pages that the row lies in. */
async function keysBeside(
  loader: PageLoader,
  snapshot: Snapshot,
  by: TableKey,
  { file: ordinal, rowGroup, row }: Place,
  signal: AbortSignal,
): Promise<{ readonly rows: readonly SampledRow[]; readonly bytes: number }> {
  const file = snapshot.files[ordinal];
  const nothing = { rows: [], bytes: 0 };
  if (file?.kind !== 'readable') return nothing;
  const { positions } = by.in(file.mapping);
  if (positions === undefined) return nothing;
  const pins = new Pins();
  const needs: Need[] = [];
  let [from, to] = [0, file.file.index.rowGroupRows(rowGroup)];
  let bytes = 0;
  try {
    for (const position of positions) {
      const chunk = file.file.chunk(rowGroup, position);
      await loader.layout(file.file, chunk, signal);
      const locations = chunk.layout?.locations;
      if (locations === undefined) return nothing;
      const page = locations.pageOf(row);
      [from, to] = [Math.max(from, locations.firstRow(page)), Math.min(to, locations.rowEnd(page))];
      bytes += rangeLength(locations.range(page));
      needs.push({ kind: 'page', file: file.file, chunk, page, row });
    }
    if ((await loader.load(needs, pins, signal)).length > 0) return { rows: [], bytes };
  } catch (thrown) {
    const { kind } = asServiceError(thrown);
    if (kind === 'corrupt' || kind === 'unsupported') return { rows: [], bytes };
    throw thrown;
  }
  const keyAt = (at: number): SampledRow | undefined => {
    const key: SampledRow['key'][number][] = [];
    for (const column of by.columns) {
      const position = file.leafPositions[column.ordinal] ?? -1;
      const inFolder = position < 0 ? folderValue(file, column)?.key : undefined;
      const block = position < 0 ? undefined : file.file.chunk(rowGroup, position).at(at, pins);
      if (inFolder !== undefined) key.push(inFolder);
      else if (block === undefined || block.block.isNull(at - block.firstRow)) return undefined;
      else key.push(tableValueAt(file.mapping, file.file.index.schema, column, block.block, at - block.firstRow));
    }
    return { file: ordinal, rowGroup, row: at, key };
  };
  const rows: SampledRow[] = [];
  for (let i = 0; i < ROWS_A_PAGE; i++) {
    const sampled = keyAt(from + Math.floor(((i + 0.5) * (to - from)) / ROWS_A_PAGE));
    if (sampled !== undefined) rows.push(sampled);
  }
  return { rows, bytes };
}
