/**
 * The blocks of many columns at one row, gathered before the first value is formatted.
 *
 * Where nothing is in the processor's caches the way to a value is a chain of loads, each as dear as the formatting of a
 * number. Here each step is taken for all columns before the next one, so that their loads overlap: the places, then the
 * headers, then the values themselves.
 */

import { NOTE_WORD } from '../cache/index.ts';
import { Block } from '../parquet/index.ts';
import { RowPlaces } from './block-places.ts';
import type { Pins } from './chunk-blocks.ts';
import type { SnapshotReadableFile } from './snapshot-file.ts';
import type { TableFile } from './table-file.ts';

export interface RowBlocks {
  /** By column; undefined where the file has no leaf for it. Good until the next `await`, but for those of `pins`. */
  readonly blocks: readonly (Block | undefined)[];
  /** The row, counted from the first of its block; overwritten by the next row. */
  readonly rows: Int32Array;
}

let positions = new Int32Array(64);
const places = new RowPlaces();
/** What was loaded ahead lands here, so that the loads are not taken for useless. */
const loadedAhead = new Int32Array(1);

/** The blocks of the columns with these ordinals; undefined where one is missing. */
export function blocksOfRow(
  { file, leafPositions }: SnapshotReadableFile,
  rowGroup: number,
  row: number,
  ordinals: Int32Array,
  pins: Pins | undefined,
): RowBlocks | undefined {
  const columns = ordinals.length;
  growTo(columns);
  for (let i = 0; i < columns; i++) positions[i] = leafPositions[ordinals[i] as number] ?? -1;
  const blocks = new Array<Block | undefined>(columns).fill(undefined);
  const { locations, rows } = places;
  const isGathered = pins === undefined && gather(file, rowGroup, row, blocks);
  for (let i = 0; i < columns; i++) {
    const position = positions[i] as number;
    if (position < 0 || blocks[i] !== undefined) continue;
    const at = isGathered && locations[i] === 0 ? undefined : file.chunk(rowGroup, position).at(row, pins);
    if (at === undefined) return undefined;
    blocks[i] = at.block;
    rows[i] = row - at.firstRow;
  }
  return { blocks, rows };
}

function growTo(columns: number): void {
  places.growTo(columns);
  if (columns > positions.length) positions = new Int32Array(columns);
}

/** Leaves to the caller what lies outside of the slabs, and columns whose pages are of unequal rows. */
function gather(file: TableFile, rowGroup: number, row: number, blocks: (Block | undefined)[]): boolean {
  const { tier } = file;
  const { locations, rows } = places;
  const groupRows = file.index.rowGroupRows(rowGroup);
  const isComplete = file.placesOf(rowGroup)?.locate(row, groupRows, positions, blocks.length, places) ?? false;
  if (!isComplete) return false;
  let ahead = 0;
  for (let i = 0; i < blocks.length; i++)
    if ((locations[i] as number) > 0) ahead ^= tier.loadAhead(locations[i] as number, 0);
  for (let i = 0; i < blocks.length; i++) {
    const location = locations[i] as number;
    const views = location > 0 ? tier.read(location) : undefined;
    if (views === undefined) continue;
    const at = tier.blockAt(location);
    const block = new Block(views, at, (at >>> 2) + NOTE_WORD);
    if (block.isOfCodes) {
      block.dictionary = file.chunk(rowGroup, positions[i] as number).dictionary;
      if (block.dictionary === undefined) continue;
    }
    blocks[i] = block;
  }
  for (let i = 0; i < blocks.length; i++) ahead ^= blocks[i]?.loadAhead(rows[i] as number) ?? 0;
  loadedAhead[0] = ahead;
  return true;
}
