/**
 * In which order the rows of a key come: by the values of columns, each ascending or descending.
 *
 * Values compare as keys do: NaN is greatest, strings by their bytes. Nulls are lowest, as in `latest_by`: first where
 * a column ascends, last where it descends.
 */

import { ServiceError } from '../core/index.ts';
import { compareKeys, type KeyValue, keyClassOf } from '../parquet/index.ts';
import { readableLeaf, type Snapshot, type TableColumn } from '../table/index.ts';

export interface OrderBy {
  readonly column: string;
  readonly isDescending: boolean;
}

/** By column of the order; undefined for null. */
export type OrderedValues = readonly (KeyValue | undefined)[];

export class MatchOrder {
  readonly columns: readonly TableColumn[];
  readonly #signs: readonly number[];

  /** Throws `unknown_column`, and `unsupported_order` for a column whose values have no order. */
  constructor(snapshot: Snapshot, orderBy: readonly OrderBy[]) {
    this.columns = orderBy.map(({ column }) => orderable(snapshot.column(column)));
    this.#signs = orderBy.map(({ isDescending }) => (isDescending ? -1 : 1));
  }

  compare(a: OrderedValues, b: OrderedValues): number {
    for (const [i, column] of this.columns.entries()) {
      const order = compareValues(column, a[i], b[i]);
      if (order !== 0) return order * (this.#signs[i] ?? 1);
    }
    return 0;
  }
}

function orderable(column: TableColumn): TableColumn {
  if (column.nested === undefined && keyClassOf(readableLeaf(column)) !== 'unsearchable') return column;
  const message = `rows cannot be ordered by column ${JSON.stringify(column.name)}, whose values have no order; use a column of numbers, strings, dates or times`;
  throw new ServiceError('invalid', 'unsupported_order', message, { column: column.name });
}

function compareValues(column: TableColumn, a: KeyValue | undefined, b: KeyValue | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareKeys(readableLeaf(column), a, b);
}
