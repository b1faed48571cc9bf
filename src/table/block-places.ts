/**
 * Where the resident blocks of one row group are: for each column, page and block a location in the memory tier.
 *
 * All of it is one array of pairs of 32-bit integers, so that from a row to the locations of its columns the loads are few, lie
 * close together and wait for nothing but each other. The first integers of the pairs are:
 *
 *     columns   [ rows a page | at of its pages ]   rows a page 0: pages differ; at 0: nothing was ever resident
 *     own       [ superseded ]                      1: another array took the place of this one
 *     pages     [ 0 | location of the page's one block | -at of its blocks ]
 *     blocks    [ -1 - shift | 0 or location | 0 or location | .. ]   each block holds 2^shift rows
 *
 * A place once made stays for as long as these places do, so that its index, the slot, can be kept. They cost eight bytes
 * for each block of the row group that was read, and are forgotten as a whole while none of them is resident. Beyond the
 * columns what is positive is a location and nothing else, so that a slot that outlived its places finds a block or nothing.
 *
 * The second has three bytes of the block at that location. One has its traits, which tell where its values are: the same rows of
 * the same page make the same block, so that it is right for whichever was there last. One says that its values are known to
 * ascend, which is as true of each. The third marks that the block was read. The last two are all that readers write. So a row's
 * values are found without a look at the headers of its blocks, each a line of memory by itself.
 *
 * Threads that read the blocks of this one share the array. A word that leads to others is stored after them, and atomically, and a
 * reader looks at each such word once. An array that became too small says that it is superseded before any other change is
 * made: whoever began a stretch before finds in it what was there then, which stays readable until his stretch ends.
 */

import { WHOLE_PAGE_SHIFT } from '../cache/index.ts';
import { type PageLocations, valueAt } from '../parquet/index.ts';

const WORDS_A_COLUMN = 2;
/** Of the eight bytes of a pair. */
const TRAITS_AT = 4;
const READ_AT = 5;
const ASCENDING_AT = 6;
/** What the objects take, about, and those of each chunk that the memory tier holds though none of its blocks is there. */
const OBJECT_BYTES = 256;
const OWNER_BYTES = 512;

/** The place of a block, as `find` gives it. */
export interface BlockPlace {
  slot: number;
  location: number;
  /** The rows of its block are 2^shift. */
  shift: number;
}

/** Where the blocks of one row are, by column. Overwritten by the next row. */
export class RowPlaces {
  /** Where the block is; 0 where it is not resident, -1 where the pages of the column are of unequal rows. */
  locations = new Int32Array(64);
  /** The row, counted from the first of its block. */
  rows = new Int32Array(64);
  /** Rows of the block. */
  counts = new Int32Array(64);
  /** Of the block (`traitsOf`). */
  traits = new Uint8Array(64);
  /** Where its value, code or offset is, from the block's first byte. */
  values = new Int32Array(64);

  growTo(columns: number): void {
    if (columns <= this.rows.length) return;
    this.locations = new Int32Array(columns);
    this.rows = new Int32Array(columns);
    this.counts = new Int32Array(columns);
    this.traits = new Uint8Array(columns);
    this.values = new Int32Array(columns);
  }
}

export class BlockPlaces {
  /** How many blocks are in memory. */
  residents = 0;
  /** How many chunks the memory tier knows by their slots here. */
  owners = 0;
  readonly #firstSlot: number;
  readonly #isShared: boolean;
  #words: Int32Array;
  /** The same as bytes. */
  #bytes: Uint8Array;
  #end: number;

  /** With `words` those of another thread, to be read only. */
  constructor(columns: number, isShared = false, words?: Int32Array) {
    this.#firstSlot = WORDS_A_COLUMN * columns + 1;
    this.#isShared = isShared;
    this.#end = this.#firstSlot;
    this.#words = words ?? wordsOf(this.#end, isShared);
    this.#bytes = new Uint8Array(this.#words.buffer);
  }

  /** What other threads read; in shared memory where they do. */
  get words(): Int32Array {
    return this.#words;
  }

  /** Whether the thread that writes has gone on in another array. */
  get isSuperseded(): boolean {
    return this.#words[2 * (this.#firstSlot - 1)] !== 0;
  }

