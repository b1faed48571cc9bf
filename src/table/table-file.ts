/** One Parquet file of a table: where it lies, its compact footer, and the blocks of it that are in memory. */

import type { MemoryTier } from '../cache/index.ts';
import type { ServiceError } from '../core/index.ts';
import type { FileIndex, LeafColumn } from '../parquet/index.ts';
import type { ObjectMeta, ObjectStore } from '../storage/index.ts';
import { ChunkBlocks, type ChunkLayout, type MetadataOwner } from './chunk-blocks.ts';
import type { StoredFile } from './stored-file.ts';

export class TableFile implements MetadataOwner {
  readonly store: ObjectStore;
  readonly object: ObjectMeta;
  readonly index: FileIndex;
  readonly stored: StoredFile | undefined;
  readonly #keyColumns: ReadonlySet<string>;
  readonly #tier: MemoryTier;
  #metadataBytes = 0;
  #released = false;
  /** By row group, then column; made on first use. */
  readonly #chunks: (ChunkBlocks | undefined)[];

  constructor(
    store: ObjectStore,
    object: ObjectMeta,
    index: FileIndex,
    keyColumns: readonly string[],
    tier: MemoryTier,
    stored?: StoredFile,
  ) {
    this.store = store;
    this.stored = stored;
    this.object = object;
    this.index = index;
    this.#keyColumns = new Set(keyColumns);
    this.#tier = tier;
    this.#chunks = new Array(index.rowGroups * index.schema.leaves.length);
    this.addMetadata(index.byteSize);
  }

  /** Charges the node's budget, and makes room for it by evicting blocks. */
  addMetadata(bytes: number): void {
    if (this.#released) return;
    this.#metadataBytes += bytes;
    this.#tier.budget.charge('metadata', bytes);
    this.#tier.trim();
  }

  /** Called once no snapshot to come has this file; requests that still read it are few and short. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#tier.budget.release('metadata', this.#metadataBytes);
  }

  /** Key columns are the ones whose page bounds are worth reading. */
  isKey(leaf: LeafColumn): boolean {
    return this.#keyColumns.has(leaf.name);
  }

  /** Every layout that is known so far, by row group times columns plus column. */
  layouts(): ReadonlyMap<number, ChunkLayout> {
    const layouts = new Map<number, ChunkLayout>();
    for (const [at, chunk] of this.#chunks.entries()) {
      if (chunk?.layout !== undefined) layouts.set(at, chunk.layout);
    }
    return layouts;
  }

  chunk(rowGroup: number, column: number): ChunkBlocks {
    const at = rowGroup * this.index.schema.leaves.length + column;
    let chunk = this.#chunks[at];
    if (chunk === undefined) {
      chunk = new ChunkBlocks(this.index.chunk(rowGroup, column), rowGroup, this, this.#tier);
      this.#chunks[at] = chunk;
    }
    return chunk;
  }
}

/** A file that could not be opened: a key that it might hold is `not_covered`, never absent. */
export interface BrokenFile {
  readonly object: ObjectMeta;
  readonly error: ServiceError;
}
