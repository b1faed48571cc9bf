/**
 * Decompression of page bodies, by the fastest library measured for each codec, with a fallback that needs no native
 * code. The result has exactly the size that the page header declares, or the page is corrupt.
 *
 * A header's declared size is not believed blindly: where the codec bounds how much one byte can expand to, or says
 * its own size, that is compared first, so that a few bytes cannot ask for a gigabyte.
 */

import { brotliDecompressSync, unzipSync, zstdDecompressSync } from 'node:zlib';
import { snappyUncompressor } from 'hysnappy';
import { corrupt, ServiceError, unsupported } from '../core/index.ts';
import type { CompressionCodec } from './file-format.ts';
import { decompressHadoopLz4, decompressLz4Block } from './lz4.ts';
import { loadNative } from './native.ts';

/** DEFLATE's longest match is 258 bytes and costs at least two bits. */
const GZIP_MAX_EXPANSION = 1032;
/** A copy of 64 bytes costs three. */
const SNAPPY_MAX_EXPANSION = 22;
/** zlib writes into chunks of this size at most, so that a lying size costs memory only as output appears. */
const ZLIB_CHUNK_MAX = 64 * 1024 * 1024;
const ZLIB_CHUNK_MIN = 64;

/** The `uncompressedBytes` bytes that `input` stands for; the caller has bounded that number. */
export function decompress(codec: CompressionCodec, input: Uint8Array, uncompressedBytes: number): Uint8Array {
  // Some writers leave an empty body uncompressed (no frame, no preamble).
  if (uncompressedBytes === 0 && input.length === 0) return input;
  const output = decompressBy(codec, input, uncompressedBytes);
  if (output.length !== uncompressedBytes) {
    throw corrupt(`${codec} data holds ${output.length} bytes where the page header declares ${uncompressedBytes}`);
  }
  return output;
}

function decompressBy(codec: CompressionCodec, input: Uint8Array, uncompressedBytes: number): Uint8Array {
  switch (codec) {
    case 'UNCOMPRESSED':
      return input;
    case 'SNAPPY':
      return decompressSnappy(input, uncompressedBytes);
    case 'GZIP':
      checkExpansion(codec, input, uncompressedBytes, GZIP_MAX_EXPANSION);
      return decompressZlib(codec, unzipSync, input, uncompressedBytes);
    case 'BROTLI':
      return decompressZlib(codec, brotliDecompressSync, input, uncompressedBytes);
    case 'ZSTD':
      return decompressZlib(codec, zstdDecompressSync, input, uncompressedBytes);
    case 'LZ4':
      return decompressHadoopLz4(input, uncompressedBytes);
    case 'LZ4_RAW':
      return decompressLz4Block(input, uncompressedBytes);
    case 'LZO':
      throw unsupported('pages compressed with LZO cannot be read; rewrite the file with SNAPPY or ZSTD', { codec });
  }
}

function checkExpansion(codec: string, input: Uint8Array, uncompressedBytes: number, factor: number): void {
  if (uncompressedBytes > input.length * factor + 64) {
    throw corrupt(
      `${input.length} bytes of ${codec} data cannot hold the ${uncompressedBytes} the page header declares`,
    );
  }
}

function decompressZlib(
  codec: CompressionCodec,
  decompressSync: (
    input: Uint8Array,
    options: { readonly chunkSize: number; readonly maxOutputLength: number },
  ) => Uint8Array,
  input: Uint8Array,
  uncompressedBytes: number,
): Uint8Array {
  // One chunk of the whole size saves a third of the time, but only where the input makes that size plausible.
  const plausible = Math.min(ZLIB_CHUNK_MAX, Math.max(64 * 1024, input.length * 64));
  const chunkSize = Math.max(ZLIB_CHUNK_MIN, Math.min(uncompressedBytes, plausible));
  try {
    return decompressSync(input, { chunkSize, maxOutputLength: Math.max(1, uncompressedBytes) });
  } catch (thrown) {
    throw corruptData(codec, thrown, uncompressedBytes);
  }
}

function corruptData(codec: string, thrown: unknown, uncompressedBytes: number): ServiceError {
  const tooLong = (thrown as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE';
  const reason = tooLong ? `it holds more than the ${uncompressedBytes} bytes declared` : (thrown as Error).message;
  return new ServiceError('corrupt', 'corrupt', `${codec} data cannot be decompressed: ${reason}`, { codec }, thrown);
}

/** Loads what takes milliseconds to load, so that the first page need not wait for it. */
export function loadDecompressors(): void {
  snappy ??= loadSnappy();
}

type Snappy = (input: Uint8Array, uncompressedBytes: number) => Uint8Array;

let snappy: Snappy | undefined;

function decompressSnappy(input: Uint8Array, uncompressedBytes: number): Uint8Array {
  // Both libraries allocate what the preamble says, so it is read before they see it.
  snappyPreamble(input, uncompressedBytes);
  checkExpansion('SNAPPY', input, uncompressedBytes, SNAPPY_MAX_EXPANSION);
  snappy ??= loadSnappy();
  try {
    return snappy(input, uncompressedBytes);
  } catch (thrown) {
    throw corruptData('SNAPPY', thrown, uncompressedBytes);
  }
}

function loadSnappy(): Snappy {
  return nativeSnappy() ?? wasmSnappy();
}

/** How long the preamble is, a varint of at most 32 bits, which must say so many bytes. */
export function snappyPreamble(input: Uint8Array, uncompressedBytes: number): number {
  let declared = 0;
  for (let i = 0; i < 5; i += 1) {
    const byte = input[i];
    if (byte === undefined) break;
    declared += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if (declared === uncompressedBytes) return i + 1;
    throw corrupt(`SNAPPY data declares ${declared} bytes where the page header declares ${uncompressedBytes}`);
  }
  throw corrupt('SNAPPY data does not begin with its length');
}

/** The native library, or undefined where none was built for this machine. */
export function nativeSnappy(): Snappy | undefined {
  const library = loadNative<typeof import('snappy')>('snappy');
  if (library === undefined) return undefined;
  return (input) => library.uncompressSync(input, { asBuffer: true, copyOutputData: true }) as Buffer;
}

/** WebAssembly; an instance that threw is not used again, since a trap leaves its stack pointer where it was. */
export function wasmSnappy(): Snappy {
  let instance: Snappy | undefined;
  return (input, uncompressedBytes) => {
    const current = instance ?? snappyUncompressor();
    instance = undefined;
    const output = current(input, uncompressedBytes);
    instance = current;
    return output;
  };
}
