/**
 * The disk tier: decoded blocks in slab files, found again after a restart.
 *
 * A read gives the bytes that were stored or nothing: every frame is held against its checksums and its whole identity,
 * so that neither a crash, nor a worn disk, nor a frame that was meanwhile given to another block makes an answer wrong.
 * No fault of the disk reaches who reads.
 *
 * Writes are gathered in a bounded queue and done a batch at a time, off every lookup's path; when the disk cannot keep
 * up, what is offered is dropped. An empty disk takes everything that lookups fetched: filling it once wears it by one
 * write of its size. A full one takes only what was wanted twice, so that a scan or a stray key evicts nothing.
 */

import type { Clock } from '../core/index.ts';
import { DiskFaults } from './disk-faults.ts';
import type { DiskFolder } from './disk-folder.ts';
import { encodeFrame, frameBytesOf, openFrame } from './disk-frame.ts';
import { type BlockIdentity, highHash, lowHash } from './disk-identity.ts';
import { type DiskIo, systemDiskIo } from './disk-io.ts';
import { ReadPace } from './disk-pace.ts';
import { DiskSlabs } from './disk-slabs.ts';

const SLAB_FOLDER = 'blocks';
/** Bytes that wait to be written. */
const QUEUE_BYTES_MAX = 32 * 2 ** 20;
/** Bytes of a batch: what is copied and summed in one turn of the event loop. */
const BATCH_BYTES = 128 * 1024;
/** After a failed write the disk is left alone for a while. */
const PAUSE_MS = 5_000;
/** Blocks remembered as wanted once while the disk is full: about half as many as it holds, within these. */
const GHOSTS_MIN = 2 ** 12;
const GHOSTS_MAX = 2 ** 22;
const BYTES_A_GHOST = 2 ** 16;

export interface DiskTierOptions {
  readonly folder: DiskFolder;
  /** Bytes of all slab files. */
  readonly sizeBytes: number;
  readonly clock: Clock;
  readonly log?: (line: string) => void;
  readonly io?: DiskIo;
  readonly queueBytesMax?: number;
  /** Told by how much the memory that finding blocks takes has changed. */
  readonly onMemory?: (bytes: number) => void;
}

export interface DiskTierState {
  readonly bytes: number;
  readonly budgetBytes: number;
  readonly blocks: number;
  readonly hits: number;
  readonly written: number;
  readonly evicted: number;
  /** Offers that were dropped: the queue was full, or the disk is and the block was wanted but once. */
  readonly dropped: number;
  /** Frames that were not what they should be. */
  readonly invalid: number;
  /** Reads, writes and files that the system refused. */
  readonly faults: number;
}

interface Offer {
  readonly identity: BlockIdentity;
  readonly payload: Uint8Array;
  readonly wantedAgain: boolean;
}

export class DiskTier {
  readonly #clock: Clock;
  readonly #io: DiskIo;
  readonly #slabs: DiskSlabs;
  readonly #faults: DiskFaults;
  readonly #pace = new ReadPace();
  readonly #queueBytesMax: number;
  readonly #queue: Offer[] = [];
  readonly #ghosts: Uint32Array;
  readonly #onMemory: (bytes: number) => void;
  #memoryBytes = 0;
  readonly #reading = new Set<Promise<unknown>>();
  #queuedBytes = 0;
  #writing: Promise<void> | undefined = undefined;
  #pausedUntilMs = 0;
  #isClosed = false;
  #hits = 0;
  #written = 0;
  #dropped = 0;
  #invalid = 0;

  /** Throws what the system throws when the folder cannot be read. */
  constructor(options: DiskTierOptions) {
    const { folder, sizeBytes, clock, log = () => undefined, io = systemDiskIo } = options;
    const { path, names } = folder.subfolder(SLAB_FOLDER);
    this.#clock = clock;
    this.#io = io;
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
    this.#slabs = new DiskSlabs(path, sizeBytes, names, () => folder.check());
    this.#faults = new DiskFaults(clock, log);
    const ghosts = 2 ** Math.ceil(Math.log2(Math.max(1, sizeBytes / BYTES_A_GHOST)));
    this.#ghosts = new Uint32Array(Math.min(GHOSTS_MAX, Math.max(GHOSTS_MIN, ghosts)));
    this.#onMemory = options.onMemory ?? (() => undefined);
    this.#tellMemory();
  }

