/** `--where 'col>=5'`: a comparison of one column with one value. Null satisfies none, as in SQL. */

import { compareKeys, type KeyValue, type LeafColumn } from '../parquet/index.ts';
import type { Stretch } from '../shard/index.ts';
import {
  type BlockAt,
  folderValue,
  parseKeyText,
  readableLeaf,
  type Snapshot,
  type SnapshotReadableFile,
  type TableColumn,
  tableValueAt,
} from '../table/index.ts';
import { UsageError } from './usage.ts';

type Operator = '=' | '!=' | '<' | '<=' | '>' | '>=';

export interface Predicate {
  readonly column: TableColumn;
  readonly leaf: LeafColumn;
  readonly operator: Operator;
  readonly value: KeyValue;
}

export function parsePredicates(snapshot: Snapshot, texts: readonly string[]): readonly Predicate[] {
  return texts.map((text) => {
    const match = /^\s*(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*)$/s.exec(text);
    if (match === null) {
      throw new UsageError(
        `${JSON.stringify(text)} is no predicate; write column, one of = != < <= > >=, value: 'age>=5'`,
      );
    }
    const column = snapshot.column(match[1] ?? '');
    const leaf = readableLeaf(column);
    return { column, leaf, operator: match[2] as Operator, value: parseKeyText(leaf, match[3] ?? '') };
  });
}

/** Whether the predicates on partition columns leave a file anything, so that the rest need not be opened. */
export function folderMayHold(file: SnapshotReadableFile, predicates: readonly Predicate[]): boolean {
  return predicates.every(({ column, leaf, operator, value }) => {
    if (column.partition === undefined) return true;
    const inFolder = folderValue(file, column);
    return inFolder !== undefined && satisfies(compareKeys(leaf, inFolder.key, value), operator);
  });
}

/** The rows of a stretch of a file that `folderMayHold` for which all hold; `blocks` are the predicates' own columns. */
export function* rowsThatMatch(
  stretch: Stretch,
  predicates: readonly Predicate[],
  blocks: readonly (BlockAt | undefined)[],
): Iterable<number> {
  for (let row = stretch.start; row < stretch.end; row++) {
    if (predicates.every((predicate, i) => holds(stretch, predicate, blocks[i], row))) yield row;
  }
}

function holds(
  { file }: Stretch,
  { column, leaf, operator, value }: Predicate,
  at: BlockAt | undefined,
  row: number,
): boolean {
  // Files whose folder has another value were passed over whole.
  if (column.partition !== undefined) return true;
  if (at === undefined || at.block.isNull(row - at.firstRow)) return false;
  const found = tableValueAt(file.mapping, file.file.index.schema, column, at.block, row - at.firstRow);
  return satisfies(compareKeys(leaf, found, value), operator);
}

function satisfies(order: number, operator: Operator): boolean {
  switch (operator) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}
