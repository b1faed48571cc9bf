/**
 * A copy that looks up well: rows sorted by key, small pages, a page index. Rows are copied in their stored form and the
 * schema byte for byte, so that no type passes through another. Partition folders are kept, each sorted by itself.
 *
 *     source -> records -> external sort -> row groups -> files nobody sees -> the target's commit
 */

import { assert, ServiceError } from '../core/index.ts';
import type { LeafColumn } from '../parquet/index.ts';
import type { PageLoader } from '../shard/index.ts';
import type { Snapshot, TableFile } from '../table/index.ts';
import type { ChunkLayout } from './chunk-writer.ts';
import { ExternalSort } from './external-sort.ts';
import { type FileLayout, FileWriter } from './file-writer.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { appendLeaf } from './record.ts';
import { appendSortKey } from './sort-key.ts';
import { checkedSource, leafStretches, type RewriteSource, sharedKeyValues } from './source.ts';
import type { RewriteTarget } from './target.ts';

/** Of the memory given; the rest is the reader's, for what has been decoded and what is on its way. */
const SORT_SHARE = 1 / 4;
const GROUP_SHARE = 1 / 8;
/** Rows between two words of progress, and between two looks at the signal. */
const ROWS_A_STEP = 16_384;

export interface RewriteOptions extends Pick<ChunkLayout, 'codec' | 'encoding' | 'rowsPerPage' | 'bloomFpp'> {
  readonly uri: string;
  readonly rowsPerGroup: number;
  readonly createdBy: string;
  /** Names of columns. */
  readonly dictionaries: readonly string[];
  readonly bloomFilters: readonly string[];
  readonly memoryBytes: number;
  /** A file of a folder ends with the row group that reaches this. */
  readonly fileBytes: number;
  /** Where the runs of the sort are kept. */
  readonly temporaryFolder: string;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: RewriteProgress) => void;
}

export interface RewriteProgress {
  readonly step: 'read' | 'write' | 'commit';
  /** Of all folders. */
  readonly rows: number;
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

/** What a rewrite would do, told before anything is written. */
export interface RewritePlan {
  readonly rows: number;
  readonly sourceFiles: number;
  readonly sourceBytes: number;
  readonly folders: readonly string[];
  readonly sortedBy: readonly string[];
  readonly columns: number;
  readonly replaces: number;
}

/** Throws what `rewrite` would throw before it reads rows. */
export function planRewrite(
  snapshot: Snapshot,
  target: RewriteTarget,
  options: Pick<RewriteOptions, 'uri' | 'dictionaries' | 'bloomFilters'>,
): RewritePlan {
  const source = checkedSource(snapshot, options.uri);
  checkTarget(source, target);
  ordinalsOf(source.leaves, options.bloomFilters, 'bloom filter');
  ordinalsOf(source.leaves, options.dictionaries, 'dictionary');
  return {
    rows: snapshot.rows,
    ...sizeOf(source),
    folders: [...source.folders.keys()],
    sortedBy: source.sortedBy.map((ordinal) => source.leaves[ordinal]?.name ?? ''),
    columns: source.leaves.length,
    replaces: target.replaces,
  };
}

export async function rewrite(
  loader: PageLoader,
  snapshot: Snapshot,
  target: RewriteTarget,
  options: RewriteOptions,
): Promise<RewriteSummary> {
  const source = checkedSource(snapshot, options.uri);
  checkTarget(source, target);
  const keyValueBytes = await sharedKeyValues(source.files);
  const layout: FileLayout = {
    ...options,
    bloomFilters: ordinalsOf(source.leaves, options.bloomFilters, 'bloom filter'),
    dictionaries: ordinalsOf(source.leaves, options.dictionaries, 'dictionary'),
    leaves: source.leaves,
    schemaBytes: source.schemaBytes,
    keyValueBytes,
    sortedBy: source.sortedBy,
    groupBytesMax: options.memoryBytes * GROUP_SHARE,
  };
  const sort = new ExternalSort(options.memoryBytes * SORT_SHARE, options.temporaryFolder);
  try {
    await target.begin(options.signal);
    const copying = new Copying(loader, source, sort, target, layout, options);
    for (const [folder, files] of source.folders) await copying.folder(folder, files);
    options.onProgress?.({ step: 'commit', rows: copying.rows });
    await target.commit();
    const { rows, files, bytes } = copying;
    return { rows, files, bytes, ...sizeOf(source), runs: sort.runs, keyValuesKept: keyValueBytes !== undefined };
  } catch (thrown) {
    await target.abort();
    throw thrown;
  } finally {
    sort.close();
  }
}

class Copying {
  rows = 0;
  files = 0;
  bytes = 0;
  readonly #loader: PageLoader;
  readonly #source: RewriteSource;
  readonly #sort: ExternalSort;
  readonly #target: RewriteTarget;
  readonly #layout: FileLayout;
  readonly #options: RewriteOptions;

