/**
 * What the disk tier has of one version of one file: decoded blocks, dictionaries, layouts, bloom filters.
 *
 * A block is asked for by its row. How many rows the blocks of a page hold is not known beforehand; there are few powers
 * of two, and asking whether a block is there costs no read. What comes back was checked against its checksums; whatever
 * does not fit is treated as missing. What waits is written apart from what goes on at once: a function that makes a closure
 * takes memory for it whether it comes to that or not, and rows are read a column at a time.
 *
 * Where one row is all that is wanted, only its bytes are read, and made a block of their own that memory does not keep.
 * A block that is wanted in that way again within a while is read whole, to be kept.
 */

import {
  BLOOM_FILTER_RECORD,
  type BlockIdentity,
  DICTIONARY_PAGE,
  type DiskParts,
  type DiskTier,
  type FileIdentity,
  LAYOUT_RECORD,
  WHOLE_PAGE_SHIFT,
} from '../cache/index.ts';
import { ServiceError } from '../core/index.ts';
import { Block, BloomFilter, formOf, type RowOfBlock, rowOfBlock, rowOfDictionary } from '../parquet/index.ts';
import type { ChunkBlocks, LoadedPage } from './chunk-blocks.ts';
import { decodeLayout, encodeLayout } from './layout-record.ts';
import type { ChunkLayout } from './learned-chunk.ts';

type Stored<T> = T | undefined | Promise<T | undefined>;

/** What was found of a page: a block of it, for memory to keep, or one row for whoever asked. */
export interface StoredPage {
  readonly kind: 'block' | 'row';
  readonly page: LoadedPage;
}

export class StoredFile {
  readonly identity: FileIdentity;
  readonly #tier: DiskTier;
  /** By which shift the blocks of a chunk were last found: those of its pages are mostly alike. */
  readonly #shifts = new WeakMap<ChunkBlocks, number>();
  /** Blocks that are being read by a thread. */
  readonly #reading = new Map<string, Promise<Uint8Array | undefined>>();

  constructor(identity: FileIdentity, tier: DiskTier) {
    this.identity = identity;
    this.#tier = tier;
  }

  /** Undefined where reading may go on in this turn of the event loop; else resolves in one where it may. */
  turn(): Promise<void> | undefined {
    return this.#tier.turn();
  }

  /** Whether a lookup may begin to read in this turn of the event loop, and need not wait for what it reads. */
  get readsAtOnce(): boolean {
    return this.#tier.pace.readsAtOnce;
  }

  /** The page with the block that holds the row, and no other; undefined where that is not on disk. */
  block(chunk: ChunkBlocks, page: number, row: number): Stored<StoredPage> {
    const found = this.#find(chunk, page, row);
    return found && this.#blockAt(chunk, found);
  }

