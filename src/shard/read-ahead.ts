/**
 * The pages that a lookup will likely need next, started beside those that it needs now.
 *
 * While a search waits for key pages it often has one run of candidate rows left. Where the asked columns' pages of
 * those rows are few bytes, reading them in the same round costs less than a round of its own would: a round trip to S3
 * is worth about 2 MiB of transfer. Where reads are cheap only layouts are read ahead, once, while a thread decodes the key
 * page. What was read for nothing is bounded for each lookup.
 */

import { rangeLength } from '../core/index.ts';
import { type CandidateRows, type ChunkBlocks, type Need, positionsOf, type TableColumn } from '../table/index.ts';

/** Bytes that one lookup may read ahead in all. */
export const READ_AHEAD_BYTES_MAX: number = 2 ** 20;

export interface ReadAhead {
  readonly needs: readonly Need[];
  /** To be fetched for them. */
  readonly bytes: number;
}

const NOTHING: ReadAhead = { needs: [], bytes: 0 };

/**
 * All that the columns of these rows lack, or nothing where that is more than `bytesMax`: a part would save no round. Of a file
 * whose reads are cheap the layouts, which are charged as if there were nothing left.
 */
export function readAhead(
  { file, rowGroup, firstRow, endRow }: CandidateRows,
  columns: readonly TableColumn[],
  bytesMax: number,
): ReadAhead {
  if (bytesMax === 0) return NOTHING;
  if (file.file.store.cheapReads) return { needs: missingLayouts(file, rowGroup, columns), bytes: bytesMax };
  const needs: Need[] = [];
  let bytes = 0;
  for (const column of columns) {
    for (const position of positionsOf(file.mapping, column)) {
      const chunk = file.file.chunk(rowGroup, position);
      bytes += chunk.layout === undefined ? layoutBytes(chunk) : dictionaryBytes(chunk);
      if (chunk.layout === undefined) needs.push({ kind: 'layout', file: file.file, chunk });
      else bytes += addPages(needs, file.file, chunk, firstRow, endRow, bytesMax - bytes);
      if (bytes > bytesMax) return NOTHING;
    }
  }
  return { needs, bytes };
}

function missingLayouts(
  { file, mapping }: CandidateRows['file'],
  rowGroup: number,
  columns: readonly TableColumn[],
): readonly Need[] {
  const chunks = columns.flatMap((column) => positionsOf(mapping, column)).map((at) => file.chunk(rowGroup, at));
  return chunks.filter((chunk) => chunk.layout === undefined).map((chunk) => ({ kind: 'layout', file, chunk }));
}

/** Without an offset index the pages are found by reading the chunk. */
function layoutBytes({ chunk }: ChunkBlocks): number {
  return rangeLength(chunk.offsetIndexRange ?? chunk.range);
}

function dictionaryBytes(chunk: ChunkBlocks): number {
  const range = chunk.layout?.locations.dictionaryRange;
  return range === undefined || chunk.dictionary !== undefined ? 0 : rangeLength(range);
}

/** The bytes of the pages added; stops as soon as they are more than `bytesMax`. */
function addPages(
  needs: Need[],
  file: Need['file'],
  chunk: ChunkBlocks,
  firstRow: number,
  endRow: number,
  bytesMax: number,
): number {
  const locations = chunk.layout?.locations;
  if (locations === undefined) return 0;
  let bytes = 0;
  const last = locations.pageOf(endRow - 1);
  for (let page = locations.pageOf(firstRow); page <= last && bytes <= bytesMax; page++) {
    if (chunk.isResident(page)) continue;
    bytes += rangeLength(locations.range(page));
    needs.push({ kind: 'page', file, chunk, page });
  }
  return bytes;
}
