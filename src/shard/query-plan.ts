/**
 * Which files and row groups of a snapshot a query has to look at, told from what is in memory, and what that may cost.
 *
 * Nothing is read here. The estimate is of the predicate's columns where no row can be told to match beforehand, and of
 * all columns where every row does: the most that is read if no match ends the query early.
 */

import { type ByteRange, rangeLength, ServiceError } from '../core/index.ts';
import { coalescingFor, planFetches } from '../storage/index.ts';
import {
  type ChunkBlocks,
  type FilePredicate,
  filePredicate,
  judge,
  judgeFolder,
  type LeafTest,
  leafTests,
  narrowed,
  positionsOf,
  type Snapshot,
  type SnapshotReadableFile,
  type TableColumn,
  type Tri,
} from '../table/index.ts';
import { type Query, type QueryBounds, type QueryTrace, tooExpensive } from './query.ts';

/** A row group that may hold rows of the answer, and what is still to be asked of them. */
export interface QueryUnit {
  readonly file: SnapshotReadableFile;
  readonly fileOrdinal: number;
  readonly rowGroup: number;
  readonly predicate: FilePredicate;
  /** Rows before this one lie before the query's position. */
  readonly fromRow: number;
}

export function planQuery(
  snapshot: Snapshot,
  query: Query,
  bounds: QueryBounds,
  trace: QueryTrace,
): readonly QueryUnit[] {
  const units: QueryUnit[] = [];
  const start = query.order.length === 0 ? query.after : undefined;
  for (const [fileOrdinal, file] of snapshot.files.entries()) {
    if (start !== undefined && fileOrdinal < start.fileOrdinal) continue;
    trace.files += 1;
    if (judgeFolder(query.where, file.partition) === 'no') {
      trace.filesByPartition += 1;
      continue;
    }
    if (file.kind === 'broken') throw notCovered(file.object.key, file.error);
    const { index } = file.file;
    const predicate = filePredicate(query.where, file.mapping, index.schema.leaves, file.partition);
    const before = units.length;
    const startRow = fileOrdinal === start?.fileOrdinal ? start.row + 1 : 0;
    for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup++) {
      const rows = index.rowGroupRows(rowGroup);
      const fromRow = Math.max(0, startRow - index.rowGroupFirstRow(rowGroup));
      if (fromRow >= rows) continue;
      trace.rowGroups += 1;
      const left = narrowed(predicate, (leaf) => judgeChunk(file, rowGroup, rows, leaf));
      if (left.kind === 'constant' && left.state === 'no') trace.rowGroupsByBounds += 1;
      else units.push({ file, fileOrdinal, rowGroup, predicate: left, fromRow });
    }
    if (units.length === before) trace.filesByBounds += 1;
  }
  checkCost(units, query, bounds, trace);
  return units;
}

function judgeChunk({ file }: SnapshotReadableFile, rowGroup: number, rows: number, test: LeafTest): Tri {
  const { index } = file;
  return test.judge({
    bounds: index.chunkBounds(rowGroup, test.position),
    rows,
    nulls: index.nullCount(rowGroup, test.position),
  });
}

/** The state of a page's rows. */
export function judgePage(chunk: ChunkBlocks, page: number, test: LeafTest): Tri {
  const { locations, bounds } = chunk.layout ?? {};
  if (locations === undefined || bounds === undefined) return 'maybe';
  const rows = locations.rowEnd(page) - locations.firstRow(page);
  return test.judge({ bounds: bounds.at(page), rows, nulls: bounds.nullCount(page) });
}

function checkCost(units: readonly QueryUnit[], query: Query, bounds: QueryBounds, trace: QueryTrace): void {
  let gets = 0;
  let bytes = 0;
  let rowsLeft = query.order.length === 0 ? query.limit : Number.POSITIVE_INFINITY;
  for (const unit of units) {
    if (rowsLeft <= 0) break;
    const rows = unit.file.file.index.rowGroupRows(unit.rowGroup) - unit.fromRow;
    const isAll = judge(unit.predicate, () => 'maybe') === 'all';
    const ranges = isAll ? rangesOfRows(unit, query, Math.min(rows, rowsLeft)) : rangesOfTests(unit, query);
    const { fetches } = planFetches(ranges, coalescingFor(unit.file.file.store));
    gets += fetches.length;
    bytes += fetches.reduce((sum, range) => sum + rangeLength(range), 0);
    if (isAll) rowsLeft -= rows;
  }
  trace.estimate = { gets, bytes };
  if (gets > bounds.getsMax || bytes > bounds.bytesMax) throw tooExpensive('may take', gets, bytes, bounds);
}

function rangesOfTests(unit: QueryUnit, query: Query): readonly ByteRange[] {
  const { file } = unit.file;
  const ranges: ByteRange[] = [];
  const tested = new Set<number>();
  for (const test of leafTests(unit.predicate)) {
    if (tested.has(test.position)) continue;
    tested.add(test.position);
    const chunk = file.chunk(unit.rowGroup, test.position);
    const { locations, bounds } = chunk.layout ?? {};
    if (locations === undefined || bounds === undefined) ranges.push(chunk.chunk.range);
    else {
      for (let page = 0; page < locations.pages; page++) {
        if (judgePage(chunk, page, test) !== 'no' && !chunk.isResident(page)) ranges.push(locations.range(page));
      }
    }
  }
  return [...ranges, ...orderRanges(unit, query)];
}

/** The first rows of a row group that all match: the pages of the answer's columns. */
function rangesOfRows(unit: QueryUnit, query: Query, rows: number): readonly ByteRange[] {
  if (query.order.length > 0) return orderRanges(unit, query);
  const { file } = unit.file;
  const ranges: ByteRange[] = [];
  for (const position of positionsIn(unit.file, query.columns)) {
    const chunk = file.chunk(unit.rowGroup, position);
    const locations = chunk.layout?.locations;
    if (locations === undefined) ranges.push(chunk.chunk.range);
    else {
      const last = locations.pageOf(unit.fromRow + rows - 1);
      for (let page = locations.pageOf(unit.fromRow); page <= last; page++) {
        if (!chunk.isResident(page)) ranges.push(locations.range(page));
      }
    }
  }
  return ranges;
}

function orderRanges({ file, rowGroup }: QueryUnit, { order }: Query): readonly ByteRange[] {
  const positions = positionsIn(
    file,
    order.map(({ column }) => column),
  );
  return positions.map((position) => file.file.chunk(rowGroup, position).chunk.range);
}

function positionsIn(file: SnapshotReadableFile, columns: readonly TableColumn[]): readonly number[] {
  return [...new Set(columns.flatMap((column) => positionsOf(file.mapping, column)))];
}

function notCovered(file: string, cause: ServiceError): ServiceError {
  const message = `the answer may have rows of ${file}, which cannot be read: ${cause.message}`;
  return new ServiceError(
    'unavailable',
    cause.code === 'snapshot_changing' ? cause.code : 'not_covered',
    message,
    { files: [file] },
    cause,
  );
}
