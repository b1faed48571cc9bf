/**
 * What a preload has to bring, before any of it is read: the row groups that may hold its keys, the columns, and what
 * they will take, by what is known already. Nothing is read to make a plan, so that its figures are at most's: a row
 * group whose pages are not known counts whole.
 */

import { assert, rangeLength } from '../core/index.ts';
import type { ColumnChunk, KeyValue } from '../parquet/index.ts';
import {
  type ChunkBlocks,
  type PreloadRequest,
  parseKeyText,
  positionsOf,
  type Snapshot,
  type SnapshotReadableFile,
  type TableColumn,
} from '../table/index.ts';

/** The chunks of one row group. */
export interface PreloadUnit {
  readonly file: SnapshotReadableFile;
  readonly rowGroup: number;
  /** Of the leaves, in the file. */
  readonly positions: readonly number[];
  /** As they lie in the file, at most. */
  readonly bytes: number;
}

export interface PreloadPlan {
  readonly units: readonly PreloadUnit[];
  /** Values of the first key column between which keys are wanted, both included. */
  readonly range: KeyRange | undefined;
  readonly chunks: number;
  /** To be read from storage, at most. */
  readonly bytes: number;
  /** What the decoded blocks will take, about. */
  readonly decodedBytes: number;
}

export interface KeyRange {
  readonly low: KeyValue | undefined;
  readonly high: KeyValue | undefined;
}

/** Row groups planned between two turns of the event loop. */
const UNITS_A_TURN = 256;

/** Plans these files of the snapshot. Throws `unknown_column` and `bad_key`. */
export async function planPreload(
  snapshot: Snapshot,
  request: PreloadRequest,
  files: readonly SnapshotReadableFile[],
): Promise<PreloadPlan> {
  const columns = columnsOf(snapshot, request);
  const range = rangeOf(snapshot, request);
  const units: PreloadUnit[] = [];
  const total = { chunks: 0, bytes: 0, decodedBytes: 0 };
  let planned = 0;
  for (const file of files) {
    const positions = [...new Set(columns.flatMap((column) => positionsOf(file.mapping, column)))];
    for (let rowGroup = 0; positions.length > 0 && rowGroup < file.file.index.rowGroups; rowGroup++) {
      planned += 1;
      if (planned % UNITS_A_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      if (!mayHold(file, rowGroup, range)) continue;
      const cost = costOf(file, rowGroup, positions, range);
      units.push({ file, rowGroup, positions, bytes: cost.bytes });
      total.chunks += positions.length;
      total.bytes += cost.bytes;
      total.decodedBytes += cost.decodedBytes;
    }
  }
  return { units, range, ...total };
}

/** The rows of a row group, [first, end) in turn, that may hold keys of the range, by the page bounds that are known. */
export function rowsInRange(
  { file, rowGroup }: Pick<PreloadUnit, 'file' | 'rowGroup'>,
  range: KeyRange | undefined,
): readonly number[] {
  const all = [0, file.file.index.rowGroupRows(rowGroup)];
  const position = prunedBy(file);
  if (range === undefined || position === undefined) return all;
  const { layout } = file.file.chunk(rowGroup, position);
  if (layout?.bounds === undefined) return all;
  const { locations, bounds } = layout;
  const rows: number[] = [];
  for (let page = 0; page < locations.pages; page++) {
    if (!bounds.canContainBetween(page, range.low, range.high)) continue;
    if (rows.at(-1) === locations.firstRow(page)) rows.pop();
    else rows.push(locations.firstRow(page));
    rows.push(locations.rowEnd(page));
  }
  return rows;
}

/** The first key column's chunk, whose layout narrows the rows; undefined where nothing does. */
export function keyChunkOf(
  { file, rowGroup }: Pick<PreloadUnit, 'file' | 'rowGroup'>,
  range: KeyRange | undefined,
): ChunkBlocks | undefined {
  const position = prunedBy(file);
  return range === undefined || position === undefined ? undefined : file.file.chunk(rowGroup, position);
}

function columnsOf(snapshot: Snapshot, { keys, columns }: PreloadRequest): readonly TableColumn[] {
  const named =
    columns === 'all'
      ? snapshot.columns.filter(({ unsupported }) => unsupported === undefined)
      : columns.map((name) => snapshot.column(name));
  return [...new Set([...(keys ? snapshot.keys.flatMap((key) => key.columns) : []), ...named])];
}

function rangeOf(snapshot: Snapshot, { from, to }: PreloadRequest): KeyRange | undefined {
  const [leaf] = snapshot.keyLeaves;
  if (leaf === undefined || (from === undefined && to === undefined)) return undefined;
  return {
    low: from === undefined ? undefined : parseKeyText(leaf, from),
    high: to === undefined ? undefined : parseKeyText(leaf, to),
  };
}

/** Where the file's own bounds are of the table's type: a cast key proves nothing of a range. */
function prunedBy({ mapping }: SnapshotReadableFile): number | undefined {
  const primary = mapping.keys[0];
  const position = primary?.positions?.[0] ?? -1;
  return position < 0 || primary?.casts?.[0] !== undefined ? undefined : position;
}

function mayHold(file: SnapshotReadableFile, rowGroup: number, range: KeyRange | undefined): boolean {
  const position = prunedBy(file);
  if (range === undefined || position === undefined) return true;
  return file.file.index.canContainBetween(rowGroup, position, range.low, range.high);
}

function costOf(
  file: SnapshotReadableFile,
  rowGroup: number,
  positions: readonly number[],
  range: KeyRange | undefined,
): { readonly bytes: number; readonly decodedBytes: number } {
  const rows = rowsInRange({ file, rowGroup }, range);
  let wanted = 0;
  for (let at = 0; at < rows.length; at += 2) wanted += (rows[at + 1] ?? 0) - (rows[at] ?? 0);
  const share = wanted / Math.max(1, file.file.index.rowGroupRows(rowGroup));
  let bytes = 0;
  let decodedBytes = 0;
  for (const position of positions) {
    const chunk = file.file.index.chunk(rowGroup, position);
    bytes += Math.ceil(share * rangeLength(chunk.range));
    decodedBytes += Math.ceil(share * decodedBytesOf(chunk));
  }
  assert(bytes >= 0, 'a chunk has no negative length');
  return { bytes, decodedBytes };
}

/** Codes take one to four bytes where the file packs bits; other encodings that save space decode to the full width. */
function decodedBytesOf({ numValues, uncompressedBytes, encodings, leaf }: ColumnChunk): number {
  const isCoded = encodings.some((encoding) => encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY');
  const levels = leaf.maxRepetitionLevel > 0 ? 2 * numValues : 0;
  return levels + Math.max(uncompressedBytes, numValues * (isCoded ? 2 : widthOf(leaf)));
}

function widthOf({ physicalType, typeLength }: ColumnChunk['leaf']): number {
  switch (physicalType) {
    case 'BOOLEAN':
      return 1;
    case 'INT32':
    case 'FLOAT':
    case 'BYTE_ARRAY':
      return 4;
    case 'INT96':
      return 12;
    case 'FIXED_LEN_BYTE_ARRAY':
      return typeLength ?? 0;
    default:
      return 8;
  }
}
