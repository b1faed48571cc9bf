/**
 * The columns of a table: the union by name of its files' top-level columns, and then those of its partition folders.
 *
 * A column that a file lacks reads null there. Where files give one name several types the table has the one that holds
 * them all (`widening.ts`), or the one that the operator declared (`cast.ts` says which values that takes); else they
 * are refused, since no answer about such a column could be right for both. Whether a file lets a column be null never
 * matters: a column may be null where any file says so or lacks it.
 */

import { ServiceError, unsupported } from '../core/index.ts';
import {
  type FileSchema,
  type LeafColumn,
  type SchemaLeaf,
  type SchemaNode,
  type Shape,
  shapeOf,
} from '../parquet/index.ts';
import { castBetween } from './cast.ts';
import { type ColumnType, typeText } from './column-type.ts';
import type { ColumnDeclaration } from './definition.ts';
import { type NestedType, nestedTypeOf, nestedTypeText, uniteNested } from './nested-type.ts';
import { widerType } from './widening.ts';

export interface TableColumn {
  readonly ordinal: number;
  readonly name: string;
  /** The type by which values are answered and keys are read; undefined where the column is nested or unreadable. */
  readonly leaf: LeafColumn | undefined;
  /** The type of a column that has more than one value a row. */
  readonly nested: NestedType | undefined;
  /** The feature that is missing where this version can read the column in neither way. */
  readonly unsupported: string | undefined;
  readonly isNullable: boolean;
  /** Its position among the partition columns; undefined where it is a column of the files. */
  readonly partition: number | undefined;
}

export interface TableSchema {
  readonly columns: readonly TableColumn[];
  readonly byName: ReadonlyMap<string, TableColumn>;
  readonly names: ColumnNames;
}

/** What a schema is made from: the files in order, named so that a conflict can say which two disagree. */
export interface NamedFileSchema {
  readonly name: string;
  readonly schema: FileSchema;
}

/** A column that lies in the names of folders: it comes after those of the files, and wins over one of its name. */
export interface SchemaPartition {
  readonly name: string;
  readonly type: ColumnType;
  readonly isNullable: boolean;
}

export function uniteSchemas(
  files: readonly NamedFileSchema[],
  declarations: readonly ColumnDeclaration[] = [],
  partitions: readonly SchemaPartition[] = [],
): TableSchema {
  const names = new ColumnNames(declarations);
  const inFolders = new Set(partitions.map(({ name }) => name));
  const unions = new Map<string, ColumnUnion>();
  for (const file of files) {
    for (const [name, node] of nodesByColumn(file.schema, names)) {
      if (inFolders.has(name)) continue;
      let union = unions.get(name);
      if (union === undefined) {
        union = new ColumnUnion(name, names.typeOf(name));
        unions.set(name, union);
      }
      union.add(node, file.name);
    }
  }
  // A column that was declared with a type and is in no file yet reads null, as one does that some files lack.
  for (const { name, type } of declarations) {
    if (type !== undefined && !unions.has(name) && !inFolders.has(name)) unions.set(name, new ColumnUnion(name, type));
  }
  const ofFiles = [...unions.values()].map((union, ordinal) => union.column(ordinal, files.length));
  const columns = [...ofFiles, ...partitions.map((column, i) => partitionColumn(column, ofFiles.length + i, i))];
  return { columns, byName: new Map(columns.map((column) => [column.name, column])), names };
}

function partitionColumn({ name, type, isNullable }: SchemaPartition, ordinal: number, at: number): TableColumn {
  const leaf = leafOf(name, ordinal, type, isNullable);
  return { ordinal, name, leaf, nested: undefined, unsupported: undefined, isNullable, partition: at };
}

/** The leaf of a column of one value a row; `unsupported` naming the column and the feature for any other. */
export function readableLeaf(column: TableColumn): LeafColumn {
  if (column.leaf !== undefined) return column.leaf;
  if (column.nested !== undefined) {
    throw unsupported(
      `column ${JSON.stringify(column.name)} is nested, so that it can be asked for as a whole but not searched or compared`,
      { column: column.name, feature: 'searching nested columns' },
    );
  }
  throw unsupported(
    `column ${JSON.stringify(column.name)} is ${column.unsupported}, which this version cannot read; name other columns with ?columns=`,
    { column: column.name, feature: column.unsupported },
  );
}

