/**
 * LZ4 as Parquet knows it: LZ4_RAW is one block; the deprecated LZ4 is a series of Hadoop frames, or one block as
 * early C++ writers had it, or the LZ4 frame format that early Rust writers chose. Which one is seen by its structure.
 *
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md and lz4_Frame_format.md;
 * Hadoop: a big-endian size of what follows uncompressed, then chunks of a big-endian compressed size and a block.
 */

import { corrupt } from '../core/index.ts';
import { loadNative } from './native.ts';

/** A run of 255-bytes of length stands for 255 bytes each. */
const LZ4_MAX_EXPANSION = 255;
const FRAME_MAGIC = 0x184d2204;

/** Exactly `uncompressedBytes` bytes out of one block. */
export function decompressLz4Block(input: Uint8Array, uncompressedBytes: number): Uint8Array {
  checkSize(input, uncompressedBytes);
  lz4 ??= nativeLz4() ?? plainLz4;
  return lz4(input, uncompressedBytes);
}

/** The deprecated codec, in whichever of its three forms. */
export function decompressHadoopLz4(input: Uint8Array, uncompressedBytes: number): Uint8Array {
  checkSize(input, uncompressedBytes);
  if (input.length >= 7 && viewOf(input).getUint32(0, true) === FRAME_MAGIC)
    return decodeLz4Frame(input, uncompressedBytes);
  if (isHadoopFramed(input)) return decodeHadoopFrames(input, uncompressedBytes);
  return decompressLz4Block(input, uncompressedBytes);
}

function checkSize(input: Uint8Array, uncompressedBytes: number): void {
  if (uncompressedBytes > input.length * LZ4_MAX_EXPANSION + 64) {
    throw corrupt(`${input.length} bytes of LZ4 data cannot hold the ${uncompressedBytes} the page header declares`);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * A block that begins with a match would reach back before its start, so no block has a first byte under 16: whatever
 * has is the big-endian size of a Hadoop frame (of less than 256 MiB).
 */
function isHadoopFramed(input: Uint8Array): boolean {
  return input.length >= 4 && input[0]! < 0x10;
}

function decodeHadoopFrames(input: Uint8Array, uncompressedBytes: number): Uint8Array {
  const view = viewOf(input);
  const output = new Uint8Array(uncompressedBytes);
  let position = 0;
  let written = 0;
  while (position + 4 <= input.length) {
    // Writers end with a frame of nothing, with or without a chunk behind it.
    if (written === uncompressedBytes && view.getUint32(position) === 0) break;
    const frameEnd = written + view.getUint32(position);
    position += 4;
    if (frameEnd > uncompressedBytes) throw corrupt('an LZ4 frame is larger than the page header declares');
    while (written < frameEnd) {
      if (position + 4 > input.length) throw corrupt('the LZ4 data ends in the middle of a frame');
      const chunkEnd = position + 4 + view.getUint32(position);
      if (chunkEnd > input.length) throw corrupt('an LZ4 chunk is longer than the page');
      const before = written;
      written = decodeLz4Block(input.subarray(position + 4, chunkEnd), output.subarray(0, frameEnd), written);
      if (written === before) throw corrupt('an LZ4 chunk holds no bytes');
      position = chunkEnd;
    }
  }
  return output.subarray(0, written);
}

/** The LZ4 frame format; its checksums are skipped, since pages have their own. */
function decodeLz4Frame(input: Uint8Array, uncompressedBytes: number): Uint8Array {
  const view = viewOf(input);
  const flags = input[4]!;
  const hasBlockChecksums = (flags & 0x10) !== 0;
  const hasContentSize = (flags & 0x08) !== 0;
  const hasDictionary = (flags & 0x01) !== 0;
  if (flags >>> 6 !== 1 || hasDictionary) throw corrupt('an LZ4 frame has a version or dictionary that is not known');
  const output = new Uint8Array(uncompressedBytes);
  let position = 7 + (hasContentSize ? 8 : 0);
  let written = 0;
  for (;;) {
    if (position + 4 > input.length) throw corrupt('the LZ4 data ends in the middle of a frame');
    const size = view.getUint32(position, true);
    position += 4;
    if (size === 0) break;
    const end = position + (size & 0x7fffffff);
    if (end > input.length) throw corrupt('an LZ4 block is longer than the page');
    const block = input.subarray(position, end);
    if (size >>> 31 === 1) {
      if (block.length > output.length - written) throw corrupt('an LZ4 frame is larger than the page header declares');
      output.set(block, written);
      written += block.length;
    } else written = decodeLz4Block(block, output, written);
    position = end + (hasBlockChecksums ? 4 : 0);
  }
  return output.subarray(0, written);
}

/**
 * One block into `output` from `start`; returns where it ended. Matches may reach back before `start`, as linked
 * frames need. Plain and bounded: every length is compared with what is left on both sides.
 */
export function decodeLz4Block(input: Uint8Array, output: Uint8Array, start: number): number {
  const inputEnd = input.length;
  const outputEnd = output.length;
  let from = 0;
  let to = start;
  while (from < inputEnd) {
    const token = input[from++]!;
    let literals = token >>> 4;
    if (literals === 15) {
      for (let byte = 255; byte === 255; literals += byte) {
        if (from >= inputEnd) throw corrupt('LZ4 data ends in the middle of a length');
        byte = input[from++]!;
      }
    }
    if (literals > inputEnd - from || literals > outputEnd - to) throw corrupt('LZ4 literals exceed the page');
    if (literals > 32) output.set(input.subarray(from, from + literals), to);
    else for (let i = 0; i < literals; i += 1) output[to + i] = input[from + i]!;
    from += literals;
    to += literals;
    if (from === inputEnd) return to;
    if (from + 2 > inputEnd) throw corrupt('LZ4 data ends in the middle of an offset');
    const distance = input[from]! | (input[from + 1]! << 8);
    from += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      for (let byte = 255; byte === 255; length += byte) {
        if (from >= inputEnd) throw corrupt('LZ4 data ends in the middle of a length');
        byte = input[from++]!;
      }
    }
    if (distance === 0 || distance > to) throw corrupt('an LZ4 match reaches back before the start');
    if (length > outputEnd - to) throw corrupt('an LZ4 match exceeds the page');
    // A match may overlap what it writes, so short distances go byte by byte.
    if (distance >= length && length > 32) output.copyWithin(to, to - distance, to - distance + length);
    else for (let i = 0; i < length; i += 1) output[to + i] = output[to - distance + i]!;
    to += length;
  }
  throw corrupt('LZ4 data ends without its last literals');
}

type Lz4 = (input: Uint8Array, uncompressedBytes: number) => Uint8Array;

let lz4: Lz4 | undefined;

/** The native library, where one was built for this machine. It wants the size in four bytes before the block. */
export function nativeLz4(): Lz4 | undefined {
  const library = loadNative<typeof import('lz4-napi')>('lz4-napi');
  if (library === undefined) return undefined;
  return (input, uncompressedBytes) => {
    const sized = Buffer.allocUnsafe(input.length + 4);
    sized.writeUInt32LE(uncompressedBytes, 0);
    sized.set(input, 4);
    try {
      return library.uncompressSync(sized);
    } catch (thrown) {
      throw corrupt(`LZ4 data cannot be decompressed: ${(thrown as Error).message}`);
    }
  };
}

export function plainLz4(input: Uint8Array, uncompressedBytes: number): Uint8Array {
  const output = new Uint8Array(uncompressedBytes);
  return output.subarray(0, decodeLz4Block(input, output, 0));
}
