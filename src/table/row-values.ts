/**
 * The values of many columns at one row, loaded before the first is formatted.
 *
 * Where nothing is in the processor's caches the way to a value is a chain of loads, each as dear as the formatting of a
 * number. So the places of all columns are taken first, then the values of all, so that their loads overlap; and from a place to
 * its value no header is looked at, since the places have the traits of each block.
 *
 * What has a simple value is here as a number, or as the bytes of a text. The rest, from nested columns to nulls of
 * a folder, is for the caller to ask for by itself.
 */

import { ENTRY_HEADER_BYTES, type ReadableSlabs, UNIT_SHIFT } from '../cache/index.ts';
import type { BufferViews } from '../core/index.ts';
import {
  BLOCK_HEADER_BYTES,
  type Block,
  TRAIT_ASCII,
  TRAIT_BYTES,
  TRAIT_CODES,
  TRAIT_FIXED,
  TRAIT_KIND,
  TRAIT_NULLS,
  traitsOfPlain,
  widthOfTraits,
} from '../parquet/index.ts';
import { RowPlaces } from './block-places.ts';
import type { Projection } from './projection.ts';
import type { SnapshotReadableFile } from './snapshot-file.ts';
import type { TableFile } from './table-file.ts';
import {
  isSafeHigh,
  LOAD_BOOLEAN,
  LOAD_FLOAT32,
  LOAD_FLOAT64,
  LOAD_INT32,
  LOAD_INT64,
  LOAD_NONE,
  LOAD_TEXT,
  LOAD_UINT32,
  LOAD_UINT64,
  LOAD_WIDTHS,
  safeNumber,
} from './value-load.ts';

/** What there is of a column. */
export const ASK = 0;
export const NULL = 1;
export const NUMBER = 2;

/**
 * The same, and what is imported, once more for this module alone: of that the engine makes constants, where it looks up at each use what
 * modules have from each other.
 */
const [NO_VALUE, IS_NULL, IS_NUMBER, IS_TEXT, IS_ASCII_TEXT] = [ASK, NULL, NUMBER, 3, 4];
/** To be loaded yet, from a line of memory that is. */
const IS_AHEAD = 5;
const [KIND, FIXED, BYTES, CODES, NULLS, ASCII] = [
  TRAIT_KIND,
  TRAIT_FIXED,
  TRAIT_BYTES,
  TRAIT_CODES,
  TRAIT_NULLS,
  TRAIT_ASCII,
];
const [NONE, BOOLEAN, INT32, UINT32] = [LOAD_NONE, LOAD_BOOLEAN, LOAD_INT32, LOAD_UINT32];
const [INT64, UINT64, FLOAT32, FLOAT64, UTF8] = [LOAD_INT64, LOAD_UINT64, LOAD_FLOAT32, LOAD_FLOAT64, LOAD_TEXT];
const WIDTHS = LOAD_WIDTHS;
const [UNIT_BYTES_SHIFT, UNIT_WORDS_SHIFT] = [UNIT_SHIFT, UNIT_SHIFT - 2];
const [ENTRY_BYTES, ENTRY_WORDS, BLOCK_BYTES] = [ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES >>> 2, BLOCK_HEADER_BYTES];
/** Traits of blocks of numbers without nulls. */
const [PLAIN_4, PLAIN_8] = [traitsOfPlain(4), traitsOfPlain(8)];

/** By column; overwritten by the next row. */
export class RowValues {
  states = new Uint8Array(64);
  numbers = new Float64Array(64);
  /** Of a text, in the bytes of `views`. */
  starts = new Int32Array(64);
  ends = new Int32Array(64);
  readonly views: BufferViews[] = [];

  growTo(columns: number): void {
    if (columns <= this.states.length) return;
    this.states = new Uint8Array(columns);
    this.numbers = new Float64Array(columns);
    this.starts = new Int32Array(columns);
    this.ends = new Int32Array(columns);
  }

  textOf(column: number): string {
    const { bytes } = this.views[column] as BufferViews;
    const start = this.starts[column] as number;
    const end = this.ends[column] as number;
    return this.states[column] === IS_ASCII_TEXT ? bytes.latin1Slice(start, end) : bytes.utf8Slice(start, end);
  }
}

