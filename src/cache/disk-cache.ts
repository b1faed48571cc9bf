/**
 * What a node keeps on disk, made together: the owned folder, the slabs of blocks, the files of metadata.
 *
 *     FOLDER/lock        who owns it
 *     FOLDER/blocks/     slab files
 *     FOLDER/files/      what is known of each Parquet file
 *     FOLDER/snapshots/  the last snapshot of each table
 *     FOLDER/indexes/    the runs of key indexes
 */

import type { Clock } from '../core/index.ts';
import { DiskFiles } from './disk-files.ts';
import { DiskFolder } from './disk-folder.ts';
import type { DiskIo } from './disk-io.ts';
import { DiskTier } from './disk-tier.ts';

/** Of the size given, what the files of metadata may take. */
const FILES_SHARE = 1 / 16;
/** And what key indexes may take. */
export const INDEXES_SHARE = 1 / 8;

export interface DiskCacheOptions {
  readonly path: string;
  /** Bytes of all that lies below the folder. */
  readonly sizeBytes: number;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly io?: DiskIo;
  /** Bytes of the memory that blocks rise to from disk. */
  readonly memoryBytes?: number;
  /** Whether that memory should have one more block of which parts are wanted; by default always. */
  readonly isWorthMemory?: () => boolean;
  readonly onMemory?: (bytes: number) => void;
  readonly queueBytesMax?: number;
}

export class DiskCache {
  readonly blocks: DiskTier;
  readonly files: DiskFiles;
  readonly snapshots: DiskFiles;
  readonly indexes: DiskFiles;
  readonly #folder: DiskFolder;
  #closing: Promise<void> | undefined = undefined;

  private constructor(folder: DiskFolder, options: DiskCacheOptions) {
    const filesBytes = Math.floor(options.sizeBytes * FILES_SHARE);
    const indexesBytes = Math.floor(options.sizeBytes * INDEXES_SHARE);
    const onFault = (what: string, thrown: unknown) => this.blocks.fault(what, thrown);
    this.#folder = folder;
    this.blocks = new DiskTier({ ...options, folder, sizeBytes: options.sizeBytes - filesBytes - indexesBytes });
    this.files = new DiskFiles(folder, 'files', filesBytes, onFault);
    this.snapshots = new DiskFiles(folder, 'snapshots', filesBytes, onFault);
    this.indexes = new DiskFiles(folder, 'indexes', indexesBytes, onFault, options.io, this.blocks.pace);
  }

  /** Undefined, and a line in the log, where the folder cannot be used: a node runs without a disk cache then. */
  static open(options: DiskCacheOptions): DiskCache | undefined {
    const { path, log } = options;
    let folder: DiskFolder | undefined;
    try {
      folder = DiskFolder.own(path);
      if (folder !== undefined) return new DiskCache(folder, options);
      log(`disk cache: another process owns ${path}; this one runs without a disk cache`);
    } catch (thrown) {
      folder?.release();
      log(`disk cache: ${path} cannot be used, so there is none: ${(thrown as Error).message}`);
    }
    return undefined;
  }

  /** Removes the metadata and snapshots that nobody names any more. */
  async sweep(named: ReadonlySet<string>): Promise<void> {
    for (const files of [this.files, this.snapshots, this.indexes]) {
      for (const name of files.names()) if (!named.has(name)) await files.remove(name);
    }
  }

  async idle(): Promise<void> {
    await Promise.all([this.blocks, this.files, this.snapshots, this.indexes].map((part) => part.idle()));
  }

  /** Writes what is queued, then lets go of the folder; again does nothing. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.idle();
    await this.blocks.close();
    this.#folder.release();
  }
}