  get state(): DiskTierState {
    const { bytes, blocks, evicted } = this.#slabs.state;
    return {
      bytes,
      budgetBytes: this.#slabs.sizeBytes,
      blocks,
      hits: this.#hits,
      written: this.#written,
      evicted,
      dropped: this.#dropped,
      invalid: this.#invalid,
      faults: this.#faults.count,
    };
  }

  /** Whether the block seems to be there; only a read proves it. */
  has(identity: BlockIdentity): boolean {
    return this.#slabs.find(highHash(identity), lowHash(identity)) >= 0;
  }

  /**
   * The block's bytes, at a multiple of 8 of a buffer of their own, or undefined. At once while the disk answers fast,
   * else a promise, which never rejects.
   */
  read(identity: BlockIdentity): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    const high = highHash(identity);
    const low = lowHash(identity);
    const location = this.#slabs.find(high, low);
    const slab = location < 0 ? undefined : this.#slabs.slabOf(location);
    if (slab === undefined || this.#isClosed) return undefined;
    const frame = this.#slabs.frameOf(location);
    // Of its own memory, since the block is a view of it; filled by the read or refused by the checksums.
    const buffer = Buffer.allocUnsafeSlow(slab.lengths[frame] ?? 0);
    const position = slab.frameAt(frame);
    this.#slabs.visit(location);
    if (!this.#pace.mayHoldUp()) return this.#readAside(slab.fd, buffer, position, identity, high, low, location);
    const started = performance.now();
    try {
      this.#io.readSync(slab.fd, buffer, position);
    } catch (thrown) {
      return this.#refuse(location, high, low, thrown);
    } finally {
      this.#pace.tookAtOnce(performance.now() - started);
    }
    return this.#opened(buffer, identity, high, low, location);
  }

  /**
   * Offers a block to be kept; its bytes must not change. On a full disk it is taken only when it was offered before or
   * is known to be wanted again.
   */
  offer(identity: BlockIdentity, payload: Uint8Array, wantedAgain = false): void {
    const high = highHash(identity);
    const low = lowHash(identity);
    const bytes = frameBytesOf(payload.length);
    if (this.#isClosed || bytes > this.#slabs.frameBytesMax || this.#slabs.find(high, low) >= 0) return;
    const isIn = wantedAgain || this.#slabs.hasRoom(bytes) || this.#isKnownGhost(high, low);
    const isBusy = this.#queuedBytes + bytes > this.#queueBytesMax || this.#clock.nowMs() < this.#pausedUntilMs;
    if (!isIn || isBusy) {
      this.#dropped += 1;
      return;
    }
    this.#queue.push({ identity, payload, wantedAgain: wantedAgain || !this.#slabs.hasRoom(bytes) });
    this.#queuedBytes += bytes;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when nothing waits to be written. */
  async idle(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Writes what is queued, then lets go of the files. */
  async close(): Promise<void> {
    await this.idle();
    this.#isClosed = true;
    await Promise.all(this.#reading);
    this.#slabs.close();
  }

  /** Counts a fault of files beside the slabs. */
  fault(what: string, thrown: unknown): void {
    this.#faults.add(what, thrown);
  }

  async #readAside(
    fd: number,
    buffer: Buffer,
    position: number,
    identity: BlockIdentity,
    high: number,
    low: number,
    location: number,
  ): Promise<Uint8Array | undefined> {
    const reading = this.#io.read(fd, buffer, position).then(
      () => this.#opened(buffer, identity, high, low, location),
      (thrown) => this.#refuse(location, high, low, thrown),
    );
    this.#reading.add(reading);
    return reading.finally(() => this.#reading.delete(reading));
  }

  #opened(
    buffer: Buffer,
    identity: BlockIdentity,
    high: number,
    low: number,
    location: number,
  ): Uint8Array | undefined {
    const payload = openFrame(buffer, identity);
    if (payload !== undefined) {
      this.#hits += 1;
      return payload;
    }
    this.#invalid += 1;
    // Meanwhile the block may have found another place, which need not be wrong.
    if (this.#slabs.find(high, low) === location) this.#slabs.forget(location);
    return undefined;
  }

  #refuse(location: number, high: number, low: number, thrown: unknown): undefined {
    this.#faults.add('a block cannot be read', thrown);
    if (this.#slabs.find(high, low) === location) this.#slabs.forget(location);
    return undefined;
  }

  /** Remembers the hash, and tells whether it was remembered. */
  #isKnownGhost(high: number, low: number): boolean {
    const at = low % this.#ghosts.length;
    const known = this.#ghosts[at] === high;
    this.#ghosts[at] = high;
    return known;
  }

  async #writeAll(): Promise<void> {
    // Begins in a turn of its own: whoever offers is answering a lookup.
    await nextTurn();
    while (this.#queue.length > 0) {
      try {
        await this.#writeBatch(this.#nextBatch());
      } catch (thrown) {
        this.#faults.add('blocks cannot be written', thrown);
        this.#pausedUntilMs = this.#clock.nowMs() + PAUSE_MS;
        this.#dropped += this.#queue.length;
        this.#queue.length = 0;
        this.#queuedBytes = 0;
      }
      this.#tellMemory();
      await nextTurn();
    }
    this.#writing = undefined;
  }

  #tellMemory(): void {
    const bytes = this.#slabs.byteSize + this.#ghosts.byteLength;
    if (bytes !== this.#memoryBytes) this.#onMemory(bytes - this.#memoryBytes);
    this.#memoryBytes = bytes;
  }

  #nextBatch(): readonly Offer[] {
    const batch: Offer[] = [];
    let bytes = 0;
    for (const offer of this.#queue) {
      bytes += frameBytesOf(offer.payload.length);
      if (batch.length > 0 && bytes > BATCH_BYTES) break;
      batch.push(offer);
    }
    this.#queue.splice(0, batch.length);
    for (const { payload } of batch) this.#queuedBytes -= frameBytesOf(payload.length);
    return batch;
  }

  /** Frames first, then the pages of the tables that tell of them. */
  async #writeBatch(batch: readonly Offer[]): Promise<void> {
    const tables = new Map<string, { readonly location: number }>();
    const outcomes = await Promise.allSettled(
      batch.map(async (offer) => {
        const location = await this.#writeFrame(offer);
        const slab = location < 0 ? undefined : this.#slabs.slabOf(location);
        if (slab === undefined) return;
        tables.set(`${slab.number} ${slab.tablePageOf(this.#slabs.frameOf(location))}`, { location });
      }),
    );
    await Promise.all([...tables.values()].map(({ location }) => this.#writeTable(location)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  async #writeFrame({ identity, payload, wantedAgain }: Offer): Promise<number> {
    const high = highHash(identity);
    const low = lowHash(identity);
    if (this.#slabs.find(high, low) >= 0) return -1;
    const bytes = frameBytesOf(payload.length);
    // There was room when it was offered; others may have taken it.
    if (!wantedAgain && !this.#slabs.hasRoom(bytes) && !this.#isKnownGhost(high, low)) {
      this.#dropped += 1;
      return -1;
    }
    const location = this.#slabs.reserve(bytes);
    const slab = location < 0 ? undefined : this.#slabs.slabOf(location);
    if (slab === undefined) return -1;
    const frame = Buffer.allocUnsafe(bytes);
    encodeFrame(frame, identity, payload);
    try {
      await this.#io.write(slab.fd, frame, slab.frameAt(this.#slabs.frameOf(location)));
    } catch (thrown) {
      this.#slabs.release(location);
      throw thrown;
    }
    this.#slabs.commit(location, high, low, bytes);
    this.#written += 1;
    return location;
  }

  async #writeTable(location: number): Promise<void> {
    const slab = this.#slabs.slabOf(location);
    if (slab === undefined) return;
    const frame = this.#slabs.frameOf(location);
    // The slab may have been laid out anew since, for fewer frames.
    if (frame >= slab.frames) return;
    const page = slab.tablePageOf(frame);
    await this.#io.write(slab.fd, slab.tablePage(page), slab.tablePageAt(page));
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
