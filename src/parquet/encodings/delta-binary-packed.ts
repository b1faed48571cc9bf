/**
 * DELTA_BINARY_PACKED: integers as bit-packed differences, in blocks of miniblocks.
 *
 * https://github.com/apache/parquet-format/blob/master/Encodings.md#delta-encoding-delta_binary_packed--5
 *
 *     header  varint blockSize, varint miniblocks, varint totalCount, zigzag firstValue
 *     block   zigzag minDelta, one bit width byte a miniblock, then the miniblocks
 *
 * Sixty-four bit values are carried as two 32-bit halves: a BigInt a value would cost fifty times the addition. All
 * arithmetic wraps, as the specification says. The miniblocks that hold no value have a width byte and no data.
 */

import { corrupt } from '../../core/index.ts';

/** 64-bit varints are at most ten bytes. */
const MAX_VARINT_BYTES = 10;
/** Bounds what one header can claim; the common writers use blocks of 128 to 1024 values. */
const MAX_BLOCK_SIZE = 1 << 24;

class DeltaReader {
  readonly source: Uint8Array;
  readonly end: number;
  position: number;
  /** The two halves of the last varint read. */
  low = 0;
  high = 0;

  constructor(source: Uint8Array, start: number, end: number) {
    this.source = source;
    this.position = start;
    this.end = end;
  }

  byte(): number {
    if (this.position >= this.end) throw corrupt('the delta encoded values end in the middle of a header');
    return this.source[this.position++]!;
  }

  varint64(): void {
    let low = 0;
    let high = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i += 1) {
      const byte = this.byte();
      const bits = byte & 0x7f;
      const shift = 7 * i;
      if (shift < 32) low |= bits << shift;
      if (shift === 28) high |= bits >>> 4;
      else if (shift >= 32) high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.low = low;
        this.high = high;
        return;
      }
    }
    throw corrupt('a varint of the delta encoding is longer than ten bytes');
  }

  zigzag64(): void {
    this.varint64();
    const sign = -(this.low & 1);
    const low = ((this.low >>> 1) | (this.high << 31)) ^ sign;
    this.high = (this.high >>> 1) ^ sign;
    this.low = low;
  }

  /** A size or count: an unsigned varint that must be a small number. */
  count(what: string, max: number): number {
    this.varint64();
    if (this.high !== 0 || this.low >>> 0 > max) throw corrupt(`the delta encoding claims an impossible ${what}`);
    return this.low >>> 0;
  }
}

interface DeltaHeader {
  readonly reader: DeltaReader;
  readonly miniblocks: number;
  readonly miniblockSize: number;
}

function readHeader(source: Uint8Array, start: number, end: number, count: number): DeltaHeader {
  const reader = new DeltaReader(source, start, end);
  const blockSize = reader.count('block size', MAX_BLOCK_SIZE);
  const miniblocks = reader.count('number of miniblocks', blockSize);
  const total = reader.count('number of values', 0xffffffff);
  if (total !== count) throw corrupt(`the delta encoding holds ${total} values where the page has ${count}`);
  reader.zigzag64();
  if (count > 1 && (miniblocks === 0 || blockSize % miniblocks !== 0 || (blockSize / miniblocks) % 8 !== 0)) {
    throw corrupt(`delta blocks of ${blockSize} values cannot be divided into ${miniblocks} miniblocks`);
  }
  return { reader, miniblocks, miniblockSize: miniblocks === 0 ? 0 : blockSize / miniblocks };
}

/** Checks a miniblock's width and bytes; returns where it ends. A last miniblock may lack its padding. */
function miniblockEnd(reader: DeltaReader, bitWidth: number, miniblockSize: number, wanted: number): number {
  if (bitWidth > 64) throw corrupt(`a delta bit width of ${bitWidth} is more than 64`);
  if (Math.ceil((wanted * bitWidth) / 8) > reader.end - reader.position) {
    throw corrupt('the delta encoded values end in the middle of a miniblock');
  }
  return Math.min(reader.end, reader.position + (miniblockSize * bitWidth) / 8);
}

