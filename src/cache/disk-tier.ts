/**
 * The disk tier: decoded blocks in slab files, found again after a restart.
 *
 * A read gives the bytes that were stored or nothing: every sector is held against its checksum and the whole identity of
 * its block, so that neither a crash, nor a worn disk, nor a frame that was meanwhile given to another block makes an
 * answer wrong. No fault of the disk reaches who reads.
 *
 * A block can be read whole, to be kept in memory, or by as much of it as a lookup needs. What is needed only once should
 * evict nothing from memory, so a block that is read a second time within a while is the one to be kept.
 */

import type { Clock } from '../core/index.ts';
import { DiskFaults } from './disk-faults.ts';
import type { DiskFolder } from './disk-folder.ts';
import { Ghosts } from './disk-ghosts.ts';
import { type BlockIdentity, highHash, lowHash } from './disk-identity.ts';
import { type DiskIo, systemDiskIo } from './disk-io.ts';
import type { ReadPace } from './disk-pace.ts';
import type { DiskParts } from './disk-parts.ts';
import { DiskReader, type ReadCounts } from './disk-reader.ts';
import { DiskSlabs } from './disk-slabs.ts';
import { DiskWriter } from './disk-writer.ts';

const SLAB_FOLDER = 'blocks';
/**
 * Of the memory that blocks rise to, bytes for each block remembered as read in part: about a quarter as many as it holds.
 * Reading a block whole costs as much as reading rows of it five times, so it must come back sooner than memory would
 * forget it.
 */
export const BYTES_A_TOUCH = 128 * 1024;
const MEMORY_BYTES_DEFAULT = 2 ** 28;

export interface DiskTierOptions {
  readonly folder: DiskFolder;
  /** Bytes of all slab files. */
  readonly sizeBytes: number;
  readonly clock: Clock;
  /** Bytes of the memory that blocks rise to. */
  readonly memoryBytes?: number | undefined;
  /** Whether memory should have one more block of which parts are wanted; by default always. */
  readonly isWorthMemory?: () => boolean;
  readonly log?: (line: string) => void;
  readonly io?: DiskIo;
  readonly queueBytesMax?: number;
  /** Told by how much the memory that finding blocks takes has changed. */
  readonly onMemory?: (bytes: number) => void;
}

export interface DiskTierState extends ReadCounts {
  readonly bytes: number;
  readonly budgetBytes: number;
  readonly blocks: number;
  readonly written: number;
  readonly evicted: number;
  /** Offers that were dropped: the queue was full, or the disk is and the block was wanted but once. */
  readonly dropped: number;
  /** Reads, writes and files that the system refused. */
  readonly faults: number;
}

export class DiskTier {
  readonly #slabs: DiskSlabs;
  readonly #faults: DiskFaults;
  readonly #reader: DiskReader;
  readonly #writer: DiskWriter;
  readonly #touched: Ghosts;
  readonly #isWorthMemory: () => boolean;
  readonly #onMemory: (bytes: number) => void;
  #memoryBytes = 0;
  #isClosed = false;

  /** Throws what the system throws when the folder cannot be read. */
  constructor(options: DiskTierOptions) {
    const { folder, sizeBytes, clock, log = () => undefined, io = systemDiskIo } = options;
    const { path, names } = folder.subfolder(SLAB_FOLDER);
    this.#slabs = new DiskSlabs(path, sizeBytes, names, () => folder.check());
    this.#faults = new DiskFaults(clock, log);
    this.#reader = new DiskReader(this.#slabs, io, this.#faults);
    const { queueBytesMax } = options;
    const onBatch = () => this.#tellMemory();
    this.#writer = new DiskWriter(this.#slabs, io, this.#faults, { clock, queueBytesMax, onBatch });
    this.#touched = new Ghosts((options.memoryBytes ?? MEMORY_BYTES_DEFAULT) / BYTES_A_TOUCH);
    this.#isWorthMemory = options.isWorthMemory ?? (() => true);
    this.#onMemory = options.onMemory ?? (() => undefined);
    this.#tellMemory();
  }

  get state(): DiskTierState {
    const { bytes, blocks, evicted } = this.#slabs.state;
    return {
      ...this.#reader.counts,
      bytes,
      budgetBytes: this.#slabs.sizeBytes,
      blocks,
      written: this.#writer.written,
      evicted,
      dropped: this.#writer.dropped,
      faults: this.#faults.count,
    };
  }

  /** Whether the block seems to be there; only a read proves it. */
  has(identity: BlockIdentity): boolean {
    return this.#slabs.find(highHash(identity), lowHash(identity)) >= 0;
  }

  /**
   * The block's bytes, at the start of a buffer of their own, or undefined. At once while the disk answers fast, else a
   * promise, which never rejects.
   */
  read(identity: BlockIdentity): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const frame = this.#reader.find(identity);
    return frame && this.#reader.whole(frame);
  }

  /** The block, to read a part of it and release it then; undefined where it is not there. */
  parts(identity: BlockIdentity): DiskParts | undefined {
    const frame = this.#reader.find(identity);
    return frame && this.#reader.parts(frame);
  }

  /** Remembers that a part of the block is wanted; true where that was so a while ago, and memory should have the block. */
  touch(identity: BlockIdentity): boolean {
    return this.#touched.wasSeen(highHash(identity), lowHash(identity)) && this.#isWorthMemory();
  }

  /** Reads of all that is on disk share what they may hold up. */
  get pace(): ReadPace {
    return this.#reader.pace;
  }

  /** Undefined where reading may go on in this turn of the event loop; else resolves in one where it may. */
  turn(): Promise<void> | undefined {
    return this.#reader.pace.turn();
  }

  /**
   * Offers a block to be kept; its bytes must not change. On a full disk it is taken only when it was offered before or
   * is known to be wanted again. `form` comes back with its parts.
   */
  offer(identity: BlockIdentity, payload: Uint8Array, isWantedAgain = false, form = 0): void {
    if (!this.#isClosed) this.#writer.offer({ identity, payload, form, isWantedAgain });
  }

  /** Resolves when nothing waits to be written. */
  idle(): Promise<void> {
    return this.#writer.idle();
  }

  /** Writes what is queued, then lets go of the files. */
  async close(): Promise<void> {
    await this.idle();
    this.#isClosed = true;
    await this.#reader.close();
    this.#slabs.close();
  }

  /** Counts a fault of files beside the slabs. */
  fault(what: string, thrown: unknown): void {
    this.#faults.add(what, thrown);
  }

  #tellMemory(): void {
    const bytes = this.#slabs.byteSize + this.#writer.byteSize + this.#touched.byteSize;
    if (bytes !== this.#memoryBytes) this.#onMemory(bytes - this.#memoryBytes);
    this.#memoryBytes = bytes;
  }
}
