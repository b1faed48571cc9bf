/** `pointlake inspect`: what a file is made of, in the words of the format, and what a lookup in it would read. */

import { Command } from 'commander';
import { rangeLength, ServiceError } from '../core/index.ts';
import type { ColumnChunk, PageLocations } from '../parquet/index.ts';
import type { PageLoader } from '../shard/index.ts';
import type { ObjectStore, StoreProvider } from '../storage/index.ts';
import {
  Pins,
  positionsOf,
  type Snapshot,
  type TableColumn,
  type TableFile,
  type TableKey,
  typeName,
} from '../table/index.ts';
import { adviceFor } from './inspect-advice.ts';
import { buildIndex } from './inspect-index.ts';
import { inspectLookups } from './inspect-lookups.ts';
import { type ColumnReport, type FileReport, type InspectReport, type PagesReport, textOf } from './inspect-report.ts';
import { likelyKeys } from './likely-keys.ts';
import { type OneTable, withConfiguredTable, withOneTable, writeOut } from './one-table.ts';
import { asUsage, collectNames, UsageError } from './usage.ts';

const FILES_SHOWN_MAX = 20;
/** Chunks whose pages are looked at: where a file has no offset index each costs a walk over its page headers. */
const CHUNKS_LOOKED_AT_MAX = 2000;

interface InspectOptions {
  readonly key?: readonly string[];
  readonly config?: string;
  readonly table?: string;
  readonly by?: string;
  readonly withIndex?: boolean;
  readonly json?: boolean;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Show the layout of a file or folder as a lookup sees it.')
    .argument('[uri]', 'a path, glob, folder or s3:// URI; with --config the name of a table')
    .option('--key <names>', 'and what lookups by this column take, or by columns a,b', collectNames)
    .option('--config <path>', 'a pointlake.yaml, whose table is looked at as it is defined there, by its key')
    .option('--table <name>', 'which table of the configuration')
    .option('--by <name>', 'by a named key of that table')
    .option('--with-index', 'build the key index, which reads all of the key, and show what lookups cost with it')
    .option('--json', 'one JSON object instead of text')
    .addHelpText(
      'after',
      '\nExamples:\n  pointlake inspect data/users.parquet --key id\n  pointlake inspect --config pointlake.yaml --table users --by email --with-index',
    )
    .action((uri: string | undefined, options: InspectOptions) => runInspect(uri, options));
}

async function runInspect(uri: string | undefined, options: InspectOptions): Promise<void> {
  const report = await inspect(uri, options);
  await writeOut(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : textOf(report));
}

export function inspect(
  uri: string | undefined,
  { key, config, table = uri, by, withIndex = false }: Omit<InspectOptions, 'json'>,
): Promise<InspectReport> {
  const use = (opened: OneTable) => inspectTable(opened, by, withIndex);
  if (config === undefined) {
    if (by !== undefined) throw new UsageError('--by needs --config: named keys are those of a configuration');
    if (uri === undefined) throw new UsageError('name a path or URI, or --config PATH and --table NAME');
    if (withIndex && key === undefined) throw new UsageError('--with-index needs --key: which column to index');
    return withOneTable(uri, key ?? [], use, { wrapStores: asIfFar });
  }
  if (key !== undefined) {
    throw new UsageError('a configuration says itself what the keys of its tables are; use --by NAME for a named one');
  }
  if (table === undefined || (uri !== undefined && uri !== table)) {
    throw new UsageError('say which table of the configuration: --table NAME');
  }
  return withConfiguredTable(config, table, use, { wrapStores: asIfFar });
}

async function inspectTable(
  { node, snapshot, indexModes, indexRoom, limits }: OneTable,
  name: string | undefined,
  withIndex: boolean,
): Promise<InspectReport> {
  const { loader } = node;
  const by = name === undefined ? snapshot.primaryKey : asUsage(() => snapshot.key(name));
  // What the walk learned stays known until all is told, however little memory there is.
  const held = new Pins();
  const walk = () => findPages(loader, snapshot, held);
  const { source } = snapshot.definition;
  if (by.columns.length === 0) {
    await walk();
    const report = inspectSnapshot(source, snapshot, by);
    held.clear();
    return report;
  }
  const mode = indexModes[by.ordinal] ?? 'auto';
  const build = withIndex ? () => buildIndex(node, snapshot, by) : undefined;
  const figures = await inspectLookups({ loader, snapshot, by, mode, room: indexRoom }, walk, build);
  const lookups = { ...figures, advice: adviceFor(snapshot, by, figures, limits) };
  const report = { ...inspectSnapshot(source, snapshot, by), lookups };
  held.clear();
  return report;
}

/** So that files are opened and read as those of S3 are. */
function asIfFar(stores: StoreProvider): StoreProvider {
  const far = new Map<ObjectStore, ObjectStore>();
  return {
    storeFor(source) {
      const store = stores.storeFor(source);
      const known = far.get(store) ?? {
        kind: store.kind,
        cheapReads: false,
        head: (key, options) => store.head(key, options),
        list: (prefix, options) => store.list(prefix, options),
        getRange: (object, range, options) => store.getRange(object, range, options),
        close: () => store.close(),
      };
      far.set(store, known);
      return known;
    },
  };
}

