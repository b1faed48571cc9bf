/** `--where 'col>=5'`: a comparison of one column with one value. Null satisfies none, as in SQL. */

import { compareKeys, type KeyValue, type LeafColumn } from '../parquet/index.ts';
import type { Stretch } from '../shard/index.ts';
import {
  type BlockAt,
  parseKeyText,
  readableLeaf,
  type Snapshot,
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

/** The rows of the stretch for which all hold; `blocks` are the predicates' own columns. */
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
  if (at === undefined || at.block.isNull(row - at.firstRow)) return false;
  const found = tableValueAt(file.mapping, file.file.index.schema, column, at.block, row - at.firstRow);
  const order = compareKeys(leaf, found, value);
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
