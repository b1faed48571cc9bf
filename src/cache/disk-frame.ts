/**
 * The bytes of one frame of a slab: a payload cut into sectors of 4 KiB, each read and believed by itself.
 *
 *        0       the next 4,080 bytes of the payload; zeros behind its end
 *     4080  u32  which sector of the frame it is
 *     4084  u32  a random number, the same in all sectors that were written together
 *     4088  u32  a hash of the block's identity
 *     4092  u32  CRC-32 of all that, begun with another hash of the identity, the payload's length and its form
 *
 * So a lookup reads the one sector that holds its value, and a sector of another block, another place or another write
 * never passes for it, whatever a crash left in the frame. 4,080 is a multiple of 8: no number lies in two sectors.
 */

import { crc32 } from 'node:zlib';

export const SECTOR_BYTES = 4096;
export const SECTOR_PAYLOAD_BYTES = 4080;
const NUMBER_AT = SECTOR_PAYLOAD_BYTES;
const STAMP_AT = 4084;
const TAG_AT = 4088;
const CHECKSUM_AT = 4092;

/** What the sectors of a block are known by. */
export interface FrameMarks {
  /** What their checksums begin with. */
  readonly seed: number;
  readonly tag: number;
}

/** A frame that seems to hold a block. */
export interface FoundFrame {
  readonly location: number;
  readonly high: number;
  readonly low: number;
  readonly fd: number;
  readonly position: number;
  readonly byteLength: number;
  readonly form: number;
  readonly marks: FrameMarks;
  /** Of the first sector that was read; the others must have the same. */
  stamp: number | undefined;
}

/** Even an empty payload has a sector, which says that it is one. */
export function sectorsOf(payloadBytes: number): number {
  return Math.max(1, Math.ceil(payloadBytes / SECTOR_PAYLOAD_BYTES));
}

export function frameBytesOf(payloadBytes: number): number {
  return sectorsOf(payloadBytes) * SECTOR_BYTES;
}

/** Fills `target`, which has `frameBytesOf` the payload. `stamp` tells this write from others. */
export function encodeFrame(target: Buffer, marks: FrameMarks, payload: Uint8Array, stamp: number): void {
  for (let sector = 0, at = 0; at < target.length; sector++, at += SECTOR_BYTES) {
    const part = payload.subarray(sector * SECTOR_PAYLOAD_BYTES, (sector + 1) * SECTOR_PAYLOAD_BYTES);
    target.set(part, at);
    target.fill(0, at + part.length, at + NUMBER_AT);
    target.writeUInt32LE(sector, at + NUMBER_AT);
    target.writeUInt32LE(stamp, at + STAMP_AT);
    target.writeUInt32LE(marks.tag, at + TAG_AT);
    target.writeUInt32LE(crc32(target.subarray(at, at + CHECKSUM_AT), marks.seed), at + CHECKSUM_AT);
  }
}

/** The stamp of the sector at byte `at`, if that is the given sector of the block; else undefined. */
export function sectorStamp(bytes: Buffer, at: number, sector: number, { seed, tag }: FrameMarks): number | undefined {
  if (bytes.readUInt32LE(at + NUMBER_AT) !== sector || bytes.readUInt32LE(at + TAG_AT) !== tag) return undefined;
  const checksum = crc32(bytes.subarray(at, at + CHECKSUM_AT), seed);
  return checksum === bytes.readUInt32LE(at + CHECKSUM_AT) ? bytes.readUInt32LE(at + STAMP_AT) : undefined;
}
