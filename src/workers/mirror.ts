/**
 * What a serving thread knows of the node: the tables that the main loop serves, over memory that it shares.
 *
 * Snapshots and files are made here as there, of the same metadata and by the same code, so that rows are found and written alike.
 * What lookups there learn of files comes by messages, later than there, and until then is not known here.
 */

import { isDeepStrictEqual } from 'node:util';
import { MemoryQuota, SharedBlocks } from '../cache/index.ts';
import { assert, BufferViews, fromPlainError, ServiceError } from '../core/index.ts';
import { KeyRun } from '../keyindex/index.ts';
import { Block, FileIndex } from '../parquet/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { BlockPlaces, type BrokenFile, KeyIndex, layoutOver, RowSpaces, Snapshot, TableFile } from '../table/index.ts';
import type { Told, ToldIndex, ToldTable } from './messages.ts';

export class Mirror {
  readonly blocks: SharedBlocks;
  /** The last change of what tables serve that was heard of. */
  version = 0;
  readonly #files = new Map<number, MirroredFile>();
  readonly #tables = new Map<string, MirroredTable>();

  constructor(slabBytes: number) {
    this.blocks = new SharedBlocks(slabBytes);
  }

  /** A table, unless it is not known here. */
  find(name: string): MirroredTable | undefined {
    return this.#tables.get(name);
  }

  take(told: Told): void {
    if (told.kind === 'slab') this.blocks.addSlab(told.slab, told.buffer);
    else if (told.kind === 'noSlab') this.blocks.dropSlab(told.slab);
    else if (told.kind === 'file') {
      const index = FileIndex.load(told.index, KNOWN);
      const file = new MirroredFile(NOWHERE, told.object, index, [], this.blocks, new MemoryQuota());
      this.#files.set(told.file, file);
    } else if (told.kind === 'noFile') this.#files.delete(told.file);
    else if (told.kind === 'layout') this.#files.get(told.file)?.putLayout(told.rowGroup, told.column, told.bytes);
    else if (told.kind === 'places') this.#files.get(told.file)?.putPlaces(told.rowGroup, told.words);
    else if (told.kind === 'dictionary') {
      this.#files.get(told.file)?.putDictionary(told.rowGroup, told.column, told.bytes);
    } else if (told.kind === 'table') this.#putTable(told);
    else if (told.kind === 'noTable') {
      this.#tables.delete(told.name);
      this.version = told.version;
    } else if (told.kind === 'confirmed') this.#tables.get(told.name)?.confirm(told.confirmedAtMs);
    else if (told.kind === 'index') this.#tables.get(told.name)?.putIndex(told.index);
    else assert(false, `a mirror is not told of ${told.kind}`);
  }

  #putTable(told: ToldTable): void {
    const { name } = told.definition;
    this.version = told.version;
    const files: (TableFile | BrokenFile)[] = [];
    for (const file of told.files) {
      const known =
        typeof file === 'number' ? this.#files.get(file) : { object: file.object, error: fromPlainError(file.error) };
      if (known !== undefined) files.push(known);
    }
    if (files.length === told.files.length) {
      this.#tables.set(name, new MirroredTable(told, files, this.#tables.get(name)));
    } else this.#tables.delete(name);
  }
}

/** It was checked where it came from. */
const KNOWN = { checksum: 'of storage' } as const;

/** A table as lookups see it. */
class MirroredTable {
  readonly name: string;
  readonly #snapshot: Snapshot;
  readonly #spaces: RowSpaces;
  /** Keys whose index only the main loop can read: then all lookups are its. */
  readonly #elsewhere = new Set<number>();

  /** Kept rows of the table before stay good where its definition is the same. */
  constructor(told: ToldTable, files: readonly (TableFile | BrokenFile)[], before: MirroredTable | undefined) {
    const { definition, createdAtMs } = told;
    const isSame = before !== undefined && isDeepStrictEqual(before.#snapshot.definition, definition);
    this.name = definition.name;
    this.#spaces = isSame ? before.#spaces : new RowSpaces();
    this.#snapshot = new Snapshot(isSame ? before.#snapshot.definition : definition, files, createdAtMs, this.#spaces);
    this.#snapshot.confirmedAtMs = told.confirmedAtMs;
    for (const index of told.indexes) this.putIndex(index);
  }

  current(): Snapshot {
    if (this.#elsewhere.size > 0) throw notHere(this.name);
    return this.#snapshot;
  }

  asOf(id: string): Snapshot {
    const snapshot = this.current();
    if (snapshot.id !== id) throw notHere(this.name);
    return snapshot;
  }

  confirm(confirmedAtMs: number): void {
    this.#snapshot.confirmedAtMs = confirmedAtMs;
  }

  putIndex({ key: ordinal, runs }: ToldIndex): void {
    const key = this.#snapshot.keys[ordinal];
    if (runs === 'elsewhere') this.#elsewhere.add(ordinal);
    else this.#elsewhere.delete(ordinal);
    if (key === undefined || runs === 'elsewhere') return;
    const index = new KeyIndex(ordinal);
    for (const bytes of runs) index.add(KeyRun.openKnown(bytes));
    key.index = runs.length === 0 ? undefined : index.view(this.#snapshot.files);
  }
}

class MirroredFile extends TableFile {
  readonly #shared: (BlockPlaces | undefined)[] = [];

  override placesOf(rowGroup: number): BlockPlaces | undefined {
    if (this.#shared[rowGroup]?.isSuperseded === true) this.#shared[rowGroup] = undefined;
    return this.#shared[rowGroup];
  }

  /** Its dictionary is told once, and may be needed again. */
  override fadeChunk(): void {}

  putPlaces(rowGroup: number, words: Int32Array): void {
    this.#shared[rowGroup] = new BlockPlaces(this.index.schema.leaves.length, false, words);
  }

  putLayout(rowGroup: number, column: number, bytes: Uint8Array | undefined): void {
    const chunk = this.chunk(rowGroup, column);
    chunk.forget();
    if (bytes === undefined) return;
    chunk.learn(layoutOver(bytes, chunk.chunk.leaf, this.index.rowGroupRows(rowGroup)));
    // Filters save reading pages. What is not in memory is not read here anyway.
    chunk.learnBloomFilter('none');
  }

  putDictionary(rowGroup: number, column: number, bytes: Uint8Array | undefined): void {
    this.chunk(rowGroup, column).dictionary = bytes && new Block(new BufferViews(bytes.buffer), bytes.byteOffset);
  }
}

function notHere(table: string): ServiceError {
  return new ServiceError('unavailable', 'loading', `table ${table} is answered by the main loop for now`);
}

function nothing(): never {
  assert(false, 'a serving thread reads no storage');
}

/** Serving threads pass on what needs storage. */
const NOWHERE: ObjectStore = {
  kind: 'file',
  cheapReads: true,
  head: nothing,
  getRange: nothing,
  list: nothing,
  close: nothing,
};
