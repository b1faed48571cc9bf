/**
 * The schema of one Parquet file: the tree as the footer gives it, and its leaves, which are what is stored.
 *
 * Names are the format's own (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md).
 */

export type PhysicalType =
  | 'BOOLEAN'
  | 'INT32'
  | 'INT64'
  | 'INT96'
  | 'FLOAT'
  | 'DOUBLE'
  | 'BYTE_ARRAY'
  | 'FIXED_LEN_BYTE_ARRAY';

export type TimeUnit = 'MILLIS' | 'MICROS' | 'NANOS';

/**
 * LogicalType, or the ConvertedType of older files brought to the same form; `NONE` where neither is given.
 * `UNKNOWN` is the format's own name for a column that holds nothing but nulls. `UNRECOGNISED` is an annotation this
 * version does not know, or one that the physical type cannot carry: values read as the plain physical type, and since
 * nobody can say how its bounds are ordered, they are not used.
 */
export type LogicalType =
  | { readonly kind: 'NONE' | 'UNRECOGNISED' }
  | { readonly kind: 'STRING' | 'ENUM' | 'JSON' | 'BSON' | 'UUID' | 'DATE' | 'INTERVAL' | 'FLOAT16' | 'UNKNOWN' }
  | { readonly kind: 'INTEGER'; readonly bitWidth: 8 | 16 | 32 | 64; readonly isSigned: boolean }
  | { readonly kind: 'DECIMAL'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'TIME' | 'TIMESTAMP'; readonly unit: TimeUnit; readonly isAdjustedToUTC: boolean }
  | { readonly kind: 'GEOMETRY' | 'GEOGRAPHY' | 'VARIANT' };

export type Repetition = 'REQUIRED' | 'OPTIONAL' | 'REPEATED';

/** One stored column. Plain data, so that it can cross to a decode thread. */
export interface LeafColumn {
  /** Position among the leaves, which is the position of its chunk in every row group. */
  readonly ordinal: number;
  readonly path: readonly string[];
  /** The path joined with dots. */
  readonly name: string;
  readonly physicalType: PhysicalType;
  /** Bytes of a FIXED_LEN_BYTE_ARRAY value, 0 for other types. */
  readonly typeLength: number;
  readonly logicalType: LogicalType;
  readonly maxDefinitionLevel: number;
  readonly maxRepetitionLevel: number;
}

export interface SchemaLeaf {
  readonly kind: 'leaf';
  readonly name: string;
  readonly repetition: Repetition;
  readonly fieldId: number | undefined;
  readonly leaf: LeafColumn;
}

export interface SchemaGroup {
  readonly kind: 'group';
  readonly name: string;
  readonly repetition: Repetition;
  readonly fieldId: number | undefined;
  /** LIST and MAP annotations, modern or converted; `NONE` for a plain struct; VARIANT. */
  readonly annotation: 'NONE' | 'LIST' | 'MAP' | 'VARIANT';
  readonly children: readonly SchemaNode[];
}

export type SchemaNode = SchemaLeaf | SchemaGroup;

export interface FileSchema {
  readonly root: SchemaGroup;
  readonly leaves: readonly LeafColumn[];
}
