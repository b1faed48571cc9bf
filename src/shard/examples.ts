/** Real keys of a table, for the `curl` lines and examples that people copy. */

import {
  folderValue,
  type Key,
  type Need,
  Pins,
  type Snapshot,
  type SnapshotReadableFile,
  type TableColumn,
  tableValueAt,
} from '../table/index.ts';
import type { FailedNeed, PageLoader } from './page-loader.ts';
import { meetStored } from './stored-needs.ts';

/** Keys from the start, the middle and the end of what can be read; fewer where the table has fewer or they are null. */
export async function exampleKeys(
  loader: PageLoader,
  snapshot: Snapshot,
  count: number,
  signal: AbortSignal,
): Promise<readonly Key[]> {
  const files = snapshot.files.filter(
    (file) => file.kind === 'readable' && snapshot.primaryKey.in(file.mapping).positions !== undefined,
  );
  const filled = (files as readonly SnapshotReadableFile[]).filter((file) => file.file.index.rows > 0);
  const keys: Key[] = [];
  for (let i = 0; i < count; i++) {
    const share = count === 1 ? 0 : i / (count - 1);
    const file = filled[Math.round(share * (filled.length - 1))];
    if (file === undefined) break;
    const key = await keyAt(loader, snapshot.keyColumns, file, Math.floor(share * (file.file.index.rows - 1)), signal);
    if (key !== undefined && !keys.some((known) => sameKey(known, key))) keys.push(key);
  }
  return keys;
}

async function keyAt(
  loader: PageLoader,
  keyColumns: readonly TableColumn[],
  file: SnapshotReadableFile,
  fileRow: number,
  signal: AbortSignal,
): Promise<Key | undefined> {
  const { index } = file.file;
  let rowGroup = 0;
  while (rowGroup + 1 < index.rowGroups && index.rowGroupFirstRow(rowGroup + 1) <= fileRow) rowGroup += 1;
  const row = fileRow - index.rowGroupFirstRow(rowGroup);
  const pins = new Pins();
  const key: Key[number][] = [];
  for (const column of keyColumns) {
    if (column.partition !== undefined) {
      const inFolder = folderValue(file, column);
      if (inFolder === undefined) return undefined;
      key.push(inFolder.key);
      continue;
    }
    const chunk = file.file.chunk(rowGroup, file.leafPositions[column.ordinal] ?? -1);
    const [failed] = await meet(loader, { kind: 'layout', file: file.file, chunk }, pins, signal);
    if (failed !== undefined) throw failed.error;
    if (chunk.layout === undefined) return undefined;
    const page = chunk.layout.locations.pageOf(row);
    await meet(loader, { kind: 'page', file: file.file, chunk, page, row }, pins, signal);
    const at = chunk.at(row, pins);
    if (at === undefined || at.block.isNull(row - at.firstRow)) return undefined;
    key.push(tableValueAt(file.mapping, index.schema, column, at.block, row - at.firstRow));
  }
  return key;
}

/** From disk where it is there, so that a server that starts on a warm disk asks storage for no example. */
async function meet(loader: PageLoader, need: Need, pins: Pins, signal: AbortSignal): Promise<readonly FailedNeed[]> {
  const left = await meetStored([need], pins);
  return left.length === 0 ? [] : loader.load(left, pins, signal);
}

function sameKey(a: Key, b: Key): boolean {
  return a.every((value, i) => {
    const other = b[i];
    if (value instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(value, other) === 0;
    return value === other;
  });
}
