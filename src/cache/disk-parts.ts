/**
 * A block on disk of which as much is read as is asked for, sector by sector.
 *
 *     want(start, end) ... until all is there; else read(), and want again what that made known
 *
 * The bytes stand at their places in memory as long as the block; those that were not asked for are whatever they are.
 */

import { corrupt } from '../core/index.ts';
import { type FoundFrame, SECTOR_PAYLOAD_BYTES, sectorsOf } from './disk-frame.ts';

/** Who reads for it. */
interface SectorSource {
  /** Brings sectors [first, first + count) to their places in `payload`; false where they are not to be had. */
  readRun(frame: FoundFrame, first: number, count: number, payload: Uint8Array): boolean | Promise<boolean>;
  /** Has it for another block. */
  reuse(parts: DiskParts): void;
}

export class DiskParts {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly #source: SectorSource;
  #frame: FoundFrame;
  /** By sector. */
  readonly #isThere: Uint8Array;
  /** First sector and end of each run that is to be read, up to `#wantedEnd`. */
  readonly #wanted: number[] = [];
  #wantedEnd = 0;

  /** Has room for a block of `byteLength`, of which nothing is there. */
  constructor(source: SectorSource, byteLength: number, frame: FoundFrame) {
    const { buffer } = Buffer.allocUnsafeSlow(Math.ceil(byteLength / 8) * 8);
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.#source = source;
    this.#isThere = new Uint8Array(sectorsOf(byteLength));
    this.#frame = frame;
  }

  /** Of another block from now on, of which nothing is there. */
  begin(frame: FoundFrame): void {
    this.#frame = frame;
    this.#isThere.fill(0, 0, sectorsOf(frame.byteLength));
    this.#wantedEnd = 0;
  }

  /** What was offered with the block. */
  get form(): number {
    return this.#frame.form;
  }

  /** Whether the bytes [start, end) are there; if not, they will be read. Throws `corrupt` beyond the block. */
  want(start: number, end: number): boolean {
    const { byteLength } = this.#frame;
    if (start < 0 || end < start || end > byteLength) {
      throw corrupt(`bytes ${start} to ${end} of a stored block of ${byteLength} bytes do not exist`);
    }
    if (start === end) return true;
    const last = Math.trunc((end - 1) / SECTOR_PAYLOAD_BYTES);
    let isComplete = true;
    for (let sector = Math.trunc(start / SECTOR_PAYLOAD_BYTES); sector <= last; sector++) {
      if (this.#isThere[sector] === 1) continue;
      isComplete = false;
      this.#wantSector(sector);
    }
    return isComplete;
  }

  /** Reads what was wanted, neighbours together; false where it is not to be had, and then the block is not. */
  read(): boolean | Promise<boolean> {
    const end = this.#wantedEnd;
    this.#wantedEnd = 0;
    let waiting: Promise<boolean> | undefined;
    let isRead = end > 0;
    for (let run = 0; run < end && isRead; run += 2) {
      const first = this.#wanted[run] ?? 0;
      const runEnd = this.#wanted[run + 1] ?? 0;
      const reading = this.#source.readRun(this.#frame, first, runEnd - first, this.bytes);
      if (reading === false) isRead = false;
      else this.#isThere.fill(1, first, runEnd);
      if (reading instanceof Promise) waiting = both(waiting, reading);
    }
    return waiting === undefined ? isRead : allOf(waiting, isRead);
  }

  /** Gives the memory back, once nothing is read for it any more. */
  release(): void {
    this.#source.reuse(this);
  }

  #wantSector(sector: number): void {
    const wanted = this.#wanted;
    for (let run = 0; run < this.#wantedEnd; run += 2) {
      const first = wanted[run] ?? 0;
      const end = wanted[run + 1] ?? 0;
      if (sector >= first && sector < end) return;
      if (sector === end) {
        wanted[run + 1] = end + 1;
        return;
      }
      if (sector === first - 1) {
        wanted[run] = sector;
        return;
      }
    }
    wanted[this.#wantedEnd] = sector;
    wanted[this.#wantedEnd + 1] = sector + 1;
    this.#wantedEnd += 2;
  }
}

/** Whoever is told releases the memory, which a thread must not write to any more then. */
async function allOf(waiting: Promise<boolean>, isRead: boolean): Promise<boolean> {
  return (await waiting) && isRead;
}

async function both(one: Promise<boolean> | undefined, other: Promise<boolean>): Promise<boolean> {
  const [first, second] = await Promise.all([one ?? true, other]);
  return first && second;
}
