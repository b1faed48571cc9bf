/**
 * A plain full read through the same decoders that serve lookups.
 *
 * Rows come in order, a stretch at a time: the rows up to the nearest end of a block among the columns read. Only the
 * pages under the cursor are held, so a scan needs little memory whatever the file's size.
 */

import { ServiceError } from '../core/index.ts';
import {
  type BlockAt,
  NESTED,
  type Need,
  Pins,
  positionsOf,
  type Snapshot,
  type SnapshotReadableFile,
  type TableColumn,
} from '../table/index.ts';
import type { PageLoader } from './page-loader.ts';

/** Rows `[start, end)` of one row group; for each column the blocks that hold them all. */
export interface Stretch {
  readonly file: SnapshotReadableFile;
  readonly rowGroup: number;
  readonly start: number;
  readonly end: number;
  /** Undefined where the file lacks the column, where it is nested, and where it is a partition's. */
  readonly blocks: readonly (BlockAt | undefined)[];
  /** For each nested column that the file has, a block of each of its leaves. */
  readonly nested: readonly (readonly BlockAt[] | undefined)[];
}

interface ColumnBlocks {
  readonly blocks: readonly (BlockAt | undefined)[];
  readonly nested: readonly (readonly BlockAt[] | undefined)[];
}

/**
 * Every row of the snapshot's files that are wanted, for these columns. Throws the fault of the first file or page that
 * cannot be read.
 */
export async function* scan(
  loader: PageLoader,
  snapshot: Snapshot,
  columns: readonly TableColumn[],
  signal: AbortSignal,
  wanted: (file: SnapshotReadableFile) => boolean = () => true,
): AsyncGenerator<Stretch, void> {
  for (const file of snapshot.files) {
    if (file.kind === 'broken') throw file.error;
    if (!wanted(file)) continue;
    for (let rowGroup = 0; rowGroup < file.file.index.rowGroups; rowGroup++) {
      yield* scanRowGroup(loader, file, rowGroup, columns, signal);
    }
  }
}

async function* scanRowGroup(
  loader: PageLoader,
  file: SnapshotReadableFile,
  rowGroup: number,
  columns: readonly TableColumn[],
  signal: AbortSignal,
): AsyncGenerator<Stretch, void> {
  const rows = file.file.index.rowGroupRows(rowGroup);
  const pins = new Pins();
  for (let row = 0; row < rows; ) {
    const { blocks, nested } = await blocksAt(loader, file, rowGroup, row, columns, pins, signal);
    const ends = [...blocks, ...nested.flat()].map((at) => (at === undefined ? rows : at.firstRow + at.block.rows));
    const end = Math.min(rows, ...ends);
    if (end <= row) throw new ServiceError('internal', 'internal', 'a block does not hold the row it was found by');
    yield { file, rowGroup, start: row, end, blocks, nested };
    row = end;
  }
}

async function blocksAt(
  loader: PageLoader,
  file: SnapshotReadableFile,
  rowGroup: number,
  row: number,
  columns: readonly TableColumn[],
  pins: Pins,
  signal: AbortSignal,
): Promise<ColumnBlocks> {
  for (;;) {
    const needs: Need[] = [];
    const blockAt = (position: number): BlockAt | undefined => {
      const chunk = file.file.chunk(rowGroup, position);
      const at = chunk.hold(row, pins);
      if (at !== undefined) return at;
      const layout = chunk.layout;
      if (layout === undefined) needs.push({ kind: 'layout', file: file.file, chunk });
      else needs.push({ kind: 'page', file: file.file, chunk, page: layout.locations.pageOf(row), row });
      return undefined;
    };
    const isNested = columns.map((column) => file.leafPositions[column.ordinal] === NESTED);
    const found = columns.map((column) => positionsOf(file.mapping, column).map(blockAt));
    if (needs.length === 0) {
      const whole = found as BlockAt[][];
      return {
        blocks: whole.map((leaves, i) => (isNested[i] ? undefined : leaves[0])),
        nested: whole.map((leaves, i) => (isNested[i] ? leaves : undefined)),
      };
    }
    // The pages of these chunks that were held lie behind the cursor.
    for (const need of needs) pins.delete(need.chunk);
    const [failed] = await loader.load(needs, pins, signal);
    if (failed !== undefined) throw failed.error;
  }
}
