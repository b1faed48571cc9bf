/**
 * The bytes of one frame of a slab, little-endian:
 *
 *      0  u32  magic 0x46444c50 ("PLDF")
 *      4  u32  version
 *      8  u32  bytes of this header, a multiple of 8
 *     12  u32  CRC-32 of the header, these four bytes left out
 *     16       the identity: file (4 words), row group, column, page, ordinal, shift
 *     52  u32  bytes of the payload
 *     56  u32  0, twice
 *     64       a CRC-32 for each 4 KiB of the payload; padding to 8
 *     then     the payload
 *
 * A frame counts only when all of it agrees: a write that a crash cut short leaves checksums that do not, whichever of
 * its sectors arrived.
 */

import { crc32 } from 'node:zlib';
import type { BlockIdentity } from './disk-identity.ts';

const FRAME_MAGIC = 0x4644_4c50;
const FRAME_VERSION = 1;
const FIXED_BYTES = 64;
export const SECTOR_BYTES = 4096;

export function frameBytesOf(payloadBytes: number): number {
  return headerBytesOf(payloadBytes) + payloadBytes;
}

function headerBytesOf(payloadBytes: number): number {
  return Math.ceil((FIXED_BYTES + 4 * Math.ceil(payloadBytes / SECTOR_BYTES)) / 8) * 8;
}

/** Writes header and payload to the start of `target`; returns their length. */
export function encodeFrame(target: Buffer, identity: BlockIdentity, payload: Uint8Array): number {
  const headerBytes = headerBytesOf(payload.length);
  target.fill(0, 0, headerBytes);
  const { file, rowGroup, column, page, ordinal, shift } = identity;
  const words = [FRAME_MAGIC, FRAME_VERSION, headerBytes, 0, ...file, rowGroup, column, page, ordinal, shift];
  for (const [at, word] of [...words, payload.length].entries()) target.writeUInt32LE(word, 4 * at);
  for (let start = 0, at = FIXED_BYTES; start < payload.length; start += SECTOR_BYTES, at += 4) {
    target.writeUInt32LE(crc32(payload.subarray(start, start + SECTOR_BYTES)), at);
  }
  target.writeUInt32LE(headerChecksum(target, headerBytes), 12);
  target.set(payload, headerBytes);
  return headerBytes + payload.length;
}

/** The payload, a view of `frame`, where every checksum and the identity are right; undefined otherwise. */
export function openFrame(frame: Buffer, identity: BlockIdentity): Uint8Array | undefined {
  if (frame.length < FIXED_BYTES || frame.readUInt32LE(0) !== FRAME_MAGIC) return undefined;
  if (frame.readUInt32LE(4) !== FRAME_VERSION) return undefined;
  const headerBytes = frame.readUInt32LE(8);
  const payloadBytes = frame.readUInt32LE(52);
  if (headerBytes !== headerBytesOf(payloadBytes) || headerBytes + payloadBytes > frame.length) return undefined;
  if (headerChecksum(frame, headerBytes) !== frame.readUInt32LE(12) || !isOf(frame, identity)) return undefined;
  const payload = frame.subarray(headerBytes, headerBytes + payloadBytes);
  for (let start = 0, at = FIXED_BYTES; start < payloadBytes; start += SECTOR_BYTES, at += 4) {
    if (crc32(payload.subarray(start, start + SECTOR_BYTES)) !== frame.readUInt32LE(at)) return undefined;
  }
  return payload;
}

function isOf(frame: Buffer, { file, rowGroup, column, page, ordinal, shift }: BlockIdentity): boolean {
  for (let word = 0; word < 4; word++) if (frame.readUInt32LE(16 + 4 * word) !== file[word]) return false;
  return (
    frame.readUInt32LE(32) === rowGroup &&
    frame.readUInt32LE(36) === column &&
    frame.readUInt32LE(40) === page &&
    frame.readUInt32LE(44) === ordinal &&
    frame.readUInt32LE(48) === shift
  );
}

function headerChecksum(frame: Buffer, headerBytes: number): number {
  return crc32(frame.subarray(16, headerBytes), crc32(frame.subarray(0, 12)));
}
