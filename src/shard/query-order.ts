/**
 * The first rows of a query in the order of key columns: row groups by their bounds, the best rows in a bounded heap.
 *
 * Row groups are read in the order of the least value that each may hold. Once the heap is full, and no row group that is
 * left can hold a row before its last, the rest is not read: of files that are clustered by the key that is early. Nulls
 * come last whichever way a column is ordered, and rows of equal values in the order of the snapshot.
 */

import { compareKeys, type KeyValue, type LeafColumn } from '../parquet/index.ts';
import { folderValue, Pins, readableLeaf, tableValueAt } from '../table/index.ts';
import { missingPages } from './encode-row.ts';
import type { OrderColumn, Query, QueryPlace, QueryPosition } from './query.ts';
import type { QueryUnit } from './query-plan.ts';
import type { CarriedPages, QueryReader } from './query-reader.ts';

interface OrderedRow {
  readonly place: QueryPlace;
  readonly values: readonly (KeyValue | undefined)[];
  /** Of the file. */
  readonly row: number;
}

type Compare = (a: Pick<OrderedRow, 'values'>, b: Pick<OrderedRow, 'values'>) => number;

export async function orderedRows(
  reader: QueryReader,
  units: readonly QueryUnit[],
  query: Query,
): Promise<readonly OrderedRow[]> {
  const compare = comparison(query.order);
  const leads = units
    .map((unit) => ({ unit, lead: leadOf(unit, query.order) }))
    .sort((a, b) => compareLeads(a.lead, b.lead, query.order));
  const top = new TopRows(
    query.limit,
    (a, b) => compare(a, b) || inSnapshot(a.place, a.row, b.place.fileOrdinal, b.row),
  );
  for (const { unit, lead } of leads) {
    const last = top.worst;
    // What is left begins no sooner than this one does.
    if (last !== undefined && lead !== undefined && isBehind(lead, last.values[0], query.order)) break;
    const carried: CarriedPages = { pins: new Pins() };
    for await (const rows of reader.matches(unit, () => Number.POSITIVE_INFINITY)) {
      await addRows(reader, unit, rows, query, compare, top, carried);
    }
  }
  return top.sorted();
}

async function addRows(
  reader: QueryReader,
  unit: QueryUnit,
  rows: readonly number[],
  { order, after }: Query,
  compare: Compare,
  top: TopRows,
  carried: CarriedPages,
): Promise<void> {
  const { file, fileOrdinal, rowGroup } = unit;
  const firstRow = file.file.index.rowGroupFirstRow(rowGroup);
  const places = rows.map((row): QueryPlace => ({ file, fileOrdinal, rowGroup, row }));
  const sink = {
    isFull: false,
    take: (place: QueryPlace, pins: Pins) => {
      const values = valuesOf(place, order, pins);
      if (values === undefined) return false;
      const row = { place, values, row: firstRow + place.row };
      if (after === undefined || isAfter(row, after, compare)) top.add(row);
      return true;
    },
  };
  const columns = order.map(({ column }) => column);
  for await (const _taken of reader.take(places, columns, sink, carried));
}

function valuesOf(
  place: QueryPlace,
  order: readonly OrderColumn[],
  pins: Pins,
): readonly (KeyValue | undefined)[] | undefined {
  const { file, mapping, leafPositions } = place.file;
  if (
    missingPages(
      place,
      order.map(({ column }) => column),
      pins,
    ).length > 0
  )
    return undefined;
  return order.map(({ column }) => {
    const position = leafPositions[column.ordinal] ?? -1;
    if (position < 0) return folderValue(place.file, column)?.key;
    const at = file.chunk(place.rowGroup, position).at(place.row, pins);
    if (at === undefined || at.block.isNull(place.row - at.firstRow)) return undefined;
    const value = tableValueAt(mapping, file.index.schema, column, at.block, place.row - at.firstRow);
    // Kept while others are read: its block's memory may be another's by then.
    return value instanceof Uint8Array ? value.slice() : value;
  });
}

function comparison(order: readonly OrderColumn[]): Compare {
  const leaves = order.map(({ column }) => readableLeaf(column));
  return (a, b) => {
    for (const [i, leaf] of leaves.entries()) {
      const difference = compareValues(leaf, a.values[i], b.values[i], order[i]?.isDescending === true);
      if (difference !== 0) return difference;
    }
    return 0;
  };
}

