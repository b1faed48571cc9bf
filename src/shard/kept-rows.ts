/**
 * Encoded rows of hot keys over the snapshots of a table.
 *
 * A row is kept with the file, the row and the snapshot it was read from. On another snapshot it serves only where it
 * is provably the answer there too:
 *
 *     the snapshot has the very same version of the file      the row is there, and reads the same
 *     each file that it has and the other had not lacks the key, by its folder, its bounds or the key index
 *                                                             no other row can have taken its place
 *
 * What is not known proves nothing, a file that cannot be read least of all: then the row is searched for as if nothing
 * were kept. Where the search ends at the same row of the same file, it need not be encoded again. Files that left
 * prove nothing either way: of the rows of a key one was chosen, and it is still there.
 *
 * This holds in both directions, so that requests for an older snapshot are served from what newer ones kept.
 */

import type { RowCache } from '../cache/index.ts';
import { ServiceError } from '../core/index.ts';
import type { Key, Projection, Snapshot, SnapshotFile, TableDefinition, TableKey } from '../table/index.ts';
import type { RowPlace } from './encode-row.ts';
import { RowKeys } from './row-keys.ts';

/** Snapshots of a table whose files are remembered; rows of older ones are searched for again. */
const GENERATIONS_MAX = 8;

/** Keys for which memory is loaded at the same time: a core waits for about as many lines. */
const AHEAD_MAX = 8;

/** A form in which rows are kept, each in a space of its own. */
export interface KeptForm<Row> {
  numberOf(space: Projection['space']): number;
  get(rows: RowCache, space: number, key: Uint8Array, generation: number): Row | undefined;
  adopt(rows: RowCache, space: number, key: Uint8Array, generation: number, by: 'proof' | 'search'): Row | undefined;
}

/** As JSON. */
export const KEPT_TEXT: KeptForm<string> = {
  numberOf: (space) => space.number,
  get: (rows, space, key, generation) => rows.get(space, key, generation),
  adopt: (rows, space, key, generation, by) => rows.adopt(space, key, generation, by),
};

export class KeptRows {
  readonly #rows: RowCache;
  readonly #keys = new RowKeys();
  readonly #hashes = new Uint32Array(AHEAD_MAX);
  readonly #tables = new WeakMap<TableDefinition, Generations>();

  constructor(rows: RowCache) {
    this.#rows = rows;
  }