/** A type as people and error messages read it, such as `INT64 TIMESTAMP(MICROS,UTC)`. */
export function typeName(column: TableColumn): string {
  if (column.leaf !== undefined) return typeText(column.leaf);
  return column.nested === undefined ? (column.unsupported ?? 'unsupported') : nestedTypeText(column.nested);
}

/** Which column of the table a name in a file stands for. */
export class ColumnNames {
  readonly #declared: ReadonlyMap<string, ColumnDeclaration>;
  readonly #columnOfOlder = new Map<string, string>();

  constructor(declarations: readonly ColumnDeclaration[]) {
    this.#declared = new Map(declarations.map((declaration) => [declaration.name, declaration]));
    for (const { name, from } of declarations) for (const older of from) this.#columnOfOlder.set(older, name);
  }

  columnOf(nameInFile: string): string {
    return this.#columnOfOlder.get(nameInFile) ?? nameInFile;
  }

  typeOf(column: string): ColumnType | undefined {
    return this.#declared.get(column)?.type;
  }

  /** Of several names of one column in a file the one of the lowest rank counts: the column's own, then as declared. */
  rankOf(nameInFile: string): number {
    const column = this.#columnOfOlder.get(nameInFile);
    return column === undefined ? 0 : 1 + (this.#declared.get(column)?.from.indexOf(nameInFile) ?? 0);
  }
}

/** The file's top-level nodes by the column of the table that each is. Of two of one name the first counts. */
export function nodesByColumn(file: FileSchema, names: ColumnNames): ReadonlyMap<string, SchemaNode> {
  const nodes = new Map<string, SchemaNode>();
  for (const node of file.root.children) {
    const column = names.columnOf(node.name);
    const known = nodes.get(column);
    if (known === undefined || names.rankOf(node.name) < names.rankOf(known.name)) nodes.set(column, node);
  }
  return nodes;
}

interface Seen {
  readonly node: SchemaNode;
  readonly file: string;
}

/** One column while its files are united: the type so far, and each type seen with the first file that has it. */
class ColumnUnion {
  readonly #name: string;
  readonly #declared: ColumnType | undefined;
  readonly #seen = new Map<string, Seen>();
  /** The type that holds all leaves seen; undefined before the first, and where the column is nested. */
  #type: ColumnType | undefined;
  #nested: NestedType | undefined = undefined;
  #unsupported: string | undefined = undefined;
  #files = 0;
  #isOptional = false;

  constructor(name: string, declared: ColumnType | undefined) {
    this.#name = name;
    this.#declared = declared;
    this.#type = declared;
  }

