/**
 * One consistent view of a table: the objects of one listing at their versions, and the schema they share.
 *
 * A request pins one snapshot and never sees another. Snapshots are immutable; files that two snapshots share are the
 * same `TableFile`, so their blocks stay in memory across a refresh.
 */

import { createHash } from 'node:crypto';
import { ServiceError } from '../core/index.ts';
import { keyClassOf, type LeafColumn } from '../parquet/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import type { TableDefinition } from './definition.ts';
import { type FileMapping, mapFile, schemaId } from './file-mapping.ts';
import type { JsonOptions } from './json-format.ts';
import { LatestOrder } from './latest-order.ts';
import { type Partition, TablePartitions } from './partition.ts';
import { Projection } from './projection.ts';
import { RowSpaces } from './row-spaces.ts';
import { type NamedFileSchema, readableLeaf, type TableColumn, type TableSchema, uniteSchemas } from './schema.ts';
import type { SnapshotFile } from './snapshot-file.ts';
import type { BrokenFile, TableFile } from './table-file.ts';
import { TableKey } from './table-key.ts';

/** Requests choose columns freely, so what is kept prepared for them must be bounded. */
const PROJECTIONS_MAX = 256;

let snapshotsMade = 0;

export class Snapshot {
  readonly definition: TableDefinition;
  /** A hash of the objects and their versions: equal ids, equal answers. */
  readonly id: string;
  readonly createdAtMs: number;
  /** Its number among all snapshots ever made, by which what was learned of one is told from what was of others. */
  readonly generation: number;
  readonly schema: TableSchema;
  readonly files: readonly SnapshotFile[];
  /** The table's own key, then the named ones. */
  readonly keys: readonly TableKey[];
  readonly primaryKey: TableKey;
  /** Which of several rows of a key is the latest, where the table answers that one. */
  readonly latest: LatestOrder | undefined;
  /** Rows of the readable files. */
  readonly rows: number;
  readonly #projections = new Map<string, Projection>();
  readonly #spaces: RowSpaces;

  /** Snapshots of one table share their `spaces`. */
  constructor(
    definition: TableDefinition,
    files: readonly (TableFile | BrokenFile)[],
    createdAtMs: number,
    spaces: RowSpaces = new RowSpaces(),
  ) {
    snapshotsMade += 1;
    this.generation = snapshotsMade;
    this.#spaces = spaces;
    this.definition = definition;
    this.createdAtMs = createdAtMs;
    this.confirmedAtMs = createdAtMs;
    const readable = files.filter(isReadable);
    const partitions = new TablePartitions(
      definition,
      files.map(({ object }) => object.key),
    );
    this.schema = uniteSchemas(distinctSchemas(readable), definition.schema, partitions.schema());
    const columnsOf = (names: readonly string[], role: string) =>
      readable.length === 0 ? [] : names.map((name) => keyColumn(this.schema, name, role));
    const named = definition.keys.map(({ name, columns }) => columnsOf(columns, `the key ${JSON.stringify(name)}`));
    const keys = [columnsOf(definition.key, 'the key'), ...named];
    const mappings = new Map<string, FileMapping>();
    this.files = files.map((file) => this.#snapshotFile(file, partitions.of(file.object.key), keys, mappings));
    this.keys = keys.map((columns, i) => {
      const isUnique = i === 0 && definition.unique;
      return new TableKey(definition.keys[i - 1]?.name, i, columns, this.files, isUnique);
    });
    this.primaryKey = this.keys[0] as TableKey;
    const { duplicates } = definition;
    this.latest =
      duplicates.kind === 'latest' ? new LatestOrder(this.files, columnsOf(duplicates.by, '`latest_by`')) : undefined;
    this.rows = readable.reduce((rows, file) => rows + file.index.rows, 0);
    this.id = snapshotId(
      definition,
      files.map((file) => file.object),
    );
  }

  /** How long ago a listing last confirmed this snapshot is counted from here. */
  confirmedAtMs: number;

  /** Of the table's own key. */
  get keyColumns(): readonly TableColumn[] {
    return this.primaryKey.columns;
  }

  get keyLeaves(): readonly LeafColumn[] {
    return this.primaryKey.leaves;
  }

  get columns(): readonly TableColumn[] {
    return this.schema.columns;
  }

  /** The key of that name. Throws `unknown_key_name`. */
  key(name: string): TableKey {
    const key = this.keys.find((candidate) => candidate.name === name);
    if (key === undefined) throw unknownKeyName(this.definition, name);
    return key;
  }

  column(name: string): TableColumn {
    const column = this.schema.byName.get(name);
    if (column === undefined) throw unknownColumn(name, this.schema);
    return column;
  }

  /** The prepared projection of these columns in this order, or of all. Throws `unknown_column` and `unsupported`. */
  projection(
    names: readonly string[] | undefined,
    json: JsonOptions = this.definition.json,
    key: TableKey = this.primaryKey,
  ): Projection {
    const cacheKey = JSON.stringify([
      names ?? null,
      json.int64,
      json.nonfinite,
      json.valueBytesMax ?? null,
      key.ordinal,
    ]);
    const known = this.#projections.get(cacheKey);
    if (known !== undefined) return known;
    const columns = this.#chosen(names);
    const made = new Projection(columns, json, key, this.#spaces.of(columns, key, this.latest?.columns ?? [], json));
    if (this.#projections.size >= PROJECTIONS_MAX) {
      const [oldest] = this.#projections.keys();
      if (oldest !== undefined) this.#projections.delete(oldest);
    }
    this.#projections.set(cacheKey, made);
    return made;
  }

  #chosen(names: readonly string[] | undefined): readonly TableColumn[] {
    return names === undefined ? this.schema.columns : [...new Set(names)].map((name) => this.column(name));
  }

  #snapshotFile(
    file: TableFile | BrokenFile,
    partition: Partition,
    keys: readonly (readonly TableColumn[])[],
    mappings: Map<string, FileMapping>,
  ): SnapshotFile {
    if (!isReadable(file)) return { kind: 'broken', object: file.object, error: file.error, partition };
    const { schema } = file.index;
    const id = schemaId(schema);
    const mapping = mappings.get(id) ?? mapFile(this.schema, schema, keys);
    mappings.set(id, mapping);
    return { kind: 'readable', file, mapping, leafPositions: mapping.leafPositions, partition };
  }
}

