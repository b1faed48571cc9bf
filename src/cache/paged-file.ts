/**
 * A file of `DiskFiles` that is too large to be read whole: written piece by piece, in a thread, and read by the page.
 *
 * Only the frame is looked at when it is opened; whoever reads pages has checksums of its own in them.
 */

import { closeSync, fstatSync, fsyncSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { type DiskIo, systemDiskIo } from './disk-io.ts';
import type { ReadPace } from './disk-pace.ts';

export const FILE_HEADER_BYTES = 16;
const FILE_MAGIC = 0x4d44_4c50;
const FILE_VERSION = 1;
/** What is read or written by one call when a file is gone through. */
const STRIDE_BYTES = 256 * 1024;

export function fileHeader(checksum: number, payloadBytes: number): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  for (const [at, word] of [FILE_MAGIC, FILE_VERSION, checksum, payloadBytes].entries()) {
    header.writeUInt32LE(word, 4 * at);
  }
  return header;
}

/** The checksum that the header of a file with so large a payload states; undefined where it is the header of none. */
export function checksumIn(header: Buffer, payloadBytes: number): number | undefined {
  const isHeader =
    header.length >= FILE_HEADER_BYTES &&
    header.readUInt32LE(0) === FILE_MAGIC &&
    header.readUInt32LE(4) === FILE_VERSION &&
    // Of larger files the lower bits.
    header.readUInt32LE(12) === payloadBytes >>> 0;
  return isHeader ? header.readUInt32LE(8) : undefined;
}

/** Writes a whole file, synced, holding up the thread. Throws what the system throws, and leaves no file then. */
export function writeInPieces(path: string, write: (sink: (bytes: Uint8Array) => void) => void): void {
  const fd = openSync(path, 'w');
  let isWhole = false;
  try {
    const stride = Buffer.allocUnsafeSlow(STRIDE_BYTES);
    let filled = 0;
    let written = 0;
    let checksum = 0;
    const flush = () => {
      checksum = crc32(stride.subarray(0, filled), checksum);
      writeAll(fd, stride.subarray(0, filled), FILE_HEADER_BYTES + written);
      written += filled;
      filled = 0;
    };
    write((bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + STRIDE_BYTES - filled);
        stride.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === STRIDE_BYTES) flush();
      }
    });
    flush();
    writeAll(fd, fileHeader(checksum, written >>> 0), 0);
    fsyncSync(fd);
    isWhole = true;
  } finally {
    closeSync(fd);
    if (!isWhole) unlinkSync(path);
  }
}

function writeAll(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}

/** Open for reads of pages: at once while the disk answers fast, else in a thread. Positions are those of the payload. */
export class PagedFile {
  readonly path: string;
  readonly byteLength: number;
  readonly #fd: number;
  readonly #io: DiskIo;
  readonly #pace: ReadPace;
  #reading = 0;
  #isClosed = false;

  /** Throws what the system throws, and where the file is none of `DiskFiles`. */
  constructor(path: string, io: DiskIo, pace: ReadPace) {
    this.path = path;
    this.#io = io;
    this.#pace = pace;
    this.#fd = openSync(path, 'r');
    try {
      this.byteLength = payloadBytesOf(this.#fd);
    } catch (thrown) {
      closeSync(this.#fd);
      throw thrown;
    }
  }

  /** However long it takes; false where it fails. */
  readSync(at: number, bytes: Uint8Array): boolean {
    if (this.#isClosed) return false;
    try {
      return this.#io.readSync(this.#fd, asBuffer(bytes), FILE_HEADER_BYTES + at, bytes.length) === bytes.length;
    } catch {
      return false;
    }
  }

  /** False where it would take too long, or fails: then `read` tells. */
  readNow(at: number, bytes: Uint8Array): boolean {
    if (this.#pace.isTurnOver || !this.#pace.mayHoldUp()) return false;
    const started = performance.now();
    const isRead = this.readSync(at, bytes);
    this.#pace.tookAtOnce(performance.now() - started);
    return isRead;
  }

  async read(at: number, bytes: Uint8Array): Promise<void> {
    if (this.#isClosed) throw new Error('the file is closed');
    this.#reading += 1;
    try {
      const read = await this.#io.read(this.#fd, asBuffer(bytes), FILE_HEADER_BYTES + at);
      if (read !== bytes.length) throw new Error(`only ${read} of ${bytes.length} bytes were there`);
    } finally {
      this.#reading -= 1;
      if (this.#isClosed) this.#release();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#release();
  }

  /** Not under a read: the number of the file would soon be another's. */
  #release(): void {
    if (this.#reading === 0) closeSync(this.#fd);
  }
}

/** Goes through a file from its start, in a thread that may be held up. */
export class SequentialFile {
  readonly byteLength: number;
  readonly #fd: number;
  readonly #stride: Buffer = Buffer.allocUnsafeSlow(STRIDE_BYTES);
  #first = 0;
  #end = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    try {
      this.byteLength = payloadBytesOf(this.#fd);
    } catch (thrown) {
      closeSync(this.#fd);
      throw thrown;
    }
  }

  readSync(at: number, bytes: Uint8Array): boolean {
    return systemDiskIo.readSync(this.#fd, asBuffer(bytes), FILE_HEADER_BYTES + at, bytes.length) === bytes.length;
  }

  readNow(at: number, bytes: Uint8Array): boolean {
    if (at < this.#first || at + bytes.length > this.#end) {
      this.#first = at;
      this.#end = at + systemDiskIo.readSync(this.#fd, this.#stride, FILE_HEADER_BYTES + at, this.#stride.length);
    }
    if (at + bytes.length > this.#end) return false;
    bytes.set(this.#stride.subarray(at - this.#first, at - this.#first + bytes.length));
    return true;
  }

  async read(at: number, bytes: Uint8Array): Promise<void> {
    if (!this.readNow(at, bytes)) throw new Error('the file is shorter than it was');
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function payloadBytesOf(fd: number): number {
  const bytes = fstatSync(fd).size - FILE_HEADER_BYTES;
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  if (readSync(fd, header, 0, FILE_HEADER_BYTES, 0) !== FILE_HEADER_BYTES || checksumIn(header, bytes) === undefined)
    throw new Error('the file was cut short, or is of another version');
  return bytes;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
