/**
 * How one file's leaves serve the columns of its table: where each column lies, and what stands between the file's type
 * and the table's. Files of one schema share one mapping, so that whatever is prepared for it is prepared once.
 */

import { createHash } from 'node:crypto';
import { assert, ServiceError } from '../core/index.ts';
import {
  type Block,
  type FileSchema,
  type KeyValue,
  keyValueAt,
  type SchemaNode,
  type Shape,
} from '../parquet/index.ts';
import { type Cast, castBetween } from './cast.ts';
import { typeText } from './column-type.ts';
import { isScalar, nodesByColumn, readableShape, type TableColumn, type TableSchema } from './schema.ts';

/** In place of a leaf's position: the file lacks the column, or the column is nested and has leaves of its own. */
const ABSENT = -1;
export const NESTED = -2;
/** Likewise: every row of the file has the value of the folder that the file lies in. */
const PARTITION = -3;

export interface FileMapping {
  /** By table column: the leaf's position in the file, -1 where it has none, else `NESTED` or `PARTITION`. */
  readonly leafPositions: Int32Array;
  /** By table column, where it is nested and the file has it; undefined where it has none such. */
  readonly nested: readonly (Shape | undefined)[] | undefined;
  /** By table column, where the types differ; undefined where they differ nowhere. */
  readonly casts: readonly (Cast | undefined)[] | undefined;
  /** By key of the table. */
  readonly keys: readonly MappedKey[];
}

/** How files of one schema hold one key of the table. */
export interface MappedKey {
  /** By key column of the files: the leaf's position; undefined where the file lacks one and so holds no key at all. */
  readonly positions: readonly number[] | undefined;
  /** Which parts of a key those columns are; undefined where they are all. */
  readonly parts: readonly number[] | undefined;
  /** By key column, where the types differ; undefined where they differ nowhere. */
  readonly casts: readonly (Cast | undefined)[] | undefined;
}

/** `keys` are the columns of each key of the table. */
export function mapFile(table: TableSchema, file: FileSchema, keys: readonly (readonly TableColumn[])[]): FileMapping {
  const leafPositions = new Int32Array(table.columns.length).fill(ABSENT);
  const casts: (Cast | undefined)[] = new Array(table.columns.length).fill(undefined);
  for (const { ordinal, partition } of table.columns) if (partition !== undefined) leafPositions[ordinal] = PARTITION;
  const nested: (Shape | undefined)[] = new Array(table.columns.length).fill(undefined);
  for (const [name, node] of nodesByColumn(file, table.names)) {
    const column = table.byName.get(name);
    if (column?.partition !== undefined) continue;
    if (column?.nested !== undefined) {
      const shape = isScalar(node) ? undefined : readableShape(node);
      nested[column.ordinal] = shape;
      if (shape !== undefined) leafPositions[column.ordinal] = NESTED;
    }
    if (column?.leaf === undefined || node.kind !== 'leaf') continue;
    // A column of nothing but nulls has a type by accident.
    if (node.leaf.logicalType.kind === 'UNKNOWN' && column.leaf.logicalType.kind !== 'UNKNOWN') continue;
    const cast = castBetween(node.leaf, column.leaf);
    assert(cast !== 'none', `column ${name} was united from types that no cast joins`);
    leafPositions[column.ordinal] = node.leaf.ordinal;
    if (cast !== 'same') casts[column.ordinal] = cast;
  }
  return {
    leafPositions,
    nested: unlessEmpty(nested),
    casts: unlessEmpty(casts),
    keys: keys.map((columns) => mapKey(columns, leafPositions, casts)),
  };
}

function mapKey(
  columns: readonly TableColumn[],
  leafPositions: Int32Array,
  casts: readonly (Cast | undefined)[],
): MappedKey {
  const inFiles = columns.filter(({ partition }) => partition === undefined);
  const positions = inFiles.map((column) => leafPositions[column.ordinal] ?? ABSENT);
  return {
    positions: positions.includes(ABSENT) ? undefined : positions,
    parts: inFiles.length < columns.length ? inFiles.map((column) => columns.indexOf(column)) : undefined,
    casts: unlessEmpty(columns.map((column) => casts[column.ordinal])),
  };
}

/** The positions in the file of a column's leaves: none where it lacks the column, several where it is nested. */
export function positionsOf({ leafPositions, nested }: FileMapping, column: TableColumn): readonly number[] {
  const position = leafPositions[column.ordinal] ?? ABSENT;
  if (position >= 0) return [position];
  return nested?.[column.ordinal]?.leaves.map((leaf) => leaf.ordinal) ?? [];
}

function unlessEmpty<T>(items: readonly (T | undefined)[]): readonly (T | undefined)[] | undefined {
  return items.some((item) => item !== undefined) ? items : undefined;
}

const schemaIds = new WeakMap<FileSchema, string>();

/** Equal for schemas that map alike to any table. Kept, since a file outlives the snapshots it is in. */
export function schemaId(schema: FileSchema): string {
  let id = schemaIds.get(schema);
  if (id === undefined) {
    id = createHash('sha256').update(schema.root.children.map(nodeId).join()).digest('base64');
    schemaIds.set(schema, id);
  }
  return id;
}

function nodeId(node: SchemaNode): string {
  const own = `${JSON.stringify(node.name)} ${node.repetition}`;
  if (node.kind === 'leaf') return `${own} ${typeText(node.leaf)}`;
  return `${own} ${node.annotation}(${node.children.map(nodeId).join()})`;
}

/**
 * The parts of the key that are columns of the file, by the file's own types; undefined where one of them is no value
 * that the file can hold.
 */
export function keyInFile({ casts, parts }: MappedKey, key: readonly KeyValue[]): readonly KeyValue[] | undefined {
  if (casts === undefined && parts === undefined) return key;
  const converted: KeyValue[] = [];
  for (const [i, value] of key.entries()) {
    if (parts?.includes(i) === false) continue;
    const cast = casts?.[i];
    const inFile = cast === undefined ? value : cast.backward(value);
    if (inFile === undefined) return undefined;
    converted.push(inFile);
  }
  return converted;
}

/** A value of the file, which is not null, as the table's. */
export function tableValueAt(
  { leafPositions, casts }: FileMapping,
  schema: FileSchema,
  column: TableColumn,
  block: Block,
  row: number,
): KeyValue {
  const leaf = schema.leaves[leafPositions[column.ordinal] ?? -1];
  assert(leaf !== undefined, `column ${column.name} is read from a file that lacks it`);
  const value = keyValueAt(block, leaf, row);
  return casts?.[column.ordinal]?.forward(value) ?? value;
}

/** What was thrown while values of a row group were cast: a cast knows its column, and here learns where it was. */
export function castFaultIn(thrown: unknown, file: string, rowGroup: number): unknown {
  if (!(thrown instanceof ServiceError) || thrown.context.file !== undefined) return thrown;
  const { kind, code, message, context } = thrown;
  return new ServiceError(kind, code, `${message} (file ${file}, row group ${rowGroup})`, {
    ...context,
    file,
    rowGroup,
  });
}
