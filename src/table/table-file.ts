/** One Parquet file of a table: where it lies, its compact footer, and the blocks of it that are in memory. */

import type { BlockMemory, Budget, MemoryQuota } from '../cache/index.ts';
import { formatBytes, ServiceError } from '../core/index.ts';
import type { Block, FileIndex, LeafColumn } from '../parquet/index.ts';
import type { ObjectMeta, ObjectStore } from '../storage/index.ts';
import type { BlockPlaces } from './block-places.ts';
import { ChunkBlocks, type ChunkOwner } from './chunk-blocks.ts';
import { CHUNK_BYTES, FileChunks } from './file-chunks.ts';
import type { ChunkLayout } from './learned-chunk.ts';
import { RowGroupPlaces } from './row-group-places.ts';
import type { StoredFile } from './stored-file.ts';

/**
 * Who is told what becomes known of a file, so that other threads can search it: where pages lie, where its blocks are, and the
 * dictionaries of those. What is told is immutable, but for the places of blocks, which lie in memory that is shared.
 */
export interface FileAudience {
  /** Undefined where it was forgotten. */
  layout(file: TableFile, rowGroup: number, column: number, layout: ChunkLayout | undefined): void;
  /** Instead of those before, which are superseded. */
  places(file: TableFile, rowGroup: number, words: Int32Array): void;
  /** Undefined where no block refers to it any more. */
  dictionary(file: TableFile, rowGroup: number, column: number, dictionary: Block | undefined): void;
  /** No snapshot to come has the file. */
  released(file: TableFile): void;
}

let filesMade = 0;
/** Of what may be learned of all files, what one bloom filter or one column's bounds may take. */
const LEARNED_SHARE_MAX = 1 / 4;

