/**
 * Columns that are not in the files but in the folders they lie in: `dt=2026-01-01/hour=07/part-0.parquet`.
 *
 * Folders count below the table's source: below its prefix, or the start of its glob that has no wildcard. Every file of
 * a folder shares one `Partition`, and every folder of a value the value. A file without a folder of that name has null.
 */

import { ServiceError } from '../core/index.ts';
import type { KeyValue, LeafColumn } from '../parquet/index.ts';
import { parseSourceUri } from '../storage/index.ts';
import { type ColumnType, typeText } from './column-type.ts';
import type { PartitionDeclaration, TableDefinition } from './definition.ts';
import { valueOfText } from './key.ts';
import { KeyValueReader } from './key-value-reader.ts';
import { type PartitionFolder, partitionFolders } from './partition-folders.ts';
import type { SchemaPartition, TableColumn } from './schema.ts';

/** Each is a column of every row: more are surely no partitions. */
const PARTITION_COLUMNS_MAX = 64;

/** By partition column; undefined for null. */
export type Partition = readonly (PartitionValue | undefined)[];

/** The value that every row of a folder has. */
export class PartitionValue extends KeyValueReader {
  readonly key: KeyValue;

  constructor(key: KeyValue) {
    super();
    this.key = key;
  }

  override isNull(): boolean {
    return false;
  }

  protected override keyAt(): KeyValue {
    return this.key;
  }
}

/** The folder's value of a column; undefined where that is null, and for columns that lie in the file. */
export function folderValue(
  { partition }: { readonly partition: Partition },
  column: TableColumn | undefined,
): PartitionValue | undefined {
  return column?.partition === undefined ? undefined : partition[column.partition];
}

export interface PartitionColumn extends PartitionDeclaration {
  /** The column by itself, wherever it stands in its table. */
  readonly leaf: LeafColumn;
}

type PartitionedDefinition = Pick<TableDefinition, 'source' | 'partitions' | 'schema'>;

/** The partition columns of some objects, and what each object has in them. */
export class TablePartitions {
  readonly columns: readonly PartitionColumn[];
  readonly #root: string;
  readonly #folders = new Map<string, readonly PartitionFolder[]>();
  readonly #partitions = new Map<string, Partition>();
  readonly #values: readonly Map<string, PartitionValue | undefined>[];