/** What is wanted of a row. */
export type WantedValues = Pick<Projection, 'ordinals' | 'loads' | 'json'>;

const values = new RowValues();
const places = new RowPlaces();
let positions = new Int32Array(64);
/** What was loaded ahead lands here, so that the loads are not taken for useless. */
const loadedAhead = new Int32Array(1);

/**
 * The values of a row of a file that has the table's own types; undefined where a block of one is not resident. Texts are
 * good until the next `await`.
 */
export function valuesOfRow(
  { file, leafPositions }: SnapshotReadableFile,
  rowGroup: number,
  row: number,
  { ordinals, loads, json }: WantedValues,
): RowValues | undefined {
  const count = ordinals.length;
  if (count > positions.length) positions = new Int32Array(count);
  places.growTo(count);
  values.growTo(count);
  for (let i = 0; i < count; i++) positions[i] = leafPositions[ordinals[i] as number] ?? -1;
  if (!locate(file, rowGroup, row, count)) return undefined;
  let ahead = loadAhead(file.tier.slabs, loads, count);
  for (let i = 0; i < count; i++) if (values.states[i] === IS_AHEAD) loadMore(file, rowGroup, i, loads[i] as number);
  const { states } = values;
  const textBytesMax = json.valueBytesMax ?? Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    if ((states[i] as number) < IS_TEXT) continue;
    const start = values.starts[i] as number;
    // Its writer refuses it.
    if ((values.ends[i] as number) - start > textBytesMax) states[i] = NO_VALUE;
    else ahead ^= (values.views[i] as BufferViews).bytes[start] ?? 0;
  }
  loadedAhead[0] = ahead;
  return values;
}

/**
 * First a word of each column, in few instructions and none that waits for a value, so that the processor waits for many at the same
 * time; then the plain doubles and floats. What else is in the slabs is left for `loadMore`. Gives what keeps the loads from being taken for useless.
 */
function loadAhead(slabs: ReadableSlabs, loads: Uint8Array, columns: number): number {
  const { words, doubles, floats } = slabs;
  // Here and once: the engine unpacks what it was given at each use.
  const shift = slabs.slabShift | 0;
  const mask = slabs.unitMask | 0;
  const count = columns | 0;
  const { locations, traits, values: ats } = places;
  const { states, numbers } = values;
  let ahead = 0;
  for (let i = 0; i < count; i++) {
    const location = locations[i] as number;
    if (location <= 0) continue;
    const view = words[location >>> shift];
    if (view === undefined) continue;
    ahead ^= view[((location & mask) << UNIT_WORDS_SHIFT) + ENTRY_WORDS + ((ats[i] as number) >>> 2)] as number;
  }
  for (let i = 0; i < count; i++) {
    const location = locations[i] as number;
    const how = loads[i] as number;
    const slab = location >>> shift;
    if (location <= 0 || how === NONE || traits[i] === 0 || words[slab] === undefined) {
      states[i] = NO_VALUE;
      continue;
    }
    const at = ((location & mask) << UNIT_BYTES_SHIFT) + ENTRY_BYTES + (ats[i] as number);
    if (how === FLOAT64 && traits[i] === PLAIN_8) {
      numbers[i] = (doubles[slab] as Float64Array)[at >>> 3] as number;
      states[i] = IS_NUMBER;
    } else if (how === FLOAT32 && traits[i] === PLAIN_4) {
      numbers[i] = (floats[slab] as Float32Array)[at >>> 2] as number;
      states[i] = IS_NUMBER;
    } else states[i] = IS_AHEAD;
  }
  return ahead;
}

function loadMore(file: TableFile, rowGroup: number, column: number, how: number): void {
  const { slabs } = file.tier;
  const location = places.locations[column] as number;
  const isOfCodes = ((places.traits[column] as number) & KIND) === CODES;
  const dictionary = isOfCodes ? file.chunk(rowGroup, positions[column] as number).dictionary : undefined;
  load(column, how, slabs.viewsOf(location), slabs.blockAt(location), dictionary);
}

