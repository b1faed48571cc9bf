/** What one refresh changed, for whoever asked for it. */

import type { ObjectMeta } from '../storage/index.ts';
import type { Snapshot } from './snapshot.ts';
import type { SnapshotFile } from './snapshot-file.ts';

export interface SnapshotChange {
  readonly added: number;
  readonly removed: number;
  /** The same key in another version. */
  readonly replaced: number;
  readonly rowsBefore: number;
  readonly rowsNow: number;
}

export function changeBetween(before: Snapshot | undefined, now: Snapshot): SnapshotChange {
  const rows = { rowsBefore: before?.rows ?? 0, rowsNow: now.rows };
  if (before === now) return { added: 0, removed: 0, replaced: 0, ...rows };
  const versions = new Map((before?.files ?? []).map((file) => [objectOf(file).key, objectOf(file)]));
  let added = 0;
  let replaced = 0;
  for (const file of now.files) {
    const object = objectOf(file);
    const old = versions.get(object.key);
    if (old === undefined) added += 1;
    else if (old.eTag !== object.eTag || old.sizeBytes !== object.sizeBytes) replaced += 1;
  }
  const removed = versions.size - (now.files.length - added);
  return { added, removed, replaced, ...rows };
}

export function objectOf(file: SnapshotFile): ObjectMeta {
  return file.kind === 'readable' ? file.file.object : file.object;
}
