/** ColumnIndex, OffsetIndex and Statistics of a chunk that was written. */

import type { LeafColumn } from '../parquet/index.ts';
import type { WrittenPage } from './chunk-writer.ts';
import { orderOf, type StoredBounds } from './stored-bounds.ts';
import { ThriftWriter } from './thrift-writer.ts';

const NO_BYTES = Buffer.alloc(0);

/** `start` is where the first page lies in the file. */
export function offsetIndexOf(pages: readonly WrittenPage[], start: number): Uint8Array {
  const thrift = new ThriftWriter();
  let offset = start;
  thrift.structs(1, pages, (page) => {
    thrift.i64(1, offset);
    thrift.i32(2, page.bytes);
    thrift.i64(3, page.firstRow);
    offset += page.bytes;
  });
  thrift.stop();
  return thrift.finish();
}

/** Undefined where a page has values and no bounds, such as one of nothing but NaN: the index must have all or none. */
export function columnIndexOf(leaf: LeafColumn, pages: readonly WrittenPage[]): Uint8Array | undefined {
  const bounds = pages.map((page) => page.bounds);
  if (orderOf(leaf) === undefined || pages.some((page) => page.bounds === undefined && page.nulls < page.values)) {
    return undefined;
  }
  const thrift = new ThriftWriter();
  thrift.bools(
    1,
    bounds.map((bound) => bound === undefined),
  );
  thrift.binaries(
    2,
    bounds.map((bound) => bound?.min ?? NO_BYTES),
  );
  thrift.binaries(
    3,
    bounds.map((bound) => bound?.max ?? NO_BYTES),
  );
  thrift.i32(4, boundaryOrder(leaf, bounds));
  thrift.i64s(
    5,
    pages.map((page) => page.nulls),
  );
  thrift.stop();
  return thrift.finish();
}

/** UNORDERED, ASCENDING or DESCENDING, over the pages that are not null. */
function boundaryOrder(leaf: LeafColumn, bounds: readonly (StoredBounds | undefined)[]): number {
  let ascends = true;
  let descends = true;
  let before: StoredBounds | undefined;
  for (const here of bounds) {
    if (here === undefined) continue;
    if (before !== undefined) {
      const steps = [compareBounds(leaf, before.min, here.min), compareBounds(leaf, before.max, here.max)];
      ascends &&= steps.every((step) => step <= 0);
      descends &&= steps.every((step) => step >= 0);
    }
    before = here;
  }
  if (ascends) return 1;
  return descends ? 2 : 0;
}

/** The bounds of all pages together; undefined where there are none. */
export function chunkBounds(leaf: LeafColumn, pages: readonly WrittenPage[]): StoredBounds | undefined {
  return pages.reduce<StoredBounds | undefined>((all, { bounds }) => {
    if (all === undefined || bounds === undefined) return all ?? bounds;
    const isLess = compareBounds(leaf, bounds.min, all.min) < 0;
    const isMore = compareBounds(leaf, bounds.max, all.max) > 0;
    return {
      min: isLess ? bounds.min : all.min,
      minExact: isLess ? bounds.minExact : all.minExact,
      max: isMore ? bounds.max : all.max,
      maxExact: isMore ? bounds.maxExact : all.maxExact,
    };
  }, undefined);
}

function compareBounds(leaf: LeafColumn, a: Buffer, b: Buffer): number {
  return orderOf(leaf)?.(a, 0, a.length, b, 0, b.length) ?? 0;
}
