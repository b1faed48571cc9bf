/** The report of `pointlake inspect`, and its form for people. */

import { formatBytes } from '../core/index.ts';
import type { LookupReport } from './inspect-advice.ts';
import { lookupsText } from './inspect-lookups-text.ts';

export interface InspectReport {
  readonly source: string;
  readonly rows: number;
  readonly bytes: number;
  readonly files: readonly FileReport[];
  readonly filesLeftOut: number;
  readonly columns: readonly ColumnReport[];
  /** Where a key was named. */
  readonly lookups?: LookupReport;
  readonly likelyKeys: readonly { readonly name: string; readonly reason: string }[];
}

export interface FileReport {
  readonly key: string;
  readonly bytes: number;
  readonly rows?: number;
  readonly rowGroups?: number;
  readonly createdBy?: string;
  /** Rows of the smallest and the largest row group. */
  readonly rowsOfRowGroups?: readonly [number, number];
  /** As the first row group says it is sorted: `id`, `time desc`. */
  readonly sortedBy?: readonly string[];
  readonly keyValueNames?: readonly string[];
  /** Bytes of the compact footer in memory. */
  readonly metadataBytes?: number;
  readonly error?: string;
}

export interface ColumnReport {
  readonly name: string;
  readonly type: string;
  readonly isKey: boolean;
  /** Its values are in the names of folders, so that the files hold no bytes of it. */
  readonly isPartition?: true;
  readonly codecs: readonly string[];
  readonly encodings: readonly string[];
  readonly compressedBytes: number;
  readonly uncompressedBytes: number;
  /** As far as the chunks say. */
  readonly nulls: number;
  /** Of the chunks that were looked at; undefined where there was none. */
  readonly pages: PagesReport | undefined;
  /** Chunks of all row groups, and how many of them have each kind of index. */
  readonly chunks: number;
  readonly withDictionary: number;
  readonly withOffsetIndex: number;
  readonly withColumnIndex: number;
  readonly withBloomFilter: number;
  readonly withBounds: number;
}

export interface PagesReport {
  readonly count: number;
  readonly rowsMedian: number;
  /** As they are stored, and about what they take when decompressed. */
  readonly bytesMedian: number;
  readonly decodedBytesMedian: number;
  readonly bytesMax: number;
}

/** The report as people read it. */
export function textOf(report: InspectReport): string {
  const lines = [`${report.source}: ${report.rows} rows, ${formatBytes(report.bytes)}`, ''];
  for (const file of report.files) {
    lines.push(`  ${file.key}`, ...fileLines(file).map((line) => `    ${line}`));
  }
  if (report.filesLeftOut > 0) lines.push(`  ... and ${report.filesLeftOut} more files`);
  lines.push('', ...table(report.columns.map(columnCells)), '');
  if (report.lookups !== undefined) return `${[...lines, ...lookupsText(report.lookups)].join('\n')}\n`;
  lines.push('likely keys:', ...report.likelyKeys.slice(0, 5).map(({ name, reason }) => `  ${name}  (${reason})`));
  return `${lines.join('\n')}\n`;
}

function fileLines(file: FileReport): readonly string[] {
  if (file.error !== undefined) return [`${formatBytes(file.bytes)}, UNREADABLE: ${file.error}`];
  const [fewest = 0, most = 0] = file.rowsOfRowGroups ?? [];
  const each = fewest === most ? `${most}` : `${fewest} to ${most}`;
  const lines = [
    `${file.rows} rows in ${file.rowGroups} row groups of ${each}, ${formatBytes(file.bytes)}, written by ${file.createdBy}`,
    `metadata takes ${formatBytes(file.metadataBytes ?? 0)} in memory`,
  ];
  if (file.sortedBy?.length) lines.push(`says it is sorted by ${file.sortedBy.join(', ')}`);
  if (file.keyValueNames?.length) lines.push(`key-value metadata: ${file.keyValueNames.join(', ')}`);
  return lines;
}

function columnCells(column: ColumnReport): readonly string[] {
  const of = (count: number) => (count === column.chunks ? 'all' : `${count}/${column.chunks}`);
  return [
    `${column.name}${column.isKey ? ' (key)' : ''}${column.isPartition ? ' (partition)' : ''}`,
    column.type,
    formatBytes(column.compressedBytes),
    column.compressedBytes === 0 ? '-' : (column.uncompressedBytes / column.compressedBytes).toFixed(1),
    column.codecs.join('+') || '-',
    column.encodings.join('+') || '-',
    `${column.nulls}`,
    column.pages === undefined ? '-' : `${column.pages.count} of ${column.pages.rowsMedian} rows`,
    column.pages === undefined ? '-' : formatBytes(column.pages.bytesMax),
    of(column.withDictionary),
    of(column.withBounds),
    of(column.withOffsetIndex),
    of(column.withColumnIndex),
    of(column.withBloomFilter),
  ];
}

const HEADINGS = [
  'column',
  'type',
  'bytes',
  'ratio',
  'codec',
  'encodings',
  'nulls',
  'pages (median)',
  'largest',
  'dictionary',
  'min/max',
  'offset index',
  'column index',
  'bloom',
];

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const all = [HEADINGS, ...rows];
  const widths = HEADINGS.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
}
