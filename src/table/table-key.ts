/**
 * One key of a table as a snapshot has it: the columns it is made of, and what is known of where its values lie.
 *
 * A table has its own key and may have further ones with names. Each is searched alike; that rows are found by one key
 * and not by another is nowhere else than here and, for how files of one schema hold it, in their `FileMapping`.
 */

import type { LeafColumn } from '../parquet/index.ts';
import type { FileMapping, MappedKey } from './file-mapping.ts';
import { KeyFiles } from './key-files.ts';
import type { KeyIndexView } from './key-index.ts';
import { readableLeaf, type TableColumn } from './schema.ts';
import type { SnapshotFile } from './snapshot-file.ts';

/** Of an index that is being built. */
export interface IndexProgress {
  /** Of the snapshot that is being indexed. */
  readonly rows: number;
  rowsDone: number;
}

export class TableKey {
  /** Undefined for the table's own key. */
  readonly name: string | undefined;
  /** 0 for the table's own key, then the named ones in the order of the definition. */
  readonly ordinal: number;
  /** None where the table has no file to read a schema from. */
  readonly columns: readonly TableColumn[];
  readonly leaves: readonly LeafColumn[];
  /** At most one row has a given key, so that a search may stop at the first match. */
  readonly isUnique: boolean;
  readonly files: KeyFiles;
  /** Which rows may have a key; grows while the index is built, and says the same of what it had before. */
  index: KeyIndexView | undefined = undefined;
  /** While its index is built. */
  building: IndexProgress | undefined = undefined;

  constructor(
    name: string | undefined,
    ordinal: number,
    columns: readonly TableColumn[],
    files: readonly SnapshotFile[],
    isUnique: boolean,
  ) {
    this.name = name;
    this.ordinal = ordinal;
    this.columns = columns;
    this.leaves = columns.map(readableLeaf);
    this.isUnique = isUnique;
    this.files = new KeyFiles(files, columns);
  }

  /** Pages of its index that were read from disk so far. */
  get indexPagesRead(): number {
    return this.index?.pagesRead ?? 0;
  }

  /** How files of that schema hold it. */
  in({ keys }: FileMapping): MappedKey {
    return keys[this.ordinal] as MappedKey;
  }
}
