/** The files that a table serves, as a refresh compares them with those of a listing. */

import type { ObjectMeta } from '../storage/index.ts';
import { identityOf } from './open-files.ts';
import type { Snapshot } from './snapshot.ts';
import { objectOf } from './snapshot-change.ts';
import type { StoredSnapshot } from './table-disk.ts';
import type { BrokenFile, TableFile } from './table-file.ts';

export type AnyFile = TableFile | BrokenFile;

/** What is served before a refresh, or was by the process before this one. */
export interface ServedFile {
  readonly object: ObjectMeta;
  readonly rows: number | undefined;
}

export function servedOf(snapshot: Snapshot | undefined): readonly ServedFile[] {
  if (snapshot === undefined) return [];
  return snapshot.files.map((file) => ({
    object: objectOf(file),
    rows: file.kind === 'readable' ? file.file.index.rows : undefined,
  }));
}

/** As they are kept on disk, each with its rows. */
export function servedFiles(snapshot: Snapshot): StoredSnapshot['objects'] {
  return servedOf(snapshot).map(({ object, rows }) => ({ ...object, rows }));
}

export function sameFiles(snapshot: Snapshot, files: readonly AnyFile[]): boolean {
  return (
    snapshot.files.length === files.length &&
    snapshot.files.every((file, i) => {
      const now = files[i];
      return file.kind === 'readable'
        ? file.file === now
        : now !== undefined && 'error' in now && identityOf(now.object) === identityOf(file.object);
    })
  );
}
