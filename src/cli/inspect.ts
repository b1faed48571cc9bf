/** `pointlake inspect`: what a file is made of, in the words of the format, and what a lookup in it would read. */

import { Command } from 'commander';
import { formatBytes } from '../core/index.ts';
import type { ColumnChunk } from '../parquet/index.ts';
import { positionsOf, type Snapshot, type TableColumn, type TableFile, typeName } from '../table/index.ts';
import { likelyKeys } from './likely-keys.ts';
import { withOneTable, writeOut } from './one-table.ts';
import { collectNames } from './usage.ts';

const FILES_SHOWN_MAX = 20;

interface InspectOptions {
  readonly key?: readonly string[];
  readonly json?: boolean;
}

interface InspectReport {
  readonly source: string;
  readonly rows: number;
  readonly bytes: number;
  readonly files: readonly FileReport[];
  readonly filesLeftOut: number;
  readonly columns: readonly ColumnReport[];
  readonly likelyKeys: readonly { readonly name: string; readonly reason: string }[];
}

interface FileReport {
  readonly key: string;
  readonly bytes: number;
  readonly rows?: number;
  readonly rowGroups?: number;
  readonly createdBy?: string;
  /** Bytes of the compact footer in memory. */
  readonly metadataBytes?: number;
  readonly error?: string;
}

interface ColumnReport {
  readonly name: string;
  readonly type: string;
  readonly isKey: boolean;
  readonly codecs: readonly string[];
  readonly compressedBytes: number;
  /** Chunks of all row groups, and how many of them have each kind of index. */
  readonly chunks: number;
  readonly withDictionary: number;
  readonly withOffsetIndex: number;
  readonly withColumnIndex: number;
  readonly withBloomFilter: number;
  readonly withBounds: number;
}

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Show the layout of a file or folder as a lookup sees it.')
    .argument('<uri>', 'a path, glob, folder or s3:// URI')
    .option('--key <names>', 'the key column, or columns as a,b', collectNames)
    .option('--json', 'one JSON object instead of text')
    .addHelpText('after', '\nExample:\n  pointlake inspect data/users.parquet --key id')
    .action((uri: string, options: InspectOptions) => runInspect(uri, options));
}

function runInspect(uri: string, options: InspectOptions): Promise<void> {
  return withOneTable(uri, options.key ?? [], async ({ snapshot }) => {
    const report = inspectSnapshot(uri, snapshot);
    await writeOut(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : textOf(report));
  });
}

function inspectSnapshot(uri: string, snapshot: Snapshot): InspectReport {
  const files = snapshot.files.map((file): FileReport => {
    const object = file.kind === 'readable' ? file.file.object : file.object;
    if (file.kind === 'broken') return { key: object.key, bytes: object.sizeBytes, error: file.error.message };
    const { rows, rowGroups, createdBy, byteSize } = file.file.index;
    return {
      key: object.key,
      bytes: object.sizeBytes,
      rows,
      rowGroups,
      createdBy: createdBy ?? 'unknown',
      metadataBytes: byteSize,
    };
  });
  return {
    source: uri,
    rows: snapshot.rows,
    bytes: files.reduce((bytes, file) => bytes + file.bytes, 0),
    files: files.slice(0, FILES_SHOWN_MAX),
    filesLeftOut: Math.max(0, files.length - FILES_SHOWN_MAX),
    columns: snapshot.columns.map((column) => inspectColumn(snapshot, column)),
    likelyKeys: likelyKeys(snapshot),
  };
}

function inspectColumn(snapshot: Snapshot, column: TableColumn): ColumnReport {
  const chunks: { readonly chunk: ColumnChunk; readonly bounded: boolean }[] = [];
  for (const file of snapshot.files) {
    if (file.kind !== 'readable') continue;
    for (const position of positionsOf(file.mapping, column)) chunks.push(...chunksOf(file.file, position));
  }
  const count = (has: (chunk: ColumnChunk) => boolean) => chunks.filter(({ chunk }) => has(chunk)).length;
  return {
    name: column.name,
    type: typeName(column),
    isKey: snapshot.keyColumns.some((key) => key.name === column.name),
    codecs: [...new Set(chunks.map(({ chunk }) => chunk.codec))],
    compressedBytes: chunks.reduce((bytes, { chunk }) => bytes + chunk.range.end - chunk.range.start, 0),
    chunks: chunks.length,
    withDictionary: count((chunk) => chunk.dictionaryPageOffset !== undefined),
    withOffsetIndex: count((chunk) => chunk.offsetIndexRange !== undefined),
    withColumnIndex: count((chunk) => chunk.columnIndexRange !== undefined),
    withBloomFilter: count((chunk) => chunk.bloomFilterRange !== undefined),
    withBounds: chunks.filter(({ bounded }) => bounded).length,
  };
}

function chunksOf(file: TableFile, position: number) {
  return Array.from({ length: file.index.rowGroups }, (_, rowGroup) => ({
    chunk: file.index.chunk(rowGroup, position),
    bounded: file.index.chunkBounds(rowGroup, position)?.min !== undefined,
  }));
}

function textOf(report: InspectReport): string {
  const lines = [`${report.source}: ${report.rows} rows, ${formatBytes(report.bytes)}`, ''];
  for (const file of report.files) {
    lines.push(
      file.error === undefined
        ? `  ${file.key}  ${file.rows} rows in ${file.rowGroups} row groups, ${formatBytes(file.bytes)}, metadata ${formatBytes(file.metadataBytes ?? 0)} in memory, by ${file.createdBy}`
        : `  ${file.key}  ${formatBytes(file.bytes)}, UNREADABLE: ${file.error}`,
    );
  }
  if (report.filesLeftOut > 0) lines.push(`  ... and ${report.filesLeftOut} more files`);
  lines.push('', ...table(report.columns.map(columnCells)), '');
  lines.push('likely keys:', ...report.likelyKeys.slice(0, 5).map(({ name, reason }) => `  ${name}  (${reason})`));
  return `${lines.join('\n')}\n`;
}

function columnCells(column: ColumnReport): readonly string[] {
  const of = (count: number) => (count === column.chunks ? 'all' : `${count}/${column.chunks}`);
  return [
    column.isKey ? `${column.name} (key)` : column.name,
    column.type,
    formatBytes(column.compressedBytes),
    column.codecs.join('+') || '-',
    of(column.withDictionary),
    of(column.withBounds),
    of(column.withOffsetIndex),
    of(column.withColumnIndex),
    of(column.withBloomFilter),
  ];
}

const HEADINGS = ['column', 'type', 'bytes', 'codec', 'dictionary', 'min/max', 'offset index', 'column index', 'bloom'];

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const all = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
}
