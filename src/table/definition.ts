/** What the operator says of a table; everything else is read from its files. */

import { ServiceError } from '../core/index.ts';
import type { ColumnType } from './column-type.ts';
import type { JsonOptions } from './json-format.ts';
import type { PreloadRequest } from './preload-request.ts';

/** What the operator says of a column, because its files do not agree by themselves. */
export interface ColumnDeclaration {
  readonly name: string;
  /** The type that all files' values are cast to; undefined: the one that holds them all. */
  readonly type: ColumnType | undefined;
  /** Older names, the first that a file has counting where it lacks the name itself. */
  readonly from: readonly string[];
}

/** A column whose values are in the names of folders, and its type there. */
export interface PartitionDeclaration {
  readonly name: string;
  readonly type: ColumnType;
}

/** Which value of a partition column is served: the greatest, or the one of this text. */
export type PartitionChoice =
  | { readonly kind: 'latest'; readonly name: string }
  | { readonly kind: 'value'; readonly name: string; readonly text: string };

/** `auto` builds an index of the keys where the files are not clustered by them. */
export type IndexMode = 'auto' | 'none' | 'hash';

/** A further key, by which rows are found under `/by/{name}/`. */
export interface NamedKey {
  readonly name: string;
  readonly columns: readonly string[];
  /** Whether an index of it is built. */
  readonly index: IndexMode;
}

/** Which of several rows of one key is answered. */
export type Duplicates =
  | { readonly kind: 'first' }
  /** The one of the greatest values in these columns, nulls lowest; of equal ones the last in the order of the files. */
  | { readonly kind: 'latest'; readonly by: readonly string[] }
  | { readonly kind: 'error' };

/** Columns that are asked for by one name. */
export interface NamedProjection {
  readonly name: string;
  readonly columns: readonly string[];
}

export interface TableDefinition {
  readonly name: string;
  /** URI of a file, folder, prefix or glob. */
  readonly source: string;
  /** Names of the key columns, in order. */
  readonly key: readonly string[];
  /** Further keys; no two share a name. */
  readonly keys: readonly NamedKey[];
  readonly duplicates: Duplicates;
  readonly projections: readonly NamedProjection[];
  /** What is answered where no columns are asked for; undefined: all. */
  readonly defaultColumns: readonly string[] | undefined;
  /** No two of them share a name, older ones included. */
  readonly schema: readonly ColumnDeclaration[];
  /** Partition columns whose type is not string. */
  readonly partitions: readonly PartitionDeclaration[];
  /** What is left out of the source, column by column; empty: nothing. */
  readonly only: readonly PartitionChoice[];
  /** Of those folders that `only` chooses from, the ones without a `_SUCCESS` in them do not count. */
  readonly requireSuccess: boolean;
  /** At most one row has a given key, so a search stops at the first match. */
  readonly unique: boolean;
  /** A source with nothing in it is an empty table, not an error. */
  readonly allowEmpty: boolean;
  /** The server is ready only when every required table has a snapshot. */
  readonly required: boolean;
  /** Set where the source lies inside an Iceberg, Delta or Hudi table and is to be read as plain files all the same. */
  readonly plainParquet: boolean;
  /** The source never changes, so that a web server need not name its version. */
  readonly immutable: boolean;
  readonly json: JsonOptions;
  /** Whether an index of the keys is built. */
  readonly index: IndexMode;
  /** What is read before anyone asks for it. */
  readonly preload: PreloadRequest | undefined;
  /** Bytes that its blocks may take in memory; undefined: as many as there are. */
  readonly memoryQuotaBytes: number | undefined;
  /** Milliseconds between refreshes; undefined: as all tables. */
  readonly refreshMs: number | undefined;
  /** The share of its rows that a partition may lose at once; more is waited for, and of the whole table it is held. */
  readonly maxShrink: number;
  /** Milliseconds for which a partition that lost more keeps its old files. */
  readonly settleMs: number;
}

export const MAX_SHRINK_DEFAULT: number = 0.2;
export const SETTLE_MS_DEFAULT: number = 30 * 60_000;

/** A table's name stands in URLs as it is. */
export const TABLE_NAME_FORM: RegExp = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** A table with nothing said but its key, which is empty for the commands that look nothing up. Throws `invalid`. */
export function tableDefinition(name: string, source: string, key: readonly string[]): TableDefinition {
  if (!TABLE_NAME_FORM.test(name)) throw bad(`${JSON.stringify(name)} is no table name; use letters, digits, _ . -`);
  if (key.includes('')) throw bad('a key column has a name; write a,b with no empty name between the commas');
  return {
    name,
    source,
    key,
    keys: [],
    duplicates: { kind: 'first' },
    projections: [],
    defaultColumns: undefined,
    schema: [],
    partitions: [],
    only: [],
    requireSuccess: false,
    unique: false,
    allowEmpty: false,
    required: true,
    plainParquet: false,
    immutable: false,
    json: { int64: 'number', nonfinite: 'null' },
    preload: undefined,
    memoryQuotaBytes: undefined,
    refreshMs: undefined,
    index: 'none',
    maxShrink: MAX_SHRINK_DEFAULT,
    settleMs: SETTLE_MS_DEFAULT,
  };
}

function bad(message: string): ServiceError {
  return new ServiceError('invalid', 'bad_config', message);
}