/** Where the offset index does not say, page headers tell; a chunk that is broken is left out here and shown by `scan`. */
async function findPages(loader: PageLoader, snapshot: Snapshot, held: Pins): Promise<void> {
  const signal = new AbortController().signal;
  let left = CHUNKS_LOOKED_AT_MAX;
  for (const file of snapshot.files) {
    if (file.kind !== 'readable') continue;
    for (let rowGroup = 0; rowGroup < file.file.index.rowGroups; rowGroup++) {
      for (const { ordinal } of file.file.index.schema.leaves) {
        left -= 1;
        if (left < 0) return;
        const chunk = file.file.chunk(rowGroup, ordinal);
        await loader.layout(file.file, chunk, signal).catch(unlessBroken);
        chunk.holdLearned(held);
      }
    }
  }
}

function unlessBroken(thrown: unknown): void {
  if (!(thrown instanceof ServiceError) || !['corrupt', 'unsupported'].includes(thrown.kind)) throw thrown;
}

function inspectSnapshot(uri: string, snapshot: Snapshot, by: TableKey): InspectReport {
  const files = snapshot.files.map((file): FileReport => {
    const object = file.kind === 'readable' ? file.file.object : file.object;
    if (file.kind === 'broken') return { key: object.key, bytes: object.sizeBytes, error: file.error.message };
    const { rows, rowGroups, createdBy, byteSize, keyValueNames } = file.file.index;
    const sizes = Array.from({ length: rowGroups }, (_, rowGroup) => file.file.index.rowGroupRows(rowGroup));
    return {
      key: object.key,
      bytes: object.sizeBytes,
      rows,
      rowGroups,
      createdBy: createdBy ?? 'unknown',
      rowsOfRowGroups: [Math.min(...sizes), Math.max(...sizes)],
      sortedBy: sortedBy(file.file),
      keyValueNames,
      metadataBytes: byteSize,
    };
  });
  return {
    source: uri,
    rows: snapshot.rows,
    bytes: files.reduce((bytes, file) => bytes + file.bytes, 0),
    files: files.slice(0, FILES_SHOWN_MAX),
    filesLeftOut: Math.max(0, files.length - FILES_SHOWN_MAX),
    columns: snapshot.columns.map((column) => inspectColumn(snapshot, by, column)),
    likelyKeys: likelyKeys(snapshot),
  };
}

function inspectColumn(snapshot: Snapshot, by: TableKey, column: TableColumn): ColumnReport {
  const chunks: InspectedChunk[] = [];
  for (const file of snapshot.files) {
    if (file.kind !== 'readable') continue;
    for (const position of positionsOf(file.mapping, column)) chunks.push(...chunksOf(file.file, position));
  }
  const compressedBytes = chunks.reduce((bytes, { chunk }) => bytes + rangeLength(chunk.range), 0);
  const uncompressedBytes = chunks.reduce((bytes, { chunk }) => bytes + chunk.uncompressedBytes, 0);
  const count = (has: (chunk: ColumnChunk) => boolean) => chunks.filter(({ chunk }) => has(chunk)).length;
  return {
    name: column.name,
    type: typeName(column),
    isKey: by.columns.some((key) => key.name === column.name),
    ...(column.partition === undefined ? {} : { isPartition: true }),
    codecs: [...new Set(chunks.map(({ chunk }) => chunk.codec))],
    encodings: [...new Set(chunks.flatMap(({ chunk }) => chunk.encodings))],
    compressedBytes,
    uncompressedBytes,
    nulls: chunks.reduce((nulls, { chunk }) => nulls + (chunk.nullCount ?? 0), 0),
    pages: pagesOf(
      chunks.flatMap(({ locations }) => locations ?? []),
      uncompressedBytes / Math.max(1, compressedBytes),
    ),
    chunks: chunks.length,
    withDictionary: count((chunk) => chunk.dictionaryPageOffset !== undefined),
    withOffsetIndex: count((chunk) => chunk.offsetIndexRange !== undefined),
    withColumnIndex: count((chunk) => chunk.columnIndexRange !== undefined),
    withBloomFilter: count((chunk) => chunk.bloomFilterRange !== undefined),
    withBounds: chunks.filter(({ bounded }) => bounded).length,
  };
}

interface InspectedChunk {
  readonly chunk: ColumnChunk;
  readonly bounded: boolean;
  readonly locations: PageLocations | undefined;
}

/** `ratio`: of uncompressed to compressed bytes. */
function pagesOf(chunks: readonly PageLocations[], ratio: number): PagesReport | undefined {
  const rows: number[] = [];
  const bytes: number[] = [];
  for (const locations of chunks) {
    for (let page = 0; page < locations.pages; page++) {
      rows.push(locations.rowEnd(page) - locations.firstRow(page));
      bytes.push(rangeLength(locations.range(page)));
    }
  }
  rows.sort((a, b) => a - b);
  bytes.sort((a, b) => a - b);
  const count = rows.length;
  const [rowsMedian, bytesMedian, bytesMax] = [rows[count >> 1], bytes[count >> 1], bytes.at(-1)];
  if (rowsMedian === undefined || bytesMedian === undefined || bytesMax === undefined) return undefined;
  return { count, rowsMedian, bytesMedian, decodedBytesMedian: Math.round(bytesMedian * ratio), bytesMax };
}

function sortedBy({ index }: TableFile): readonly string[] {
  if (index.rowGroups === 0) return [];
  return index.sortingColumns(0).map(({ column, descending }) => {
    const name = index.schema.leaves[column]?.name ?? `column ${column}`;
    return descending ? `${name} desc` : name;
  });
}

function chunksOf(file: TableFile, position: number): readonly InspectedChunk[] {
  return Array.from({ length: file.index.rowGroups }, (_, rowGroup) => ({
    chunk: file.index.chunk(rowGroup, position),
    bounded: file.index.chunkBounds(rowGroup, position)?.min !== undefined,
    locations: file.chunk(rowGroup, position).layout?.locations,
  }));
}
