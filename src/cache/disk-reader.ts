/**
 * Reads sectors of frames, and believes none that is not what it should be.
 *
 * A run of sectors is one read: at once while the disk answers fast, else in a thread. Each sector is held against its
 * checksum and the identity asked for; what fails is counted and the block forgotten.
 */

import type { DiskFaults } from './disk-faults.ts';
import { type FoundFrame, SECTOR_BYTES, SECTOR_PAYLOAD_BYTES, sectorStamp, sectorsOf } from './disk-frame.ts';
import { type BlockIdentity, highHash, lowHash, marksOf } from './disk-identity.ts';
import type { DiskIo } from './disk-io.ts';
import { ReadPace } from './disk-pace.ts';
import { DiskParts } from './disk-parts.ts';
import type { DiskSlabs } from './disk-slabs.ts';

/** A longer read goes to a thread, however fast the disk is: even copying it takes long. */
const AT_ONCE_BYTES_MAX = 256 * 1024;
/** Blocks of up to so many bytes are read to memory that is used again, of so many at a time. */
const PARTS_BYTES = 64 * 1024;
const PARTS_KEPT_MAX = 8;

export interface ReadCounts {
  /** Blocks of which all or a part was read. */
  readonly hits: number;
  readonly reads: number;
  /** Of the reads, those that a thread did. */
  readonly aside: number;
  readonly sectors: number;
  readonly bytesRead: number;
  /** Frames that were not what they should be. */
  readonly invalid: number;
}

export class DiskReader {
  readonly pace: ReadPace = new ReadPace();
  readonly #slabs: DiskSlabs;
  readonly #io: DiskIo;
  readonly #faults: DiskFaults;
  readonly #running = new Set<Promise<unknown>>();
  /** Where synchronous reads go; nothing of it is kept. */
  readonly #sectors: Buffer = Buffer.allocUnsafeSlow(AT_ONCE_BYTES_MAX);
  readonly #partsKept: DiskParts[] = [];
  #isClosed = false;
  #hits = 0;
  #reads = 0;
  #aside = 0;
  #sectorsRead = 0;
  #invalid = 0;

  constructor(slabs: DiskSlabs, io: DiskIo, faults: DiskFaults) {
    this.#slabs = slabs;
    this.#io = io;
    this.#faults = faults;
  }

  get counts(): ReadCounts {
    return {
      hits: this.#hits,
      reads: this.#reads,
      aside: this.#aside,
      sectors: this.#sectorsRead,
      bytesRead: this.#sectorsRead * SECTOR_BYTES,
      invalid: this.#invalid,
    };
  }

  find(identity: BlockIdentity): FoundFrame | undefined {
    const high = highHash(identity);
    const low = lowHash(identity);
    const location = this.#slabs.find(high, low);
    const slab = location < 0 ? undefined : this.#slabs.slabOf(location);
    if (slab === undefined || this.#isClosed) return undefined;
    this.#slabs.visit(location);
    const frame = this.#slabs.frameOf(location);
    const byteLength = slab.lengths[frame] ?? 0;
    const form = slab.forms[frame] ?? 0;
    return {
      location,
      high,
      low,
      fd: slab.fd,
      position: slab.frameAt(frame),
      byteLength,
      form,
      marks: marksOf(identity, byteLength, form),
      stamp: undefined,
    };
  }

  /** The whole payload, at the start of a buffer of its own; undefined where it is not there. */
  whole(frame: FoundFrame): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    // Filled by the read or refused by the checksums.
    const payload = Buffer.allocUnsafeSlow(frame.byteLength);
    const isRead = this.readRun(frame, 0, sectorsOf(frame.byteLength), payload);
    if (isRead instanceof Promise) return isRead.then((settled) => (settled ? payload : undefined));
    return isRead ? payload : undefined;
  }

  /** For reading as much of the payload as is asked for; to be released when it was used. */
  parts(frame: FoundFrame): DiskParts {
    const kept = frame.byteLength > PARTS_BYTES ? undefined : this.#partsKept.pop();
    if (kept === undefined) return new DiskParts(this, Math.max(PARTS_BYTES, frame.byteLength), frame);
    kept.begin(frame);
    return kept;
  }

  /** Takes parts back. */
  reuse(parts: DiskParts): void {
    const isUsual = parts.bytes.length === PARTS_BYTES;
    if (isUsual && this.#partsKept.length < PARTS_KEPT_MAX) this.#partsKept.push(parts);
  }

  /** Brings sectors [first, first + count) to their places in `payload`; false where they are not to be had. */
  readRun(frame: FoundFrame, first: number, count: number, payload: Uint8Array): boolean | Promise<boolean> {
    if (this.#isClosed) return false;
    const bytes = count * SECTOR_BYTES;
    const position = frame.position + first * SECTOR_BYTES;
    this.#reads += 1;
    this.#sectorsRead += count;
    if (bytes > AT_ONCE_BYTES_MAX || !this.pace.mayHoldUp())
      return this.#readAside(frame, first, payload, bytes, position);
    const started = performance.now();
    try {
      if (this.#io.readSync(frame.fd, this.#sectors, position, bytes) !== bytes) return this.#refuse(frame);
    } catch (thrown) {
      return this.#fail(frame, thrown);
    } finally {
      this.pace.tookAtOnce(performance.now() - started);
    }
    return this.#take(frame, first, this.#sectors, bytes, payload);
  }

  /** Resolves when no thread reads for it any more; later reads find nothing. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#running);
  }

  async #readAside(
    frame: FoundFrame,
    first: number,
    payload: Uint8Array,
    bytes: number,
    position: number,
  ): Promise<boolean> {
    const sectors = Buffer.allocUnsafeSlow(bytes);
    this.#aside += 1;
    const reading = this.#io.read(frame.fd, sectors, position).then(
      (read) => (read === bytes ? this.#take(frame, first, sectors, bytes, payload) : this.#refuse(frame)),
      (thrown) => this.#fail(frame, thrown),
    );
    this.#running.add(reading);
    return reading.finally(() => this.#running.delete(reading));
  }

  #take(frame: FoundFrame, first: number, sectors: Buffer, length: number, payload: Uint8Array): boolean {
    const isFirstRead = frame.stamp === undefined;
    for (let at = 0, sector = first; at < length; at += SECTOR_BYTES, sector++) {
      const stamp = sectorStamp(sectors, at, sector, frame.marks);
      frame.stamp ??= stamp;
      if (stamp === undefined || stamp !== frame.stamp) return this.#refuse(frame);
      const start = sector * SECTOR_PAYLOAD_BYTES;
      const bytes = Math.min(SECTOR_PAYLOAD_BYTES, frame.byteLength - start);
      sectors.copy(payload, start, at, at + bytes);
    }
    if (isFirstRead) this.#hits += 1;
    return true;
  }

  #refuse(frame: FoundFrame): false {
    this.#invalid += 1;
    return this.#forget(frame);
  }

  #fail(frame: FoundFrame, thrown: unknown): false {
    this.#faults.add('a block cannot be read', thrown);
    return this.#forget(frame);
  }

  /** Unless the block meanwhile found another place, which need not be wrong. */
  #forget({ location, high, low }: FoundFrame): false {
    if (this.#slabs.find(high, low) === location) this.#slabs.forget(location);
    return false;
  }
}
