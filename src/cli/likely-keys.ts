/** Columns that look like a key, for a user who has not named one: by name, and by what the footer says of them. */

import { canContain, keyClassOf } from '../parquet/index.ts';
import { readableLeaf, type Snapshot, type TableColumn, type TableFile } from '../table/index.ts';

export interface LikelyKey {
  readonly name: string;
  /** Why, in words. */
  readonly reason: string;
}

const KEY_NAME = /^(id|key|uuid|guid|pk)$|(_|-)?(id|key|uuid|guid)$/i;

/** The searchable columns, the likeliest first. */
export function likelyKeys(snapshot: Snapshot): readonly LikelyKey[] {
  const candidates = snapshot.columns
    .filter((column) => column.leaf !== undefined && keyClassOf(readableLeaf(column)) !== 'unsearchable')
    .map((column, position) => ({ column, score: score(snapshot, column, position) }));
  candidates.sort((a, b) => b.score - a.score);
  return candidates.map(({ column }) => ({ name: column.name, reason: reason(snapshot, column) }));
}

function score(snapshot: Snapshot, column: TableColumn, position: number): number {
  const leaf = readableLeaf(column);
  let points = 0;
  if (KEY_NAME.test(column.name)) points += 4;
  if (leaf.maxDefinitionLevel === 0) points += 2;
  if (position === 0) points += 1;
  if (['float', 'boolean', 'decimal'].includes(keyClassOf(leaf))) points -= 4;
  if (isClustered(snapshot, column)) points += 2;
  if (column.partition !== undefined) points -= 4;
  return points;
}

function reason(snapshot: Snapshot, column: TableColumn): string {
  const leaf = readableLeaf(column);
  const words: string[] = [leaf.physicalType];
  if (KEY_NAME.test(column.name)) words.push('named like a key');
  if (leaf.maxDefinitionLevel === 0) words.push('never null');
  if (column.partition !== undefined) words.push('the name of a folder, for a part of a key');
  if (isClustered(snapshot, column)) words.push('the files are clustered by it');
  return words.join(', ');
}

/** Whether the minimum of one row group is provably outside of the next one's bounds, throughout. */
function isClustered(snapshot: Snapshot, column: TableColumn): boolean {
  return snapshot.files.every((file) => {
    if (file.kind === 'broken') return true;
    const position = file.leafPositions[column.ordinal] ?? -1;
    return position >= 0 && rowGroupsDisjoint(file.file, position);
  });
}

function rowGroupsDisjoint({ index }: TableFile, position: number): boolean {
  const leaf = index.schema.leaves[position];
  if (leaf === undefined || index.rowGroups < 2) return false;
  for (let rowGroup = 1; rowGroup < index.rowGroups; rowGroup++) {
    const before = index.chunkBounds(rowGroup - 1, position);
    const here = index.chunkBounds(rowGroup, position);
    if (before?.min === undefined || here === undefined || canContain(leaf, here, before.min)) return false;
  }
  return true;
}