/** Decodes `count` INT32 values; returns the position after them, where delta byte arrays go on. */
export function decodeDeltaInt32(
  source: Uint8Array,
  start: number,
  end: number,
  out: Int32Array,
  count: number,
): number {
  const { reader, miniblocks, miniblockSize } = readHeader(source, start, end, count);
  if (count === 0) return reader.position;
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  let value = reader.low;
  out[0] = value;
  let done = 1;
  while (done < count) {
    reader.zigzag64();
    const minDelta = reader.low;
    const widths = reader.position;
    if (widths + miniblocks > end) throw corrupt('the delta encoded values end in the middle of a block header');
    reader.position += miniblocks;
    for (let m = 0; m < miniblocks && done < count; m += 1) {
      const bitWidth = source[widths + m]!;
      const wanted = Math.min(miniblockSize, count - done);
      const next = miniblockEnd(reader, bitWidth, miniblockSize, wanted);
      const from = reader.position;
      const doneEnd = done + wanted;
      if (bitWidth === 0) {
        for (; done < doneEnd; done += 1) {
          value = (value + minDelta) | 0;
          out[done] = value;
        }
      } else if (bitWidth <= 25 && from + Math.ceil((wanted * bitWidth) / 8) + 4 <= end) {
        const mask = (1 << bitWidth) - 1;
        let bit = 0;
        for (; done < doneEnd; done += 1) {
          const delta = (view.getUint32(from + (bit >>> 3), true) >>> (bit & 7)) & mask;
          value = (value + minDelta + delta) | 0;
          out[done] = value;
          bit += bitWidth;
        }
      } else {
        // Deltas wider than 32 bits wrap to their low half, so only that is read.
        const width = Math.min(bitWidth, 32);
        for (let bit = 0; done < doneEnd; done += 1) {
          const delta = bits32(source, from, end, bit, width);
          value = (value + minDelta + delta) | 0;
          out[done] = value;
          bit += bitWidth;
        }
      }
      reader.position = next;
    }
  }
  return reader.position;
}

/** Decodes `count` INT64 values as pairs of little-endian halves: `out` has 2 x count elements. */
export function decodeDeltaInt64(
  source: Uint8Array,
  start: number,
  end: number,
  out: Int32Array,
  count: number,
): number {
  const { reader, miniblocks, miniblockSize } = readHeader(source, start, end, count);
  if (count === 0) return reader.position;
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  let low = reader.low;
  let high = reader.high;
  out[0] = low;
  out[1] = high;
  let done = 1;
  while (done < count) {
    reader.zigzag64();
    const minLow = reader.low;
    const minHigh = reader.high;
    const widths = reader.position;
    if (widths + miniblocks > end) throw corrupt('the delta encoded values end in the middle of a block header');
    reader.position += miniblocks;
    for (let m = 0; m < miniblocks && done < count; m += 1) {
      const bitWidth = source[widths + m]!;
      const wanted = Math.min(miniblockSize, count - done);
      const next = miniblockEnd(reader, bitWidth, miniblockSize, wanted);
      const from = reader.position;
      const doneEnd = done + wanted;
      if (bitWidth <= 25 && from + Math.ceil((wanted * bitWidth) / 8) + 4 <= end) {
        const mask = (1 << bitWidth) - 1;
        for (let bit = 0; done < doneEnd; done += 1) {
          const delta = (view.getUint32(from + (bit >>> 3), true) >>> (bit & 7)) & mask;
          // Two wrapping 64-bit additions, each carry found by comparing the halves as unsigned.
          const stepLow = (minLow + delta) | 0;
          const stepHigh = stepLow >>> 0 < delta ? minHigh + 1 : minHigh;
          low = (low + stepLow) | 0;
          high = (high + stepHigh + (low >>> 0 < stepLow >>> 0 ? 1 : 0)) | 0;
          out[2 * done] = low;
          out[2 * done + 1] = high;
          bit += bitWidth;
        }
      } else {
        const lowWidth = Math.min(bitWidth, 32);
        const highWidth = bitWidth - lowWidth;
        for (let bit = 0; done < doneEnd; done += 1) {
          const deltaLow = bits32(source, from, end, bit, lowWidth);
          const deltaHigh = highWidth === 0 ? 0 : bits32(source, from, end, bit + 32, highWidth);
          const stepLow = (minLow + deltaLow) | 0;
          const stepHigh = (minHigh + deltaHigh + (stepLow >>> 0 < deltaLow >>> 0 ? 1 : 0)) | 0;
          low = (low + stepLow) | 0;
          high = (high + stepHigh + (low >>> 0 < stepLow >>> 0 ? 1 : 0)) | 0;
          out[2 * done] = low;
          out[2 * done + 1] = high;
          bit += bitWidth;
        }
      }
      reader.position = next;
    }
  }
  return reader.position;
}

/** `width` (0 to 32) bits from bit `bit` after the byte `from`; bytes at and beyond `end` count as zero. */
function bits32(source: Uint8Array, from: number, end: number, bit: number, width: number): number {
  let at = from + (bit >>> 3);
  let shift = -(bit & 7);
  let value = 0;
  while (shift < width && at < end) {
    const byte = source[at++]!;
    value |= shift < 0 ? byte >>> -shift : byte << shift;
    shift += 8;
  }
  return width >= 32 ? value : value & ((1 << width) - 1);
}