  /** Throws `bad_partition_value` and `too_many_partition_columns`. `keys` are those of the objects. */
  constructor(definition: PartitionedDefinition, keys: Iterable<string>) {
    this.#root = rootOf(definition.source);
    const columns = new Map(definition.partitions.map((declared) => [declared.name, partitionColumn(declared)]));
    for (const key of keys) {
      for (const { name } of this.foldersOf(key)) {
        if (!columns.has(name)) columns.set(name, partitionColumn({ name, type: declaredType(definition, name) }));
        if (columns.size > PARTITION_COLUMNS_MAX) throw tooMany(definition.source, key);
      }
    }
    this.columns = [...columns.values()];
    this.#values = this.columns.map(() => new Map());
    for (const path of this.#folders.keys()) this.#partitions.set(path, this.#partitionOf(path));
  }

  /** As columns of the table. */
  schema(): readonly SchemaPartition[] {
    const partitions = [...this.#partitions.values()];
    return this.columns.map(({ name, type }, i) => {
      return { name, type, isNullable: partitions.some((partition) => partition[i] === undefined) };
    });
  }

  /** Of an object among those that the partitions were made from. */
  of(key: string): Partition {
    return this.#partitions.get(this.#pathOf(key)) ?? [];
  }

  foldersOf(key: string): readonly PartitionFolder[] {
    const path = this.#pathOf(key);
    let folders = this.#folders.get(path);
    if (folders === undefined) {
      folders = partitionFolders(path);
      this.#folders.set(path, folders);
    }
    return folders;
  }

  /** The whole key of a folder that an object lies in. */
  folderKey(key: string, { path }: PartitionFolder): string {
    return key.slice(0, key.lastIndexOf('/') + 1 - this.#pathOf(key).length) + path;
  }

  /** Whether any object lies in a folder of that name. */
  hasFolder(name: string): boolean {
    return this.#folders.values().some((folders) => folders.some((folder) => folder.name === name));
  }

  #pathOf(key: string): string {
    return key.startsWith(this.#root) ? key.slice(this.#root.length, key.lastIndexOf('/') + 1) : '';
  }

  #partitionOf(path: string): Partition {
    const folders = this.#folders.get(path) ?? [];
    return this.columns.map((column, i) => {
      const folder = folders.find(({ name }) => name === column.name);
      return folder?.text === undefined ? undefined : this.#value(i, column, folder.text, folder.path);
    });
  }

  #value(column: number, declared: PartitionColumn, text: string, path: string): PartitionValue | undefined {
    const known = this.#values[column];
    if (known?.has(text)) return known.get(text);
    const value = partitionValueOf(declared, text, path);
    known?.set(text, value);
    return value;
  }
}

/** Undefined for null: an empty text is one for every type but strings. */
function partitionValueOf(column: PartitionColumn, text: string, path: string): PartitionValue | undefined {
  const key = partitionKey(column, text);
  if (key !== undefined) return new PartitionValue(key);
  if (text === '') return undefined;
  const type = typeText(column.type);
  throw new ServiceError(
    'unavailable',
    'bad_partition_value',
    `folder ${path} has ${JSON.stringify(text)} for ${column.name}, which is no ${type}; declare another type in \`partitions\`, or move the folder away`,
    { folder: path, value: text, type, column: column.name },
  );
}

/** The value of a folder's text, which may be padded as writers pad it: `07`, `2026-1-2`; undefined where it is none. */
export function partitionKey({ type, leaf }: PartitionColumn, text: string): KeyValue | undefined {
  if (text === '' && type.logicalType.kind !== 'STRING') return undefined;
  return valueOfText(leaf, plainText(type, text));
}

function plainText({ physicalType, logicalType }: ColumnType, text: string): string {
  switch (logicalType.kind) {
    case 'DATE':
      return text.replace(/-([0-9])(?![0-9])/g, '-0$1');
    case 'TIMESTAMP':
      return text.replace(' ', 'T');
    case 'INTEGER':
    case 'DECIMAL':
      return withoutPadding(text);
    case 'NONE':
      if (physicalType === 'BOOLEAN') return text.toLowerCase();
      return physicalType.endsWith('BYTE_ARRAY') ? text : withoutPadding(text);
    default:
      return text;
  }
}

function withoutPadding(text: string): string {
  return text.replace(/^\+?(-?)0+(?=[0-9])/, '$1').replace(/^\+/, '');
}

function partitionColumn({ name, type }: PartitionDeclaration): PartitionColumn {
  const { physicalType, typeLength, logicalType } = type;
  const stored = { physicalType, typeLength, logicalType, maxDefinitionLevel: 1, maxRepetitionLevel: 0 };
  return { name, type, leaf: { ...stored, ordinal: 0, path: [name], name } };
}

const STRING: ColumnType = { physicalType: 'BYTE_ARRAY', typeLength: 0, logicalType: { kind: 'STRING' } };

/** Of a column that `partitions` does not name. */
function declaredType({ schema }: PartitionedDefinition, name: string): ColumnType {
  return schema.find((column) => column.name === name)?.type ?? STRING;
}

/** Where the partition folders begin. A single object has none. */
function rootOf(uri: string): string {
  const source = parseSourceUri(uri);
  return source.kind === 'object' ? `${source.key}/` : source.prefix;
}

function tooMany(source: string, key: string): ServiceError {
  const message = `the folders of ${source} have more than ${PARTITION_COLUMNS_MAX} names before a \`=\` (${key} has one of them); name a source whose folders are partitions`;
  return new ServiceError('unavailable', 'too_many_partition_columns', message, { source });
}
