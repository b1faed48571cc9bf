/**
 * The end of a Parquet file: FileMetaData in Thrift, its length in four bytes, and the magic `PAR1`. Whoever has read
 * the last few hundred kilobytes mostly has all of it.
 */

import { type ByteRange, corrupt, unsupported } from '../core/index.ts';
import { FileIndex, type FileIndexOptions } from './file-index.ts';

/** Length and magic. */
const FOOTER_TAIL_BYTES = 8;
/** The opening magic, an empty footer, its length and the closing magic. */
const MIN_FILE_BYTES = 12;
/** A footer longer than this is refused before it is fetched. */
const MAX_FOOTER_BYTES = 256 * 2 ** 20;

export type DecodedFooter =
  | { readonly kind: 'data'; readonly index: FileIndex }
  | { readonly kind: 'needs'; readonly ranges: readonly ByteRange[] };

/**
 * `tail` is the last `tail.length` bytes of a file of `fileLength` bytes. When it is too short, the answer is the one
 * range that lies directly before it; ask again with both together. Throws `corrupt` or `unsupported`.
 */
export function decodeFooter(tail: Uint8Array, fileLength: number, options: FileIndexOptions = {}): DecodedFooter {
  if (fileLength < MIN_FILE_BYTES) {
    throw corrupt(`this is not a Parquet file: it has ${fileLength} bytes, and the smallest has ${MIN_FILE_BYTES}`);
  }
  const tailStart = fileLength - tail.length;
  if (tail.length < FOOTER_TAIL_BYTES) return needs(fileLength - FOOTER_TAIL_BYTES, tailStart);
  checkMagic(tail.subarray(tail.length - 4));
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const footerLength = view.getUint32(tail.length - FOOTER_TAIL_BYTES, true);
  const footerStart = fileLength - FOOTER_TAIL_BYTES - footerLength;
  if (footerStart < 4) {
    throw corrupt(`the footer is said to have ${footerLength} bytes, more than the file of ${fileLength} bytes holds`);
  }
  if (footerLength > MAX_FOOTER_BYTES) {
    throw unsupported(`the footer has ${footerLength} bytes and at most ${MAX_FOOTER_BYTES} are read`);
  }
  if (footerStart < tailStart) return needs(footerStart, tailStart);
  const footer = tail.subarray(footerStart - tailStart, tail.length - FOOTER_TAIL_BYTES);
  return { kind: 'data', index: FileIndex.parse(footer, fileLength, options) };
}

function needs(start: number, end: number): DecodedFooter {
  return { kind: 'needs', ranges: [{ start, end }] };
}

function checkMagic(magic: Uint8Array): void {
  const text = Buffer.from(magic).toString('latin1');
  if (text === 'PAR1') return;
  if (text === 'PARE') throw unsupported('the file is encrypted, and encrypted files cannot be read');
  throw corrupt(`this is not a Parquet file: it ends in ${JSON.stringify(text)} where "PAR1" must stand`);
}
