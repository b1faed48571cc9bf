/**
 * What every page decoder does first: the header's sizes held against the bytes at hand and the caller's bound, the CRC,
 * the body. Nothing in a page is believed before that.
 */

import { crc32 } from 'node:zlib';
import { corrupt, ServiceError, unsupported } from '../core/index.ts';
import type { CompressionCodec } from './file-format.ts';
import { decodePageHeader, type PageHeader } from './page-header.ts';
import type { LeafColumn } from './schema.ts';

export interface PageContext {
  readonly leaf: LeafColumn;
  readonly codec: CompressionCodec;
  /** Rows of the chunk's dictionary block; undefined where the chunk has none. */
  readonly dictionaryRows: number | undefined;
  /** The dictionary's block itself, where data pages of several encodings are decoded as one unit. */
  readonly dictionary?: Uint8Array | undefined;
  /** Rows that the page locations promise; undefined where nothing does. */
  readonly expectedRows: number | undefined;
  readonly verifyCrc: boolean;
  /** What an average block should weigh. */
  readonly blockBytes: number;
  /** No page may be larger, neither decompressed nor decoded. */
  readonly maxPageBytes: number;
}

/** Offsets in blocks are 32 bits; this leaves room for headers and padding. */
export const MAX_DECODED_BYTES = 2 ** 31;

export function namingColumn<Result>(context: PageContext, decode: () => Result): Result {
  try {
    return decode();
  } catch (thrown) {
    throw thrown instanceof ServiceError ? thrown.with({ column: context.leaf.name }) : thrown;
  }
}

/**
 * The header, its sizes compared with the page and with the bound, and the body with its CRC. `pageBytes` are those of the
 * page where `page` is only what it begins with, of which no CRC can be verified.
 */
export function readHeader(page: Uint8Array, context: PageContext, pageBytes: number = page.length): PageHeader {
  const header = decodePageHeader(page, 0);
  if (header === 'needs_more') throw corrupt('a page ends in the middle of its header');
  const left = pageBytes - header.headerLength;
  if (header.compressedPageSize > left) {
    throw corrupt(`a page header declares ${header.compressedPageSize} bytes where ${left} follow`);
  }
  if (header.uncompressedPageSize > context.maxPageBytes) {
    throw unsupported(`a page of ${header.uncompressedPageSize} bytes is over the bound of ${context.maxPageBytes}`, {
      feature: 'page size',
    });
  }
  if (context.verifyCrc && header.crc !== undefined && crc32(bodyOf(page, header)) !== header.crc >>> 0) {
    throw corrupt('the CRC of a page does not match its bytes');
  }
  return header;
}

export function bodyOf(page: Uint8Array, header: PageHeader): Uint8Array {
  return page.subarray(header.headerLength, header.headerLength + header.compressedPageSize);
}

export function checkDecodedBytes(bytes: number, { maxPageBytes }: PageContext): void {
  const bound = Math.min(maxPageBytes, MAX_DECODED_BYTES);
  if (bytes > bound) {
    throw unsupported(`a page that decodes to ${bytes} bytes is over the bound of ${bound}`, { feature: 'page size' });
  }
}

/** The range behind a 4-byte little-endian length. */
export function lengthPrefixed(data: Uint8Array, what: string): { readonly start: number; readonly end: number } {
  if (data.length < 4) throw corrupt(`the page ends before the length of its ${what}`);
  const length = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  if (length > data.length - 4) throw corrupt(`the ${what} claim ${length} bytes where ${data.length - 4} are left`);
  return { start: 4, end: 4 + length };
}
