/**
 * The metadata reads: a file's footer when it joins a snapshot, and the layout of a chunk when a lookup first needs it.
 *
 * A file's length is known from the listing, so one read of its tail usually brings the footer and, where the writer
 * made one, the page index beside it. What the tail did not bring is read later, by chunk, when it is needed. A small
 * file far away is read whole, and tells at once where the pages of its keys are, even without a page index.
 */

import type { MemoryQuota, MemoryTier } from '../cache/index.ts';
import { type ByteRange, corrupt, rangeLength, ServiceError } from '../core/index.ts';
import {
  type BloomFilter,
  type ColumnChunk,
  decodeBloomFilter,
  decodeColumnIndex,
  decodeFooter,
  decodeOffsetIndex,
  type FileIndex,
  type PageBounds,
  type PageLocations,
  PageWalker,
} from '../parquet/index.ts';
import { type ObjectMeta, type ObjectStore, type RequestOptions, SMALL_OBJECT_BYTES } from '../storage/index.ts';
import type { ChunkLayout } from './learned-chunk.ts';
import type { TableDisk } from './table-disk.ts';
import { TableFile } from './table-file.ts';

/** Enough for the footer and page index of most files, and no dearer on S3 than a small read. */
const TAIL_BYTES = 128 * 1024;
/** `PAR1`, an empty footer, its length, `PAR1`. */
const PARQUET_BYTES_MIN = 12;
/** Rounds of `needs` before a footer is taken for a lie. */
const FOOTER_ROUNDS_MAX = 3;
/** Layouts of a wide file are read when needed: each is two small objects. */
const EAGER_CHUNKS_MAX = 4096;

/** A chunk without an offset index is read whole up to this size to find its pages; beyond it, header by header. */
const WALK_WHOLE_BYTES_MAX = 4 * 2 ** 20;
const WALK_PIECE_BYTES_REMOTE = 64 * 1024;
const WALK_PIECE_BYTES_LOCAL = 4 * 1024;

/** Where the footer does not say how long a bloom filter is, its header does. */
const BLOOM_ROUNDS_MAX = 3;
/** A filter is kept as long as its file is served, so a huge one is not worth its memory. */
const BLOOM_BYTES_MAX = 8 * 2 ** 20;

export async function openFile(
  store: ObjectStore,
  object: ObjectMeta,
  keyColumns: readonly string[],
  tier: MemoryTier,
  quota: MemoryQuota,
  signal: AbortSignal,
  disk?: TableDisk,
): Promise<TableFile> {
  if (object.sizeBytes < PARQUET_BYTES_MIN) {
    throw corrupt(`${object.key} has ${object.sizeBytes} bytes, too few for a Parquet file`, { file: object.key });
  }
  const stored = openStored(store, object, keyColumns, tier, quota, disk);
  if (stored !== undefined) return stored;
  const tail = await readTail(store, object, keyColumns, signal);
  const file = new TableFile(store, object, tail.index, keyColumns, tier, quota, disk?.file(object));
  if (tail.start === 0 && !store.cheapReads) readKeyLayouts(file, tail);
  else if (tail.index.rowGroups * tail.index.schema.leaves.length <= EAGER_CHUNKS_MAX) readEagerLayouts(file, tail);
  await disk?.keepMetadata(object, { index: file.index, layouts: file.layouts() });
  return file;
}

/** The file by what is on disk of it, without a request; undefined where that is nothing. */
export function openStored(
  store: ObjectStore,
  object: ObjectMeta,
  keyColumns: readonly string[],
  tier: MemoryTier,
  quota: MemoryQuota,
  disk: TableDisk | undefined,
): TableFile | undefined {
  const known = disk?.metadata(object);
  if (known === undefined) return undefined;
  const file = new TableFile(store, object, known.index, keyColumns, tier, quota, disk?.file(object));
  const columns = known.index.schema.leaves.length;
  for (const [chunk, layout] of known.layouts) file.chunk(Math.trunc(chunk / columns), chunk % columns).learn(layout);
  return file;
}

interface Tail {
  readonly index: FileIndex;
  /** Offset in the file of the first of `bytes`, which run to its end. */
  readonly start: number;
  readonly bytes: Uint8Array;
}

/** The file of a table that was opened last: a table has its own store, and its files mostly share one schema. */
const latestIndexOf = new WeakMap<ObjectStore, FileIndex>();

