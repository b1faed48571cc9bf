/**
 * One slab file: frames of one size, and a table that says which blocks they hold.
 *
 *     0            header: magic, version, slab bytes, frame bytes, generation, checksum; 4 KiB
 *     4 KiB        table: pages of 4 KiB, each a header (checksum, page, generation) and 255 entries of
 *                  hash (high, low), payload length and form + 1, all zero where the frame is free
 *     then         frames
 *
 * A frame's place follows from its number. The table is written after the frames it tells of and only to find them again
 * at the next start: what it says is held against the frame itself at every read. A page of the table with a wrong
 * checksum or of another generation is as good as empty.
 */

import { randomBytes } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { frameBytesOf, SECTOR_BYTES } from './disk-frame.ts';

const SLAB_MAGIC = 0x4253_4c50;
/** 1 had frames that could only be believed whole. */
const SLAB_VERSION = 2;
const HEADER_WORDS = 6;
const ENTRY_BYTES = 16;
const TABLE_HEADER_BYTES = 16;
const ENTRIES_A_PAGE = Math.floor((SECTOR_BYTES - TABLE_HEADER_BYTES) / ENTRY_BYTES);

const FORM_MAX = 254;

/** Bytes of memory that a frame takes. */
export const FRAME_MEMORY_BYTES = 14;

/** A frame holds nothing, a block, a block read since the hand passed, or is being written. */
export const FREE = 0;
export const USED = 1;
export const VISITED = 2;
export const WRITING = 3;

export class Slab {
  readonly number: number;
  readonly fd: number;
  readonly byteLength: number;
  readonly frameBytes: number;
  readonly frames: number;
  /** Changes when the slab is laid out anew, so that what its table said before no longer counts. */
  readonly generation: number;
  readonly states: Uint8Array;
  readonly highs: Uint32Array;
  readonly lows: Uint32Array;
  /** Bytes of the payload in each frame. */
  readonly lengths: Uint32Array;
  /** What its owner wants to know of a payload before it reads any of it; less than 255. */
  readonly forms: Uint8Array;
  /** Frames from here on were never used. */
  fresh = 0;
  /** Reads since slabs were last compared. */
  reads = 0;
  writing = 0;

  private constructor(number: number, fd: number, byteLength: number, frameBytes: number, generation: number) {
    this.number = number;
    this.fd = fd;
    this.byteLength = byteLength;
    this.frameBytes = frameBytes;
    this.frames = framesOf(byteLength, frameBytes);
    this.generation = generation;
    this.states = new Uint8Array(this.frames);
    this.highs = new Uint32Array(this.frames);
    this.lows = new Uint32Array(this.frames);
    this.lengths = new Uint32Array(this.frames);
    this.forms = new Uint8Array(this.frames);
  }

  /** A new file. Throws what the system throws. */
  static create(path: string, number: number, byteLength: number, frameBytes: number): Slab {
    const fd = openSync(path, 'wx+');
    try {
      ftruncateSync(fd, byteLength);
      return Slab.#layOut(number, fd, byteLength, frameBytes);
    } catch (thrown) {
      closeSync(fd);
      unlinkSync(path);
      throw thrown;
    }
  }

  /** The slab with what its table says; undefined where the file is none of this version's. */
  static open(path: string, number: number): Slab | undefined {
    const fd = openSync(path, 'r+');
    const header = Buffer.alloc(4 * HEADER_WORDS);
    const hasHeader = readSync(fd, header, 0, header.length, 0) === header.length;
    const [magic, version, byteLength = 0, frameBytes = 0, generation = 0, checksum] = hasHeader ? wordsOf(header) : [];
    const isOurs = magic === SLAB_MAGIC && version === SLAB_VERSION && checksum === headerChecksum(header);
    if (!isOurs || framesOf(byteLength, frameBytes) < 1) {
      closeSync(fd);
      return undefined;
    }
    const slab = new Slab(number, fd, byteLength, frameBytes, generation);
    slab.#readTable();
    return slab;
  }

  /** The same file for frames of another size; nothing that it held counts any more. */
  layOutAnew(frameBytes: number): Slab {
    return Slab.#layOut(this.number, this.fd, this.byteLength, frameBytes);
  }

  frameAt(frame: number): number {
    return framesAt(this.frames) + frame * this.frameBytes;
  }

