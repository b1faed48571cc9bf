/** The Parquet room: bytes in, values or `needs these ranges` out. It does no I/O. */

export { compareKeys, isUnsigned, type KeyClass, type KeyValue, keyClassOf } from './compare.ts';
export type { BoundaryOrder, ColumnOrder, CompressionCodec, Encoding, PageType } from './file-format.ts';
export { decodePageHeader, MAX_PAGE_HEADER_BYTES, type PageHeader } from './page-header.ts';
export type {
  FileSchema,
  LeafColumn,
  LogicalType,
  PhysicalType,
  Repetition,
  SchemaGroup,
  SchemaLeaf,
  SchemaNode,
  TimeUnit,
} from './schema.ts';
