/** Chunks of a file in memory, read to blocks with nothing in between but the decoders. */

import assert from 'node:assert/strict';
import { corrupt } from '../../src/core/index.ts';
import {
  Block,
  decodeDataPage,
  decodeDictionaryPage,
  decodeOffsetIndex,
  type FileIndex,
  type LeafColumn,
  type PageLocations,
  PageWalker,
} from '../../src/parquet/index.ts';
import type { BlockAt } from '../../src/table/index.ts';

export function blockAt(blocks: readonly BlockAt[], row: number): BlockAt {
  const at = blocks.find(({ block, firstRow }) => row >= firstRow && row < firstRow + block.rows);
  assert.ok(at, `row ${row} is in a block`);
  return at;
}

/** The blocks of one chunk, which are small on purpose. What they weigh together is held to the bound. */
export function blocksOf(
  file: Uint8Array,
  index: FileIndex,
  rowGroup: number,
  leaf: LeafColumn,
  maxPageBytes = 2 ** 20,
): BlockAt[] {
  const chunk = index.chunk(rowGroup, leaf.ordinal);
  const locations = locationsOf(file, index, rowGroup, leaf);
  const context = {
    leaf,
    codec: chunk.codec,
    dictionaryRows: undefined,
    expectedRows: undefined,
    verifyCrc: false,
    blockBytes: 100,
    maxPageBytes,
  };
  const slice = ({ start, end }: { readonly start: number; readonly end: number }) => {
    if (end > file.length) throw corrupt('a page lies beyond the end of the file');
    return file.subarray(start, end);
  };
  const { dictionaryRange } = locations;
  const buffer = dictionaryRange && decodeDictionaryPage(slice(dictionaryRange), context);
  const dictionary = buffer && Block.open(buffer);
  const found: BlockAt[] = [];
  let bytes = 0;
  for (let page = 0; page < locations.pages; page += 1) {
    const expectedRows = locations.rowEnd(page) - locations.firstRow(page);
    const whole = { ...context, dictionaryRows: dictionary?.rows, dictionary: buffer && new Uint8Array(buffer) };
    const decoded = decodeDataPage(slice(locations.range(page)), { ...whole, expectedRows });
    decoded.blocks.forEach((blockBuffer, i) => {
      const block = Block.open(blockBuffer);
      if (block.kind === 'CODES') block.dictionary = dictionary;
      bytes += block.byteLength;
      found.push({ block, firstRow: locations.firstRow(page) + i * 2 ** decoded.shift });
    });
    // Headers of many small blocks come on top of what is bounded.
    assert.ok(bytes <= 3 * maxPageBytes + 200 * found.length, `${bytes} bytes of blocks`);
  }
  return found;
}

function locationsOf(file: Uint8Array, index: FileIndex, rowGroup: number, leaf: LeafColumn): PageLocations {
  const rows = index.rowGroupRows(rowGroup);
  const chunk = index.chunk(rowGroup, leaf.ordinal);
  const { offsetIndexRange } = chunk;
  if (offsetIndexRange !== undefined && offsetIndexRange.end <= file.length) {
    return decodeOffsetIndex(file.subarray(offsetIndexRange.start, offsetIndexRange.end), chunk, rows);
  }
  const step = new PageWalker(chunk, rows).next(file, 0);
  if (step.kind === 'needs') throw corrupt('the chunk lies beyond the end of the file');
  return step.locations;
}