/** False where a block is not resident. */
function locate(file: TableFile, rowGroup: number, row: number, count: number): boolean {
  const known = file.placesOf(rowGroup);
  if (known === undefined) {
    places.locations.fill(-1, 0, count);
    // Nothing of the row group is in memory: that will do where the file has none of the columns.
    return !positions.subarray(0, count).some((position) => position >= 0);
  }
  if (!known.locate(row, file.index.rowGroupRows(rowGroup), positions, count, places)) return false;
  for (let i = 0; i < count; i++) {
    if ((places.locations[i] as number) >= 0 || (positions[i] as number) < 0) continue;
    // Its pages are of unequal rows.
    const locations = file.chunk(rowGroup, positions[i] as number).layout?.locations;
    if (locations === undefined) return false;
    const page = locations.pageOf(row);
    const firstRow = locations.firstRow(page);
    const pageRows = locations.rowEnd(page) - firstRow;
    if (!known.locateIn(positions[i] as number, page, row - firstRow, pageRows, i, places)) return false;
  }
  return true;
}

/** The value of a column, in the block at `start` of the views. */
function load(column: number, how: number, views: BufferViews, start: number, dictionary: Block | undefined): void {
  const traits = places.traits[column] as number;
  const row = places.rows[column] as number;
  if ((traits & NULLS) !== 0) {
    const bits = views.bytes[start + BLOCK_BYTES + (row >>> 3)] as number;
    if ((bits & (1 << (row & 7))) === 0) {
      values.states[column] = IS_NULL;
      return;
    }
  }
  const at = start + (places.values[column] as number);
  const width = widthOfTraits(traits);
  const kind = traits & KIND;
  if (kind === CODES) loadCoded(column, how, codeAt(views, at, width), dictionary);
  else if (kind === BYTES && how === UTF8) {
    const body = at + 4 * ((places.counts[column] as number) + 1 - row);
    const words = views.uint32s;
    values.starts[column] = body + (words[at >>> 2] as number);
    values.ends[column] = body + (words[(at >>> 2) + 1] as number);
    values.views[column] = views;
    values.states[column] = (traits & ASCII) === 0 ? IS_TEXT : IS_ASCII_TEXT;
  } else if (kind === FIXED && width === WIDTHS[how]) loadNumber(column, how, views, at);
  else values.states[column] = NO_VALUE;
}

function codeAt(views: BufferViews, at: number, width: number): number {
  if (width === 1) return views.bytes[at] as number;
  if (width === 2) return views.uint16s[at >>> 1] as number;
  return views.uint32s[at >>> 2] as number;
}

function loadCoded(column: number, how: number, code: number, dictionary: Block | undefined): void {
  if (dictionary === undefined) values.states[column] = NO_VALUE;
  else if (how === UTF8) {
    values.starts[column] = dictionary.startOf(code);
    values.ends[column] = dictionary.endOf(code);
    values.views[column] = dictionary.views;
    values.states[column] = dictionary.isAscii ? IS_ASCII_TEXT : IS_TEXT;
  } else if (dictionary.width === WIDTHS[how]) {
    loadNumber(column, how, dictionary.views, dictionary.startOf(code));
  } else values.states[column] = NO_VALUE;
}

function loadNumber(column: number, how: number, views: BufferViews, at: number): void {
  values.states[column] = IS_NUMBER;
  switch (how) {
    case FLOAT64:
      values.numbers[column] = views.float64s[at >>> 3] as number;
      return;
    case FLOAT32:
      values.numbers[column] = views.float32s[at >>> 2] as number;
      return;
    case INT32:
      values.numbers[column] = views.int32s[at >>> 2] as number;
      return;
    case UINT32:
      values.numbers[column] = views.uint32s[at >>> 2] as number;
      return;
    case INT64:
    case UINT64: {
      const high = views.int32s[(at >>> 2) + 1] as number;
      if (isSafeHigh(high, how)) values.numbers[column] = safeNumber(high, views.uint32s[at >>> 2] as number);
      else values.states[column] = NO_VALUE;
      return;
    }
    case BOOLEAN:
      values.numbers[column] = views.bytes[at] as number;
      return;
    default:
      values.states[column] = NO_VALUE;
  }
}
