/**
 * Builds the key index of a table beside its lookups: fetches the pages of key columns only, has threads decode and
 * fingerprint them, and makes a run whenever enough keys are together, so that what is done survives a restart.
 *
 *     open files -> units (pages of one row group) -> fingerprints -> run -> KeyIndex, disk
 *
 * Memory is bounded by the keys of one run and by the units under way. A file whose keys cannot be read stays open:
 * lookups search it as before. Storage that fails ends the round; the next snapshot begins another.
 */

import { asServiceError, assert, type ByteRange, rangeLength } from '../core/index.ts';
import { type Fingerprints, type KeyCount, KeyRun, type RunFile } from '../keyindex/index.ts';
import type { LeafColumn, PageLocations } from '../parquet/index.ts';
import {
  type ChunkBlocks,
  type CountedRuns,
  formOf,
  type IndexProgress,
  indexedFileId,
  type KeyIndex,
  type RunPlace,
  readLayout,
  type Snapshot,
  type SnapshotReadableFile,
  type TableFile,
} from '../table/index.ts';
import type { DecodePool } from './decode-pool.ts';
import type { KeyPages, RunPart } from './key-task.ts';

/** Where runs outlive the process. Neither ever rejects. */
export interface RunKeeper {
  keep(run: KeyRun): Promise<void>;
  drop(runs: readonly KeyRun[]): Promise<void>;
  /** Where a run of so many bytes is to be written, in place of others; undefined where it is made in memory. */
  begin(bytes: number, instead?: readonly KeyRun[]): RunPlace | undefined;
  hasRoom(bytes: number): boolean;
  /** Where a thread finds a run that is not in memory. */
  pathOf(run: KeyRun): string | undefined;
}

export interface KeyIndexerOptions {
  /** Keys of one run: what building it takes is 27 bytes a key. */
  readonly keysAtOnce: number;
  /** Compressed bytes of one unit, more where a composite key's row group has more. */
  readonly unitBytes: number;
  readonly pageBytesMax: number;
  readonly verifyCrc: boolean;
}

/** What sorting takes of a key. */
const BYTES_A_KEY_SORTED = 27;
const KEYS_AT_ONCE_MIN = 64 * 1024;
const KEYS_AT_ONCE_MAX = 8 * 2 ** 20;

/** Keys of one run, so that making it takes no more memory than indexes may have. */
export function keysAtOnceIn(bytes: number): number {
  return Math.max(KEYS_AT_ONCE_MIN, Math.min(KEYS_AT_ONCE_MAX, Math.floor(bytes / BYTES_A_KEY_SORTED)));
}

const KEY_INDEXER_DEFAULTS: KeyIndexerOptions = {
  keysAtOnce: KEYS_AT_ONCE_MAX,
  unitBytes: 8 * 2 ** 20,
  pageBytesMax: 256 * 2 ** 20,
  verifyCrc: true,
};

/** A probe goes through every run, so there may be few. */
const RUNS_MAX = 4;
/** Runs merged in one pass. */
const MERGED_MAX = 16;
/** Of a run as it is written, about. */
const RUN_BYTES_A_KEY = 9.1;
/** Units fetched or in a thread at once: one is decoded while the next comes. */
const UNITS_AT_ONCE = 3;
const BLOCK_BYTES = 2 ** 20;

/** Rows of one row group whose key pages are fetched together. */
interface Unit {
  readonly file: SnapshotReadableFile;
  readonly rowGroup: number;
  /** Within the file. */
  readonly firstRow: number;
  readonly rows: number;
  readonly columns: readonly UnitColumn[];
}

interface UnitColumn {
  readonly leaf: LeafColumn;
  readonly chunk: ChunkBlocks;
  /** The unit's own, since the chunk may forget them meanwhile. */
  readonly locations: PageLocations;
  readonly firstPage: number;
  readonly endPage: number;
}

/** By version of a file, the rows that runs have. */
type IndexedStretches = ReturnType<KeyIndex['stretches']>;
/** Whether runs have those rows of a file. */
type IsIndexed = (firstRow: number, endRow: number) => boolean;

type LocatedChunk = Pick<UnitColumn, 'chunk' | 'locations'>;

export interface IndexWatch {
  /** Told whenever lookups may use more of the index. */
  readonly onRun: () => void;
  readonly keeper?: RunKeeper | undefined;
  readonly progress?: IndexProgress | undefined;
}

export class KeyIndexer {
  readonly #pool: DecodePool;
  readonly #options: KeyIndexerOptions;
  /** Files whose keys cannot be read; trying again would end alike. */
  readonly #failed = new WeakSet<TableFile>();

