/**
 * How much of a large page is read for the block of one row. Nothing says where in what is compressed a row is, but a page mostly
 * holds about as many bytes for any thousand of its rows; what turns out to be too little is read whole.
 *
 *     page   | header, levels | .. | block of the row | to the end of its fragment | slack |  not read
 */

import { shiftFor } from './block-writer.ts';
import type { CompressionCodec } from './file-format.ts';
import { isNested } from './nested-decode.ts';
import { fixedWidth } from './page-values.ts';
import type { LeafColumn } from './schema.ts';
import { FRAGMENT_BYTES } from './snappy-parts.ts';

/** A page header, and levels of rows that mostly have a value. */
const HEADER_BYTES = 4096;
/** What share of a page the rows before may take more than theirs. */
const SLACK = 1 / 16;
/** What is saved by less costs more, where it does not suffice, than where it does. */
const SAVED_BYTES_MIN = 64 * 1024;

/** What is known of a page before any of it is read. */
export interface UnreadPage {
  readonly leaf: LeafColumn;
  readonly codec: CompressionCodec;
  readonly hasDictionary: boolean;
  readonly rows: number;
  /** Header and body. */
  readonly bytes: number;
  /** Its share of what the chunk has. */
  readonly uncompressedBytes: number;
}

/** With how many of its first bytes the page likely has the block of the row; undefined where all should be read. */
export function prefixBytes(row: number, page: UnreadPage, blockBytes: number): number | undefined {
  const { leaf, codec, hasDictionary, rows, bytes } = page;
  const isInOrder = codec === 'SNAPPY' || codec === 'UNCOMPRESSED';
  if (!isInOrder || hasDictionary || isNested(leaf) || leaf.physicalType === 'BOOLEAN') return undefined;
  const uncompressedBytes = Math.max(1, page.uncompressedBytes);
  const bytesPerRow = leaf.physicalType === 'BYTE_ARRAY' ? uncompressedBytes / rows : fixedWidth(leaf);
  const step = 2 ** shiftFor(bytesPerRow, blockBytes);
  const rowEnd = (Math.trunc(row / step) + 1) * step;
  const fragment = codec === 'SNAPPY' ? FRAGMENT_BYTES : 1;
  const valuesEnd = Math.ceil(((rowEnd / rows) * uncompressedBytes) / fragment) * fragment;
  const prefix = Math.ceil(HEADER_BYTES + (valuesEnd / uncompressedBytes + SLACK) * bytes);
  return prefix + SAVED_BYTES_MIN <= bytes ? prefix : undefined;
}
