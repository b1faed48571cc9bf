/**
 * The last few snapshots of a table, so that a client can go on reading the one it began with.
 *
 * What they cost is the metadata of files that only they have, and their own lists of files: bounded in number and in
 * bytes, the oldest leaving first. The newest is the one that the table serves, and always stays.
 */

import type { Snapshot } from './snapshot.ts';
import type { TableFile } from './table-file.ts';

const SNAPSHOTS_MAX = 4;
/** What a snapshot itself takes a file, about. */
const BYTES_A_FILE = 256;

export class SnapshotHistory {
  readonly #bytesMax: number;
  /** The newest first. */
  #snapshots: readonly Snapshot[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Undefined where it left or never was. */
  get(id: string): Snapshot | undefined {
    return this.#snapshots.find((snapshot) => snapshot.id === id);
  }

  ids(): readonly string[] {
    return this.#snapshots.map(({ id }) => id);
  }

  push(snapshot: Snapshot): void {
    const older = this.#snapshots.filter(({ id }) => id !== snapshot.id);
    const kept = [snapshot];
    const files = new Set(filesOf(snapshot));
    let bytes = 0;
    for (const candidate of older.slice(0, SNAPSHOTS_MAX - 1)) {
      bytes += candidate.files.length * BYTES_A_FILE;
      for (const file of filesOf(candidate)) if (!files.has(file)) bytes += file.metadataBytes;
      if (bytes > this.#bytesMax) break;
      for (const file of filesOf(candidate)) files.add(file);
      kept.push(candidate);
    }
    this.#snapshots = kept;
  }

  clear(): void {
    this.#snapshots = [];
  }

  /** The files that any of them has. */
  files(): Set<TableFile> {
    return new Set(this.#snapshots.flatMap((snapshot) => [...filesOf(snapshot)]));
  }
}

function* filesOf(snapshot: Snapshot): Iterable<TableFile> {
  for (const file of snapshot.files) if (file.kind === 'readable') yield file.file;
}
