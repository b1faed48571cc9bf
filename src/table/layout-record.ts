/**
 * Where a chunk's pages lie and what they may hold, as bytes for the disk:
 *
 *     0  u32  bytes of the locations, then of the bounds, 0 where there are none
 *     8       the locations; the bounds
 */

import { copyBytes, corrupt } from '../core/index.ts';
import { type LeafColumn, PageBounds, PageLocations } from '../parquet/index.ts';
import type { ChunkLayout } from './learned-chunk.ts';

const HEADER_BYTES = 8;

export function encodeLayout({ locations, bounds }: ChunkLayout): Uint8Array<ArrayBuffer> {
  const places = locations.serialise();
  const limits = bounds?.serialise() ?? new Uint8Array(0);
  const bytes = new Uint8Array(HEADER_BYTES + places.length + limits.length);
  new Uint32Array(bytes.buffer, 0, 2).set([places.length, limits.length]);
  bytes.set(places, HEADER_BYTES);
  bytes.set(limits, HEADER_BYTES + places.length);
  return bytes;
}

/** Throws `corrupt` where the bytes are no layout of a chunk with so many rows. */
export function decodeLayout(stored: Uint8Array, leaf: LeafColumn, rows: number): ChunkLayout {
  // The arrays in it are kept as long as the file is served, and what was read may hold much more.
  return layoutOver(copyBytes(stored), leaf, rows);
}

/** The same without a copy: bytes that are all of their buffer, and stay as they are. */
export function layoutOver(bytes: Uint8Array, leaf: LeafColumn, rows: number): ChunkLayout {
  const [placesLength = 0, limitsLength = 0] = bytes.length < HEADER_BYTES ? [] : new Uint32Array(bytes.buffer, 0, 2);
  if (placesLength === 0 || HEADER_BYTES + placesLength + limitsLength !== bytes.length) {
    throw corrupt(`a stored layout of column ${leaf.name} does not fit in its ${bytes.length} bytes`);
  }
  const locations = PageLocations.load(bytes.subarray(HEADER_BYTES, HEADER_BYTES + placesLength));
  const bounds = limitsLength === 0 ? undefined : PageBounds.load(bytes.subarray(HEADER_BYTES + placesLength), leaf);
  if (locations.rowGroupRows !== rows || (bounds !== undefined && bounds.pages !== locations.pages)) {
    throw corrupt(`a stored layout of column ${leaf.name} is of ${locations.rowGroupRows} rows, not ${rows}`);
  }
  return { locations, bounds };
}