  constructor(pool: DecodePool, options: Partial<KeyIndexerOptions> = {}) {
    this.#pool = pool;
    this.#options = { ...KEY_INDEXER_DEFAULTS, ...options };
  }

  /** Brings the index up to the snapshot. Throws what storage threw, and the signal's reason. */
  async index(index: KeyIndex, snapshot: Snapshot, watch: IndexWatch, signal: AbortSignal): Promise<void> {
    await this.#forgetGone(index, snapshot, watch);
    // What was cut off, or lost a run, goes on with the rows that are missing.
    const indexed = index.stretches();
    for (const files of this.#openFilesByForm(index, snapshot)) {
      await this.#indexFiles(index, files, indexed, watch, signal);
      await this.#mergeDown(index, snapshot, watch, signal);
    }
    // A process that ended before it merged left more runs than there may be, though no file is missing.
    await this.#mergeDown(index, snapshot, watch, signal);
  }

  /** Throws where a run cannot be gone through. */
  count({ runs, groups }: CountedRuns, keeper: RunKeeper | undefined, signal: AbortSignal): Promise<KeyCount> {
    const entries = runs.reduce((sum, run) => sum + run.entries, 0);
    const places = runs.map((run) => run.bytes ?? keeper?.pathOf(run) ?? '');
    return this.#pool.keyCount({ kind: 'count', runs: places, groups }, entries, signal);
  }

  #openFilesByForm(index: KeyIndex, snapshot: Snapshot): Iterable<readonly SnapshotReadableFile[]> {
    const byForm = new Map<string, SnapshotReadableFile[]>();
    for (const ordinal of index.view(snapshot.files).openFiles) {
      const file = snapshot.files[ordinal];
      // Of a file that is gone from storage nothing more can be read.
      if (file?.kind !== 'readable' || file.file.isGone || this.#failed.has(file.file)) continue;
      const form = formOf(file, index.key);
      if (form === undefined || form === '') continue;
      const files = byForm.get(form) ?? [];
      files.push(file);
      byForm.set(form, files);
    }
    return byForm.values();
  }