  /** The same where nothing but the row is wanted, of which then no more may come. */
  row(chunk: ChunkBlocks, page: number, row: number): Stored<StoredPage> {
    const found = this.#find(chunk, page, row);
    if (found === undefined) return undefined;
    if (this.#tier.touch(found.identity)) return this.#blockAt(chunk, found);
    const got = this.#rowOf(found.identity, found.blockRows, row - found.firstRow - found.rowsBefore);
    return got instanceof Promise ? this.#rowLater(got, chunk, found, row) : this.#pageOf(got, chunk, found, row);
  }

  /** Whether every block of the page is on disk, as far as is known without reading. */
  hasPage(chunk: ChunkBlocks, page: number): boolean {
    const locations = chunk.layout?.locations;
    if (locations === undefined) return false;
    for (let row = locations.firstRow(page); row < locations.rowEnd(page); ) {
      const found = this.#find(chunk, page, row);
      if (found === undefined) return false;
      row += found.blockRows;
    }
    return true;
  }

  /** Offers all blocks of a page that was decoded. */
  keepPage(chunk: ChunkBlocks, page: number, { rows, shift, blocks }: LoadedPage): void {
    for (const [ordinal, block] of blocks.entries()) {
      if (block !== undefined)
        this.keepBlock(chunk, page, ordinal, rows <= 2 ** shift ? WHOLE_PAGE_SHIFT : shift, block);
    }
    const first = blocks.find((block) => block !== undefined);
    if (first?.kind === 'CODES' && first.dictionary !== undefined) this.keepDictionary(chunk, first.dictionary);
  }

  /** Whether the block is on disk, as far as is known without reading. */
  hasBlock(chunk: ChunkBlocks, page: number, ordinal: number, shift: number): boolean {
    return this.#tier.has({ ...this.#placeOf(chunk), page, ordinal, shift });
  }

  keepBlock(
    chunk: ChunkBlocks,
    page: number,
    ordinal: number,
    shift: number,
    block: Block,
    wantedAgain?: boolean,
  ): void {
    const identity = { ...this.#placeOf(chunk), page, ordinal, shift };
    this.#tier.offer(identity, bytesOf(block), wantedAgain, formOf(block));
  }

  keepDictionary(chunk: ChunkBlocks, dictionary: Block, wantedAgain?: boolean): void {
    this.#tier.offer(this.#record(chunk, DICTIONARY_PAGE), bytesOf(dictionary), wantedAgain);
  }

  layout(chunk: ChunkBlocks, rows: number): Stored<ChunkLayout> {
    const { leaf } = chunk.chunk;
    return then(this.#read(this.#record(chunk, LAYOUT_RECORD)), (bytes) =>
      unlessCorrupt(() => decodeLayout(bytes, leaf, rows)),
    );
  }

  keepLayout(chunk: ChunkBlocks, layout: ChunkLayout): void {
    this.#tier.offer(this.#record(chunk, LAYOUT_RECORD), encodeLayout(layout), true);
  }

  bloomFilter(chunk: ChunkBlocks): Stored<BloomFilter | 'none'> {
    const { leaf } = chunk.chunk;
    return then(this.#read(this.#record(chunk, BLOOM_FILTER_RECORD)), (bytes) =>
      bytes.length === 0 ? 'none' : BloomFilter.load(bytes, leaf),
    );
  }

  keepBloomFilter(chunk: ChunkBlocks, filter: BloomFilter | 'none'): void {
    const bytes = filter === 'none' ? new Uint8Array(0) : filter.serialise();
    this.#tier.offer(this.#record(chunk, BLOOM_FILTER_RECORD), bytes, true);
  }

  #placeOf({ rowGroup, chunk }: ChunkBlocks) {
    return { file: this.identity, rowGroup, column: chunk.leaf.ordinal };
  }

  #record(chunk: ChunkBlocks, page: number): BlockIdentity {
    return { ...this.#placeOf(chunk), page, ordinal: 0, shift: 0 };
  }

  /** The block of the page that holds the row, by whichever shift it is there. */
  #find(chunk: ChunkBlocks, page: number, row: number): FoundBlock | undefined {
    const locations = chunk.layout?.locations;
    if (locations === undefined) return undefined;
    const firstRow = locations.firstRow(page);
    const rows = locations.rowEnd(page) - firstRow;
    const known = this.#shifts.get(chunk);
    const found = known === undefined ? undefined : this.#foundAt(chunk, page, row, firstRow, rows, known);
    if (found !== undefined) return found;
    for (let shift = 0; shift <= WHOLE_PAGE_SHIFT; shift++) {
      const isPossible = 2 ** shift < rows || shift === WHOLE_PAGE_SHIFT;
      const other = isPossible ? this.#foundAt(chunk, page, row, firstRow, rows, shift) : undefined;
      if (other === undefined) continue;
      this.#shifts.set(chunk, shift);
      return other;
    }
    return undefined;
  }