async function readTail(
  store: ObjectStore,
  object: ObjectMeta,
  keyColumns: readonly string[],
  signal: AbortSignal,
): Promise<Tail> {
  const isSmall = !store.cheapReads && object.sizeBytes < SMALL_OBJECT_BYTES;
  let start = isSmall ? 0 : Math.max(0, object.sizeBytes - TAIL_BYTES);
  let bytes = await store.getRange(object, { start, end: object.sizeBytes }, { signal });
  const options = { keyColumns: new Set(keyColumns), like: latestIndexOf.get(store) };
  for (let round = 0; round < FOOTER_ROUNDS_MAX; round++) {
    const footer = withFile(object, () => decodeFooter(bytes, object.sizeBytes, options));
    if (footer.kind === 'data') {
      latestIndexOf.set(store, footer.index);
      return { index: footer.index, start, bytes };
    }
    const wanted = Math.min(...footer.ranges.map((range) => range.start));
    const more = await store.getRange(object, { start: wanted, end: start }, { signal });
    bytes = Buffer.concat([more, bytes]);
    start = wanted;
  }
  throw corrupt(`the footer of ${object.key} keeps asking for more bytes`, { file: object.key });
}

/** Decodes the layouts whose page index lies in the tail already; a broken one is left for the walk over the pages. */
function readEagerLayouts(file: TableFile, tail: Tail): void {
  const { index } = file;
  // To look at each chunk takes longer than the rest of opening a file; one that cannot be read is named here, by its fault.
  if (!index.hasOffsetIndexes && !index.hasUnreadableChunks) return;
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup++) {
    for (const leaf of index.schema.leaves) {
      const chunk = index.chunk(rowGroup, leaf.ordinal);
      const wanted = indexRanges(file, chunk);
      if (wanted.offsets === undefined || wanted.offsets.start < tail.start) continue;
      if (wanted.bounds !== undefined && wanted.bounds.start < tail.start) continue;
      const slice = (range: ByteRange) => tail.bytes.subarray(range.start - tail.start, range.end - tail.start);
      const layout = decodeLayout(file, chunk, slice(wanted.offsets), wanted.bounds && slice(wanted.bounds));
      if (layout !== undefined) file.chunk(rowGroup, leaf.ordinal).learn(layout);
    }
  }
}

/**
 * Decodes the layouts of the key columns of a file that is in hand whole. There may be very many such files, so those
 * of other columns are left until they are needed: they come by the one GET that brings their pages too.
 */
function readKeyLayouts(file: TableFile, { index, bytes }: Tail): void {
  for (let rowGroup = 0; rowGroup < Math.min(index.rowGroups, EAGER_CHUNKS_MAX); rowGroup++) {
    for (const leaf of index.schema.leaves) {
      if (!file.isKey(leaf)) continue;
      const chunk = index.chunk(rowGroup, leaf.ordinal);
      const { offsets, bounds } = indexRanges(file, chunk);
      const slice = (range: ByteRange) => bytes.subarray(range.start, range.end);
      const indexed = offsets && decodeLayout(file, chunk, slice(offsets), bounds && slice(bounds));
      const locations = indexed === undefined ? orUndefined(() => walkInHand(file, chunk, bytes)) : undefined;
      const layout = locations === undefined ? indexed : { locations, bounds: undefined };
      if (layout !== undefined) file.chunk(rowGroup, leaf.ordinal).learn(layout);
    }
  }
}

/** Where the pages of a chunk lie and, for a key column, what they may hold. */
export async function readLayout(file: TableFile, chunk: ColumnChunk, options: RequestOptions): Promise<ChunkLayout> {
  const wanted = indexRanges(file, chunk);
  if (wanted.offsets !== undefined) {
    const [offsets, bounds] = await Promise.all([
      file.store.getRange(file.object, wanted.offsets, options),
      wanted.bounds && file.store.getRange(file.object, wanted.bounds, options),
    ]);
    const layout = decodeLayout(file, chunk, offsets, bounds);
    if (layout !== undefined) return layout;
  }
  return { locations: await walkPages(file, chunk, options), bounds: undefined };
}

/** What the chunk's pages may hold, for columns that are no key; undefined where the file does not say, or not well. */
export async function readPageBounds(
  file: TableFile,
  chunk: ColumnChunk,
  pages: number,
  options: RequestOptions,
): Promise<PageBounds | undefined> {
  const range = chunk.columnIndexRange;
  if (range === undefined || range.end > file.object.sizeBytes) return undefined;
  const bytes = await file.store.getRange(file.object, range, options);
  return orUndefined(() => decodeColumnIndex(bytes, chunk, pages));
}

