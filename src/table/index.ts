/** The table room: what a table is, what it holds now, and where the rows of a key are. */

export type { BlockAt } from './block-at.ts';
export { BlockPlaces } from './block-places.ts';
export { CastValues } from './cast-values.ts';
export { Catalog } from './catalog.ts';
export { ChunkBlocks, type LoadedPage, Pins } from './chunk-blocks.ts';
export { COLUMN_TYPE_NAMES, type ColumnType, parseColumnType } from './column-type.ts';
export {
  type ColumnDeclaration,
  type Duplicates,
  type IndexMode,
  MAX_SHRINK_DEFAULT,
  type NamedKey,
  type NamedProjection,
  type PartitionChoice,
  SETTLE_MS_DEFAULT,
  TABLE_NAME_FORM,
  type TableDefinition,
  tableDefinition,
} from './definition.ts';
export { castFaultIn, type FileMapping, NESTED, positionsOf, tableValueAt } from './file-mapping.ts';
export { guessedRow } from './guessed-row.ts';
export {
  type JsonOptions,
  type JsonValue,
  type JsonWriter,
  jsonText,
  jsonWriter,
  type NumberForm,
  type RawValue,
  type ValueReader,
  type ValueWriter,
  valueWriter,
} from './json-format.ts';
export {
  canonicalKey,
  ExactNumber,
  type Key,
  keyJson,
  keyPath,
  keyText,
  parseExactJson,
  parseKeyJson,
  parseKeyText,
} from './key.ts';
export { type KeyDepth, keyDepth } from './key-depth.ts';
export { type CountedRuns, formOf, indexedFileId, KeyIndex, type KeyIndexView, ROWS_A_KEY_MAX } from './key-index.ts';
export { chooseIndex, type IndexChoice } from './key-index-choice.ts';
export { KeyMemory } from './key-memory.ts';
export {
  type CandidateRows,
  KeySearch,
  type Need,
  type SearchStep,
} from './key-search.ts';
export type { LatestValues } from './latest-order.ts';
export { encodeLayout, layoutOver } from './layout-record.ts';
export type { ChunkLayout } from './learned-chunk.ts';
export { type ProjectionState, projectionNamed, projectionStates } from './named-projections.ts';
export type { NestedAssembly } from './nested-json.ts';
export { NestedWriter } from './nested-writer.ts';
export { readBloomFilter, readLayout, readPageBounds } from './open-file.ts';
export { folderValue } from './partition.ts';
export { partitionFolders } from './partition-folders.ts';
export { fieldsOf, type Predicate, type Tri } from './predicate.ts';
export {
  type FilePredicate,
  filePredicate,
  judge,
  judgeFolder,
  type LeafTest,
  leafTests,
  markRows,
  narrowed,
} from './predicate-file.ts';
export { parsePredicate, parsePredicateText } from './predicate-parse.ts';
export { type PreloadRequest, parsePreload } from './preload-request.ts';
export type { Prepare } from './preparing.ts';
export { type BlockWriter, Projection } from './projection.ts';
export { keepFresh, type RefreshEvents } from './refresher.ts';
export { RowSpaces } from './row-spaces.ts';
export { ASK, NULL, NUMBER, type RowValues, valuesOfRow } from './row-values.ts';
export { readableLeaf, type TableColumn, type TableSchema, typeName } from './schema.ts';
export {
  type CostQuestion,
  type CountedPages,
  coldSearchCost,
  type SearchCost,
  type StorageCost,
  searchCost,
} from './search-cost.ts';
export { readScope, type SearchScope, searchScope, withinFile } from './search-scope.ts';
export { SearchTrace } from './search-trace.ts';
export { type HeldTable, type SettlingPartition, snapshotChanging } from './settling.ts';
export { Snapshot } from './snapshot.ts';
export type { SnapshotChange } from './snapshot-change.ts';
export type { SnapshotBrokenFile, SnapshotFile, SnapshotReadableFile } from './snapshot-file.ts';
export type { StoredFile, StoredPage } from './stored-file.ts';
export { type RunPlace, StoredRuns } from './stored-runs.ts';
export { type DiskPlace, type RefreshOptions, type RefreshOutcome, Table, type TableHooks } from './table.ts';
export { type BrokenFile, type FileAudience, TableFile } from './table-file.ts';
export { type IndexProgress, TableKey } from './table-key.ts';
export { TableSource } from './table-source.ts';
export { valueTooLarge } from './value-size.ts';
