/**
 * The key index of a table: which rows may have a key, whatever order the files are in.
 *
 *     key --(fingerprint)--> runs --> (file, row), few and seldom wrong --> KeySearch looks at each
 *
 * Runs are immutable and cover files by version, so that they outlive snapshots: a file that joined the table is
 * searched the slow way until a run has it, one that left is masked. A view joins the runs to the files of one snapshot.
 */

import { fingerprintKey, KeyHash, type KeyRun, type PageCounts, type RunFile } from '../keyindex/index.ts';
import type { KeyValue, LeafColumn } from '../parquet/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import { typeText } from './column-type.ts';
import { keyInFile, type MappedKey } from './file-mapping.ts';
import type { CandidateFiles } from './key-files.ts';
import { folderValue } from './partition.ts';
import type { TableColumn } from './schema.ts';
import type { SnapshotFile, SnapshotReadableFile } from './snapshot-file.ts';

/** Rows of one key beyond which the bounds of pages are the better guide. */
export const ROWS_A_KEY_MAX = 4096;

/** Tells one version of an object of a table from every other. */
export function indexedFileId({ key, eTag, sizeBytes }: ObjectMeta): string {
  return `${eTag} ${sizeBytes} ${key}`;
}

/** The key columns that lie in the file itself; undefined where it holds no key at all. */
function keyLeavesOf({ file, mapping }: SnapshotReadableFile, key: number): readonly LeafColumn[] | undefined {
  const positions = mapping.keys[key]?.positions;
  return positions?.map((position) => file.index.schema.leaves[position]).filter((leaf) => leaf !== undefined);
}

export class KeyIndex {
  /** Which key of the table it is of, as `TableKey` counts them. */
  readonly key: number;
  /** Of pages of runs that lie on disk. */
  readonly counts: PageCounts;
  #runs: readonly KeyRun[] = [];

  constructor(key = 0, counts: PageCounts = { reads: 0, hits: 0 }) {
    this.key = key;
    this.counts = counts;
  }

  get runs(): readonly KeyRun[] {
    return this.#runs;
  }

  get byteLength(): number {
    return this.#runs.reduce((bytes, run) => bytes + run.byteLength, 0);
  }

  /** By version of a file: the rows of it that runs have, as stretches that neither touch nor overlap, ascending. */
  stretches(): ReadonlyMap<string, readonly RunFile[]> {
    const byId = Map.groupBy(
      this.#runs.flatMap(({ files }) => files),
      ({ id }) => id,
    );
    return new Map(byId.entries().map(([id, stretches]) => [id, joined(stretches)]));
  }

  /** Takes a run in, instead of those that it was merged of. */
  add(run: KeyRun, merged: readonly KeyRun[] = []): void {
    this.#runs = [...this.#runs.filter((candidate) => !merged.includes(candidate)), run];
  }

  remove(gone: readonly KeyRun[]): void {
    this.#runs = this.#runs.filter((run) => !gone.includes(run));
  }

  /** Runs of one form may be merged. Those of which no file is left are in none. */
  runsByForm(files: readonly SnapshotFile[]): Iterable<readonly KeyRun[]> {
    const formsById = new Map<string, string>();
    for (const file of files) {
      const form = file.kind === 'readable' ? formOf(file, this.key) : undefined;
      if (file.kind === 'readable' && form !== undefined) formsById.set(indexedFileId(file.file.object), form);
    }
    const byForm = new Map<string, KeyRun[]>();
    for (const run of this.#runs) {
      const form = run.files.map(({ id }) => formsById.get(id)).find((known) => known !== undefined);
      if (form === undefined) continue;
      byForm.set(form, [...(byForm.get(form) ?? []), run]);
    }
    return byForm.values();
  }

  view(files: readonly SnapshotFile[]): KeyIndexView {
    return new KeyIndexView(this, files);
  }
}

function joined(stretches: readonly RunFile[]): readonly RunFile[] {
  const all: RunFile[] = [];
  for (const stretch of stretches.toSorted((a, b) => a.firstRow - b.firstRow)) {
    const last = all.at(-1);
    if (last !== undefined && last.firstRow + last.rows === stretch.firstRow) {
      all[all.length - 1] = { ...last, rows: last.rows + stretch.rows };
    } else all.push(stretch);
  }
  return all;
}

export interface CountedRuns {
  readonly runs: readonly KeyRun[];
  /** By run, then by file of it. */
  readonly groups: readonly Int32Array[];
}

/** A run beside the files of a snapshot. */
interface RunView {
  readonly run: KeyRun;
  /** By file of the run: its ordinal in the snapshot; -1 where it is gone. */
  readonly ordinals: Int32Array;
  readonly mapped: MappedKey;
  readonly leaves: readonly LeafColumn[];
}