  add(node: SchemaNode, file: string): void {
    this.#files += 1;
    this.#isOptional ||= node.repetition === 'OPTIONAL';
    // A column of nothing but nulls has a type by accident and agrees with every other.
    if (isUnknown(node) && this.#seen.size > 0) return;
    const described = nodeText(node);
    if (this.#seen.has(described)) return;
    const isFirst = [...this.#seen.values()].every((seen) => isUnknown(seen.node));
    if (this.#declared !== undefined) this.#checkCast(node, file, this.#declared);
    else if (isFirst) this.#begin(node);
    else this.#widen(node, file);
    this.#seen.set(described, { node, file });
  }

  column(ordinal: number, files: number): TableColumn {
    const name = this.#name;
    const isNullable = this.#isOptional || this.#files < files;
    const leaf = this.#type && leafOf(name, ordinal, this.#type, isNullable);
    const kinds = { leaf, nested: this.#nested, unsupported: this.#unsupported };
    return { ordinal, name, ...kinds, isNullable, partition: undefined };
  }

  /** What was seen before was nothing but nulls. */
  #begin(node: SchemaNode): void {
    this.#seen.clear();
    this.#type = scalarOf(node);
    if (this.#type !== undefined) return;
    this.#nested = nestedOf(node);
    if (this.#nested === undefined) this.#unsupported = nodeText(node);
  }

  #widen(node: SchemaNode, file: string): void {
    const type = scalarOf(node);
    const wider = type && this.#type && widerType(this.#type, type);
    const nested = nestedOf(node);
    const united = this.#nested && nested && uniteNested(this.#nested, nested);
    if (wider === undefined && united === undefined) throw this.#conflict(node, file);
    this.#type = wider;
    this.#nested = united;
  }

  #checkCast(node: SchemaNode, file: string, declared: ColumnType): void {
    if (node.kind === 'leaf' && scalarOf(node) !== undefined) {
      if (isUnknown(node)) return;
      if (castBetween(node.leaf, leafOf(this.#name, 0, declared, true)) !== 'none') return;
    }
    const types = [typeText(declared), nodeText(node)] as const;
    throw new ServiceError(
      'unavailable',
      'schema_conflict',
      `column ${JSON.stringify(this.#name)} is declared as ${types[0]} but is ${types[1]} in ${file}, which is never cast to it`,
      { column: this.#name, types, files: [file] },
    );
  }

  /** Types that cannot be joined have two among them that cannot, so that both files can be named. */
  #conflict(node: SchemaNode, file: string): ServiceError {
    const seen = [...this.#seen.values()];
    const other = seen.find((candidate) => !canJoin(candidate.node, node)) ?? seen[0] ?? { node, file };
    const types = [nodeText(other.node), nodeText(node)] as const;
    return new ServiceError(
      'unavailable',
      'schema_conflict',
      `column ${JSON.stringify(this.#name)} is ${types[0]} in ${other.file} but ${types[1]} in ${file}; a table's files must agree on a column's type, or its \`schema\` declare one that both can be cast to`,
      { column: this.#name, types, files: [other.file, file] },
    );
  }
}

function canJoin(a: SchemaNode, b: SchemaNode): boolean {
  const [one, other] = [scalarOf(a), scalarOf(b)];
  if (one !== undefined && other !== undefined) return widerType(one, other) !== undefined;
  const [nested, otherNested] = [nestedOf(a), nestedOf(b)];
  return nested !== undefined && otherNested !== undefined && uniteNested(nested, otherNested) !== undefined;
}

/** The type of a column that is no scalar; undefined where this version cannot read it. */
function nestedOf(node: SchemaNode): NestedType | undefined {
  if (scalarOf(node) !== undefined) return undefined;
  const shape = readableShape(node);
  return shape && nestedTypeOf(shape);
}

/** Undefined where the node has no shape that could be read. */
export function readableShape(node: SchemaNode): Shape | undefined {
  try {
    return shapeOf(node);
  } catch (thrown) {
    if (thrown instanceof ServiceError && thrown.kind === 'unsupported') return undefined;
    throw thrown;
  }
}

function isUnknown(node: SchemaNode): boolean {
  return node.kind === 'leaf' && node.repetition !== 'REPEATED' && node.leaf.logicalType.kind === 'UNKNOWN';
}

/** Whether a column has one value a row. */
export function isScalar(node: SchemaNode): node is SchemaLeaf {
  return node.kind === 'leaf' && node.repetition !== 'REPEATED';
}

/** The type of a column of one value a row; undefined for a nested one. */
function scalarOf(node: SchemaNode): ColumnType | undefined {
  return isScalar(node) ? node.leaf : undefined;
}

/** The table's own leaf: named as the table's column is, whatever the files call it. */
function leafOf(name: string, ordinal: number, type: ColumnType, isNullable: boolean): LeafColumn {
  const { physicalType, typeLength, logicalType } = type;
  return {
    ordinal,
    path: [name],
    name,
    physicalType,
    typeLength,
    logicalType,
    maxDefinitionLevel: isNullable ? 1 : 0,
    maxRepetitionLevel: 0,
  };
}

function nodeText(node: SchemaNode): string {
  const scalar = scalarOf(node);
  if (scalar !== undefined) return typeText(scalar);
  const nested = nestedOf(node);
  return nested === undefined ? 'a group with an empty group in it' : nestedTypeText(nested);
}
