/**
 * A copy that looks up well: rows sorted by key, small pages, a page index. Rows are copied in their stored form and the
 * schema byte for byte, so that no type passes through another.
 *
 *     source -> records -> external sort -> row groups -> files aside -> renamed
 */

import type { PageLoader } from '../shard/index.ts';
import type { Snapshot } from '../table/index.ts';
import { ExternalSort } from './external-sort.ts';
import { type FileLayout, FileWriter } from './file-writer.ts';
import { GrowingBytes } from './growing-bytes.ts';
import type { LocalTarget } from './local-target.ts';
import { appendLeaf } from './record.ts';
import { appendSortKey } from './sort-key.ts';
import { checkedSource, leafStretches, type RewriteSource, sharedKeyValues } from './source.ts';

/** Of the memory given, what records to sort and a row group on its way may each take; the rest is the reader's. */
const SORT_SHARE = 1 / 4;
const GROUP_SHARE = 1 / 4;

export interface RewriteOptions extends Pick<FileLayout, 'codec' | 'rowsPerPage' | 'rowsPerGroup' | 'createdBy'> {
  readonly uri: string;
  readonly memoryBytes: number;
  /** A file of a folder ends with the row group that reaches this. */
  readonly fileBytes: number;
  /** Where the runs of the sort are kept. */
  readonly temporaryFolder: string;
  readonly signal: AbortSignal;
}

export interface RewriteSummary {
  readonly rows: number;
  readonly files: number;
  readonly bytes: number;
  readonly sourceFiles: number;
  readonly sourceBytes: number;
  /** Of the sort; 0 where memory sufficed. */
  readonly runs: number;
  readonly keyValuesKept: boolean;
}

export async function rewrite(
  loader: PageLoader,
  snapshot: Snapshot,
  target: LocalTarget,
  options: RewriteOptions,
): Promise<RewriteSummary> {
  const source = checkedSource(snapshot, options.uri);
  const keyValueBytes = await sharedKeyValues(source.files);
  const layout: FileLayout = {
    ...options,
    leaves: source.leaves,
    schemaBytes: source.schemaBytes,
    keyValueBytes,
    sortedBy: source.sortedBy,
    groupBytesMax: options.memoryBytes * GROUP_SHARE,
  };
  const sort = new ExternalSort(options.memoryBytes * SORT_SHARE, options.temporaryFolder);
  try {
    const rows = await addRecords(loader, source, sort, options.signal);
    const written = await writeFiles(sort, target, layout, options);
    await target.commit();
    return {
      rows,
      ...written,
      sourceFiles: source.files.length,
      sourceBytes: source.files.reduce((bytes, { object }) => bytes + object.sizeBytes, 0),
      runs: sort.runs,
      keyValuesKept: keyValueBytes !== undefined,
    };
  } catch (thrown) {
    await target.abort();
    throw thrown;
  } finally {
    sort.close();
  }
}

async function addRecords(
  loader: PageLoader,
  { files, leaves, sortedBy }: RewriteSource,
  sort: ExternalSort,
  signal: AbortSignal,
): Promise<number> {
  const key = new GrowingBytes();
  const body = new GrowingBytes();
  let rows = 0;
  for await (const { start, end, blocks } of leafStretches(loader, files, signal)) {
    for (let row = start; row < end; row++) {
      key.clear();
      body.clear();
      for (const leaf of leaves) {
        const at = blocks[leaf.ordinal];
        if (at !== undefined) appendLeaf(body, leaf, at, row);
      }
      for (const ordinal of sortedBy) {
        const [leaf, at] = [leaves[ordinal], blocks[ordinal]];
        if (leaf !== undefined && at !== undefined) appendSortKey(key, leaf, at.block, row - at.firstRow);
      }
      sort.add(key.written(), body.written());
    }
    rows += end - start;
    signal.throwIfAborted();
  }
  return rows;
}

async function writeFiles(
  sort: ExternalSort,
  target: LocalTarget,
  layout: FileLayout,
  { fileBytes, signal }: RewriteOptions,
): Promise<{ readonly files: number; readonly bytes: number }> {
  let files = 1;
  let bytes = 0;
  let writer = new FileWriter(await target.nextFile(), layout);
  for (const { bytes: record, bodyStart } of sort.sorted()) {
    if (!writer.isInGroup && !target.isOneFile && writer.bytes >= fileBytes) {
      bytes += await writer.finish();
      await target.endFile();
      writer = new FileWriter(await target.nextFile(), layout);
      files += 1;
    }
    if (!writer.add(record, bodyStart)) continue;
    await writer.endGroup();
    signal.throwIfAborted();
  }
  bytes += await writer.finish();
  await target.endFile();
  return { files, bytes };
}