export class TableFile implements ChunkOwner {
  /** Its number among all files ever opened: never 0, and never given twice. */
  readonly number: number;
  readonly store: ObjectStore;
  readonly object: ObjectMeta;
  readonly index: FileIndex;
  readonly stored: StoredFile | undefined;
  readonly quota: MemoryQuota;
  /** The last listing lacked this version: what is cached of it is all that there is. */
  isGone = false;
  readonly #keyColumns: ReadonlySet<string>;
  readonly tier: BlockMemory;
  readonly #footerBytes: number;
  #layoutBytes = 0;
  #released = false;
  /** By row group, then column; made on first use. */
  readonly #chunks: FileChunks<ChunkBlocks>;
  #audience: FileAudience | undefined = undefined;
  readonly #telling = {
    layout: ({ rowGroup, chunk }: ChunkBlocks, layout: ChunkLayout | undefined): void =>
      this.#audience?.layout(this, rowGroup, chunk.leaf.ordinal, layout),
    places: (rowGroup: number): void => {
      const words = this.placesOf(rowGroup)?.words;
      if (words !== undefined) this.#audience?.places(this, rowGroup, words);
    },
    dictionary: ({ rowGroup, chunk }: ChunkBlocks, dictionary: Block | undefined): void =>
      this.#audience?.dictionary(this, rowGroup, chunk.leaf.ordinal, dictionary),
  };
  /** By row group; made when its first block comes. */
  readonly #places: (RowGroupPlaces | undefined)[] = [];

  constructor(
    store: ObjectStore,
    object: ObjectMeta,
    index: FileIndex,
    keyColumns: readonly string[],
    tier: BlockMemory,
    quota: MemoryQuota,
    stored?: StoredFile,
  ) {
    filesMade += 1;
    this.number = filesMade;
    this.store = store;
    this.stored = stored;
    this.quota = quota;
    this.object = object;
    this.index = index;
    this.#keyColumns = new Set(keyColumns);
    this.tier = tier;
    this.#chunks = new FileChunks(index.rowGroups * index.schema.leaves.length);
    this.#footerBytes = index.byteSize;
    if (!tier.budget.fits('metadata', this.#footerBytes)) throw metadataTooLarge(tier.budget, this.#footerBytes);
    tier.budget.charge('metadata', this.#footerBytes);
    tier.trim();
  }

  get isReleased(): boolean {
    return this.#released;
  }

  get metadataBytes(): number {
    return this.#footerBytes + this.#layoutBytes;
  }

  /** Charges the node's budget, and makes room for it by evicting blocks; fewer than 0 give it back. */
  addLayout(bytes: number): void {
    if (this.#released) return;
    this.#layoutBytes += bytes;
    if (bytes < 0) this.tier.budget.release('layouts', -bytes);
    else this.tier.budget.charge('layouts', bytes);
    this.tier.learned.trim();
    this.tier.trim();
  }

  fitsLayout(bytes: number): boolean {
    return bytes <= this.tier.budget.limitBytes('layouts') * LEARNED_SHARE_MAX;
  }

  /** Called once no snapshot to come has this file; requests that still read it are few and short. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.tier.budget.release('metadata', this.#footerBytes);
    this.tier.budget.release('layouts', this.#layoutBytes);
    for (const chunk of this.#chunks.all()) chunk.release();
    for (const places of this.#places) if (places !== undefined) this.tier.learned.remove(places);
    this.#audience?.released(this);
    this.#audience = undefined;
  }

  /** Tells what is known of the file, and from then on what changes. */
  tell(audience: FileAudience): void {
    this.#audience = audience;
    this.describeTo(audience);
  }

  /** What is known now. */
  describeTo(audience: FileAudience): void {
    for (const [rowGroup, places] of this.#places.entries()) {
      if (places !== undefined) audience.places(this, rowGroup, places.places.words);
    }
    for (const chunk of this.#chunks.all()) {
      const { rowGroup, layout, dictionary } = chunk;
      const column = chunk.chunk.leaf.ordinal;
      if (layout !== undefined) audience.layout(this, rowGroup, column, layout);
      if (dictionary !== undefined) audience.dictionary(this, rowGroup, column, dictionary);
    }
  }

  /** Undefined where nobody is told. */
  get told() {
    return this.#audience === undefined ? undefined : this.#telling;
  }

  placesOf(rowGroup: number): BlockPlaces | undefined {
    return this.#places[rowGroup]?.places;
  }

  openPlaces(rowGroup: number): BlockPlaces {
    let opened = this.#places[rowGroup];
    if (opened === undefined) {
      opened = new RowGroupPlaces(this.index.schema.leaves.length, this.tier.isShared, () =>
        this.#forgetPlaces(rowGroup),
      );
      this.#places[rowGroup] = opened;
      this.addLayout(opened.places.byteSize);
      this.placesChanged(rowGroup);
      this.told?.places(rowGroup);
    }
    opened.isUsed = true;
    return opened.places;
  }

  /** Places of which none is taken may be forgotten. */
  placesChanged(rowGroup: number): void {
    const opened = this.#places[rowGroup];
    if (opened === undefined || this.#released) return;
    if (opened.places.residents === 0) this.tier.learned.add(opened);
    else this.tier.learned.remove(opened);
  }

  #forgetPlaces(rowGroup: number): void {
    const columns = this.index.schema.leaves.length;
    for (const chunk of this.#chunks.all(rowGroup * columns, (rowGroup + 1) * columns)) chunk.losePlaces();
    const places = this.placesOf(rowGroup);
    this.addLayout(-(places?.byteSize ?? 0));
    this.#places[rowGroup] = undefined;
    if (this.tier.isShared) places?.supersede();
  }

  /** Key columns are the ones whose page bounds are worth reading. */
  isKey(leaf: LeafColumn): boolean {
    return this.#keyColumns.has(leaf.name);
  }

  /** Every layout that is known so far, by row group times columns plus column. */
  layouts(): ReadonlyMap<number, ChunkLayout> {
    const layouts = new Map<number, ChunkLayout>();
    for (const [at, chunk] of this.#chunks.kept()) {
      if (chunk.layout !== undefined) layouts.set(at, chunk.layout);
    }
    return layouts;
  }

  /** What is charged beside the footer, counted again: of each chunk, and of the places of each row group. */
  chargedBytes(): number {
    let bytes = 0;
    for (const [, chunk] of this.#chunks.kept()) bytes += chunk.chargedBytes;
    for (const opened of this.#places) bytes += opened?.places.byteSize ?? 0;
    return bytes;
  }

  chunk(rowGroup: number, column: number): ChunkBlocks {
    const known = this.#chunks.at(rowGroup * this.index.schema.leaves.length + column);
    if (known !== undefined) return known;
    const chunk = new ChunkBlocks(this.index.chunk(rowGroup, column), rowGroup, this, this.tier);
    this.keepChunk(chunk);
    return chunk;
  }

  keepChunk(chunk: ChunkBlocks): void {
    this.#chunks.keep(this.#placeOf(chunk), chunk);
    if (this.#released) return;
    this.tier.learned.add(chunk);
    this.addLayout(CHUNK_BYTES);
  }

  fadeChunk(chunk: ChunkBlocks): void {
    this.#chunks.fade(this.#placeOf(chunk), chunk);
    this.addLayout(-CHUNK_BYTES);
  }

  #placeOf({ rowGroup, chunk }: ChunkBlocks): number {
    return rowGroup * this.index.schema.leaves.length + chunk.leaf.ordinal;
  }
}

/** A file that could not be opened: a key that it might hold is `not_covered`, never absent. */
export interface BrokenFile {
  readonly object: ObjectMeta;
  readonly error: ServiceError;
}

/** A footer cannot be evicted, so a snapshot with too many is refused rather than leave nothing for blocks. */
function metadataTooLarge(budget: Budget, moreBytes: number): ServiceError {
  const limitBytes = budget.limitBytes('metadata');
  const neededBytes = budget.usedBytes('metadata') - budget.usedBytes('layouts') + moreBytes;
  const message =
    `the footers of all tables need ${formatBytes(neededBytes)} of memory or more, and may take ${formatBytes(limitBytes)}, ` +
    'half of `cache.memory`; raise `cache.memory`, or serve fewer files or files with fewer row groups';
  return new ServiceError('unavailable', 'metadata_too_large', message, { neededBytes, limitBytes });
}