/** Each schema once, with the first file that has it: the files of a table are many and their schemas few. */
function distinctSchemas(files: readonly TableFile[]): readonly NamedFileSchema[] {
  const distinct = new Map<string, NamedFileSchema>();
  for (const { object, index } of files) {
    const id = schemaId(index.schema);
    if (!distinct.has(id)) distinct.set(id, { name: object.key, schema: index.schema });
  }
  return [...distinct.values()];
}

function isReadable(file: TableFile | BrokenFile): file is TableFile {
  return 'index' in file;
}

/** `role` is what the column is to be, for the error message. */
function keyColumn(schema: TableSchema, name: string, role: string): TableColumn {
  const column = schema.byName.get(name);
  if (column === undefined) {
    const known = schema.columns.map((candidate) => candidate.name).slice(0, 50);
    throw new ServiceError(
      'unavailable',
      'unknown_key_column',
      `there is no column ${JSON.stringify(name)} for ${role}; the columns are ${known.join(', ')}`,
      { column: name, known },
    );
  }
  if (column.nested !== undefined || keyClassOf(readableLeaf(column)) === 'unsearchable') {
    throw new ServiceError(
      'unsupported',
      'unsupported_key',
      `column ${JSON.stringify(name)} has a type that cannot be in ${role}; choose an integer, string, date, timestamp or decimal column`,
      { column: name },
    );
  }
  return column;
}

function unknownColumn(name: string, schema: TableSchema): ServiceError {
  const known = schema.columns.map((column) => column.name).slice(0, 50);
  return new ServiceError(
    'invalid',
    'unknown_column',
    `there is no column ${JSON.stringify(name)}; the columns are ${known.join(', ')}`,
    { column: name, known },
  );
}

function unknownKeyName({ name: table, keys }: TableDefinition, name: string): ServiceError {
  const known = keys.map((key) => key.name).slice(0, 50);
  const shown = JSON.stringify(name.slice(0, 100).toWellFormed());
  const message =
    known.length === 0
      ? `table ${table} has no named keys; give it some under \`keys\`, or ask by its own key at /v1/tables/${table}/rows/`
      : `table ${table} has no key of the name ${shown}; the named keys are ${known.join(', ')}`;
  return new ServiceError('notFound', 'unknown_key_name', message, { table, known });
}

function snapshotId(definition: TableDefinition, objects: readonly ObjectMeta[]): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([definition.name, definition.key, definition.schema, definition.partitions]));
  if (definition.duplicates.kind !== 'first') hash.update(JSON.stringify(definition.duplicates));
  for (const object of objects) hash.update(JSON.stringify([object.key, object.eTag, object.sizeBytes]));
  return hash.digest('hex').slice(0, 16);
}
