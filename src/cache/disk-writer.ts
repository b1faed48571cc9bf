/**
 * Puts blocks into frames: a bounded queue, written a batch at a time, off every lookup's path.
 *
 * An empty disk takes everything that lookups fetched: filling it once wears it by one write of its size. A full one takes
 * only what was wanted twice, so that a scan or a stray key evicts nothing. When the disk cannot keep up, what is offered
 * is dropped.
 */

import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/index.ts';
import type { DiskFaults } from './disk-faults.ts';
import { encodeFrame, frameBytesOf } from './disk-frame.ts';
import { Ghosts } from './disk-ghosts.ts';
import { type BlockIdentity, highHash, lowHash, marksOf } from './disk-identity.ts';
import type { DiskIo } from './disk-io.ts';
import type { DiskSlabs } from './disk-slabs.ts';

/** Bytes that wait to be written. */
const QUEUE_BYTES_MAX = 32 * 2 ** 20;
/** Bytes of a batch: what is copied and summed in one turn of the event loop. */
const BATCH_BYTES = 128 * 1024;
/** After a failed write the disk is left alone for a while. */
const PAUSE_MS = 5_000;
/** Blocks remembered as wanted once while the disk is full: about half as many as it holds, but some. */
const BYTES_A_GHOST = 2 ** 16;
const GHOSTS_MIN = 2 ** 12;

export interface DiskWriterOptions {
  readonly clock: Clock;
  readonly queueBytesMax?: number | undefined;
  /** Called after each batch. */
  readonly onBatch: () => void;
}

/** What is offered; its bytes must not change. */
export interface Offer {
  readonly identity: BlockIdentity;
  readonly payload: Uint8Array;
  /** Kept beside the payload, for whoever reads it; less than 255. */
  readonly form: number;
  /** Known to be wanted again, so that a full disk takes it. */
  readonly isWantedAgain: boolean;
}

export class DiskWriter {
  readonly #slabs: DiskSlabs;
  readonly #io: DiskIo;
  readonly #faults: DiskFaults;
  readonly #options: DiskWriterOptions;
  readonly #queueBytesMax: number;
  readonly #queue: Offer[] = [];
  readonly #ghosts: Ghosts;
  #queuedBytes = 0;
  #writing: Promise<void> | undefined = undefined;
  #pausedUntilMs = 0;
  #stamp = 0;
  #written = 0;
  #dropped = 0;

  constructor(slabs: DiskSlabs, io: DiskIo, faults: DiskFaults, options: DiskWriterOptions) {
    this.#slabs = slabs;
    this.#io = io;
    this.#faults = faults;
    this.#options = options;
    this.#queueBytesMax = options.queueBytesMax ?? QUEUE_BYTES_MAX;
    this.#ghosts = new Ghosts(Math.max(GHOSTS_MIN, slabs.sizeBytes / BYTES_A_GHOST));
    this.#stamp = randomBytes(4).readUInt32LE(0);
  }

  get written(): number {
    return this.#written;
  }

  get dropped(): number {
    return this.#dropped;
  }

  get byteSize(): number {
    return this.#ghosts.byteSize;
  }

  offer(offer: Offer): void {
    const { identity, payload, isWantedAgain } = offer;
    const high = highHash(identity);
    const low = lowHash(identity);
    const bytes = frameBytesOf(payload.length);
    if (bytes > this.#slabs.frameBytesMax || this.#slabs.find(high, low) >= 0) return;
    const hasRoom = this.#slabs.hasRoom(bytes);
    const isIn = isWantedAgain || hasRoom || this.#ghosts.wasSeen(high, low);
    const isBusy = this.#queuedBytes + bytes > this.#queueBytesMax || this.#options.clock.nowMs() < this.#pausedUntilMs;
    if (!isIn || isBusy) {
      this.#dropped += 1;
      return;
    }
    this.#queue.push({ ...offer, isWantedAgain: isWantedAgain || !hasRoom });
    this.#queuedBytes += bytes;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when nothing waits to be written. */
  async idle(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Begins in a turn of its own: whoever offers is answering a lookup.
    await nextTurn();
    while (this.#queue.length > 0) {
      try {
        await this.#writeBatch(this.#nextBatch());
      } catch (thrown) {
        this.#faults.add('blocks cannot be written', thrown);
        this.#pausedUntilMs = this.#options.clock.nowMs() + PAUSE_MS;
        this.#dropped += this.#queue.length;
        this.#queue.length = 0;
        this.#queuedBytes = 0;
      }
      this.#options.onBatch();
      await nextTurn();
    }
    this.#writing = undefined;
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

  async #writeFrame({ identity, payload, form, isWantedAgain }: Offer): Promise<number> {
    const high = highHash(identity);
    const low = lowHash(identity);
    if (this.#slabs.find(high, low) >= 0) return -1;
    const bytes = frameBytesOf(payload.length);
    // There was room when it was offered; others may have taken it.
    if (!isWantedAgain && !this.#slabs.hasRoom(bytes) && !this.#ghosts.wasSeen(high, low)) {
      this.#dropped += 1;
      return -1;
    }
    const location = this.#slabs.reserve(bytes);
    const slab = location < 0 ? undefined : this.#slabs.slabOf(location);
    if (slab === undefined) return -1;
    const frame = Buffer.allocUnsafeSlow(bytes);
    this.#stamp = (this.#stamp + 1) >>> 0;
    encodeFrame(frame, marksOf(identity, payload.length, form), payload, this.#stamp);
    try {
      await this.#io.write(slab.fd, frame, slab.frameAt(this.#slabs.frameOf(location)));
    } catch (thrown) {
      this.#slabs.release(location);
      throw thrown;
    }
    this.#slabs.commit(location, high, low, payload.length, form);
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