  /** Which page of the table tells of the frame. */
  tablePageOf(frame: number): number {
    return Math.trunc(frame / ENTRIES_A_PAGE);
  }

  tablePageAt(page: number): number {
    return SECTOR_BYTES * (1 + page);
  }

  /** The bytes of a page of the table as the frames are now; one that is being written is not told of. */
  tablePage(page: number): Buffer {
    const bytes = Buffer.alloc(SECTOR_BYTES);
    bytes.writeUInt32LE(page, 4);
    bytes.writeUInt32LE(this.generation, 8);
    const first = page * ENTRIES_A_PAGE;
    const end = Math.min(this.frames, first + ENTRIES_A_PAGE);
    for (let frame = first, at = TABLE_HEADER_BYTES; frame < end; frame++, at += ENTRY_BYTES) {
      const state = this.states[frame];
      if (state !== USED && state !== VISITED) continue;
      bytes.writeUInt32LE(this.highs[frame] ?? 0, at);
      bytes.writeUInt32LE(this.lows[frame] ?? 0, at + 4);
      bytes.writeUInt32LE(this.lengths[frame] ?? 0, at + 8);
      bytes.writeUInt32LE(1 + (this.forms[frame] ?? 0), at + 12);
    }
    bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
    return bytes;
  }

  close(): void {
    closeSync(this.fd);
  }

  static #layOut(number: number, fd: number, byteLength: number, frameBytes: number): Slab {
    const generation = randomBytes(4).readUInt32LE(0);
    const header = Buffer.alloc(SECTOR_BYTES);
    const words = [SLAB_MAGIC, SLAB_VERSION, byteLength, frameBytes, generation];
    for (const [at, word] of words.entries()) header.writeUInt32LE(word, 4 * at);
    header.writeUInt32LE(headerChecksum(header), 4 * (HEADER_WORDS - 1));
    if (writeSync(fd, header, 0, header.length, 0) !== header.length) throw new Error('a slab header was cut short');
    return new Slab(number, fd, byteLength, frameBytes, generation);
  }

  #readTable(): void {
    const pages = tablePages(this.frames);
    const table = Buffer.alloc(SECTOR_BYTES * pages);
    const read = readSync(this.fd, table, 0, table.length, SECTOR_BYTES);
    for (let page = 0; (page + 1) * SECTOR_BYTES <= read; page++) {
      this.#readTablePage(page, table.subarray(page * SECTOR_BYTES, (page + 1) * SECTOR_BYTES));
    }
  }

  #readTablePage(page: number, bytes: Buffer): void {
    if (bytes.readUInt32LE(4) !== page || bytes.readUInt32LE(8) !== this.generation) return;
    if (bytes.readUInt32LE(0) !== crc32(bytes.subarray(4))) return;
    const first = page * ENTRIES_A_PAGE;
    const end = Math.min(this.frames, first + ENTRIES_A_PAGE);
    for (let frame = first, at = TABLE_HEADER_BYTES; frame < end; frame++, at += ENTRY_BYTES) {
      const length = bytes.readUInt32LE(at + 8);
      const form = bytes.readUInt32LE(at + 12) - 1;
      if (form < 0 || form > FORM_MAX || frameBytesOf(length) > this.frameBytes) continue;
      this.highs[frame] = bytes.readUInt32LE(at);
      this.lows[frame] = bytes.readUInt32LE(at + 4);
      this.lengths[frame] = length;
      this.forms[frame] = form;
      this.states[frame] = USED;
      this.fresh = frame + 1;
    }
  }
}

function wordsOf(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 4 }, (_, word) => bytes.readUInt32LE(4 * word));
}

function headerChecksum(header: Buffer): number {
  return crc32(header.subarray(0, 4 * (HEADER_WORDS - 1)));
}

/** How many frames fit beside header and table. */
export function framesOf(byteLength: number, frameBytes: number): number {
  if (frameBytes < SECTOR_BYTES || frameBytes % SECTOR_BYTES !== 0) return 0;
  let frames = Math.floor((byteLength - SECTOR_BYTES) / frameBytes);
  while (frames > 0 && framesAt(frames) + frames * frameBytes > byteLength) frames -= 1;
  return frames;
}

function tablePages(frames: number): number {
  return Math.ceil(frames / ENTRIES_A_PAGE);
}

function framesAt(frames: number): number {
  return SECTOR_BYTES * (1 + tablePages(frames));
}
