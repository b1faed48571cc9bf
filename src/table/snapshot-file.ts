/** One file as a snapshot has it: opened, with how it serves the table's columns, or broken. */

import type { FileMapping } from './file-mapping.ts';
import type { Partition } from './partition.ts';
import type { BrokenFile, TableFile } from './table-file.ts';

export type SnapshotFile = SnapshotReadableFile | SnapshotBrokenFile;

export interface SnapshotReadableFile {
  readonly kind: 'readable';
  readonly file: TableFile;
  /** Shared by all files of one schema. */
  readonly mapping: FileMapping;
  /** By table column: the leaf's position in this file; negative where it has none or several. */
  readonly leafPositions: Int32Array;
  /** By partition column, as `TableColumn` counts them; shared by all files of one folder. */
  readonly partition: Partition;
}

export interface SnapshotBrokenFile extends BrokenFile {
  readonly kind: 'broken';
  readonly partition: Partition;
}
