/** The Parquet room: bytes in, values or `needs these ranges` out. It does no I/O. */

export { Block, type BlockOrder, type NestedLevels } from './block.ts';
export { BLOCK_HEADER_BYTES, type BlockKind } from './block-layout.ts';
export {
  TRAIT_ASCII,
  TRAIT_BYTES,
  TRAIT_CODES,
  TRAIT_FIXED,
  TRAIT_KIND,
  TRAIT_NULLS,
  traitsOf,
  traitsOfPlain,
  valueAt,
  widthOfTraits,
} from './block-traits.ts';
export type { DecodedPage } from './block-writer.ts';
export { type BloomHash, setBloomBits } from './bloom-bits.ts';
export { BloomFilter, type DecodedBloomFilter, decodeBloomFilter } from './bloom-filter.ts';
export { type Bounds, boundFormOf, canContain } from './bounds.ts';
export { loadDecompressors } from './codecs.ts';
export { compareKeys, isUnsigned, type KeyClass, type KeyValue, keyClassOf } from './compare.ts';
export type { BoundaryOrder, ColumnOrder, CompressionCodec, Encoding, PageType } from './file-format.ts';
export { type ColumnChunk, FileIndex, type FileIndexOptions } from './file-index.ts';
export { type DecodedFooter, decodeFooter } from './footer.ts';
export type { SortingColumn } from './footer-scan.ts';
export { keyValueAt } from './key-value.ts';
export {
  type ListShape,
  type MapShape,
  type Shape,
  type StructShape,
  shapeOf,
  type ValueShape,
  type VariantContent,
  type VariantShape,
  type VariantTyped,
} from './nested-shape.ts';
export { blockCost, decodeBlockOf, decodeBlockOfPrefix } from './page-block.ts';
export { decodeCost, decodeDataPage, decodeDictionaryPage, type PageContext } from './page-decode.ts';
export { decodePageHeader, type PageHeader } from './page-header.ts';
export { decodeColumnIndex, PageBounds } from './page-index.ts';
export { decodeOffsetIndex, PageLocations } from './page-locations.ts';
export { prefixBytes, type UnreadPage } from './page-prefix.ts';
export { PageWalker, type WalkStep } from './page-walker.ts';
export { formOf, type RowOfBlock, rowOfBlock, rowOfDictionary } from './row-block.ts';
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
export { compareRow, findRow } from './search.ts';
export { int64AsNumber, int64Row } from './searched-values.ts';
export { ThriftReader } from './thrift.ts';
export { valuelessBlock } from './valueless-block.ts';
export { xxhash64 } from './xxhash64.ts';
