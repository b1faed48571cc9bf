/**
 * Warms the next snapshot before the switch to it: where a file was replaced, what of it was in memory is likely to be
 * asked for in the one that came in its place.
 *
 * A file stands in another's place when it has its key, or lies in its folder. Rewritten files mostly keep their order,
 * so the pages that are read are those at the same share of the same columns' rows. It is bounded by the bytes that were
 * in memory, by a share of the node's, and by the time that a refresh gives.
 */

import { rangeLength } from '../core/index.ts';
import type { ChunkBlocks, Need, Snapshot, SnapshotReadableFile } from '../table/index.ts';
import type { PageLoader } from './page-loader.ts';
import { nextTurn } from './preload-pace.ts';

/** Of what pages on their way may take. */
const BYTES_SHARE = 2;
/** Pages asked for together. */
const BATCH_BYTES = 4 * 2 ** 20;

/** Rows of one column that are in memory, as shares of their row group: [start, end) in turn. */
type HotShares = readonly number[];

/** Reads pages of `next` until what was hot is there, its bytes are spent, or the signal aborts. */
export async function warmReplaced(
  loader: PageLoader,
  next: Snapshot,
  before: Snapshot,
  signal: AbortSignal,
): Promise<void> {
  let bytesLeft = loader.inFlight.capacityBytes * BYTES_SHARE;
  for (const [old, fresh] of replacedPairs(next, before)) {
    const needs: (Need & { readonly kind: 'page' })[] = [];
    for (let rowGroup = 0; rowGroup < old.file.index.rowGroups; rowGroup++) {
      if (rowGroup >= fresh.file.index.rowGroups) break;
      for (const [column, shares] of hotColumns(old, rowGroup)) {
        const position = fresh.file.index.schema.leaves.findIndex(({ name }) => name === column);
        if (position < 0) continue;
        const chunk = fresh.file.chunk(rowGroup, position);
        await loader.layout(fresh.file, chunk, signal);
        needs.push(...pagesAt(fresh, chunk, shares));
      }
    }
    for (const batch of batches(needs)) {
      for (const need of batch) bytesLeft -= pageBytes(need);
      if (bytesLeft < 0) return;
      await Promise.all(batch.map(({ file, chunk, page }) => loader.page(file, chunk, page, signal)));
      await nextTurn();
      signal.throwIfAborted();
    }
  }
}

/** Files that went and the ones in their place: of one key, else of one folder, in the order of their keys. */
function replacedPairs(
  next: Snapshot,
  before: Snapshot,
): readonly (readonly [SnapshotReadableFile, SnapshotReadableFile])[] {
  const kept = new Set(readable(next).map(({ file }) => file));
  const had = new Set(readable(before).map(({ file }) => file));
  const fresh = readable(next).filter(({ file }) => !had.has(file));
  const byKey = new Map(fresh.map((file) => [file.file.object.key, file]));
  const byFolder = Map.groupBy(fresh, (file) => folderOf(file.file.object.key));
  const taken = new Map<string, number>();
  const pairs: (readonly [SnapshotReadableFile, SnapshotReadableFile])[] = [];
  for (const old of readable(before)) {
    if (kept.has(old.file)) continue;
    const folder = folderOf(old.file.object.key);
    const at = taken.get(folder) ?? 0;
    const inPlace = byKey.get(old.file.object.key) ?? byFolder.get(folder)?.[at];
    taken.set(folder, at + 1);
    if (inPlace !== undefined) pairs.push([old, inPlace]);
  }
  return pairs;
}

function* hotColumns({ file }: SnapshotReadableFile, rowGroup: number): Generator<readonly [string, HotShares]> {
  const rows = Math.max(1, file.index.rowGroupRows(rowGroup));
  for (const leaf of file.index.schema.leaves) {
    const chunk = file.chunk(rowGroup, leaf.ordinal);
    const locations = chunk.layout?.locations;
    const shares: number[] = [];
    for (let page = 0; page < (locations?.pages ?? 0); page++) {
      if (locations === undefined || !chunk.isResident(page)) continue;
      const start = locations.firstRow(page) / rows;
      if (shares.at(-1) === start) shares.pop();
      else shares.push(start);
      shares.push(locations.rowEnd(page) / rows);
    }
    if (shares.length > 0) yield [leaf.name, shares];
  }
}

function* pagesAt(
  { file }: SnapshotReadableFile,
  chunk: ChunkBlocks,
  shares: HotShares,
): Generator<Need & { readonly kind: 'page' }> {
  const locations = chunk.layout?.locations;
  const rows = file.index.rowGroupRows(chunk.rowGroup);
  if (locations === undefined || locations.pages === 0 || rows === 0) return;
  let next = 0;
  for (let at = 0; at < shares.length; at += 2) {
    const first = Math.min(rows - 1, Math.floor((shares[at] ?? 0) * rows));
    const last = Math.max(first, Math.ceil((shares[at + 1] ?? 0) * rows) - 1);
    const lastPage = locations.pageOf(Math.min(rows - 1, last));
    for (let page = Math.max(next, locations.pageOf(first)); page <= lastPage; page++) {
      if (!chunk.isResident(page)) yield { kind: 'page', file, chunk, page };
    }
    next = lastPage + 1;
  }
}

function* batches<T extends Need & { readonly kind: 'page' }>(needs: readonly T[]): Generator<readonly T[]> {
  let batch: T[] = [];
  let bytes = 0;
  for (const need of needs) {
    batch.push(need);
    bytes += pageBytes(need);
    if (bytes < BATCH_BYTES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

function pageBytes({ chunk, page }: Need & { readonly kind: 'page' }): number {
  const locations = chunk.layout?.locations;
  return locations === undefined ? 0 : rangeLength(locations.range(page));
}

function folderOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}

function readable(snapshot: Snapshot): readonly SnapshotReadableFile[] {
  return snapshot.files.filter((file) => file.kind === 'readable');
}