function compareValues(
  leaf: LeafColumn,
  a: KeyValue | undefined,
  b: KeyValue | undefined,
  isDescending: boolean,
): number {
  if (a === undefined || b === undefined) return (a === undefined ? 1 : 0) - (b === undefined ? 1 : 0);
  const order = compareKeys(leaf, a, b);
  return isDescending ? -order : order;
}

function inSnapshot({ fileOrdinal }: QueryPlace, row: number, otherFile: number, otherRow: number): number {
  return fileOrdinal - otherFile || row - otherRow;
}

function isAfter(row: OrderedRow, after: QueryPosition, compare: Compare): boolean {
  return (compare(row, after) || inSnapshot(row.place, row.row, after.fileOrdinal, after.row)) > 0;
}

/** The first value that a row group may hold in the first order column; undefined where that is not known. */
function leadOf({ file, rowGroup }: QueryUnit, [first]: readonly OrderColumn[]): KeyValue | undefined {
  if (first === undefined) return undefined;
  const { column, isDescending } = first;
  if (column.partition !== undefined) return folderValue(file, column)?.key;
  const position = file.leafPositions[column.ordinal] ?? -1;
  if (position < 0 || file.mapping.casts?.[column.ordinal] !== undefined) return undefined;
  const bounds = file.file.index.chunkBounds(rowGroup, position);
  if (!isDescending) return bounds?.min;
  // NaN lies above the maximum of numbers.
  return typeof bounds?.max === 'number' && !bounds.noNaN && isFloat(column.leaf) ? undefined : bounds?.max;
}

function isFloat(leaf: LeafColumn | undefined): boolean {
  return leaf?.physicalType === 'FLOAT' || leaf?.physicalType === 'DOUBLE' || leaf?.logicalType.kind === 'FLOAT16';
}

/** What is not known may come first. */
function compareLeads(a: KeyValue | undefined, b: KeyValue | undefined, [first]: readonly OrderColumn[]): number {
  if (a === undefined || b === undefined) return (a === undefined ? 0 : 1) - (b === undefined ? 0 : 1);
  return first === undefined ? 0 : compareValues(readableLeaf(first.column), a, b, first.isDescending);
}

function isBehind(lead: KeyValue, worst: KeyValue | undefined, [first]: readonly OrderColumn[]): boolean {
  if (first === undefined || worst === undefined) return false;
  return compareValues(readableLeaf(first.column), lead, worst, first.isDescending) > 0;
}

/** The least rows of any number, in a heap whose root is the greatest that is kept. */
class TopRows {
  readonly #limit: number;
  readonly #compare: (a: OrderedRow, b: OrderedRow) => number;
  readonly #heap: OrderedRow[] = [];

  constructor(limit: number, compare: (a: OrderedRow, b: OrderedRow) => number) {
    this.#limit = limit;
    this.#compare = compare;
  }

  /** Undefined while any row would be kept. */
  get worst(): OrderedRow | undefined {
    return this.#heap.length < this.#limit ? undefined : this.#heap[0];
  }

  add(row: OrderedRow): void {
    const { worst } = this;
    if (worst === undefined) this.#rise(this.#heap.push(row) - 1);
    else if (this.#compare(row, worst) < 0) {
      this.#heap[0] = row;
      this.#sink();
    }
  }

  sorted(): readonly OrderedRow[] {
    return this.#heap.toSorted(this.#compare);
  }

  #rise(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >>> 1;
      if (!this.#swapIfGreater(at, parent)) return;
      at = parent;
    }
  }

  #sink(): void {
    for (let at = 0; ; ) {
      let greatest = 2 * at + 1;
      const other = greatest + 1;
      if (greatest >= this.#heap.length) return;
      if (other < this.#heap.length && this.#order(other, greatest) > 0) greatest = other;
      if (!this.#swapIfGreater(greatest, at)) return;
      at = greatest;
    }
  }

  #swapIfGreater(at: number, parent: number): boolean {
    if (this.#order(at, parent) <= 0) return false;
    const row = this.#heap[at] as OrderedRow;
    this.#heap[at] = this.#heap[parent] as OrderedRow;
    this.#heap[parent] = row;
    return true;
  }

  #order(a: number, b: number): number {
    return this.#compare(this.#heap[a] as OrderedRow, this.#heap[b] as OrderedRow);
  }
}