export class KeyIndexView {
  readonly #counts: PageCounts;
  readonly #runs: readonly RunView[];
  readonly #files: number;
  /** Files that no run covers, or not whole, in ascending order: they are searched. */
  readonly #open: Uint32Array;
  /** Rows of these that no run has. */
  readonly openRows: number;
  readonly #hash = new KeyHash();
  readonly #found: number[] = [];

  constructor({ runs, key, counts }: KeyIndex, files: readonly SnapshotFile[]) {
    this.#counts = counts;
    this.#files = files.length;
    const ordinalOf = new Map<string, number>();
    for (const [ordinal, file] of files.entries()) {
      if (file.kind === 'readable') ordinalOf.set(indexedFileId(file.file.object), ordinal);
    }
    const rowsLeft = Float64Array.from(files, (file) => rowsToCover(file, key));
    const views: RunView[] = [];
    for (const run of runs) {
      const view = runView(run, files, ordinalOf, key);
      if (view === undefined) continue;
      views.push(view);
      for (const [at, ordinal] of view.ordinals.entries()) {
        if (ordinal >= 0) rowsLeft[ordinal] = (rowsLeft[ordinal] ?? 0) - (run.files[at]?.rows ?? 0);
      }
    }
    this.#open = Uint32Array.from([...rowsLeft.keys()].filter((ordinal) => rowsLeft[ordinal] !== 0));
    this.openRows = rowsLeft.reduce((sum, rows) => sum + Math.max(0, rows), 0);
    const isOpen = new Set(this.#open);
    // What a run has of a file that is searched anyway would be found twice.
    for (const { ordinals } of views)
      for (const [at, ordinal] of ordinals.entries()) if (isOpen.has(ordinal)) ordinals[at] = -1;
    this.#runs = views;
  }

  /** What `countKeys` takes; undefined where files have the key in types whose fingerprints cannot be compared. */
  counting(columns: readonly TableColumn[], files: readonly SnapshotFile[]): CountedRuns | undefined {
    const folders = columns.filter(({ partition }) => partition !== undefined);
    const groupOf = new Map<string, number>();
    const runs: KeyRun[] = [];
    const groups: Int32Array[] = [];
    const forms = new Set<string>();
    for (const { run, ordinals, leaves } of this.#runs) {
      if (ordinals.every((ordinal) => ordinal < 0)) continue;
      forms.add(leaves.map(typeText).join());
      runs.push(run);
      groups.push(ordinals.map((ordinal) => groupIn(groupOf, folders, files[ordinal])));
    }
    return forms.size > 1 ? undefined : { runs, groups };
  }

  get coveredFiles(): number {
    return this.#files - this.#open.length;
  }

  /** Pages that were read from disk so far, for whichever key: more of them after a synchronous look-up, and it read some. */
  get pagesRead(): number {
    return this.#counts.reads;
  }

  /** Ordinals of the files that no run covers. */
  get openFiles(): Uint32Array {
    return this.#open;
  }

  /**
   * The rows that may have the key; undefined where there are so many that the index is of no use for it, and `unread`
   * where a page of a run on disk has to be waited for.
   */
  find(key: readonly KeyValue[]): IndexedRows | undefined | 'unread' {
    const files: number[] = [];
    const rows: number[] = [];
    for (const view of this.#runs) {
      if (!this.#hashOf(view, key)) continue;
      this.#found.length = 0;
      const { high, low } = this.#hash;
      const probed = view.run.probe(high, low, this.#found, ROWS_A_KEY_MAX);
      if (probed !== 'all') return probed === 'unread' ? 'unread' : undefined;
      takeRows(view, this.#found, files, rows);
    }
    return new IndexedRows(files, rows, this.#open, this.#files);
  }

  /**
   * The same, waiting for pages. Where one cannot be had, damaged or of a run that was dropped meanwhile, the index is of
   * no use for this key, which is then searched for as if there were none.
   */
  async read(key: readonly KeyValue[], waited?: Pick<PageCounts, 'reads'>): Promise<IndexedRows | undefined> {
    const files: number[] = [];
    const rows: number[] = [];
    for (const view of this.#runs) {
      if (!this.#hashOf(view, key)) continue;
      const found: number[] = [];
      const { high, low } = this.#hash;
      try {
        if ((await view.run.probeAside(high, low, found, ROWS_A_KEY_MAX, waited)) === 'more') return undefined;
      } catch {
        // Whoever owns the run was told.
        return undefined;
      }
      takeRows(view, found, files, rows);
    }
    return new IndexedRows(files, rows, this.#open, this.#files);
  }

  /** False where the key is provably no value of the run's files; else its fingerprint there is in `#hash`. */
  #hashOf({ mapped, leaves }: RunView, key: readonly KeyValue[]): boolean {
    const own = keyInFile(mapped, key);
    if (own !== undefined) fingerprintKey(this.#hash, leaves, own);
    return own !== undefined;
  }
}

/** A number for the folder's values of key columns, below 0 where rows of the file have no key or are not counted. */
function groupIn(
  groupOf: Map<string, number>,
  folders: readonly TableColumn[],
  file: SnapshotFile | undefined,
): number {
  if (file?.kind !== 'readable') return -1;
  const values = folders.map((column) => folderValue(file, column)?.key);
  if (values.includes(undefined)) return -1;
  const id = JSON.stringify(
    values.map((value) => (value instanceof Uint8Array ? [...value] : `${typeof value} ${value}`)),
  );
  const group = groupOf.get(id) ?? groupOf.size;
  groupOf.set(id, group);
  return group;
}

function takeRows({ run, ordinals }: RunView, positions: readonly number[], files: number[], rows: number[]): void {
  for (const position of positions) {
    const at = run.fileOf(position);
    const ordinal = ordinals[at] ?? -1;
    if (ordinal < 0) continue;
    files.push(ordinal);
    rows.push(run.rowAt(at, position));
  }
}

/** -1 where no run can cover the file: it cannot be read. */
function rowsToCover(file: SnapshotFile, key: number): number {
  if (file.kind === 'broken') return -1;
  const leaves = keyLeavesOf(file, key);
  // A file that lacks a key column holds no key; one whose folder is the whole key is found by that.
  if (leaves === undefined) return 0;
  return leaves.length === 0 ? -1 : file.file.index.rows;
}

function runView(
  run: KeyRun,
  files: readonly SnapshotFile[],
  ordinalOf: ReadonlyMap<string, number>,
  key: number,
): RunView | undefined {
  const ordinals = Int32Array.from(run.files, ({ id }) => ordinalOf.get(id) ?? -1);
  const first = files[ordinals.find((ordinal) => ordinal >= 0) ?? -1];
  const leaves = first?.kind === 'readable' ? keyLeavesOf(first, key) : undefined;
  const mapped = first?.kind === 'readable' ? first.mapping.keys[key] : undefined;
  return leaves === undefined || mapped === undefined ? undefined : { run, ordinals, mapped, leaves };
}

/** Files whose key columns have one form hash equal keys alike, and may be in one run; undefined where a file holds no key. */
export function formOf(file: SnapshotReadableFile, key: number): string | undefined {
  return keyLeavesOf(file, key)?.map(typeText).join();
}

/** What the index says of one key: rows of the files that it covers, and the files that are to be searched. */
export class IndexedRows {
  readonly #open: Uint32Array;
  readonly #files: number;
  /** By found row: its file, ascending, and which row of it, ascending too. */
  readonly #fileOf: readonly number[];
  readonly #rowOf: readonly number[];

  constructor(files: readonly number[], rows: readonly number[], open: Uint32Array, snapshotFiles: number) {
    this.#open = open;
    this.#files = snapshotFiles;
    if (files.length < 2) {
      this.#fileOf = files;
      this.#rowOf = rows;
      return;
    }
    const places = files.map((file, at) => ({ file, row: rows[at] ?? 0 }));
    places.sort((a, b) => a.file - b.file || a.row - b.row);
    this.#fileOf = places.map(({ file }) => file);
    this.#rowOf = places.map(({ row }) => row);
  }

  /** Those of the files that may have the key by their folders and bounds too. */
  over(admitted: CandidateFiles): CandidateFiles {
    return {
      next: (from) => {
        for (let at = from; ; ) {
          const file = Math.min(this.#nextFound(at), nextOf(this.#open, at, this.#files));
          if (file >= this.#files) return this.#files;
          const next = admitted.next(file);
          if (next === file) return file;
          at = next;
        }
      },
    };
  }

  /** Whether the rows of the file are known; else it is to be searched. */
  covers(file: number): boolean {
    return nextOf(this.#open, file, this.#files) !== file;
  }

  /** The first row of a covered file; -1 where it has none. */
  firstIn(file: number): number {
    const at = this.#fileOf.indexOf(file);
    return at < 0 ? -1 : (this.#rowOf[at] ?? -1);
  }

  /** The rows of a file, ascending; undefined where it is to be searched. */
  rowsIn(file: number): readonly number[] | undefined {
    if (!this.covers(file)) return undefined;
    return this.#rowOf.filter((_, at) => this.#fileOf[at] === file);
  }

  #nextFound(from: number): number {
    for (const file of this.#fileOf) if (file >= from) return file;
    return this.#files;
  }
}

/** The first of ascending ordinals that is at least `from`. */
function nextOf(ordinals: Uint32Array, from: number, none: number): number {
  let first = 0;
  let end = ordinals.length;
  while (first < end) {
    const middle = (first + end) >>> 1;
    if ((ordinals[middle] ?? 0) < from) first = middle + 1;
    else end = middle;
  }
  return ordinals[first] ?? none;
}
