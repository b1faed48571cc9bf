/**
 * The one layout of a run of a key index, in memory and on disk. Version 1, little-endian:
 *
 *     pages         4 KiB each, full but for the last one; entries sorted by fingerprint, then position
 *     directory     u32 [pages]: the upper 32 bits of the first fingerprint of each page
 *     file table    JSON: [[id of the object's version, first row, rows], ...]
 *     trailer       48 bytes
 *          0  u32  magic 0x314b4c50 ("PLK1")
 *          4  u32  version
 *          8  u32  entries; 12 u32 pages; 16 u32 bytes of the file table
 *         20  u32  CRC-32 of the directory; 24 u32 of the file table
 *         28       zeros; 44 u32 CRC-32 of trailer bytes 0..44
 *
 *     page     0  u32  CRC-32 of bytes 4..4096 and the page's number
 *              4  u32  high[454]: upper 32 bits of the fingerprint
 *           1820  u32  position[454]: the row, counted through the files of the table one after another
 *           3636  u8   low[454]: the lower 8 bits
 *
 * The pages come first and the trailer last, so that a run is written in one pass. Nine bytes a key; a directory entry
 * stands for 454 of them. Since fingerprints are evenly spread, a page is found by interpolation.
 */

import { crc32 } from 'node:zlib';
import { corrupt } from '../core/index.ts';

export const PAGE_BYTES = 4096;
export const PAGE_WORDS: number = PAGE_BYTES / 4;
export const PAGE_ENTRIES = 454;
export const HIGH_WORD = 1;
export const POSITION_WORD: number = HIGH_WORD + PAGE_ENTRIES;
export const LOW_BYTE: number = 4 * (POSITION_WORD + PAGE_ENTRIES);
/** Positions are 32 bits. */
export const ROWS_MAX: number = 2 ** 32;

export const TRAILER_BYTES = 48;
const TRAILER_CRC_AT = 44;
const MAGIC = 0x314b4c50;
const VERSION = 1;

/** A file whose rows are in a run, or a stretch of a large one. */
export interface RunFile {
  /** Tells this version of this object from every other. */
  readonly id: string;
  readonly firstRow: number;
  readonly rows: number;
}

export interface RunDirectory {
  readonly entries: number;
  readonly pages: number;
  readonly files: readonly RunFile[];
  /** The upper 32 bits of the first fingerprint of each page. */
  readonly firsts: Uint32Array;
}

/** What stands behind the pages. */
export function encodeTail({ entries, pages, files, firsts }: RunDirectory): Uint8Array {
  const directory = Buffer.from(firsts.buffer, firsts.byteOffset, 4 * pages);
  const table = Buffer.from(JSON.stringify(files.map(({ id, firstRow, rows }) => [id, firstRow, rows])));
  const trailer = Buffer.alloc(TRAILER_BYTES);
  const words = [MAGIC, VERSION, entries, pages, table.length, crc32(directory), crc32(table)];
  for (const [at, word] of words.entries()) trailer.writeUInt32LE(word, 4 * at);
  trailer.writeUInt32LE(crc32(trailer.subarray(0, TRAILER_CRC_AT)), TRAILER_CRC_AT);
  return Buffer.concat([directory, table, trailer]);
}

/** The bytes of what stands behind the pages of a run of `runBytes`, by its last `TRAILER_BYTES`. Throws `corrupt`. */
export function tailBytesOf(trailer: Uint8Array, runBytes: number): number {
  const fault = (what: string) => corrupt(`a run of a key index of ${runBytes} bytes ${what}`);
  if (trailer.length < TRAILER_BYTES) throw fault('has no trailer');
  const words = new DataView(trailer.buffer, trailer.byteOffset + trailer.length - TRAILER_BYTES, TRAILER_BYTES);
  const word = (at: number) => words.getUint32(at, true);
  if (word(0) !== MAGIC || word(4) !== VERSION) throw fault('is none, or of another version');
  if (word(TRAILER_CRC_AT) !== crc32(trailer.subarray(-TRAILER_BYTES, TRAILER_CRC_AT - TRAILER_BYTES)))
    throw fault('has a damaged trailer');
  const [entries, pages, tableBytes] = [word(8), word(12), word(16)];
  const tailBytes = 4 * pages + tableBytes + TRAILER_BYTES;
  if (pages * PAGE_BYTES + tailBytes !== runBytes || pages !== Math.ceil(entries / PAGE_ENTRIES)) {
    throw fault(`says that it has ${pages} pages and ${entries} entries`);
  }
  return tailBytes;
}

/** Of what stands behind the pages. Throws `corrupt` unless it is of this version, whole and as it was written. */
export function decodeTail(tail: Uint8Array): RunDirectory {
  const words = new DataView(tail.buffer, tail.byteOffset + tail.length - TRAILER_BYTES, TRAILER_BYTES);
  const word = (at: number) => words.getUint32(at, true);
  const [entries, pages, tableBytes] = [word(8), word(12), word(16)];
  const directory = tail.slice(0, 4 * pages);
  const table = tail.subarray(4 * pages, 4 * pages + tableBytes);
  if (crc32(directory) !== word(20) || crc32(table) !== word(24))
    throw corrupt(`a run of a key index of ${entries} entries has a damaged directory`);
  const plain = JSON.parse(Buffer.from(table).toString()) as [string, number, number][];
  const files = plain.map(([id, firstRow, rows]) => ({ id, firstRow, rows }));
  return { entries, pages, files, firsts: new Uint32Array(directory.buffer, directory.byteOffset, pages) };
}

/** Writes the page's checksum, over its number too: a page in the wrong place is a damaged one. */
export function sealPage(page: Uint8Array, ordinal: number): void {
  const view = new DataView(page.buffer, page.byteOffset, PAGE_BYTES);
  view.setUint32(0, crc32(page.subarray(4, PAGE_BYTES), ordinal), true);
}

export function isPageSound(page: Uint8Array, ordinal: number): boolean {
  const view = new DataView(page.buffer, page.byteOffset, PAGE_BYTES);
  return view.getUint32(0, true) === crc32(page.subarray(4, PAGE_BYTES), ordinal);
}