  /** The row, where it was kept in this form and is the answer in this snapshot. */
  get<Row>(snapshot: Snapshot, key: Key, { space, key: by }: Projection, form: KeptForm<Row>): Row | undefined {
    const bytes = this.#keys.bytesOf(key);
    if (bytes === undefined) return undefined;
    space.isUsed = true;
    const number = form.numberOf(space);
    const kept = form.get(this.#rows, number, bytes, snapshot.generation);
    return kept ?? this.#crossed(snapshot, by, key, bytes, number, form);
  }

  /** Has the processor load what `get` will look at for these keys, of all at the same time. */
  loadAhead(
    keys: readonly (Key | ServiceError)[],
    from: number,
    to: number,
    { space }: Projection,
    form: KeptForm<unknown>,
  ): void {
    if (this.#rows.isEmpty) return;
    const number = form.numberOf(space);
    let count = 0;
    for (let at = from; at < to && count < AHEAD_MAX; at++) {
      const key = keys[at];
      const bytes = key === undefined || key instanceof ServiceError ? undefined : this.#keys.bytesOf(key);
      if (bytes !== undefined) this.#hashes[count++] = this.#rows.hashOf(number, bytes);
    }
    this.#rows.loadAhead(this.#hashes, count);
  }

  /** What was kept of this very row, in whichever snapshot; asked after `get` had none and the row was found. */
  confirm<Row>(
    snapshot: Snapshot,
    key: Key,
    { space }: Projection,
    place: RowPlace,
    form: KeptForm<Row>,
  ): Row | undefined {
    const bytes = this.#keys.bytesOf(key);
    const number = form.numberOf(space);
    const origin = bytes && this.#rows.originOf(number, bytes);
    if (bytes === undefined || origin === undefined) return undefined;
    if (origin.file !== place.file.file.number || origin.row !== rowInFile(place)) return undefined;
    this.#generationsOf(snapshot).filesOf(snapshot);
    return form.adopt(this.#rows, number, bytes, snapshot.generation, 'search');
  }

  put(
    snapshot: Snapshot,
    key: Key,
    { space }: Projection,
    place: RowPlace,
    row: string | Uint8Array,
    form: KeptForm<unknown>,
  ): void {
    const bytes = this.#keys.bytesOf(key);
    if (bytes === undefined) return;
    this.#generationsOf(snapshot).filesOf(snapshot);
    const { generation } = snapshot;
    const origin = { generation, file: place.file.file.number, row: rowInFile(place) };
    this.#rows.put(form.numberOf(space), bytes, row, origin);
  }

  #crossed<Row>(
    snapshot: Snapshot,
    by: TableKey,
    key: Key,
    bytes: Uint8Array,
    space: number,
    form: KeptForm<Row>,
  ): Row | undefined {
    const origin = this.#rows.originOf(space, bytes);
    if (origin === undefined) return undefined;
    const generations = this.#generationsOf(snapshot);
    const added = generations.addedSince(origin.generation, snapshot);
    if (added === undefined || !generations.hasFile(snapshot, origin.file)) return undefined;
    if (!lackKey(by, key, added)) return undefined;
    return form.adopt(this.#rows, space, bytes, snapshot.generation, 'proof');
  }

  #generationsOf({ definition }: Snapshot): Generations {
    let generations = this.#tables.get(definition);
    if (generations === undefined) {
      generations = new Generations();
      this.#tables.set(definition, generations);
    }
    return generations;
  }
}

interface GenerationFiles {
  /** Numbers of the files that could be read, ascending. */
  readonly numbers: Uint32Array;
  /** By another generation: which files of this one it lacked, as ordinals of this one's snapshot, ascending. */
  readonly added: Map<number, Uint32Array>;
}

/** The files of the last few snapshots of one table. */
class Generations {
  readonly #files = new Map<number, GenerationFiles>();

  /** Undefined for a snapshot older than those remembered. */
  filesOf(snapshot: Snapshot): GenerationFiles | undefined {
    const known = this.#files.get(snapshot.generation);
    if (known !== undefined) return known;
    const oldest = Math.min(...this.#files.keys());
    if (this.#files.size >= GENERATIONS_MAX) {
      if (snapshot.generation < oldest) return undefined;
      this.#files.delete(oldest);
      for (const { added } of this.#files.values()) added.delete(oldest);
    }
    const numbers = Uint32Array.from(snapshot.files, fileNumber).filter((number) => number > 0);
    const made = { numbers: numbers.sort(), added: new Map<number, Uint32Array>() };
    this.#files.set(snapshot.generation, made);
    return made;
  }

  hasFile(snapshot: Snapshot, file: number): boolean {
    const files = this.filesOf(snapshot);
    return files !== undefined && isIn(files.numbers, file);
  }

  /** Undefined where either of them is not remembered. */
  addedSince(generation: number, snapshot: Snapshot): Uint32Array | undefined {
    const files = this.filesOf(snapshot);
    const before = this.#files.get(generation);
    if (files === undefined || before === undefined) return undefined;
    const known = files.added.get(generation);
    if (known !== undefined) return known;
    const ordinals = [...snapshot.files.keys()];
    const added = Uint32Array.from(ordinals.filter((at) => !isIn(before.numbers, fileNumber(snapshot.files[at]))));
    files.added.set(generation, added);
    return added;
  }
}

/** 0, which no file has, for one that cannot be read: it is never one that was there before. */
function fileNumber(file: SnapshotFile | undefined): number {
  return file?.kind === 'readable' ? file.file.number : 0;
}

function rowInFile({ file, rowGroup, row }: RowPlace): number {
  return file.file.index.rowGroupFirstRow(rowGroup) + row;
}

/** Whether none of the files, as ascending ordinals, may have the key: what a search would pass over without a look. */
function lackKey(by: TableKey, key: Key, files: Uint32Array): boolean {
  if (files.length === 0) return true;
  const admitted = by.files.candidates(key);
  const indexed = by.index?.find(key);
  // An index that has to be waited for rules nothing out now.
  const candidates = indexed === undefined || indexed === 'unread' ? admitted : indexed.over(admitted);
  let candidate = -1;
  for (const file of files) {
    if (candidate < file) candidate = candidates.next(file);
    if (candidate === file) return false;
  }
  return true;
}

function isIn(ascending: Uint32Array, number: number): boolean {
  let from = 0;
  let to = ascending.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((ascending[middle] ?? 0) < number) from = middle + 1;
    else to = middle;
  }
  return ascending[from] === number;
}