  async #indexFiles(
    index: KeyIndex,
    files: readonly SnapshotReadableFile[],
    indexed: IndexedStretches,
    watch: IndexWatch,
    signal: AbortSignal,
  ): Promise<void> {
    let batch = new RunBatch();
    const finish = async () => {
      const { parts, files: runFiles } = batch;
      batch = new RunBatch();
      if (parts.length === 0) return;
      const keys = parts.reduce((sum, part) => sum + part.fingerprints.count, 0);
      const make = (to: string | undefined) => this.#pool.keyRun({ kind: 'run', parts, files: runFiles, to }, signal);
      await this.#add(index, keys * RUN_BYTES_A_KEY, make, [], watch);
    };
    const underWay: Promise<Fingerprinted>[] = [];
    const takeFirst = async () => {
      const done = await underWay.shift();
      if (done === undefined) return;
      if (done.fingerprints === undefined) this.#failed.add(done.unit.file.file);
      else {
        if (batch.rows + done.unit.rows > this.#options.keysAtOnce) await finish();
        batch.add(done.unit, done.fingerprints);
      }
      if (watch.progress !== undefined) watch.progress.rowsDone += done.unit.rows;
    };
    for await (const unit of this.#units(index, files, indexed, signal)) {
      const fingerprinted = this.#fingerprint(unit, signal);
      // What fails before its turn has nobody yet who waits for it, which would end the process.
      fingerprinted.catch(() => undefined);
      underWay.push(fingerprinted);
      if (underWay.length >= UNITS_AT_ONCE) await takeFirst();
    }
    while (underWay.length > 0) await takeFirst();
    await finish();
  }

  /** Row groups in order, and large ones of a single key column in stretches of pages. */
  async *#units(
    index: KeyIndex,
    files: readonly SnapshotReadableFile[],
    indexed: IndexedStretches,
    signal: AbortSignal,
  ): AsyncGenerator<Unit, void> {
    for (const file of files) {
      const { rowGroups } = file.file.index;
      const stretches = indexed.get(indexedFileId(file.file.object)) ?? [];
      const isIndexed: IsIndexed = (firstRow, endRow) =>
        stretches.some((stretch) => stretch.firstRow <= firstRow && endRow <= stretch.firstRow + stretch.rows);
      for (let rowGroup = 0; rowGroup < rowGroups && !this.#failed.has(file.file); rowGroup++) {
        signal.throwIfAborted();
        const firstRow = file.file.index.rowGroupFirstRow(rowGroup);
        if (isIndexed(firstRow, firstRow + file.file.index.rowGroupRows(rowGroup))) continue;
        const chunks = (file.mapping.keys[index.key]?.positions ?? []).map((position) =>
          file.file.chunk(rowGroup, position),
        );
        const located: LocatedChunk[] = [];
        try {
          for (const chunk of chunks) located.push({ chunk, locations: await this.#locationsOf(file, chunk, signal) });
        } catch (thrown) {
          this.#failUnlessStorage(file, thrown);
          break;
        }
        yield* unitsOf(file, rowGroup, located, isIndexed, this.#options);
      }
    }
  }

  async #locationsOf({ file }: SnapshotReadableFile, chunk: ChunkBlocks, signal: AbortSignal): Promise<PageLocations> {
    const layout = chunk.layout ?? (await readLayout(file, chunk.chunk, { signal }));
    chunk.learn(layout);
    return layout.locations;
  }

  async #fingerprint(unit: Unit, signal: AbortSignal): Promise<Fingerprinted> {
    try {
      const columns = await Promise.all(unit.columns.map((column) => this.#pages(unit, column, signal)));
      const fingerprints = await this.#pool.fingerprints({ kind: 'fingerprints', columns, rows: unit.rows }, signal);
      return { unit, fingerprints };
    } catch (thrown) {
      this.#failUnlessStorage(unit.file, thrown);
      return { unit, fingerprints: undefined };
    }
  }

  /** The pages by one GET, and the dictionary, which lies before them, by the same where it is near. */
  async #pages(
    { file }: Unit,
    { chunk, locations, firstPage, endPage }: UnitColumn,
    signal: AbortSignal,
  ): Promise<KeyPages> {
    const ranges = Array.from({ length: endPage - firstPage }, (_, i) => locations.range(firstPage + i));
    const { store, object } = file.file;
    const get = (range: ByteRange) => store.getRange(object, range, { signal });
    const [dictionary, bytes] = await Promise.all([
      locations.dictionaryRange && get(locations.dictionaryRange),
      Promise.all(ranges.map(get)),
    ]);
    const { leaf, codec } = chunk.chunk;
    const { verifyCrc, pageBytesMax } = this.#options;
    return {
      leaf,
      dictionary,
      pages: bytes.map((page, i) => ({ bytes: page, rows: rowsOf(locations, firstPage + i) })),
      context: { leaf, codec, verifyCrc, blockBytes: BLOCK_BYTES, maxPageBytes: pageBytesMax },
    };
  }

  #failUnlessStorage({ file }: SnapshotReadableFile, thrown: unknown): void {
    const { kind } = asServiceError(thrown);
    if (kind !== 'corrupt' && kind !== 'unsupported') throw thrown;
    this.#failed.add(file);
  }

  async #add(
    index: KeyIndex,
    bytes: number,
    make: (to: string | undefined) => Promise<Uint8Array | undefined>,
    merged: readonly KeyRun[],
    watch: IndexWatch,
  ): Promise<KeyRun> {
    const place = watch.keeper?.begin(bytes, merged);
    let run: KeyRun;
    try {
      const made = await make(place?.path);
      run = made === undefined ? await finished(place) : KeyRun.open(made);
    } catch (thrown) {
      await place?.cancel();
      throw thrown;
    }
    index.add(run, merged);
    watch.onRun();
    await watch.keeper?.keep(run);
    await watch.keeper?.drop(merged);
    return run;
  }

  /** Merges the smallest runs, several at a time, until few are left: a key then was in few merges. */
  async #mergeDown(index: KeyIndex, snapshot: Snapshot, watch: IndexWatch, signal: AbortSignal): Promise<void> {
    const { keeper } = watch;
    for (const runs of index.runsByForm(snapshot.files)) {
      const sorted = [...runs].sort((a, b) => a.entries - b.entries);
      while (sorted.length > RUNS_MAX) {
        const merged = sorted.splice(0, Math.min(MERGED_MAX, sorted.length - RUNS_MAX + 1));
        const bytes = merged.reduce((sum, run) => sum + run.runBytes, 0);
        // Both are on disk for a while; where they cannot be, lookups go through more runs.
        if (keeper?.hasRoom(bytes) === false) break;
        const run = await this.#merge(index, snapshot, merged, bytes, watch, signal);
        sorted.push(run);
        sorted.sort((a, b) => a.entries - b.entries);
      }
    }
  }

  async #merge(
    index: KeyIndex,
    snapshot: Snapshot,
    merged: readonly KeyRun[],
    bytes: number,
    watch: IndexWatch,
    signal: AbortSignal,
  ): Promise<KeyRun> {
    const ids = liveIds(snapshot);
    const runs = merged.map((run) => run.bytes ?? watch.keeper?.pathOf(run) ?? '');
    const live = merged.map(({ files }) => files.map(({ id }) => ids.has(id)));
    try {
      const make = (to: string | undefined) => this.#pool.keyRun({ kind: 'merge', runs, live, to }, signal);
      return await this.#add(index, bytes, make, merged, watch);
    } catch (thrown) {
      // Which of them is damaged is not known: their keys are indexed anew.
      if (asServiceError(thrown).kind === 'corrupt') {
        index.remove(merged);
        watch.onRun();
        await watch.keeper?.drop(merged);
      }
      throw thrown;
    }
  }

  async #forgetGone(index: KeyIndex, snapshot: Snapshot, { keeper }: IndexWatch): Promise<void> {
    const live = liveIds(snapshot);
    const gone = index.runs.filter(({ files }) => !files.some(({ id }) => live.has(id)));
    index.remove(gone);
    await keeper?.drop(gone);
  }
}

