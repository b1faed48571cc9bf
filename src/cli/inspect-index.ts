/** The key index of a table as `inspect` sees it: foretold, or built as a server builds it to see what lookups then cost. */

import { formatBytes, ServiceError } from '../core/index.ts';
import type { PointlakeNode } from '../main.ts';
import { indexFits } from '../shard/index.ts';
import { chooseIndex, type IndexMode, type KeyIndexView, type Snapshot, type TableKey } from '../table/index.ts';
import { type IndexRoom, withIndex } from './one-table.ts';

/** As the key index measures itself: see the key index in docs/configuration.md. */
const BYTES_A_KEY = 9.05;

export interface ForetoldIndex {
  /** As it is configured, or `auto`. */
  readonly mode: IndexMode;
  /** Whether a server builds one. */
  readonly isBuilt: boolean;
  /** False where one of these files has no room. */
  readonly fits: boolean;
  readonly reason: string;
  /** What it takes in memory. */
  readonly bytes: number;
}

export function foretellIndex(snapshot: Snapshot, by: TableKey, mode: IndexMode, room: IndexRoom): ForetoldIndex {
  const choice = chooseIndex(snapshot, by, mode);
  const bytes = Math.round(snapshot.rows * BYTES_A_KEY);
  const fits = indexFits(snapshot.rows, room);
  const isBuilt = choice.isWanted && fits;
  if (!choice.isWanted || fits) return { mode, isBuilt, fits, reason: choice.reason, bytes };
  const disk = room.diskBytes === 0 ? '' : `, nor into ${formatBytes(room.diskBytes)} on disk`;
  const reason = `its ${formatBytes(bytes)} do not fit into what cache.memory leaves for key indexes, ${formatBytes(room.memoryBytes)}${disk}`;
  return { mode, isBuilt, fits, reason, bytes };
}

export interface BuiltIndex {
  readonly view: KeyIndexView;
  readonly bytes: number;
  readonly keys: number;
  /** Rows whose key another has already, at most; undefined where it cannot be told. */
  readonly duplicates: number | undefined;
  readonly runs: number;
  readonly filesIndexed: number;
  readonly files: number;
}

/** Of a table of its own over the same files, so that nothing that its building reads is known of the snapshot's. */
export async function buildIndex(node: PointlakeNode, snapshot: Snapshot, by: TableKey): Promise<BuiltIndex> {
  const { definition } = snapshot;
  const keys = definition.keys.map((key) => ({
    ...key,
    index: key.name === by.name ? ('hash' as const) : ('none' as const),
  }));
  const index = by.name === undefined ? 'hash' : 'none';
  const table = node.makeTable({ ...withIndex(definition, 'none'), index, keys });
  try {
    const indexed = await table.refresh();
    const indexing = node.indexings(table)[by.ordinal];
    await indexing?.idle();
    const status = indexing?.status;
    const view = indexed.keys[by.ordinal]?.index;
    if (status?.error !== undefined) throw status.error;
    if (status === undefined || view === undefined || status.state !== 'ready') {
      throw new ServiceError(
        'tooLarge',
        'index_too_large',
        `no key index was built: ${status?.reason ?? 'there is no such key'}`,
      );
    }
    if (!isSame(indexed, snapshot)) {
      throw new ServiceError(
        'changed',
        'changed',
        'the files changed while the key index was built; inspect them again',
      );
    }
    const { bytes, entries, runs, filesIndexed, files, count } = status;
    const duplicates = count && count.rows - count.keysAtLeast;
    return { view, bytes, keys: entries, duplicates, runs, filesIndexed, files };
  } finally {
    // Its runs stay with the view.
    node.forgetTable(table);
  }
}

function isSame(a: Snapshot, b: Snapshot): boolean {
  const versions = ({ files }: Snapshot) =>
    files.map((file) => {
      const { key, eTag } = file.kind === 'readable' ? file.file.object : file.object;
      return `${key} ${eTag}`;
    });
  return JSON.stringify(versions(a)) === JSON.stringify(versions(b));
}
