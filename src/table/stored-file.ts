/**
 * What the disk tier has of one version of one file: decoded blocks, dictionaries, layouts, bloom filters.
 *
 * A block is asked for by its row. How many rows the blocks of a page hold is not known beforehand; there are few powers
 * of two, and asking whether a block is there costs no read. What comes back was checked against its checksums; whatever
 * does not fit is treated as missing.
 */

import {
  BLOOM_FILTER_RECORD,
  type BlockIdentity,
  DICTIONARY_PAGE,
  type DiskTier,
  type FileIdentity,
  LAYOUT_RECORD,
  WHOLE_PAGE_SHIFT,
} from '../cache/index.ts';
import { ServiceError } from '../core/index.ts';
import { Block, BloomFilter } from '../parquet/index.ts';
import type { ChunkBlocks, ChunkLayout, LoadedPage } from './chunk-blocks.ts';
import { decodeLayout, encodeLayout } from './layout-record.ts';

type Stored<T> = T | undefined | Promise<T | undefined>;

export class StoredFile {
  readonly identity: FileIdentity;
  readonly #tier: DiskTier;
  /** Blocks that are being read by a thread. */
  readonly #reading = new Map<string, Promise<Uint8Array | undefined>>();

  constructor(identity: FileIdentity, tier: DiskTier) {
    this.identity = identity;
    this.#tier = tier;
  }

  /** The page with the block that holds the row, and no other; undefined where that is not on disk. */
  page(chunk: ChunkBlocks, page: number, row: number): Stored<LoadedPage> {
    const locations = chunk.layout?.locations;
    if (locations === undefined) return undefined;
    const firstRow = locations.firstRow(page);
    const rows = locations.rowEnd(page) - firstRow;
    const identity = this.#find(chunk, page, row - firstRow, rows);
    if (identity === undefined) return undefined;
    const place: BlockPlace = { firstRow, rows, shift: identity.shift, ordinal: identity.ordinal };
    return then(this.#read(identity), (bytes) => this.#pageOf(chunk, bytes, place));
  }

  /** Offers all blocks of a page that was decoded. */
  keepPage(chunk: ChunkBlocks, page: number, { rows, shift, blocks }: LoadedPage): void {
    for (const [ordinal, block] of blocks.entries()) {
      if (block !== undefined)
        this.keepBlock(chunk, page, ordinal, rows <= 2 ** shift ? WHOLE_PAGE_SHIFT : shift, block);
    }
    const [first] = blocks;
    if (first?.kind === 'CODES' && first.dictionary !== undefined) this.keepDictionary(chunk, first.dictionary);
  }

  keepBlock(
    chunk: ChunkBlocks,
    page: number,
    ordinal: number,
    shift: number,
    block: Block,
    wantedAgain?: boolean,
  ): void {
    this.#tier.offer({ ...this.#placeOf(chunk), page, ordinal, shift }, bytesOf(block), wantedAgain);
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

  /** The block of the page that holds the row, counted from the page's first, by whichever shift it is there. */
  #find(chunk: ChunkBlocks, page: number, row: number, rows: number): BlockIdentity | undefined {
    const place = { ...this.#placeOf(chunk), page };
    const whole = { ...place, ordinal: 0, shift: WHOLE_PAGE_SHIFT };
    if (this.#tier.has(whole)) return whole;
    for (let shift = 0; 2 ** shift < rows; shift++) {
      const identity = { ...place, ordinal: row >>> shift, shift };
      if (this.#tier.has(identity)) return identity;
    }
    return undefined;
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

  #pageOf(chunk: ChunkBlocks, bytes: Uint8Array, place: BlockPlace): Stored<LoadedPage> {
    const block = unlessCorrupt(() => Block.open(bytes.buffer, bytes.byteOffset, bytes.length));
    const rowsBefore = place.shift === WHOLE_PAGE_SHIFT ? 0 : place.ordinal * 2 ** place.shift;
    const expected = Math.min(
      place.shift === WHOLE_PAGE_SHIFT ? place.rows : 2 ** place.shift,
      place.rows - rowsBefore,
    );
    if (block === undefined || block.rows !== expected) return undefined;
    const { firstRow, rows, shift } = place;
    const blocks: Block[] = [];
    blocks[place.ordinal] = block;
    const loaded = { firstRow, rows, shift, blocks };
    if (block.kind !== 'CODES') return loaded;
    return then(chunk.dictionary ?? this.#dictionary(chunk), (dictionary) => {
      block.dictionary = dictionary;
      return loaded;
    });
  }

  #dictionary(chunk: ChunkBlocks): Stored<Block> {
    return then(this.#read(this.#record(chunk, DICTIONARY_PAGE)), (bytes) =>
      unlessCorrupt(() => Block.open(bytes.buffer, bytes.byteOffset, bytes.length)),
    );
  }
}

interface BlockPlace {
  readonly firstRow: number;
  readonly rows: number;
  readonly shift: number;
  readonly ordinal: number;
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
    if (thrown instanceof ServiceError && thrown.kind === 'corrupt') return undefined;
    throw thrown;
  }
}
