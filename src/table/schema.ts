/**
 * The columns of a table: the union by name of its files' top-level columns.
 *
 * A column that a file lacks reads null there. Two files that give one name two types are refused, since no answer
 * about such a column could be right for both.
 */

import { ServiceError, unsupported } from '../core/index.ts';
import type { FileSchema, LeafColumn, SchemaNode } from '../parquet/index.ts';

export interface TableColumn {
  readonly ordinal: number;
  readonly name: string;
  /** The type by which values are read and written; undefined where this version cannot read the column. */
  readonly leaf: LeafColumn | undefined;
  /** The feature that is missing where `leaf` is undefined. */
  readonly unsupported: string | undefined;
}

export interface TableSchema {
  readonly columns: readonly TableColumn[];
  readonly byName: ReadonlyMap<string, TableColumn>;
}

/** What a schema is made from: the files in order, named so that a conflict can say which two disagree. */
export interface NamedFileSchema {
  readonly name: string;
  readonly schema: FileSchema;
}

export function uniteSchemas(files: readonly NamedFileSchema[]): TableSchema {
  const byName = new Map<string, TableColumn>();
  const firstFile = new Map<string, string>();
  for (const file of files) {
    for (const node of file.schema.root.children) {
      const known = byName.get(node.name);
      if (known === undefined) {
        byName.set(node.name, columnOf(node, byName.size));
        firstFile.set(node.name, file.name);
        continue;
      }
      const [was, now] = [typeName(known), typeName(columnOf(node, 0))];
      if (was !== now) throw conflict(node.name, was, firstFile.get(node.name) ?? '', now, file.name);
    }
  }
  return { columns: [...byName.values()], byName };
}

/** For each table column the position of its leaf in this file, or -1 where the file lacks it. */
export function leafPositions(table: TableSchema, file: FileSchema): Int32Array {
  const positions = new Int32Array(table.columns.length).fill(-1);
  for (const node of file.root.children) {
    const column = table.byName.get(node.name);
    if (column !== undefined && node.kind === 'leaf') positions[column.ordinal] = node.leaf.ordinal;
  }
  return positions;
}

/** The column's leaf, or `unsupported` naming the column and the feature. */
export function readableLeaf(column: TableColumn): LeafColumn {
  if (column.leaf !== undefined) return column.leaf;
  throw unsupported(
    `column ${JSON.stringify(column.name)} is ${column.unsupported}, which this version cannot read; name other columns with ?columns=`,
    { column: column.name, feature: column.unsupported },
  );
}

/** A type as people and error messages read it, such as `INT64 TIMESTAMP(MICROS,UTC)`. */
export function typeName(column: TableColumn): string {
  const leaf = column.leaf;
  if (leaf === undefined) return column.unsupported ?? 'unsupported';
  const length = leaf.physicalType === 'FIXED_LEN_BYTE_ARRAY' ? `(${leaf.typeLength})` : '';
  const logical = logicalName(leaf);
  return `${leaf.physicalType}${length}${logical === '' ? '' : ` ${logical}`}`;
}

function logicalName(leaf: LeafColumn): string {
  const type = leaf.logicalType;
  switch (type.kind) {
    case 'NONE':
      return '';
    case 'INTEGER':
      return `${type.isSigned ? 'INT' : 'UINT'}(${type.bitWidth})`;
    case 'DECIMAL':
      return `DECIMAL(${type.precision},${type.scale})`;
    case 'TIME':
    case 'TIMESTAMP':
      return `${type.kind}(${type.unit}${type.isAdjustedToUTC ? ',UTC' : ''})`;
    default:
      return type.kind;
  }
}

function columnOf(node: SchemaNode, ordinal: number): TableColumn {
  if (node.kind === 'leaf' && node.repetition !== 'REPEATED') {
    return { ordinal, name: node.name, leaf: node.leaf, unsupported: undefined };
  }
  return { ordinal, name: node.name, leaf: undefined, unsupported: nestedKind(node) };
}

function nestedKind(node: SchemaNode): string {
  if (node.kind === 'leaf') return 'a repeated field';
  if (node.annotation === 'NONE') return 'a nested struct';
  return `a nested ${node.annotation}`;
}

function conflict(column: string, was: string, wasIn: string, now: string, nowIn: string): ServiceError {
  return new ServiceError(
    'unavailable',
    'schema_conflict',
    `column ${JSON.stringify(column)} is ${was} in ${wasIn} but ${now} in ${nowIn}; a table's files must agree on a column's type`,
    { column, types: [was, now], files: [wasIn, nowIn] },
  );
}