  #foundAt(
    chunk: ChunkBlocks,
    page: number,
    row: number,
    firstRow: number,
    rows: number,
    shift: number,
  ): FoundBlock | undefined {
    const ordinal = shift === WHOLE_PAGE_SHIFT ? 0 : (row - firstRow) >>> shift;
    const identity = { ...this.#placeOf(chunk), page, ordinal, shift };
    if (!this.#tier.has(identity)) return undefined;
    const rowsBefore = shift === WHOLE_PAGE_SHIFT ? 0 : ordinal * 2 ** shift;
    const blockRows = Math.min(shift === WHOLE_PAGE_SHIFT ? rows : 2 ** shift, rows - rowsBefore);
    return { identity, firstRow, rows, rowsBefore, blockRows };
  }

  /** One read for all who wait for the same block. */
  #read(identity: BlockIdentity): Stored<Uint8Array> {
    const { rowGroup, column, page, ordinal, shift } = identity;
    const key = this.#reading.size === 0 ? '' : `${rowGroup} ${column} ${page} ${ordinal} ${shift}`;
    const running = this.#reading.get(key);
    if (running !== undefined) return running;
    const reading = this.#tier.read(identity);
    if (reading instanceof Promise) {
      const name = `${rowGroup} ${column} ${page} ${ordinal} ${shift}`;
      this.#reading.set(name, reading);
      void reading.finally(() => this.#reading.delete(name));
    }
    return reading;
  }

  #blockAt(chunk: ChunkBlocks, found: FoundBlock): Stored<StoredPage> {
    return then(this.#read(found.identity), (bytes) => {
      const block = unlessCorrupt(() => Block.open(bytes.buffer, bytes.byteOffset, bytes.length));
      if (block === undefined || block.rows !== found.blockRows) return undefined;
      const blocks: Block[] = [];
      blocks[found.identity.ordinal] = block;
      const { firstRow, rows, identity } = found;
      const whole: StoredPage = { kind: 'block', page: { firstRow, rows, shift: identity.shift, blocks } };
      if (block.kind !== 'CODES') return whole;
      return then(chunk.dictionaryAtHand ?? this.#dictionary(chunk), (dictionary) => {
        block.dictionary = dictionary;
        return whole;
      });
    });
  }

  async #rowLater(
    reading: Promise<RowOfBlock | undefined>,
    chunk: ChunkBlocks,
    found: FoundBlock,
    row: number,
  ): Promise<StoredPage | undefined> {
    return this.#pageOf(await reading, chunk, found, row);
  }

  #pageOf(got: RowOfBlock | undefined, chunk: ChunkBlocks, found: FoundBlock, row: number): Stored<StoredPage> {
    if (got === undefined) return undefined;
    if (got.kind === 'row') return onlyRow(got.block, row);
    // The rows of a nested leaf may have many codes.
    if (got.kind !== 'code') return this.#blockAt(chunk, found);
    const value = this.#valueOf(chunk, got.code);
    return value instanceof Promise ? rowPageLater(value, row) : rowPage(value, row);
  }

  /** One row of a block, of which no more than that is read; `rows` is what the block holds, where that is known. */
  #rowOf(identity: BlockIdentity, rows: number | undefined, row: number): Stored<RowOfBlock> {
    const parts = this.#tier.parts(identity);
    if (parts === undefined) return undefined;
    const got = readRow(parts, rows, row);
    if (got instanceof Promise) return releasing(parts, got);
    parts.release();
    return got;
  }

  /** What a code stands for. */
  #valueOf(chunk: ChunkBlocks, code: number): Stored<RowOfBlock> {
    const { dictionary } = chunk;
    if (dictionary !== undefined) return unlessCorrupt(() => rowOfDictionary(dictionary, code));
    return this.#rowOf(this.#record(chunk, DICTIONARY_PAGE), undefined, code);
  }

  #dictionary(chunk: ChunkBlocks): Stored<Block> {
    return then(this.#read(this.#record(chunk, DICTIONARY_PAGE)), (bytes) =>
      unlessCorrupt(() => Block.open(bytes.buffer, bytes.byteOffset, bytes.length)),
    );
  }
}

interface FoundBlock {
  readonly identity: BlockIdentity;
  /** Of the page. */
  readonly firstRow: number;
  readonly rows: number;
  /** Of the page, before the block; and of the block. */
  readonly rowsBefore: number;
  readonly blockRows: number;
}

/** Reads what the row takes, step by step: each step is at most one more read of sectors that are not there yet. */
function readRow(parts: DiskParts, rows: number | undefined, row: number): Stored<RowOfBlock> {
  for (;;) {
    const got = rowIn(parts, rows, row);
    if (got?.kind !== 'wants') return got;
    const isRead = parts.read();
    if (isRead instanceof Promise) return readOn(isRead, parts, rows, row);
    if (!isRead) return undefined;
  }
}

async function readOn(
  reading: Promise<boolean>,
  parts: DiskParts,
  rows: number | undefined,
  row: number,
): Promise<RowOfBlock | undefined> {
  return (await reading) ? readRow(parts, rows, row) : undefined;
}

function rowIn(parts: DiskParts, rows: number | undefined, row: number): RowOfBlock | undefined {
  try {
    return rowOfBlock(parts, parts.form, rows, row);
  } catch (thrown) {
    return missingIfCorrupt(thrown);
  }
}

async function releasing<T>(parts: DiskParts, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } finally {
    parts.release();
  }
}

async function rowPageLater(reading: Promise<RowOfBlock | undefined>, row: number): Promise<StoredPage | undefined> {
  return rowPage(await reading, row);
}

function rowPage(value: RowOfBlock | undefined, row: number): StoredPage | undefined {
  return value?.kind === 'row' ? onlyRow(value.block, row) : undefined;
}

/** A page that seems to hold nothing but the row. */
function onlyRow(block: Block, row: number): StoredPage {
  return { kind: 'row', page: { firstRow: row, rows: 1, shift: 0, blocks: [block] } };
}

/** At once where the value is there already: a hop through a promise costs more than reading cached bytes. */
function then<T, U>(value: Stored<T>, next: (value: T) => Stored<U>): Stored<U> {
  if (value instanceof Promise) return value.then((settled) => (settled === undefined ? undefined : next(settled)));
  return value === undefined ? undefined : next(value);
}

function bytesOf({ buffer, byteOffset, byteLength }: Block): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function unlessCorrupt<T>(open: () => T): T | undefined {
  try {
    return open();
  } catch (thrown) {
    return missingIfCorrupt(thrown);
  }
}

function missingIfCorrupt(thrown: unknown): undefined {
  if (thrown instanceof ServiceError && thrown.kind === 'corrupt') return undefined;
  throw thrown;
}