function finished(place: RunPlace | undefined): Promise<KeyRun> {
  assert(place !== undefined, 'a run that is not in memory has a place');
  return place.finish();
}

interface Fingerprinted {
  readonly unit: Unit;
  /** Undefined where the keys cannot be read. */
  readonly fingerprints: Fingerprints | undefined;
}

/** What goes into one run. */
class RunBatch {
  readonly parts: RunPart[] = [];
  readonly files: RunFile[] = [];
  rows = 0;

  add(unit: Unit, fingerprints: Fingerprints): void {
    const id = indexedFileId(unit.file.file.object);
    const last = this.files.at(-1);
    if (last !== undefined && last.id === id && last.firstRow + last.rows === unit.firstRow) {
      this.files[this.files.length - 1] = { ...last, rows: last.rows + unit.rows };
    } else this.files.push({ id, firstRow: unit.firstRow, rows: unit.rows });
    this.parts.push({ fingerprints, firstPosition: this.rows });
    this.rows += unit.rows;
  }
}

/** Columns of a composite key have pages of their own cuts, so that only whole row groups hold the same rows of each. */
function* unitsOf(
  file: SnapshotReadableFile,
  rowGroup: number,
  chunks: readonly LocatedChunk[],
  isIndexed: IsIndexed,
  { unitBytes, keysAtOnce }: KeyIndexerOptions,
): Generator<Unit, void> {
  const first = file.file.index.rowGroupFirstRow(rowGroup);
  const [only] = chunks;
  if (only === undefined) return;
  const wholes = chunks.map(({ chunk, locations }) => ({
    leaf: chunk.chunk.leaf,
    chunk,
    locations,
    firstPage: 0,
    endPage: locations.pages,
  }));
  if (chunks.length > 1) {
    yield { file, rowGroup, firstRow: first, rows: file.file.index.rowGroupRows(rowGroup), columns: wholes };
    return;
  }
  const { chunk, locations } = only;
  // Stretches that are indexed end where pages do.
  const isPageIndexed = (page: number) => isIndexed(first + locations.firstRow(page), first + locations.rowEnd(page));
  for (let page = 0; page < locations.pages; ) {
    if (isPageIndexed(page)) {
      page += 1;
      continue;
    }
    const firstPage = page;
    const firstRow = locations.firstRow(page);
    let bytes = 0;
    do {
      bytes += rangeLength(locations.range(page));
      page += 1;
    } while (
      page < locations.pages &&
      bytes < unitBytes &&
      locations.rowEnd(page) - firstRow <= keysAtOnce &&
      !isPageIndexed(page)
    );
    const rows = locations.rowEnd(page - 1) - firstRow;
    const columns = [{ leaf: chunk.chunk.leaf, chunk, locations, firstPage, endPage: page }];
    yield { file, rowGroup, firstRow: first + firstRow, rows, columns };
  }
}

function liveIds({ files }: Snapshot): ReadonlySet<string> {
  return new Set(files.flatMap((file) => (file.kind === 'readable' ? [indexedFileId(file.file.object)] : [])));
}

function rowsOf(locations: PageLocations, page: number): number {
  return locations.rowEnd(page) - locations.firstRow(page);
}