  /** Tells other threads to look here no more. */
  supersede(): void {
    Atomics.store(this.#words, 2 * (this.#firstSlot - 1), 1);
  }

  get byteSize(): number {
    const ofOwners = this.residents === 0 ? OWNER_BYTES * this.owners : 0;
    return OBJECT_BYTES + ofOwners + this.#words.buffer.byteLength;
  }

  /** 0 where nothing is. */
  locationAt(slot: number): number {
    return slot < this.#firstSlot ? 0 : Math.max(0, this.#words[2 * slot] ?? 0);
  }

  put(slot: number, location: number): void {
    this.residents += (location === 0 ? 0 : 1) - (this.#words[2 * slot] === 0 ? 0 : 1);
    this.#store(slot, location);
  }

  /** The same for a block that was not there before. */
  putNew(slot: number, location: number, traits: number): void {
    this.#bytes[8 * slot + TRAITS_AT] = traits;
    this.#bytes[8 * slot + READ_AT] = 0;
    this.#bytes[8 * slot + ASCENDING_AT] = 0;
    this.put(slot, location);
  }

  markRead(slot: number): void {
    if (this.#bytes[8 * slot + READ_AT] === 0) this.#bytes[8 * slot + READ_AT] = 1;
  }

  /** Whether the block was read since it came, or since this was asked last. */
  takeRead(slot: number): boolean {
    const isRead = this.#bytes[8 * slot + READ_AT] === 1;
    this.#bytes[8 * slot + READ_AT] = 0;
    return isRead;
  }

  traitsOf(slot: number): number {
    return this.#bytes[8 * slot + TRAITS_AT]!;
  }

  isAscending(slot: number): boolean {
    return this.#bytes[8 * slot + ASCENDING_AT] === 1;
  }

  /** A search found that the values of its block ascend. */
  noteAscending(slot: number): void {
    this.#bytes[8 * slot + ASCENDING_AT] = 1;
  }

  /** Where the block that holds a row is; location 0 where it is not resident. Overwrites `place`. */
  find(column: number, page: number, rowInPage: number, place: BlockPlace): void {
    const words = this.#words;
    const pages = words[2 * (WORDS_A_COLUMN * column + 1)]!;
    const at = pages === 0 ? 0 : words[2 * (pages + page)]!;
    place.shift = at >= 0 ? WHOLE_PAGE_SHIFT : ~words[-2 * at]!;
    place.slot = at >= 0 ? pages + page : 1 - at + (rowInPage >>> place.shift);
    place.location = at >= 0 ? at : words[2 * place.slot]!;
  }

  /**
   * The slot of the block that holds a row, or 0 where it never had one: `page` is the row's page, `rowInPage` the row
   * counted from that page's first.
   */
  slotOf(column: number, page: number, rowInPage: number): number {
    const words = this.#words;
    const pages = words[2 * (WORDS_A_COLUMN * column + 1)]!;
    if (pages === 0) return 0;
    const at = words[2 * (pages + page)]!;
    return at >= 0 ? pages + page : 1 - at + (rowInPage >>> ~words[-2 * at]!);
  }

  /**
   * Where a row's blocks are, for the first `count` columns, of a row group of so many rows. False where one is not resident.
   * For columns below 0, and those whose pages are of unequal rows, the location is -1. Counts as a read.
   */
  locate(row: number, groupRows: number, columns: Int32Array, count: number, into: RowPlaces): boolean {
    const words = this.#words;
    let isComplete = true;
    // Columns of one width mostly have pages of as many rows.
    let stride = 0;
    let page = 0;
    let rowInPage = 0;
    let pageRows = 0;
    for (let i = 0; i < count; i++) {
      const column = columns[i]!;
      into.locations[i] = -1;
      if (column < 0) continue;
      const ofColumn = words[2 * (WORDS_A_COLUMN * column)]!;
      if (words[2 * (WORDS_A_COLUMN * column + 1)] === 0) isComplete = false;
      if (ofColumn === 0) continue;
      if (ofColumn !== stride) {
        stride = ofColumn;
        page = Math.trunc(row / stride);
        rowInPage = row - page * stride;
        pageRows = Math.min(stride, groupRows - page * stride);
      }
      if (!this.locateIn(column, page, rowInPage, pageRows, i, into)) isComplete = false;
    }
    return isComplete;
  }

  /** The same for one column, blocks of which were resident before, by the page that holds the row; it goes to `at`. */
  locateIn(column: number, page: number, rowInPage: number, pageRows: number, at: number, into: RowPlaces): boolean {
    const words = this.#words;
    const pages = words[2 * (WORDS_A_COLUMN * column + 1)]!;
    let location = words[2 * (pages + page)]!;
    let slot = pages + page;
    let row = rowInPage;
    let count = pageRows;
    if (location < 0) {
      const shift = ~words[-2 * location]!;
      const ordinal = rowInPage >>> shift;
      slot = 1 - location + ordinal;
      location = words[2 * slot]!;
      row = rowInPage - (ordinal << shift);
      count = Math.min(1 << shift, pageRows - (ordinal << shift));
    }
    const traits = this.#bytes[8 * slot + TRAITS_AT]!;
    into.locations[at] = location;
    into.rows[at] = row;
    into.counts[at] = count;
    into.traits[at] = traits;
    into.values[at] = valueAt(traits, row, count);
    this.markRead(slot);
    return location !== 0;
  }

  /** Rows of the page's blocks are 2^shift; 31 where the page is one block. */
  shiftOf(column: number, page: number): number {
    const at = this.#words[2 * (this.#words[2 * (WORDS_A_COLUMN * column + 1)]! + page)]!;
    return at >= 0 ? WHOLE_PAGE_SHIFT : ~this.#words[-2 * at]!;
  }

  /** Rows of every page of the column but the last; 0 where they differ or nothing was ever resident. */
  strideOf(column: number): number {
    return this.#words[2 * (WORDS_A_COLUMN * column)]!;
  }

  /**
   * Makes places for the blocks of a page and gives the slot of the first, the others follow; 0 where blocks of another
   * length are resident. Places are only ever added, so slots stay what they are.
   */
  open(column: number, locations: PageLocations, page: number, shift: number): number {
    const rows = locations.rowEnd(page) - locations.firstRow(page);
    const head = this.#pagesOf(column, locations) + page;
    const at = this.#words[2 * head]!;
    if (at < 0 && ~this.#words[-2 * at]! === shift) return 1 - at;
    if (at < 0 && this.#holdsAny(-at, rows)) return 0;
    if (shift === WHOLE_PAGE_SHIFT) {
      if (at < 0) this.#store(head, 0);
      return head;
    }
    if (at > 0) return 0;
    const run = this.#add(1 + Math.ceil(rows / 2 ** shift));
    this.#words[2 * run] = ~shift;
    this.#store(head, -run);
    return run + 1;
  }

  /** How many blocks lie before the one of a slot in its page. */
  ordinalOf(column: number, page: number, slot: number): number {
    const at = this.#words[2 * (this.#words[2 * (WORDS_A_COLUMN * column + 1)]! + page)]!;
    return at >= 0 ? 0 : slot - 1 + at;
  }

  #holdsAny(run: number, rows: number): boolean {
    const blocks = Math.ceil(rows / 2 ** ~this.#words[2 * run]!);
    for (let slot = run + 1; slot <= run + blocks; slot++) if (this.#words[2 * slot] !== 0) return true;
    return false;
  }

  #pagesOf(column: number, { pages, stride }: PageLocations): number {
    const known = this.#words[2 * (WORDS_A_COLUMN * column + 1)]!;
    if (known !== 0) return known;
    const added = this.#add(pages);
    this.#words[2 * (WORDS_A_COLUMN * column)] = stride;
    this.#store(WORDS_A_COLUMN * column + 1, added);
    return added;
  }

  #add(slots: number): number {
    const at = this.#end;
    this.#end += slots;
    if (2 * this.#end > this.#words.length) {
      const grown = wordsOf(Math.max(this.#end, Math.ceil(this.#words.length * 0.75)), this.#isShared);
      grown.set(this.#words);
      if (this.#isShared) this.supersede();
      this.#words = grown;
      this.#bytes = new Uint8Array(grown.buffer);
    }
    return at;
  }

  #store(at: number, word: number): void {
    if (this.#isShared) Atomics.store(this.#words, 2 * at, word);
    else this.#words[2 * at] = word;
  }
}

/** So many pairs. */
function wordsOf(pairs: number, isShared: boolean): Int32Array {
  const bytes = 8 * pairs;
  return new Int32Array(isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
}