  constructor(
    loader: PageLoader,
    source: RewriteSource,
    sort: ExternalSort,
    target: RewriteTarget,
    layout: FileLayout,
    options: RewriteOptions,
  ) {
    this.#loader = loader;
    this.#source = source;
    this.#sort = sort;
    this.#target = target;
    this.#layout = layout;
    this.#options = options;
  }

  async folder(folder: string, files: readonly TableFile[]): Promise<void> {
    const before = this.rows;
    await this.#addRecords(files);
    const written = await this.#writeFiles(folder, before);
    assert(written === this.rows - before, 'every row that was read is written');
  }

  async #addRecords(files: readonly TableFile[]): Promise<void> {
    const { leaves, sortedBy } = this.#source;
    const { signal } = this.#options;
    const key = new GrowingBytes();
    const body = new GrowingBytes();
    let toldRows = this.rows;
    for await (const { start, end, blocks } of leafStretches(this.#loader, files, leaves, signal)) {
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
        this.#sort.add(key.written(), body.written());
      }
      this.rows += end - start;
      signal.throwIfAborted();
      if (this.rows - toldRows < ROWS_A_STEP) continue;
      toldRows = this.rows;
      this.#options.onProgress?.({ step: 'read', rows: this.rows });
    }
  }

  /** Returns the rows of the folder's files. */
  async #writeFiles(folder: string, before: number): Promise<number> {
    const { fileBytes, signal, onProgress } = this.#options;
    const target = this.#target;
    let rows = 0;
    let writer = await this.#newFile(folder);
    for (const { bytes: record, bodyStart } of this.#sort.sorted()) {
      if (!writer.isInGroup && !target.isOneFile && writer.bytes >= fileBytes) {
        await this.#endFile(writer);
        writer = await this.#newFile(folder);
      }
      rows += 1;
      if (rows % ROWS_A_STEP === 0) {
        // Nothing else is awaited while a row group grows, and signals are to be heard.
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
        onProgress?.({ step: 'write', rows: before + rows });
      }
      if (writer.add(record, bodyStart)) await writer.endGroup();
    }
    await this.#endFile(writer);
    return rows;
  }

  async #newFile(folder: string): Promise<FileWriter> {
    this.files += 1;
    return new FileWriter(await this.#target.nextFile(folder), this.#layout);
  }

  async #endFile(writer: FileWriter): Promise<void> {
    this.bytes += await writer.finish();
    await this.#target.endFile();
  }
}

function checkTarget({ folders }: RewriteSource, target: RewriteTarget): void {
  if (!target.isOneFile || (folders.size === 1 && folders.has(''))) return;
  const [folder = ''] = [...folders.keys()].filter((name) => name !== '');
  const message = `the source has partition folders (${folder}), which a copy keeps; name a folder as the target`;
  throw new ServiceError('invalid', 'invalid_target', message);
}

function sizeOf({ files }: RewriteSource): Pick<RewritePlan, 'sourceFiles' | 'sourceBytes'> {
  return { sourceFiles: files.length, sourceBytes: files.reduce((bytes, { object }) => bytes + object.sizeBytes, 0) };
}

/** Of all leaves of the named columns; a bloom filter is of a flat one. */
function ordinalsOf(
  leaves: readonly LeafColumn[],
  names: readonly string[],
  what: 'bloom filter' | 'dictionary',
): ReadonlySet<number> {
  const ordinals = names.flatMap((name) => {
    const found = leaves.filter(({ path }) => path[0] === name && (what === 'dictionary' || path.length === 1));
    const useful = found.filter(({ physicalType }) => physicalType !== 'BOOLEAN');
    if (useful.length > 0) return useful.map(({ ordinal }) => ordinal);
    const why = found.length > 0 ? 'is a boolean, which' : 'is no flat column of the files, and so';
    const message = `${name} ${why} has no ${what}; name another column`;
    throw new ServiceError('invalid', 'invalid_column', message, { column: name });
  });
  return new Set(ordinals);
}