/** The chunk's bloom filter, or `none` where it cannot be used: it only ever saves reading, so a broken one is no fault. */
export async function readBloomFilter(
  file: TableFile,
  chunk: ColumnChunk,
  options: RequestOptions,
): Promise<BloomFilter | 'none'> {
  let range = chunk.bloomFilterRange;
  for (let round = 0; range !== undefined && round < BLOOM_ROUNDS_MAX; round++) {
    const bytes = await file.store.getRange(file.object, range, options);
    const decoded = orUndefined(() => decodeBloomFilter(bytes, chunk, file.object.sizeBytes));
    if (decoded?.kind === 'data') return decoded.filter;
    const needed: ByteRange | undefined = decoded?.kind === 'needs' ? decoded.ranges[0] : undefined;
    range = needed !== undefined && rangeLength(needed) <= BLOOM_BYTES_MAX ? needed : undefined;
  }
  return 'none';
}

function indexRanges(file: TableFile, chunk: ColumnChunk): { offsets?: ByteRange; bounds?: ByteRange } {
  const inFile = (range: ByteRange | undefined) =>
    range !== undefined && range.start >= 0 && range.end > range.start && range.end <= file.object.sizeBytes;
  const { offsetIndexRange: offsets, columnIndexRange: bounds } = chunk;
  return {
    ...(offsets !== undefined && inFile(offsets) ? { offsets } : {}),
    ...(bounds !== undefined && inFile(bounds) && file.isKey(chunk.leaf) ? { bounds } : {}),
  };
}

/** Undefined where the offset index is broken: the page headers tell the same. Bounds that are broken are unknown. */
function decodeLayout(
  file: TableFile,
  chunk: ColumnChunk,
  offsets: Uint8Array,
  bounds: Uint8Array | undefined,
): ChunkLayout | undefined {
  const rows = file.index.rowGroupRows(chunk.rowGroup);
  const locations = orUndefined(() => decodeOffsetIndex(offsets, chunk, rows));
  if (locations === undefined) return undefined;
  return { locations, bounds: bounds && orUndefined(() => decodeColumnIndex(bounds, chunk, locations.pages)) };
}

function orUndefined<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (thrown) {
    if (thrown instanceof ServiceError && (thrown.kind === 'corrupt' || thrown.kind === 'unsupported'))
      return undefined;
    throw thrown;
  }
}

/**
 * Finds the pages by their headers. Where a read is dear a chunk of modest size is read whole, and kept for the reads of
 * its pages that follow; a larger one header by header in pieces that hold many small pages. Where reads are cheap only the
 * headers are read.
 */
async function walkPages(file: TableFile, chunk: ColumnChunk, options: RequestOptions): Promise<PageLocations> {
  const { start, end } = chunk.range;
  const wholeIsCheap = !file.store.cheapReads && end - start <= WALK_WHOLE_BYTES_MAX;
  const pieceBytes = file.store.cheapReads ? WALK_PIECE_BYTES_LOCAL : WALK_PIECE_BYTES_REMOTE;
  const walker = new PageWalker(chunk, file.index.rowGroupRows(chunk.rowGroup));
  let step = walker.next(new Uint8Array(0), start);
  while (step.kind === 'needs') {
    const [needed] = step.ranges;
    if (needed === undefined) throw new ServiceError('internal', 'internal', 'a walk needs nothing and does not end');
    const pieceEnd = wholeIsCheap ? end : Math.min(end, Math.max(needed.end, needed.start + pieceBytes));
    const piece = { start: needed.start, end: pieceEnd };
    const bytes = await file.store.getRange(file.object, piece, { ...options, keep: wholeIsCheap });
    step = walker.next(bytes, needed.start);
  }
  return step.locations;
}

/** The same over the bytes of the whole file; undefined where the chunk does not hold its pages. */
function walkInHand(file: TableFile, chunk: ColumnChunk, bytes: Uint8Array): PageLocations | undefined {
  const walker = new PageWalker(chunk, file.index.rowGroupRows(chunk.rowGroup));
  const step = walker.next(bytes.subarray(chunk.range.start, chunk.range.end), chunk.range.start);
  return step.kind === 'data' ? step.locations : undefined;
}

function withFile<T>(object: ObjectMeta, decode: () => T): T {
  try {
    return decode();
  } catch (thrown) {
    if (!(thrown instanceof ServiceError)) throw thrown;
    throw new ServiceError(
      thrown.kind,
      thrown.code,
      `${object.key}: ${thrown.message}`,
      { file: object.key, ...thrown.context },
      thrown,
    );
  }
}
